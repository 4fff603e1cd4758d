package stream

import (
	"fmt"
	"slices"
)

// Batch is the rows of one record batch: columns of one length. It is immutable
// and owns its memory.
type Batch struct {
	schema *Schema
	cols   []*Column // one for each field of schema
	n      int
}

// Named is a column with its name, for [NewBatch] and [NewStructs]. A column
// that is not Nullable must have no nulls.
type Named struct {
	Name     string
	Nullable bool
	Column   *Column
}

// field returns the field of c in a table of n rows. It panics if c does not fit.
func (c Named) field(n int) Field {
	if c.Column.n != n {
		panic(fmt.Sprintf("stream: column %s has %d rows, want %d", c.Name, c.Column.n, n))
	}
	return Field{Name: c.Name, Type: c.Column.typ, Nullable: c.Nullable}
}

// NewBatch returns a batch of n rows. It panics if a column has another length,
// a name comes twice, or there are nulls where none may be.
func NewBatch(n int, cols ...Named) *Batch {
	return (&Batch{schema: &Schema{}, n: n}).With(cols...)
}

// Len returns the number of rows.
func (b *Batch) Len() int { return b.n }

// Schema returns the columns of b, and what the stream that b was read from
// remembers. It must not be changed.
func (b *Batch) Schema() *Schema { return b.schema }

// Column returns the column of that name, nil if there is none.
func (b *Batch) Column(name string) *Column {
	if i, ok := b.schema.Lookup(name); ok {
		return b.cols[i]
	}
	return nil
}

// With returns b with the given columns: those that are there are replaced in
// place, others follow at the end. It panics as [NewBatch] does.
func (b *Batch) With(cols ...Named) *Batch {
	out := &Batch{schema: b.schema.clone(), cols: slices.Clone(b.cols), n: b.n}
	for k, c := range cols {
		f := c.field(b.n)
		if err := checkNulls(c.Column, f, nil); err != nil {
			panic("stream: " + err.Error())
		}
		if slices.ContainsFunc(cols[:k], func(d Named) bool { return d.Name == c.Name }) {
			panic("stream: column " + c.Name + " is given twice")
		}
		if i, ok := out.schema.Lookup(c.Name); ok {
			out.schema.Fields[i], out.cols[i] = f, c.Column
		} else {
			out.schema.Fields, out.cols = append(out.schema.Fields, f), append(out.cols, c.Column)
		}
	}
	return out
}

// Without returns b without the columns of those names.
func (b *Batch) Without(names ...string) *Batch {
	out := &Batch{schema: b.schema.Without(names...), n: b.n}
	for _, f := range out.schema.Fields {
		out.cols = append(out.cols, b.Column(f.Name))
	}
	return out
}

// Take returns the given rows of every column, in that order, repeats allowed.
// An index out of range panics, and so does a column that passes 2 GiB.
func (b *Batch) Take(rows []int) *Batch {
	var spans []span
	for _, i := range rows {
		if i < 0 || i >= b.n {
			panic(fmt.Sprintf("stream: row %d of %d", i, b.n))
		}
		spans = extend(spans, i, i+1)
	}
	out := &Batch{schema: b.schema, n: len(rows), cols: make([]*Column, len(b.cols))}
	for i, c := range b.cols {
		out.cols[i] = c.take(spans, len(rows))
	}
	return out
}

// span is the rows [lo, hi).
type span struct{ lo, hi int }

// extend appends [lo, hi) to spans, joined to the last one where they touch, so
// that runs of rows are copied at once.
func extend(spans []span, lo, hi int) []span {
	if lo == hi {
		return spans
	}
	if k := len(spans); k > 0 && spans[k-1].hi == lo {
		spans[k-1].hi = hi
		return spans
	}
	return append(spans, span{lo, hi})
}

// take returns the n rows that spans name.
func (c *Column) take(spans []span, n int) *Column {
	out := &Column{typ: c.typ, n: n}
	if c.valid == nil {
		out.nulls = min(c.nulls, 1) * n // the type null
	} else {
		out.valid = takeBits(c.valid, spans, n)
		if out.nulls = n - countBits(out.valid, n); out.nulls == 0 {
			out.valid = nil
		}
	}
	l, width := c.typ.layout()
	switch l {
	case bitmap:
		out.data = takeBits(c.data, spans, n)
	case fixed:
		out.data = make([]byte, 0, n*width)
		for _, s := range spans {
			out.data = append(out.data, c.data[s.lo*width:s.hi*width]...)
		}
	case texts, lists:
		var inner []span
		total := 0
		out.offsets = make([]int32, 1, n+1)
		for _, s := range spans {
			base := total - int(c.offsets[s.lo])
			for _, o := range c.offsets[s.lo+1 : s.hi+1] {
				total = base + int(o)
				out.offsets = append(out.offsets, offset32(total))
			}
			inner = extend(inner, int(c.offsets[s.lo]), int(c.offsets[s.hi]))
		}
		if l == lists {
			out.kids = []*Column{c.kids[0].take(inner, total)}
			break
		}
		out.data = make([]byte, 0, total)
		for _, s := range inner {
			out.data = append(out.data, c.data[s.lo:s.hi]...)
		}
	case fixedList:
		var inner []span
		for _, s := range spans {
			inner = extend(inner, s.lo*width, s.hi*width)
		}
		out.kids = []*Column{c.kids[0].take(inner, n*width)}
	case members:
		for _, k := range c.kids {
			out.kids = append(out.kids, k.take(spans, n))
		}
	}
	return out
}

func takeBits(b []byte, spans []span, n int) []byte {
	out := make([]byte, (n+7)/8)
	j := 0
	for _, s := range spans {
		for i := s.lo; i < s.hi; i++ {
			if bit(b, i) {
				out[j>>3] |= 1 << (j & 7)
			}
			j++
		}
	}
	return out
}
