package op

import (
	"fmt"
	"math"
)

// queryBlock is the largest number of query rows that are worked on together: so
// few that not much is computed only to be masked, so many that keys and values
// are read for nothing. It changes no bit.
const queryBlock = 56

// blockOf returns how many query rows of a span of n make a block: so many that
// their scores stay in the second cache, and blocks of one span nearly equal.
func blockOf(n int) int {
	most := min(queryBlock, max(1<<16/(n+1), 28))
	blocks := (n + most - 1) / most
	return (n + blocks - 1) / max(blocks, 1)
}

// queries are rows of query heads that share a key head, with their scores.
type queries struct {
	q, o   []float32
	qi     int // distance of rows in q and o
	m, c   int
	scores []float32 // [m, ld]
	ld     int
}

// piece is some successive positions that rows attend to.
type piece struct {
	at, n  int   // position of the first, and how many
	keys   right // K, transposed: a column for each position
	values right
}

// scale returns 1/√C.
func scale(c int) float32 { return float32(1 / math.Sqrt(float64(c))) }

// Attention is computed in two passes over each row of scores, piece by piece:
// element t of a row goes to lane t mod 16 of its sum, and positions that a row
// does not see have weight 0. So the bits depend neither on the other rows nor on
// how many positions lie behind, nor on how positions are cut into pieces, which
// begin at multiples of 32.

// score computes the scores of rows [r0, r1).
func (s *queries) score(t *thread, p *piece, r0, r1 int) {
	t.multiply(product{
		m: r1 - r0, n: min(panels(p.n)*panel, s.ld-p.at), k: s.c,
		a: s.q[r0*s.qi:], ai: s.qi, al: 1,
		right: p.keys,
		c:     s.scores[r0*s.ld+p.at:], ci: s.ld,
	})
}

// weigh adds to o, from the second piece on, what rows [r0, r1) get of a piece.
func (s *queries) weigh(t *thread, p *piece, r0, r1 int) {
	t.multiply(product{
		m: r1 - r0, n: s.c, k: p.n,
		a: s.scores[r0*s.ld+p.at:], ai: s.ld, al: 1,
		right: p.values,
		c:     s.o[r0*s.qi:], ci: s.qi, add: p.at > 0,
	})
}

// finish scales row i by the inverse of the sum of its weights. This also makes
// zeros positive: a row whose weights all underflow would otherwise get the sign
// of values that it does not see.
func (s *queries) finish(t *thread, i int, sum float32) {
	t.tier.scale(s.o[i*s.qi:][:s.c], 1/sum)
}

// attend computes o = softmax(q·Kᵀ/√C)·V, row i over the first first + i·grow
// positions of pieces.
func (s *queries) attend(t *thread, pieces []piece, first, grow int) {
	for i := range pieces {
		s.score(t, &pieces[i], 0, s.m)
	}
	var sum [queryBlock]float32
	for i := range s.m {
		sum[i] = t.tier.softmax(s.scores[i*s.ld:][:s.ld], first+i*grow, scale(s.c))
	}
	for i := range pieces {
		s.weigh(t, &pieces[i], 0, s.m)
	}
	for i := range s.m {
		s.finish(t, i, sum[i])
	}
}

// scoreSteps is the time of one score of a head of size c, forward, in steps.
func scoreSteps(c int) float64 { return 0.3 + float64(float64(2*c)/flopsPerStep) }

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

// keyHead is a key head of a span, as right operands.
type keyHead struct {
	span, head int
	keys       right // a column for each position
	values     right // a row for each position; for gradients a column
	rows       right // for gradients: the keys, a row for each position
	buf        []float32
}

// packHeads makes right operands of keys and values, its items key heads.
type packHeads struct {
	k, v  []float32
	seq   []Span
	g, c  int
	grad  bool
	heads []keyHead
}

