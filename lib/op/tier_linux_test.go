//go:build amd64 && !purego

package op

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTiersOfThisMachine: what the kernel says the processor has must be among
// the tiers that the other tests run.
func TestTiersOfThisMachine(t *testing.T) {
	info, err := os.ReadFile("/proc/cpuinfo")
	require.NoError(t, err)
	line := regexp.MustCompile(`(?m)^flags\s*:(.*)$`).FindSubmatch(info)
	require.NotNil(t, line)
	has := map[string]bool{}
	for _, f := range strings.Fields(string(line[1])) {
		has[f] = true
	}
	want := []string{"generic"}
	if has["avx2"] && has["fma"] {
		want = append(want, "avx2")
	}
	if has["avx512f"] && has["avx512bw"] && has["avx512dq"] && has["avx512vl"] {
		want = append(want, "avx512")
		if has["avx512_bf16"] {
			want = append(want, "avx512_bf16")
		}
	}
	var got []string
	for _, tier := range runnable() {
		got = append(got, tier.name)
	}
	t.Log("tiers under test:", got)
	require.Equal(t, want, got)
}
