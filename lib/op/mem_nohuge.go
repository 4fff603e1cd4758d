//go:build unix && !linux

package op

import "unsafe"

// adviseHuge does nothing: this system has no such advice.
func adviseHuge(unsafe.Pointer, uintptr) {}
