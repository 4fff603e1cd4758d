package op

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestProductBF16 compares every tier with the definition in BF16: all heights,
// ragged widths and depths, transposed left operands, cut reductions, operands of
// all magnitudes, results that end at an unmapped page.
func TestProductBF16(t *testing.T) {
	type shape struct{ m, n, k int }
	var shapes []shape
	r := newNoise(3)
	for m := 1; m <= 70; m++ {
		shapes = append(shapes, shape{m, 1 + r.IntN(300), r.IntN(80)})
	}
	for x := 0; x <= 257; x++ {
		shapes = append(shapes, shape{1 + r.IntN(9), 1 + r.IntN(33), x}, shape{1 + r.IntN(9), max(x, 1), r.IntN(9)})
	}
	shapes = append(shapes, shape{60, 3, 2000}, shape{3, 70, 1100}, shape{1, 230, 4200})
	fill := func(dst []float32, wild bool) []float32 {
		copy(dst, r.floats(len(dst)))
		if wild {
			copy(dst, r.wild(len(dst)))
			for range len(dst) / 50 {
				dst[r.IntN(len(dst))] = special()[r.IntN(len(special()))]
			}
		}
		return dst
	}
	memory := guards{t: t}
	for i, s := range shapes {
		wild := i%2 == 0
		for layout := range 4 {
			memory.reset()
			p := product{m: s.m, n: s.n, k: s.k, ci: s.n + r.IntN(3), add: r.IntN(2) == 0}
			if layout&1 == 0 { // A as it is, or transposed
				p.ai, p.al = s.k+r.IntN(3), 1
				p.a = fill(memory.get(max(0, (s.m-1)*p.ai+s.k)), wild)
			} else {
				p.ai, p.al = 1, s.m+r.IntN(3)
				p.a = fill(memory.get(max(0, (s.k-1)*p.al+s.m)), wild)
				if s.k > 1 && r.IntN(2) == 0 {
					at := r.IntN(s.k)
					p.seq = []Span{{0, at}, {at, s.k}}
				}
			}
			ld, depth := s.n, max(s.k, 1)
			if layout&2 != 0 {
				ld = depth
			}
			b := fill(memory.get(s.n*depth), wild)
			before := fill(memory.get((s.m-1)*p.ci+s.n), wild)
			var want []float32
			for _, tier := range withEmulated() {
				th := &thread{tier: tier, numerics: BF16}
				switch {
				case layout&2 != 0 && p.seq == nil:
					p.right = th.columns(memory.get(BF16.columnsLen(depth, s.n)), b, ld, depth, s.n)
				case p.seq == nil:
					p.right = th.rows(memory.get(BF16.rowsLen(depth, s.n)), b, ld, depth, s.n)
				default:
					c := newCPU(tier, 1, BF16)
					p.right = c.packPanels(memory.get(panels(s.n)*panel*p.depth()/2), b, s.n, s.n, p.seq)
					c.Close()
				}
				p.c = memory.get(len(before))
				copy(p.c, before)
				th.multiply(p)
				if want == nil {
					want = slices.Clone(p.c)
				}
				sameBits(t, want, p.c, tier.name, s, "layout", layout, "add", p.add, "spans", p.seq)
			}
		}
	}
}

// TestProductDefinitionBF16 judges the generic tier by the formula, spelled out.
func TestProductDefinitionBF16(t *testing.T) {
	const m, n, k = 3, 37, 75
	r := newNoise(4)
	a, b, c := r.wild(m*k), r.wild(k*n), r.wild(m*n)
	at := func(x []float32, row, ld, l int) float32 { // of a block of 32, zero beyond k
		if l >= k {
			return 0
		}
		return math.Float32frombits(bf16(x[row+l*ld]))
	}
	want := make([]float32, m*n)
	for i := range m {
		for j := range n {
			sum := flush(c[i*n+j])
			for l := 0; l < k; l += 32 {
				var e, o float32
				for x := range 16 {
					e = fma32(at(a, i*k, 1, l+2*x), at(b, j, n, l+2*x), e)
					o = fma32(at(a, i*k, 1, l+2*x+1), at(b, j, n, l+2*x+1), o)
				}
				sum = flush(sum + flush(e+o))
			}
			want[i*n+j] = sum
		}
	}
	th := &thread{tier: &generic, numerics: BF16}
	rows := th.rows(make([]float32, BF16.rowsLen(k, n)), b, n, k, n)
	th.multiply(product{m: m, n: n, k: k, a: a, ai: k, al: 1, right: rows, c: c, ci: n, add: true})
	sameBits(t, want, c)
}

