package table

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"

	"srar/lib/pages"
	"srar/lib/stream"
)

// Keys under which a Parquet file carries what a stream remembers.
const (
	keyKind    = "srar.kind"
	keyVersion = "srar.version"
	keyHistory = "srar.history"
)

// parquetFile is a Parquet file with the trees of its columns.
type parquetFile struct {
	f     *pages.File
	roots []*node
}

// node is a column of a Parquet file, or a part of one.
type node struct {
	column   *column
	elem     *node // of a list or map: what its repeated group holds
	members  []*node
	convert  func(parquet.Value) (any, error) // of a leaf
	first, n int                              // leaves below, in the order of the file
}

// pageFault makes a fault of what is wrong with a file; read errors pass.
func pageFault(err error) error {
	e, ok := err.(*pages.Error)
	if !ok {
		return err
	}
	kind := Corrupt
	if e.Unsupported {
		kind = Unsupported
	}
	return faultf(kind, "%v", e)
}

// scanParquet reads the metadata.
func (t *File) scanParquet() error {
	f, err := pages.Open(t.f, t.size)
	if err != nil {
		return place(pageFault(err), t.name, -1, 0, "")
	}
	if t.schema, err = remembered(f); err != nil {
		return place(err, t.name, -1, 0, "")
	}
	t.parquet = &parquetFile{f: f}
	for _, c := range f.Columns() {
		n, err := newNode(c)
		if err == nil && memberIndex(t.columns, c.Name) >= 0 {
			err = faultf(Unsupported, "comes twice")
		}
		if err != nil {
			return place(err, t.name, -1, 0, c.Name)
		}
		t.parquet.roots = append(t.parquet.roots, n)
		t.columns = append(t.columns, n.column)
	}
	if len(t.columns) == 0 {
		return place(faultf(Unsupported, "the file has no columns"), t.name, -1, 0, "")
	}
	return nil
}

// remembered reads the row kind and history that WriteParquet stored.
func remembered(f *pages.File) (*stream.Schema, error) {
	s := &stream.Schema{}
	var ok bool
	if s.RowKind, ok = f.Lookup(keyKind); ok {
		version, _ := f.Lookup(keyVersion)
		var err error
		if s.Version, err = strconv.Atoi(version); err != nil {
			return nil, faultf(Corrupt, "%s is %q", keyVersion, version)
		}
	}
	if history, ok := f.Lookup(keyHistory); ok {
		if err := json.Unmarshal([]byte(history), &s.History); err != nil {
			return nil, faultf(Corrupt, "%s is not a history: %v", keyHistory, err)
		}
	}
	return s, nil
}

// newNode makes the tree of a column.
func newNode(e *pages.Node) (*node, error) {
	n := &node{column: &column{name: e.Name, nullable: e.Optional(), mode: strict}, first: e.First, n: e.Leaves}
	var err error
	switch {
	case e.Leaf() && e.Repeated():
		err = faultf(Unsupported, "a repeated field outside of a list")
	case e.Leaf():
		n.convert = leaf(n.column, e.SchemaElement)
	case annotated(e, deprecated.List):
		inner := repeatedGroup(e)
		if inner == nil || len(inner.Children) != 1 {
			return nil, faultf(Unsupported, "a list in the legacy form of two levels")
		}
		n.elem, err = newNode(inner.Children[0])
	case annotated(e, deprecated.Map), annotated(e, deprecated.MapKeyValue):
		inner := repeatedGroup(e)
		if inner == nil {
			return nil, faultf(Unsupported, "a map in an unknown form")
		}
		n.elem = &node{column: &column{name: "entry"}, first: inner.First, n: inner.Leaves}
		err = n.elem.group(inner.Children)
	case e.Repeated():
		err = faultf(Unsupported, "a repeated group outside of a list")
	default:
		err = n.group(e.Children)
	}
	if err != nil {
		return nil, err
	}
	if n.elem != nil {
		n.column.typ = stream.Type{Kind: stream.List}
		n.column.elem = n.elem.column
	}
	return n, nil
}

// repeatedGroup returns the only child of a list or map; nil where that is no
// repeated group.
func repeatedGroup(e *pages.Node) *pages.Node {
	if len(e.Children) != 1 || !e.Children[0].Repeated() || e.Children[0].Leaf() {
		return nil
	}
	return e.Children[0]
}

