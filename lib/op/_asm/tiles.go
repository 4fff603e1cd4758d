package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The kernels here multiply with AMX (Intel 64 manual, volume 1, chapter 18).
// Its registers are tiles of 16 rows of 64 bytes: 16 numbers of C, 16 words of A,
// or 16 columns of 16 rows of words of B. A kernel configures them first and
// releases them last, so that no other code ever runs with tiles in use.

// tilesSignature: config is what LDTILECFG takes (see tileConfig in
// tiles_amd64.go), all other distances are in bytes. k is a multiple of 32. One
// call computes n blocks of C, whose operands are an, bn and cn apart. With
// add == 0 the sums start from +0, else from c.
const tilesSignature = "func(config *[64]byte, k, n int, a *float32, ai, an int, b *float32, bl, bp, bn int, c *float32, ci, cn, add int)"

// The registers of kernels of tiles, which are in instructions as bytes.
var (
	atA, atA2 = reg.RSI, reg.RAX // A at k, of each row of tiles
	atB, atB2 = reg.RDI, reg.R12 // B at k, of each panel
	atC, atC2 = reg.RDX, reg.R12 // C, of each row of tiles: with one panel only
	a, b      = reg.R10, reg.R14 // A and B at the first k
	ai, bl    = reg.R8, reg.R9
	ci        = reg.RBX
	bBlock    = reg.R13 // distance of blocks of B
	ahead     = reg.R15 // distance of what is prefetched
	left      = reg.R11 // blocks of C
	count     = reg.RCX
)

const tileBytes = 64 // of a row of a tile

// tiles writes the kernel of blocks of rows x columns tiles. Tiles 0 to 3 are
// those of C, row after row, then come those of A and those of B.
func tiles(rows, columns int) {
	begin(fmt.Sprintf("tiles%dx%d", rows, columns), tilesSignature,
		fmt.Sprintf("computes blocks of up to %d rows and %d columns with AMX.", 16*rows, 16*columns))
	Load(Param("config"), count)
	loadConfig(count)
	for name, r := range ordered("a", a, "ai", ai, "b", b, "bl", bl, "c", atC, "ci", ci, "n", left) {
		Load(Param(name), r)
	}
	MOVQ(bl, bBlock)
	SHLQ(U8(4), bBlock)
	if rows == 2 {
		Load(Param("k"), ahead)
		SHRQ(U8(5), ahead)
		IMULQ(bBlock, ahead)
	}
	Label("tile")
	cRows := []reg.GPPhysical{atC, atC2}[:rows]
	if rows == 2 {
		MOVQ(ci, atC2)
		SHLQ(U8(4), atC2)
		ADDQ(atC, atC2)
	}
	eachC := func(f func(t int, row reg.GPPhysical, at int)) {
		for i, row := range cRows {
			for j := range columns {
				f(i*columns+j, row, j*tileBytes)
			}
		}
	}
	Load(Param("add"), count)
	TESTQ(count, count)
	JZ(LabelRef("zero"))
	eachC(func(t int, row reg.GPPhysical, at int) { tileMemory(load, t, row, ci, at) })
	JMP(LabelRef("start"))
	Label("zero")
	eachC(func(t int, _ reg.GPPhysical, _ int) { zero(t) })
	if rows == 2 { // ask for what will be written
		MOVQ(atC, atB)
		MOVQ(U32(32), count)
		Label("row")
		for j := range columns {
			PREFETCHT0(Mem{Base: atB, Disp: j * tileBytes})
		}
		ADDQ(ci, atB)
		DECQ(count)
		JNZ(LabelRef("row"))
	}
	Label("start")
	aRows := []reg.GPPhysical{atA, atA2}[:rows]
	bPanels := []reg.GPPhysical{atB, atB2}[:max(columns/2, 1)]
	MOVQ(a, atA)
	if rows == 2 {
		MOVQ(ai, atA2)
		SHLQ(U8(4), atA2)
		ADDQ(atA, atA2)
	}
	MOVQ(b, atB)
	if columns == 4 {
		Load(Param("bp"), atB2)
		ADDQ(atB, atB2)
	}
	Load(Param("k"), count)
	SHRQ(U8(5), count)
	Label("block")
	const tileA = 4
	tileB := func(j int) int {
		if columns == 4 {
			return 5 + j%3
		}
		return 6 + j
	}
	for i, row := range aRows {
		tileMemory(loadOnce, tileA+i, row, ai, 0)
		for j := range columns {
			if i == 0 {
				tileMemory(load, tileB(j), bPanels[j/2], bl, j%2*tileBytes)
			}
			dotTiles(i*columns+j, tileA+i, tileB(j))
		}
	}
	if rows == 2 { // B behind this call's, a part of it beside each block of C
		for line := range 8 {
			PREFETCHT1(Mem{Base: atB, Index: ahead, Scale: 1, Disp: 64 * line})
		}
	}
	for _, row := range aRows {
		ADDQ(U8(tileBytes), row)
	}
	for _, panel := range bPanels {
		ADDQ(bBlock, panel)
	}
	DECQ(count)
	JNZ(LabelRef("block"))
	eachC(func(t int, row reg.GPPhysical, at int) { tileMemory(store, t, row, ci, at) })
	for name, r := range ordered("an", a, "bn", b, "cn", atC) {
		Load(Param(name), count)
		ADDQ(count, r)
	}
	if rows == 2 {
		ADDQ(I32(8*64), ahead)
	}
	DECQ(left)
	JNZ(LabelRef("tile"))
	releaseTiles()
	RET()
}

