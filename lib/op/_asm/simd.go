package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// simd is one of the two vector units. Code is written for 16 lanes: one
// register of AVX-512 or two halves of AVX2, so that a row's reductions have the
// same lanes on both.
type simd struct {
	name   string
	halves int
	// words: AVX512_BF16 rounds two registers to one of bfloat16.
	words bool
	// twos: words hold two successive k, as AMX takes them.
	twos bool
}

var (
	avx512     = simd{name: "512", halves: 1}
	avx512BF16 = simd{name: "Words512", halves: 1, words: true}
	amxBF16    = simd{name: "Twos512", halves: 1, words: true, twos: true}
	avx2       = simd{name: "256", halves: 2}
)

func (s simd) reg() reg.VecVirtual {
	if s.halves == 1 {
		return ZMM()
	}
	return YMM()
}

// begin starts kernel name for this unit.
func (s simd) begin(name, signature, doc string) {
	begin(name+s.name, signature, doc)
}

// end is the end of every kernel. Without VZEROUPPER the plain Go code that
// follows runs several times slower.
func (s simd) end() {
	VZEROUPPER()
	RET()
}

// table holds the constants, each repeated for 16 lanes.
var table struct {
	at    Mem
	bytes int
	known map[uint32]int
}

// signBit is what negates a float32.
const signBit = 1 << 31

// constants places all constants that kernels use into the data segment.
func constants(values ...float32) {
	table.at, table.known = GLOBL("constants", attr.RODATA|attr.NOPTR), map[uint32]int{}
	for _, v := range values {
		word(math.Float32bits(v))
	}
	word(signBit)
	// The masks of AVX2: 16 ones, then 16 zeros.
	for range 16 {
		DATA(table.bytes, U32(0xffffffff))
		table.bytes += 4
	}
	word(0)
}

func word(bits uint32) {
	table.known[bits] = table.bytes
	for range 16 {
		DATA(table.bytes, U32(bits))
		table.bytes += 4
	}
}

// maskTable is where the 16 ones and 16 zeros lie.
func maskTable() Mem { return table.at.Offset(table.known[0] - 64) }

// constant returns v as an operand: AVX-512 has registers to spare for it, AVX2
// reads it from memory.
func (s simd) constant(v float32) Op { return s.bits(math.Float32bits(v)) }

func (s simd) bits(u uint32) Op {
	at, ok := table.known[u]
	if !ok {
		panic(fmt.Sprintf("constant %#x is not in the table", u))
	}
	if s.halves == 2 {
		return table.at.Offset(at)
	}
	r := s.reg()
	VMOVUPS(table.at.Offset(at), r)
	return r
}

// broadcast loads a float32 argument into all lanes.
func (s simd) broadcast(name string) reg.VecVirtual {
	r := s.reg()
	m, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSS(m.Addr, r)
	return r
}

// spread copies lane 0 of x to all lanes.
func (s simd) spread(x reg.VecVirtual) reg.VecVirtual {
	r := s.reg()
	VBROADCASTSS(x.AsX(), r)
	return r
}

// sums returns accumulators for 16 lanes, holding zeros.
func (s simd) sums() []reg.VecVirtual {
	a := make([]reg.VecVirtual, s.halves)
	for h := range a {
		a[h] = s.reg()
		VXORPS(a[h].AsX(), a[h].AsX(), a[h].AsX())
	}
	return a
}

// fold reduces 16 lanes to lane 0 in steps of 8, 4, 2 and 1.
func (s simd) fold(a []reg.VecVirtual, op, scalar func(...Op)) reg.VecVirtual {
	y := YMM()
	if s.halves == 1 {
		VEXTRACTF32X8(U8(1), a[0], y)
		op(y, a[0].AsY(), y)
	} else {
		op(a[1], a[0], y)
	}
	x, t := XMM(), XMM()
	VEXTRACTF128(U8(1), y, x)
	op(x, y.AsX(), x)
	VMOVHLPS(x, x, t)
	op(t, x, x)
	VMOVSHDUP(x, t)
	scalar(t, x, x)
	return x
}

func (s simd) sum(a []reg.VecVirtual) reg.VecVirtual { return s.fold(a, VADDPS, VADDSS) }

