//go:build unix

package ckpt

import (
	"os"

	"golang.org/x/sys/unix"
)

// hold takes the advisory lock of a directory, which the system gives back
// when the process ends, however it ends. The error is errHeld when another has it.
func hold(dir string) (release func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return func() {}, err
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		d.Close()
		if err == unix.EWOULDBLOCK {
			err = errHeld
		}
		return func() {}, err
	}
	return func() { d.Close() }, nil
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
