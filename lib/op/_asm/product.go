package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tileSignature: the strides ai, al, bl, bp, ci are in bytes. Several tiles below
// one another are computed by one call. With add == 0 the sums start from +0, else
// from c. mask has a bit for each column that exists; tiles of AVX2 and those of
// several panels have all columns and do not look at it.
const tileSignature = "func(k, tiles int, a *float32, ai, al int, b *float32, bl, bp int, c *float32, ci, add int, mask uint32)"

// vector is a vector register, of whatever width.
type vector interface {
	Op
	AsX() reg.Register
}

// unit says how a tile multiplies.
type unit struct {
	name, doc string
	bytes     int // of a vector
	// bf16: two chains for each element, and k in blocks of 32.
	bf16 bool
	// words: the instruction takes words of two on both sides. No assembler knows
	// it, so that its registers are fixed here.
	words bool
}

var (
	f32AVX2    = unit{name: "tile256", doc: "AVX2", bytes: 32}
	f32AVX512  = unit{name: "tile512", doc: "AVX-512", bytes: 64}
	bf16AVX2   = unit{name: "tileBF16x256", doc: "AVX2 in BF16", bytes: 32, bf16: true}
	bf16AVX512 = unit{name: "tileBF16x512", doc: "AVX-512 in BF16", bytes: 64, bf16: true}
	bf16Words  = unit{name: "tileWords512", doc: "AVX512_BF16 in BF16", bytes: 64, bf16: true, words: true}
)

// Tiles are chosen so that sums, two vectors of B, one of A and a constant fit
// into the registers: 16 with AVX2, else 32.
const (
	rows256     = 6
	rows512     = 14
	rowsBF16x2  = 3
	rowsBF16x51 = 7
)

func products() {
	for rows := 1; rows <= rows512; rows++ {
		f32AVX512.tile(rows, 1)
		f32AVX512.tile(rows, 2)
	}
	// Few rows: several panels at once, for enough chains and streams of loads.
	for rows, list := range [][]int{1: {4, 3, 2}, 2: {4, 3, 2}, 3: {3, 2}, 4: {3, 2}, 5: {2}, 6: {2}} {
		for _, panels := range list {
			f32AVX512.tile(rows, 2*panels)
		}
	}
	for rows := 1; rows <= rows256; rows++ {
		f32AVX2.tile(rows, 2)
	}
	for _, u := range []unit{bf16AVX512, bf16Words} {
		for rows := 1; rows <= rowsBF16x51; rows++ {
			u.tile(rows, 1)
			u.tile(rows, 2)
		}
		for rows, list := range [][]int{1: {4, 3, 2}, 2: {2}, 3: {2}} {
			for _, panels := range list {
				u.tile(rows, 2*panels)
			}
		}
	}
	for rows := 1; rows <= rowsBF16x2; rows++ {
		bf16AVX2.tile(rows, 2)
	}
}

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

// tile is a kernel in the making: rows x vectors of C.
type tile struct {
	unit
	rows, vectors int
	a, c          reg.GPVirtual
	b             []reg.GPVirtual // of each panel
	odd           []reg.GPVirtual
	masks         []reg.OpmaskVirtual
	sum           [2][][]vector // of the chains: one, or e and o
	vb            []vector      // of B
	va, upper     vector        // of A; the mask of upper halves
	used          int           // fixed registers
}

// vec returns a register.
func (t *tile) vec() vector {
	switch {
	case t.words:
		t.used++
		return fixed[t.used-1]
	case t.bytes == 64:
		return ZMM()
	}
	return YMM()
}

// at is the address of vector j of a row of C.
func (t *tile) at(row reg.GPVirtual, j int) Mem { return Mem{Base: row, Disp: j * t.bytes} }

func (t *tile) load(m Mem, j int, v vector) {
	if t.masks != nil {
		VMOVUPS_Z(m, t.masks[j], v)
	} else {
		VMOVUPS(m, v)
	}
}

func (t *tile) store(v vector, m Mem, j int) {
	if t.masks != nil {
		VMOVUPS(v, t.masks[j], m)
	} else {
		VMOVUPS(v, m)
	}
}

// fromB is the address of vector j of a row of B.
func (t *tile) fromB(j int) Mem {
	perPanel := 128 / t.bytes
	return Mem{Base: t.b[j/perPanel], Disp: j % perPanel * t.bytes}
}

// eachRow calls f with the address of each row of C.
func (t *tile) eachRow(f func(i int, row reg.GPVirtual)) {
	r, ci := GP64(), param("ci")
	MOVQ(t.c, r)
	for i := range t.rows {
		f(i, r)
		if i+1 < t.rows {
			ADDQ(ci, r)
		}
	}
}

