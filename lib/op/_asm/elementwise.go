package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The kernels here compute what the functions of the same names in vector.go
// define, operation by operation, every one rounded by itself; the mode of the
// processor stays as Go has it. n is any number of elements, 0 included.

// The constants of exp32, and some more.
const (
	expLow  = -87.33
	expHigh = 88
	log2e   = 1.44269504088896341
	ln2Hi   = 0.693359375
	ln2Lo   = -2.12194440054690583e-4
	shifter = 1.5*(1<<23) + 127
)

var expPolynomial = [...]float32{0.0013814540579915047, 0.00836874544620514, 0.04166838899254799, 0.1666652113199234, 0.4999999403953552}

var expConstants = append([]float32{expLow, expHigh, log2e, ln2Hi, ln2Lo, shifter, 1, minusInf}, expPolynomial[:]...)

var minusInf = float32(math.Inf(-1))

// expOps holds the constants of exp32 as operands.
type expOps struct {
	simd
	low, log2e, ln2Hi, ln2Lo, shifter, one Op
	high                                   reg.VecVirtual
	c                                      [5]Op
}

func (s simd) exp() *expOps {
	e := &expOps{simd: s}
	e.low, e.log2e, e.ln2Hi, e.ln2Lo = s.constant(expLow), s.constant(log2e), s.constant(ln2Hi), s.constant(ln2Lo)
	e.shifter, e.one = s.constant(shifter), s.constant(1)
	e.high = s.register(expHigh)
	for i, c := range expPolynomial {
		e.c[i] = s.constant(c)
	}
	return e
}

// register returns v in all lanes of a register.
func (s simd) register(v float32) reg.VecVirtual {
	r := s.reg()
	VMOVUPS(table.at.Offset(table.known[math.Float32bits(v)]), r)
	return r
}

// of returns exp32(x).
func (e *expOps) of(x reg.VecVirtual) reg.VecVirtual {
	const notLess = 21 // NLT_UQ: also true for NaN
	var k reg.OpmaskVirtual
	var m reg.VecVirtual
	if e.halves == 1 {
		k = K()
		VCMPPS(U8(notLess), e.low, x, k)
	} else {
		m = YMM()
		VCMPPS(U8(notLess), e.low, x, m)
	}
	r := e.reg()
	VMINPS(x, e.high, r) // x if that is NaN
	t := e.times(r, e.log2e)
	VADDPS(e.shifter, t, t)
	n := e.minus(t, e.shifter)
	VSUBPS(e.times(n, e.ln2Hi), r, r)
	VMULPS(e.ln2Lo, n, n)
	VSUBPS(n, r, r)
	p := e.times(r, e.c[0])
	VADDPS(e.c[1], p, p)
	for _, c := range e.c[2:] {
		VMULPS(r, p, p)
		VADDPS(c, p, p)
	}
	VMULPS(e.times(r, r), p, p)
	VADDPS(r, p, p)
	VADDPS(e.one, p, p)
	VPSLLD(U8(23), t, t)
	if e.halves == 1 {
		VMULPS_Z(t, p, k, p)
	} else {
		VMULPS(t, p, p)
		VANDPS(m, p, p)
	}
	return p
}

// max returns the largest element of a row in lane 0.
func (s simd) max(n, x reg.GPVirtual) reg.VecVirtual {
	low := s.register(minusInf)
	m := make([]reg.VecVirtual, s.halves)
	for h := range m {
		m[h] = s.register(minusInf)
	}
	s.each(n, func(p part) {
		v := p.loadElse(x, low)
		VMAXPS(m[p.h], v, m[p.h]) // the old value if v is NaN
	})
	r := s.fold(m, VMAXPS, VMAXSS)
	zero := XMM()
	VXORPS(zero, zero, zero)
	VADDSS(zero, r, r)
	return r
}