func tileKernels() {
	for _, shape := range [][2]int{{1, 1}, {1, 2}, {1, 4}, {2, 1}, {2, 2}} {
		tiles(shape[0], shape[1])
	}
	// Four sums hide the latency of the instruction.
	begin("peakTiles", "func(config *[64]byte, n int)", "does n rounds of 8 multiplications of whole tiles with AMX.")
	Load(Param("config"), count)
	loadConfig(count)
	Load(Param("n"), left)
	for t := range 8 {
		zero(t)
	}
	Label("loop")
	for i := range 8 {
		dotTiles(i%4, 4+i/2%2, 6+i%2)
	}
	DECQ(left)
	JNZ(LabelRef("loop"))
	releaseTiles()
	RET()
}

// ordered lists pairs of a name and a register.
func ordered(pairs ...any) func(yield func(string, reg.GPPhysical) bool) {
	return func(yield func(string, reg.GPPhysical) bool) {
		for i := 0; i < len(pairs); i += 2 {
			if !yield(pairs[i].(string), pairs[i+1].(reg.GPPhysical)) {
				return
			}
		}
	}
}

// No assembler knows what follows (Intel 64 manual, volume 2, under the names of
// the instructions). All have a VEX prefix and lie in map 0F38, width 0.

// pp, the prefix that VEX implies.
const (
	none = iota
	pp66
	ppF3
	ppF2
)

// vex returns the prefix: the upper bits of the registers in the fields reg, index
// and rm (or base) of what follows, and the whole of the one that only VEX names.
func vex(pp, r, index, rm, v int) []byte {
	not := func(n int) int { return ^n >> 3 & 1 }
	return []byte{0xc4, byte(not(r)<<7 | not(index)<<6 | not(rm)<<5 | 2), byte((^v&15)<<3 | pp)}
}

// What tileMemory does.
const (
	load     = ppF2 // TILELOADD
	loadOnce = pp66 // TILELOADDT1: not into the first cache
	store    = ppF3 // TILESTORED
)

// tileMemory moves tile t from or to rows that begin at base + disp and are stride
// apart.
func tileMemory(pp, t int, base, stride reg.GPPhysical, disp int) {
	b, s := int(base.PhysicalIndex()), int(stride.PhysicalIndex())
	emit(append(vex(pp, t, s, b, 0), 0x4b,
		byte(2<<6|t<<3|4), byte(s&7<<3|b&7),
		byte(disp), byte(disp>>8), byte(disp>>16), byte(disp>>24)))
}

// dotTiles is TDPBF16PS c, a, b: c += a · b.
func dotTiles(c, a, b int) { emit(append(vex(ppF3, c, 0, a, b), 0x5c, byte(3<<6|c<<3|a))) }

// zero is TILEZERO.
func zero(t int) { emit(append(vex(ppF2, t, 0, 0, 0), 0x49, byte(3<<6|t<<3))) }

// loadConfig is LDTILECFG, releaseTiles TILERELEASE.
func loadConfig(from reg.GPPhysical) {
	r := int(from.PhysicalIndex())
	emit(append(vex(none, 0, 0, r, 0), 0x49, byte(r&7)))
}

func releaseTiles() { emit(append(vex(none, 0, 0, 0, 0), 0x49, 3<<6)) }

// emit writes an instruction as bytes.
func emit(code []byte) {
	for len(code) >= 4 {
		data("LONG", U32(uint32(code[0])|uint32(code[1])<<8|uint32(code[2])<<16|uint32(code[3])<<24))
		code = code[4:]
	}
	if len(code) >= 2 {
		data("WORD", U16(uint16(code[0])|uint16(code[1])<<8))
		code = code[2:]
	}
	for _, b := range code {
		data("BYTE", U8(b))
	}
}

func data(opcode string, v Op) {
	Instruction(&ir.Instruction{Opcode: opcode, Operands: []Op{v}})
}
