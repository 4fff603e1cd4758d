package table

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"

	"github.com/parquet-go/parquet-go"

	"srar/lib/stream"
)

// rowGroupBytes is about how many bytes of values one row group holds.
const rowGroupBytes = 64 << 20

// WriteParquet writes the batches that next returns, until it returns io.EOF,
// as a Parquet file with the columns of s, compressed with zstd. Row kind and
// history of s are kept as metadata of the file. Columns of kind
// [stream.Other] become text, as they print. Errors of next are returned as they
// are; after any error the file has no footer, and nobody reads it as complete.
func WriteParquet(w io.Writer, s *stream.Schema, next func() (*stream.Batch, error)) error {
	if len(s.Fields) == 0 {
		return errors.New("table: Parquet has no tables without columns")
	}
	p := &parquetWriter{s: s}
	root := group{}
	for _, f := range s.Fields {
		n, err := p.node(f, 0)
		if err != nil {
			return fmt.Errorf("table: column %s: %w", f.Name, err)
		}
		p.roots = append(p.roots, n)
		root.fields = append(root.fields, field{n.schema, f.Name})
	}
	options := []parquet.WriterOption{
		parquet.NewSchema("rows", root), parquet.Compression(&parquet.Zstd),
	}
	if s.RowKind != "" {
		options = append(options, parquet.KeyValueMetadata(keyKind, s.RowKind),
			parquet.KeyValueMetadata(keyVersion, strconv.Itoa(s.Version)))
	}
	if len(s.History) > 0 {
		history, err := json.Marshal(s.History)
		if err != nil {
			return fmt.Errorf("table: %w", err)
		}
		options = append(options, parquet.KeyValueMetadata(keyHistory, string(history)))
	}
	p.w = parquet.NewGenericWriter[any](w, options...)
	for {
		b, err := next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := p.write(b); err != nil {
			return fmt.Errorf("table: parquet: %w", err)
		}
	}
	if err := p.w.Close(); err != nil {
		return fmt.Errorf("table: parquet: %w", err)
	}
	return nil
}

// parquetWriter writes batches of one schema.
type parquetWriter struct {
	s      *stream.Schema
	w      *parquet.GenericWriter[any] // given rows as values, not as any
	roots  []*outNode
	leaves [][]parquet.Value // of one row
	size   int               // bytes of the row group so far
	err    error             // the first null where the schema has none
}

// outNode is a column of the file, or a part of one.
type outNode struct {
	schema   parquet.Node
	f        stream.Field
	elem     *outNode
	members  []*outNode
	first, n int // leaves below
	level    int // of repetition of the elements of a list
}

// node plans the nodes of a field below level lists, and counts its leaves.
func (p *parquetWriter) node(f stream.Field, level int) (*outNode, error) {
	n := &outNode{f: f, first: len(p.leaves), level: level}
	var err error
	switch f.Type.Kind {
	case stream.List:
		n.level++
		if n.elem, err = p.node(*f.Type.Elem, n.level); err != nil {
			return nil, err
		}
		n.schema = listOf(n.elem.schema)
	case stream.Struct:
		g := group{}
		for _, m := range f.Type.Fields {
			k, err := p.node(m, level)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.Name, err)
			}
			n.members = append(n.members, k)
			g.fields = append(g.fields, field{k.schema, m.Name})
		}
		if len(g.fields) == 0 {
			return nil, fmt.Errorf("%v: Parquet has no structs without members", f.Type)
		}
		n.schema = g
	default:
		n.schema = leafOf(f.Type.Kind)
		p.leaves = append(p.leaves, nil)
	}
	if f.Nullable {
		n.schema = parquet.Optional(n.schema)
	}
	n.n = len(p.leaves) - n.first
	return n, nil
}

func leafOf(k stream.Kind) parquet.Node {
	switch k {
	case stream.Bool:
		return parquet.Leaf(parquet.BooleanType)
	case stream.Int32:
		return parquet.Leaf(parquet.Int32Type)
	case stream.Int64:
		return parquet.Leaf(parquet.Int64Type)
	case stream.Uint64:
		return parquet.Uint(64)
	case stream.Float32:
		return parquet.Leaf(parquet.FloatType)
	case stream.Float64:
		return parquet.Leaf(parquet.DoubleType)
	}
	return parquet.String()
}

