//go:build unix

package tool

import (
	"os/signal"
	"syscall"
)

// ignoreWriteSignals turns the deaths that a write can cause into errors of
// that write: a closed downstream, a file-size limit.
func ignoreWriteSignals() { signal.Ignore(syscall.SIGPIPE, syscall.SIGXFSZ) }
