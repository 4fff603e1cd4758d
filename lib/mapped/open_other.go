//go:build !unix

package mapped

import "os"

// Open reads the file at path whole, there being no mapping here; release does
// nothing.
func Open(path string) (m []byte, release func() error, err error) {
	m, err = os.ReadFile(path)
	return m, func() error { return nil }, err
}
