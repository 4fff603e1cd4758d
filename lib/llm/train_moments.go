package llm

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"srar/lib/ckpt"
	"srar/lib/op"
)

// eightFrom is the number of elements from which on a parameter has 8-bit
// moments, where these are asked for: below, they save nothing and cost precision
// (Dettmers et al. 2021, arXiv 2110.02861).
const eightFrom = 4096

// moments are the first and second moments of parameters, by parameter.
type moments struct {
	be           op.Backend
	params       []param
	mean, square []op.Buf // float32, or codes where there are scales
	meanScale    []op.Buf // of 8-bit moments; empty for the others
	squareScale  []op.Buf
}

func newMoments(be op.Backend, params []param, eight bool) moments {
	m := moments{be: be, params: params}
	values, scales := 0, 0
	for _, p := range params {
		v, s := momentSize(p.n, eight)
		values, scales = values+roundUp(v), scales+roundUp(s)
	}
	for _, part := range []struct {
		values, scales *[]op.Buf
	}{{&m.mean, &m.meanScale}, {&m.square, &m.squareScale}} {
		v, s := be.New(values), be.New(scales)
		for _, p := range params {
			nv, ns := momentSize(p.n, eight)
			*part.values, v = append(*part.values, v.Slice(0, nv)), v.Slice(roundUp(nv), v.Len())
			*part.scales, s = append(*part.scales, s.Slice(0, ns)), s.Slice(roundUp(ns), s.Len())
		}
	}
	return m
}

// momentSize returns the float32 that one moment of n elements takes.
func momentSize(n int, eight bool) (values, scales int) {
	if eight && n >= eightFrom {
		return op.Codes8(n), op.Scales8(n)
	}
	return n, 0
}

// eight reports whether parameter i has 8-bit moments.
func (m *moments) eight(i int) bool { return m.meanScale[i].Len() > 0 }

// step moves master by the gradient, both laid out by the parameters.
func (m *moments) step(master, grad op.Buf, a op.AdamW) {
	for i := range m.params {
		p, g := m.params[i].of(master), m.params[i].of(grad)
		if m.eight(i) {
			m.be.AdamW8(p, g, m.mean[i], m.square[i], m.meanScale[i], m.squareScale[i], a)
		} else {
			m.be.AdamW(p, g, m.mean[i], m.square[i], a)
		}
	}
}

// State lists what optimizer.safetensors holds of a trainer: the moments NAME.m
// and NAME.v of each parameter NAME, and NAME itself where the checkpoint stores
// fewer than 32 bits, as float32. Moments in 8 bits are codes (U8, in the
// parameter's shape) with scales NAME.m.scale and NAME.v.scale (float32), one for
// each [op.Block8] elements: a moment is scale · [op.Decode8] of its code. The
// values are read when they are written, a tensor at a time, and hold until the
// next is asked for; no Step may come between.
func (t *Trainer) State() []ckpt.Array {
	var list []ckpt.Array
	for i, p := range t.params {
		for _, part := range t.moments.parts(i) {
			if part.codes {
				list = append(list, ckpt.Array{Name: part.name, DType: ckpt.U8, Shape: p.shape(), Bytes: func() []byte {
					return codeBytes(t.borrow(part.mem), p.n)
				}})
				continue
			}
			list = append(list, ckpt.Array{Name: part.name, DType: ckpt.F32, Shape: part.shape(p), Floats: func() []float32 { return t.borrow(part.mem) }})
		}
		if p.precision != ckpt.F32 {
			list = append(list, ckpt.Array{Name: p.name, DType: ckpt.F32, Shape: p.shape(), Floats: func() []float32 { return t.Weight(p.name) }})
		}
	}
	return list
}

// part is one of the tensors that the moments of a parameter are stored as.
type part struct {
	name   string
	mem    op.Buf
	codes  bool
	scales bool
	signed bool
}

