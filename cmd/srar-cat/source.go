package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"srar/lib/rows"
	"srar/lib/stream"
	"srar/lib/table"
	"srar/lib/tool"
)

// source yields batches of one schema; io.EOF after the proven end.
type source interface {
	Schema() *stream.Schema
	Next() (*stream.Batch, error)
	Close() error
}

// open opens the operands, -i, or standard input as one source.
func open(t *tool.Tool, kind string) (source, error) {
	k, err := kindOf(kind)
	if err != nil {
		return nil, err
	}
	paths := t.Args()
	if p := t.InputPath(); p != "" {
		if len(paths) > 0 {
			return nil, tool.Usagef("-i and operands together")
		}
		paths = []string{p}
	}
	if len(paths) == 0 {
		if err := t.CheckStdin(); err != nil {
			return nil, err
		}
		paths = []string{"-"}
	}
	all := &chain{}
	for _, p := range paths {
		var s source
		if p == "-" {
			s, err = openReader(t.Stdin, "stdin", k)
		} else if f, e := os.Open(p); e != nil {
			err = e
		} else {
			s, err = openReader(f, p, k)
		}
		if err == nil && len(all.parts) > 0 {
			err = sameColumns(all.parts[0].Schema(), s.Schema(), p)
		}
		if err != nil {
			return nil, errors.Join(err, all.Close())
		}
		all.parts = append(all.parts, s)
	}
	return all, nil
}

func kindOf(name string) (*rows.Kind, error) {
	if name == "" {
		return nil, nil
	}
	var names []string
	for _, k := range rows.Kinds {
		if k.Name == name {
			return k, nil
		}
		names = append(names, k.Name)
	}
	return nil, tool.Usagef("--kind is one of %s, not %q", strings.Join(names, ", "), name)
}

// openReader tells formats apart by their first bytes. k, where it is known, is
// the kind of the rows of a format that does not say it.
func openReader(f *os.File, name string, k *rows.Kind) (source, error) {
	br := bufio.NewReader(f)
	head, _ := br.Peek(6) // a read error comes again
	if len(head) == 0 || bytes.HasPrefix(head, []byte{0xff, 0xff, 0xff, 0xff}) || bytes.Equal(head, []byte("ARROW1")) {
		if k != nil && len(head) > 0 {
			return nil, tool.Usagef("--kind is for JSON and Parquet; %s says itself what it holds", name)
		}
		r := stream.NewReader(br, name, stream.Limits{})
		s, err := r.Schema()
		if err != nil {
			return nil, err
		}
		return &arrowSource{Reader: r, schema: s, file: f}, nil
	}
	var t *table.File
	var err error
	if name != "stdin" {
		f.Close()
		t, err = table.Open(name)
	} else {
		t, err = table.OpenReader(br, name)
	}
	if err != nil {
		return nil, err
	}
	opts := table.Options{}
	if k != nil {
		for _, c := range k.Columns {
			opts.Types = append(opts.Types, c.Field)
		}
		if slices.ContainsFunc(k.Columns, func(c rows.Column) bool { return c.Name == "rollout" }) {
			opts.Group = "prompt_id"
		}
	}
	r, err := t.Rows(opts)
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	s := *r.Schema()
	if k != nil {
		s.RowKind, s.Version = k.Name, 1
	}
	return &tableSource{Rows: r, schema: &s, file: t}, nil
}

type arrowSource struct {
	*stream.Reader
	schema *stream.Schema
	file   io.Closer
}

func (a *arrowSource) Schema() *stream.Schema { return a.schema }
func (a *arrowSource) Close() error           { return errors.Join(a.Reader.Close(), a.file.Close()) }

type tableSource struct {
	*table.Rows
	schema *stream.Schema
	file   *table.File
}

func (t *tableSource) Schema() *stream.Schema { return t.schema }
func (t *tableSource) Close() error           { return t.file.Close() }

// chain reads several sources of the same columns one after another.
type chain struct {
	parts []source
	at    int
}

func (c *chain) Schema() *stream.Schema { return c.parts[0].Schema() }

func (c *chain) Next() (*stream.Batch, error) {
	for c.at < len(c.parts) {
		b, err := c.parts[c.at].Next()
		if err != io.EOF {
			return b, err
		}
		c.at++
	}
	return nil, io.EOF
}

func (c *chain) Close() error {
	var err error
	for _, p := range c.parts {
		err = errors.Join(err, p.Close())
	}
	return err
}

func sameColumns(a, b *stream.Schema, name string) error {
	if len(a.Fields) != len(b.Fields) {
		return tool.Inputf("%s has %d columns, the first file %d", name, len(b.Fields), len(a.Fields))
	}
	for _, f := range a.Fields {
		i, ok := b.Lookup(f.Name)
		if !ok {
			return tool.Inputf("%s has no column %s, the first file has", name, f.Name)
		}
		if !b.Fields[i].Type.Equal(f.Type) {
			return tool.Inputf("column %s is %s in %s, %s in the first file", f.Name, b.Fields[i].Type, name, f.Type)
		}
	}
	return nil
}

// choice keeps the chosen columns and the first rows of a source.
type choice struct {
	source
	schema *stream.Schema
	left   int64 // rows; negative: all
}

// choose keeps the columns, named with commas between ("": all), and the first
// head rows (negative: all).
func choose(src source, columns string, head int64) (source, error) {
	s := src.Schema()
	if columns != "" {
		own := *s
		own.Fields = nil
		for _, n := range strings.Split(columns, ",") {
			i, ok := s.Lookup(n)
			if !ok {
				return nil, tool.Usagef("no column %s in the input", n)
			}
			own.Fields = append(own.Fields, s.Fields[i])
		}
		s = &own
	}
	return &choice{source: src, schema: s, left: head}, nil
}

func (c *choice) Schema() *stream.Schema { return c.schema }

func (c *choice) Next() (*stream.Batch, error) {
	if c.left == 0 {
		return nil, io.EOF
	}
	b, err := c.source.Next()
	if err != nil {
		return nil, err
	}
	if c.left > 0 && int64(b.Len()) > c.left {
		first := make([]int, c.left)
		for i := range first {
			first[i] = i
		}
		b = b.Take(first)
	}
	if c.left > 0 {
		c.left -= int64(b.Len())
	}
	cols := make([]stream.Named, len(c.schema.Fields))
	for i, f := range c.schema.Fields {
		cols[i] = stream.Named{Name: f.Name, Nullable: f.Nullable, Column: b.Column(f.Name)}
	}
	return stream.NewBatch(b.Len(), cols...), nil
}
