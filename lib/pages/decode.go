package pages

import (
	"encoding/binary"
	"io"
	"math"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"
)

// decoder yields the values of a page that are not null.
type decoder interface {
	next() (parquet.Value, error)
}

// The encodings of Parquet (parquet-format, Encodings.md). Values are decoded one
// by one: no run and no length allocates anything. What ends early is
// io.ErrUnexpectedEOF.

// bitsAt returns width bits, 64 at most, of b from bit at on, the lowest first.
// Bits behind the end are 0.
func bitsAt(b []byte, at, width int) uint64 {
	var window [9]byte
	copy(window[:], b[min(at/8, len(b)):])
	v := binary.LittleEndian.Uint64(window[:])>>(at%8) | uint64(window[8])<<(64-at%8)
	if width < 64 {
		v &= 1<<width - 1
	}
	return v
}

// runs decodes RLE and bit-packed runs of values of at most 32 bits.
type runs struct {
	b      []byte
	width  int
	left   uint64 // values of the run in hand
	packed []byte // of a bit-packed run, from bit at on
	at     int
	value  uint32 // of a run of equal values
}

func (r *runs) next() (uint32, error) {
	for r.left == 0 {
		head, n := binary.Uvarint(r.b)
		if n <= 0 {
			return 0, io.ErrUnexpectedEOF
		}
		r.b = r.b[n:]
		size := (r.width + 7) / 8
		if r.left = head >> 1; head&1 != 0 {
			// Groups of eight. The last bytes of the last one may be left out.
			if r.left > uint64(len(r.b))+8 && r.width > 0 {
				return 0, io.ErrUnexpectedEOF
			}
			size = int(min(r.left, 1<<31)) * r.width
			r.left *= 8
			size = min(size, len(r.b))
			r.packed, r.at = r.b[:size], 0
		} else {
			if size > len(r.b) {
				return 0, io.ErrUnexpectedEOF
			}
			r.packed, r.value = nil, uint32(bitsAt(r.b[:size], 0, r.width))
		}
		r.b = r.b[size:]
	}
	r.left--
	if r.packed == nil {
		return r.value, nil
	}
	if r.at+r.width > 8*len(r.packed) {
		return 0, io.ErrUnexpectedEOF
	}
	v := uint32(bitsAt(r.packed, r.at, r.width))
	r.at += r.width
	return v, nil
}

// level returns the next level, 0 where there are none.
func (r *runs) level(most int) (int, error) {
	if most == 0 {
		return 0, nil
	}
	v, err := r.next()
	if err == nil && v > uint32(most) {
		err = corrupt("a level of %d where %d is the last", v, most)
	}
	return int(v), err
}

// plainDecoder decodes PLAIN.
type plainDecoder struct {
	leaf leaf
	b    []byte
	bit  int // of the first byte, in booleans
}

func (p *plainDecoder) next() (parquet.Value, error) {
	switch p.leaf.kind {
	case format.Boolean:
		if len(p.b) == 0 {
			return parquet.Value{}, io.ErrUnexpectedEOF
		}
		v := p.b[0]>>p.bit&1 == 1
		if p.bit++; p.bit == 8 {
			p.b, p.bit = p.b[1:], 0
		}
		return parquet.BooleanValue(v), nil
	case format.ByteArray:
		own, rest, err := sized(p.b)
		p.b = rest
		return parquet.ByteArrayValue(own), err
	}
	n := p.leaf.size
	if n > len(p.b) {
		return parquet.Value{}, io.ErrUnexpectedEOF
	}
	own := p.b[:n:n]
	p.b = p.b[n:]
	return fixedValue(p.leaf.kind, own), nil
}

// fixedValue makes a value of the bytes that PLAIN has for it.
func fixedValue(k format.Type, b []byte) parquet.Value {
	le := binary.LittleEndian
	switch k {
	case format.Int32:
		return parquet.Int32Value(int32(le.Uint32(b)))
	case format.Int64:
		return parquet.Int64Value(int64(le.Uint64(b)))
	case format.Int96:
		return parquet.Int96Value(deprecated.Int96{le.Uint32(b), le.Uint32(b[4:]), le.Uint32(b[8:])})
	case format.Float:
		return parquet.FloatValue(math.Float32frombits(le.Uint32(b)))
	case format.Double:
		return parquet.DoubleValue(math.Float64frombits(le.Uint64(b)))
	}
	return parquet.FixedLenByteArrayValue(b)
}

// dictDecoder decodes RLE_DICTIONARY.
type dictDecoder struct {
	dict []parquet.Value
	runs runs
}

func (d *dictDecoder) next() (parquet.Value, error) {
	i, err := d.runs.next()
	if err != nil {
		return parquet.Value{}, err
	}
	if uint64(i) >= uint64(len(d.dict)) {
		return parquet.Value{}, corrupt("value %d of a dictionary of %d", i, len(d.dict))
	}
	return d.dict[i], nil
}

// boolDecoder decodes RLE.
type boolDecoder struct{ runs runs }

func (d *boolDecoder) next() (parquet.Value, error) {
	v, err := d.runs.next()
	return parquet.BooleanValue(v == 1), err
}

