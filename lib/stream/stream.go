// Package stream reads and writes what flows between commands: Arrow IPC
// streams, with a proven end.
//
// An end marker is a promise. A [Reader] reports io.EOF only after it has seen
// the marker (or the footer of the file format) and then the end of the input;
// an input cut anywhere else is an [InputError]. A [Writer] sends the marker
// only from [Writer.Close], and never after a failure. Streams add up: what
// follows an end marker is read on as the next stream.
//
// The Arrow library is hidden here. It never sees a byte of input: messages,
// schemas and batches are decoded by this package, which bounds every size
// before it allocates and checks offsets, nulls and UTF-8 before anyone can ask
// for a value, so that no input makes a command crash or run out of memory.
//
// What pyarrow users write is read as what rows are made of: large_utf8,
// utf8_view and dictionary<utf8> as utf8, large_list as list. Types that rows
// never have (int8, timestamps, decimals, maps, ...) pass through as [Other].
// Unions, run-end encoded arrays and list views are refused.
package stream

import (
	"errors"
	"fmt"

	"srar/lib/ipc"
)

// Limits bounds what one input may make a [Reader] allocate. A field that is
// zero takes its value from [DefaultLimits].
type Limits struct {
	Metadata int64 // bytes of the metadata of one message, or of a file's footer
	Body     int64 // bytes of the body of one message, as sent
	Decoded  int64 // bytes that decompression and decoding may add to one batch, or hold in one dictionary
	Rows     int64 // rows of one batch, elements of one nested column
}

// DefaultLimits leaves room for batches far larger than a prompt group (10 M
// tokens with log-probabilities and offsets are 120 MB) and keeps a hostile
// input below what a small machine has.
var DefaultLimits = Limits{Metadata: 64 << 20, Body: 2 << 30, Decoded: 2 << 30, Rows: 1 << 28}

func (l Limits) withDefaults() Limits {
	for _, f := range []struct{ have, def *int64 }{
		{&l.Metadata, &DefaultLimits.Metadata}, {&l.Body, &DefaultLimits.Body},
		{&l.Decoded, &DefaultLimits.Decoded}, {&l.Rows, &DefaultLimits.Rows},
	} {
		if *f.have == 0 {
			*f.have = *f.def
		}
	}
	return l
}

// InputError says that an input ended early or is not valid, and where.
type InputError struct {
	Name   string // of the input
	Batch  int    // record batches read before, over all streams of the input
	Offset int64  // byte of the input at which the message in question starts
	Err    error  // what is wrong
}

// Error returns "stream: NAME: batch B, byte N: what is wrong".
func (e *InputError) Error() string {
	return fmt.Sprintf("stream: %s: batch %d, byte %d: %v", e.Name, e.Batch, e.Offset, e.Err)
}

// Unwrap returns what is wrong.
func (e *InputError) Unwrap() error { return e.Err }

// ExitCode returns 3, the exit status of a command whose input is at fault.
func (e *InputError) ExitCode() int { return 3 }

// ErrEarly is what an [InputError] wraps when the input ended before its end
// marker.
var ErrEarly = ipc.ErrEarly

// ErrClosed is what a write returns when whoever reads downstream has closed
// the pipe: it has enough, and the writer stops without failure. On standard
// output it comes only where the signal SIGPIPE is ignored, else that ends the
// process.
var ErrClosed = errors.New("the reader downstream closed the pipe")
