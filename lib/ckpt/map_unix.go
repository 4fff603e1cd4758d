//go:build unix

package ckpt

import (
	"fmt"
	"math"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// mapFile maps a regular file for reading; release unmaps it.
func mapFile(path string) (m []byte, release func() error, err error) {
	st, err := os.Stat(path) // before Open, which waits at a named pipe
	if err != nil {
		return nil, nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if !st.Mode().IsRegular() || st.Size() > math.MaxInt {
		return nil, nil, fmt.Errorf("%s is no file that can be mapped", filepath.Base(path))
	}
	if st.Size() == 0 {
		return nil, func() error { return nil }, nil
	}
	m, err = unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, &os.PathError{Op: "mmap", Path: path, Err: err}
	}
	return m, func() error { return unix.Munmap(m) }, nil
}

// hold takes the advisory lock of a directory, which the system gives back
// when the process ends, however it ends; ok is false when another has it.
func hold(dir string) (release func(), ok bool) {
	d, err := os.Open(dir)
	if err != nil {
		return func() {}, false
	}
	if unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		d.Close()
		return func() {}, false
	}
	return func() { d.Close() }, true
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
