package ckpt

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"unicode/utf8"

	"srar/lib/mapped"
)

// maxHeader bounds the JSON header of a safetensors file, as the format does.
const maxHeader = 100_000_000

// DType is the element type of a stored tensor.
type DType uint8

// Element types of the safetensors format.
const (
	F32 DType = iota
	BF16
	F16
	F64
	I64
	I32
	I16
	I8
	U64
	U32
	U16
	U8
	Bool
)

var dtypes = [...]struct {
	name string
	size int
}{
	F32: {"F32", 4}, BF16: {"BF16", 2}, F16: {"F16", 2}, F64: {"F64", 8},
	I64: {"I64", 8}, I32: {"I32", 4}, I16: {"I16", 2}, I8: {"I8", 1},
	U64: {"U64", 8}, U32: {"U32", 4}, U16: {"U16", 2}, U8: {"U8", 1}, Bool: {"BOOL", 1},
}

// torchNames are the names that config.json has for the types of weights.
var torchNames = map[DType]string{F32: "float32", BF16: "bfloat16", F16: "float16"}

// String returns the type's name in a safetensors header.
func (d DType) String() string { return dtypes[d].name }

// Size returns the bytes of an element.
func (d DType) Size() int { return dtypes[d].size }

// float reports whether weights may be of this type.
func (d DType) float() bool { return d == F32 || d == BF16 || d == F16 }

// File is an open safetensors file, mapped into memory.
type File struct {
	path    string
	header  []byte // the file up to its data: length, JSON, padding
	data    []byte
	names   []string // sorted
	tensors map[string]entry
	release func() error
}

// entry is what a header says of one tensor; lo and hi are offsets in the data.
type entry struct {
	dtype  DType
	shape  []int
	lo, hi int
}

// OpenFile maps the safetensors file at path and checks its header: at most
// 100 MB, known types, distinct names, lengths that fit shape and type, and
// data without hole, overlap or remainder.
func OpenFile(path string) (*File, error) {
	m, release, err := mapped.Open(path)
	if err != nil {
		return nil, err
	}
	var f *File
	if e := mapped.Guard(func() { f, err = parse(m) }); e != nil {
		err = e
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", filepath.Base(path), err), release())
	}
	f.path, f.release = path, release
	return f, nil
}

// parse reads a whole safetensors file that lies in memory.
func parse(m []byte) (*File, error) {
	if len(m) < 8 {
		return nil, fmt.Errorf("%d bytes are no safetensors file", len(m))
	}
	n := binary.LittleEndian.Uint64(m)
	if n > maxHeader {
		return nil, fmt.Errorf("header of %d bytes; at most %d are allowed", n, maxHeader)
	}
	if n > uint64(len(m)-8) {
		return nil, fmt.Errorf("file ends in its header: %d bytes of %d", len(m)-8, n)
	}
	end := 8 + int(n)
	f := &File{header: bytes.Clone(m[:end]), data: m[end:]}
	var err error
	if f.tensors, err = parseHeader(f.header[8:]); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	for name := range f.tensors {
		f.names = append(f.names, name)
	}
	slices.Sort(f.names)
	return f, f.checkLayout()
}

// checkLayout demands that the tensors fill the data exactly.
func (f *File) checkLayout() error {
	order := slices.SortedFunc(slices.Values(f.names), func(a, b string) int {
		x, y := f.tensors[a], f.tensors[b]
		return cmp.Or(cmp.Compare(x.lo, y.lo), cmp.Compare(x.hi, y.hi), cmp.Compare(a, b))
	})
	at := 0
	for _, n := range order {
		t := f.tensors[n]
		switch {
		case t.lo < at:
			return fmt.Errorf("tensor %q at byte %d overlaps the one before, which ends at %d", n, t.lo, at)
		case t.lo > at:
			return fmt.Errorf("tensor %q at byte %d leaves a hole after byte %d", n, t.lo, at)
		case t.hi > len(f.data):
			return fmt.Errorf("tensor %q ends at byte %d of %d: the file is cut", n, t.hi, len(f.data))
		}
		at = t.hi
	}
	if at != len(f.data) {
		return fmt.Errorf("%d bytes after the last tensor", len(f.data)-at)
	}
	return nil
}

