package op

import (
	"fmt"
	"math"
)

// queryBlock is the largest number of query rows of one head that are worked on
// together. It changes no bit.
const queryBlock = 112

// blockOf returns how many query rows of a span of n make a block: so many that
// their scores stay in the second cache, and blocks of one span nearly equal.
func blockOf(n int) int {
	most := min(queryBlock, max(1<<16/(n+1), 28))
	blocks := (n + most - 1) / most
	return (n + blocks - 1) / max(blocks, 1)
}

// queries is a block of rows of one query head, or one row of all query heads
// that share a key head, with all that they attend to.
type queries struct {
	q, o   []float32
	qi     int // distance of rows in q and o
	m      int
	keys   []float32 // panels [⌈T/32⌉][C][32]
	v      []float32
	vl     int // distance of rows in v
	c      int
	first  int // positions that row 0 sees
	grow   int // positions that each further row sees in addition
	scores []float32
}

// scale returns 1/√C.
func scale(c int) float32 { return float32(1 / math.Sqrt(float64(c))) }

// attend computes o = softmax(q·Kᵀ/√C)·V in two passes over each row of scores:
// element t of a row goes to lane t mod 16 of its sum, and positions that a row
// does not see have weight 0, so the bits depend neither on the other rows of
// the block nor on how many positions lie behind.
func (s *queries) attend(t *thread) {
	seen := s.first + (s.m-1)*s.grow
	ld := panels(seen) * panel
	t.multiply(product{
		m: s.m, n: ld, k: s.c,
		a: s.q, ai: s.qi, al: 1,
		b: s.keys, bp: s.c * panel, bl: panel,
		c: s.scores, ci: ld,
	})
	var inv [queryBlock]float32
	for i := range s.m {
		inv[i] = 1 / t.tier.softmax(s.scores[i*ld:][:ld], s.first+i*s.grow, scale(s.c))
	}
	t.multiply(product{
		m: s.m, n: s.c, k: seen,
		a: s.scores, ai: ld, al: 1,
		b: s.v, bp: panel, bl: s.vl,
		c: s.o, ci: s.qi,
	})
	// Scaling also makes zeros positive: a row whose weights all underflow would
	// otherwise get the sign of values that it does not see.
	for i := range s.m {
		t.tier.scale(s.o[i*s.qi:][:s.c], inv[i])
	}
}

// item is a block of query rows [lo, hi) of a span for one key head.
type item struct{ span, head, lo, hi int }

// cutQueries lists the blocks of all spans and key heads.
func cutQueries(list []item, seq []Span, heads int) []item {
	list = list[:0]
	for s, span := range seq {
		n := span.Hi - span.Lo
		for lo, rows := 0, blockOf(n); lo < n; lo += rows {
			for h := range heads {
				list = append(list, item{s, h, lo, min(lo+rows, n)})
			}
		}
	}
	return list
}

// scoreSteps is the time of one score of a head of size c, forward, in steps.
func scoreSteps(c int) float64 { return 0.3 + 2*float64(c)/flopsPerStep }

// rowsOf returns the number of rows of a batch that seq spans, and checks the
// numbers of heads.
func rowsOf(name string, seq []Span, h, g int) int {
	if g < 1 || h%g != 0 {
		panic(fmt.Sprintf("op: %s: %d query heads, %d key heads", name, h, g))
	}
	n := 0
	for _, s := range seq {
		n = max(n, s.Hi)
	}
	return n
}

// attention is causal attention within spans.
type attention struct {
	o, q, k, v []float32
	seq        []Span
	h, g, c    int
	items      []item
}

func (c *cpu) Attention(o, q, k, v Buf, seq []Span, h, g, size int) {
	const name = "Attention"
	n := rowsOf(name, seq, h, g)
	j := &c.jobs.attention
	*j = attention{
		need(name, o, n*h*size), need(name, q, n*h*size), need(name, k, n*g*size), need(name, v, n*g*size),
		seq, h, g, size, cutQueries(j.items, seq, g),
	}
	c.split(len(j.items), int(scoreSteps(size)*float64(h*scores(seq)/max(len(j.items), 1))), j)
}

