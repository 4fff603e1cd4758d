// Package mapped reads files through memory: mapped where the platform can, read
// whole elsewhere.
//
// A mapping is a view of the file. A file that is cut while it is mapped raises
// a memory fault at whoever reads behind its new end, so every access to the
// bytes of [Open] stands inside [Guard].
package mapped

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// Guard runs f, which reads a mapping, and turns the memory fault of a file
// that was cut meanwhile into an error that wraps [io.ErrUnexpectedEOF].
func Guard(f func()) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch r := recover().(type) {
		case nil:
		case interface {
			runtime.Error
			Addr() uintptr
		}:
			err = fmt.Errorf("the file was cut or failed while it was read: %w", io.ErrUnexpectedEOF)
		default:
			panic(r)
		}
	}()
	f()
	return nil
}
