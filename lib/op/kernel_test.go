package op

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// guards hands out memory that ends at an unmapped page, again and again.
type guards struct {
	t    testing.TB
	rows [][]float32
	used int
}

const guardSize = 1 << 20 // float32 in a row of guards

func (g *guards) get(n int) []float32 {
	if g.used == len(g.rows) {
		g.rows = append(g.rows, newGuarded(g.t, guardSize))
	}
	g.used++
	return g.rows[g.used-1][guardSize-n:]
}

// reset takes all rows back.
func (g *guards) reset() { g.used = 0 }

// special are operands at which products go wrong first.
func special() []float32 {
	var x []float32
	for _, u := range []uint32{
		0, 1, 0x7fffff, 0x800000, 0x800001, 0xffffff, 0x1000000, // zero, denormals, the smallest normals
		0x1f800000, 0x1f800001, 0x1fffffff, 0x20000000, // products near 2^-126
		0x3f7fffff, 0x3f800000, 0x3f800001, 0x3fffffff, 0x33800000, 0x34000000, // 1 and its last bits
		0x7f000000, 0x7f7fffff, 0x7f800000, 0x7fc00000, // the largest, Inf, NaN
	} {
		x = append(x, math.Float32frombits(u), math.Float32frombits(u|signBit))
	}
	return x
}

const signBit = 1 << 31

// exactFMA is a·b + c by arbitrary precision, rounded once, flushed.
func exactFMA(a, b, c float32) float32 {
	for _, v := range [...]float64{float64(a), float64(b), float64(c)} {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return float32(float64(a)*float64(b) + float64(c))
		}
	}
	x := new(big.Float).SetPrec(2000).SetFloat64(float64(a))
	x.Mul(x, new(big.Float).SetFloat64(float64(b)))
	if x.Sign() == 0 { // big has signed zeros too, but c decides unless it is one
		return a*b + c
	}
	x.Add(x, new(big.Float).SetFloat64(float64(c)))
	if x.Sign() == 0 {
		return 0
	}
	r := new(big.Float).SetPrec(24).SetMode(big.ToNearestEven).Set(x)
	if r.MantExp(nil) <= -126 { // below 2^-126 after rounding to 24 bits
		return float32(math.Copysign(0, float64(x.Sign())))
	}
	f, _ := r.Float32()
	return f
}

func TestFMA(t *testing.T) {
	check := func(a, b, c float32) {
		a, b, c = flush(a), flush(b), flush(c)
		sameBits(t, []float32{exactFMA(a, b, c)}, []float32{fma32(a, b, c)}, a, b, c)
	}
	s := special()
	for _, a := range s {
		for _, b := range s {
			for _, c := range s {
				check(a, b, c)
			}
		}
	}
	r := newNoise(1)
	for range 20000 {
		a, b := float32(r.NormFloat64()), float32(r.NormFloat64())
		check(a, b, float32(r.NormFloat64()))
		// c so that the sum lies near a midpoint of two float32, and near 2^-126
		p := float64(a) * float64(b)
		check(a, b, float32(-p))
		check(a, b, float32(p*math.Ldexp(1, 20+r.IntN(12))))
		check(a*0x1p-60, b*0x1p-66, float32(-p*0x1p-126))
		check(a*0x1p-63, b*0x1p-63, float32(math.Copysign(0x1p-126, r.NormFloat64())))
	}
}

// TestProductHardware judges the SIMD kernels by arbitrary precision, without
// the generic tier in between: single steps on special operands.
func TestProductHardware(t *testing.T) {
	s := special()
	for _, tier := range runnable() {
		th := &thread{tier: tier}
		for _, a := range s {
			for _, b := range s {
				got := slices.Clone(s)
				th.multiply(product{m: 1, n: len(s), k: 1, a: []float32{a}, right: right{slices.Repeat([]float32{b}, 2*panel), panel, panel}, c: got, add: true})
				for i, c := range s {
					sameBits(t, []float32{exactFMA(flush(a), flush(b), flush(c))}, got[i:i+1], tier.name, a, b, c)
				}
			}
		}
	}
}

