// Package ipc reads the messages of Arrow IPC streams and files, and the buffers
// in them (Columnar.rst, Message.fbs and File.fbs of the Arrow format).
//
// It knows bytes, not columns: framing and the proven end, flatbuffers read
// without trust, compression. Every size is bounded before anything is allocated,
// and what an input only declares costs no memory.
package ipc

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrEarly is what an error wraps when the input ended before its end marker.
var ErrEarly = errors.New("input ended early")

// ReadError is a failure to read. All other errors are the input's fault.
type ReadError struct{ Err error }

// Error returns what failed.
func (e *ReadError) Error() string { return e.Err.Error() }

// Unwrap returns what failed.
func (e *ReadError) Unwrap() error { return e.Err }

// Head is the type of a message's header.
type Head int64

// Heads of the messages that there are in streams.
const (
	Schema          Head = 1
	DictionaryBatch Head = 2
	RecordBatch     Head = 3
)

// Message is one message.
type Message struct {
	Head  Head
	Table Table // the header
	Body  []byte
}

// block is where a message lies in a file, as its footer lists it.
type block struct{ offset, meta, body int64 }

// Reader reads the messages of streams and files, one after another. It reads
// ahead no further than its buffer.
type Reader struct {
	r                    *bufio.Reader
	off                  int64
	maxMetadata, maxBody int64

	file                  bool // not a stream
	start                 int64
	dictionaries, batches []block // of the file
}

// NewReader returns a Reader of r that takes metadata, and bodies, of so many
// bytes each.
func NewReader(r io.Reader, metadata, body int64) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 64<<10), maxMetadata: metadata, maxBody: body}
}

// Offset returns the byte of the input at which the next message starts.
func (r *Reader) Offset() int64 { return r.off }

const magic = "ARROW1"

// marker starts every message; the length 0 after it is the end marker.
const marker = 0xffffffff

// Begin passes over the start of a stream, which is nothing, or of a file.
func (r *Reader) Begin() error {
	b, _ := r.r.Peek(len(magic))
	r.file = len(b) > 0 && bytes.HasPrefix([]byte(magic), b)
	if !r.file {
		return nil
	}
	r.start, r.dictionaries, r.batches = r.off, nil, nil
	_, err := r.read(8)
	return err
}

// More returns nil if something follows the end of a stream or file, and io.EOF
// if that was the end of the input.
func (r *Reader) More() error {
	_, err := r.r.Peek(1)
	if err != nil && err != io.EOF {
		return &ReadError{err}
	}
	return err
}

// Next returns the next message, nil at the proven end of a stream or file: its
// end marker, or its footer, which must agree with what was read.
func (r *Reader) Next() (*Message, error) {
	at := r.off
	m, err := r.message()
	if m == nil && err == nil && r.file {
		err = r.footer()
	}
	if m != nil && r.file {
		b := block{at, r.off - at - int64(len(m.Body)), int64(len(m.Body))}
		switch m.Head {
		case DictionaryBatch:
			r.dictionaries = append(r.dictionaries, b)
		case RecordBatch:
			r.batches = append(r.batches, b)
		}
	}
	return m, err
}

// message reads a message, nil where the end marker stands, or where the footer
// of a file follows without one.
func (r *Reader) message() (*Message, error) {
	if r.file {
		if b, err := r.r.Peek(4); err == nil && binary.LittleEndian.Uint32(b) != marker {
			return nil, nil
		}
	}
	h, err := r.read(8)
	if len(h) >= 4 && binary.LittleEndian.Uint32(h) != marker {
		return nil, fmt.Errorf("not an Arrow stream: a message starts with %q", h[:4])
	}
	if err != nil {
		return nil, err
	}
	n := int64(int32(binary.LittleEndian.Uint32(h[4:])))
	if n == 0 {
		return nil, nil
	}
	if n < 8 || n > r.maxMetadata {
		return nil, fmt.Errorf("metadata of %d bytes, limit is %d", n, r.maxMetadata)
	}
	meta, err := r.read(n)
	if err != nil {
		return nil, err
	}
	f := newFlat(meta)
	t := f.root()
	version, size := t.Int(0, 2, 0), t.Int(3, 8, 0)
	m := &Message{Head: Head(t.Int(1, 1, 0)), Table: t.Table(2)}
	switch {
	case f.bad || !m.Table.Present():
		return nil, errFlat
	case version < 3 || version > 4:
		return nil, fmt.Errorf("metadata version %d, want 4 or 5", version+1)
	case size < 0 || size > r.maxBody:
		return nil, fmt.Errorf("body of %d bytes, limit is %d", size, r.maxBody)
	}
	if m.Body, err = r.read(size); err != nil {
		return nil, err
	}
	return m, nil
}

// read returns the next n bytes. Memory grows with what arrives, so that a
// declared length costs nothing by itself.
func (r *Reader) read(n int64) ([]byte, error) {
	b, err := readGrowing(r.r, n)
	r.off += int64(len(b))
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return b, fmt.Errorf("%w: %d bytes of %d", ErrEarly, len(b), n)
	}
	if err != nil {
		return b, &ReadError{err}
	}
	return b, nil
}

// readGrowing reads n bytes, or as many as there are with an error as
// io.ReadFull gives it.
func readGrowing(r io.Reader, n int64) ([]byte, error) {
	const first = 16 << 20
	b := make([]byte, min(n, first))
	k, err := io.ReadFull(r, b)
	for err == nil && int64(len(b)) < n {
		b = append(make([]byte, 0, min(n, 2*int64(len(b)))), b...)
		var m int
		m, err = io.ReadFull(r, b[k:cap(b)])
		k += m
		b = b[:cap(b)]
	}
	return b[:k], err
}

// footer reads the end of a file: the footer, its length and the magic. It must
// list exactly the messages that went before.
func (r *Reader) footer() error {
	var b []byte
	for {
		part, err := r.r.ReadSlice(magic[len(magic)-1])
		b = append(b, part...)
		r.off += int64(len(part))
		k := len(b) - len(magic) - 4
		if k >= 0 && bytes.HasSuffix(b, []byte(magic)) && int64(binary.LittleEndian.Uint32(b[k:])) == int64(k) {
			b = b[:k]
			break
		}
		if int64(len(b)) > r.maxMetadata {
			return fmt.Errorf("footer passes %d bytes", r.maxMetadata)
		}
		if err == io.EOF {
			return fmt.Errorf("%w: no end of the file's footer", ErrEarly)
		}
		if err != nil && err != bufio.ErrBufferFull {
			return &ReadError{err}
		}
	}
	f := newFlat(b)
	t := f.root()
	for slot, want := range map[int64][]block{2: r.dictionaries, 3: r.batches} {
		at, n := t.vector(slot, 24)
		if n != int64(len(want)) {
			return errors.New("the footer does not list the batches that were read")
		}
		for i, w := range want {
			p := at + 24*int64(i)
			got := block{int64(f.uint(p, 8)) + r.start, int64(int32(f.uint(p+8, 4))), int64(f.uint(p+16, 8))}
			if got != w {
				return fmt.Errorf("the footer has batch %d at byte %d, read at byte %d", i, got.offset, w.offset)
			}
		}
	}
	return f.err()
}
