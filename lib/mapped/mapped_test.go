package mapped

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, content := range []string{"", "some bytes"} {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o666))
		m, release, err := Open(path)
		require.NoError(t, err)
		var got string
		require.NoError(t, Guard(func() { got = string(m) }))
		require.Equal(t, content, got)
		require.NoError(t, release())
	}
	_, _, err := Open(path + ".not")
	require.ErrorIs(t, err, os.ErrNotExist)
	_, _, err = Open(filepath.Dir(path))
	require.Error(t, err, "a directory")
}

// TestGuardPanics: what is no memory fault stays a panic.
func TestGuardPanics(t *testing.T) {
	require.PanicsWithValue(t, "ours", func() { _ = Guard(func() { panic("ours") }) })
}