func (s simd) softmax() {
	s.begin("softmax", "func(x *float32, n int, scale float32) float32", "computes softmaxGeneric but for the elements behind n.")
	x, n := param("x"), param("n")
	m := s.max(n, x)
	scale := s.broadcast("scale")
	VMULSS(scale.AsX(), m.AsX(), m.AsX())
	m = s.spread(m)
	sum := s.sums()
	e := s.exp()
	s.each(n, func(p part) {
		v := p.load(x)
		VMULPS(scale, v, v)
		VSUBPS(m, v, v)
		y := e.of(v)
		p.keep(y)
		VADDPS(y, sum[p.h], sum[p.h])
		p.store(y, x)
	})
	Store(s.sum(sum).AsX(), ReturnIndex(0))
	s.end()
}

func (s simd) scale() {
	s.begin("scale", "func(x *float32, n int, s float32)", "computes scaleGeneric.")
	x, n := param("x"), param("n")
	f := s.broadcast("s")
	zero := s.reg()
	VXORPS(zero.AsX(), zero.AsX(), zero.AsX())
	s.each(n, func(p part) {
		v := p.load(x)
		VMULPS(f, v, v)
		VADDPS(zero, v, v)
		p.store(v, x)
	})
	s.end()
}

func (s simd) dot() {
	s.begin("dot", "func(x, y *float32, n int) float32", "computes dotGeneric.")
	x, y, n := param("x"), param("y"), param("n")
	sum := s.sums()
	s.each(n, func(p part) {
		v := p.load(x)
		VMULPS(p.load(y), v, v)
		VADDPS(v, sum[p.h], sum[p.h])
	})
	Store(s.sum(sum).AsX(), ReturnIndex(0))
	s.end()
}

func (s simd) dscore() {
	s.begin("dscore", "func(d, p *float32, n int, inv, dot, scale float32)", "computes dscoreGeneric.")
	d, prob, n := param("d"), param("p"), param("n")
	inv, dot, scale := s.broadcast("inv"), s.broadcast("dot"), s.broadcast("scale")
	s.each(n, func(p part) {
		w := p.load(prob)
		VMULPS(inv, w, w)
		p.store(w, prob)
		v := p.load(d)
		VSUBPS(dot, v, v)
		VMULPS(w, v, v)
		VMULPS(scale, v, v)
		p.store(v, d)
	})
	s.end()
}

// fetch writes a kernel for m rows of n bytes, ld bytes apart.
func fetch() {
	begin("fetch", "func(x *float32, ld, m, n int)", "asks for the cache lines of m rows of n bytes, ld bytes apart.")
	x, ld, m, n := param("x"), param("ld"), param("m"), param("n")
	line := GP64()
	Label("row")
	XORQ(line, line)
	Label("line")
	PREFETCHT0(Mem{Base: x, Index: line, Scale: 1})
	ADDQ(U8(64), line)
	CMPQ(line, n)
	JL(LabelRef("line"))
	ADDQ(ld, x)
	DECQ(m)
	JNZ(LabelRef("row"))
	RET()
}

func (s simd) add() {
	s.begin("add", "func(y, x *float32, n int)", "computes addGeneric.")
	y, x, n := param("y"), param("x"), param("n")
	s.each(n, func(p part) {
		v := p.load(y)
		VADDPS(p.load(x), v, v)
		p.store(v, y)
	})
	s.end()
}

// onePlusExpMinus returns 1 + e^-v.
func (e *expOps) onePlusExpMinus(v reg.VecVirtual, sign Op) reg.VecVirtual {
	x := e.reg()
	VXORPS(sign, v, x)
	d := e.of(x)
	VADDPS(e.one, d, d)
	return d
}

func (s simd) swiGLU() {
	s.begin("swiGLU", "func(y, gate, u *float32, n int)", "computes swiGLUGeneric.")
	y, g, u, n := param("y"), param("gate"), param("u"), param("n")
	e, sign := s.exp(), s.bits(signBit)
	s.each(n, func(p part) {
		v := p.load(g)
		VDIVPS(e.onePlusExpMinus(v, sign), v, v)
		VMULPS(p.load(u), v, v)
		p.store(v, y)
	})
	s.end()
}

