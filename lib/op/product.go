package op

const (
	// panel is the number of columns of a right operand that lie together.
	panel = 32
	// line is the number of float32 in a cache line.
	line = 16
	// groupRows is the number of rows that use a panel while it is in the first
	// cache.
	groupRows = 112
)

// product describes C [m, n] = A [m, k] · B [k, n], from the stored C with add.
// Strides are in float32 and free, so that one kernel serves a matrix, its
// transpose, a head of a packed batch and a packed weight:
//
//	A(i, l) = a[i*ai + l*al]
//	C(i, j) = c[i*ci + j]
//
// and B as [right] has it.
type product struct {
	m, n, k int
	a       []float32
	ai, al  int
	right
	c   []float32
	ci  int
	add bool
	// seq cuts the reduction: in BF16 each span begins a new block. nil is the whole.
	seq []Span
}

// panels returns the number of panels of p.
func (p *product) panels() int { return panels(p.n) }

// check panics unless every element of p lies within its slice, and settles the
// empty reduction. It reports whether there is anything left to compute.
func (p *product) check(n Numerics) bool {
	if p.m <= 0 || p.n <= 0 {
		return false
	}
	_ = p.c[(p.m-1)*p.ci+p.n-1]
	if p.k <= 0 {
		if !p.add {
			for i := range p.m {
				clear(p.c[i*p.ci:][:p.n])
			}
		}
		return false
	}
	_ = p.a[(p.m-1)*p.ai+(p.k-1)*p.al]
	last := (p.n - 1) / panel
	if n == F32 {
		_ = p.b[(p.k-1)*p.bl+last*p.bp+p.n-1-last*panel]
	} else {
		_ = p.b[(p.depth()/2-1)*p.bl+last*p.bp+(p.n-1-last*panel)/16*16+15]
	}
	return true
}

// depth returns the length of the reduction in BF16, zeros included.
func (p *product) depth() int {
	if p.seq == nil {
		return padded(p.k)
	}
	n := 0
	for _, s := range p.seq {
		n += padded(s.Hi - s.Lo)
	}
	return n
}

// multiply computes the whole of p on this thread.
func (t *thread) multiply(p product) {
	if !p.check(t.numerics) {
		return
	}
	if t.numerics == F32 {
		t.product = p // a record that stays, so that the call allocates nothing
		t.tier.product(t, &t.product, 0, p.m, 0, p.panels())
		return
	}
	groups := (p.m + t.tier.leftRows - 1) / t.tier.leftRows
	for g := range groups {
		r0, r1 := part(p.m, groups, g)
		t.left(&p, r0, r1)
		t.tier.productBF16(t, &t.product, 0, r1-r0, 0, p.panels())
	}
}

// left makes t.product rows [r0, r1) of p in BF16, the left operand rounded and
// padded to whole blocks. It is as A, rows of numbers or words or, transposed,
// columns; in the order of twos always rows.
func (t *thread) left(p *product, r0, r1 int) {
	m, k := r1-r0, p.depth()
	q := &t.product
	*q = *p
	q.m, q.k, q.c = m, k, p.c[r0*p.ci:]
	length, write := k, t.tier.round
	if t.tier.leftWords {
		length, write = k/2, t.tier.pairs
	}
	rows, turned := p.al == 1 && p.seq == nil, t.tier.order == twos
	q.ai, q.al = 1, m
	if rows || turned {
		q.ai, q.al = length, 1
	}
	if turned && length%(2*line) == 0 { // rows an even number of lines apart share few sets
		q.ai += line
	}
	q.a = t.rounded.take(m * max(q.ai, length))
	if rows {
		for i := range m {
			write(q.a[i*q.ai:][:length], p.a[(r0+i)*p.ai:][:p.k])
		}
		return
	}
	to := q.a
	each := func(lo, hi int) {
		x, n := p.a[lo*p.al+r0:], hi-lo
		switch {
		case turned:
			for l := 0; l < n; l += reduction {
				words := t.woven.take(reduction / 2 * m)
				t.weave(words, m, x[l*p.al:], p.al, min(reduction, n-l), m)
				t.tier.turn(to[l/2:], q.ai, words, m, reduction/2, m)
			}
			to = to[padded(n)/2:]
		case t.tier.leftWords:
			t.weave(to, m, x, p.al, n, m)
			to = to[padded(n)/2*m:]
		default:
			for l := range n {
				t.tier.round(to[l*m:][:m], x[l*p.al:][:m])
			}
			clear(to[n*m : padded(n)*m])
			to = to[padded(n)*m:]
		}
	}
	if p.seq == nil {
		each(0, p.k)
	}
	for _, s := range p.seq {
		each(s.Lo, s.Hi)
	}
}

