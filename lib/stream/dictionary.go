package stream

import (
	"errors"
	"fmt"
	"math"

	"srar/lib/ipc"
)

// dictionary holds the values of dictionary-encoded columns.
type dictionary struct {
	value  *wire
	values *Column // nil until a dictionary batch brings them
}

// size returns the bytes that d holds.
func (d *dictionary) size() int64 {
	if d.values == nil {
		return 0
	}
	return int64(len(d.values.data) + 4*len(d.values.offsets) + len(d.values.valid))
}

// load takes the values of a dictionary batch, or more of them (delta).
func (d *dictionary) load(m *ipc.Message, lim Limits, dec *ipc.Decoders) error {
	data := m.Table.Table(1)
	if !data.Present() {
		return errors.New("its values are missing")
	}
	l, err := newLoader(data, m.Body, lim, dec)
	if err != nil {
		return err
	}
	cols, err := l.columns([]*wire{d.value})
	if err != nil {
		return err
	}
	if d.values == nil || m.Table.Int(2, 1, 0) == 0 {
		d.values = cols[0]
		return nil
	}
	return d.values.grow(cols[0])
}

// grow appends the rows of more, texts or values of fixed width. It appends in
// place, so that many small deltas take linear time; whoever reads dictionaries
// copies the values.
func (c *Column) grow(more *Column) error {
	n := c.n + more.n
	if c.nulls+more.nulls > 0 {
		if c.valid == nil {
			c.valid = packBits(make([]bool, c.n))
			for i := range c.valid {
				c.valid[i] = 0xff
			}
		}
		for i := range more.n {
			j := c.n + i
			if j>>3 == len(c.valid) {
				c.valid = append(c.valid, 0)
			}
			c.valid[j>>3] &^= 1 << (j & 7)
			if !more.Null(i) {
				c.valid[j>>3] |= 1 << (j & 7)
			}
		}
	}
	if kind, width := c.typ.layout(); kind == fixed {
		c.data = append(c.data[:c.n*width], more.data[:more.n*width]...)
	} else {
		base := len(c.data)
		if base+len(more.data) > math.MaxInt32 {
			return errors.New("dictionary passes 2 GiB")
		}
		c.data = append(c.data, more.data...)
		for _, o := range more.offsets[1:] {
			c.offsets = append(c.offsets, o+int32(base))
		}
	}
	c.n, c.nulls = n, c.nulls+more.nulls
	return nil
}

// dictionaries are those of one stream, by id.
type dictionaries struct {
	byID map[int64]*dictionary
	held int64 // bytes of all
}

// load reads a DictionaryBatch message.
func (ds *dictionaries) load(m *ipc.Message, lim Limits, dec *ipc.Decoders) error {
	id := m.Table.Int(0, 8, 0)
	d := ds.byID[id]
	if d == nil {
		return fmt.Errorf("dictionary %d belongs to no column", id)
	}
	ds.held -= d.size()
	if err := d.load(m, lim, dec); err != nil {
		return fmt.Errorf("dictionary %d: %w", id, err)
	}
	if ds.held += d.size(); ds.held > lim.Decoded {
		return fmt.Errorf("dictionaries pass %d bytes", lim.Decoded)
	}
	return nil
}
