package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// transpose8 copies 8 rows to 8 columns by 8x8 blocks in registers.
func transpose8() {
	begin("transpose8", "func(dst *float32, stride int, x *float32, ld, n int)",
		"writes 8 rows of n elements, ld bytes apart, as columns of rows that are stride bytes apart, with AVX2.")
	dst, stride, x, n := param("dst"), param("stride"), param("x"), param("n")
	odd := oddMultiples(param("ld"), 8)
	Label("loop")
	mask := YMM()
	masks, rest := GP64(), GP64()
	{ // as many columns as are left, 8 at most
		LEAQ(maskTable(), masks)
		MOVQ(n, rest)
		eight := GP64()
		MOVQ(I32(8), eight)
		CMPQ(rest, eight)
		CMOVQGT(eight, rest)
		SHLQ(U8(2), rest)
		SUBQ(rest, masks)
		VMOVUPS(Mem{Base: masks, Disp: 64}, mask)
	}
	var r [8]reg.VecVirtual
	for i := range r {
		r[i] = YMM()
		VMASKMOVPS(rowAddress(x, odd, i), mask, r[i])
	}
	// Pairs of rows, fours of rows, eights of rows.
	var p [8]reg.VecVirtual
	for i := 0; i < 8; i += 2 {
		p[i], p[i+1] = YMM(), YMM()
		VUNPCKLPS(r[i+1], r[i], p[i])
		VUNPCKHPS(r[i+1], r[i], p[i+1])
	}
	var q [8]reg.VecVirtual // q[i]: columns i and i+4 of rows 0..3, q[4+i] of rows 4..7
	for h := 0; h < 8; h += 4 {
		for i := range 2 {
			lo, hi := YMM(), YMM()
			VUNPCKLPD(p[h+2+i], p[h+i], lo)
			VUNPCKHPD(p[h+2+i], p[h+i], hi)
			q[h+2*i], q[h+2*i+1] = lo, hi
		}
	}
	for i := range 8 {
		c := YMM()
		if i < 4 {
			VPERM2F128(U8(0x20), q[4+i], q[i], c)
		} else {
			VPERM2F128(U8(0x31), q[i], q[i-4], c)
		}
		VMOVUPS(c, Mem{Base: dst})
		ADDQ(stride, dst)
		DECQ(n)
		JZ(LabelRef("done"))
	}
	ADDQ(U8(32), x)
	JMP(LabelRef("loop"))
	Label("done")
	VZEROUPPER()
	RET()
}
