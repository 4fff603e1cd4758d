//go:build interop

package srar_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/trial"
)

// TestInterop lets pyarrow, duckdb and transformers open what the commands
// write. SRAR_PYTHON names a Python that has them; `make interop` makes one.
func TestInterop(t *testing.T) {
	f := small(t)
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(f.dir)))
	artifacts, err := filepath.Glob(filepath.Join(dir, "*.arrow"))
	require.NoError(t, err)
	require.Len(t, artifacts, 7)
	for _, a := range artifacts {
		trial.Process{Args: []string{"srar-cat", "--to", "parquet", "-o", strings.TrimSuffix(a, ".arrow") + ".parquet", a}}.Must(t)
		packed := strings.TrimSuffix(a, ".arrow") + ".zstd.arrow"
		trial.Process{Args: []string{"srar-cat", "--to", "arrow", "--compress", "zstd", "-o", packed, a}}.Must(t)
	}
	for _, family := range []string{"llama", "mistral", "qwen2"} {
		trial.Process{Args: []string{"srar-model", "init", "--family", family, "--dtype", "bf16", "--untied", "--out", filepath.Join(dir, family)}}.Must(t)
	}
	out, err := exec.Command(os.Getenv("SRAR_PYTHON"), "testdata/interop/open.py", dir).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "27 passed, 0 failed")
}