// packHeads returns the key heads of all spans, span after span, and extra more
// float32 of scratch. Both are valid until the next operator.
func (c *cpu) packHeads(k, v []float32, seq []Span, g, size int, grad bool, extra int) (heads []keyHead, rest []float32) {
	j := &c.jobs.packHeads
	*j = packHeads{k, v, seq, g, size, grad, j.heads[:0]}
	length := func(s Span) int {
		n := s.Hi - s.Lo
		if grad {
			return 2*c.numerics.columnsLen(size, n) + c.numerics.rowsLen(n, size)
		}
		return c.numerics.columnsLen(size, n) + c.numerics.rowsLen(n, size)
	}
	total := 0
	for _, s := range seq {
		total += g * length(s)
	}
	buf := c.shared.take(total + extra)
	for s, span := range seq {
		for head := range g {
			n := length(span)
			j.heads = append(j.heads, keyHead{span: s, head: head, buf: buf[:n]})
			buf = buf[n:]
		}
	}
	c.split(len(j.heads), total/8/max(len(j.heads), 1), j)
	return j.heads, buf
}

func (j *packHeads) do(t *thread, lo, hi int) {
	for i := lo; i < hi; i++ {
		h := &j.heads[i]
		span := j.seq[h.span]
		n, ld := span.Hi-span.Lo, j.g*j.c
		if n == 0 {
			continue
		}
		at := (span.Lo*j.g + h.head) * j.c
		k, v, size := j.k[at:], j.v[at:], t.numerics.columnsLen(j.c, n)
		h.keys = t.columns(h.buf, k, ld, j.c, n)
		if j.grad {
			h.values = t.columns(h.buf[size:], v, ld, j.c, n)
			h.rows = t.rows(h.buf[2*size:], k, ld, n, j.c)
		} else {
			h.values = t.rows(h.buf[size:], v, ld, n, j.c)
		}
	}
}

// attention is causal attention within spans.
type attention struct {
	o, q    []float32
	seq     []Span
	h, g, c int
	heads   []keyHead
	items   []attentionItem
}

// attentionItem is rows [lo, hi) of a span, for all query heads of a key head: so
// few that not much is computed only to be masked.
type attentionItem struct{ key, lo, hi int }

func (c *cpu) Attention(o, q, k, v Buf, seq []Span, h, g, size int) {
	const name = "Attention"
	n := rowsOf(name, seq, h, g)
	j := &c.jobs.attention
	*j = attention{need(name, o, n*h*size), need(name, q, n*h*size), seq, h, g, size, nil, j.items[:0]}
	j.heads, _ = c.packHeads(need(name, k, n*g*size), need(name, v, n*g*size), seq, g, size, false, 0)
	for s, span := range seq {
		n := span.Hi - span.Lo
		for head := range g {
			for lo := panels(n)*panel - panel; lo >= 0; lo -= panel {
				j.items = append(j.items, attentionItem{s*g + head, lo, min(lo+panel, n)})
			}
		}
	}
	c.deal(len(j.items), int(scoreSteps(size)*float64(h*scores(seq)/max(len(j.items), 1))), j)
}

// deal is split for items of different length, the last ones short: it hands them
// out almost one by one, so that the threads end together. Once both are at work,
// this costs far less than a chunk of grain.
func (c *cpu) deal(n, steps int, w work) {
	chunks, all := 1, n*max(steps, 1)
	if all >= 2*grain {
		chunks = min(n, 8*all/grain)
	}
	c.pool.run(w, n, chunks)
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
		key := &a.heads[it.key]
		whole := [1]piece{{n: it.hi, keys: key.keys, values: key.values}}
		s := queries{qi: a.h * a.c, m: it.hi - it.lo, c: a.c, ld: panels(it.hi) * panel}
		s.scores = t.scratch.take(s.m * s.ld)
		t.tier.fetch(a.q[((a.seq[key.span].Lo+it.lo)*a.h+key.head*group)*a.c:], s.qi, s.m, group*a.c)
		for h := key.head * group; h < (key.head+1)*group; h++ {
			row := ((a.seq[key.span].Lo+it.lo)*a.h + h) * a.c
			s.q, s.o = a.q[row:], a.o[row:]
			s.attend(t, whole[:], it.lo+1, 1)
		}
	}
}
