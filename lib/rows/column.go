package rows

import (
	"fmt"
	"reflect"
	"slices"
	"sync"

	"srar/lib/stream"
)

// Column declares one column of a kind.
type Column struct {
	stream.Field
	Unit  string // of the values; empty where they have none
	Shape string // what the list runs over; empty for scalars
	Owner string // the command that adds it
	Doc   string
}

// Kind declares a kind of rows.
type Kind struct {
	Name    string
	Own     []Column // what the owner adds
	Columns []Column // those of the kinds before, then Own
}

func declare(name string, before *Kind, owner string, own any) Kind {
	k := Kind{Name: name}
	for _, f := range planOf(reflect.TypeOf(own)).fields {
		k.Own = append(k.Own, Column{Field: f.Field, Unit: f.tag.Get("unit"), Shape: f.tag.Get("shape"), Owner: owner, Doc: f.tag.Get("doc")})
	}
	if before != nil {
		k.Columns = append(k.Columns, before.Columns...)
	}
	k.Columns = append(k.Columns, k.Own...)
	return k
}

// Fields returns the fields of the columns that the kind's owner adds.
func (k *Kind) Fields() []stream.Field {
	f := make([]stream.Field, len(k.Own))
	for i, c := range k.Own {
		f[i] = c.Field
	}
	return f
}

// Schema returns the schema of a stream of the kind with nothing else in it.
func (k *Kind) Schema() *stream.Schema {
	s := &stream.Schema{}
	for _, c := range k.Columns {
		s = s.With(k.Name, c.Field)
	}
	return s
}

// Fits says whether a stream with schema s can be read as the kind: every
// column is there with its type. A nullable column may be absent and then
// counts as null; nulls in other columns are found by [Read].
func (k *Kind) Fits(s *stream.Schema) error {
	for _, c := range k.Columns {
		i, ok := s.Lookup(c.Name)
		if !ok {
			if c.Nullable {
				continue
			}
			have := "rows of no declared kind"
			if s.RowKind != "" {
				have = s.RowKind + " rows"
			}
			return fmt.Errorf("rows: %s rows are needed, the input holds %s: column %s is missing (%s adds it)", k.Name, have, c.Name, c.Owner)
		}
		if t := s.Fields[i].Type; !t.Equal(c.Type) {
			return fmt.Errorf("rows: column %s is %s, not %s", c.Name, t, c.Type)
		}
	}
	return nil
}

// field is one tagged field of a row struct.
type field struct {
	stream.Field
	tag   reflect.StructTag
	index []int // as reflect.Value.FieldByIndex takes it
	conv  *codec
}

// plan is how one Go struct type maps to columns.
type plan struct{ fields []field }

var plans sync.Map // reflect.Type -> *plan

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p := &plan{}
	p.add(t, nil)
	plans.Store(t, p)
	return p
}

// add appends the columns of t, those of embedded structs in their place.
func (p *plan) add(t reflect.Type, index []int) {
	for i := range t.NumField() {
		sf := t.Field(i)
		at := append(slices.Clone(index), i)
		if sf.Anonymous {
			p.add(sf.Type, at)
			continue
		}
		name, ok := sf.Tag.Lookup("col")
		if !ok {
			panic("rows: " + t.String() + "." + sf.Name + " has no col tag")
		}
		c := codecOf(sf.Type)
		null := c.null || sf.Tag.Get("null") == "yes"
		p.fields = append(p.fields, field{Field: stream.Field{Name: name, Type: c.typ, Nullable: null}, tag: sf.Tag, index: at, conv: c})
	}
}
