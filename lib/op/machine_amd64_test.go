//go:build !purego

package op

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"unsafe"
)

// machine runs kernels of tiles on machines without them: it interprets their
// machine code as the assembler left it in this process. It knows the instructions
// that they consist of and no others, and panics where a processor would raise an
// exception, at bytes outside the memory it was given, and at code that does not
// return as it should (Intel 64 manual, volume 2; volume 1, chapter 18).
type machine struct {
	regs       [16]uint64
	zero       bool // the flag
	memory     []region
	configured bool
	tiles      [8]tileRegister
	dot        dotFunc
	ran        map[uintptr]bool // addresses of instructions
}

// region is memory that the code may read, and write if it says so.
type region struct {
	bytes []byte
	write bool
}

type tileRegister struct {
	rows, bytes int
	words       [16][16]uint32
}

// dotFunc returns c plus the product of a row of words and a column of words.
type dotFunc func(c float32, a, b []uint32) float32

// dotPairs is the operation of TDPBF16PS: two chains of multiplications and
// additions that are rounded once, denormals being zeros.
func dotPairs(c float32, a, b []uint32) float32 {
	var even, odd float32
	for k := range a {
		even = fma32(lowerHalf(a[k]), lowerHalf(b[k]), even)
		odd = fma32(upperHalf(a[k]), upperHalf(b[k]), odd)
	}
	return flush(flush(c) + flush(even+odd))
}

func lowerHalf(word uint32) float32 { return flush(math.Float32frombits(word << 16)) }
func upperHalf(word uint32) float32 { return flush(math.Float32frombits(word &^ 0xffff)) }

// Numbers of registers.
const (
	rcx = 1
	rsp = 4
	rbp = 5
)

// instruction is one that a machine knows.
type instruction struct {
	name   string // what GNU as calls it
	length int
	// reg and rm are registers; disp and index, -1 for none, belong to memory.
	reg, rm, index int
	inMemory       bool
	third          int // register of VEX
	disp           int64
	value          int64 // immediate, or distance of a jump
}

// tileText returns the instruction as GNU as writes it, if it is one of AMX.
func (i instruction) tileText() string {
	place := ""
	if i.inMemory {
		place = "(%" + registers[i.rm] + ")"
		if i.index >= 0 {
			place = fmt.Sprintf("%#x(%%%s,%%%s,1)", i.disp, registers[i.rm], registers[i.index])
		}
	}
	switch i.name {
	case "ldtilecfg":
		return i.name + " " + place
	case "tilerelease":
		return i.name
	case "tilezero":
		return fmt.Sprintf("%s %%tmm%d", i.name, i.reg)
	case "tileloadd", "tileloaddt1":
		return fmt.Sprintf("%s %s,%%tmm%d", i.name, place, i.reg)
	case "tilestored":
		return fmt.Sprintf("%s %%tmm%d,%s", i.name, i.reg, place)
	case "tdpbf16ps":
		return fmt.Sprintf("%s %%tmm%d,%%tmm%d,%%tmm%d", i.name, i.third, i.rm, i.reg)
	}
	return ""
}

// ofMemory are the instructions with an operand in memory, which the others have
// not.
var ofMemory = []string{"load", "ldtilecfg", "tileloadd", "tileloaddt1", "tilestored", "prefetcht0", "prefetcht1"}

