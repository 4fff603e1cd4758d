//go:build unix

package mapped

import (
	"fmt"
	"math"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Open maps the regular file at path for reading; release gives the mapping
// back, and m must not be used after it.
func Open(path string) (m []byte, release func() error, err error) {
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
