package stream

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/golden"
)

// TestGoldenStreams reads every stream of the golden data, and again what is
// written of it.
func TestGoldenStreams(t *testing.T) {
	count := 0
	require.NoError(t, filepath.WalkDir(golden.Path(t), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".arrow") {
			return err
		}
		count++
		r, err := Open(path)
		require.NoError(t, err)
		s, batches, err := drain(r)
		require.NoError(t, r.Close())
		require.NoError(t, err, path)
		bytes, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, digest(bytes), r.Digest())
		all := rows(batches)
		for _, compress := range []string{"", "zstd"} {
			s2, again, err := readAll(encode(t, s, batches, Options{Compress: compress}))
			require.NoError(t, err, path)
			require.Equal(t, describe(s), describe(s2))
			require.Equal(t, all, rows(again))
		}
		for n := 0; n < len(bytes); n += 1 + len(bytes)/40 {
			_, _, err := readAll(bytes[:n])
			require.ErrorIs(t, err, ErrEarly, "%s cut at %d", path, n)
		}
		return nil
	}))
	require.Positive(t, count)
}
