//go:build unix

package op

import (
	"os"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// newGuarded returns n float32 that end where an unmapped page begins, so that a
// kernel that reads or writes one element too many dies.
func newGuarded(t testing.TB, n int) []float32 {
	page := os.Getpagesize()
	size := (4*n+page-1)/page*page + page
	m, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	require.NoError(t, err)
	require.NoError(t, unix.Mprotect(m[size-page:], unix.PROT_NONE))
	t.Cleanup(func() { require.NoError(t, unix.Munmap(m)) })
	end := (size - page) / 4
	return unsafe.Slice((*float32)(unsafe.Pointer(&m[0])), end)[end-n:]
}
