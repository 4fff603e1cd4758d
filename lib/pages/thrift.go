package pages

import (
	"bufio"
	"io"

	"github.com/parquet-go/parquet-go/encoding/thrift"
)

// Bounds of what one Thrift structure may hold. The library allocates whatever
// length a list or text claims to have, before it reads any of it.
const (
	maxThrift   = 64 << 20 // bytes
	maxElements = 1 << 20  // elements of all lists; up to some 700 bytes each once decoded
	maxThrifts  = 32       // structures within one another
)

var errThrift = corrupt("malformed metadata")

// thriftWalker passes over a structure in the compact protocol of Thrift and
// checks its lengths against what is there.
type thriftWalker struct {
	r        *bufio.Reader
	left     int64 // bytes that the structure may have
	buf      []byte
	elements int64
}

// walkThrift reads one structure of at most limit bytes and returns its bytes.
func walkThrift(r *bufio.Reader, limit int64) ([]byte, error) {
	w := &thriftWalker{r: r, left: min(limit, maxThrift)}
	if err := w.structure(0); err != nil {
		return nil, err
	}
	return w.buf, nil
}

// decodeThrift makes a structure of the bytes that walkThrift returned.
func decodeThrift(b []byte, to any) (err error) {
	defer func() {
		if p := recover(); p != nil { // a fault of the library
			err = corrupt("the metadata is damaged: %v", p)
		}
	}()
	if err := thrift.Unmarshal(new(thrift.CompactProtocol), b, to); err != nil {
		return corrupt("%v", err)
	}
	return nil
}

// bytes takes n bytes.
func (w *thriftWalker) bytes(n uint64) error {
	if n > uint64(w.left) {
		return errThrift
	}
	w.left -= int64(n)
	at := len(w.buf)
	w.buf = append(w.buf, make([]byte, n)...)
	_, err := io.ReadFull(w.r, w.buf[at:])
	return err
}

func (w *thriftWalker) byte() (byte, error) {
	if err := w.bytes(1); err != nil {
		return 0, err
	}
	return w.buf[len(w.buf)-1], nil
}

func (w *thriftWalker) varint() (uint64, error) {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		b, err := w.byte()
		if err != nil {
			return 0, err
		}
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v, nil
		}
	}
	return 0, errThrift
}

// Types of the compact protocol.
const (
	thriftTrue = iota + 1
	thriftFalse
	thriftByte
	thriftInt16
	thriftInt32
	thriftInt64
	thriftDouble
	thriftBinary
	thriftList
	thriftSet
	thriftMap
	thriftStruct
	thriftUUID
)

// structure passes over fields up to the stop mark.
func (w *thriftWalker) structure(depth int) error {
	for {
		head, err := w.byte()
		if err != nil || head == 0 {
			return err
		}
		if head>>4 == 0 { // the number of the field is written out
			if _, err := w.varint(); err != nil {
				return err
			}
		}
		if t := head & 15; t != thriftTrue && t != thriftFalse {
			if err := w.value(t, depth); err != nil {
				return err
			}
		}
	}
}

// value passes over a value; truths take a byte, as they do in lists.
func (w *thriftWalker) value(t byte, depth int) error {
	if depth == maxThrifts {
		return errThrift
	}
	switch t {
	case thriftTrue, thriftFalse, thriftByte:
		return w.bytes(1)
	case thriftInt16, thriftInt32, thriftInt64:
		_, err := w.varint()
		return err
	case thriftDouble:
		return w.bytes(8)
	case thriftUUID:
		return w.bytes(16)
	case thriftBinary:
		n, err := w.varint()
		if err != nil {
			return err
		}
		return w.bytes(n)
	case thriftList, thriftSet:
		head, err := w.byte()
		n := uint64(head >> 4)
		if err == nil && n == 15 {
			n, err = w.varint()
		}
		if err != nil {
			return err
		}
		return w.values(n, depth, head&15)
	case thriftMap:
		n, err := w.varint()
		if err != nil || n == 0 {
			return err
		}
		types, err := w.byte()
		if err != nil {
			return err
		}
		return w.values(n, depth, types>>4, types&15)
	case thriftStruct:
		return w.structure(depth + 1)
	}
	return errThrift
}

// values passes over n elements, each a value of every type given.
func (w *thriftWalker) values(n uint64, depth int, types ...byte) error {
	if n > uint64(w.left) || n > uint64(maxElements-w.elements) {
		return errThrift
	}
	w.elements += int64(n)
	for range n {
		for _, t := range types {
			if err := w.value(t, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}
