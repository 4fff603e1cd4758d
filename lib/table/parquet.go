package table

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"

	"srar/lib/stream"
)

// Keys under which a Parquet file carries what a stream remembers.
const (
	keyKind    = "srar.kind"
	keyVersion = "srar.version"
	keyHistory = "srar.history"
)

// parquetFile is a Parquet file with the tree of its columns.
type parquetFile struct {
	r      io.ReaderAt
	size   int64
	f      *parquet.File
	roots  []*node
	leaves []leafInfo
}

// node is a column of a Parquet file, or a part of one.
type node struct {
	column   *column
	optional bool
	list     bool // an annotated list or map: elem is what its repeated group holds
	elem     *node
	members  []*node
	convert  func(parquet.Value) (any, error) // of a leaf
	first, n int                              // leaves below, in the order of the file
}

// guard calls the library and makes an error of a panic in it.
func guard(call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = faultf(Corrupt, "the file is damaged: %v", p)
		}
	}()
	return call()
}

// corrupt makes a fault of an error of the library; faults pass.
func corrupt(err error) error {
	var f *fault
	if err == nil || errors.As(err, &f) {
		return err
	}
	return faultf(Corrupt, "%v", err)
}

// scanParquet reads the footer.
func (t *File) scanParquet() error {
	p := &parquetFile{r: t.f, size: t.size}
	err := checkFooter(t.f, t.size)
	if err == nil {
		err = guard(func() (err error) {
			p.f, err = parquet.OpenFile(t.f, t.size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
			return corrupt(err)
		})
	}
	if err == nil {
		t.schema, err = remembered(p.f)
	}
	if err != nil {
		return place(err, t.name, -1, 0, "")
	}
	w := walker{elements: p.f.Metadata().Schema[1:]}
	seen := map[string]bool{}
	for _, c := range p.f.Root().Columns() {
		n, err := w.walk(c)
		if err == nil && seen[c.Name()] {
			err = faultf(Unsupported, "comes twice")
		}
		if err != nil {
			return place(err, t.name, -1, 0, c.Name())
		}
		seen[c.Name()] = true
		p.roots = append(p.roots, n)
		t.columns = append(t.columns, n.column)
	}
	if len(p.roots) == 0 {
		return place(faultf(Unsupported, "the file has no columns"), t.name, -1, 0, "")
	}
	p.leaves = w.leaves
	var all []levels
	for _, c := range p.f.Root().Columns() {
		all = levelsOf(all, c, levels{})
	}
	for i, l := range all {
		p.leaves[i].levels = l
		if l.definition > maxLevel || i == maxLeaves || p.leaves[i].length < 0 {
			return place(faultf(Unsupported, "columns nested or numerous beyond reason"), t.name, -1, 0, "")
		}
	}
	t.parquet = p
	return nil
}

// checkFooter checks what the library takes on trust: the length of the footer,
// and the lengths in it.
func checkFooter(r io.ReaderAt, size int64) error {
	if size == 0 {
		return faultf(Corrupt, "the file is empty")
	}
	var b [12]byte
	if size < int64(len(b)) {
		return faultf(Corrupt, "%d bytes are no Parquet file", size)
	}
	if _, err := r.ReadAt(b[:4], 0); err != nil {
		return err
	}
	if _, err := r.ReadAt(b[4:], size-8); err != nil {
		return err
	}
	n := int64(binary.LittleEndian.Uint32(b[4:]))
	switch {
	case string(b[:4]) == "PARE" || string(b[8:]) == "PARE":
		return faultf(Unsupported, "the file is encrypted")
	case string(b[:4]) != "PAR1":
		return faultf(Corrupt, "the file does not begin as Parquet")
	case string(b[8:]) != "PAR1":
		return faultf(Corrupt, "the file does not end as Parquet: cut short?")
	case n > size-12 || n > maxThrift:
		return faultf(Corrupt, "a footer of %d bytes in a file of %d", n, size)
	}
	return checkMetadata(r, size, n)
}

// remembered reads the row kind and history that WriteParquet stored.
func remembered(f *parquet.File) (*stream.Schema, error) {
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

// walker builds the tree of columns. The elements of the schema are in the
// order of the columns, depth first.
type walker struct {
	elements []format.SchemaElement
	leaves   []leafInfo
}

func (w *walker) walk(c *parquet.Column) (*node, error) {
	e := w.elements[0]
	w.elements = w.elements[1:]
	n := &node{optional: c.Optional(), first: len(w.leaves)}
	n.column = &column{name: c.Name(), nullable: n.optional, mode: strict}
	var err error
	switch kids := c.Columns(); {
	case c.Leaf() && c.Repeated():
		err = faultf(Unsupported, "a repeated field outside of a list")
	case c.Leaf():
		w.leaves = append(w.leaves, leafInfo{kind: e.Type.V, length: int(e.TypeLength.V)})
		n.convert, err = leaf(n.column, e)
	case annotated(e, deprecated.List):
		if len(kids) != 1 || !kids[0].Repeated() || kids[0].Leaf() || len(kids[0].Columns()) != 1 {
			return nil, faultf(Unsupported, "a list in the legacy form of two levels")
		}
		w.elements = w.elements[1:]
		n.list = true
		n.elem, err = w.walk(kids[0].Columns()[0])
	case annotated(e, deprecated.Map), annotated(e, deprecated.MapKeyValue):
		if len(kids) != 1 || !kids[0].Repeated() || kids[0].Leaf() {
			return nil, faultf(Unsupported, "a map in an unknown form")
		}
		w.elements = w.elements[1:]
		n.list = true
		n.elem, err = w.group(kids[0])
	case c.Repeated():
		err = faultf(Unsupported, "a repeated group outside of a list")
	default:
		err = w.members(n, c)
	}
	if err != nil {
		return nil, err
	}
	if n.list {
		n.column.typ = stream.Type{Kind: stream.List}
		n.column.elem = n.elem.column
	}
	n.n = len(w.leaves) - n.first
	return n, nil
}

// group makes a struct of the members of a repeated group.
func (w *walker) group(c *parquet.Column) (*node, error) {
	n := &node{column: &column{name: "entry"}, first: len(w.leaves)}
	err := w.members(n, c)
	n.n = len(w.leaves) - n.first
	return n, err
}

func (w *walker) members(n *node, c *parquet.Column) error {
	if len(c.Columns()) == 0 {
		return faultf(Unsupported, "a group without members")
	}
	n.column.typ = stream.Type{Kind: stream.Struct}
	for _, k := range c.Columns() {
		m, err := w.walk(k)
		if err != nil {
			return within(err, "."+k.Name())
		}
		if memberIndex(n.column.members, k.Name()) >= 0 {
			return faultf(Unsupported, "member %q comes twice", k.Name())
		}
		n.members = append(n.members, m)
		n.column.members = append(n.column.members, m.column)
	}
	return nil
}

// annotated reports whether a group is a list or map.
func annotated(e format.SchemaElement, as deprecated.ConvertedType) bool {
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
	if n.optional {
		if def++; level < def {
			return nil, nil
		}
	}
	switch {
	case n.list:
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

// parquetSource reads the rows of a Parquet file, one row group after another.
type parquetSource struct {
	p      *parquetFile
	roots  []*node // of the columns asked for, nil where the file has none
	codecs map[format.CompressionCodec]unpackFunc
	group  int            // row groups opened
	left   int64          // rows of the group to come
	chunks []*chunkReader // of the leaves, nil where nobody asks for them
	values []any
	leaves [][]parquet.Value // of one row
}

func (p *parquetFile) rows(names []string) rowSource {
	s := &parquetSource{
		p: p, roots: make([]*node, len(names)), codecs: pageCodecs(), values: make([]any, len(names)),
		chunks: make([]*chunkReader, len(p.leaves)), leaves: make([][]parquet.Value, len(p.leaves)),
	}
	for i, name := range names {
		for _, n := range p.roots {
			if n.column.name == name {
				s.roots[i] = n
			}
		}
	}
	return s
}

func (s *parquetSource) next() (r row, err error) {
	groups := s.p.f.Metadata().RowGroups
	for s.left == 0 {
		if s.group == len(groups) {
			return r, io.EOF
		}
		s.group++
		if err := s.open(&groups[s.group-1]); err != nil {
			return r, fmt.Errorf("row group %d: %w", s.group-1, err)
		}
	}
	s.left--
	for k, c := range s.chunks {
		if c == nil {
			continue
		}
		if s.leaves[k], err = c.row(s.leaves[k][:0]); err == nil && s.left == 0 {
			err = c.end()
		}
		if err != nil {
			return r, fmt.Errorf("row group %d: %w", s.group-1, err)
		}
	}
	for i, n := range s.roots {
		if n == nil {
			s.values[i] = missing{}
			continue
		}
		v, err := n.assemble(s.leaves[n.first:][:n.n], 0, 0)
		if err != nil {
			var f *fault
			if errors.As(err, &f) {
				f.column = n.column.name
			}
			return r, err
		}
		s.values[i] = v
	}
	return row{values: s.values}, nil
}

// open starts to read a row group.
func (s *parquetSource) open(g *format.RowGroup) error {
	if g.NumRows < 0 || len(g.Columns) != len(s.chunks) {
		return faultf(Corrupt, "%d rows of %d columns in a file of %d", g.NumRows, len(g.Columns), len(s.chunks))
	}
	s.left = g.NumRows
	if s.left == 0 {
		return nil
	}
	for _, n := range s.roots {
		if n == nil {
			continue
		}
		for k := n.first; k < n.first+n.n; k++ {
			var err error
			if s.chunks[k], err = s.p.chunk(&g.Columns[k].MetaData, k, s.codecs); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *parquetSource) close() {}
