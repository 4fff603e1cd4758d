package op

import (
	"fmt"
	"math"
)

// Numerics is one of the two definitions of a matrix product. All else is
// float32 in both.
type Numerics uint8

const (
	// F32 computes c = fma(a[k], b[k], c) for k = 0, 1, ..., from +0 or from the
	// stored c.
	F32 Numerics = iota
	// BF16 rounds both operands of every product, in attention and in backward
	// passes too, to bfloat16 (to nearest even; denormals to zero) and adds in
	// float32 in blocks of 32 k, the last one filled with zeros. In a block
	//
	//	e = o = +0
	//	for j = 0..15: e = fma(a[2j], b[2j], e); o = fma(a[2j+1], b[2j+1], o)
	//	c = c + (e + o)
	//
	// which is what the matrix units of processors do.
	BF16
)

func (n Numerics) String() string {
	switch n {
	case F32:
		return "f32"
	case BF16:
		return "bf16"
	}
	return fmt.Sprintf("Numerics(%d)", uint8(n))
}

// reduction is the number of k that are added before they reach c in BF16.
const reduction = 32

// padded returns k rounded up to whole blocks of a reduction.
func padded(k int) int { return (k + reduction - 1) / reduction * reduction }

// order is how operands of BF16 lie in memory, in words of two. A word is a
// float32 of which only the bits matter; k numbers take k/2.
type order uint8

const (
	// fours: word 0 of four successive k has k in its upper half and k+2 in its
	// lower one, word 1 has k+1 and k+3. So the words in even places are those of e,
	// the others those of o, and an instruction that takes the upper half first
	// (VDPBF16PS) takes them in order.
	fours order = iota
	// twos: a word has k in its lower half and k+1 in its upper one, so that e takes
	// the lower halves and o the upper ones (TDPBF16PS).
	twos
)

// place returns the word that has k, and in which half.
func (o order) place(k int) (word int, upper bool) {
	if o == twos {
		return k / 2, k%2 == 1
	}
	return k/4*2 + k%2, k%4 < 2
}

// bf16 returns x rounded to bfloat16 in the upper half of a word. A denormal
// becomes a zero of its sign, a NaN stays one.
func bf16(x float32) uint32 {
	u := math.Float32bits(x)
	switch {
	case u&0x7f800000 == 0:
		return u & 0x80000000
	case x != x:
		return u&0xffff0000 | 0x00400000
	}
	return (u + 0x7fff + u>>16&1) & 0xffff0000
}

// put writes x rounded into one half of a word.
func put(word *float32, upper bool, x float32) {
	u := math.Float32bits(*word)
	if upper {
		u = u&0xffff | bf16(x)
	} else {
		u = u&0xffff0000 | bf16(x)>>16
	}
	*word = math.Float32frombits(u)
}

// roundGeneric writes x rounded to bfloat16, as float32, and zeros behind it.
func roundGeneric(dst, x []float32) {
	for i, v := range x {
		dst[i] = math.Float32frombits(bf16(v))
	}
	clear(dst[len(x):])
}

// putGeneric writes x rounded into one half of each word of dst.
func putGeneric(dst, x []float32, upper bool) {
	for i, v := range x {
		put(&dst[i], upper, v)
	}
}

// pairs writes x as words, and zeros behind it. dst holds whole eights of words.
func (o order) pairs(dst, x []float32) {
	clear(dst)
	for k, v := range x {
		w, upper := o.place(k)
		put(&dst[w], upper, v)
	}
}

// weave writes four rows of n numbers, ld apart, as two rows of words, stride
// apart.
func (o order) weave(dst []float32, stride int, x []float32, ld, n int) {
	for k := range 4 {
		w, upper := o.place(k)
		putGeneric(dst[w*stride:], x[k*ld:][:n], upper)
	}
}

// right is the right operand B [k, n] of a product, in panels of 32 columns:
//
//	F32   B(l, j) = b[j/32*bp + l*bl + j%32]
//	BF16  words: that of B(l, j) is b[j/32*bp + s*bl + j%32], s the place of l
//
// In BF16 rows are padded to whole blocks, and columns to 16.
type right struct {
	b      []float32
	bp, bl int
}