func (s simd) swiGLUGrad() {
	s.begin("swiGLUGrad", "func(dg, du, dy, gate, u *float32, n int)", "computes swiGLUGradGeneric.")
	dg, du, dy, g, u, n := param("dg"), param("du"), param("dy"), param("gate"), param("u"), param("n")
	e, sign := s.exp(), s.bits(signBit)
	one := s.register(1)
	s.each(n, func(p part) {
		v := p.load(g)
		sigma := s.over(one, e.onePlusExpMinus(v, sign))
		d := p.load(dy)
		w := s.times(d, s.times(v, sigma))
		x := s.minus(one, sigma)
		VMULPS(v, x, x)
		VADDPS(one, x, x)
		VMULPS(p.load(u), d, d)
		VMULPS(sigma, d, d)
		VMULPS(d, x, x)
		p.store(w, du)
		p.store(x, dg)
	})
	s.end()
}

// norm32 turns the sum of squares in lane 0 into 1/√(sum/d + eps).
func (s simd) norm32(sum reg.VecVirtual) reg.VecVirtual {
	r := sum.AsX()
	VDIVSS(Load(Param("d"), XMM()), r, r)
	VADDSS(Load(Param("eps"), XMM()), r, r)
	VSQRTSS(r, r, r)
	one := XMM()
	VMOVSS(table.at.Offset(table.known[math.Float32bits(1)]), one)
	VDIVSS(r, one, one)
	return one
}

// squares returns the sum of the squares of a row.
func (s simd) squares(n, x reg.GPVirtual) reg.VecVirtual {
	sum := s.sums()
	s.each(n, func(p part) {
		v := p.load(x)
		VMULPS(v, v, v)
		VADDPS(v, sum[p.h], sum[p.h])
	})
	return s.sum(sum)
}

func (s simd) norm() {
	s.begin("norm", "func(y, x, w *float32, n int, d, eps float32) float32", "computes normGeneric, d being n.")
	y, x, w, n := param("y"), param("x"), param("w"), param("n")
	r := s.norm32(s.squares(n, x))
	Store(r.AsX(), ReturnIndex(0))
	b := s.spread(r)
	s.each(n, func(p part) {
		v := p.load(x)
		VMULPS(b, v, v)
		VMULPS(p.load(w), v, v)
		p.store(v, y)
	})
	s.end()
}

func (s simd) normGrad() {
	s.begin("normGrad", "func(dx, dy, x, w *float32, n int, d, eps float32) float32", "computes normGradGeneric, d being n.")
	dx, dy, x, w, n := param("dx"), param("dy"), param("x"), param("w"), param("n")
	r := s.norm32(s.squares(n, x)).AsX()
	Store(r, ReturnIndex(0))
	sum := s.sums()
	s.each(n, func(p part) {
		v := p.load(dy)
		VMULPS(p.load(w), v, v)
		VMULPS(p.load(x), v, v)
		VADDPS(v, sum[p.h], sum[p.h])
	})
	k := s.sum(sum).AsX()
	VDIVSS(Load(Param("d"), XMM()), k, k)
	cube := XMM()
	VMULSS(r, r, cube)
	VMULSS(r, cube, cube)
	VMULSS(k, cube, k)
	rr, kk := s.spread(r.(reg.VecVirtual)), s.spread(k.(reg.VecVirtual))
	s.each(n, func(p part) {
		v := p.load(dy)
		VMULPS(p.load(w), v, v)
		VMULPS(rr, v, v)
		u := p.load(x)
		VMULPS(kk, u, u)
		VSUBPS(u, v, v)
		o := p.load(dx)
		VADDPS(v, o, o)
		p.store(o, dx)
	})
	s.end()
}

