package main

import (
	"math"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The kernels here compute what the functions of the same names in numerics.go
// define. n is any number of elements, 0 included.

// Bits of a float32.
const (
	exponentBits = 0x7f800000
	upperBits    = 0xffff0000
	quietBit     = 0x00400000
	belowHalf    = 0x7fff
)

var roundingConstants = []uint32{exponentBits, upperBits, quietBit, belowHalf, 1}

// rounding holds the constants of bf16 as operands.
type rounding struct {
	simd
	exponent, upper, quiet, half, one, sign Op
	zero                                    reg.VecVirtual
}

func (s simd) rounding() *rounding {
	r := &rounding{
		simd: s, exponent: s.bits(exponentBits), upper: s.bits(upperBits), quiet: s.bits(quietBit),
		half: s.bits(belowHalf), one: s.bits(1), sign: s.bits(signBit),
	}
	if s.halves == 2 {
		r.zero = s.reg()
		VXORPS(r.zero, r.zero, r.zero)
	}
	return r
}

// of returns bf16(v).
func (r *rounding) of(v reg.VecVirtual) reg.VecVirtual {
	const unordered = 3
	x := r.reg()
	VPSRLD(U8(16), v, x)
	if r.halves == 1 {
		small, nan := K(), K()
		VPTESTNMD(r.exponent, v, small)
		VCMPPS(U8(unordered), v, v, nan)
		VPANDD(r.one, x, x)
		VPADDD(r.half, x, x)
		VPADDD(v, x, x)
		VPORD(r.quiet, v, nan, x)
		VPANDD(r.upper, x, x)
		VPANDD(r.sign, v, small, x)
		return x
	}
	VPAND(r.one, x, x)
	VPADDD(r.half, x, x)
	VPADDD(v, x, x)
	m, y := YMM(), YMM()
	VCMPPS(U8(unordered), v, v, m)
	VPOR(r.quiet, v, y)
	VBLENDVPS(m, y, x, x)
	VPAND(r.upper, x, x)
	VPAND(r.exponent, v, m)
	VPCMPEQD(r.zero, m, m)
	VPAND(r.sign, v, y)
	VBLENDVPS(m, y, x, x)
	return x
}

func (s simd) round() {
	s.begin("round", "func(dst, x *float32, n int)", "computes roundGeneric but for the elements behind n.")
	dst, x, n := param("dst"), param("x"), param("n")
	r := s.rounding()
	s.each(n, func(p part) { p.store(r.of(p.load(x)), dst) })
	s.end()
}

func (s simd) put() {
	s.begin("put", "func(dst, x *float32, n, shift int)", "computes putGeneric, shift being 0 for upper halves and 16 for lower ones.")
	dst, x, n, shift := param("dst"), param("x"), param("n"), XMM()
	VMOVQ(Load(Param("shift"), GP64()), shift)
	r, half := s.rounding(), s.reg()
	VPCMPEQD(half.AsX(), half.AsX(), half.AsX())
	VPSLLD(U8(16), half.AsX(), half.AsX())
	VPSRLD(shift, half.AsX(), half.AsX())
	half = s.spread(half)
	s.each(n, func(p part) {
		v, w := r.of(p.load(x)), s.reg()
		VPSRLD(shift, v, v)
		if s.halves == 1 {
			VPANDND(p.load(dst), half, w)
			VPORD(v, w, w)
		} else {
			VPANDN(p.load(dst), half, w)
			VPOR(v, w, w)
		}
		p.store(w, dst)
	})
	s.end()
}

// or returns upper | lower>>16, in upper.
func (s simd) or(upper, lower reg.VecVirtual) reg.VecVirtual {
	VPSRLD(U8(16), lower, lower)
	if s.halves == 1 {
		VPORD(lower, upper, upper)
	} else {
		VPOR(lower, upper, upper)
	}
	return upper
}

// convert returns lower and upper rounded, in the lower and upper half of a
// register: VCVTNE2PS2BF16, which flushes as bf16 does and which no assembler knows
// (Intel 64 manual, EVEX.512.F2.0F38.W0 72 /r).
func convert(lower, upper Op) reg.VecPhysical {
	const to, high, low = 1, 2, 3
	VMOVUPS(upper, fixed[high])
	VMOVUPS(lower, fixed[low])
	in, out := []Op{fixed[high], fixed[low]}, []Op{fixed[to]}
	Instruction(&ir.Instruction{Opcode: "LONG", Operands: []Op{U32(0x486ff262)}, Inputs: in, Outputs: out})
	Instruction(&ir.Instruction{Opcode: "WORD", Operands: []Op{U16(0xcb72)}, Inputs: in, Outputs: out})
	return fixed[to]
}

func (s simd) weave() {
	s.begin("weave", "func(dst *float32, stride int, x *float32, ld, n int)", "computes order.weave, stride and ld in bytes.")
	dst, x, ld, n := param("dst"), param("x"), param("ld"), param("n")
	dst1, x1, x2, x3 := param("stride"), GP64(), GP64(), GP64()
	ADDQ(dst, dst1)
	LEAQ(Mem{Base: x, Index: ld, Scale: 1}, x1)
	LEAQ(Mem{Base: x, Index: ld, Scale: 2}, x2)
	LEAQ(Mem{Base: x1, Index: ld, Scale: 2}, x3)
	if s.words {
		turns := s.reg()
		VMOVDQU16(weaveOrder, turns)
		rows := [][3]reg.GPVirtual{{x, x2, dst}, {x1, x3, dst1}} // upper, lower, words
		if s.twos {
			rows = [][3]reg.GPVirtual{{x1, x, dst}, {x3, x2, dst1}}
		}
		s.each(n, func(p part) {
			for _, r := range rows {
				w := s.reg()
				VPERMW(convert(p.load(r[1]), p.load(r[0])), turns, w)
				p.store(w, r[2])
			}
		})
	} else {
		r := s.rounding()
		s.each(n, func(p part) {
			p.store(s.or(r.of(p.load(x)), r.of(p.load(x2))), dst)
			p.store(s.or(r.of(p.load(x1)), r.of(p.load(x3))), dst1)
		})
	}
	s.end()
}

func (s simd) pairs() {
	s.begin("pairs", "func(dst, x *float32, n int)", "computes order.pairs but for the words behind n; it writes whole eights of words.")
	dst, x, n := param("dst"), param("x"), param("n")
	if s.twos {
		s.each(n, func(p part) {
			v := p.load(x)
			VMOVDQU(convert(v, v).AsY(), Mem{Base: dst})
			ADDQ(U8(32), dst)
		})
		s.end()
		return
	}
	if s.words {
		order := YMM()
		VMOVDQU(pairsOrder, order)
		s.each(n, func(p part) {
			v, w := p.load(x), YMM()
			VPSHUFB(order, convert(v, v).AsY(), w)
			VMOVDQU(w, Mem{Base: dst})
			ADDQ(U8(32), dst)
		})
		s.end()
		return
	}
	r := s.rounding()
	s.each(n, func(p part) {
		v := r.of(p.load(x))
		w := s.reg()
		VPSHUFD(U8(0xee), v, w) // 2 and 3 of four
		v = s.or(v, w)          // 0 and 1 of four are the words
		VPERMQ(U8(0x08), v, v)
		if s.halves == 1 {
			VSHUFI64X2(U8(0x08), v, v, v)
			VMOVDQU(v.AsY(), Mem{Base: dst})
		} else {
			VMOVDQU(v.AsX(), Mem{Base: dst})
		}
		ADDQ(U8(32/s.halves), dst)
	})
	s.end()
}

// weaveOrder and pairsOrder are the places that the halves of words come from:
// for 16 words of two rows, and as bytes for words of fours.
var weaveOrder, pairsOrder Mem

func orders() {
	weaveOrder = GLOBL("weaveOrder", attr.RODATA|attr.NOPTR)
	for i := range 16 {
		DATA(4*i, U32(i|(16+i)<<16))
	}
	pairsOrder = GLOBL("pairsOrder", attr.RODATA|attr.NOPTR)
	for i := range 4 {
		at := uint64(8 * (i % 2))
		DATA(8*i, U64(0x0302070601000504+at*0x0101010101010101))
	}
}

// bitsOf places constants that are not numbers.
func bitsOf(words []uint32) (v []float32) {
	for _, w := range words {
		v = append(v, math.Float32frombits(w))
	}
	return v
}