func (t *tile) clear(chain int) {
	for _, row := range t.sum[chain] {
		for _, v := range row {
			VXORPS(v.AsX(), v.AsX(), v.AsX())
		}
	}
}

// tile writes the kernel of rows x vectors.
func (u unit) tile(rows, vectors int) {
	t := &tile{unit: u, rows: rows, vectors: vectors}
	columns := vectors * u.bytes / 4
	begin(fmt.Sprintf("%sx%dx%d", u.name, rows, columns), tileSignature,
		fmt.Sprintf("computes tiles of %d rows and %d columns with %s.", rows, columns, u.doc))
	restore := flushing()
	if u.bytes == 64 && vectors <= 2 {
		m := Load(Param("mask"), GP32()).(reg.GPVirtual)
		for range vectors {
			k := K()
			KMOVW(m, k)
			SHRL(U8(16), m)
			t.masks = append(t.masks, k)
		}
	}
	t.a, t.c = param("a"), param("c")
	t.odd = oddMultiples(param("ai"), rows)
	for range (columns + 31) / 32 {
		t.b = append(t.b, GP64())
	}
	chains := 1
	if u.bf16 {
		chains = 2
	}
	for c := range chains {
		for range rows {
			row := make([]vector, vectors)
			for j := range row {
				row[j] = t.vec()
			}
			t.sum[c] = append(t.sum[c], row)
		}
	}
	for range vectors {
		t.vb = append(t.vb, t.vec())
	}
	t.va = t.vec()
	tiles := param("tiles")
	Label("tile")
	Load(Param("b"), t.b[0])
	for i := 1; i < len(t.b); i++ {
		MOVQ(t.b[i-1], t.b[i])
		ADDQ(param("bp"), t.b[i])
	}
	if u.bf16 {
		t.bodyBF16()
	} else {
		t.bodyF32()
	}
	step := GP64()
	IMUL3Q(I32(rows), t.odd[0], step)
	ADDQ(step, t.a)
	IMUL3Q(I32(rows), param("ci"), step)
	ADDQ(step, t.c)
	DECQ(tiles)
	JNZ(LabelRef("tile"))
	restore()
	VZEROUPPER()
	RET()
}

// prefetch asks for rows of B ahead. One or two rows of A leave so much time
// that the processor does it by itself. Large tiles of BF16 ask for what follows
// the chunk of k that is in the first cache (see kernels in product_amd64.go).
func (t *tile) prefetch() {
	ahead := 8192
	switch {
	case t.rows <= 2:
		return
	case t.rows > 4 && t.bf16:
		ahead = 16384
	case t.rows <= 4 && !t.bf16:
		ahead = 4096
	}
	rows := 1 // of B between two calls
	if t.bf16 {
		rows = 2
	}
	for i := range rows {
		for j := 0; j < t.vectors; j += max(64/t.bytes, 1) {
			m := t.fromB(j)
			PREFETCHT0(m.Offset(ahead + i*128))
		}
	}
}

// bodyF32 is the loop over k of F32.
func (t *tile) bodyF32() {
	al, bl := param("al"), param("bl")
	add := param("add")
	TESTQ(add, add)
	JZ(LabelRef("zero"))
	t.eachRow(func(i int, row reg.GPVirtual) {
		for j, v := range t.sum[0][i] {
			t.load(t.at(row, j), j, v)
		}
	})
	JMP(LabelRef("start"))
	Label("zero")
	t.clear(0)
	t.eachRow(func(_ int, row reg.GPVirtual) { PREFETCHT0(Mem{Base: row}) })
	Label("start")
	k, from := GP64(), GP64()
	Load(Param("k"), k)
	MOVQ(t.a, from)
	Label("loop")
	t.prefetch()
	for j, v := range t.vb {
		t.load(t.fromB(j), j, v)
	}
	t.addRow(0, from)
	ADDQ(al, from)
	for _, b := range t.b {
		ADDQ(bl, b)
	}
	DECQ(k)
	JNZ(LabelRef("loop"))
	t.eachRow(func(i int, row reg.GPVirtual) {
		for j, v := range t.sum[0][i] {
			t.store(v, t.at(row, j), j)
		}
	})
}

// addRow adds the product of one column of A and t.vb to a chain.
func (t *tile) addRow(chain int, a reg.GPVirtual) {
	for i, row := range t.sum[chain] {
		VBROADCASTSS(rowAddress(a, t.odd, i), t.va)
		for j, v := range row {
			if t.words {
				dotWords(t.vb[j], t.va, v)
			} else {
				VFMADD231PS(t.vb[j], t.va, v)
			}
		}
	}
}

