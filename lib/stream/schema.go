package stream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
)

// Kind is the kind of a column's values.
type Kind uint8

// The kinds that rows are made of. Other is any other Arrow type: it passes
// through and can be printed.
const (
	Other Kind = iota
	Bool
	Int32
	Int64
	Uint64
	Float32
	Float64
	Utf8
	List
	Struct
)

// Type is the type of a column.
type Type struct {
	Kind   Kind
	Elem   *Field         // of a List
	Fields []Field        // of a Struct; of an Other, its parts
	other  arrow.DataType // of an Other
}

// The types without parts.
var (
	TBool    = Type{Kind: Bool}
	TInt32   = Type{Kind: Int32}
	TInt64   = Type{Kind: Int64}
	TUint64  = Type{Kind: Uint64}
	TFloat32 = Type{Kind: Float32}
	TFloat64 = Type{Kind: Float64}
	TUtf8    = Type{Kind: Utf8}
)

var flatTypes = map[Kind]arrow.DataType{
	Bool: arrow.FixedWidthTypes.Boolean, Int32: arrow.PrimitiveTypes.Int32, Int64: arrow.PrimitiveTypes.Int64,
	Uint64: arrow.PrimitiveTypes.Uint64, Float32: arrow.PrimitiveTypes.Float32,
	Float64: arrow.PrimitiveTypes.Float64, Utf8: arrow.BinaryTypes.String,
}

// Field is a named column of a schema, or a member of a struct.
type Field struct {
	Name     string
	Type     Type
	Nullable bool
	meta     arrow.Metadata
}

// ListOf returns the type list<elem>; nullable says whether elements may be null.
func ListOf(elem Type, nullable bool) Type {
	return Type{Kind: List, Elem: &Field{Name: "item", Type: elem, Nullable: nullable}}
}

// StructOf returns the type struct<fields>.
func StructOf(fields ...Field) Type { return Type{Kind: Struct, Fields: fields} }

// String returns the type as the contract writes it, with "?" after the type of
// a part that may be null: list<struct<printed int32?, start int32>>.
func (t Type) String() string {
	switch t.Kind {
	case List:
		return "list<" + t.Elem.typeString() + ">"
	case Struct:
		var b strings.Builder
		for i, f := range t.Fields {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(f.Name + " " + f.typeString())
		}
		return "struct<" + b.String() + ">"
	case Other:
		if t.other == nil {
			return "unknown"
		}
		return t.other.String()
	}
	return flatTypes[t.Kind].String()
}

func (f Field) typeString() string {
	if f.Nullable {
		return f.Type.String() + "?"
	}
	return f.Type.String()
}

// Equal reports whether t and u hold the same values: names of list elements
// and nullability do not count, names and order of struct members do.
func (t Type) Equal(u Type) bool {
	if t.Kind != u.Kind {
		return false
	}
	switch t.Kind {
	case List:
		return t.Elem.Type.Equal(u.Elem.Type)
	case Struct:
		return slices.EqualFunc(t.Fields, u.Fields, func(a, b Field) bool {
			return a.Name == b.Name && a.Type.Equal(b.Type)
		})
	case Other:
		return t.other != nil && u.other != nil && arrow.TypeEqual(t.other, u.other)
	}
	return true
}

// parts returns the fields of the columns that t's columns are made of.
func (t Type) parts() []Field {
	if t.Kind == List {
		return []Field{*t.Elem}
	}
	return t.Fields
}

func (t Type) arrow() arrow.DataType {
	switch t.Kind {
	case List:
		return arrow.ListOfField(t.Elem.arrow())
	case Struct:
		fields := make([]arrow.Field, len(t.Fields))
		for i, f := range t.Fields {
			fields[i] = f.arrow()
		}
		return arrow.StructOf(fields...)
	case Other:
		return t.other
	}
	return flatTypes[t.Kind]
}

func (f Field) arrow() arrow.Field {
	return arrow.Field{Name: f.Name, Type: f.Type.arrow(), Nullable: f.Nullable, Metadata: f.meta}
}

// Entry is one command in the history of a stream.
type Entry struct {
	Command string            `json:"command"`
	Version string            `json:"version"`
	Args    []string          `json:"args"`
	Inputs  map[string]string `json:"inputs"` // what it read: name to "sha256:<hex>"
}

// Schema names the columns of a stream and carries what the stream remembers.
// A stream from elsewhere has neither kind nor history; metadata that is not
// ours is kept as it is.
type Schema struct {
	Fields  []Field
	RowKind string  // "prompt", "rollout", ...; "" in a stream from elsewhere
	Version int     // of the row kinds; 0 in a stream from elsewhere
	History []Entry // oldest first
	meta    arrow.Metadata
}