// scores returns the number of scores of one head that causal attention within
// spans computes, those masked by halves of tiles not counted.
func scores(seq []Span) int {
	n := 0
	for _, s := range seq {
		n += (s.Hi - s.Lo) * (s.Hi - s.Lo + 1) / 2
	}
	return n
}

func (a *attention) do(t *thread, lo, hi int) {
	group := a.h / a.g
	for _, it := range a.items[lo:hi] {
		base := a.seq[it.span].Lo
		ld := panels(it.hi) * panel
		keys := t.scratch.take(ld*a.c + (it.hi-it.lo)*ld)
		t.packKeys(keys, a.k[(base*a.g+it.head)*a.c:], a.g*a.c, it.hi, a.c)
		for h := it.head * group; h < (it.head+1)*group; h++ {
			row := ((base+it.lo)*a.h + h) * a.c
			s := queries{
				q: a.q[row:], o: a.o[row:], qi: a.h * a.c, m: it.hi - it.lo,
				keys: keys, v: a.v[(base*a.g+it.head)*a.c:], vl: a.g * a.c, c: a.c,
				first: it.lo + 1, grow: 1, scores: keys[ld*a.c:],
			}
			s.attend(t)
		}
	}
}

// packKeys writes n rows of x, of length c and ld apart, as columns of panels.
func (t *thread) packKeys(dst, x []float32, ld, n, c int) {
	for p := range panels(n) {
		t.tier.pack(dst[p*panel*c:], x[p*panel*ld:], ld, min(panel, n-p*panel), c)
	}
}

// attend is attention over caches.
type attend struct {
	o, q    []float32
	caches  []Cache
	layer   int
	seq     []Span
	h, g, c int
	items   []item
}

func (c *cpu) Attend(o, q Buf, caches []Cache, layer int, seq []Span, h, g, size int) {
	const name = "Attend"
	equal(name, len(caches), len(seq))
	n := rowsOf(name, seq, h, g)
	scores := 0
	for i, s := range seq {
		m := caches[i].(*cache)
		if m.heads != g || m.size != size || m.written[layer] < s.Hi-s.Lo {
			panic(fmt.Sprintf("op: Attend: %d rows, %d heads of %d, over a cache of %d heads of %d, %d positions written",
				s.Hi-s.Lo, g, size, m.heads, m.size, m.written[layer]))
		}
		scores += (s.Hi - s.Lo) * m.written[layer]
	}
	j := &c.jobs.attend
	*j = attend{
		need(name, o, n*h*size), need(name, q, n*h*size),
		caches, layer, seq, h, g, size, cutQueries(j.items, seq, g),
	}
	c.split(len(j.items), int(scoreSteps(size)*float64(h*scores/max(len(j.items), 1))), j)
}

func (a *attend) do(t *thread, lo, hi int) {
	group := a.h / a.g
	for _, it := range a.items[lo:hi] {
		m := a.caches[it.span].(*cache)
		span := a.seq[it.span]
		rows := it.hi - it.lo
		before := m.written[a.layer] - (span.Hi - span.Lo)
		together := rows == 1 && group <= queryBlock // decode: one product for all heads of the group
		if together {
			rows = group
		}
		s := queries{
			m:    rows,
			keys: m.keys(a.layer, it.head), v: m.values(a.layer, it.head), vl: a.c, c: a.c,
			first:  before + it.lo + 1,
			scores: t.scratch.take(rows * panels(before+it.hi) * panel),
		}
		row := ((span.Lo+it.lo)*a.h + it.head*group) * a.c
		if together {
			s.q, s.o, s.qi = a.q[row:], a.o[row:], a.c
			s.attend(t)
			continue
		}
		s.qi, s.grow = a.h*a.c, 1
		for range group {
			s.q, s.o = a.q[row:], a.o[row:]
			s.attend(t)
			row += a.c
		}
	}
}
