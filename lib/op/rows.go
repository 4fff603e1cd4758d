package op

// embed is y[i] = table[ids[i]], rows of d.
type embed struct {
	y, table []float32
	ids      []int32
	d        int
}

func (c *cpu) Embed(y, table Buf, ids []int32, d int) {
	c.jobs.embed = embed{need("Embed", y, len(ids)*d), table.data, ids, d}
	c.split(len(ids), 5+d/16, &c.jobs.embed)
}

func (e *embed) do(_ *thread, lo, hi int) {
	for i := lo; i < hi; i++ {
		copy(e.y[i*e.d:][:e.d], e.table[int(e.ids[i])*e.d:][:e.d])
	}
}

// embedGrad adds rows to a table. Its items are groups of columns, so that the
// rows come in order whatever the number of threads.
type embedGrad embed

func (c *cpu) EmbedGrad(dtable, dy Buf, ids []int32, d int) {
	c.jobs.embedGrad = embedGrad{need("EmbedGrad", dy, len(ids)*d), dtable.data, ids, d}
	c.split((d+columns-1)/columns, 5*len(ids), &c.jobs.embedGrad)
}

// columns is the number of columns that operators count as one item whose
// reduction runs over rows: one cache line.
const columns = 16

func (e *embedGrad) do(t *thread, lo, hi int) {
	lo, hi = lo*columns, min(hi*columns, e.d)
	for i, id := range e.ids {
		t.tier.add(e.table[int(id)*e.d:][lo:hi], e.y[i*e.d:][lo:hi])
	}
}

// gather is y[i] = x[rows[i]].
type gather struct {
	y, x []float32
	rows []int32
	d    int
}

func (c *cpu) Gather(y, x Buf, rows []int32, d int) {
	c.jobs.gather = gather{need("Gather", y, len(rows)*d), x.data, rows, d}
	c.split(len(rows), 5+d/16, &c.jobs.gather)
}

func (g *gather) do(_ *thread, lo, hi int) {
	for i := lo; i < hi; i++ {
		copy(g.y[i*g.d:][:g.d], g.x[int(g.rows[i])*g.d:][:g.d])
	}
}

// scatter is x[rows[i]] += y[i].
type scatter gather

func (c *cpu) Scatter(x, y Buf, rows []int32, d int) {
	c.jobs.scatter = scatter{need("Scatter", y, len(rows)*d), x.data, rows, d}
	c.split(len(rows), 5+d/8, &c.jobs.scatter)
}

func (s *scatter) do(t *thread, lo, hi int) {
	for i := lo; i < hi; i++ {
		t.tier.add(s.x[int(s.rows[i])*s.d:][:s.d], s.y[i*s.d:][:s.d])
	}
}

// bias is y[i] += b, rows of d.
type bias struct {
	y, b []float32
	d    int
}

func (c *cpu) Bias(y, b Buf, n, d int) {
	c.jobs.bias = bias{need("Bias", y, n*d), need("Bias", b, d), d}
	c.split(n, 5+d/8, &c.jobs.bias)
}

func (a *bias) do(t *thread, lo, hi int) {
	for i := lo; i < hi; i++ {
		t.tier.add(a.y[i*a.d:][:a.d], a.b)
	}
}

// biasGrad is db += dy[i], its items groups of columns as those of embedGrad.
type biasGrad struct {
	db, dy []float32
	n, d   int
}

func (c *cpu) BiasGrad(db, dy Buf, n, d int) {
	c.jobs.biasGrad = biasGrad{need("BiasGrad", db, d), need("BiasGrad", dy, n*d), n, d}
	c.split((d+columns-1)/columns, 5*n, &c.jobs.biasGrad)
}

func (g *biasGrad) do(t *thread, lo, hi int) {
	lo, hi = lo*columns, min(hi*columns, g.d)
	for i := range g.n {
		t.tier.add(g.db[lo:hi], g.dy[i*g.d:][lo:hi])
	}
}
