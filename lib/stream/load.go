package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"srar/lib/ipc"
)

// loader turns the body of one record or dictionary batch into columns that
// share its memory. Nothing comes out that has not been checked.
type loader struct {
	*ipc.Batch
	maxRows int64
}

// newLoader prepares to load the RecordBatch t with the given body.
func newLoader(t ipc.Table, body []byte, lim Limits, d *ipc.Decoders) (*loader, error) {
	b, err := d.Batch(t, body, lim.Decoded)
	if err == nil && (b.Rows < 0 || b.Rows > lim.Rows) {
		err = fmt.Errorf("batch of %d rows, limit is %d", b.Rows, lim.Rows)
	}
	return &loader{b, lim.Rows}, err
}

// columns loads all columns of the batch.
func (l *loader) columns(wires []*wire) ([]*Column, error) {
	out := make([]*Column, len(wires))
	for i, w := range wires {
		c, err := l.column(w)
		if err == nil && int64(c.n) != l.Rows {
			err = fmt.Errorf("%d rows in a batch of %d", c.n, l.Rows)
		}
		if err == nil {
			err = checkNulls(c, w.field, nil)
		}
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", w.field.Name, err)
		}
		out[i] = c
	}
	return out, l.End()
}

// column loads the next column, which is laid out as w.
func (l *loader) column(w *wire) (*Column, error) {
	length, nulls, err := l.Node()
	if err != nil {
		return nil, err
	}
	if length < 0 || length > l.maxRows || nulls < 0 || nulls > length {
		return nil, fmt.Errorf("%d rows with %d nulls, limit is %d", length, nulls, l.maxRows)
	}
	n := int(length)
	c := &Column{typ: w.field.Type, n: n, nulls: int(nulls)}
	if w.layout == nothing {
		c.nulls = n
		return c, nil
	}
	if err := l.validity(c); err != nil {
		return nil, err
	}
	switch {
	case w.dict != nil:
		index, err := l.Buffer(length * int64(w.width))
		if err != nil {
			return nil, err
		}
		return c, l.decode(c, w, index)
	case w.view:
		err = l.views(c)
	case w.layout == bitmap:
		c.data, err = l.Buffer((length + 7) / 8)
	case w.layout == fixed:
		c.data, err = l.Buffer(length * int64(w.width))
	case w.layout == texts:
		err = l.texts(c, w)
	case w.layout == lists:
		err = l.lists(c, w)
	default:
		err = l.kids(c, w)
	}
	if err == nil && c.typ.Kind == Utf8 {
		err = checkUTF8(c)
	}
	return c, err
}

// validity loads the bitmap of c and compares it with the declared null count.
func (l *loader) validity(c *Column) error {
	b, err := l.Buffer(0)
	if err != nil {
		return err
	}
	if len(b) == 0 && c.nulls == 0 {
		return nil
	}
	if len(b) < (c.n+7)/8 {
		return fmt.Errorf("validity of %d bytes for %d rows", len(b), c.n)
	}
	if nulls := c.n - countBits(b, c.n); nulls != c.nulls {
		return fmt.Errorf("%d nulls, declared are %d", nulls, c.nulls)
	}
	if c.nulls > 0 {
		c.valid = b[:(c.n+7)/8]
	}
	return nil
}

// offsets loads the offsets of n texts or lists. It returns them from 0, and
// the range [lo, hi) of bytes or elements that they divide. An empty column may
// have none.
func (l *loader) offsets(n int, large bool) (offsets []int32, lo, hi int64, err error) {
	width := 4
	if large {
		width = 8
	}
	b, err := l.Buffer(0)
	if err != nil {
		return nil, 0, 0, err
	}
	if len(b) == 0 && n == 0 {
		return []int32{0}, 0, 0, nil
	}
	if len(b) < width*(n+1) {
		return nil, 0, 0, fmt.Errorf("offsets of %d bytes for %d rows", len(b), n)
	}
	if large {
		return rebase(l, cast[int64](b)[:n+1])
	}
	if offsets = cast[int32](b)[: n+1 : n+1]; offsets[0] != 0 {
		return rebase(l, offsets)
	}
	return offsets, 0, int64(offsets[n]), checkOffsets(offsets)
}

// rebase copies offsets so that they start at 0 and have 32 bits.
func rebase[T int32 | int64](l *loader, in []T) (offsets []int32, lo, hi int64, err error) {
	if err := checkOffsets(in); err != nil {
		return nil, 0, 0, err
	}
	if lo, hi = int64(in[0]), int64(in[len(in)-1]); hi-lo > math.MaxInt32 {
		return nil, 0, 0, fmt.Errorf("%d bytes or elements in one batch, limit is 2 GiB", hi-lo)
	}
	if err := l.Spend(4 * int64(len(in))); err != nil {
		return nil, 0, 0, err
	}
	offsets = make([]int32, len(in))
	for i, o := range in {
		offsets[i] = int32(int64(o) - lo)
	}
	return offsets, lo, hi, nil
}

func (l *loader) texts(c *Column, w *wire) error {
	offsets, lo, hi, err := l.offsets(c.n, w.large)
	if err != nil {
		return err
	}
	data, err := l.Buffer(hi)
	if err != nil {
		return err
	}
	c.offsets, c.data = offsets, data[lo:hi:hi]
	return nil
}

