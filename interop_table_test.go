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

// TestInteropTables reads Parquet files of every codec, page version and
// encoding that pyarrow writes, and lets pyarrow compare the values.
func TestInteropTables(t *testing.T) {
	dir := t.TempDir()
	python := func(what string) string {
		out, err := exec.Command(os.Getenv("SRAR_PYTHON"), "testdata/interop/tables.py", what, dir).CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	python("make")
	tables, err := filepath.Glob(filepath.Join(dir, "*.parquet"))
	require.NoError(t, err)
	require.Len(t, tables, 49)
	for _, path := range tables {
		name, _ := strings.CutSuffix(path, ".parquet")
		r := trial.Process{Args: []string{"srar-cat", "--to", "json", "-o", name + ".json", path}}.Run(t)
		if codec, refused := strings.CutPrefix(filepath.Base(name), "refused-"); refused {
			require.Equal(t, 3, r.Status, "%s: %s", path, r.Voice)
			require.Contains(t, strings.ToLower(r.Voice), "pages packed with "+codec)
			continue
		}
		require.Zero(t, r.Status, "%s: %s", path, r.Voice)
	}
	require.Contains(t, python("compare"), "48 passed, 0 failed")
}