// TestProduct compares every tier with the definition: all heights, ragged
// widths and depths, all layouts, operands of all magnitudes, memory that ends at
// an unmapped page.
func TestProduct(t *testing.T) {
	type shape struct{ m, n, k int }
	var shapes []shape
	r := newNoise(3)
	for m := 1; m <= 70; m++ {
		shapes = append(shapes, shape{m, 1 + r.IntN(100), r.IntN(40)})
	}
	for x := 0; x <= 257; x++ {
		shapes = append(shapes, shape{1 + r.IntN(9), 1 + r.IntN(33), x}, shape{1 + r.IntN(9), max(x, 1), r.IntN(9)})
	}
	shapes = append(shapes, shape{340, 3, 2000}) // more than one call of a kernel may do
	fill := func(dst []float32, wild bool) []float32 {
		if wild {
			copy(dst, r.wild(len(dst)))
			for range len(dst) / 50 {
				dst[r.IntN(len(dst))] = special()[r.IntN(len(special()))]
			}
		} else {
			copy(dst, r.floats(len(dst)))
		}
		return dst
	}
	memory := guards{t: t}
	for i, s := range shapes {
		wild := i%2 == 0
		depth := max(s.k, 1)
		for layout := range 4 {
			memory.reset()
			p := product{m: s.m, n: s.n, k: s.k, ci: s.n + r.IntN(3), add: r.IntN(2) == 0}
			if layout&1 == 0 { // A as it is, or transposed
				p.ai, p.al = depth+r.IntN(3), 1
				p.a = fill(memory.get((s.m-1)*p.ai+depth), wild)
			} else {
				p.ai, p.al = 1, s.m+r.IntN(3)
				p.a = fill(memory.get((depth-1)*p.al+s.m), wild)
			}
			if layout&2 == 0 { // B in rows, or in panels
				p.bp, p.bl = panel, s.n+r.IntN(3)
				p.b = fill(memory.get((depth-1)*p.bl+s.n), wild)
			} else {
				p.bp, p.bl = panel*depth, panel
				p.b = fill(memory.get(p.panels()*p.bp), wild)
			}
			before := fill(memory.get((s.m-1)*p.ci+s.n), wild)
			want := slices.Clone(before)
			p.c = want
			(&thread{tier: &generic}).multiply(p)
			for _, tier := range runnable() {
				p.c = memory.get(len(before))
				copy(p.c, before)
				(&thread{tier: tier}).multiply(p)
				sameBits(t, want, p.c, tier.name, s, "layout", layout, "add", p.add)
			}
		}
	}
}

// TestProductDefinition judges the generic tier by the formula, spelled out.
func TestProductDefinition(t *testing.T) {
	const m, n, k = 5, 37, 19
	r := newNoise(4)
	a, b, c := r.wild(m*k), r.wild(k*n), r.wild(m*n)
	want := make([]float32, m*n)
	for i := range m {
		for j := range n {
			want[i*n+j] = flush(c[i*n+j])
			for l := range k {
				want[i*n+j] = fma32(flush(a[i*k+l]), flush(b[l*n+j]), want[i*n+j])
			}
		}
	}
	(&thread{tier: &generic}).multiply(product{m: m, n: n, k: k, a: a, ai: k, al: 1, right: right{b, panel, n}, c: c, ci: n, add: true})
	sameBits(t, want, c)
}

// quarters returns the bits of x as four numbers, or one NaN for any.
func quarters(x float64) (q []float32) {
	if x != x {
		return []float32{float32(x)}
	}
	for u := math.Float64bits(x); len(q) < 4; u >>= 16 {
		q = append(q, float32(u&0xffff))
	}
	return q
}

// rowFunctions calls every row function of a tier on rows that f makes.
func rowFunctions(n int, f func(n int, positive bool) []float32, r noise, t *tier) (rows [][]float32, names []string) {
	add := func(name string, x ...[]float32) {
		for i := range x {
			rows, names = append(rows, x[i]), append(names, fmt.Sprint(name, " ", i))
		}
	}
	rest := r.IntN(40)
	x := f(n+rest, false)
	sum := t.softmax(x, n, 0.3)
	add("softmax", x, []float32{sum})
	x = f(n, false)
	t.scale(x, -0.7)
	add("scale", x)
	add("dot", []float32{t.dot(f(n, false), f(n, false))})
	x = f(n, false)
	p := f(n, false)
	t.dscore(x, p, 0.8, 0.3, 0.25)
	add("dscore", x, p)
	x = f(n, false)
	t.add(x, f(n, false))
	add("add", x)
	x = f(n, false)
	t.swiGLU(x, f(n, false), f(n, false))
	add("swiGLU", x)
	x, y := f(n, false), f(n, false)
	t.swiGLUGrad(x, y, f(n, false), f(n, false), f(n, false))
	add("swiGLUGrad", x, y)
	x = f(n, false)
	add("norm", []float32{t.norm(x, f(n, false), f(n, false), 1e-6)}, x)
	x = f(n, false)
	add("normGrad", []float32{t.normGrad(x, f(n, false), f(n, false), f(n, false), 1e-6)}, x)
	x = f(n, false)
	ld, m := n+r.IntN(3), 1+r.IntN(4)
	t.normGradW(x, f((m-1)*ld+n, false), f((m-1)*ld+n, false), ld, f(m, false))
	add("normGradW", x)
	add("sumSquares", quarters(t.sumSquares(f(n, false))))
	t.fetch(f((m-1)*ld+n, false), ld, m, n)
	x = f(2*n, false)
	t.rotate(x, f(n, false), f(n, false))
	add("rotate", x)
	for _, temp := range []float32{0.7, 1} {
		top, s, d := t.logSum(f(n, false), temp)
		add("logSum", []float32{top}, []float32{s}, []float32{d})
	}
	x = f(n, false)
	t.logGrad(x, 0.7, 1.5, 0.1, 2.2, -0.3, 0.4)
	add("logGrad", x)
	w, g, m1, m2 := f(n, false), f(n, false), f(n, false), f(n, true)
	a := AdamW{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Decay: 0.1, Scale: 0.5, Step: 3}.scalars()
	t.adamW(w, g, m1, m2, &a)
	add("adamW", w, g, m1, m2)
	return rows, names
}