func (l *loader) lists(c *Column, w *wire) error {
	offsets, lo, hi, err := l.offsets(c.n, w.large)
	if err != nil {
		return err
	}
	kid, err := l.column(w.kids[0])
	if err != nil {
		return fmt.Errorf("elements: %w", err)
	}
	if hi > int64(kid.n) {
		return fmt.Errorf("offset %d is beyond the %d elements that are there", hi, kid.n)
	}
	if lo > 0 || hi < int64(kid.n) {
		kid = kid.take(extend(nil, int(lo), int(hi)), int(hi-lo))
	}
	c.offsets, c.kids = offsets, []*Column{kid}
	return nil
}

// kids loads the members of structs and the elements of lists of fixed size.
func (l *loader) kids(c *Column, w *wire) error {
	want := int64(c.n)
	if w.layout == fixedList {
		want *= int64(w.width)
	}
	for _, k := range w.kids {
		kid, err := l.column(k)
		if err == nil && int64(kid.n) != want {
			err = fmt.Errorf("%d rows, want %d", kid.n, want)
		}
		if err != nil {
			return fmt.Errorf("member %s: %w", k.field.Name, err)
		}
		c.kids = append(c.kids, kid)
	}
	return nil
}

// views loads texts of the view layout and lays them out with offsets.
func (l *loader) views(c *Column) error {
	views, err := l.Buffer(16 * int64(c.n))
	if err != nil {
		return err
	}
	count, err := l.Variadic()
	if err != nil {
		return err
	}
	data := make([][]byte, count)
	for i := range data {
		if data[i], err = l.Buffer(0); err != nil {
			return err
		}
	}
	return l.gather(c, func(i int) ([]byte, error) {
		v := views[16*i : 16*i+16]
		n := int64(int32(binary.LittleEndian.Uint32(v)))
		if n >= 0 && n <= 12 {
			return v[4 : 4+n], nil
		}
		k, off := binary.LittleEndian.Uint32(v[8:]), int64(binary.LittleEndian.Uint32(v[12:]))
		if n < 0 || int64(k) >= count || off+n > int64(len(data[k])) {
			return nil, fmt.Errorf("view of row %d is out of range", i)
		}
		return data[k][off : off+n], nil
	})
}

// gather makes c, texts or values of fixed width, of the bytes that at returns
// for each row that is not null.
func (l *loader) gather(c *Column, at func(i int) ([]byte, error)) error {
	kind, width := c.typ.layout()
	var total int64
	for i := range c.n {
		if !c.Null(i) {
			b, err := at(i)
			if err != nil {
				return err
			}
			total += int64(len(b))
		}
	}
	if kind == fixed {
		total = int64(c.n) * int64(width)
	}
	if err := l.Spend(total + 4*int64(c.n+1)); err != nil {
		return err
	}
	if kind == texts && total > math.MaxInt32 {
		return fmt.Errorf("%d bytes of text in one batch, limit is 2 GiB", total)
	}
	c.data = raw(make([]int64, (total+7)/8))[:0:total]
	c.offsets = make([]int32, 1, c.n+1)
	for i := range c.n {
		if !c.Null(i) {
			b, _ := at(i)
			c.data = append(c.data, b...)
		} else if kind == fixed {
			c.data = c.data[:len(c.data)+width]
		}
		c.offsets = append(c.offsets, int32(len(c.data)))
	}
	if kind == fixed {
		c.offsets = nil
	}
	return nil
}

// decode makes c of the values that the indices of a dictionary-encoded column
// stand for. A row whose value is null becomes null.
func (l *loader) decode(c *Column, w *wire, index []byte) error {
	dict := w.dict.values
	if dict == nil {
		if c.nulls < c.n {
			return errors.New("no dictionary has come for it")
		}
		dict = &Column{typ: c.typ, offsets: []int32{0}}
	}
	kind, width := c.typ.layout()
	value := func(i int) (row int, err error) {
		b := index[i*w.width:]
		var x uint64
		switch w.width {
		case 1:
			x = uint64(b[0])
		case 2:
			x = uint64(binary.LittleEndian.Uint16(b))
		case 4:
			x = uint64(binary.LittleEndian.Uint32(b))
		case 8:
			x = binary.LittleEndian.Uint64(b)
		}
		// A negative index is beyond every dictionary too.
		if x >= uint64(dict.n) {
			return 0, fmt.Errorf("row %d has index %d of a dictionary of %d", i, x, dict.n)
		}
		return int(x), nil
	}
	if dict.nulls > 0 {
		null := make([]bool, c.n)
		for i := range c.n {
			null[i] = c.Null(i)
			if !null[i] {
				row, err := value(i)
				if err != nil {
					return err
				}
				null[i] = dict.Null(row)
			}
		}
		*c = *column(c.typ, c.n, nil, null)
	}
	return l.gather(c, func(i int) ([]byte, error) {
		row, err := value(i)
		if err != nil {
			return nil, err
		}
		if kind == fixed {
			return dict.data[row*width : (row+1)*width], nil
		}
		return dict.data[dict.offsets[row]:dict.offsets[row+1]], nil
	})
}
