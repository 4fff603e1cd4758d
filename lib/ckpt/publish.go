package ckpt

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// publish makes the directory dir with what fill puts into the directory that
// it is given. What a killed process left under a temporary name of dir's is
// removed first. A dir inside source, which fill copies, is refused.
func publish(dir, source string, fill func(tmp string) error) (err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if source != "" {
		if source, err = filepath.Abs(source); err != nil {
			return err
		}
		if rel, err := filepath.Rel(source, dir); err == nil && filepath.IsLocal(rel) {
			return errors.New("it would lie inside the checkpoint that it is made from")
		}
	}
	entries, err := os.ReadDir(dir)
	switch {
	case err == nil && len(entries) > 0:
		return fmt.Errorf("it is there already: %w", fs.ErrExist)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	parent, base := filepath.Split(dir)
	if err := disk.MkdirAll(parent); err != nil {
		return err
	}
	prefix := "." + base + ".tmp-"
	sweep(parent, prefix)
	tmp, release, err := workplace(parent, prefix)
	if err != nil {
		return err
	}
	defer release()
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	if err := fill(tmp); err != nil {
		return err
	}
	if err := disk.SyncDir(tmp); err != nil {
		return err
	}
	if err := disk.Rename(tmp, dir); err != nil {
		return err
	}
	return disk.SyncDir(parent)
}

// errHeld says that another process holds a directory.
var errHeld = errors.New("another process holds it")

// workplace makes a directory of a new name that begins with prefix. It holds it
// until release, where the system can: that tells other writers that this one lives.
func workplace(parent, prefix string) (tmp string, release func(), err error) {
	for {
		tmp = filepath.Join(parent, prefix+rand.Text()[:10])
		if err := disk.Mkdir(tmp); err != nil {
			return "", nil, err
		}
		release, err := hold(tmp)
		if _, gone := os.Lstat(tmp); gone == nil && err != errHeld {
			return tmp, release, nil
		}
		release() // it was swept before it was held, or is about to be
	}
}

// Probe tells early whether [Write] will be able to make dir: an error is that of
// making a directory where dir is to appear, or where its parents are.
func Probe(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	parent, base := filepath.Split(dir)
	for {
		_, err := os.Stat(parent)
		up := filepath.Dir(filepath.Clean(parent))
		if err == nil || !errors.Is(err, fs.ErrNotExist) || up == parent {
			break
		}
		parent = up
	}
	tmp, err := os.MkdirTemp(parent, "."+base+".tmp-")
	if err != nil {
		return err
	}
	if err := os.Remove(tmp); !errors.Is(err, fs.ErrNotExist) { // a writer beside us sweeps
		return err
	}
	return nil
}

// disk is what writing asks of the system; tests make it fail.
var disk fileSystem = osFiles{}

type fileSystem interface {
	MkdirAll(path string) error
	Mkdir(path string) error
	// Create makes a new file; one that is there is an error.
	Create(path string) (handle, error)
	// Rename gives a directory a name that is free, or that of an empty directory.
	Rename(from, to string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(path string) error
}

type handle interface {
	io.WriteCloser
	Sync() error
}

type osFiles struct{}

func (osFiles) MkdirAll(path string) error   { return os.MkdirAll(path, 0o777) }
func (osFiles) Mkdir(path string) error      { return os.Mkdir(path, 0o777) }
func (osFiles) Rename(from, to string) error { return os.Rename(from, to) }
func (osFiles) SyncDir(path string) error    { return syncDir(path) }
func (osFiles) Create(path string) (handle, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
}

// sweep removes what killed writers left. It is a courtesy: what it cannot
// remove does no harm.
func sweep(parent, prefix string) {
	entries, _ := os.ReadDir(parent)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		left := filepath.Join(parent, e.Name())
		if release, err := hold(left); err == nil {
			os.RemoveAll(left)
			release()
		}
	}
}

// maxDepth bounds how deep directories inside a checkpoint are copied, which
// ends a loop of links.
const maxDepth = 16

// copyTree copies what lies in the directory src of files to dst, links as what
// they point to, but at the top only the names that carried accepts.
func copyTree(dst string, files fs.FS, src string, carried func(name string) bool, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%s: directories are nested too deeply", src)
	}
	entries, err := fs.ReadDir(files, src)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !carried(e.Name()) {
			continue
		}
		from, to := path.Join(src, e.Name()), filepath.Join(dst, e.Name())
		st, err := fs.Stat(files, from)
		switch {
		case err != nil:
			return err
		case st.IsDir():
			if err := disk.Mkdir(to); err != nil {
				return err
			}
			if err := copyTree(to, files, from, func(string) bool { return true }, depth+1); err != nil {
				return err
			}
			if err := disk.SyncDir(to); err != nil {
				return err
			}
		case st.Mode().IsRegular():
			if err := copyFile(to, files, from); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%s is neither file nor directory", from)
		}
	}
	return nil
}

func copyFile(dst string, files fs.FS, src string) error {
	f, err := files.Open(src)
	if err != nil {
		return err
	}
	defer f.Close()
	return writeFile(dst, func(w *bufio.Writer) error {
		_, err := io.Copy(w, f)
		return err
	})
}

func writeBytes(path string, b []byte) error {
	return writeFile(path, func(w *bufio.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

// writeFile makes a new file of what fill writes and syncs it.
func writeFile(path string, fill func(w *bufio.Writer) error) (err error) {
	f, err := disk.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := fill(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Sync()
}
