package ipc

import (
	"encoding/binary"
	"errors"
)

// A flat is a flatbuffer that is read without trust: every access is checked,
// and one that leaves the buffer gives zero and sets bad. Tables and strings
// may be shared, so left bounds how many of them come out in all.
type flat struct {
	b    []byte
	left int64
	bad  bool
}

var errFlat = errors.New("metadata is corrupt")

func newFlat(b []byte) *flat { return &flat{b: b, left: 4 * int64(len(b))} }

func (f *flat) err() error {
	if f.bad {
		return errFlat
	}
	return nil
}

func (f *flat) bytes(at, n int64) []byte {
	if at < 0 || n < 0 || at > int64(len(f.b)) || n > int64(len(f.b))-at {
		f.bad = true
		return nil
	}
	return f.b[at : at+n]
}

// spend takes n from what may still come out and says whether it was there.
func (f *flat) spend(n int64) bool {
	f.left -= n
	f.bad = f.bad || f.left < 0
	return f.left >= 0
}

func (f *flat) uint(at int64, size int64) uint64 {
	b := f.bytes(at, size)
	switch {
	case b == nil:
		return 0
	case size == 1:
		return uint64(b[0])
	case size == 2:
		return uint64(binary.LittleEndian.Uint16(b))
	case size == 4:
		return uint64(binary.LittleEndian.Uint32(b))
	}
	return binary.LittleEndian.Uint64(b)
}

// Table is a table of a flatbuffer. One that is absent has no slot that is not,
// and one that leaves its message reads as zeros: [Table.Err] tells.
type Table struct {
	f  *flat
	at int64 // -1 where it is absent
}

func (f *flat) root() Table { return Table{f, int64(f.uint(0, 4))} }

// slot returns the position of the value in a slot, 0 if it is absent.
func (t Table) slot(i int64) int64 {
	if t.at < 0 {
		return 0
	}
	vt := t.at - int64(int32(t.f.uint(t.at, 4)))
	if 4+2*i+2 > int64(t.f.uint(vt, 2)) {
		return 0
	}
	if o := int64(t.f.uint(vt+4+2*i, 2)); o != 0 {
		return t.at + o
	}
	return 0
}

// Int returns the signed number of size bytes in slot i, or def if absent.
func (t Table) Int(i, size, def int64) int64 {
	at := t.slot(i)
	if at == 0 {
		return def
	}
	shift := 64 - 8*size
	return int64(t.f.uint(at, size)) << shift >> shift
}

// ref returns the position that the offset in slot i points to, -1 if absent.
func (t Table) ref(i int64) int64 {
	at := t.slot(i)
	if at == 0 {
		return -1
	}
	return at + int64(t.f.uint(at, 4))
}

// Table returns the table that slot i refers to.
func (t Table) Table(i int64) Table { return Table{t.f, t.ref(i)} }

// Present reports whether the table is not absent.
func (t Table) Present() bool { return t.at >= 0 }

// Err says whether anything that was asked of the table's message, up to now, is
// not there though it should be, or came out more often than so small a message
// can mean.
func (t Table) Err() error { return t.f.err() }

// vector returns the n elements of size bytes in slot i, which all lie in the
// buffer, and the position of the first.
func (t Table) vector(i, size int64) (at, n int64) {
	at = t.ref(i)
	if at < 0 {
		return 0, 0
	}
	n = int64(t.f.uint(at, 4))
	if t.f.bytes(at+4, n*size) == nil {
		return 0, 0
	}
	return at + 4, n
}

// Tables returns the tables of the vector in slot i.
func (t Table) Tables(i int64) []Table {
	at, n := t.vector(i, 4)
	if !t.f.spend(n) {
		return nil
	}
	out := make([]Table, n)
	for k := range out {
		p := at + 4*int64(k)
		out[k] = Table{t.f, p + int64(t.f.uint(p, 4))}
	}
	return out
}

// Text returns the string in slot i, "" if absent.
func (t Table) Text(i int64) string {
	at, n := t.vector(i, 1)
	if !t.f.spend(n) {
		return ""
	}
	return string(t.f.bytes(at, n))
}