// TestRowFunctions compares every tier with the definition at all lengths, with
// rows that end at an unmapped page, and with ordinary, extreme, and not finite
// elements.
func TestRowFunctions(t *testing.T) {
	memory := guards{t: t}
	for n := 0; n <= 257; n++ {
		for kind := range 3 {
			memory.reset()
			var want [][]float32
			for _, tier := range runnable() {
				r := newNoise(uint64(n))
				f := func(n int, positive bool) []float32 {
					x := memory.get(n)
					copy(x, r.floats(n))
					switch kind {
					case 1:
						copy(x, r.wild(n))
					case 2:
						for range min(n, 2) {
							x[r.IntN(n)] = special()[r.IntN(len(special()))]
						}
						for range n / 8 {
							x[r.IntN(n)] *= 60
						}
					}
					for i := range x {
						if positive && x[i] < 0 {
							x[i] = -x[i]
						}
					}
					return x
				}
				got, names := rowFunctions(n, f, r, tier)
				if want == nil {
					want = got
					continue
				}
				for i := range want {
					sameBits(t, want[i], got[i], tier.name, names[i], "length", n, "kind", kind)
				}
			}
		}
	}
}

// TestCanaries: nothing before or behind a row is written, at any alignment.
func TestCanaries(t *testing.T) {
	const canary = 12345.678
	for _, tier := range runnable() {
		for n := range 40 {
			r := newNoise(uint64(n))
			var all [][]float32
			var at []int
			f := func(n int, _ bool) []float32 {
				lo := 1 + r.IntN(16)
				b := slices.Repeat([]float32{canary}, lo+n+17)
				copy(b[lo:], r.floats(n))
				all, at = append(all, b), append(at, lo, lo+n)
				return b[lo : lo+n]
			}
			rowFunctions(n, f, r, tier)
			c := f(3*n, false)
			(&thread{tier: tier}).multiply(product{m: 3, n: n, k: 5, a: f(15, false), ai: 5, al: 1, right: right{f(5*n, false), panel, n}, c: c, ci: n})
			for i, b := range all {
				for j, v := range b {
					if j < at[2*i] || j >= at[2*i+1] {
						require.EqualValues(t, float32(canary), v, "%s: row %d of length %d, element %d", tier.name, i, at[2*i+1]-at[2*i], j-at[2*i])
					}
				}
			}
		}
	}
}

func TestExp(t *testing.T) {
	worst := 0.0
	for u := uint32(0); u < 0xff800000; u += 1 << 12 {
		x := math.Float32frombits(u)
		got, want := float64(exp32(x)), math.Exp(float64(x))
		switch {
		case x != x:
			require.True(t, math.IsNaN(got))
		case x < expLow:
			require.Zero(t, got)
		case x > expHigh:
			require.Equal(t, exp32(expHigh), exp32(x))
		default:
			worst = max(worst, math.Abs(got-want)/want)
		}
	}
	t.Logf("largest relative error %.3g", worst)
	require.Less(t, worst, 2*0x1p-24*1.5, "about two units in the last place")
	for _, nan := range []uint32{0x7fc00000, 0x7f800001, 0xffffffff, 0x7fc00155} {
		e := exp32(math.Float32frombits(nan))
		require.True(t, e != e, "exp of a NaN of any payload")
	}
}
