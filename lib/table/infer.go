package table

import (
	"math"
	"strconv"
	"strings"

	"srar/lib/stream"
)

// mode says what a column of text takes besides text.
type mode uint8

const (
	strict      mode = iota // nothing
	numbers                 // numbers, see Options.Texts
	anything                // anything: numbers written out, other values as JSON
	base64Bytes             // bytes, as base64
)

// column is a column, an element of a list or a member of a struct.
type column struct {
	name     string
	typ      stream.Type // Kind only for lists and structs
	nullable bool
	present  bool      // null may stand for a value, but no row may lack it
	mode     mode      // of text
	elem     *column   // of a list
	members  []*column // of a struct
}

// typed makes a column of a field.
func typed(f stream.Field, m mode) *column {
	c := &column{name: f.Name, typ: f.Type, nullable: f.Nullable, mode: m}
	switch f.Type.Kind {
	case stream.List:
		c.elem = typed(*f.Type.Elem, m)
	case stream.Struct:
		for _, g := range f.Type.Fields {
			c.members = append(c.members, typed(g, m))
		}
	}
	return c
}

// field returns the column as a field of a schema.
func (c *column) field() stream.Field {
	f := stream.Field{Name: c.name, Type: c.typ, Nullable: c.nullable}
	switch c.typ.Kind {
	case stream.List:
		f.Type = stream.ListOf(c.elem.field().Type, c.elem.nullable)
	case stream.Struct:
		fields := make([]stream.Field, len(c.members))
		for i, m := range c.members {
			fields[i] = m.field()
		}
		f.Type = stream.StructOf(fields...)
	}
	return f
}

// takes reports whether values of column d of a Parquet file may fit c.
func (c *column) takes(d *column) bool {
	number := func(k stream.Kind) bool { return stream.Int32 <= k && k <= stream.Float64 }
	switch c.typ.Kind {
	case stream.Utf8:
		return d.typ.Kind == stream.Utf8 || c.mode == numbers && number(d.typ.Kind)
	case stream.List:
		return d.typ.Kind == stream.List && c.elem.takes(d.elem)
	case stream.Struct:
		for _, m := range d.members {
			i := memberIndex(c.members, m.name)
			if i < 0 || !c.members[i].takes(m) {
				return false
			}
		}
		return d.typ.Kind == stream.Struct
	}
	return c.typ.Kind == d.typ.Kind || number(c.typ.Kind) && number(d.typ.Kind)
}

func memberIndex(members []*column, name string) int {
	for i, m := range members {
		if m.name == name {
			return i
		}
	}
	return -1
}

// maxMembers is how many keys an object may have as a struct; one with more is
// rather a mapping, and becomes text.
const maxMembers = 1000

// shape gathers what values a column of JSON Lines holds.
type shape struct {
	null, boolean, text   bool
	ints, inexact, floats bool // inexact: integers that float64 cannot hold
	odd                   bool // numbers beyond int64 and float64
	lists, objects        int
	elem                  *shape
	names                 []string
	members               map[string]*shape
	seen                  int // values, null ones included
}

func (s *shape) see(v any) {
	s.seen++
	switch v := v.(type) {
	case nil:
		s.null = true
	case bool:
		s.boolean = true
	case string:
		s.text = true
	case number:
		s.seeNumber(v)
	case []any:
		s.lists++
		if s.elem == nil {
			s.elem = &shape{}
		}
		for _, e := range v {
			s.elem.see(e)
		}
	case object:
		s.objects++
		if s.members == nil {
			s.members = map[string]*shape{}
		}
		for i, key := range v.keys {
			m := s.members[key]
			if m == nil {
				if len(s.names) > maxMembers {
					continue // text already
				}
				m = &shape{}
				s.members[key] = m
				s.names = append(s.names, key)
			}
			m.see(v.values[i])
		}
	}
}

func (s *shape) seeNumber(n number) {
	if !strings.ContainsAny(string(n), ".eE") {
		i, err := strconv.ParseInt(string(n), 10, 64)
		if err != nil {
			s.odd = true
			return
		}
		s.ints = true
		s.inexact = s.inexact || !exactly(magnitude(i), 64)
		return
	}
	f, err := strconv.ParseFloat(string(n), 64)
	s.odd = s.odd || err != nil || math.IsInf(f, 0)
	s.floats = true
}

// columns are the columns of the objects seen.
func (s *shape) columns() []*column {
	out := make([]*column, len(s.names))
	for i, name := range s.names {
		m := s.members[name]
		out[i] = m.column(name)
		out[i].nullable = out[i].nullable || m.seen < s.objects
	}
	return out
}

// column is the narrowest column that takes all values seen.
func (s *shape) column(name string) *column {
	c := &column{name: name, typ: stream.TUtf8, nullable: s.null, mode: anything}
	kinds := 0
	isNumber := s.ints || s.floats || s.odd
	for _, is := range []bool{s.boolean, s.text, isNumber, s.lists > 0, s.objects > 0} {
		if is {
			kinds++
		}
	}
	switch {
	case kinds == 0:
		c.nullable = true
	case kinds > 1, s.odd:
	case s.boolean:
		c.typ = stream.TBool
	case s.ints && !s.floats:
		c.typ = stream.TInt64
	case s.floats && !s.inexact:
		c.typ = stream.TFloat64
	case s.lists > 0:
		c.typ = stream.Type{Kind: stream.List}
		c.elem = s.elem.column("item")
	case s.objects > 0 && len(s.names) > 0 && len(s.names) <= maxMembers:
		c.typ = stream.Type{Kind: stream.Struct}
		c.members = s.columns()
	}
	return c
}
