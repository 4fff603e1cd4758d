package table

import (
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"

	"srar/lib/stream"
)

// builder makes a column of values. A value is nil, bool, int64, uint64,
// float32, float64, number, string, []byte, []any, object, or missing.
type builder struct {
	c       *column
	n       int
	size    int // bytes of the values, roughly
	null    []bool
	nulls   bool
	bools   []bool
	ints32  []int32
	ints64  []int64
	uints   []uint64
	floats  []float32
	doubles []float64
	texts   []string
	offsets []int32
	elem    *builder
	members []*builder
}

// maxBatch bounds what one batch may hold of a column: columns are addressed by
// 31 bits.
const maxBatch = 1 << 30

func newBuilder(c *column) *builder {
	b := &builder{c: c}
	switch c.typ.Kind {
	case stream.List:
		b.offsets = []int32{0}
		b.elem = newBuilder(c.elem)
	case stream.Struct:
		for _, m := range c.members {
			b.members = append(b.members, newBuilder(m))
		}
	}
	return b
}

// add appends a value, converted to the type of the column.
func (b *builder) add(v any) error {
	before := b.size
	if err := b.append(v); err != nil {
		return err
	}
	b.n++
	b.size = max(b.size, before+8)
	if b.size > maxBatch {
		return faultf(Unsupported, "values of more than %d bytes in one batch", maxBatch)
	}
	return nil
}

// truncate drops what was added behind the first n values, a value that was
// refused half-way included.
func (b *builder) truncate(n int) {
	for _, s := range b.texts[min(n, len(b.texts)):] {
		b.size -= max(8, len(s))
	}
	b.n = n
	b.null = cut(b.null, n)
	b.bools = cut(b.bools, n)
	b.ints32 = cut(b.ints32, n)
	b.ints64 = cut(b.ints64, n)
	b.uints = cut(b.uints, n)
	b.floats = cut(b.floats, n)
	b.doubles = cut(b.doubles, n)
	b.texts = cut(b.texts, n)
	if b.elem != nil {
		b.offsets = b.offsets[:n+1]
		b.elem.truncate(int(b.offsets[n]))
	}
	for _, m := range b.members {
		m.truncate(n)
	}
	if b.c.typ.Kind != stream.Utf8 {
		b.resize()
	}
}

func cut[T any](s []T, n int) []T { return s[:min(n, len(s))] }

// append is add without the accounts.
func (b *builder) append(v any) error {
	if f, isFloat := v.(float64); isFloat && b.c.mode == numbers && math.IsNaN(f) {
		v = nil
	}
	if f, isFloat := v.(float32); isFloat && b.c.mode == numbers && f != f {
		v = nil
	}
	_, absent := v.(missing)
	if absent || v == nil {
		switch {
		case b.c.nullable && !(absent && b.c.present):
		case absent:
			return faultf(MissingColumn, "is not there")
		default:
			return faultf(NullValue, "is null")
		}
	}
	isNull := absent || v == nil
	b.null = append(b.null, isNull)
	b.nulls = b.nulls || isNull
	return b.value(v, isNull)
}

// value appends a value; for a null whatever stands in its place.
func (b *builder) value(v any, isNull bool) error {
	var err error
	switch b.c.typ.Kind {
	case stream.Bool:
		x, ok := v.(bool)
		if !ok && !isNull {
			err = b.wrong(v)
		}
		b.bools = append(b.bools, x)
	case stream.Int32:
		var x int64
		if !isNull {
			if x, err = asInt(v); err == nil && x != int64(int32(x)) {
				err = faultf(WrongType, "%d does not fit int32", x)
			}
		}
		b.ints32 = append(b.ints32, int32(x))
	case stream.Int64:
		var x int64
		if !isNull {
			x, err = asInt(v)
		}
		b.ints64 = append(b.ints64, x)
	case stream.Uint64:
		var x uint64
		if !isNull {
			x, err = asUint(v)
		}
		b.uints = append(b.uints, x)
	case stream.Float32:
		var x float64
		if !isNull {
			x, err = asFloat(v, 32)
		}
		b.floats = append(b.floats, float32(x))
	case stream.Float64:
		var x float64
		if !isNull {
			x, err = asFloat(v, 64)
		}
		b.doubles = append(b.doubles, x)
	case stream.Utf8:
		var x string
		if !isNull {
			x, err = b.text(v)
		}
		b.texts = append(b.texts, x)
		b.size += len(x)
	case stream.List:
		items, ok := v.([]any)
		if !ok && !isNull {
			return b.wrong(v)
		}
		for i, e := range items {
			if err := b.elem.add(e); err != nil {
				return within(err, "["+strconv.Itoa(i)+"]")
			}
		}
		b.offsets = append(b.offsets, int32(b.elem.n))
		b.resize()
	case stream.Struct:
		err = b.object(v, isNull)
	default:
		err = faultf(Unsupported, "type %v is not read", b.c.typ)
	}
	return err
}

