package op

import (
	"fmt"
	"math/bits"
	"unsafe"
)

// mapAt is the number of float32 from which on memory comes straight from the
// operating system (in huge pages where there are) and goes straight back.
const mapAt = 1 << 18

// heap is the memory of a backend. Small blocks are kept for reuse in size
// classes, so that the buffers of one training step after another cost neither
// the collector nor the page table anything.
type heap struct {
	live map[*float32]int    // blocks in use and their class
	free map[int][][]float32 // class -> blocks of that length
	held int64               // bytes of the blocks in use
}

func newHeap() *heap {
	return &heap{live: map[*float32]int{}, free: map[int][][]float32{}}
}

// class rounds n up to one of four sizes per power of two, at least 64, and no
// further than to a huge page of 2 MiB.
func class(n int) int {
	if n <= 64 {
		return 64
	}
	s := min(bits.Len(uint(n-1))-3, 19)
	return (n + 1<<s - 1) >> s << s
}

// get returns n float32, n > 0, on a cache line border. They are zero if clean.
func (h *heap) get(n int, clean bool) []float32 {
	k := class(n)
	var b []float32
	if k >= mapAt {
		b = mapFloats(k)
	} else if f := h.free[k]; len(f) > 0 {
		b = f[len(f)-1]
		h.free[k] = f[:len(f)-1]
		if clean {
			clear(b[:n])
		}
	} else {
		b = aligned(k)
	}
	h.live[&b[0]] = k
	h.held += 4 * int64(k)
	return b[:n:n]
}

// put takes b back, which get returned.
func (h *heap) put(b []float32) {
	k, ok := h.live[&b[0]]
	if !ok {
		panic(fmt.Sprintf("op: freeing %d float32 that are not a block of this backend, or twice", len(b)))
	}
	delete(h.live, &b[0])
	h.held -= 4 * int64(k)
	b = unsafe.Slice(&b[0], k)
	if k >= mapAt {
		unmapFloats(b)
		return
	}
	h.free[k] = append(h.free[k], b)
}

// release gives everything back, blocks in use included.
func (h *heap) release() {
	for p, k := range h.live {
		if k >= mapAt {
			unmapFloats(unsafe.Slice(p, k))
		}
	}
	clear(h.live)
	clear(h.free)
}

// aligned returns n zeroed float32 of the Go heap on a 64-byte border.
func aligned(n int) []float32 {
	b := make([]float32, n+16)
	skip := int(-uintptr(unsafe.Pointer(&b[0]))&63) / 4
	return b[skip : skip+n : skip+n]
}
