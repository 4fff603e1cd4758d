//go:build amd64 && !purego

package op

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
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
			// A kernel or a sandbox may keep tiles from processes.
			const supported, tiles = 0x1021, 3 << 17 // ARCH_GET_XCOMP_SUPP; configuration and data
			var features uint64
			_, _, err := unix.Syscall(unix.SYS_ARCH_PRCTL, supported, uintptr(unsafe.Pointer(&features)), 0)
			if has["amx_tile"] && has["amx_bf16"] && err == 0 && features&tiles == tiles {
				want = append(want, "amx_bf16")
			}
		}
	}
	var got []string
	for _, tier := range runnable() {
		got = append(got, tier.name)
	}
	t.Log("tiers under test:", got)
	require.Equal(t, want, got)
}