// resize counts the bytes of elements and members.
func (b *builder) resize() {
	b.size = 8 * b.n
	if b.elem != nil {
		b.size += b.elem.size
	}
	for _, m := range b.members {
		b.size += m.size
	}
}

func (b *builder) object(v any, isNull bool) error {
	o, ok := v.(object)
	if !ok && !isNull {
		return b.wrong(v)
	}
	for _, key := range o.keys {
		if memberIndex(b.c.members, key) < 0 {
			return faultf(WrongType, "member %q is not expected", key)
		}
	}
	for i, m := range b.members {
		name := b.c.members[i].name
		if isNull {
			// What stands in a null struct is never read, and never null.
			m.n++
			m.null = append(m.null, m.c.nullable)
			m.nulls = m.nulls || m.c.nullable
			if err := m.value(m.c.zero(), m.c.nullable); err != nil {
				return err
			}
			continue
		}
		var x any = missing{}
		for k, key := range o.keys {
			if key == name {
				x = o.values[k]
			}
		}
		if err := m.add(x); err != nil {
			return within(err, "."+name)
		}
	}
	b.resize()
	return nil
}

// zero is a value that a column always takes.
func (c *column) zero() any {
	if c.nullable {
		return nil
	}
	switch c.typ.Kind {
	case stream.Bool:
		return false
	case stream.Utf8:
		return ""
	case stream.List:
		return []any{}
	case stream.Struct:
		o := object{}
		for _, m := range c.members {
			o.keys, o.values = append(o.keys, m.name), append(o.values, m.zero())
		}
		return o
	}
	return int64(0)
}

// within puts the path of a part before that of a fault in it.
func within(err error, part string) error {
	if f, ok := err.(*fault); ok {
		f.path = part + f.path
	}
	return err
}

func (b *builder) wrong(v any) error {
	return faultf(WrongType, "is %s, not %v", kindOf(v), b.c.field().Type)
}

// kindOf names the kind of a value.
func kindOf(v any) string {
	switch v.(type) {
	case bool:
		return "a boolean"
	case int64, uint64, float32, float64, number:
		return "a number"
	case string, []byte:
		return "text"
	case []any:
		return "a list"
	case object:
		return "an object"
	}
	return "null"
}

func (b *builder) text(v any) (string, error) {
	switch x := v.(type) {
	case string:
		if !utf8.ValidString(x) {
			return "", faultf(InvalidUTF8, "is not valid UTF-8")
		}
		return x, nil
	case []byte:
		if b.c.mode == base64Bytes {
			return base64.StdEncoding.EncodeToString(x), nil
		}
		if !utf8.Valid(x) {
			return "", faultf(InvalidUTF8, "is not valid UTF-8")
		}
		return string(x), nil
	case int64, uint64, float32, float64, number:
		if b.c.mode == numbers || b.c.mode == anything {
			return numberText(x), nil
		}
	default:
		if b.c.mode == anything {
			return string(appendJSON(nil, v)), nil
		}
	}
	return "", b.wrong(v)
}

// column returns the column of all values added.
func (b *builder) column() *stream.Column {
	var null []bool
	if b.nulls {
		null = b.null
	}
	switch b.c.typ.Kind {
	case stream.Bool:
		return stream.NewBools(b.bools, null)
	case stream.Int32:
		return stream.NewInt32s(b.ints32, null)
	case stream.Int64:
		return stream.NewInt64s(b.ints64, null)
	case stream.Uint64:
		return stream.NewUint64s(b.uints, null)
	case stream.Float32:
		return stream.NewFloat32s(b.floats, null)
	case stream.Float64:
		return stream.NewFloat64s(b.doubles, null)
	case stream.List:
		return stream.NewLists(b.offsets, b.elem.column(), b.elem.c.nullable, null)
	case stream.Struct:
		fields := make([]stream.Named, len(b.members))
		for i, m := range b.members {
			fields[i] = stream.Named{Name: b.c.members[i].name, Nullable: m.c.nullable, Column: m.column()}
		}
		return stream.NewStructs(b.n, fields, null)
	}
	return stream.NewTexts(b.texts, null)
}