// productGeneric is the definition of the matrix product in [F32]: every element
// is one chain c = fma(a, b, c) over ascending l, from +0 or from the stored c,
// with denormal operands and results taken as zeros.
func productGeneric(_ *thread, p *product, i0, i1, j0, j1 int) {
	for j := j0; j < j1; j++ {
		w := min(panel, p.n-j*panel)
		b := p.b[j*p.bp:]
		for i := i0; i < i1; i++ {
			c := p.c[i*p.ci+j*panel:][:w]
			var sum [panel]float32
			if p.add {
				for x, v := range c {
					sum[x] = flush(v)
				}
			}
			for l := range p.k {
				a := flush(p.a[i*p.ai+l*p.al])
				for x, v := range b[l*p.bl:][:w] {
					sum[x] = fma32(a, flush(v), sum[x])
				}
			}
			copy(c, sum[:w])
		}
	}
}

// spread is the number of float32 from which on an operand with rows far apart is
// copied together first: its lines would fall into few sets of the caches.
const spread = 1 << 16

// fewRows is the number of rows below which a product takes the time of reading B.
const fewRows = 6

// cut is the work of a call of products of one height: side by side, with the left
// operand in common, or the terms of a sum, which go to the same place one after
// another. It is a grid of row groups and panel groups.
type cut struct {
	products                              []product
	sum                                   bool
	panels                                int // of all that are side by side
	tiles, rowGroups, panelGroups, number int
}

// multiply computes products on all threads, the terms of a sum or not. It keeps
// the slice, which is that of the call before.
func (c *cpu) multiply(products []product, sum bool) {
	j, rows, most := &c.jobs.cut, c.tier.rows, groupRows
	if c.numerics == BF16 {
		rows, most = c.tier.rowsBF16, c.tier.leftRows
	}
	*j = cut{products: products[:0], sum: sum, panelGroups: 1, number: j.number + 1}
	steps := 0
	for _, p := range products {
		if !p.check(c.numerics) {
			continue
		}
		j.products = append(j.products, p)
		j.tiles = (p.m + rows - 1) / rows
		steps += max(p.m, fewRows) * p.n * p.k / flopsPerStep
		if sum {
			j.panels = p.panels()
		} else {
			j.panels += p.panels()
		}
	}
	perGroup := most / rows // tiles that share a panel while it is in the first cache
	j.rowGroups = (j.tiles + perGroup - 1) / perGroup
	for j.rowGroups*j.panelGroups < 4*len(c.threads) && j.panelGroups < j.panels {
		j.panelGroups++
	}
	items := j.rowGroups * j.panelGroups
	c.split(items, steps/max(items, 1), j)
}

func (j *cut) do(t *thread, lo, hi int) {
	for next := lo; lo < hi; lo = next {
		group, first := lo/j.panelGroups, lo%j.panelGroups
		next = min(hi, (group+1)*j.panelGroups)
		p0, _ := part(j.panels, j.panelGroups, first)
		_, p1 := part(j.panels, j.panelGroups, first+next-lo-1)
		j.block(t, group, p0, p1)
	}
}

// block computes panels [p0, p1) of a row group.
func (j *cut) block(t *thread, group, p0, p1 int) {
	m := j.products[0].m
	t0, t1 := part(j.tiles, j.rowGroups, group)
	r0, _ := part(m, j.tiles, t0)
	_, r1 := part(m, j.tiles, t1-1)
	for i := range j.products {
		p, lo, hi := &j.products[i], p0, p1
		left := leftOf{j.number, group, i}
		if !j.sum {
			left.product = 0
			lo, hi = max(p0, 0), min(p1, p.panels())
			p0, p1 = p0-p.panels(), p1-p.panels()
		}
		if lo < hi {
			p.rows(t, left, r0, r1, lo, hi)
		}
	}
}

// leftOf says whose left operand a thread has at hand: that of a row group of one
// of the products of a call.
type leftOf struct{ call, group, product int }

// rows computes rows [r0, r1) of panels [p0, p1), left being the left operand.
func (p *product) rows(t *thread, left leftOf, r0, r1, p0, p1 int) {
	q, m := &t.product, r1-r0
	switch {
	case t.numerics == BF16:
		if t.has == left {
			q.right, q.n, q.c, q.ci = p.right, p.n, p.c[r0*p.ci:], p.ci
		} else {
			t.left(p, r0, r1)
			t.has = left
		}
		t.tier.productBF16(t, q, 0, m, p0, p1)
	case p.al == 1 || p.k*p.al <= spread || p1-p0 < 4:
		t.tier.product(t, p, r0, r1, p0, p1)
	default: // A transposed: its rows r0 to r1 as [k, r1-r0].
		*q = *p
		q.a, q.al, q.m = t.scratch.take(m*q.k), m, m
		q.c = q.c[r0*q.ci:]
		for l := range q.k {
			copy(q.a[l*m:][:m], p.a[r0+l*p.al:])
		}
		t.tier.product(t, q, 0, m, p0, p1)
	}
}