var registers = [...]string{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"}

// decode decodes the instruction that code begins with.
func decode(code []byte) (i instruction) {
	at := 0
	next := func() byte { at++; return code[at-1] }
	signed := func(bytes int) (v int64) {
		if bytes == 1 {
			return int64(int8(next()))
		}
		at += 4
		return int64(int32(binary.LittleEndian.Uint32(code[at-4:])))
	}
	unknown := func() { panic(fmt.Sprintf("unknown instruction % x", code[:min(len(code), 12)])) }
	r, x, b := 0, 0, 0 // the upper bits of register numbers
	operand := func() {
		modrm := next()
		i.reg, i.rm, i.index = r|int(modrm>>3&7), b|int(modrm&7), -1
		mod := modrm >> 6
		if mod == 3 {
			return
		}
		i.inMemory = true
		if modrm&7 == 4 {
			sib := next()
			i.rm, i.index = b|int(sib&7), x|int(sib>>3&7)
			if sib>>6 != 0 && i.index != rsp {
				unknown() // a scaled index
			}
			if i.index == rsp {
				i.index = -1
			}
		}
		switch {
		case mod == 0 && i.rm&7 == rbp:
			unknown() // relative to the code, or without a base
		case mod == 1:
			i.disp = signed(1)
		case mod == 2:
			i.disp = signed(4)
		}
	}
	// group is an instruction by the field that would be a register.
	group := func(names map[int]string) {
		operand()
		i.name = names[i.reg&7]
	}
	op := next()
	switch {
	case op == 0xc4:
		p0, p1 := next(), next()
		r, x, b = int(^p0>>7&1)<<3, int(^p0>>6&1)<<3, int(^p0>>5&1)<<3
		i.third = int(^p1 >> 3 & 15)
		kind := [3]byte{p0 & 31, p1 & 0x87, next()} // map; width, length and pp; opcode
		switch kind {
		case [3]byte{2, 0, 0x49}:
			if operand(); i.inMemory {
				i.name = "ldtilecfg"
			} else if i.reg == 0 && i.rm == 0 {
				i.name = "tilerelease"
			}
		case [3]byte{2, 3, 0x49}:
			if operand(); !i.inMemory && i.rm == 0 {
				i.name = "tilezero"
			}
		case [3]byte{2, 3, 0x4b}:
			i.name = "tileloadd"
			operand()
		case [3]byte{2, 1, 0x4b}:
			i.name = "tileloaddt1"
			operand()
		case [3]byte{2, 2, 0x4b}:
			i.name = "tilestored"
			operand()
		case [3]byte{2, 2, 0x5c}:
			if operand(); !i.inMemory {
				i.name = "tdpbf16ps"
			}
		}
		if kind[2] == 0x4b && i.index < 0 || i.name != "tdpbf16ps" && i.third != 0 || max(i.reg, i.third) > 7 || !i.inMemory && i.rm > 7 {
			unknown()
		}
	case op == 0xc3:
		i.name = "ret"
	case op == 0x74 || op == 0x75:
		i.name, i.value = []string{"je", "jne"}[op&1], signed(1)
	case op == 0xeb:
		i.name, i.value = "jmp", signed(1)
	case op == 0x0f && code[at]&0xfe == 0x84:
		i.name, i.value = []string{"je", "jne"}[next()&1], signed(4)
	case op&0xf0 == 0x40 || op == 0x0f && code[at] == 0x18:
		wide := false
		if op != 0x0f {
			wide = op&8 != 0
			r, x, b = int(op>>2&1)<<3, int(op>>1&1)<<3, int(op&1)<<3
			op = next()
		}
		if !wide && op != 0x0f {
			unknown() // of 32 bits
		}
		switch op {
		case 0x01:
			i.name = "add"
			operand()
		case 0x85:
			i.name = "test"
			operand()
		case 0x89:
			i.name = "mov"
			operand()
		case 0x8b:
			i.name = "load"
			operand()
		case 0x0f:
			switch next() {
			case 0xaf:
				i.name = "imul"
				operand()
			case 0x18:
				group(map[int]string{1: "prefetcht0", 2: "prefetcht1"})
			}
		case 0x81, 0x83:
			group(map[int]string{0: "add immediate"})
			i.value = signed(map[byte]int{0x81: 4, 0x83: 1}[op])
		case 0xc1:
			group(map[int]string{4: "shl", 5: "shr"})
			i.value = signed(1)
		case 0xc7:
			group(map[int]string{0: "mov immediate"})
			i.value = signed(4)
		case 0xff:
			group(map[int]string{1: "dec"})
		}
	}
	if i.name == "" || i.inMemory != slices.Contains(ofMemory, i.name) {
		unknown()
	}
	i.length = at
	return i
}

// access returns n bytes of memory.
func (m *machine) access(address uint64, n int, write bool) []byte {
	for _, r := range m.memory {
		begin := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(r.bytes))))
		if address >= begin && address+uint64(n) <= begin+uint64(len(r.bytes)) && (r.write || !write) {
			return r.bytes[address-begin:][:n]
		}
	}
	panic(fmt.Sprintf("%d bytes at %#x are not the kernel's to access (write: %v)", n, address, write))
}

func must(ok bool, what string) {
	if !ok {
		panic(what)
	}
}

// call runs code, whose address is at, with arguments of the stack.
func (m *machine) call(code []byte, at uintptr, args ...uint64) {
	stack := append(make([]uint64, 1), args...) // the address to return to, and they
	m.memory = append(m.memory, region{bytes: bytesOf(stack)})
	top := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(stack))))
	for i := range m.regs {
		m.regs[i] = 0xbad0000000000000 + uint64(i)
	}
	m.regs[rsp] = top
	frame := m.regs[rbp]
	for pc := 0; ; {
		i := decode(code[pc:])
		m.ran[at+uintptr(pc)] = true
		pc += i.length
		switch i.name {
		case "ret":
			must(m.regs[rsp] == top && m.regs[rbp] == frame, "stack or frame pointer are not what they were")
			must(!m.configured, "tiles are in use on return")
			m.memory = m.memory[:len(m.memory)-1]
			return
		case "jmp":
			pc += int(i.value)
		case "je", "jne":
			if m.zero == (i.name == "je") {
				pc += int(i.value)
			}
		default:
			m.step(i)
		}
	}
}

