package op

import (
	"fmt"
	"os"
)

// cpu is the Backend of this machine's processor.
type cpu struct {
	tier     *tier
	numerics Numerics
	heap     *heap
	pool     *pool
	threads  []*thread
	ropes    map[*Rope]*ropeTable
	caches   int64 // bytes held by caches
	shared   arena // scratch of a call, for all threads
	jobs     jobs
}

// thread is what one thread of the pool has of its own.
type thread struct {
	tier     *tier
	numerics Numerics
	scratch  arena // of the operator
	rounded  arena // left operand of BF16
	words    arena // on the way to the right one
	woven    arena // on the way to rows of the left one
	edge     arena // columns at the right edge
	product  product
	has      leftOf // what product has as its left operand, in BF16
	pieces   []piece
	sums     [queryBlock]float32
	config   [64]byte // of tiles
}

// jobs holds the argument records of the operators, so that a call allocates
// nothing.
type jobs struct {
	cut         cut
	packForward packForward
	packPanels  packPanels
	zero        zero
	copy        pair
	add         add
	embed       embed
	embedGrad   embedGrad
	gather      gather
	scatter     scatter
	bias        bias
	biasGrad    biasGrad
	norm        norm
	normGrad    normGrad
	normGradW   normGradW
	rotate      rotate
	swiGLU      swiGLU
	swiGLUGrad  swiGLUGrad
	cacheWrite  cacheWrite
	attention   attention
	attend      attend
	attnGrad    attentionGrad
	attnGradSum attentionGradSum
	packHeads   packHeads
	draw        draw
	logProb     logProb
	logProbGrad logProbGrad
	sumSquares  sumSquares
	adamW       adamW
}

// NewCPU returns a backend that computes in n on the given number of threads with
// the best instructions the processor has. The environment variable SRAR_CPU
// (generic, avx2, avx512, avx512_bf16, amx_bf16) forces a tier; it is an error if
// it is not known or cannot run here. Tier and number of threads change no bit of any result.
func NewCPU(threads int, n Numerics) (Backend, error) {
	if threads < 1 {
		return nil, fmt.Errorf("op: %d threads: at least one is needed", threads)
	}
	if n > BF16 {
		return nil, fmt.Errorf("op: %v is not known", n)
	}
	t, err := pickTier(os.Getenv("SRAR_CPU"))
	if err != nil {
		return nil, err
	}
	return newCPU(t, threads, n), nil
}

func newCPU(t *tier, threads int, n Numerics) *cpu {
	c := &cpu{tier: t, numerics: n, heap: newHeap(), ropes: map[*Rope]*ropeTable{}}
	for range threads {
		c.threads = append(c.threads, &thread{tier: t, numerics: n})
	}
	c.pool = newPool(c.threads)
	return c
}

func (c *cpu) Name() string {
	if c.numerics == F32 {
		return "cpu/" + c.tier.name
	}
	return "cpu/" + c.tier.name + "/" + c.numerics.String()
}

func (c *cpu) Numerics() Numerics { return c.numerics }

func (c *cpu) Close() {
	c.pool.close()
	c.heap.release()
}

const (
	// grain is the least work of a chunk, in steps of about a nanosecond of SIMD
	// code: handing a chunk to another thread costs some hundreds of them.
	grain = 1000
	// flopsPerStep is how many multiplications of a product fit into one step.
	flopsPerStep = 64
)

// split does n items of about steps nanoseconds each on all threads: as a chunk for
// each, or four where the work is so much that claiming them costs little.
func (c *cpu) split(n, steps int, w work) {
	all, threads := n*max(steps, 1), len(c.threads)
	chunks := max(min(all/grain, threads), min(all/(8*grain), 4*threads))
	c.pool.run(w, n, chunks)
}

// arena is scratch memory that grows to the largest size asked for.
type arena struct{ buf []float32 }

// take returns n float32 of any content on a cache line border; what take
// returned before is no longer valid.
func (a *arena) take(n int) []float32 {
	if len(a.buf) < n {
		a.buf = aligned(class(n))
	}
	return a.buf[:n]
}

func (c *cpu) New(n int) Buf {
	if n == 0 {
		return Buf{}
	}
	return Buf{c.heap.get(n, true)}
}

func (c *cpu) Free(b Buf) {
	if len(b.data) > 0 {
		c.heap.put(b.data)
	}
}

func (c *cpu) Held() int64 { return c.heap.held }

func (c *cpu) Write(dst Buf, src []float32) { copy(dst.data[:len(src)], src) }
func (c *cpu) Read(dst []float32, src Buf)  { copy(dst[:len(src.data)], src.data) }

func (c *cpu) Zero(b Buf) {
	c.jobs.zero = b.data
	c.split(blocks(b.Len()), block/16, &c.jobs.zero)
}

func (c *cpu) Copy(dst, src Buf) {
	equal("Copy", dst.Len(), src.Len())
	c.jobs.copy = pair{dst.data, src.data}
	c.split(blocks(dst.Len()), block/16, &c.jobs.copy)
}

func (c *cpu) Add(dst, src Buf) {
	equal("Add", dst.Len(), src.Len())
	c.jobs.add = add{dst.data, src.data}
	c.split(blocks(dst.Len()), block/8, &c.jobs.add)
}

// block is the number of elements that elementwise operators count as one item.
const block = 256

// blocks returns the number of items that n elements are.
func blocks(n int) int { return (n + block - 1) / block }

// of returns the elements of blocks [lo, hi) of x.
func of(x []float32, lo, hi int) []float32 { return x[lo*block : min(hi*block, len(x))] }

// zero is x = 0.
type zero []float32

func (z *zero) do(_ *thread, lo, hi int) { clear(of(*z, lo, hi)) }

// pair is dst = src.
type pair struct{ dst, src []float32 }

func (p *pair) do(_ *thread, lo, hi int) { copy(of(p.dst, lo, hi), of(p.src, lo, hi)) }

// add is dst += src.
type add pair

func (a *add) do(t *thread, lo, hi int) { t.tier.add(of(a.dst, lo, hi), of(a.src, lo, hi)) }

// equal panics unless the lengths that operator name was given agree.
func equal(name string, a, b int) {
	if a != b {
		panic(fmt.Sprintf("op: %s: lengths %d and %d differ", name, a, b))
	}
}

// need panics if b holds fewer than n float32, and returns its first n.
func need(name string, b Buf, n int) []float32 {
	if len(b.data) < n {
		panic(fmt.Sprintf("op: %s: %d float32 given, %d needed", name, len(b.data), n))
	}
	return b.data[:n]
}