// Keys of the schema's metadata. formatVersion is the version this package
// writes, and the only one it reads.
const (
	keyKind       = "srar.kind"
	keyVersion    = "srar.version"
	keyHistory    = "srar.history"
	formatVersion = 1
)

// Lookup returns the index of the column of that name.
func (s *Schema) Lookup(name string) (i int, ok bool) {
	i = slices.IndexFunc(s.Fields, func(f Field) bool { return f.Name == name })
	return i, i >= 0
}

// With returns a copy of s of another kind and with the given fields: those
// that are there are replaced in place, others follow at the end.
func (s *Schema) With(kind string, fields ...Field) *Schema {
	c := s.clone()
	c.RowKind, c.Version = kind, formatVersion
	for _, f := range fields {
		if i, ok := c.Lookup(f.Name); ok {
			c.Fields[i] = f
		} else {
			c.Fields = append(c.Fields, f)
		}
	}
	return c
}

// Without returns a copy of s without the columns of those names.
func (s *Schema) Without(names ...string) *Schema {
	c := s.clone()
	c.Fields = slices.DeleteFunc(c.Fields, func(f Field) bool { return slices.Contains(names, f.Name) })
	return c
}

func (s *Schema) clone() *Schema {
	c := *s
	c.Fields, c.History = slices.Clone(s.Fields), slices.Clone(s.History)
	return &c
}

// arrow returns the Arrow schema to write, ours among its metadata first.
func (s *Schema) arrow() (*arrow.Schema, error) {
	if err := uniqueNames(s.Fields); err != nil {
		return nil, err
	}
	var keys, values []string
	if s.RowKind != "" {
		keys, values = append(keys, keyKind, keyVersion), append(values, s.RowKind, strconv.Itoa(formatVersion))
	}
	if len(s.History) > 0 {
		text, err := marshalHistory(s.History)
		if err != nil {
			return nil, err
		}
		keys, values = append(keys, keyHistory), append(values, text)
	}
	meta := arrow.NewMetadata(append(keys, s.meta.Keys()...), append(values, s.meta.Values()...))
	fields := make([]arrow.Field, len(s.Fields))
	for i, f := range s.Fields {
		fields[i] = f.arrow()
	}
	return arrow.NewSchema(fields, &meta), nil
}

// setMeta takes our keys out of the metadata of a stream and keeps the rest.
func (s *Schema) setMeta(meta arrow.Metadata) error {
	var keys, values []string
	for i, k := range meta.Keys() {
		v := meta.Values()[i]
		switch k {
		case keyKind:
			s.RowKind = v
		case keyVersion:
			n, err := strconv.Atoi(v)
			if err != nil || n != formatVersion {
				return fmt.Errorf("%s is %q, want %d", keyVersion, v, formatVersion)
			}
		case keyHistory:
			if err := json.Unmarshal([]byte(v), &s.History); err != nil {
				return fmt.Errorf("%s is not a history: %w", keyHistory, err)
			}
		default:
			keys, values = append(keys, k), append(values, v)
		}
	}
	if s.RowKind != "" {
		s.Version = formatVersion
	}
	s.meta = arrow.NewMetadata(keys, values)
	return nil
}

func marshalHistory(history []Entry) (string, error) {
	history = slices.Clone(history)
	for i, e := range history {
		if e.Args == nil {
			history[i].Args = []string{}
		}
		if e.Inputs == nil {
			history[i].Inputs = map[string]string{}
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(history)
	return strings.TrimSuffix(b.String(), "\n"), err
}

func uniqueNames(fields []Field) error {
	seen := make(map[string]bool, len(fields))
	for _, f := range fields {
		if seen[f.Name] {
			return fmt.Errorf("two columns are named %q", f.Name)
		}
		seen[f.Name] = true
	}
	return nil
}

// sameColumns says how t differs from s in what its rows hold, if it does. The
// order of columns does not count.
func (s *Schema) sameColumns(t *Schema) error {
	for _, f := range t.Fields {
		i, ok := s.Lookup(f.Name)
		if !ok {
			return fmt.Errorf("column %s is not expected here", f.Name)
		}
		if want := s.Fields[i].Type; !want.Equal(f.Type) {
			return fmt.Errorf("column %s is %v, want %v", f.Name, f.Type, want)
		}
	}
	for _, f := range s.Fields {
		if _, ok := t.Lookup(f.Name); !ok {
			return fmt.Errorf("column %s is missing", f.Name)
		}
	}
	if s.RowKind != "" && t.RowKind != "" && s.RowKind != t.RowKind {
		return errors.New("rows are of kind " + t.RowKind + ", want " + s.RowKind)
	}
	return nil
}
