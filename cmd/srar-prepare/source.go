package main

import (
	"crypto/sha256"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"srar/lib/rows"
	"srar/lib/stream"
	"srar/lib/table"
	"srar/lib/tool"
)

func digest(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

// source is a file with the names of its columns; "" where it has none.
type source struct {
	file                               *table.File
	problem, truth, rubric, source, id string
	types                              []stream.Field // of columns that other files have
}

// choose finds the columns by the flags, else by the usual names.
func (s *source) choose(o *options) error {
	for _, c := range []struct {
		to    *string
		flag  string
		value string
		usual []string
	}{
		{&s.problem, "problem", o.problem, []string{"problem", "prompt"}},
		{&s.truth, "ground-truth", o.truth, []string{"ground_truth", "reward_model.ground_truth"}},
		{&s.rubric, "rubric", o.rubric, []string{"rubric"}},
		{&s.source, "source", o.source, []string{"data_source"}},
		{&s.id, "id", o.id, []string{"prompt_id", "id"}},
	} {
		names := c.usual
		if c.value != "" {
			names = []string{c.value}
		}
		i := slices.IndexFunc(names, func(name string) bool { return s.has(name) })
		switch {
		case i >= 0:
			*c.to = names[i]
		case len(s.file.Schema().Fields) == 0:
			// Without any column there are no rows, or the first has no problem.
		case c.value != "" || c.flag == "problem" && !o.list:
			return tool.WithHint(tool.Inputf("%s: no column %s", s.file.Name(), names[0]),
				"--%s names it; the columns are %s", c.flag, s.columns())
		}
	}
	if s.problem == "" && !o.list {
		s.problem = "problem"
	}
	return nil
}

// has reports whether the file has a column, or a member of a struct, of the
// name.
func (s *source) has(name string) bool {
	fields := s.file.Schema().Fields
	for _, part := range path(fields, name) {
		i := slices.IndexFunc(fields, func(f stream.Field) bool { return f.Name == part })
		if i < 0 {
			return false
		}
		fields = fields[i].Type.Fields
	}
	return true
}

// path splits a name into those of a column and of members of structs.
func path(fields []stream.Field, name string) []string {
	if slices.ContainsFunc(fields, func(f stream.Field) bool { return f.Name == name }) {
		return []string{name}
	}
	return strings.Split(name, ".")
}

func (s *source) columns() string {
	var names []string
	for _, f := range s.file.Schema().Fields {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

// field returns the field of a column of the file.
func (s *source) field(name string) (f stream.Field, ok bool) {
	i, ok := s.file.Schema().Lookup(name)
	if ok {
		f = s.file.Schema().Fields[i]
	}
	return f, ok
}

// rows starts to read the rows. bad is told of those that do not read.
func (s *source) rows(bad func(*table.Error, []byte) error) (*table.Rows, error) {
	o := table.Options{Types: s.types, Bad: bad}
	f, ok := s.field(s.problem)
	if !ok && s.problem == "problem" || ok && f.Type.Kind != stream.List {
		o.Types = append(o.Types, stream.Field{Name: s.problem, Type: stream.TUtf8, Nullable: true})
	}
	if _, ok := s.field(s.rubric); ok {
		o.Types = append(o.Types, stream.Field{Name: s.rubric, Type: stream.TUtf8, Nullable: true})
	}
	if _, ok := s.field(s.truth); ok {
		o.Texts = append(o.Texts, s.truth)
	}
	return s.file.Rows(o)
}

// used reports whether a column is taken over under another name.
func (s *source) used(name string) bool {
	f, _ := s.field(name)
	return f.Type.Kind != stream.List && slices.Contains([]string{s.problem, s.truth, s.rubric, s.source, s.id}, name)
}

// join makes the schema of the prompts of all files. A column that only some
// files have is null in the rows of the others.
func join(sources []*source) (*stream.Schema, error) {
	schema := rows.Prompts.Schema()
	own := len(schema.Fields)
	for n, s := range sources {
		if n == 0 {
			schema.History = s.file.Schema().History
		}
		for _, f := range s.file.Schema().Fields {
			i, ok := schema.Lookup(f.Name)
			switch {
			case ok && i < own || s.used(f.Name):
				continue
			case !ok:
				f.Nullable = f.Nullable || n > 0
				schema = schema.With(rows.Prompts.Name, f)
				continue
			}
			if t := schema.Fields[i].Type; !t.Equal(f.Type) {
				return nil, tool.Inputf("%s: column %s is %v, in a file before %v", s.file.Name(), f.Name, f.Type, t)
			}
			schema.Fields[i].Nullable = schema.Fields[i].Nullable || f.Nullable
		}
	}
	for _, s := range sources {
		for i := own; i < len(schema.Fields); i++ {
			f := &schema.Fields[i]
			if _, ok := s.field(f.Name); !ok || s.used(f.Name) {
				f.Nullable = true
				s.types = append(s.types, *f)
			}
		}
	}
	return schema, nil
}

// arrange brings the columns of a batch into the order of a schema.
func arrange(schema *stream.Schema, b *stream.Batch) *stream.Batch {
	cols := make([]stream.Named, len(schema.Fields))
	for i, f := range schema.Fields {
		cols[i] = stream.Named{Name: f.Name, Nullable: f.Nullable, Column: b.Column(f.Name)}
	}
	return stream.NewBatch(b.Len(), cols...)
}

// picker holds the columns of one batch.
type picker struct{ ask, truth, rubric, source, id column }

func (s *source) picker(b *stream.Batch) picker {
	return picker{s.column(b, s.problem), s.column(b, s.truth), s.column(b, s.rubric), s.column(b, s.source), s.column(b, s.id)}
}

// column is a column of a batch, or a member of structs in one; the zero column
// is null everywhere.
type column struct {
	name  string
	outer []*stream.Column // the structs around
	c     *stream.Column
}

func (s *source) column(b *stream.Batch, name string) column {
	if name == "" {
		return column{}
	}
	parts := path(b.Schema().Fields, name)
	out := column{name: name, c: b.Column(parts[0])}
	for _, part := range parts[1:] {
		out.outer = append(out.outer, out.c)
		out.c = out.c.Field(part)
	}
	return out
}

func (c column) null(i int) bool {
	return c.c == nil || slices.ContainsFunc(c.outer, func(o *stream.Column) bool { return o.Null(i) }) || c.c.Null(i)
}

// text returns row i as text, nil for null. Numbers are written out: integers
// in full, floats in the shortest form without exponent, NaN as null.
func (c column) text(i int) (*string, error) {
	if c.null(i) {
		return nil, nil
	}
	var s string
	switch c.c.Type().Kind {
	case stream.Utf8:
		s = c.c.Text(i)
	case stream.Int32:
		s = strconv.FormatInt(int64(c.c.Int32s()[i]), 10)
	case stream.Int64:
		s = strconv.FormatInt(c.c.Int64s()[i], 10)
	case stream.Uint64:
		s = strconv.FormatUint(c.c.Uint64s()[i], 10)
	case stream.Float32:
		return float(float64(c.c.Float32s()[i]), 32), nil
	case stream.Float64:
		return float(c.c.Float64s()[i], 64), nil
	default:
		return nil, fmt.Errorf("column %s is %v, not text", c.name, c.c.Type())
	}
	return &s, nil
}

func float(f float64, bits int) *string {
	if math.IsNaN(f) {
		return nil
	}
	s := strconv.FormatFloat(f+0, 'f', -1, bits) // -0 + 0 is 0
	return &s
}

// problem returns the problem of row i: a text, or what the user says last in a
// chat.
func (p picker) problem(i int) (*string, error) {
	if p.ask.null(i) || p.ask.c.Type().Kind != stream.List {
		return p.ask.text(i)
	}
	turns := p.ask.c.Elem()
	var role, content *stream.Column
	if turns.Type().Kind == stream.Struct {
		role, content = turns.Field("role"), turns.Field("content")
	}
	if role == nil || content == nil || role.Type().Kind != stream.Utf8 || content.Type().Kind != stream.Utf8 {
		return nil, fmt.Errorf("column %s is %v, neither text nor a chat", p.ask.name, p.ask.c.Type())
	}
	lo, hi := p.ask.c.Bounds(i)
	for j := hi - 1; j >= lo; j-- {
		if !turns.Null(j) && role.Text(j) == "user" && !content.Null(j) {
			s := content.Text(j)
			return &s, nil
		}
	}
	return nil, nil
}
