//go:build long

package srar_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"srar/lib/trial"
)

func TestKilledAtTwentyMoments(t *testing.T) {
	t.Run("all", func(t *testing.T) { killed(t, 20, true) })
	t.Run("script", func(t *testing.T) { killed(t, 20, false) })
}

// TestLearns is the promise of `make iterate` for three seeds: 15 points of accuracy
// and 18 of FRR.
func TestLearns(t *testing.T) {
	for _, seed := range []string{"0", "1", "2"} {
		t.Run("seed "+seed, func(t *testing.T) {
			ctx := trial.Within(t, 20*time.Minute)
			c := train(ctx, t, filepath.Join(t.TempDir(), "run"), 6)
			c.Env = trial.Env("SEED=" + seed)
			r := trial.Finish(ctx, t, c)
			require.Zero(t, r.Status, "%s", r.Voice)
			t.Logf("\n%s", r.Out)
			require.Greater(t, change(t, string(r.Out), "accuracy"), 0.15)
			require.Greater(t, change(t, string(r.Out), "frr"), 0.18)
		})
	}
}

// change reads the last column of one line of the table.
func change(t testing.TB, table, name string) float64 {
	t.Helper()
	for _, line := range strings.Split(table, "\n") {
		if w := words(line); len(w) > 1 && w[0] == name {
			var x float64
			_, err := fmt.Sscan(w[len(w)-1], &x)
			require.NoError(t, err)
			return x
		}
	}
	t.Fatalf("no %s in the table", name)
	return 0
}
