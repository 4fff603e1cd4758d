package stream

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow"

	"srar/lib/ipc"
)

// wire is a column as a stream lays it out. What it is read as, field, is
// simpler: large, view and dictionary forms become plain ones.
type wire struct {
	field  Field
	layout layout
	width  int  // of fixed and fixedList
	large  bool // texts, lists: offsets of 64 bits
	view   bool // texts: 16-byte views
	signed bool // dictionary: of the index, whose bytes are width
	kids   []*wire
	dict   *dictionary
}

const (
	maxDepth  = 64
	maxFields = 1 << 13
)

// schemaReader turns the schema of a stream into wires.
type schemaReader struct {
	dicts  dictionaries
	fields int
}

// schema returns the columns that the schema message declares, and the rest of it.
func (r *schemaReader) schema(t ipc.Table) (*Schema, []*wire, error) {
	if t.Int(0, 2, 0) != 0 {
		return nil, nil, errors.New("big-endian streams are not read")
	}
	s := &Schema{}
	wires, err := r.wires(t.Tables(1), 0)
	if err != nil {
		return nil, nil, err
	}
	for _, w := range wires {
		s.Fields = append(s.Fields, w.field)
	}
	if err := s.setMeta(metadata(t.Tables(2))); err != nil {
		return nil, nil, err
	}
	return s, wires, t.Err()
}

func metadata(pairs []ipc.Table) arrow.Metadata {
	keys, values := make([]string, len(pairs)), make([]string, len(pairs))
	for i, p := range pairs {
		keys[i], values[i] = p.Text(0), p.Text(1)
	}
	return arrow.NewMetadata(keys, values)
}

func (r *schemaReader) wires(tables []ipc.Table, depth int) ([]*wire, error) {
	r.fields += len(tables)
	if depth > maxDepth || r.fields > maxFields {
		return nil, fmt.Errorf("schema passes %d levels or %d fields", maxDepth, maxFields)
	}
	out := make([]*wire, len(tables))
	fields := make([]Field, len(tables))
	for i, t := range tables {
		w, err := r.wire(t, depth)
		if err != nil {
			return nil, err
		}
		out[i], fields[i] = w, w.field
	}
	return out, uniqueNames(fields)
}

// wire reads a Field table.
func (r *schemaReader) wire(t ipc.Table, depth int) (*wire, error) {
	w := &wire{field: Field{Name: t.Text(0), Nullable: t.Int(1, 1, 0) != 0, meta: metadata(t.Tables(6))}}
	if !utf8.ValidString(w.field.Name) {
		return nil, fmt.Errorf("column name %q is not UTF-8", w.field.Name)
	}
	var err error
	if w.kids, err = r.wires(t.Tables(5), depth+1); err != nil {
		return nil, fmt.Errorf("in %s: %w", w.field.Name, err)
	}
	w.field.Type, err = w.readType(t.Int(2, 1, 0), t.Table(3))
	if err == nil {
		err = t.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("column %s: %w", w.field.Name, err)
	}
	w.layout, w.width = w.field.Type.layout()
	if d := t.Table(4); d.Present() {
		if w, err = r.encoded(w, d); err != nil {
			return nil, fmt.Errorf("column %s: %w", w.field.Name, err)
		}
	}
	return w, nil
}

// encoded makes w, read from a field with a DictionaryEncoding, the values of
// its dictionary, and returns the column of indices.
func (r *schemaReader) encoded(w *wire, d ipc.Table) (*wire, error) {
	if w.layout != texts && w.layout != fixed {
		return w, fmt.Errorf("dictionaries of %v are not read", w.field.Type)
	}
	out := &wire{field: w.field, layout: fixed, width: 4, signed: true}
	if x := d.Table(1); x.Present() {
		out.width, out.signed = int(x.Int(0, 4, 0)/8), x.Int(1, 1, 0) != 0
	}
	switch out.width {
	case 1, 2, 4, 8:
	default:
		return w, fmt.Errorf("dictionary indices of %d bytes", out.width)
	}
	id := d.Int(0, 8, 0)
	if out.dict = r.dicts.byID[id]; out.dict == nil {
		w.field.Nullable = true // values may be, whatever the column says
		out.dict = &dictionary{value: w}
		r.dicts.byID[id] = out.dict
	} else if v := out.dict.value; !v.field.Type.Equal(w.field.Type) || v.large != w.large || v.view != w.view {
		return w, fmt.Errorf("dictionary %d has two types", id)
	}
	return out, nil
}

// Members of the union Type (Schema.fbs of the Arrow format).
const (
	typeNull = iota + 1
	typeInt
	typeFloat
	typeBinary
	typeUtf8
	typeBool
	typeDecimal
	typeDate
	typeTime
	typeTimestamp
	typeInterval
	typeList
	typeStruct
	typeUnion
	typeFixedBinary
	typeFixedList
	typeMap
	typeDuration
	typeLargeBinary
	typeLargeUtf8
	typeLargeList
	typeRunEndEncoded
	typeBinaryView
	typeUtf8View
	typeListView
	typeLargeListView
)

var refusedTypes = map[int64]string{
	typeUnion: "unions", typeRunEndEncoded: "run-end encoded arrays",
	typeListView: "list views", typeLargeListView: "list views",
}

