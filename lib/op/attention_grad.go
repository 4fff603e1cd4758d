package op

import (
	"cmp"
	"slices"
)

// attentionGrad is the gradient of attention, its items rows of a query head. dk
// and dv are chains over the rows of an item, block after block; the sums of the
// items of a key head are then added in order, head by head.
type attentionGrad struct {
	dq, dk, dv, dout, q, k, v, o []float32
	seq                          []Span
	h, g, c                      int
	heads                        []keyHead
	items                        []gradItem
	order                        []int // of items, the longest first
	sums                         []float32
}

// gradItem is rows [lo, hi) of query head h of a span. Its sums, dk [hi, C] and
// then dv, begin at sum; those of the first item of a key head are the result.
type gradItem struct {
	key, h, lo, hi, sum int
}

// scores returns twice the number of scores of an item, roughly.
func (it *gradItem) scores() int { return it.hi*it.hi - it.lo*it.lo }

const (
	// gradRows is the number of rows of an item, roughly, and gradParts that of the
	// items of a head, at most: a long sequence is work for several threads, but sums
	// take memory.
	gradRows  = 512
	gradParts = 4
)

func (c *cpu) AttentionGrad(dq, dk, dv, do, q, k, v, o Buf, seq []Span, h, g, size int) {
	const name = "AttentionGrad"
	n := rowsOf(name, seq, h, g)
	j := &c.jobs.attnGrad
	*j = attentionGrad{
		need(name, dq, n*h*size), need(name, dk, n*g*size), need(name, dv, n*g*size), need(name, do, n*h*size),
		need(name, q, n*h*size), need(name, k, n*g*size), need(name, v, n*g*size), need(name, o, n*h*size),
		seq, h, g, size, nil, j.items[:0], j.order[:0], nil,
	}
	sums := j.cut()
	j.heads, j.sums = c.packHeads(j.k, j.v, seq, g, size, true, sums)
	c.deal(len(j.items), int(2.5*scoreSteps(size)*float64(h*scores(seq)/max(len(j.items), 1))), j)
	c.jobs.attnGradSum = attentionGradSum{j}
	c.split(len(j.heads), sums/16/max(len(j.heads), 1), &c.jobs.attnGradSum)
}

// gradBlock returns the number of query rows that are worked on together, over n
// positions: so many that their probabilities stay in the second cache. In BF16 a
// reduction over rows has its blocks at multiples of 32 in any case.
func gradBlock(n int) int {
	return min(max(1<<16/n/reduction, 1), 3) * reduction
}

// cut lists the items, those of a key head together and in order, and returns
// the memory that sums take.
func (a *attentionGrad) cut() (sums int) {
	for s, span := range a.seq {
		n := span.Hi - span.Lo
		parts := min((n+gradRows-1)/gradRows, gradParts)
		for h := range a.h {
			for p := range parts {
				lo, hi := part(panels(n), parts, p)
				it := gradItem{s*a.g + h*a.g/a.h, h, lo * panel, min(hi*panel, n), -1}
				if p > 0 || h%(a.h/a.g) > 0 {
					it.sum = sums
					sums += 2 * it.hi * a.c
				}
				a.items = append(a.items, it)
			}
		}
	}
	for i := range a.items {
		a.order = append(a.order, i)
	}
	slices.SortFunc(a.order, func(i, k int) int {
		return cmp.Or(a.items[k].scores()-a.items[i].scores(), i-k)
	})
	return sums
}

func (a *attentionGrad) do(t *thread, lo, hi int) {
	for _, i := range a.order[lo:hi] {
		a.item(t, &a.items[i])
	}
}

// result returns where dk and dv of a key head begin.
func (a *attentionGrad) result(k *keyHead) (dk, dv []float32) {
	at := (a.seq[k.span].Lo*a.g + k.head) * a.c
	return a.dk[at:], a.dv[at:]
}

