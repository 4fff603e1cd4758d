package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	rows512 = 14 // 14 rows x 2 vectors of sums, 2 of B, 1 or 2 of A: 32 registers
	rows256 = 6  // 6 rows x 2 vectors of sums, 2 of B, 1 of A: 15 of 16 registers
)

// tileSignature: the strides ai, al, bl, ci are in bytes. blocks tiles below one
// another are computed by one call. With add == 0 the sums start from +0, else
// from c. mask has a bit for each column that exists.
const tileSignature = "func(k, blocks int, a *float32, ai, al int, b *float32, bl int, c *float32, ci, add int, mask uint32)"

// rowAddress returns the address of row i from base a, with multiples of the row
// stride in the registers odd (1, 3, 5, ... times).
func rowAddress(a reg.GPVirtual, odd []reg.GPVirtual, i int) Mem {
	if i == 0 {
		return Mem{Base: a}
	}
	s := uint8(1)
	for i%2 == 0 {
		i, s = i/2, s*2
	}
	return Mem{Base: a, Index: odd[i/2], Scale: s}
}

// oddMultiples returns 1, 3, 5, ... times stride, as many as rows below n need.
func oddMultiples(stride reg.GPVirtual, n int) []reg.GPVirtual {
	odd := []reg.GPVirtual{stride}
	for i := 3; i < n; i += 2 {
		m := GP64()
		LEAQ(Mem{Base: odd[len(odd)-1], Index: stride, Scale: 2}, m)
		odd = append(odd, m)
	}
	return odd
}

// tile holds what both widths of tile share.
type tile struct {
	rows, vectors int
	bytes         int // of a vector
	a, b, c       reg.GPVirtual
	odd           []reg.GPVirtual
	sum           [][]reg.VecVirtual
	vec           func() reg.VecVirtual
	load, store   func(m Mem, j int, v reg.VecVirtual) // vector j of a row of C
	loadB         func(m Mem, j int, v reg.VecVirtual)
}

// eachRow calls f with the address of each row of C.
func (t *tile) eachRow(f func(i int, at Mem)) {
	r, ci := GP64(), param("ci")
	MOVQ(t.c, r)
	for i := range t.rows {
		f(i, Mem{Base: r})
		if i+1 < t.rows {
			ADDQ(ci, r)
		}
	}
}

// body is the loop over blocks and over k.
func (t *tile) body() {
	t.a, t.b, t.c = param("a"), GP64(), param("c")
	t.odd = oddMultiples(param("ai"), t.rows)
	al, bl := param("al"), param("bl")
	k, from, blocks := GP64(), GP64(), GP64()
	for range t.rows {
		row := make([]reg.VecVirtual, t.vectors)
		for j := range row {
			row[j] = t.vec()
		}
		t.sum = append(t.sum, row)
	}
	Load(Param("blocks"), blocks)
	Label("block")
	{
		add := param("add")
		TESTQ(add, add)
		JZ(LabelRef("zero"))
	}
	t.eachRow(func(i int, at Mem) {
		for j, v := range t.sum[i] {
			t.load(at.Offset(j*t.bytes), j, v)
		}
	})
	JMP(LabelRef("start"))
	Label("zero")
	for _, row := range t.sum {
		for _, v := range row {
			VXORPS(v.AsX(), v.AsX(), v.AsX())
		}
	}
	t.eachRow(func(_ int, at Mem) { PREFETCHT0(at) })
	Label("start")
	Load(Param("b"), t.b)
	Load(Param("k"), k)
	MOVQ(t.a, from)
	Label("loop")
	for o := 0; o < t.vectors*t.bytes; o += 64 {
		PREFETCHT0(Mem{Base: t.b, Disp: 8192 + o})
	}
	b := make([]reg.VecVirtual, t.vectors)
	for j := range b {
		b[j] = t.vec()
		t.loadB(Mem{Base: t.b, Disp: j * t.bytes}, j, b[j])
	}
	for i, row := range t.sum {
		v := t.vec()
		VBROADCASTSS(rowAddress(from, t.odd, i), v)
		for j := range row {
			VFMADD231PS(b[j], v, row[j])
		}
	}
	ADDQ(al, from)
	ADDQ(bl, t.b)
	DECQ(k)
	JNZ(LabelRef("loop"))
	t.eachRow(func(i int, at Mem) {
		for j, v := range t.sum[i] {
			t.store(at.Offset(j*t.bytes), j, v)
		}
	})
	step := GP64()
	IMUL3Q(I32(t.rows), t.odd[0], step)
	ADDQ(step, t.a)
	IMUL3Q(I32(t.rows), param("ci"), step)
	ADDQ(step, t.c)
	DECQ(blocks)
	JNZ(LabelRef("block"))
}

// tile512 is rows x 16·vectors of C with AVX-512; columns beyond mask are
// neither read, of B either, nor written.
func tile512(rows, vectors int) {
	name := fmt.Sprintf("tile512x%dx%d", rows, 16*vectors)
	begin(name, tileSignature, fmt.Sprintf("computes blocks tiles of %d rows and %d columns with AVX-512.", rows, 16*vectors))
	restore := flushing()
	m := Load(Param("mask"), GP32()).(reg.GPVirtual)
	masks := make([]reg.OpmaskVirtual, vectors)
	for j := range masks {
		masks[j] = K()
		KMOVW(m, masks[j])
		SHRL(U8(16), m)
	}
	load := func(m Mem, j int, v reg.VecVirtual) { VMOVUPS_Z(m, masks[j], v) }
	t := tile{
		rows: rows, vectors: vectors, bytes: 64,
		vec:   func() reg.VecVirtual { return ZMM() },
		load:  load,
		loadB: load,
		store: func(m Mem, j int, v reg.VecVirtual) { VMOVUPS(v, masks[j], m) },
	}
	t.body()
	restore()
	VZEROUPPER()
	RET()
}

// tile256 is rows x 16 of C with AVX2 and FMA. It reads and writes 16 columns;
// the mask is not looked at.
func tile256(rows int) {
	name := fmt.Sprintf("tile256x%d", rows)
	begin(name, tileSignature, fmt.Sprintf("computes blocks tiles of %d rows and 16 columns with AVX2.", rows))
	restore := flushing()
	load := func(m Mem, _ int, v reg.VecVirtual) { VMOVUPS(m, v) }
	t := tile{
		rows: rows, vectors: 2, bytes: 32,
		vec:   func() reg.VecVirtual { return YMM() },
		load:  load,
		loadB: load,
		store: func(m Mem, _ int, v reg.VecVirtual) { VMOVUPS(v, m) },
	}
	t.body()
	restore()
	VZEROUPPER()
	RET()
}