func (s simd) normGradW() {
	s.begin("normGradW", "func(dw, dy, x *float32, ld, n int, r *float32, m int)",
		"computes normGradWGeneric for m > 0 rows of n elements, ld bytes apart.")
	dw, dy, x, ld, n := param("dw"), param("dy"), param("x"), param("ld"), param("n")
	// down runs body for every row, r being its factor.
	down := func(body func(dy, x reg.GPVirtual, r reg.VecVirtual)) {
		labels++
		row := fmt.Sprint("row", labels)
		a, b, from, left := GP64(), GP64(), param("r"), param("m")
		MOVQ(dy, a)
		MOVQ(x, b)
		Label(row)
		r := s.reg()
		VBROADCASTSS(Mem{Base: from}, r)
		body(a, b, r)
		ADDQ(ld, a)
		ADDQ(ld, b)
		ADDQ(U8(4), from)
		DECQ(left)
		JNZ(LabelRef(row))
	}
	// Enough sums at a time that no addition waits for the one before.
	const wide = 64
	Label("wide")
	CMPQ(n, I32(wide))
	JL(LabelRef("narrow"))
	vector := 64 / s.halves
	sum := make([]reg.VecVirtual, 4*s.halves)
	for i := range sum {
		sum[i] = s.reg()
		VMOVUPS(Mem{Base: dw, Disp: i * vector}, sum[i])
	}
	down(func(dy, x reg.GPVirtual, r reg.VecVirtual) {
		for i, v := range sum {
			u := s.reg()
			VMOVUPS(Mem{Base: dy, Disp: i * vector}, u)
			VMULPS(Mem{Base: x, Disp: i * vector}, u, u)
			VMULPS(r, u, u)
			VADDPS(u, v, v)
		}
	})
	for i, v := range sum {
		VMOVUPS(v, Mem{Base: dw, Disp: i * vector})
	}
	for _, row := range []reg.GPVirtual{dw, dy, x} {
		ADDQ(I32(4*wide), row)
	}
	SUBQ(I32(wide), n)
	JMP(LabelRef("wide"))
	Label("narrow")
	s.each(n, func(p part) {
		sum := p.load(dw)
		down(func(dy, x reg.GPVirtual, r reg.VecVirtual) {
			u := p.load(dy)
			VMULPS(p.load(x), u, u)
			VMULPS(r, u, u)
			VADDPS(u, sum, sum)
		})
		p.store(sum, dw)
	})
	s.end()
}

func (s simd) sumSquares() {
	s.begin("sumSquares", "func(x *float32, n int) float64", "computes sumSquaresGeneric.")
	x, n := param("x"), param("n")
	sum := make([]reg.VecVirtual, 2*s.halves) // half as many numbers in each
	for i := range sum {
		sum[i] = s.reg()
		VXORPD(sum[i].AsX(), sum[i].AsX(), sum[i].AsX())
	}
	s.each(n, func(p part) {
		v := p.load(x)
		for i := range 2 {
			d := s.reg()
			switch {
			case s.halves == 1 && i == 0:
				VCVTPS2PD(v.AsY(), d)
			case s.halves == 1:
				y := YMM()
				VEXTRACTF32X8(U8(1), v, y)
				VCVTPS2PD(y, d)
			case i == 0:
				VCVTPS2PD(v.AsX(), d)
			default:
				y := XMM()
				VEXTRACTF128(U8(1), v, y)
				VCVTPS2PD(y, d)
			}
			VFMADD231PD(d, d, sum[2*p.h+i]) // squares are exact
		}
	})
	y := sum[0]
	if s.halves == 1 {
		VADDPD(sum[1], sum[0], sum[0])
		y = YMM()
		VEXTRACTF64X4(U8(1), sum[0], y)
		VADDPD(y, sum[0].AsY(), y)
	} else {
		VADDPD(sum[2], sum[0], sum[0])
		VADDPD(sum[3], sum[1], sum[1])
		VADDPD(sum[1], sum[0], sum[0])
	}
	low, high := XMM(), XMM()
	VEXTRACTF128(U8(1), y.AsY(), high)
	VADDPD(high, y.AsX(), low)
	VUNPCKHPD(low, low, high)
	VADDSD(high, low, low)
	Store(low, ReturnIndex(0))
	s.end()
}

