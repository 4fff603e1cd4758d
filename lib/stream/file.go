package stream

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// File is a file that appears under its name complete or not at all. Until
// [File.Commit] it is called .NAME.tmp-RANDOM in the same directory, which is
// what a killed process leaves behind.
//
// A name that stands for a device or a pipe is written directly.
type File struct {
	f    *os.File
	path string // final; "" where f is written directly or is done with
	err  error  // of the first write that failed
}

// Create returns a new File that will be called path. What is there under that
// name stays until Commit; a symbolic link is followed.
func Create(path string) (*File, error) {
	f, err := create(path)
	if err != nil {
		return nil, fmt.Errorf("stream: %w", err)
	}
	return f, nil
}

func create(path string) (*File, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return nil, &fs.PathError{Op: "create", Path: path, Err: errors.New("is a directory")}
	case err == nil && !info.Mode().IsRegular():
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		return &File{f: f}, err
	case err == nil:
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return nil, err
		}
	}
	dir, name := filepath.Split(path)
	for {
		tmp := fmt.Sprintf("%s.%s.tmp-%08x", dir, name, rand.Uint32())
		f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err == nil {
			return &File{f: f, path: path}, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			var pe *fs.PathError
			if errors.As(err, &pe) {
				pe.Path = path // the name that was asked for
			}
			return nil, err
		}
	}
}

// Write writes to the file. After a failure the file cannot be committed.
func (f *File) Write(b []byte) (int, error) {
	n, err := f.f.Write(b)
	if err != nil && f.err == nil {
		f.err = err
	}
	return n, err
}

// Commit makes the file durable under its name. If it fails, the file is
// removed, and under its name is what was there before; but where the last step
// fails, the sync of the directory, the file is there and may not survive a
// loss of power.
func (f *File) Commit() error {
	if f.path == "" {
		if e := f.f.Close(); f.err == nil {
			f.err = e
		}
		return wrap(f.err)
	}
	err := f.err
	if err == nil {
		err = f.f.Sync()
	}
	if e := f.f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.f.Name(), f.path)
	}
	if err != nil {
		os.Remove(f.f.Name())
		f.path = ""
		return wrap(err)
	}
	dir := filepath.Dir(f.path)
	f.path = ""
	return wrap(syncDir(dir))
}

// Abort removes the file. After Commit it does nothing.
func (f *File) Abort() {
	f.f.Close()
	if f.path != "" {
		os.Remove(f.f.Name())
		f.path = ""
	}
}

// WriteFile writes data to a file that appears under path complete or not at all.
func WriteFile(path string, data []byte) error {
	f, err := Create(path)
	if err != nil {
		return err
	}
	defer f.Abort()
	if _, err := f.Write(data); err != nil {
		return wrap(err)
	}
	return f.Commit()
}

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // has no such call
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return nil // EINVAL: a file system that cannot do it
}

func wrap(err error) error {
	if err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	return nil
}
