package gguf

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// file is the header of a GGUF file, and the bytes of its tensors.
type file struct {
	values  map[string]any // a number, bool, string, or a slice of such or of slices
	tensors []info         // in order of their data
	data    []byte
}

// info is what the header says of a tensor.
type info struct {
	name  string
	typ   Type
	shape []int // row-major: the last is the length of a row
	lo    int   // bytes of the data
	hi    int
}

const (
	maxDims      = 4 // as ggml has
	maxNesting   = 8 // of arrays
	minKey       = 8 + 4 + 1
	minInfo      = 8 + 4 + 8 + 4 + 8
	maxAlignment = 1 << 20
)

// parse reads a GGUF file of version 2 or 3, little-endian, that lies in m.
// Nothing it allocates is larger than a small multiple of m. Strings and arrays
// are copied; of the tensors only the header is read.
func parse(m []byte) (*file, error) {
	r := &reader{m: m}
	if magic := r.bytes(4); r.err != nil || string(magic) != "GGUF" {
		return nil, errors.New("does not begin with GGUF")
	}
	switch version := r.uint32(); {
	case r.err != nil:
		return nil, r.err
	case version == 2 || version == 3:
	case bits.ReverseBytes32(version) <= 3 && version != 0:
		return nil, errors.New("it is big-endian; little-endian files are supported")
	default:
		return nil, fmt.Errorf("version %d is not supported; 2 and 3 are", version)
	}
	tensors := r.count(minInfo)
	keys := r.count(minKey)
	if r.err != nil {
		return nil, r.err
	}
	f := &file{values: make(map[string]any, keys)}
	for i := range keys {
		key := r.string()
		v := r.value(r.uint32(), 0)
		if r.err != nil {
			return nil, fmt.Errorf("key %d %q: %w", i, key, r.err)
		}
		if _, dup := f.values[key]; dup {
			return nil, fmt.Errorf("key %q comes twice", key)
		}
		f.values[key] = v
	}
	align := 32
	if v, ok := f.values["general.alignment"]; ok {
		n, ok := v.(uint32)
		if !ok || n == 0 || n > maxAlignment || n&(n-1) != 0 {
			return nil, fmt.Errorf("general.alignment is %v, no power of two", v)
		}
		align = int(n)
	}
	f.tensors = make([]info, tensors)
	seen := make(map[string]bool, tensors)
	for i := range f.tensors {
		t, err := r.info(align)
		if err != nil {
			return nil, fmt.Errorf("tensor %d %q: %w", i, t.name, err)
		}
		if seen[t.name] {
			return nil, fmt.Errorf("tensor %q comes twice", t.name)
		}
		seen[t.name] = true
		f.tensors[i] = t
	}
	if pad := (align - r.at%align) % align; tensors > 0 {
		r.bytes(pad)
		if r.err != nil {
			return nil, r.err
		}
	}
	f.data = m[r.at:]
	return f, f.checkLayout()
}

// checkLayout refuses tensors that share bytes or lie outside the file.
func (f *file) checkLayout() error {
	slices.SortFunc(f.tensors, func(a, b info) int { return cmp.Or(cmp.Compare(a.lo, b.lo), cmp.Compare(a.hi, b.hi)) })
	end := 0
	for _, t := range f.tensors {
		switch {
		case t.lo < end:
			return fmt.Errorf("tensor %q at byte %d overlaps the one before, which ends at %d", t.name, t.lo, end)
		case t.hi > len(f.data):
			return fmt.Errorf("tensor %q ends at byte %d of %d: the file is cut", t.name, t.hi, len(f.data))
		}
		end = t.hi
	}
	return nil
}

