package op

import "fmt"

// attend is attention over caches, its items blocks of rows of one span, or of
// single rows of several spans, for one key head.
type attend struct {
	o, q    []float32
	caches  []Cache
	layer   int
	seq     []Span
	h, g, c int
	items   []attendItem
}

// attendItem is rows [lo, hi) of span first if last is first + 1; else the single
// rows of spans [first, last), whose caches begin with the same shared segment:
// its keys and values are read once for all of them.
type attendItem struct{ first, last, head, lo, hi int }

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
	*j = attend{need(name, o, n*h*size), need(name, q, n*h*size), caches, layer, seq, h, g, size, j.items[:0]}
	j.cut()
	c.split(len(j.items), int(scoreSteps(size)*float64(h*scores/max(len(j.items), 1))), j)
}

// cut lists the items. As many rows are done together as make a block, those of
// all heads of a group counted.
func (a *attend) cut() {
	most := max(queryBlock*a.g/a.h, 1)
	for s := 0; s < len(a.seq); {
		n, last := a.seq[s].Hi-a.seq[s].Lo, s+1
		for n == 1 && last < len(a.seq) && last-s < most && a.shares(s, last) {
			last++
		}
		for lo, rows := 0, blockOf(n); lo < n; lo += rows {
			for head := range a.g {
				a.items = append(a.items, attendItem{s, last, head, lo, min(lo+rows, n)})
			}
		}
		s = last
	}
}

// shares reports whether span s is a single row too, and begins as span first.
func (a *attend) shares(first, s int) bool {
	k, m := a.caches[first].(*cache), a.caches[s].(*cache)
	return a.seq[s].Hi-a.seq[s].Lo == 1 && len(k.segments) > 1 && len(m.segments) > 1 &&
		k.segments[0] == m.segments[0] && k.end(0) == m.end(0)
}

func (a *attend) do(t *thread, lo, hi int) {
	for _, it := range a.items[lo:hi] {
		if it.last-it.first > 1 {
			a.together(t, it)
		} else {
			a.span(t, it)
		}
	}
}

// pieces lists what the first n positions of a cache consist of.
func (a *attend) pieces(t *thread, m *cache, head, n int) []piece {
	t.pieces = t.pieces[:0]
	for i, s := range m.segments {
		if s.at < n {
			t.pieces = append(t.pieces, piece{
				s.at, min(m.end(i), n) - s.at,
				m.keys(s.store, a.layer, head), m.values(s.store, a.layer, head),
			})
		}
	}
	return t.pieces
}

// span does rows of one span.
func (a *attend) span(t *thread, it attendItem) {
	m, span := a.caches[it.first].(*cache), a.seq[it.first]
	group, rows := a.h/a.g, it.hi-it.lo
	seen := m.written[a.layer] - (span.Hi - span.Lo) + it.hi // by the last row
	pieces := a.pieces(t, m, it.head, seen)
	s := queries{m: rows, c: a.c, qi: a.h * a.c, ld: panels(seen) * panel}
	row := ((span.Lo+it.lo)*a.h + it.head*group) * a.c
	if rows == 1 && group <= queryBlock { // decode: one product for all heads of the group
		s.m, s.qi = group, a.c
		s.scores = t.scratch.take(s.m * s.ld)
		s.q, s.o = a.q[row:], a.o[row:]
		s.attend(t, pieces, seen, 0)
		return
	}
	s.scores = t.scratch.take(rows * s.ld)
	for range group {
		s.q, s.o = a.q[row:], a.o[row:]
		s.attend(t, pieces, seen-rows+1, 1)
		row += a.c
	}
}

// together does a row of each of several spans: the segment that they share for
// all at once, the others one by one.
func (a *attend) together(t *thread, it attendItem) {
	group, most := a.h/a.g, 0
	for i := it.first; i < it.last; i++ {
		most = max(most, a.caches[i].(*cache).written[a.layer])
	}
	n := it.last - it.first
	s := queries{m: n * group, c: a.c, qi: a.c, ld: panels(most) * panel}
	size := s.m * a.c
	buf := t.scratch.take(2*size + s.m*s.ld)
	s.q, s.o, s.scores = buf[:size], buf[size:2*size], buf[2*size:]
	row := func(i int) int { return (a.seq[i].Lo*a.h + it.head*group) * a.c }
	for i := range n {
		copy(s.q[i*group*a.c:][:group*a.c], a.q[row(it.first+i):])
	}
	for step := range 2 {
		for i := range n {
			m := a.caches[it.first+i].(*cache)
			seen := m.written[a.layer]
			pieces := a.pieces(t, m, it.head, seen)
			r0, r1 := i*group, (i+1)*group
			for k := range pieces {
				switch {
				case k == 0 && i > 0: // done with the first row
				case k == 0 && step == 0:
					s.score(t, &pieces[0], 0, s.m)
				case k == 0:
					s.weigh(t, &pieces[0], 0, s.m)
				case step == 0:
					s.score(t, &pieces[k], r0, r1)
				default:
					s.weigh(t, &pieces[k], r0, r1)
				}
			}
			for r := r0; r < r1; r++ {
				if step == 0 {
					t.sums[r] = t.tier.softmax(s.scores[r*s.ld:][:s.ld], seen, scale(a.c))
				} else {
					s.finish(t, r, t.sums[r])
				}
			}
			if step == 1 {
				copy(a.o[row(it.first+i):][:group*a.c], s.o[r0*a.c:])
			}
		}
	}
}
