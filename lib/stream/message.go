package stream

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Header types of a message (Message.fbs of the Arrow format).
const (
	headSchema      = 1
	headDictionary  = 2
	headRecordBatch = 3
)

// message is one message of a stream.
type message struct {
	head  int64 // type of header
	table table // header
	body  []byte
	block block
}

// block is where a message lies in a file, as its footer lists it.
type block struct{ offset, meta, body int64 }

// source reads messages and knows where it is.
type source struct {
	r   *bufio.Reader
	off int64
	lim Limits
}

var magic = []byte("ARROW1")

// marker starts every message; the length 0 after it is the end marker.
const marker = 0xffffffff

// read returns the next n bytes. Memory grows with what arrives, so that a
// declared length costs nothing by itself.
func (s *source) read(n int64) ([]byte, error) {
	b, err := readGrowing(s.r, n)
	s.off += int64(len(b))
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return b, fmt.Errorf("%w: %d bytes of %d", ErrEarly, len(b), n)
	}
	if err != nil {
		return b, &readError{err}
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

// next returns the next message, nil where the end marker stands, or where a
// footer follows without one (inFile).
func (s *source) next(inFile bool) (*message, error) {
	m := &message{block: block{offset: s.off}}
	if inFile {
		if b, err := s.r.Peek(4); err == nil && binary.LittleEndian.Uint32(b) != marker {
			return nil, nil
		}
	}
	h, err := s.read(8)
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
	if n < 8 || n > s.lim.Metadata {
		return nil, fmt.Errorf("metadata of %d bytes, limit is %d", n, s.lim.Metadata)
	}
	meta, err := s.read(n)
	if err != nil {
		return nil, err
	}
	f := newFlat(meta)
	t := f.root()
	version, size := t.int(0, 2, 0), t.int(3, 8, 0)
	m.head, m.table = t.int(1, 1, 0), t.table(2)
	switch {
	case f.bad || !m.table.present():
		return nil, errFlat
	case version < 3 || version > 4:
		return nil, fmt.Errorf("metadata version %d, want 4 or 5", version+1)
	case size < 0 || size > s.lim.Body:
		return nil, fmt.Errorf("body of %d bytes, limit is %d", size, s.lim.Body)
	}
	m.block.meta, m.block.body = n+8, size
	m.body, err = s.read(size)
	return m, err
}

// footer reads the end of a file that starts at byte start: the footer, its
// length and the magic. It must list exactly the messages that went before.
func (s *source) footer(start int64, dicts, batches []block) error {
	var b []byte
	for {
		part, err := s.r.ReadSlice(magic[len(magic)-1])
		b = append(b, part...)
		s.off += int64(len(part))
		k := len(b) - len(magic) - 4
		if k >= 0 && bytes.HasSuffix(b, magic) && int64(binary.LittleEndian.Uint32(b[k:])) == int64(k) {
			b = b[:k]
			break
		}
		if int64(len(b)) > s.lim.Metadata {
			return fmt.Errorf("footer passes %d bytes", s.lim.Metadata)
		}
		if err == io.EOF {
			return fmt.Errorf("%w: no end of the file's footer", ErrEarly)
		}
		if err != nil && err != bufio.ErrBufferFull {
			return &readError{err}
		}
	}
	f := newFlat(b)
	t := f.root()
	for slot, want := range map[int64][]block{2: dicts, 3: batches} {
		at, n := t.vector(slot, 24)
		if n != int64(len(want)) {
			return errors.New("the footer does not list the batches that were read")
		}
		for i, w := range want {
			p := at + 24*int64(i)
			got := block{int64(f.uint(p, 8)) + start, int64(int32(f.uint(p+8, 4))), int64(f.uint(p+16, 8))}
			if got != w {
				return fmt.Errorf("the footer has batch %d at byte %d, read at byte %d", i, got.offset, w.offset)
			}
		}
	}
	return f.err()
}
