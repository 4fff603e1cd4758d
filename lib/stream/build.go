package stream

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// The builders below make columns of Go slices. null says which rows are null;
// nil means none. Slices are taken over and must not be changed afterwards. A
// null or offsets slice of the wrong length, or a bad offset, is a programming
// error and panics.

// NewBools returns a Bool column.
func NewBools(v []bool, null []bool) *Column { return column(TBool, len(v), packBits(v), null) }

// NewInt32s returns an Int32 column.
func NewInt32s(v []int32, null []bool) *Column { return column(TInt32, len(v), raw(v), null) }

// NewInt64s returns an Int64 column.
func NewInt64s(v []int64, null []bool) *Column { return column(TInt64, len(v), raw(v), null) }

// NewUint64s returns a Uint64 column.
func NewUint64s(v []uint64, null []bool) *Column { return column(TUint64, len(v), raw(v), null) }

// NewFloat32s returns a Float32 column.
func NewFloat32s(v []float32, null []bool) *Column { return column(TFloat32, len(v), raw(v), null) }

// NewFloat64s returns a Float64 column.
func NewFloat64s(v []float64, null []bool) *Column { return column(TFloat64, len(v), raw(v), null) }

// NewTexts returns a Utf8 column. Bytes that are not UTF-8 become U+FFFD, since
// no reader would take them. One column holds less than 2 GiB of text.
func NewTexts(v []string, null []bool) *Column {
	var size int
	for i, s := range v {
		if !utf8.ValidString(s) {
			v[i] = strings.ToValidUTF8(s, "\uFFFD")
		}
		size += len(v[i])
	}
	data, offsets := make([]byte, 0, size), make([]int32, 1, len(v)+1)
	for _, s := range v {
		data = append(data, s...)
		offsets = append(offsets, offset32(len(data)))
	}
	c := column(TUtf8, len(v), data, null)
	c.offsets = offsets
	return c
}

// NewLists returns a List column: list i is the rows [offsets[i], offsets[i+1])
// of elem; the first offset is 0, the last the length of elem. elemNullable says whether the type allows null elements; it must
// where elem has any.
func NewLists(offsets []int32, elem *Column, elemNullable bool, null []bool) *Column {
	n := len(offsets) - 1
	if err := checkOffsets(offsets); err != nil {
		panic("stream: " + err.Error())
	}
	if n < 0 || offsets[0] != 0 || int(offsets[n]) != elem.n {
		panic(fmt.Sprintf("stream: offsets do not divide %d elements", elem.n))
	}
	if elem.nulls > 0 && !elemNullable {
		panic("stream: null elements in a list that has none")
	}
	c := column(ListOf(elem.typ, elemNullable), n, nil, null)
	c.offsets, c.kids = offsets, []*Column{elem}
	return c
}

// NewStructs returns a Struct column of n rows.
func NewStructs(n int, fields []Named, null []bool) *Column {
	t := Type{Kind: Struct, Fields: make([]Field, len(fields))}
	kids := make([]*Column, len(fields))
	for i, f := range fields {
		t.Fields[i] = f.field(n)
		kids[i] = f.Column
	}
	c := column(t, n, nil, null)
	c.kids = kids
	if err := checkNulls(c, Field{Type: t, Nullable: true}, nil); err != nil {
		panic("stream: " + err.Error())
	}
	return c
}

func column(t Type, n int, data []byte, null []bool) *Column {
	c := &Column{typ: t, n: n, data: data}
	if null == nil {
		return c
	}
	if len(null) != n {
		panic(fmt.Sprintf("stream: %d null flags for %d rows", len(null), n))
	}
	valid := make([]byte, (n+7)/8)
	for i, isNull := range null {
		if isNull {
			c.nulls++
		} else {
			valid[i>>3] |= 1 << (i & 7)
		}
	}
	if c.nulls > 0 {
		c.valid = valid
	}
	return c
}

func packBits(v []bool) []byte {
	b := make([]byte, (len(v)+7)/8)
	for i, set := range v {
		if set {
			b[i>>3] |= 1 << (i & 7)
		}
	}
	return b
}

// offset32 returns n as an offset. A column beyond 2 GiB is not to be had:
// batches are prompt groups.
func offset32(n int) int32 {
	if n > math.MaxInt32 {
		panic("stream: a column of one batch passes 2 GiB")
	}
	return int32(n)
}
