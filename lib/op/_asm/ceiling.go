package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// The kernels here do nothing but multiply, or read: what they reach is what the
// machine can do at most.

// peak writes a loop of multiplications that wait for nothing: as many chains as
// there are registers for hide the latency of the instruction.
func (u unit) peak(name string, chains int) {
	begin(name, "func(n int)", fmt.Sprintf("does n rounds of %d multiplications and additions with %s, all in registers.", chains*u.flops(), u.doc))
	n := param("n")
	t := tile{unit: u}
	zero := func() vector {
		v := t.vec()
		VXORPS(v.AsX(), v.AsX(), v.AsX())
		return v
	}
	x, y := zero(), zero()
	sums := make([]vector, chains)
	for i := range sums {
		sums[i] = zero()
	}
	Label("loop")
	for _, v := range sums {
		if u.words {
			dotWords(x, y, v)
		} else {
			VFMADD231PS(x, y, v)
		}
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// flops counts the multiplications and additions of an instruction.
func (u unit) flops() int {
	lanes := u.bytes / 4
	if u.words {
		return 4 * lanes
	}
	return 2 * lanes
}

// read writes a loop of loads. The numbers go nowhere: a load is done all the same.
func (s simd) read() {
	const bytes = 512
	s.begin("read", "func(x *float32, n int)", fmt.Sprintf("loads n times %d bytes.", bytes))
	x, n := param("x"), param("n")
	vector := 64 / s.halves
	Label("loop")
	for at := 0; at < bytes; at += vector {
		VMOVUPS(Mem{Base: x, Disp: at}, s.reg())
	}
	ADDQ(I32(bytes), x)
	DECQ(n)
	JNZ(LabelRef("loop"))
	s.end()
}

func ceilings() {
	f32AVX2.peak("peak256", 12)
	f32AVX512.peak("peak512", 24)
	bf16Words.peak("peakWords512", 24)
	avx2.read()
	avx512.read()
}
