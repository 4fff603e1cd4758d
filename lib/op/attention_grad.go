package op

// attentionGrad is the gradient of attention. Its items are a key head of a
// span each: dk and dv are chains over the query heads that share it and, for
// each of them, over the query rows.
type attentionGrad struct {
	dq, dk, dv, dout, q, k, v, o []float32
	seq                          []Span
	h, g, c                      int
	items                        []item
}

func (c *cpu) AttentionGrad(dq, dk, dv, do, q, k, v, o Buf, seq []Span, h, g, size int) {
	const name = "AttentionGrad"
	n := rowsOf(name, seq, h, g)
	j := &c.jobs.attnGrad
	items := j.items[:0]
	for s, span := range seq {
		for head := range g {
			items = append(items, item{s, head, 0, span.Hi - span.Lo})
		}
	}
	*j = attentionGrad{
		need(name, dq, n*h*size), need(name, dk, n*g*size), need(name, dv, n*g*size), need(name, do, n*h*size),
		need(name, q, n*h*size), need(name, k, n*g*size), need(name, v, n*g*size), need(name, o, n*h*size),
		seq, h, g, size, items,
	}
	c.split(len(items), int(2.5*scoreSteps(size)*float64(h*scores(seq)/max(len(items), 1))), j)
}

func (a *attentionGrad) do(t *thread, lo, hi int) {
	for _, it := range a.items[lo:hi] {
		a.item(t, it)
	}
}

// item computes dk, dv and the rows of dq that belong to one key head of one
// span. With scores s = q·kᵀ/√C, p = softmax(s): dv = pᵀ·do, dp = do·vᵀ,
// ds = p·(dp - Σ do·o)/√C, dq = ds·k, dk = dsᵀ·q. The probabilities are computed
// again, a block of query rows at a time.
func (a *attentionGrad) item(t *thread, it item) {
	base, n := a.seq[it.span].Lo, it.hi
	c, qi, kl := a.c, a.h*a.c, a.g*a.c
	ld := panels(n) * panel
	rows := blockOf(n)
	buf := t.scratch.take(2*ld*c + 2*rows*ld)
	keys, values := buf[:ld*c], buf[ld*c:2*ld*c]
	p, d := buf[2*ld*c:][:rows*ld], buf[2*ld*c+rows*ld:]

	at := (base*a.g + it.head) * c
	k, v, dk, dv := a.k[at:], a.v[at:], a.dk[at:], a.dv[at:]
	t.packKeys(keys, k, kl, n, c)
	t.packKeys(values, v, kl, n, c)
	for i := range n {
		clear(dk[i*kl:][:c])
		clear(dv[i*kl:][:c])
	}
	group := a.h / a.g
	for h := it.head * group; h < (it.head+1)*group; h++ {
		for i0 := 0; i0 < n; i0 += rows {
			m := min(rows, n-i0)
			seen := i0 + m // keys of the last row of the block
			w := panels(seen) * panel
			row := ((base+i0)*a.h + h) * c
			q, do := a.q[row:], a.dout[row:]
			t.multiply(product{m: m, n: w, k: c, a: q, ai: qi, al: 1, b: keys, bp: c * panel, bl: panel, c: p, ci: w})
			t.multiply(product{m: m, n: w, k: c, a: do, ai: qi, al: 1, b: values, bp: c * panel, bl: panel, c: d, ci: w})
			for i := range m {
				pi, di := p[i*w:][:w], d[i*w:][:w]
				sum := t.tier.softmax(pi, i0+i+1, scale(c))
				t.tier.scale(pi, 1/sum)
				dot := t.tier.dot(do[i*qi:][:c], a.o[row+i*qi:][:c])
				t.tier.dscore(di, pi, dot, scale(c))
			}
			t.multiply(product{m: m, n: c, k: seen, a: d, ai: w, al: 1, b: k, bp: panel, bl: kl, c: a.dq[row:], ci: qi})
			t.multiply(product{m: seen, n: c, k: m, a: d, ai: 1, al: w, b: q, bp: panel, bl: qi, c: dk, ci: kl, add: true})
			t.multiply(product{m: seen, n: c, k: m, a: p, ai: 1, al: w, b: do, bp: panel, bl: qi, c: dv, ci: kl, add: true})
		}
	}
}
