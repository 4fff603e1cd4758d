package stream

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	out := []string{}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestFileCommit(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out.arrow")
	for _, text := range []string{"first", "second"} {
		before, _ := os.ReadFile(path)
		f, err := Create(path)
		require.NoError(t, err)
		_, err = f.Write([]byte(text))
		require.NoError(t, err)
		require.Regexp(t, `^\.out\.arrow\.tmp-[0-9a-f]{8}$`, names(t, dir)[0])
		now, _ := os.ReadFile(path)
		require.Equal(t, before, now, "changed before Commit")
		require.NoError(t, f.Commit())
		f.Abort()
		require.Equal(t, []string{"out.arrow"}, names(t, dir))
		now, err = os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, text, string(now))
		require.Error(t, f.Commit(), "second Commit")
	}
}

func TestFileAbort(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	require.NoError(t, WriteFile(path, []byte("old")))
	f, err := Create(path)
	require.NoError(t, err)
	_, err = f.Write([]byte("new"))
	require.NoError(t, err)
	f.Abort()
	f.Abort()
	require.Equal(t, []string{"out"}, names(t, dir))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "old", string(text))
}

func TestFileMode(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "plain"), nil, 0o666))
	require.NoError(t, WriteFile(filepath.Join(dir, "ours"), nil))
	want, err := os.Stat(filepath.Join(dir, "plain"))
	require.NoError(t, err)
	got, err := os.Stat(filepath.Join(dir, "ours"))
	require.NoError(t, err)
	require.Equal(t, want.Mode(), got.Mode())
}

func TestFileLink(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	require.NoError(t, WriteFile(target, []byte("old")))
	require.NoError(t, os.Symlink("target", link))
	require.NoError(t, WriteFile(link, []byte("new")))
	text, err := os.ReadFile(target)
	require.NoError(t, err)
	require.Equal(t, "new", string(text))
	require.Equal(t, []string{"link", "target"}, names(t, dir))
}

func TestFileRefused(t *testing.T) {
	dir := t.TempDir()
	_, err := Create(dir)
	require.ErrorContains(t, err, "stream: create "+dir+": is a directory")
	missing := filepath.Join(dir, "none", "out")
	_, err = Create(missing)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, missing+":")
	require.Error(t, WriteFile(missing, nil))
}

// TestFileLost: Commit fails where the file cannot get its name, and leaves
// nothing else behind.
func TestFileLost(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	f, err := Create(path)
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(path, 0o777))
	require.Error(t, f.Commit())
	require.Equal(t, []string{"out"}, names(t, dir))
}
