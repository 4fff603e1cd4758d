//go:build interop

package srar_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/trial"
)

// TestInteropAdapter lets PEFT open an adapter of ours and merges one of its own:
// the weights are those that it merges.
func TestInteropAdapter(t *testing.T) {
	f := small(t)
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(dir, "M0"), os.DirFS(filepath.Join(f.dir, "M0"))))
	at := func(name string) string { return filepath.Join(dir, name) }
	run := func(args string, more ...string) []byte {
		return trial.Process{Args: append(words(args), more...)}.Must(t)
	}
	run("srar-update --quiet --lora-rank 4 --entropy 0.5 --lr 3e-2 --warmup 0 --epochs 4",
		"--model", at("M0"), "--out", at("ours"), "-o", at("metrics.arrow"), "-i", filepath.Join(f.dir, "advantages.arrow"))
	run("srar-model merge", at("M0"), at("ours"), "--out", at("ours-merged"))
	out, err := exec.Command(os.Getenv("SRAR_PYTHON"), "testdata/interop/adapter.py", dir).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "logits moved by ")
	run("srar-model merge", at("M0"), at("theirs"), "--out", at("merged"))
	diff := words(string(run("srar-model diff", at("theirs-merged"), at("merged"))))
	largest, err := strconv.ParseFloat(diff[len(diff)-3], 64) // of the line of all
	require.NoError(t, err)
	require.Less(t, largest, 1e-6)
}