// item computes rows of dq and sums of dk and dv. With scores s = q·kᵀ/√C,
// p = softmax(s): dv = pᵀ·do, dp = do·vᵀ, ds = p·(dp - Σ do·o)/√C, dq = ds·k,
// dk = dsᵀ·q. The probabilities are computed again, a block of rows at a time.
func (a *attentionGrad) item(t *thread, it *gradItem) {
	key := &a.heads[it.key]
	base, n := a.seq[key.span].Lo, a.seq[key.span].Hi-a.seq[key.span].Lo
	c, qi := a.c, a.h*a.c
	dk, dv := a.result(key)
	kl, rows := a.g*c, n
	if it.sum >= 0 {
		dk, dv = a.sums[it.sum:], a.sums[it.sum+it.hi*c:]
		kl, rows = c, it.hi
	}
	for i := range rows {
		clear(dk[i*kl:][:c])
		clear(dv[i*kl:][:c])
	}
	block := gradBlock(it.hi)
	most := min(it.hi-it.lo, block)
	nq, ns := t.numerics.rowsLen(most, c), most*panels(it.hi)*panel
	buf := t.scratch.take(2*nq + 2*ns)
	packedQ, packedDO, p, d := buf[:nq], buf[nq:2*nq], buf[2*nq:2*nq+ns], buf[2*nq+ns:]
	for i0 := it.lo; i0 < it.hi; i0 += block {
		m := min(block, it.hi-i0)
		seen := i0 + m // keys of the last row of the block
		w := panels(seen) * panel
		row := ((base+i0)*a.h + it.h) * c
		q, do := a.q[row:], a.dout[row:]
		if i0 == it.lo {
			a.fetch(t, row, m)
		}
		a.fetch(t, row+m*qi, min(block, it.hi-i0-m))
		// Every 32 rows see their own number of keys.
		for r := 0; r < m; r += panel {
			n, keys := min(panel, m-r), min(i0+r+panel, seen)
			ws := panels(keys) * panel
			t.multiply(product{m: n, n: ws, k: c, a: q[r*qi:], ai: qi, al: 1, right: key.keys, c: p[r*w:], ci: w})
			t.multiply(product{m: n, n: ws, k: c, a: do[r*qi:], ai: qi, al: 1, right: key.values, c: d[r*w:], ci: w})
			for i := r; i < r+n; i++ {
				pi, di := p[i*w:][:ws], d[i*w:][:ws]
				sum := t.tier.softmax(pi, i0+i+1, scale(c))
				dot := t.tier.dot(do[i*qi:][:c], a.o[row+i*qi:][:c])
				t.tier.dscore(di, pi, 1/sum, dot, scale(c))
			}
			t.multiply(product{m: n, n: c, k: keys, a: d[r*w:], ai: w, al: 1, right: key.rows, c: a.dq[row+r*qi:], ci: qi})
		}
		rightQ, rightDO := t.rows(packedQ, q, qi, m, c), t.rows(packedDO, do, qi, m, c)
		for r := 0; r < m; r += panel { // keys that the first r rows do not see
			at := 0
			if r > 0 {
				at = i0 + r
			}
			n := min(i0+r+panel, seen) - at
			t.multiply(product{m: n, n: c, k: m - r, a: d[r*w+at:], ai: 1, al: w, right: rightQ.from(t.numerics, r), c: dk[at*kl:], ci: kl, add: true})
			t.multiply(product{m: n, n: c, k: m - r, a: p[r*w+at:], ai: 1, al: w, right: rightDO.from(t.numerics, r), c: dv[at*kl:], ci: kl, add: true})
		}
	}
}

// from returns the operand without its first k rows, whole blocks of a reduction.
func (r right) from(n Numerics, k int) right {
	r.b = r.b[n.height(k)*r.bl:]
	return r
}

// fetch asks for m rows of a head that begin at row: they lie apart, so that the
// processor does not see them coming.
func (a *attentionGrad) fetch(t *thread, row, m int) {
	if m > 0 {
		for _, x := range [...][]float32{a.q, a.dout, a.o} {
			t.tier.fetch(x[row:], a.h*a.c, m, a.c)
		}
	}
}

// attentionGradSum adds the sums of items, its items key heads.
type attentionGradSum struct{ *attentionGrad }

func (a attentionGradSum) do(t *thread, lo, hi int) {
	for k := lo; k < hi; k++ {
		dk, dv := a.result(&a.heads[k])
		for i := range a.items {
			it := &a.items[i]
			if it.key != k || it.sum < 0 {
				continue
			}
			size := it.hi * a.c
			for r := range it.hi {
				t.tier.add(dk[r*a.g*a.c:][:a.c], a.sums[it.sum+r*a.c:])
				t.tier.add(dv[r*a.g*a.c:][:a.c], a.sums[it.sum+size+r*a.c:])
			}
		}
	}
}