// reader takes a file apart from its start and keeps the first error; after one
// it returns zeros.
type reader struct {
	m   []byte
	at  int
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// bytes returns the next n bytes, which are not copied.
func (r *reader) bytes(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n > len(r.m)-r.at {
		r.fail(fmt.Errorf("the file ends at byte %d, %d more are needed", len(r.m), n-(len(r.m)-r.at)))
		return nil
	}
	r.at += n
	return r.m[r.at-n : r.at]
}

func (r *reader) uint32() uint32 {
	b := r.bytes(4)
	if b == nil {
		return 0
	}
	return binary.LittleEndian.Uint32(b)
}

func (r *reader) uint64() uint64 {
	b := r.bytes(8)
	if b == nil {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

// count reads how many things of at least size bytes follow.
func (r *reader) count(size int) int {
	n := r.uint64()
	if r.err == nil && n > uint64((len(r.m)-r.at)/size) {
		r.fail(fmt.Errorf("%d entries cannot follow in the %d bytes that are left", n, len(r.m)-r.at))
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

func (r *reader) string() string { return string(r.bytes(r.count(1))) }

// The types of metadata values.
const (
	kindUint8 = iota
	kindInt8
	kindUint16
	kindInt16
	kindUint32
	kindInt32
	kindFloat32
	kindBool
	kindString
	kindArray
	kindUint64
	kindInt64
	kindFloat64
)

// value reads a value of a type.
func (r *reader) value(kind uint32, depth int) any {
	switch kind {
	case kindString:
		return r.string()
	case kindArray:
		return r.array(depth)
	case kindUint8:
		return one[uint8](r)
	case kindInt8:
		return one[int8](r)
	case kindUint16:
		return one[uint16](r)
	case kindInt16:
		return one[int16](r)
	case kindUint32:
		return one[uint32](r)
	case kindInt32:
		return one[int32](r)
	case kindFloat32:
		return one[float32](r)
	case kindUint64:
		return one[uint64](r)
	case kindInt64:
		return one[int64](r)
	case kindFloat64:
		return one[float64](r)
	case kindBool:
		return one[uint8](r) != 0
	}
	r.fail(fmt.Errorf("values of type %d are not known", kind))
	return nil
}

// array reads a slice.
func (r *reader) array(depth int) any {
	if depth == maxNesting {
		r.fail(errors.New("arrays are nested too deeply"))
		return nil
	}
	kind := r.uint32()
	switch kind {
	case kindString:
		list := make([]string, r.count(8))
		for i := range list {
			list[i] = r.string()
		}
		return list
	case kindArray:
		list := make([]any, r.count(4+8))
		for i := range list {
			list[i] = r.array(depth + 1)
			if r.err != nil {
				break
			}
		}
		return list
	case kindUint8:
		return many[uint8](r)
	case kindInt8:
		return many[int8](r)
	case kindUint16:
		return many[uint16](r)
	case kindInt16:
		return many[int16](r)
	case kindUint32:
		return many[uint32](r)
	case kindInt32:
		return many[int32](r)
	case kindFloat32:
		return many[float32](r)
	case kindUint64:
		return many[uint64](r)
	case kindInt64:
		return many[int64](r)
	case kindFloat64:
		return many[float64](r)
	case kindBool:
		raw := many[uint8](r)
		list := make([]bool, len(raw))
		for i, b := range raw {
			list[i] = b != 0
		}
		return list
	}
	r.fail(fmt.Errorf("arrays of type %d are not known", kind))
	return nil
}

type number interface {
	uint8 | int8 | uint16 | int16 | uint32 | int32 | uint64 | int64 | float32 | float64
}

func one[T number](r *reader) T {
	var x [1]T
	fill(r, x[:])
	return x[0]
}

func many[T number](r *reader) []T {
	var x T
	list := make([]T, r.count(binary.Size(x)))
	fill(r, list)
	return list
}

func fill[T number](r *reader, x []T) {
	if b := r.bytes(binary.Size(x)); r.err == nil {
		_, err := binary.Decode(b, binary.LittleEndian, x)
		r.fail(err)
	}
}

// info reads the header of a tensor.
func (r *reader) info(align int) (info, error) {
	t := info{name: r.string()}
	dims := r.uint32()
	if r.err == nil && (dims == 0 || dims > maxDims) {
		return t, fmt.Errorf("%d dimensions; 1 to %d are supported", dims, maxDims)
	}
	n := 1
	for range dims {
		d := r.uint64()
		if r.err == nil && (d == 0 || d > uint64(math.MaxInt/n)) {
			return t, fmt.Errorf("a dimension is %d", d)
		}
		n *= int(max(d, 1))
		t.shape = append(t.shape, int(d))
	}
	t.typ = Type(r.uint32())
	offset := r.uint64()
	if r.err != nil {
		return t, r.err
	}
	slices.Reverse(t.shape) // ggml names the length of a row first
	if err := t.typ.checkRow(t.shape[len(t.shape)-1]); err != nil {
		return t, err
	}
	f := formats[t.typ]
	blocks := n / f.numbers
	if blocks > math.MaxInt/f.bytes || offset > math.MaxInt-uint64(blocks*f.bytes) {
		return t, fmt.Errorf("shape %v at byte %d is too large", t.shape, offset)
	}
	if offset%uint64(align) != 0 {
		return t, fmt.Errorf("byte %d is no multiple of the alignment %d", offset, align)
	}
	t.lo = int(offset)
	t.hi = t.lo + blocks*f.bytes
	return t, nil
}
