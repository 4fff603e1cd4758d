package stream

import (
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
)

// AppendJSON appends row i as JSON: null, numbers in full (floats in their
// shortest form), text, lists as arrays, structs as objects in the order of
// their members. Floats that JSON lacks are "NaN", "Infinity" and "-Infinity".
// A value of kind Other is written as the Arrow library does.
func (c *Column) AppendJSON(b []byte, i int) []byte {
	if c.Null(i) {
		return append(b, "null"...)
	}
	switch c.typ.Kind {
	case Bool:
		return strconv.AppendBool(b, c.Bool(i))
	case Int32:
		return strconv.AppendInt(b, int64(c.Int32s()[i]), 10)
	case Int64:
		return strconv.AppendInt(b, c.Int64s()[i], 10)
	case Uint64:
		return strconv.AppendUint(b, c.Uint64s()[i], 10)
	case Float32:
		return appendFloat(b, float64(c.Float32s()[i]), 32)
	case Float64:
		return appendFloat(b, c.Float64s()[i], 64)
	case Utf8:
		return appendText(b, c.Text(i))
	case List:
		return c.kids[0].appendRange(b, int(c.offsets[i]), int(c.offsets[i+1]))
	case Struct:
		b = append(b, '{')
		for k, f := range c.typ.Fields {
			if k > 0 {
				b = append(b, ',')
			}
			b = append(appendText(b, f.Name), ':')
			b = c.kids[k].AppendJSON(b, i)
		}
		return append(b, '}')
	}
	switch l, width := c.typ.layout(); l {
	case lists: // a map
		return c.kids[0].appendRange(b, int(c.offsets[i]), int(c.offsets[i+1]))
	case fixedList:
		return c.kids[0].appendRange(b, i*width, (i+1)*width)
	}
	return c.appendOther(b, i)
}

func (c *Column) appendRange(b []byte, lo, hi int) []byte {
	b = append(b, '[')
	for j := lo; j < hi; j++ {
		if j > lo {
			b = append(b, ',')
		}
		b = c.AppendJSON(b, j)
	}
	return append(b, ']')
}

// appendOther appends a value of fixed width or binary of kind Other.
func (c *Column) appendOther(b []byte, i int) []byte {
	one := c.take([]span{{i, i + 1}}, 1)
	if t, ok := one.typ.other.(*arrow.TimestampType); ok {
		if _, err := t.GetZone(); err != nil {
			// A zone that this machine does not know: the instant in UTC.
			one.typ.other = &arrow.TimestampType{Unit: t.Unit}
		}
	}
	text, err := json.Marshal(array.MakeFromData(one.array(one.typ)).GetOneForMarshal(0))
	if err != nil {
		return append(b, "null"...)
	}
	return append(b, text...)
}

func appendFloat(b []byte, v float64, bits int) []byte {
	switch {
	case math.IsNaN(v):
		return append(b, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(b, `"-Infinity"`...)
	}
	return strconv.AppendFloat(b, v, 'g', -1, bits)
}

// appendText appends a JSON string without the HTML escapes of encoding/json.
func appendText(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, '\\', 'n')
		case r == '\t':
			b = append(b, '\\', 't')
		case r == '\r':
			b = append(b, '\\', 'r')
		case r < 0x20 || r == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}
