//go:build !unix

package ckpt

// hold never succeeds without advisory locks: what a killed process left stays
// under its temporary name, where nobody looks for a checkpoint.
func hold(string) (release func(), ok bool) { return func() {}, false }

// syncDir does nothing where directories cannot be synced.
func syncDir(string) error { return nil }
