//go:build unix

package mapped

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGuardCut: a file cut while it is mapped is an error, and the program goes on.
func TestGuardCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, make([]byte, 1<<20), 0o666))
	m, release, err := Open(path)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(path, 4096))
	sum := 0
	err = Guard(func() {
		for _, b := range m {
			sum += int(b)
		}
	})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NoError(t, Guard(func() { sum += int(m[0]) }))
	require.Zero(t, sum)
	require.NoError(t, release())
}
