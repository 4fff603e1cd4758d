//go:build unix

package op

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapFloats returns n zeroed float32 outside the Go heap.
func mapFloats(n int) []float32 {
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(4*n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		panic(fmt.Sprintf("op: out of memory: mapping %d bytes: %v", 4*n, err))
	}
	adviseHuge(p, uintptr(4*n))
	return unsafe.Slice((*float32)(p), n)
}

// unmapFloats gives b, which mapFloats returned, back.
func unmapFloats(b []float32) {
	if err := unix.MunmapPtr(unsafe.Pointer(&b[0]), uintptr(4*len(b))); err != nil {
		panic(fmt.Sprintf("op: unmapping %d bytes: %v", 4*len(b), err))
	}
}
