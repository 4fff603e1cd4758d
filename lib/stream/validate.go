package stream

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf8"
)

// checkOffsets reports whether offsets are not negative and ascend.
func checkOffsets[T int32 | int64](offsets []T) error {
	last := T(0)
	for i, o := range offsets {
		if o < last {
			return fmt.Errorf("offset %d of row %d is less than %d", o, i, last)
		}
		last = o
	}
	return nil
}

// checkUTF8 reports whether every text of c that is not null is UTF-8.
func checkUTF8(c *Column) error {
	if utf8.Valid(c.data) {
		// All is well if no text starts within a character.
		whole := true
		for _, o := range c.offsets {
			whole = whole && (int(o) == len(c.data) || utf8.RuneStart(c.data[o]))
		}
		if whole {
			return nil
		}
	}
	for i := range c.n {
		if !c.Null(i) && !utf8.Valid(c.data[c.offsets[i]:c.offsets[i+1]]) {
			return fmt.Errorf("row %d is not UTF-8", i)
		}
	}
	return nil
}

// countBits returns the number of set bits among the first n of b.
func countBits(b []byte, n int) int {
	count, i := 0, 0
	for ; i+64 <= n; i += 64 {
		count += bits.OnesCount64(binary.LittleEndian.Uint64(b[i/8:]))
	}
	for ; i < n; i++ {
		if bit(b, i) {
			count++
		}
	}
	return count
}

// checkNulls reports nulls of c, and of what it is made of, that the field does
// not allow. hidden lists the structs around c: where one of them is null, the
// member's value does not exist and may be anything.
func checkNulls(c *Column, f Field, hidden []*Column) error {
	if c.nulls > 0 && !f.Nullable {
	rows:
		for i := range c.n {
			if !c.Null(i) {
				continue
			}
			for _, h := range hidden {
				if h.Null(i) {
					continue rows
				}
			}
			return fmt.Errorf("row %d of %s is null", i, f.Name)
		}
	}
	l, _ := f.Type.layout()
	switch l {
	case lists:
		if err := checkNulls(c.kids[0], f.Type.parts()[0], nil); err != nil {
			return fmt.Errorf("elements of %s: %w", f.Name, err)
		}
	case members:
		if c.nulls > 0 {
			hidden = append(hidden[:len(hidden):len(hidden)], c)
		}
		for i, m := range f.Type.Fields {
			if err := checkNulls(c.kids[i], m, hidden); err != nil {
				return fmt.Errorf("members of %s: %w", f.Name, err)
			}
		}
	}
	return nil
}
