package op

import (
	"math"
	"slices"
	"sort"
	"sync"
)

// Block8 is the number of elements that share a scale in 8-bit moments.
const Block8 = 256

// Codes8 returns the float32 that hold n 8-bit codes, Scales8 the number of
// scales: what [Backend.AdamW8] takes for n elements.
func Codes8(n int) int  { return (n + 3) / 4 }
func Scales8(n int) int { return (n + Block8 - 1) / Block8 }

// signed8 and unsigned8 are the numbers that the codes 0..255 of a first and of
// a second moment stand for, times the block's scale: dynamic quantisation
// (Dettmers et al. 2021, arXiv 2110.02861, sections 1.3 and 2.2). Decade e of 7,
// (10^-e-1, 10^-e], is cut into 2^(6-e) equal cells for either sign, or 2^(7-e)
// where there is no sign; a code stands for the middle of its cell. 0 and 1 have
// codes of their own.
var signed8, unsigned8 = dynamic8(true), dynamic8(false)

func dynamic8(signed bool) (table [256]float32) {
	values := []float64{0, 1}
	for e := range 7 {
		cells, top := 1<<(7-e), math.Pow10(-e)
		if signed {
			cells /= 2
		}
		for i := range cells {
			x := top * (0.1 + 0.9*(float64(i)+0.5)/float64(cells))
			values = append(values, x)
			if signed {
				values = append(values, -x)
			}
		}
	}
	slices.Sort(values)
	for i, x := range values {
		table[i] = float32(x)
	}
	return table
}

// Decode8 returns the number that a code stands for, before its block's scale.
func Decode8(code byte, signed bool) float32 {
	if signed {
		return signed8[code]
	}
	return unsigned8[code]
}

// border8 finds the code whose number is nearest.
type border8 struct {
	middle [255]float32 // between each number of the table and the next
	// start holds for the upper 15 bits of a float32 the code of the lowest number
	// that begins with them.
	start [1 << 15]uint8
}

// Made when first asked for: few commands train.
var (
	signedBorder8   = sync.OnceValue(func() *border8 { return borders8(&signed8) })
	unsignedBorder8 = sync.OnceValue(func() *border8 { return borders8(&unsigned8) })
)

func borders8(table *[256]float32) *border8 {
	b := &border8{}
	for i := range b.middle {
		b.middle[i] = float32((float64(table[i]) + float64(table[i+1])) / 2)
	}
	for i := range b.start {
		low := uint32(i) << 17
		if i >= 1<<14 {
			low |= 1<<17 - 1 // the lowest of negative numbers has the highest bits
		}
		x := math.Float32frombits(low)
		b.start[i] = uint8(sort.Search(len(b.middle), func(k int) bool { return x <= b.middle[k] }))
	}
	return b
}

// nearest returns the code of the number nearest to x in [-1, 1], the lower one
// where x lies on a border.
func (b *border8) nearest(x float32) int {
	i := int(b.start[math.Float32bits(x)>>17])
	for i < len(b.middle) && x > b.middle[i] {
		i++
	}
	return i
}

// adamW8 is one step with 8-bit moments, its items blocks of Block8.
type adamW8 struct {
	p, g           []float32
	m, v           []float32 // codes, four to a word, the first in the lowest byte
	mScale, vScale []float32
	s              adamScalars
}

func (c *cpu) AdamW8(p, g, m, v, mScale, vScale Buf, a AdamW) {
	n := p.Len()
	equal("AdamW8", n, g.Len())
	for _, b := range [...]Buf{m, v} {
		equal("AdamW8", Codes8(n), b.Len())
	}
	for _, b := range [...]Buf{mScale, vScale} {
		equal("AdamW8", Scales8(n), b.Len())
	}
	c.split(Scales8(n), Block8*20, &adamW8{p.data, g.data, m.data, v.data, mScale.data, vScale.data, a.scalars()})
}

func (a *adamW8) do(t *thread, lo, hi int) {
	var m, v [Block8]float32
	for b := lo; b < hi; b++ {
		from, to := b*Block8, min((b+1)*Block8, len(a.p))
		n := to - from
		mc, vc := a.m[from/4:Codes8(to)], a.v[from/4:Codes8(to)]
		decode8(m[:n], mc, a.mScale[b], &signed8)
		decode8(v[:n], vc, a.vScale[b], &unsigned8)
		t.tier.adamW(a.p[from:to], a.g[from:to], m[:n], v[:n], &a.s)
		a.mScale[b] = encode8(mc, m[:n], signedBorder8(), 0)
		// A second moment that is not zero is never stored as zero: the step would
		// divide by epsilon.
		a.vScale[b] = encode8(vc, v[:n], unsignedBorder8(), 1)
	}
}

func decode8(x, codes []float32, scale float32, table *[256]float32) {
	for i := range x {
		x[i] = scale * table[math.Float32bits(codes[i/4])>>(8*(i%4))&0xff]
	}
}

// encode8 writes the codes of x and returns their scale, the largest magnitude.
// What is not zero has a code of at least least.
func encode8(codes, x []float32, border *border8, least int) (scale float32) {
	for _, f := range x {
		scale = max(scale, float32(math.Abs(float64(f))))
	}
	zero := border.nearest(0)
	for w := range codes {
		var word uint32
		for k, f := range x[4*w : min(4*w+4, len(x))] {
			code := zero
			if f != 0 {
				code = max(border.nearest(f/scale), least)
			}
			word |= uint32(code) << (8 * k)
		}
		codes[w] = math.Float32frombits(word)
	}
	return scale
}