// group makes n a struct of the members given.
func (n *node) group(members []*pages.Node) error {
	if len(members) == 0 {
		return faultf(Unsupported, "a group without members")
	}
	n.column.typ = stream.Type{Kind: stream.Struct}
	for _, e := range members {
		m, err := newNode(e)
		if err != nil {
			return within(err, "."+e.Name)
		}
		if memberIndex(n.column.members, e.Name) >= 0 {
			return faultf(Unsupported, "member %q comes twice", e.Name)
		}
		n.members = append(n.members, m)
		n.column.members = append(n.column.members, m.column)
	}
	return nil
}

// annotated reports whether a group is a list or map.
func annotated(e *pages.Node, as deprecated.ConvertedType) bool {
	switch e.LogicalType.Value.(type) {
	case *format.ListType:
		return as == deprecated.List
	case *format.MapType:
		return as == deprecated.Map
	}
	return e.ConvertedType.Valid && e.ConvertedType.V == as
}

// assemble makes the value of a node of one row from the values of its leaves.
// rep and def are the repetition and definition level of the node's parent
// (Melnik et al., Dremel, VLDB 2010).
func (n *node) assemble(leaves [][]parquet.Value, rep, def int) (any, error) {
	for _, values := range leaves {
		if len(values) == 0 {
			return nil, faultf(Corrupt, "values are missing")
		}
	}
	level := leaves[0][0].DefinitionLevel()
	if n.column.nullable {
		if def++; level < def {
			return nil, nil
		}
	}
	switch {
	case n.elem != nil:
		return n.assembleList(leaves, rep+1, def+1)
	case n.members != nil:
		o := object{keys: make([]string, len(n.members)), values: make([]any, len(n.members))}
		for i, m := range n.members {
			v, err := m.assemble(leaves[m.first-n.first:][:m.n], rep, def)
			if err != nil {
				return nil, within(err, "."+m.column.name)
			}
			o.keys[i], o.values[i] = m.column.name, v
		}
		return o, nil
	}
	if len(leaves[0]) != 1 || leaves[0][0].IsNull() {
		return nil, faultf(Corrupt, "levels and values do not agree")
	}
	return n.convert(leaves[0][0])
}

// assembleList makes the list of a node; rep and def are the levels at which
// it has a further element, and has elements at all.
func (n *node) assembleList(leaves [][]parquet.Value, rep, def int) (any, error) {
	out := []any{}
	if leaves[0][0].DefinitionLevel() < def {
		return out, nil
	}
	rest := make([][]parquet.Value, len(leaves))
	copy(rest, leaves)
	one := make([][]parquet.Value, len(leaves))
	for len(rest[0]) > 0 {
		for k, values := range rest {
			end := min(1, len(values))
			for end < len(values) && values[end].RepetitionLevel() > rep {
				end++
			}
			one[k], rest[k] = values[:end], values[end:]
		}
		v, err := n.elem.assemble(one, rep, def)
		if err != nil {
			return nil, within(err, "["+strconv.Itoa(len(out))+"]")
		}
		out = append(out, v)
	}
	for _, values := range rest {
		if len(values) > 0 {
			return nil, faultf(Corrupt, "lists of different lengths side by side")
		}
	}
	return out, nil
}

// parquetSource reads the rows of a Parquet file.
type parquetSource struct {
	rows   *pages.Rows
	roots  []*node // of the columns asked for, nil where the file has none
	values []any
}

func (p *parquetFile) rows(names []string) rowSource {
	s := &parquetSource{roots: make([]*node, len(names)), values: make([]any, len(names))}
	last := p.roots[len(p.roots)-1]
	want := make([]bool, last.first+last.n)
	for _, n := range p.roots {
		i := slices.Index(names, n.column.name)
		if i < 0 {
			continue
		}
		s.roots[i] = n
		for k := n.first; k < n.first+n.n; k++ {
			want[k] = true
		}
	}
	s.rows = p.f.Rows(want)
	return s
}

func (s *parquetSource) next() (row, error) {
	leaves, err := s.rows.Next()
	if err != nil {
		return row{}, pageFault(err)
	}
	for i, n := range s.roots {
		if n == nil {
			s.values[i] = missing{}
			continue
		}
		if s.values[i], err = n.assemble(leaves[n.first:][:n.n], 0, 0); err != nil {
			if f, ok := err.(*fault); ok {
				f.column = n.column.name
			}
			return row{}, err
		}
	}
	return row{values: s.values}, nil
}

func (s *parquetSource) close() {}
