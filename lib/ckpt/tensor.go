package ckpt

import (
	"fmt"
	"slices"

	"srar/lib/gguf"
	"srar/lib/mapped"
)

// Tensor is a tensor in a mapped file, row-major.
type Tensor struct {
	Name  string
	DType DType
	Shape []int
	raw   []byte       // all elements, where they are stored in their order and type
	rows  *gguf.Tensor // what gives them row by row, where not

	merged *lowRank // what an adapter makes of them; nil: nothing
}

// Len returns the number of elements.
func (t Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Bytes returns a copy of the elements' bytes, little-endian.
func (t Tensor) Bytes() ([]byte, error) {
	b := make([]byte, 0, t.Len()*t.DType.Size())
	err := t.pieces(func(piece []byte) error {
		b = append(b, piece...)
		return nil
	})
	return b, err
}

// Float32 returns the elements of an F32, BF16 or F16 tensor as float32,
// which holds all three exactly.
func (t Tensor) Float32() ([]float32, error) {
	if err := t.isFloat(); err != nil {
		return nil, err
	}
	if t.merged != nil {
		return t.merged.float32()
	}
	x := make([]float32, t.Len())
	n, _ := t.rowsOf()
	return x, t.read(x, 0, n)
}

// EachRows calls visit with what Float32 returns of a matrix, n rows at a time and
// the rest, lo being the first. visit must not keep x.
func (t Tensor) EachRows(n int, visit func(lo int, x []float32) error) error {
	if err := t.isFloat(); err != nil {
		return err
	}
	rows, width := t.rowsOf()
	var whole, part []float32
	if t.merged != nil {
		var err error
		if whole, err = t.merged.float32(); err != nil {
			return err
		}
	} else {
		part = make([]float32, min(n, rows)*width)
	}
	for lo := 0; lo < rows; lo += n {
		hi := min(lo+n, rows)
		x := part
		if t.merged != nil {
			x = whole[lo*width : hi*width]
		} else if err := t.read(x, lo, hi); err != nil {
			return err
		}
		if err := visit(lo, x[:(hi-lo)*width]); err != nil {
			return err
		}
	}
	return nil
}

func (t Tensor) isFloat() error {
	if !t.DType.float() {
		return fmt.Errorf("tensor %q is %s; weights are read from F32, BF16 and F16", t.Name, t.DType)
	}
	return nil
}

// rowsOf returns the number of rows that t is read in, and their length.
func (t Tensor) rowsOf() (n, width int) {
	if t.rows != nil {
		return t.rows.Rows()
	}
	if len(t.Shape) == 0 {
		return 1, 1
	}
	n, width = 1, t.Shape[len(t.Shape)-1]
	for _, d := range t.Shape[:len(t.Shape)-1] {
		n *= d
	}
	return n, width
}

// read writes rows [lo, hi) of what is stored to x.
func (t Tensor) read(x []float32, lo, hi int) error {
	_, width := t.rowsOf()
	return t.guard(func() {
		if t.rows == nil {
			decode(x[:(hi-lo)*width], t.raw[lo*width*t.DType.Size():], t.DType)
			return
		}
		for i := range hi - lo {
			t.rows.Float32(x[i*width:(i+1)*width], lo+i)
		}
	})
}

// pieces calls visit with the elements' bytes, little-endian, a part at a time;
// visit must not keep it.
func (t Tensor) pieces(visit func(piece []byte) error) error {
	var buf []byte
	if t.merged != nil {
		x, err := t.merged.float32()
		if err != nil {
			return err
		}
		for part := range slices.Chunk(x, chunk) {
			if buf, err = encode(buf[:0], part, t.DType); err != nil {
				return fmt.Errorf("tensor %q: %w", t.Name, err)
			}
			if err := visit(buf); err != nil {
				return err
			}
		}
		return nil
	}
	if t.rows == nil {
		for raw := range slices.Chunk(t.raw, chunk) {
			if err := t.guard(func() { buf = append(buf[:0], raw...) }); err != nil {
				return err
			}
			if err := visit(buf); err != nil {
				return err
			}
		}
		return nil
	}
	n, width := t.rows.Rows()
	x := make([]float32, width)
	for i := range n {
		err := t.guard(func() {
			if t.rows.Type.Quantised() {
				t.rows.Float32(x, i)
				buf = appendFloats(buf[:0], x)
			} else {
				buf = append(buf[:0], t.rows.Row(i)...)
			}
		})
		if err != nil {
			return err
		}
		if err := visit(buf); err != nil {
			return err
		}
	}
	return nil
}

// guard runs f, which reads t's bytes.
func (t Tensor) guard(f func()) error {
	if err := mapped.Guard(f); err != nil {
		return fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	return nil
}