// readType reads the type of a field, of the union member typ and in table t,
// once its kids are known.
func (w *wire) readType(typ int64, t ipc.Table) (Type, error) {
	if name, ok := refusedTypes[typ]; ok {
		return Type{}, errors.New(name + " are not read")
	}
	wantKids := 0
	switch typ {
	case typeList, typeLargeList, typeFixedList, typeMap:
		wantKids = 1
	case typeStruct:
		wantKids = len(w.kids)
	}
	if len(w.kids) != wantKids {
		return Type{}, fmt.Errorf("%d children, want %d", len(w.kids), wantKids)
	}
	parts := make([]Field, len(w.kids))
	for i, k := range w.kids {
		parts[i] = k.field
	}
	unit := func(def int64) arrow.TimeUnit { return arrow.TimeUnit(t.Int(0, 2, def) & 3) }
	pass := func(dt arrow.DataType) (Type, error) { return Type{Kind: Other, Fields: parts, other: dt}, nil }
	switch typ {
	case typeNull:
		return pass(arrow.Null)
	case typeInt:
		return intType(t.Int(0, 4, 0), t.Int(1, 1, 0) != 0)
	case typeFloat:
		switch t.Int(0, 2, 0) {
		case 0:
			return pass(arrow.FixedWidthTypes.Float16)
		case 1:
			return TFloat32, nil
		case 2:
			return TFloat64, nil
		}
	case typeBinary, typeLargeBinary, typeBinaryView:
		w.large, w.view = typ == typeLargeBinary, typ == typeBinaryView
		return pass(arrow.BinaryTypes.Binary)
	case typeUtf8, typeLargeUtf8, typeUtf8View:
		w.large, w.view = typ == typeLargeUtf8, typ == typeUtf8View
		return TUtf8, nil
	case typeBool:
		return TBool, nil
	case typeDecimal:
		p, s := int32(t.Int(0, 4, 0)), int32(t.Int(1, 4, 0))
		switch bits := t.Int(2, 4, 128); {
		case bits == 128 && p >= 1 && p <= 38 && s >= 0 && s <= p:
			return pass(&arrow.Decimal128Type{Precision: p, Scale: s})
		case bits == 256 && p >= 1 && p <= 76 && s >= 0 && s <= p:
			return pass(&arrow.Decimal256Type{Precision: p, Scale: s})
		}
	case typeDate:
		if t.Int(0, 2, 1) == 0 {
			return pass(arrow.FixedWidthTypes.Date32)
		}
		return pass(arrow.FixedWidthTypes.Date64)
	case typeTime:
		switch u, bits := unit(1), t.Int(1, 4, 32); {
		case bits == 32 && u <= arrow.Millisecond:
			return pass(&arrow.Time32Type{Unit: u})
		case bits == 64 && u > arrow.Millisecond:
			return pass(&arrow.Time64Type{Unit: u})
		}
	case typeTimestamp:
		return pass(&arrow.TimestampType{Unit: unit(0), TimeZone: t.Text(1)})
	case typeInterval:
		switch t.Int(0, 2, 0) {
		case 0:
			return pass(arrow.FixedWidthTypes.MonthInterval)
		case 1:
			return pass(arrow.FixedWidthTypes.DayTimeInterval)
		case 2:
			return pass(arrow.FixedWidthTypes.MonthDayNanoInterval)
		}
	case typeDuration:
		return pass(&arrow.DurationType{Unit: unit(1)})
	case typeFixedBinary:
		if n := t.Int(0, 4, 0); n >= 1 {
			return pass(&arrow.FixedSizeBinaryType{ByteWidth: int(n)})
		}
	case typeList, typeLargeList:
		w.large = typ == typeLargeList
		return Type{Kind: List, Elem: &parts[0]}, nil
	case typeStruct:
		return Type{Kind: Struct, Fields: parts}, nil
	case typeFixedList:
		if n := t.Int(0, 4, 0); n >= 1 {
			return pass(arrow.FixedSizeListOfField(int32(n), parts[0].arrow()))
		}
	case typeMap:
		if e := parts[0].Type; e.Kind == Struct && len(e.Fields) == 2 {
			// The library has its own names for the parts.
			key, item := e.Fields[0], e.Fields[1]
			e.Fields = []Field{{Name: "key", Type: key.Type}, {Name: "value", Type: item.Type, Nullable: item.Nullable}}
			parts[0] = Field{Name: "entries", Type: e}
			w.kids[0].adopt(parts[0])
			m := arrow.MapOf(key.Type.arrow(), item.Type.arrow())
			m.KeysSorted = t.Int(0, 1, 0) != 0
			m.SetItemNullable(item.Nullable)
			return pass(m)
		}
	}
	return Type{}, fmt.Errorf("unknown form of Arrow type %d", typ)
}

// otherInts has the integers that rows are not made of: unsigned, signed.
var otherInts = map[int64][2]arrow.DataType{
	8:  {arrow.PrimitiveTypes.Uint8, arrow.PrimitiveTypes.Int8},
	16: {arrow.PrimitiveTypes.Uint16, arrow.PrimitiveTypes.Int16},
	32: {arrow.PrimitiveTypes.Uint32, nil},
}

func intType(bits int64, signed bool) (Type, error) {
	switch {
	case bits == 32 && signed:
		return TInt32, nil
	case bits == 64 && signed:
		return TInt64, nil
	case bits == 64:
		return TUint64, nil
	case otherInts[bits][0] == nil:
		return Type{}, fmt.Errorf("integers of %d bits", bits)
	case signed:
		return Type{Kind: Other, other: otherInts[bits][1]}, nil
	}
	return Type{Kind: Other, other: otherInts[bits][0]}, nil
}

// adopt makes w read as f, a field of an equal type: what a following stream
// brings must fit the schema of the first.
func (w *wire) adopt(f Field) {
	w.field = f
	switch f.Type.Kind {
	case List:
		w.kids[0].adopt(*f.Type.Elem)
	case Struct:
		for i, k := range w.kids {
			k.adopt(f.Type.Fields[i])
		}
	}
}