// part is the 16 lanes, or the half of them, that a body works on; of the last
// lanes of a row only those exist that the mask shows.
type part struct {
	s    simd
	h    int
	off  reg.GPVirtual
	tail bool
	k    reg.OpmaskVirtual
	m    reg.VecVirtual
}

var labels int

// each runs body for all lanes of rows of n elements. The label names are made
// unique by a counter.
func (s simd) each(n reg.GPVirtual, body func(p part)) {
	labels++
	loop, tail, done := fmt.Sprint("loop", labels), fmt.Sprint("tail", labels), fmt.Sprint("done", labels)
	off, end := GP64(), GP64()
	XORQ(off, off)
	MOVQ(n, end)
	SHRQ(U8(4), end)
	JZ(LabelRef(tail))
	SHLQ(U8(6), end)
	Label(loop)
	for h := range s.halves {
		body(part{s: s, h: h, off: off})
	}
	ADDQ(U8(64), off)
	CMPQ(off, end)
	JL(LabelRef(loop))
	Label(tail)
	rest := GP64()
	MOVQ(n, rest)
	ANDQ(U8(15), rest)
	JZ(LabelRef(done))
	if s.halves == 1 {
		k, ones := K(), GP64()
		MOVQ(I32(-1), ones)
		SHLXQ(rest, ones, ones)
		NOTQ(ones)
		KMOVW(ones.As32(), k)
		body(part{s: s, off: off, tail: true, k: k})
	} else {
		masks := GP64()
		LEAQ(maskTable(), masks)
		SHLQ(U8(2), rest)
		SUBQ(rest, masks)
		for h := range 2 {
			m := YMM()
			VMOVUPS(Mem{Base: masks, Disp: 64 + 32*h}, m)
			body(part{s: s, h: h, off: off, tail: true, m: m})
		}
	}
	Label(done)
}

// at is the address of the part in the row at p.
func (p part) at(row reg.GPVirtual) Mem {
	return Mem{Base: row, Index: p.off, Scale: 1, Disp: 32 * p.h}
}

// load reads the part of a row; lanes that do not exist are 0.
func (p part) load(row reg.GPVirtual) reg.VecVirtual {
	r := p.s.reg()
	switch {
	case !p.tail:
		VMOVUPS(p.at(row), r)
	case p.s.halves == 1:
		VMOVUPS_Z(p.at(row), p.k, r)
	default:
		VMASKMOVPS(p.at(row), p.m, r)
	}
	return r
}

// loadElse reads the part of a row; lanes that do not exist are those of other.
func (p part) loadElse(row reg.GPVirtual, other reg.VecVirtual) reg.VecVirtual {
	if !p.tail {
		return p.load(row)
	}
	r := p.s.reg()
	if p.s.halves == 1 {
		VMOVAPS(other, r)
		VMOVUPS(p.at(row), p.k, r)
	} else {
		VMASKMOVPS(p.at(row), p.m, r)
		VBLENDVPS(p.m, r, other, r)
	}
	return r
}

// store writes the part of a row.
func (p part) store(x reg.VecVirtual, row reg.GPVirtual) {
	switch {
	case !p.tail:
		VMOVUPS(x, p.at(row))
	case p.s.halves == 1:
		VMOVUPS(x, p.k, p.at(row))
	default:
		VMASKMOVPS(x, p.m, p.at(row))
	}
}

// keep makes the lanes of x that do not exist 0.
func (p part) keep(x reg.VecVirtual) {
	switch {
	case !p.tail:
	case p.s.halves == 1:
		VMOVAPS_Z(x, p.k, x)
	default:
		VANDPS(p.m, x, x)
	}
}

// minus, times and over return x - y, x · y and x / y in a new register.
func (s simd) minus(x reg.VecVirtual, y Op) reg.VecVirtual { return s.fresh(VSUBPS, x, y) }
func (s simd) times(x reg.VecVirtual, y Op) reg.VecVirtual { return s.fresh(VMULPS, x, y) }
func (s simd) over(x reg.VecVirtual, y Op) reg.VecVirtual  { return s.fresh(VDIVPS, x, y) }

func (s simd) fresh(op func(...Op), x reg.VecVirtual, y Op) reg.VecVirtual {
	r := s.reg()
	op(y, x, r)
	return r
}
