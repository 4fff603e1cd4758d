package stream

import (
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFileFull: a disk that fills up leaves neither the file nor a temporary
// one, whichever step comes next.
func TestFileFull(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var old syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old))
	dir := t.TempDir()
	path := filepath.Join(dir, "out.arrow")
	s, batches := sample()
	full := func(then func(f *File, w *Writer)) {
		f, err := Create(path)
		require.NoError(t, err)
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 4096, Max: old.Max}))
		w, err := NewWriter(f, s, Options{})
		for range 10 {
			if err == nil {
				err = w.Write(batches[0])
			}
		}
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old))
		require.ErrorIs(t, err, syscall.EFBIG)
		then(f, w)
		require.Empty(t, names(t, dir))
	}
	full(func(f *File, w *Writer) { f.Abort() })
	full(func(f *File, w *Writer) {
		require.ErrorIs(t, w.Close(), syscall.EFBIG)
		require.ErrorIs(t, f.Commit(), syscall.EFBIG, "a file of which a part is missing")
	})
}

// TestFileDevice: what is not a regular file is written where it is.
func TestFileDevice(t *testing.T) {
	f, err := Create("/dev/full")
	require.NoError(t, err)
	_, err = f.Write([]byte("x"))
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorIs(t, f.Commit(), syscall.ENOSPC)
	info, err := os.Stat("/dev/full")
	require.NoError(t, err)
	require.False(t, info.Mode().IsRegular())
	require.NoError(t, WriteFile("/dev/null", []byte("x")))

	pipe := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(pipe, 0o666))
	r, err := os.OpenFile(pipe, os.O_RDWR, 0)
	require.NoError(t, err)
	defer r.Close()
	require.NoError(t, WriteFile(pipe, []byte("through")))
	b := make([]byte, 7)
	_, err = r.Read(b)
	require.NoError(t, err)
	require.Equal(t, "through", string(b))
}