// TestProductHardwareBF16 judges the SIMD kernels by arbitrary precision, without
// the generic tier in between: each kind of step on special operands.
func TestProductHardwareBF16(t *testing.T) {
	var s []float32
	for _, v := range special() {
		s = append(s, math.Float32frombits(bf16(v)))
	}
	c := special()
	for _, tier := range runnable() {
		th := &thread{tier: tier, numerics: BF16}
		for l := range 4 { // upper and lower halves of the words of e and o
			for _, a := range s {
				for _, b := range s {
					var left [4]float32
					left[l] = a
					row := slices.Repeat([]float32{0}, 4*len(c))
					for i := range c {
						row[l*len(c)+i] = b
					}
					got := slices.Clone(c)
					right := th.rows(make([]float32, BF16.rowsLen(4, len(c))), row, len(c), 4, len(c))
					th.multiply(product{m: 1, n: len(c), k: 4, a: left[:], ai: 4, al: 1, right: right, c: got, ci: len(c), add: true})
					sum := exactFMA(0, 0, exactFMA(a, b, 0)) // the product, and a zero after it
					for i, v := range c {
						want := exactFMA(1, flush(v), sum)
						sameBits(t, []float32{want}, got[i:i+1], tier.name, l, a, b, v)
					}
				}
			}
		}
	}
}

// TestBF16 judges rounding by arithmetic.
func TestBF16(t *testing.T) {
	for u := uint32(0); u < 1<<32-1<<13; u += 1<<13 - 1 {
		x := math.Float32frombits(u)
		got := math.Float32frombits(bf16(x))
		f, e := math.Frexp(float64(x))
		want := float32(math.Ldexp(math.RoundToEven(math.Ldexp(f, 8)), e-8)) // 8 bits
		if math.Abs(float64(x)) < 0x1p-126 {
			want = float32(math.Copysign(0, float64(x)))
		}
		sameBits(t, []float32{want}, []float32{got}, x)
		require.Zero(t, bf16(x)&0xffff)
	}
}

// TestRounding compares every tier with the definition at all lengths, with rows
// that end at an unmapped page.
func TestRounding(t *testing.T) {
	memory := guards{t: t}
	for n := range 258 {
		memory.reset()
		r := newNoise(uint64(n))
		x := memory.get(4 * (n + 3))
		copy(x, r.wild(len(x)))
		for range n / 4 {
			x[r.IntN(len(x))] = math.Float32frombits(r.Uint32())
			x[r.IntN(len(x))] = special()[r.IntN(len(special()))]
		}
		rest := r.IntN(20)
		before := r.wild(n)
		results := func(round, pairs func(dst, x []float32), weave func(dst []float32, stride int, x []float32, ld, n int), put func(dst, x []float32, upper bool)) [][]float32 {
			r := [][]float32{memory.get(n + rest), memory.get(padded(n) / 2), memory.get(2*n + 5), memory.get(n), memory.get(n)}
			round(r[0], x[len(x)-n:])
			pairs(r[1], x[len(x)-n:])
			weave(r[2], n+5, x[3:], n+3, n)
			for i, upper := range []bool{false, true} {
				copy(r[3+i], before)
				put(r[3+i], x[len(x)-n:], upper)
			}
			return r
		}
		for _, tier := range withEmulated() {
			want := results(roundGeneric, tier.order.pairs, tier.order.weave, putGeneric)
			got := results(tier.round, tier.pairs, tier.weave, tier.put)
			for i := range want {
				for j := range want[i] {
					w, g := math.Float32bits(want[i][j]), math.Float32bits(got[i][j])
					require.Equal(t, w, g, "%s: length %d, result %d, element %d", tier.name, n, i, j)
				}
			}
		}
	}
}