func (m *moments) parts(i int) []part {
	name := m.params[i].name
	list := []part{{name: name + ".m", mem: m.mean[i], signed: true}, {name: name + ".v", mem: m.square[i]}}
	if m.eight(i) {
		list[0].codes, list[1].codes = true, true
		list = append(list,
			part{name: name + ".m.scale", mem: m.meanScale[i], scales: true},
			part{name: name + ".v.scale", mem: m.squareScale[i], scales: true})
	}
	return list
}

func (s *part) shape(p param) []int {
	if s.scales {
		return []int{s.mem.Len()}
	}
	return p.shape()
}

func (p *param) shape() []int {
	if p.out == 0 {
		return []int{p.n}
	}
	return []int{p.out, p.in}
}

// Weight returns the float32 master of the named parameter, which holds until
// the next call of this or of a function of State; nil where the trainer moves none
// of that name.
func (t *Trainer) Weight(name string) []float32 {
	for i := range t.params {
		if p := &t.params[i]; p.name == name {
			return t.borrow(p.of(t.master))
		}
	}
	return nil
}

// borrow reads mem to memory that is used again.
func (t *Trainer) borrow(mem op.Buf) []float32 {
	t.host = slices.Grow(t.host[:0], mem.Len())[:mem.Len()]
	t.m.be.Read(t.host, mem)
	return t.host
}

// codeBytes takes n codes out of words of four; words is the other way.
func codeBytes(words []float32, n int) []byte {
	b := make([]byte, 0, 4*len(words))
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(w))
	}
	return b[:n]
}

func codeWords(b []byte) []float32 {
	var last [4]byte
	copy(last[:], b[len(b)/4*4:])
	words := make([]float32, 0, op.Codes8(len(b)))
	for ; len(b) >= 4; b = b[4:] {
		words = append(words, math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	if len(b) > 0 {
		words = append(words, math.Float32frombits(binary.LittleEndian.Uint32(last[:])))
	}
	return words
}

// Restore goes on from an earlier trainer's state: its number of steps, and
// what its State wrote to opt. It must come before the first Accumulate. Moments
// in another number of bits are a [BitsError].
func (t *Trainer) Restore(step int64, opt *ckpt.File) error {
	if step < 0 {
		return fmt.Errorf("restore optimiser: step is %d", step)
	}
	for i, p := range t.params {
		for _, s := range t.moments.parts(i) {
			if err := t.restore(opt, s, p.n); err != nil {
				return fmt.Errorf("restore optimiser: %w", err)
			}
		}
		if p.precision == ckpt.F32 {
			continue // the weights are their own master
		}
		if err := t.restore(opt, part{name: p.name, mem: p.of(t.master), signed: true}, p.n); err != nil {
			return fmt.Errorf("restore optimiser: %w", err)
		}
	}
	t.steps = step
	if t.rounded {
		return t.sync()
	}
	return nil
}

// BitsError is the error of moments that are stored otherwise than asked for.
type BitsError struct{ Name string }

func (e *BitsError) Error() string {
	return e.Name + " is of an optimiser with moments in another number of bits"
}

// restore reads one tensor of the state; n is the number of the parameter's elements.
func (t *Trainer) restore(opt *ckpt.File, s part, n int) error {
	x, err := opt.Tensor(s.name)
	if err != nil {
		return err
	}
	if (x.DType == ckpt.U8) != s.codes {
		return &BitsError{s.name}
	}
	want := s.mem.Len()
	if s.codes {
		want = n
	}
	if x.Len() != want {
		return fmt.Errorf("%s has %d elements, not %d", s.name, x.Len(), want)
	}
	if s.codes {
		b, err := x.Bytes()
		if err == nil {
			t.m.be.Write(s.mem, codeWords(b))
		}
		return err
	}
	v, err := x.Float32()
	if err != nil {
		return err
	}
	for k, f := range v {
		if !finite(f) || f < 0 && !s.signed {
			return fmt.Errorf("%s: element %d is %v", s.name, k, f)
		}
	}
	t.m.be.Write(s.mem, v)
	return nil
}
