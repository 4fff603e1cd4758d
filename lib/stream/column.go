package stream

import (
	"fmt"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// Column is the values of one column of a batch, immutable and safe for
// concurrent use. Its memory is collected with it. Asking for values of another
// kind than the column's is a programming error and panics.
type Column struct {
	typ     Type
	n       int
	nulls   int
	valid   []byte    // bit i, from the low end, is set where row i is not null; nil: no nulls
	data    []byte    // bits of a Bool, values of fixed width, or the bytes of all texts
	offsets []int32   // n+1, dividing data or the only kid: the first is 0, the last its length
	kids    []*Column // elements of a list, members of a struct
}

// layout is how the values of a type lie in memory.
type layout uint8

const (
	nothing   layout = iota // the Arrow type null
	bitmap                  // one bit a row
	fixed                   // width bytes a row
	texts                   // offsets into data
	lists                   // offsets into one kid
	fixedList               // width elements of one kid a row
	members                 // kids as long as the column
)

// layout returns the layout of t and its width: bytes or elements of a row.
func (t Type) layout() (l layout, width int) {
	switch t.Kind {
	case Bool:
		return bitmap, 0
	case Int32, Float32:
		return fixed, 4
	case Int64, Uint64, Float64:
		return fixed, 8
	case Utf8:
		return texts, 0
	case List:
		return lists, 0
	case Struct:
		return members, 0
	}
	switch dt := t.other.(type) {
	case *arrow.NullType:
		return nothing, 0
	case *arrow.BinaryType:
		return texts, 0
	case *arrow.MapType:
		return lists, 0
	case *arrow.FixedSizeListType:
		return fixedList, int(dt.Len())
	case arrow.FixedWidthDataType:
		return fixed, dt.Bytes()
	}
	panic(fmt.Sprintf("stream: no layout for type %v", t))
}

// Type returns the type of the values.
func (c *Column) Type() Type { return c.typ }

// Len returns the number of rows.
func (c *Column) Len() int { return c.n }

// HasNulls reports whether any row is null.
func (c *Column) HasNulls() bool { return c.nulls > 0 }

// Null reports whether row i is null.
func (c *Column) Null(i int) bool {
	if c.valid == nil {
		return c.nulls > 0 // the type null has no bitmap
	}
	return !bit(c.valid, i)
}

func bit(b []byte, i int) bool { return b[i>>3]>>(i&7)&1 != 0 }

// Bool returns row i of a Bool column; a null is unspecified.
func (c *Column) Bool(i int) bool {
	c.want(Bool)
	return bit(c.data, i)
}

// Int32s returns the rows of an Int32 column, as those below do for theirs. The
// slice aliases the column, must not be changed, and has an unspecified value
// where a row is null.
func (c *Column) Int32s() []int32 { return values[int32](c, Int32) }

// Int64s returns the rows of an Int64 column.
func (c *Column) Int64s() []int64 { return values[int64](c, Int64) }

// Uint64s returns the rows of a Uint64 column.
func (c *Column) Uint64s() []uint64 { return values[uint64](c, Uint64) }

// Float32s returns the rows of a Float32 column.
func (c *Column) Float32s() []float32 { return values[float32](c, Float32) }

// Float64s returns the rows of a Float64 column.
func (c *Column) Float64s() []float64 { return values[float64](c, Float64) }

// Text returns row i of a Utf8 column, "" for a null. It aliases the column.
func (c *Column) Text(i int) string {
	c.want(Utf8)
	if c.Null(i) {
		return ""
	}
	b := c.data[c.offsets[i]:c.offsets[i+1]]
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// Bounds returns the rows [lo, hi) of [Column.Elem] that make up list i.
func (c *Column) Bounds(i int) (lo, hi int) {
	c.want(List)
	return int(c.offsets[i]), int(c.offsets[i+1])
}

// Elem returns the elements of all lists of a List column, one after another.
func (c *Column) Elem() *Column {
	c.want(List)
	return c.kids[0]
}

// Field returns the member of that name of a Struct column, nil if there is none.
// Where the struct is null, the member's value is unspecified.
func (c *Column) Field(name string) *Column {
	c.want(Struct)
	for i, f := range c.typ.Fields {
		if f.Name == name {
			return c.kids[i]
		}
	}
	return nil
}

func (c *Column) want(k Kind) {
	if c.typ.Kind != k {
		panic(fmt.Sprintf("stream: column is %v, not %v", c.typ, Type{Kind: k}))
	}
}

type number interface {
	~int32 | ~int64 | ~uint64 | ~float32 | ~float64
}

func values[T number](c *Column, k Kind) []T {
	c.want(k)
	return cast[T](c.data)[:c.n:c.n]
}

// cast views bytes as numbers. b must be aligned for T; the machine is taken to
// be little-endian, as the data is.
func cast[T number](b []byte) []T {
	var zero T
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/int(unsafe.Sizeof(zero)))
}

// raw views numbers as bytes.
func raw[T number](v []T) []byte {
	var zero T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*int(unsafe.Sizeof(zero)))
}

// array returns the column in the library's form, sharing its memory, as of type
// t, which is equal but may have other element names and nullability.
func (c *Column) array(t Type) arrow.ArrayData {
	buffer := func(b []byte) *memory.Buffer {
		if b == nil {
			return nil
		}
		return memory.NewBufferBytes(b)
	}
	kids, parts := make([]arrow.ArrayData, len(c.kids)), t.parts()
	for i, k := range c.kids {
		kids[i] = k.array(parts[i].Type)
	}
	bufs := []*memory.Buffer{buffer(c.valid)}
	switch l, _ := c.typ.layout(); l {
	case bitmap, fixed:
		bufs = append(bufs, memory.NewBufferBytes(c.data))
	case texts:
		bufs = append(bufs, memory.NewBufferBytes(raw(c.offsets)), memory.NewBufferBytes(c.data))
	case lists:
		bufs = append(bufs, memory.NewBufferBytes(raw(c.offsets)))
	}
	return array.NewData(t.arrow(), c.n, bufs, kids, c.nulls, 0)
}