func (s simd) rotate() {
	s.begin("rotate", "func(x, cos, sin *float32, n int)", "computes rotateGeneric, n being the number of pairs.")
	x, cos, sin, n := param("x"), param("cos"), param("sin"), param("n")
	y := GP64()
	LEAQ(Mem{Base: x, Index: n, Scale: 4}, y)
	s.each(n, func(p part) {
		a, b, c, d := p.load(x), p.load(y), p.load(cos), p.load(sin)
		u, v := s.times(a, c), s.times(b, d)
		VSUBPS(v, u, u)
		VMULPS(c, b, b)
		VMULPS(d, a, a)
		VADDPS(a, b, b)
		p.store(u, x)
		p.store(b, y)
	})
	s.end()
}

func (s simd) logSum() {
	s.begin("logSum", "func(x *float32, n int, temp float32) (m, sum, dot float32)", "computes logSumGeneric.")
	x, n := param("x"), param("n")
	m := s.max(n, x)
	temp := s.broadcast("temp")
	VDIVSS(temp.AsX(), m.AsX(), m.AsX())
	Store(m.AsX(), ReturnIndex(0))
	m = s.spread(m)
	e := s.exp()
	row := func(divide bool) {
		sum, dot := s.sums(), s.sums()
		s.each(n, func(p part) {
			z := p.load(x)
			if divide {
				VDIVPS(temp, z, z)
			}
			VSUBPS(m, z, z)
			y := e.of(z)
			VMULPS(y, z, z)
			p.keep(y)
			p.keep(z)
			VADDPS(y, sum[p.h], sum[p.h])
			VADDPS(z, dot[p.h], dot[p.h])
		})
		Store(s.sum(sum).AsX(), ReturnIndex(1))
		Store(s.sum(dot).AsX(), ReturnIndex(2))
		s.end()
	}
	bits := GP32()
	VMOVD(temp.AsX(), bits)
	CMPL(bits, U32(math.Float32bits(1)))
	JEQ(LabelRef("one")) // which a number divided by is itself
	row(true)
	Label("one")
	row(false)
}

func (s simd) logGrad() {
	s.begin("logGrad", "func(x *float32, n int, temp, m, inv, ln, a, b float32)", "computes logGradGeneric.")
	x, n := param("x"), param("n")
	temp, m, inv := s.broadcast("temp"), s.broadcast("m"), s.broadcast("inv")
	ln, a, b := s.broadcast("ln"), s.broadcast("a"), s.broadcast("b")
	e := s.exp()
	s.each(n, func(p part) {
		z := p.load(x)
		VDIVPS(temp, z, z)
		VSUBPS(m, z, z)
		y := e.of(z)
		VMULPS(inv, y, y)
		VSUBPS(ln, z, z)
		VMULPS(b, z, z)
		VADDPS(a, z, z)
		VMULPS(z, y, y)
		p.store(y, x)
	})
	s.end()
}

func (s simd) adamW() {
	s.begin("adamW", "func(p, grad, m, v *float32, n int, s *float32)", "computes adamWGeneric.")
	w, g, m, v, n := param("p"), param("grad"), param("m"), param("v"), param("n")
	scalars := param("s")
	var f [8]reg.VecVirtual // in the order of the fields
	for i := range f {
		f[i] = s.reg()
		VBROADCASTSS(Mem{Base: scalars, Disp: 4 * i}, f[i])
	}
	scale, keep, lerp, beta2, grow, root, eps, step := f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7]
	s.each(n, func(p part) {
		x := p.load(g)
		VMULPS(scale, x, x)
		mi := p.load(m)
		t := s.minus(x, mi)
		VMULPS(lerp, t, t)
		VADDPS(t, mi, mi)
		p.store(mi, m)
		vi := p.load(v)
		VMULPS(beta2, vi, vi)
		VMULPS(x, s.times(x, grow), x)
		VADDPS(x, vi, vi)
		p.store(vi, v)
		VSQRTPS(vi, vi)
		VDIVPS(root, vi, vi)
		VADDPS(eps, vi, vi)
		VMULPS(step, mi, mi)
		VDIVPS(vi, mi, mi)
		o := p.load(w)
		VMULPS(keep, o, o)
		VSUBPS(mi, o, o)
		p.store(o, w)
	})
	s.end()
}
