//go:build unix

package ckpt

import (
	"os"

	"golang.org/x/sys/unix"
)

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