// deltas decodes DELTA_BINARY_PACKED. Sums wrap around.
type deltas struct {
	b      []byte
	part   int    // values of a miniblock
	parts  int    // miniblocks of a block
	left   uint64 // values
	begun  bool   // the first value, which is last, was returned
	last   int64
	least  int64  // of the block in hand
	widths []byte // of its miniblocks to come
	packed []byte // miniblock in hand, from value at on
	width  int
	at     int
}

// newDeltas begins to decode, and returns what follows the values.
func newDeltas(b []byte) (d deltas, rest []byte, err error) {
	block, n := binary.Uvarint(b)
	if n <= 0 {
		return d, nil, io.ErrUnexpectedEOF
	}
	parts, m := binary.Uvarint(b[n:])
	if m <= 0 {
		return d, nil, io.ErrUnexpectedEOF
	}
	n += m
	if d.left, m = binary.Uvarint(b[n:]); m <= 0 {
		return d, nil, io.ErrUnexpectedEOF
	}
	n += m
	if d.last, m = binary.Varint(b[n:]); m <= 0 {
		return d, nil, io.ErrUnexpectedEOF
	}
	d.b = b[n+m:]
	if parts == 0 || block == 0 || block > 1<<20 || block%parts != 0 || block/parts%8 != 0 {
		return d, nil, corrupt("blocks of %d values in %d parts", block, parts)
	}
	d.part, d.parts = int(block/parts), int(parts)
	walk := d
	for values := uint64(d.part); d.left > 1 && values-uint64(d.part) < d.left-1; values += uint64(d.part) {
		if err := walk.miniblock(); err != nil {
			return d, nil, err
		}
	}
	return d, walk.b, nil
}

// miniblock takes the next miniblock, at the head of a block that too.
func (d *deltas) miniblock() error {
	if len(d.widths) == 0 {
		least, n := binary.Varint(d.b)
		if n <= 0 || d.parts > len(d.b)-n {
			return io.ErrUnexpectedEOF
		}
		d.least, d.widths, d.b = least, d.b[n:n+d.parts], d.b[n+d.parts:]
	}
	d.width, d.widths = int(d.widths[0]), d.widths[1:]
	n := d.part / 8 * d.width
	if d.width > 64 {
		return corrupt("values of %d bits", d.width)
	}
	if n > len(d.b) {
		return io.ErrUnexpectedEOF
	}
	d.packed, d.at, d.b = d.b[:n], 0, d.b[n:]
	return nil
}

func (d *deltas) next() (int64, error) {
	if d.left == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	d.left--
	if !d.begun {
		d.begun, d.at = true, d.part
		return d.last, nil
	}
	if d.at == d.part {
		if err := d.miniblock(); err != nil {
			return 0, err
		}
	}
	d.last += d.least + int64(bitsAt(d.packed, d.at*d.width, d.width))
	d.at++
	return d.last, nil
}

// length is next for lengths, which have 32 bits and are no more than most.
func (d *deltas) length(most int) (int, error) {
	v, err := d.next()
	if n := int(int32(v)); err == nil && (n < 0 || n > most) {
		err = corrupt("a value of %d bytes where %d are there", n, most)
	}
	return int(int32(v)), err
}

// intDecoder decodes integers in DELTA_BINARY_PACKED.
type intDecoder struct {
	kind   format.Type
	deltas deltas
}

func (d *intDecoder) next() (parquet.Value, error) {
	v, err := d.deltas.next()
	if d.kind == format.Int32 {
		return parquet.Int32Value(int32(v)), err
	}
	return parquet.Int64Value(v), err
}

// textDecoder decodes DELTA_LENGTH_BYTE_ARRAY, and DELTA_BYTE_ARRAY, in which
// every value begins with a prefix of the one before.
type textDecoder struct {
	kind           format.Type
	prefix, suffix deltas // prefix.part is 0 where there are none
	b              []byte
	last           []byte
}

func (d *textDecoder) next() (parquet.Value, error) {
	shared := 0
	var err error
	if d.prefix.part > 0 {
		if shared, err = d.prefix.length(len(d.last)); err != nil {
			return parquet.Value{}, err
		}
	}
	n, err := d.suffix.length(len(d.b))
	if err != nil {
		return parquet.Value{}, err
	}
	own := d.b[:n:n]
	d.b = d.b[n:]
	if shared > 0 {
		own = append(d.last[:shared:shared], own...)
	}
	d.last = own
	if d.kind == format.FixedLenByteArray {
		return parquet.FixedLenByteArrayValue(own), nil
	}
	return parquet.ByteArrayValue(own), nil
}

// splitDecoder decodes BYTE_STREAM_SPLIT: all first bytes, all second ones, ...
type splitDecoder struct {
	kind format.Type
	b    []byte
	n, i int // values, next one
}

func newSplit(l leaf, b []byte) (*splitDecoder, error) {
	if l.size == 0 || len(b)%l.size != 0 {
		return nil, corrupt("%d bytes of values of %d", len(b), l.size)
	}
	return &splitDecoder{kind: l.kind, b: b, n: len(b) / l.size}, nil
}

func (s *splitDecoder) next() (parquet.Value, error) {
	if s.i == s.n {
		return parquet.Value{}, io.ErrUnexpectedEOF
	}
	own := make([]byte, 0, len(s.b)/s.n)
	for at := s.i; at < len(s.b); at += s.n {
		own = append(own, s.b[at])
	}
	s.i++
	return fixedValue(s.kind, own), nil
}
