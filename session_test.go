package srar_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"srar/lib/trial"
)

// TestSession plays the shell sessions in testdata/script.
func TestSession(t *testing.T) {
	f := small(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("FIX", f.dir)
			for _, v := range f.env() {
				name, value, _ := strings.Cut(v, "=")
				e.Setenv(name, value)
			}
			return nil
		},
	})
}

// TestReadmeRuns executes the $ lines of the README, in order, in one place.
func TestReadmeRuns(t *testing.T) {
	f := small(t)
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	var script strings.Builder
	n := 0
	for _, line := range strings.Split(string(text), "\n") {
		if cmd, ok := strings.CutPrefix(line, "    $ "); ok {
			script.WriteString(cmd + "\n")
			n++
		}
	}
	require.Greater(t, n, 5)
	c := exec.CommandContext(trial.Within(t, trial.Patience), "bash", "-eo", "pipefail", "-c", script.String())
	c.Dir = t.TempDir()
	c.Env = trial.Env(f.env()...)
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// TestManuals: every command explains itself, with exit codes and examples, and
// refuses what it does not know.
func TestManuals(t *testing.T) {
	entries, err := os.ReadDir(bin)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(entries), 12)
	for _, e := range entries {
		name := e.Name()
		help := string(trial.Process{Args: []string{name, "--help"}}.Must(t))
		require.True(t, strings.HasPrefix(help, "usage: "+name), name)
		require.Contains(t, help, "example", name)
		require.Regexp(t, `^`+name+` \d+\.\d+\.\d+ `, string(trial.Process{Args: []string{name, "--version"}}.Must(t)))
		r := trial.Process{Args: []string{name, "--no-such-flag"}}.Run(t)
		require.Equal(t, 2, r.Status, name)
		require.True(t, strings.HasPrefix(r.Voice, name+": no such flag: --no-such-flag"), "%s: %s", name, r.Voice)
		require.Empty(t, r.Out)
	}
}
