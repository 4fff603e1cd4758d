//go:build !unix

package ckpt

import "os"

// mapFile reads a file whole where there is no mmap.
func mapFile(path string) (m []byte, release func() error, err error) {
	m, err = os.ReadFile(path)
	return m, func() error { return nil }, err
}

// hold never succeeds without advisory locks: what a killed process left stays
// under its temporary name, where nobody looks for a checkpoint.
func hold(string) (release func(), ok bool) { return func() {}, false }

// syncDir does nothing where directories cannot be synced.
func syncDir(string) error { return nil }
