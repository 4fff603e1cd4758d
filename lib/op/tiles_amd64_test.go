//go:build !purego

package op

import (
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// interpreted returns amx_bf16 with its kernels run by an interpreter of their
// instructions, to which dot is that of TDPBF16PS. A processor without AVX512_BF16
// makes the operands in plain Go.
func interpreted(dot dotFunc, ran map[uintptr]bool) *tier {
	t := amxBF16
	if lacksWords() != "" {
		t = generic
		t.rowsBF16, t.leftRows, t.leftWords, t.order = amxBF16.rowsBF16, amxBF16.leftRows, true, twos
		t.pairs, t.weave = twos.pairs, twos.weave
	}
	t.name = "amx_bf16 interpreted"
	t.productBF16 = func(th *thread, p *product, i0, i1, j0, j1 int) {
		m := &machine{dot: dot, ran: ran}
		if ran == nil {
			m.ran = map[uintptr]bool{}
		}
		for i := range p.m { // what lies between the rows of A must not matter
			for l := p.k / 2; l < p.ai && i*p.ai+l < len(p.a); l++ {
				p.a[i*p.ai+l] = float32(math.NaN())
			}
		}
		m.memory = []region{{bytes: th.config[:]}, {bytes: bytesOf(p.a)}, {bytes: bytesOf(p.b)}, {bytes: bytesOf(p.c), write: true}}
		s := amxKernels
		s.wide = m.kernel(s.wide)
		for i := range s.by {
			for j, f := range s.by[i] {
				if f != nil {
					s.by[i][j] = m.kernel(f)
				}
			}
		}
		s.product(th, p, i0, i1, j0, j1)
	}
	return &t
}

// kernel returns a kernel as run by m.
func (m *machine) kernel(f tilesFunc) tilesFunc {
	code, at := body(f)
	return func(config *tileConfig, k, n int, a *float32, ai, an int, b *float32, bl, bp, bn int, c *float32, ci, cn, add int) {
		m.call(code, at, address(config), uint64(k), uint64(n), address(a), uint64(ai), uint64(an),
			address(b), uint64(bl), uint64(bp), uint64(bn), address(c), uint64(ci), uint64(cn), uint64(add))
	}
}

func address[T any](x *T) uint64 { return uint64(uintptr(unsafe.Pointer(x))) }

func init() { emulated = append(emulated, interpreted(dotPairs, nil)) }

// allKernels are those of AMX by name.
var allKernels = map[string]any{
	"tiles1x1": tiles1x1, "tiles1x2": tiles1x2, "tiles1x4": tiles1x4, "tiles2x1": tiles2x1, "tiles2x2": tiles2x2, "peakTiles": peakTiles,
}

// TestTileInstructions: the bytes of every instruction of AMX in the kernels are
// those that an assembler makes of what the interpreter reads in them, and the
// interpreter runs each instruction of each kernel.
func TestTileInstructions(t *testing.T) {
	known := map[string]string{} // text by bytes
	for row := range strings.Lines(tileInstructions) {
		code, text, _ := strings.Cut(strings.TrimSpace(row), " ")
		known[code] = text
	}
	ran := map[uintptr]bool{}
	require.True(t, agrees(interpreted(dotPairs, ran)))
	peak, at := body(peakTiles)
	m := &machine{dot: dotPairs, ran: ran}
	whole := new(tileConfig)
	*whole = configure(2*tileSize, 2*tileSize)
	m.memory = []region{{bytes: whole[:]}}
	m.call(peak, at, address(whole), 3)
	used := map[string]bool{}
	for name, f := range allKernels {
		code, at := body(f)
		for pc := 0; ; {
			i := decode(code[pc:])
			require.True(t, ran[at+uintptr(pc)], "%s: instruction at %#x never runs", name, pc)
			if text := i.tileText(); text != "" {
				bytes := hex.EncodeToString(code[pc:][:i.length])
				require.Equal(t, known[bytes], text, "%s at %#x: % s", name, pc, bytes)
				used[bytes] = true
			}
			if pc += i.length; i.name == "ret" {
				break
			}
		}
	}
	for bytes, text := range known {
		require.True(t, used[bytes], "no kernel has %s", text)
	}
}

// TestTilesDisagree: a machine whose instruction does anything else than BF16
// defines does not have the tier.
func TestTilesDisagree(t *testing.T) {
	each := func(f func(k int) (i int, upper bool)) dotFunc { // one chain
		return func(c float32, a, b []uint32) float32 {
			sum := float32(0)
			for k := range 2 * len(a) {
				if i, upper := f(k); upper {
					sum = fma32(upperHalf(a[i]), upperHalf(b[i]), sum)
				} else {
					sum = fma32(lowerHalf(a[i]), lowerHalf(b[i]), sum)
				}
			}
			return flush(flush(c) + sum)
		}
	}
	chains := func(c float32, a, b []uint32, finish func(c, even, odd float32) float32) float32 {
		var even, odd float32
		for k := range a {
			even = fma32(lowerHalf(a[k]), lowerHalf(b[k]), even)
			odd = fma32(upperHalf(a[k]), upperHalf(b[k]), odd)
		}
		return finish(flush(c), even, odd)
	}
	for what, dot := range map[string]dotFunc{
		"one chain":           each(func(k int) (int, bool) { return k / 2, k%2 == 1 }),
		"pairs turned":        each(func(k int) (int, bool) { return k / 2, k%2 == 0 }),
		"one half, the other": each(func(k int) (int, bool) { return k % 16, k >= 16 }),
		"descending": func(c float32, a, b []uint32) float32 {
			a, b = slices.Clone(a), slices.Clone(b)
			slices.Reverse(a)
			slices.Reverse(b)
			return dotPairs(c, a, b)
		},
		"c first": func(c float32, a, b []uint32) float32 {
			return chains(c, a, b, func(c, even, odd float32) float32 { return flush(flush(c+even) + odd) })
		},
		"chains from c": func(c float32, a, b []uint32) float32 {
			return dotPairs(0, append([]uint32{0x3f80}, a...), append([]uint32{math.Float32bits(c) >> 16}, b...))
		},
		"denormal results": func(c float32, a, b []uint32) float32 {
			var sum [2]float64
			for k := range a {
				sum[0] = float64(float32(math.FMA(float64(lowerHalf(a[k])), float64(lowerHalf(b[k])), sum[0])))
				sum[1] = float64(float32(math.FMA(float64(upperHalf(a[k])), float64(upperHalf(b[k])), sum[1])))
			}
			return flush(c) + float32(sum[0]+sum[1])
		},
		"denormal c": func(c float32, a, b []uint32) float32 {
			return chains(0, a, b, func(_, even, odd float32) float32 { return c + flush(even+odd) })
		},
		"rounded towards zero": func(c float32, a, b []uint32) float32 {
			return chains(c, a, b, func(c, even, odd float32) float32 {
				exact := float64(c) + float64(flush(even+odd))
				if x := float32(exact); math.Abs(float64(x)) > math.Abs(exact) {
					return math.Nextafter32(x, 0)
				}
				return flush(c + flush(even+odd))
			})
		},
	} {
		assert.False(t, agrees(interpreted(dot, nil)), what)
	}
}

// TestTilesNoAllocation: what is around the kernels allocates nothing.
func TestTilesNoAllocation(t *testing.T) {
	nothing := func(*tileConfig, int, int, *float32, int, int, *float32, int, int, int, *float32, int, int, int) {}
	kernels := tileKernels{wide: nothing}
	for i := range kernels.by {
		kernels.by[i] = [3]tilesFunc{1: nothing, 2: nothing}
	}
	tier := *interpreted(dotPairs, nil)
	tier.productBF16 = kernels.product
	c := newCPU(&tier, 2, BF16)
	defer c.Close()
	require.Zero(t, allocations(c))
}

// TestMachine: the interpreter stops at what a processor would not do, or not in
// this memory.
func TestMachine(t *testing.T) {
	load := []byte{0x48, 0x8b, 0x4c, 0x24, 0x08} // mov 8(%rsp),%rcx
	config := configure(20, 20)
	run := func(code ...byte) func() {
		return func() {
			m := &machine{dot: dotPairs, ran: map[uintptr]bool{}, memory: []region{{bytes: config[:]}}}
			m.call(append(slices.Clone(load), code...), 0, address(&config))
		}
	}
	with := func(code ...byte) []byte { return append([]byte{0xc4, 0xe2, 0x78, 0x49, 0x01}, code...) }
	require.NotPanics(t, run(with(0xc4, 0xe2, 0x78, 0x49, 0xc0, 0xc3)...))
	for what, f := range map[string]func(){
		"unknown instruction":         run(0x90),
		"tiles are not configured":    run(0xc4, 0xe2, 0x7b, 0x49, 0xc0, 0xc3),
		"tiles are in use":            run(with(0xc3)...),
		"stack or frame pointer":      run(0x48, 0xff, 0xcd, 0xc3),
		"not the kernel's to access":  run(with(0xc4, 0xe2, 0x7b, 0x4b, 0x84, 0x19, 0, 0, 0, 0)...),
		"(write: true)":               run(with(0xc4, 0xe2, 0x7a, 0x4b, 0x84, 0x19, 0, 0, 0, 0)...),
		"tiles of a product":          run(with(0xc4, 0xe2, 0x7a, 0x5c, 0xc0)...),
		"tiles do not fit":            run(with(0xc4, 0xe2, 0x4a, 0x5c, 0xc5)...),
		"reserved byte":               func() { new(machine).configure([]byte{1, 63: 1}) },
		"palette":                     func() { new(machine).configure(make([]byte, 64)) },
		"tile 0 of 17 rows":           func() { new(machine).configure([]byte{0: 1, 16: 64, 48: 17, 63: 0}) },
		"tile 1 of 3 rows of 0 bytes": func() { new(machine).configure([]byte{0: 1, 49: 3, 63: 0}) },
	} {
		func() {
			defer func() { require.Contains(t, recover(), what) }()
			f()
		}()
	}
}

// tileInstructions are the instructions of the kernels as GNU as 2.40 assembles
// them (of two lengths for distances, {disp32}).
const tileInstructions = `c4e2784901 ldtilecfg (%rcx)
c4e2525cc4 tdpbf16ps %tmm5,%tmm4,%tmm0
c4e2525cdc tdpbf16ps %tmm5,%tmm4,%tmm3
c4e24a5cc4 tdpbf16ps %tmm6,%tmm4,%tmm0
c4e24a5ccc tdpbf16ps %tmm6,%tmm4,%tmm1
c4e24a5ccd tdpbf16ps %tmm6,%tmm5,%tmm1
c4e24a5cd5 tdpbf16ps %tmm6,%tmm5,%tmm2
c4e2425ccc tdpbf16ps %tmm7,%tmm4,%tmm1
c4e2425cd4 tdpbf16ps %tmm7,%tmm4,%tmm2
c4e2425cdd tdpbf16ps %tmm7,%tmm5,%tmm3
c4827b4bbc0c00000000 tileloadd 0x0(%r12,%r9,1),%tmm7
c4c27b4b8c1c00000000 tileloadd 0x0(%r12,%rbx,1),%tmm1
c4c27b4b941c00000000 tileloadd 0x0(%r12,%rbx,1),%tmm2
c4a27b4bac0f00000000 tileloadd 0x0(%rdi,%r9,1),%tmm5
c4a27b4bb40f00000000 tileloadd 0x0(%rdi,%r9,1),%tmm6
c4e27b4b841a00000000 tileloadd 0x0(%rdx,%rbx,1),%tmm0
c4827b4bac0c40000000 tileloadd 0x40(%r12,%r9,1),%tmm5
c4c27b4b9c1c40000000 tileloadd 0x40(%r12,%rbx,1),%tmm3
c4a27b4bb40f40000000 tileloadd 0x40(%rdi,%r9,1),%tmm6
c4a27b4bbc0f40000000 tileloadd 0x40(%rdi,%r9,1),%tmm7
c4e27b4b8c1a40000000 tileloadd 0x40(%rdx,%rbx,1),%tmm1
c4e27b4b941a80000000 tileloadd 0x80(%rdx,%rbx,1),%tmm2
c4e27b4b9c1ac0000000 tileloadd 0xc0(%rdx,%rbx,1),%tmm3
c4a2794bac0000000000 tileloaddt1 0x0(%rax,%r8,1),%tmm5
c4a2794ba40600000000 tileloaddt1 0x0(%rsi,%r8,1),%tmm4
c4e27849c0 tilerelease
c4e27a4b841a00000000 tilestored %tmm0,0x0(%rdx,%rbx,1)
c4c27a4b8c1c00000000 tilestored %tmm1,0x0(%r12,%rbx,1)
c4e27a4b8c1a40000000 tilestored %tmm1,0x40(%rdx,%rbx,1)
c4c27a4b941c00000000 tilestored %tmm2,0x0(%r12,%rbx,1)
c4e27a4b941a80000000 tilestored %tmm2,0x80(%rdx,%rbx,1)
c4c27a4b9c1c40000000 tilestored %tmm3,0x40(%r12,%rbx,1)
c4e27a4b9c1ac0000000 tilestored %tmm3,0xc0(%rdx,%rbx,1)
c4e27b49c0 tilezero %tmm0
c4e27b49c8 tilezero %tmm1
c4e27b49d0 tilezero %tmm2
c4e27b49d8 tilezero %tmm3
c4e27b49e0 tilezero %tmm4
c4e27b49e8 tilezero %tmm5
c4e27b49f0 tilezero %tmm6
c4e27b49f8 tilezero %tmm7
`