// height returns the number of rows of a panel that hold a reduction of k.
func (n Numerics) height(k int) int {
	if n == F32 {
		return k
	}
	return padded(k) / 2
}

// rowsLen returns the memory that rows needs.
func (n Numerics) rowsLen(k, cols int) int {
	if n == F32 {
		return 0
	}
	return n.columnsLen(k, cols)
}

// columnsLen returns the memory that columns needs.
func (n Numerics) columnsLen(k, cols int) int { return panels(cols) * panel * n.height(k) }

// rows makes the right operand whose row l is x[l*ld:], l < k. F32 takes it as it
// is, BF16 packs it into dst.
func (t *thread) rows(dst, x []float32, ld, k, cols int) right {
	if t.numerics == F32 {
		return right{x, panel, ld}
	}
	r := right{dst, panel * t.numerics.height(k), panel}
	for p := range panels(cols) {
		t.weave(r.b[p*r.bp:], panel, x[p*panel:], ld, k, min(panel, cols-p*panel))
	}
	return r
}

// columns packs the right operand whose column j is x[j*ld:], k long.
func (t *thread) columns(dst, x []float32, ld, k, cols int) right {
	r := right{dst, panel * t.numerics.height(k), panel}
	for p := range panels(cols) {
		t.column(r.b[p*r.bp:], x[p*panel*ld:], ld, k, min(panel, cols-p*panel))
	}
	return r
}

// column packs one panel of columns.
func (t *thread) column(dst, x []float32, ld, k, cols int) {
	if t.numerics == F32 {
		t.pack(dst, x, ld, cols, k)
		return
	}
	height := t.numerics.height(k)
	words := t.words.take(cols * height)
	for j := range cols {
		t.tier.pairs(words[j*height:][:height], x[j*ld:][:k])
	}
	t.pack(dst, words, height, cols, height)
}

// weave writes k rows of x, n numbers each, as padded(k)/2 rows of words, stride
// apart.
func (t *thread) weave(dst []float32, stride int, x []float32, ld, k, n int) {
	l := 0
	for ; l+4 <= k; l += 4 {
		t.tier.weave(dst[l/2*stride:], stride, x[l*ld:], ld, n)
	}
	if l < k {
		rest := t.words.take(4 * n)
		clear(rest)
		for r := range k - l {
			copy(rest[r*n:][:n], x[(l+r)*ld:])
		}
		t.tier.weave(dst[l/2*stride:], stride, rest, n, n)
		l += 4
	}
	for s := l / 2; s < padded(k)/2; s++ {
		clear(dst[s*stride:][:n])
	}
}

// productBF16Generic is the definition of the product in [BF16]. The left operand
// is rounded and, as the right one, padded to whole blocks.
func productBF16Generic(t *thread, p *product, i0, i1, j0, j1 int) {
	for j := j0; j < j1; j++ {
		w := min(panel, p.n-j*panel)
		b := p.b[j*p.bp:]
		for i := i0; i < i1; i++ {
			c := p.c[i*p.ci+j*panel:][:w]
			for x, v := range c {
				if p.add {
					c[x] = flush(v)
				} else {
					c[x] = 0
				}
			}
			for l0 := 0; l0 < p.k; l0 += reduction {
				var sum [2][panel]float32 // e, o
				for l := l0; l < l0+reduction; l++ {
					a, chain := p.a[i*p.ai+l*p.al], &sum[l%2]
					word, upper := t.tier.order.place(l)
					for x, v := range b[word*p.bl:][:w] {
						u := math.Float32bits(v)
						if !upper {
							u <<= 16
						}
						chain[x] = fma32(a, math.Float32frombits(u&0xffff0000), chain[x])
					}
				}
				for x := range c {
					c[x] = flush(c[x] + flush(sum[0][x]+sum[1][x]))
				}
			}
		}
	}
}
