package ckpt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// failing is a disk whose n'th call fails with err; a write that fails has
// written a part of its bytes.
type failing struct {
	osFiles
	n   int
	err error
	log []string // the calls
}

func (f *failing) fail(call string) error {
	f.log = append(f.log, call)
	if len(f.log)-1 == f.n {
		return fmt.Errorf("%s: %w", call, f.err)
	}
	return nil
}

func (f *failing) MkdirAll(path string) error {
	if err := f.fail("mkdirall"); err != nil {
		return err
	}
	return f.osFiles.MkdirAll(path)
}

func (f *failing) Mkdir(path string) error {
	if err := f.fail("mkdir"); err != nil {
		return err
	}
	return f.osFiles.Mkdir(path)
}

func (f *failing) Rename(from, to string) error {
	if err := f.fail("rename"); err != nil {
		return err
	}
	return f.osFiles.Rename(from, to)
}

func (f *failing) SyncDir(path string) error {
	if err := f.fail("syncdir"); err != nil {
		return err
	}
	return f.osFiles.SyncDir(path)
}

func (f *failing) Create(path string) (handle, error) {
	if err := f.fail("create"); err != nil {
		return nil, err
	}
	x, err := f.osFiles.Create(path)
	return &failingFile{x, f}, err
}

type failingFile struct {
	handle
	disk *failing
}

func (f *failingFile) Write(b []byte) (int, error) {
	if err := f.disk.fail("write"); err != nil {
		n, _ := f.handle.Write(b[:len(b)/2])
		return n, err
	}
	return f.handle.Write(b)
}

func (f *failingFile) Sync() error {
	if err := f.disk.fail("sync"); err != nil {
		return err
	}
	return f.handle.Sync()
}

func (f *failingFile) Close() error {
	return errors.Join(f.disk.fail("close"), f.handle.Close())
}

// TestEveryFault makes every call of a write fail in turn: the error says which,
// the parent is as it was, and either nothing is there or, where only the name of
// the whole could not be made durable, the complete checkpoint. The write after
// that succeeds.
func TestEveryFault(t *testing.T) {
	dir := shard(t, makeTiny(t, tiny, BF16, nil), 2)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o777))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sub", "x"), []byte("x"), 0o666))
	parent := content(t, dir)
	u, _ := update(t, open(t, dir))
	u.Metrics = []byte("metrics")
	whole := filepath.Join(t.TempDir(), "M1")
	require.NoError(t, Write(whole, u))
	want := content(t, whole)
	defer func() { disk = osFiles{} }()
	seen := map[string]int{}
	for n := 0; ; n++ {
		beside := t.TempDir()
		out := filepath.Join(beside, "M1")
		f := &failing{n: n, err: syscall.ENOSPC}
		disk = f
		err := Write(out, u)
		if n >= len(f.log) {
			require.NoError(t, err)
			require.Equal(t, want, content(t, out))
			break
		}
		call := f.log[n]
		seen[call]++
		require.ErrorIs(t, err, syscall.ENOSPC, "%d %s", n, call)
		require.ErrorContains(t, err, "writing checkpoint ")
		require.Equal(t, parent, content(t, dir), "%d %s", n, call)
		_, left := os.Lstat(out)
		if slices.Contains(f.log[:n], "rename") {
			require.NoError(t, left)
			require.Equal(t, want, content(t, out))
			continue
		}
		require.ErrorIs(t, left, fs.ErrNotExist, "%d %s", n, call)
		require.Empty(t, names(t, beside), "%d %s", n, call)
		disk = osFiles{}
		require.NoError(t, Write(out, u))
		require.Equal(t, want, content(t, out))
	}
	for _, call := range []string{"mkdirall", "mkdir", "create", "write", "sync", "close", "rename", "syncdir"} {
		require.NotZero(t, seen[call], call)
	}
}

// TestOrderOfWriting: every file is synced before it is closed, the directory
// before it gets its name, and the name after that.
func TestOrderOfWriting(t *testing.T) {
	u, _ := update(t, open(t, makeTiny(t, tiny, F32, nil)))
	f := &failing{n: -1}
	disk = f
	defer func() { disk = osFiles{} }()
	require.NoError(t, Write(filepath.Join(t.TempDir(), "M1"), u))
	n := len(f.log)
	require.Equal(t, []string{"syncdir", "rename", "syncdir"}, f.log[n-3:])
	written := false
	for i, call := range f.log {
		switch call {
		case "write":
			written = true
		case "close":
			require.True(t, written)
			require.Equal(t, "sync", f.log[i-1])
			written = false
		}
	}
}

// TestStop: a writing that is told to stop, at whichever time it asks, leaves nothing.
func TestStop(t *testing.T) {
	c := open(t, shard(t, makeTiny(t, tiny, BF16, nil), 2))
	u, _ := update(t, c)
	over := errors.New("over")
	asked := 0
	for n := 0; ; n++ {
		beside := t.TempDir()
		asked = 0
		u.Stop = func() error {
			if asked++; asked > n {
				return over
			}
			return nil
		}
		err := Write(filepath.Join(beside, "M1"), u)
		if asked <= n {
			require.NoError(t, err)
			break
		}
		require.ErrorIs(t, err, over)
		require.Empty(t, names(t, beside))
	}
	require.Equal(t, len(c.Names())+len(u.Optimizer)+1, asked)

	a := adapted(t, open(t, c.Path()))
	beside := t.TempDir()
	require.ErrorIs(t, WriteAdapter(filepath.Join(beside, "A"), AdapterUpdate{Adapter: a, Stop: func() error { return over }}), over)
	require.Empty(t, names(t, beside))
}