// parseHeader reads the JSON by hand, since encoding/json keeps the last of
// two equal names and matches names in any case.
func parseHeader(b []byte) (map[string]entry, error) {
	if len(b) == 0 || b[0] != '{' {
		return nil, errors.New("does not begin with {")
	}
	tensors := map[string]entry{}
	err := walkObject(b, func(d *json.Decoder, name string) error {
		if name == "__metadata__" {
			var m map[string]string
			return d.Decode(&m)
		}
		e, err := parseEntry(d)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		tensors[name] = e
		return nil
	})
	return tensors, err
}

func parseEntry(d *json.Decoder) (entry, error) {
	e := entry{lo: -1}
	var dtype string
	err := object(d, func(key string) error {
		switch key {
		case "dtype":
			return d.Decode(&dtype)
		case "shape":
			var err error
			e.shape, err = naturals(d)
			return err
		case "data_offsets":
			o, err := naturals(d)
			if err != nil {
				return err
			}
			if len(o) != 2 || o[0] > o[1] {
				return fmt.Errorf("data_offsets are %v", o)
			}
			e.lo, e.hi = o[0], o[1]
			return nil
		}
		return fmt.Errorf("unknown key %q", key)
	})
	if err != nil {
		return e, err
	}
	i := slices.IndexFunc(dtypes[:], func(t struct {
		name string
		size int
	}) bool {
		return t.name == dtype
	})
	if i < 0 {
		return e, fmt.Errorf("type %q is not supported", dtype)
	}
	if e.shape == nil || e.lo < 0 {
		return e, errors.New("shape or data_offsets are missing")
	}
	e.dtype = DType(i)
	size := e.dtype.Size()
	for _, n := range e.shape {
		if n != 0 && size > math.MaxInt/n {
			return e, fmt.Errorf("shape %v is too large", e.shape)
		}
		size *= n
	}
	if size != e.hi-e.lo {
		return e, fmt.Errorf("%d bytes of data, but %s of shape %v has %d", e.hi-e.lo, e.dtype, e.shape, size)
	}
	return e, nil
}

// naturals reads an array of non-negative integers.
func naturals(d *json.Decoder) ([]int, error) {
	var raw []json.Number
	if err := d.Decode(&raw); err != nil {
		return nil, err
	}
	out := make([]int, len(raw))
	for i, r := range raw {
		n, err := strconv.ParseUint(string(r), 10, 63)
		if err != nil || n > math.MaxInt {
			return nil, fmt.Errorf("%q is no size", r)
		}
		out[i] = int(n)
	}
	return out, nil
}

// walkObject calls visit for each key of the JSON object that is all of b.
func walkObject(b []byte, visit func(d *json.Decoder, key string) error) error {
	if !utf8.Valid(b) {
		return errors.New("not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := object(d, func(key string) error { return visit(d, key) }); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the closing }")
	}
	return nil
}

// object reads one JSON object from d; visit reads the value of each key.
// A key that comes twice is an error.
func object(d *json.Decoder, visit func(key string) error) error {
	t, err := d.Token()
	if err != nil {
		return jsonError(err)
	}
	if t != json.Delim('{') {
		return fmt.Errorf("%v where an object should begin", t)
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return jsonError(err)
		}
		key := t.(string) // the decoder lets only strings be keys
		if seen[key] {
			return fmt.Errorf("%q comes twice", key)
		}
		seen[key] = true
		if err := visit(key); err != nil {
			return jsonError(err)
		}
	}
	_, err = d.Token()
	return jsonError(err)
}

// jsonError says what io.EOF means inside an object.
func jsonError(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Tensor returns a tensor of the file; it is valid until Close.
func (f *File) Tensor(name string) (Tensor, error) {
	e, ok := f.tensors[name]
	if !ok {
		return Tensor{}, fmt.Errorf("%s: no tensor %q", filepath.Base(f.path), name)
	}
	return Tensor{Name: name, DType: e.dtype, Shape: slices.Clone(e.shape), raw: f.data[e.lo:e.hi:e.hi]}, nil
}

// Close gives the mapping back; tensors must not be used after it.
func (f *File) Close() error {
	f.data = nil
	return f.release()
}
