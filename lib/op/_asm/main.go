// Command _asm writes the SIMD kernels of package op.
//
// It is run by go generate in the folder above and needs only the Go module
// proxy. The output is committed and never mended by hand.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("!purego")
	pause()
	xgetbv()
	ceilings()
	products()
	tileKernels()
	constants(append(expConstants, bitsOf(roundingConstants)...)...)
	transpose8()
	fetch()
	orders()
	avx512BF16.pairs()
	avx512BF16.weave()
	for _, s := range []simd{avx512, avx2} {
		s.round()
		s.put()
		s.pairs()
		s.weave()
		s.softmax()
		s.scale()
		s.dot()
		s.dscore()
		s.add()
		s.swiGLU()
		s.swiGLUGrad()
		s.norm()
		s.normGrad()
		s.normGradW()
		s.rotate()
		s.logSum()
		s.logGrad()
		s.sumSquares()
		s.adamW()
	}
	amxBF16.pairs()
	amxBF16.weave()
	Generate()
}

// begin starts a function.
func begin(name, signature, doc string) {
	TEXT(name, NOSPLIT, signature)
	Pragma("noescape")
	Doc(name + " " + doc)
}

// pause is the hint for spin loops.
func pause() {
	begin("pause", "func()", "gives way for a moment in a spin loop.")
	PAUSE()
	RET()
}

// xgetbv reads the register that says which state the operating system keeps.
func xgetbv() {
	begin("xgetbv", "func() uint64", "returns XCR0.")
	XORL(reg.ECX, reg.ECX)
	XGETBV()
	SHLQ(U8(32), reg.RDX)
	ORQ(reg.RDX, reg.RAX)
	Store(reg.RAX, ReturnIndex(0))
	RET()
}

// param loads an integer or pointer argument.
func param(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }

// flushing sets FTZ and DAZ for the body of a kernel and returns what restores
// the mode found.
func flushing() (restore func()) {
	const ftzDAZ = 0x8040
	mode := AllocLocal(8)
	STMXCSR(mode)
	t := GP32()
	MOVL(mode, t)
	ORL(U32(ftzDAZ), t)
	MOVL(t, mode.Offset(4))
	LDMXCSR(mode.Offset(4))
	return func() { LDMXCSR(mode) }
}