// step runs an instruction that does not jump.
func (m *machine) step(i instruction) {
	address := m.regs[i.rm] + uint64(i.disp)
	result := func(v uint64) {
		m.regs[i.rm] = v
		m.zero = v == 0
	}
	switch i.name {
	case "mov":
		m.regs[i.rm] = m.regs[i.reg]
	case "mov immediate":
		m.regs[i.rm] = uint64(i.value)
	case "load":
		must(i.index < 0, "load with an index")
		m.regs[i.reg] = binary.LittleEndian.Uint64(m.access(address, 8, false))
	case "add":
		result(m.regs[i.rm] + m.regs[i.reg])
	case "add immediate":
		result(m.regs[i.rm] + uint64(i.value))
	case "imul":
		m.regs[i.reg] *= m.regs[i.rm]
	case "shl":
		result(m.regs[i.rm] << i.value)
	case "shr":
		result(m.regs[i.rm] >> i.value)
	case "dec":
		result(m.regs[i.rm] - 1)
	case "test":
		m.zero = m.regs[i.rm]&m.regs[i.reg] == 0
	case "prefetcht0", "prefetcht1": // of any address
	case "ldtilecfg":
		m.configure(m.access(address, 64, false))
	case "tilerelease":
		m.configured = false
	case "tilezero":
		m.tile(i.reg).words = [16][16]uint32{}
	case "tileloadd", "tileloaddt1", "tilestored":
		t := m.tile(i.reg)
		write := i.name == "tilestored"
		if !write {
			t.words = [16][16]uint32{} // what is behind the configured part
		}
		for r := range t.rows {
			row := m.access(address+uint64(r)*m.regs[i.index], t.bytes, write)
			for j := range t.bytes / 4 {
				if write {
					binary.LittleEndian.PutUint32(row[4*j:], t.words[r][j])
				} else {
					t.words[r][j] = binary.LittleEndian.Uint32(row[4*j:])
				}
			}
		}
	case "tdpbf16ps":
		c, a, b := m.tile(i.reg), m.tile(i.rm), m.tile(i.third)
		must(c != a && a != b && b != c, "tiles of a product are not three")
		must(c.rows == a.rows && c.bytes == b.bytes && a.bytes == 4*b.rows, "tiles do not fit")
		for n := range c.bytes / 4 {
			column := make([]uint32, b.rows)
			for k := range column {
				column[k] = b.words[k][n]
			}
			for r := range c.rows {
				w := &c.words[r][n]
				*w = math.Float32bits(m.dot(math.Float32frombits(*w), a.words[r][:len(column)], column))
			}
		}
	default:
		panic(i.name)
	}
}

// tile returns a tile that may be used.
func (m *machine) tile(t int) *tileRegister {
	must(m.configured, "tiles are not configured")
	must(m.tiles[t].rows > 0, fmt.Sprintf("tile %d is not configured", t))
	return &m.tiles[t]
}

// configure is what LDTILECFG does.
func (m *machine) configure(c []byte) {
	must(c[0] == 1, "palette")
	for i, v := range c {
		reserved := i > 0 && i < 16 || i >= 32 && i < 48 || i >= 56
		must(!reserved || v == 0, "reserved byte of the configuration")
	}
	for t := range m.tiles {
		rows, bytes := int(c[48+t]), int(binary.LittleEndian.Uint16(c[16+2*t:]))
		must(rows <= 16 && bytes <= 64 && bytes%4 == 0 && (rows == 0) == (bytes == 0), fmt.Sprintf("tile %d of %d rows of %d bytes", t, rows, bytes))
		m.tiles[t] = tileRegister{rows: rows, bytes: bytes}
	}
	m.configured = true
}

func bytesOf[T any](x []T) []byte {
	var one T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), len(x)*int(unsafe.Sizeof(one)))
}

// body returns the machine code of an assembly function and its address. What Go
// calls is a function that calls it.
func body(f any) (code []byte, at uintptr) {
	v := reflect.New(reflect.TypeOf(f))
	v.Elem().Set(reflect.ValueOf(f))
	wrapper := **(**unsafe.Pointer)(v.UnsafePointer())
	name := runtime.FuncForPC(uintptr(wrapper)).Name()
	for i := 0; ; i++ {
		must(runtime.FuncForPC(uintptr(wrapper)+uintptr(i)).Name() == name, name+" calls no assembly")
		if *(*byte)(unsafe.Add(wrapper, i)) != 0xe8 { // CALL
			continue
		}
		to := unsafe.Add(wrapper, i+5+int(*(*int32)(unsafe.Add(wrapper, i+1))))
		callee := runtime.FuncForPC(uintptr(to))
		if callee == nil || callee.Entry() != uintptr(to) || strings.TrimSuffix(callee.Name(), ".abi0") != name {
			continue
		}
		n := 0
		for runtime.FuncForPC(uintptr(to)+uintptr(n)) == callee {
			n++
		}
		return unsafe.Slice((*byte)(to), n), uintptr(to)
	}
}