// group is a group whose fields keep their order, which parquet.Group sorts.
type group struct {
	parquet.Group
	fields []parquet.Field
}

func (g group) Fields() []parquet.Field { return g.fields }

// GoType is not used: rows are written as values.
func (g group) GoType() reflect.Type { return reflect.TypeFor[struct{}]() }

type field struct {
	parquet.Node
	name string
}

func (f field) Name() string { return f.name }

func (f field) Value(reflect.Value) reflect.Value {
	panic("table: rows are written as values")
}

// list is a group annotated as a list.
type list struct{ group }

func (list) Type() parquet.Type { return parquet.List(parquet.String()).Type() }

func listOf(elem parquet.Node) parquet.Node {
	inner := group{fields: []parquet.Field{field{elem, "element"}}}
	return list{group{fields: []parquet.Field{field{parquet.Repeated(inner), "list"}}}}
}

// write writes the rows of a batch.
func (p *parquetWriter) write(b *stream.Batch) error {
	columns := make([]*stream.Column, len(p.s.Fields))
	for i, f := range p.s.Fields {
		if columns[i] = b.Column(f.Name); columns[i] == nil || !columns[i].Type().Equal(f.Type) {
			return fmt.Errorf("a batch without column %s of %v", f.Name, f.Type)
		}
	}
	var row parquet.Row
	for i := range b.Len() {
		for k := range p.leaves {
			p.leaves[k] = p.leaves[k][:0]
		}
		for k, n := range p.roots {
			p.put(n, columns[k], i, 0, 0)
		}
		if p.err != nil {
			return fmt.Errorf("row %d of a batch: %w", i, p.err)
		}
		row = row[:0]
		for _, values := range p.leaves {
			row = append(row, values...)
		}
		if _, err := p.w.WriteRows([]parquet.Row{row}); err != nil {
			return err
		}
	}
	if p.size < rowGroupBytes {
		return nil
	}
	p.size = 0
	return p.w.Flush()
}

// put appends the values of row i of c to the leaves of n, with the levels of
// Dremel: rep is the level at which the row repeats, def what is defined above.
func (p *parquetWriter) put(n *outNode, c *stream.Column, i, rep, def int) {
	if c.Null(i) {
		if !n.f.Nullable && p.err == nil {
			p.err = fmt.Errorf("null in %s, which has none", n.f.Name)
		}
		p.nulls(n, rep, def)
		return
	}
	if n.f.Nullable {
		def++
	}
	switch n.f.Type.Kind {
	case stream.List:
		lo, hi := c.Bounds(i)
		if lo == hi {
			p.nulls(n, rep, def)
		}
		for j := lo; j < hi; j++ {
			p.put(n.elem, c.Elem(), j, rep, def+1)
			rep = n.level
		}
	case stream.Struct:
		for _, m := range n.members {
			p.put(m, c.Field(m.f.Name), i, rep, def)
		}
	default:
		v := leafValue(c, i)
		p.size += 8
		if v.Kind() == parquet.ByteArray {
			p.size += len(v.ByteArray())
		}
		p.leaves[n.first] = append(p.leaves[n.first], v.Level(rep, def, n.first))
	}
}

// nulls marks all leaves below n as not defined.
func (p *parquetWriter) nulls(n *outNode, rep, def int) {
	for k := n.first; k < n.first+n.n; k++ {
		p.leaves[k] = append(p.leaves[k], parquet.NullValue().Level(rep, def, k))
	}
}

func leafValue(c *stream.Column, i int) parquet.Value {
	switch c.Type().Kind {
	case stream.Bool:
		return parquet.BooleanValue(c.Bool(i))
	case stream.Int32:
		return parquet.Int32Value(c.Int32s()[i])
	case stream.Int64:
		return parquet.Int64Value(c.Int64s()[i])
	case stream.Uint64:
		return parquet.Int64Value(int64(c.Uint64s()[i]))
	case stream.Float32:
		return parquet.FloatValue(c.Float32s()[i])
	case stream.Float64:
		return parquet.DoubleValue(c.Float64s()[i])
	case stream.Utf8:
		return parquet.ByteArrayValue([]byte(c.Text(i)))
	}
	text := c.AppendJSON(nil, i)
	if bytes.HasPrefix(text, []byte(`"`)) {
		var s string
		if err := json.Unmarshal(text, &s); err == nil {
			text = []byte(s)
		}
	}
	return parquet.ByteArrayValue(text)
}