// bodyBF16 is the loop over blocks of 32 k, in each over fours of k.
func (t *tile) bodyBF16() {
	add := param("add")
	TESTQ(add, add)
	JNZ(LabelRef("start"))
	t.clear(0)
	t.eachRow(func(i int, row reg.GPVirtual) {
		for j, v := range t.sum[0][i] {
			t.store(v, t.at(row, j), j)
		}
	})
	Label("start")
	al, bl := param("al"), param("bl")
	// A at k and, of numbers, at k + 2.
	from, from2, al3 := GP64(), GP64(), GP64()
	MOVQ(t.a, from)
	if !t.words {
		LEAQ(Mem{Base: from, Index: al, Scale: 2}, from2)
		LEAQ(Mem{Base: al, Index: al, Scale: 2}, al3)
		t.upper = t.vec()
		ones := GP32()
		MOVL(U32(0xffff0000), ones)
		if t.bytes == 64 {
			VPBROADCASTD(ones, t.upper)
		} else {
			VMOVD(ones, t.upper.AsX())
			VPBROADCASTD(t.upper.AsX(), t.upper)
		}
	}
	// The rows of C of the next tile.
	next := GP64()
	IMUL3Q(I32(t.rows), param("ci"), next)
	t.eachRow(func(_ int, row reg.GPVirtual) {
		for j := 0; j < t.vectors; j += 64 / t.bytes {
			PREFETCHT0(Mem{Base: row, Index: next, Scale: 1, Disp: j * t.bytes})
		}
	})
	blocks, fours := GP64(), GP64()
	Load(Param("k"), blocks)
	SHRQ(U8(5), blocks)
	Label("block")
	t.clear(0)
	t.clear(1)
	MOVQ(U32(8), fours)
	Label("four")
	t.prefetch()
	for chain := range 2 {
		if t.words {
			for j, v := range t.vb {
				VMOVUPS(t.fromB(j), v)
			}
			t.addRow(chain, from)
			ADDQ(al, from)
		} else {
			for j, v := range t.vb {
				t.upperHalf(t.fromB(j), v)
			}
			t.addRow(chain, from)
			for j, v := range t.vb {
				t.lowerHalf(t.fromB(j), v)
			}
			t.addRow(chain, from2)
			step := al
			if chain == 1 {
				step = al3
			}
			ADDQ(step, from)
			ADDQ(step, from2)
		}
		for _, b := range t.b {
			ADDQ(bl, b)
		}
	}
	DECQ(fours)
	JNZ(LabelRef("four"))
	t.eachRow(func(i int, row reg.GPVirtual) {
		for j, e := range t.sum[0][i] {
			o := t.sum[1][i][j]
			VADDPS(o, e, e)
			t.load(t.at(row, j), j, o)
			VADDPS(e, o, o)
			t.store(o, t.at(row, j), j)
		}
	})
	DECQ(blocks)
	JNZ(LabelRef("block"))
}

// upperHalf and lowerHalf load the numbers of words.
func (t *tile) upperHalf(m Mem, v vector) {
	if t.bytes == 64 {
		VPANDD(m, t.upper, v)
	} else {
		VPAND(m, t.upper, v)
	}
}

func (t *tile) lowerHalf(m Mem, v vector) {
	if t.bytes == 64 {
		VPSLLD(U8(16), m, v)
	} else {
		VMOVDQU(m, v)
		VPSLLD(U8(16), v, v)
	}
}

// fixed are the registers of kernels with instructions that are written as bytes.
var fixed = [...]reg.VecPhysical{
	reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7,
	reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
	reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23,
	reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31,
}

// dotWords is VDPBF16PS b, a, sum: sum = fma(upper, upper, sum), then
// sum = fma(lower, lower, sum) (Intel 64 manual, EVEX.512.F3.0F38.W0 52 /r).
func dotWords(b, a, sum vector) {
	x, y, z := number(b), number(a), number(sum)
	not := func(n, bit uint32) uint32 { return ^n >> bit & 1 }
	p0 := not(z, 3)<<7 | not(x, 4)<<6 | not(x, 3)<<5 | not(z, 4)<<4 | 2
	p1 := ^y&15<<3 | 1<<2 | 2
	p2 := 2<<5 | not(y, 4)<<3
	Instruction(&ir.Instruction{Opcode: "LONG", Operands: []Op{U32(0x62 | p0<<8 | p1<<16 | p2<<24)}})
	Instruction(&ir.Instruction{Opcode: "WORD", Operands: []Op{U16(0x52 | (0xc0|z&7<<3|x&7)<<8)}})
}

// number returns the number of a fixed register.
func number(v vector) uint32 {
	for i, f := range fixed {
		if f == v {
			return uint32(i)
		}
	}
	panic("register is not fixed")
}
