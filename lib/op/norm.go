package op

// norm is RMSNorm, its items rows.
type norm struct {
	y, x, w []float32
	d       int
	eps     float32
}

func (c *cpu) RMSNorm(y, x, w Buf, n, d int, eps float32) {
	c.jobs.norm = norm{need("RMSNorm", y, n*d), need("RMSNorm", x, n*d), need("RMSNorm", w, d), d, eps}
	c.split(n, 20+d/8, &c.jobs.norm)
}

func (r *norm) do(t *thread, lo, hi int) {
	for i := lo; i < hi; i++ {
		t.tier.norm(r.y[i*r.d:][:r.d], r.x[i*r.d:][:r.d], r.w, r.eps)
	}
}

// normGrad is the gradient of RMSNorm by x, its items rows. It leaves 1/√(...)
// of each row in r for normGradW.
type normGrad struct {
	dx, dy, x, w, r []float32
	d               int
	eps             float32
}

// normGradW is the gradient of RMSNorm by w, its items groups of columns: the
// rows come in order, so the bits depend neither on threads nor on how the rows
// are cut into calls.
type normGradW struct {
	dw, dy, x, r []float32
	n, d         int
}

// normBlock is the number of elements, in whole rows, that a sum over rows reads
// together: few, so that memory is read nearly in order.
const normBlock = 8 << 10

func (c *cpu) RMSNormGrad(dx, dw, dy, x, w Buf, n, d int, eps float32) {
	const name = "RMSNormGrad"
	r := c.shared.take(n)
	c.jobs.normGrad = normGrad{need(name, dx, n*d), need(name, dy, n*d), need(name, x, n*d), need(name, w, d), r, d, eps}
	c.split(n, 30+d/4, &c.jobs.normGrad)
	c.jobs.normGradW = normGradW{need(name, dw, d), dy.data, x.data, r, n, d}
	// A thread has columns side by side, one part of each row.
	chunks := 1
	if n*d/16 > grain {
		chunks = len(c.threads)
	}
	c.pool.run(&c.jobs.normGradW, (d+columns-1)/columns, chunks)
}

func (g *normGrad) do(t *thread, lo, hi int) {
	for i := lo; i < hi; i++ {
		at := i * g.d
		g.r[i] = t.tier.normGrad(g.dx[at:][:g.d], g.dy[at:][:g.d], g.x[at:][:g.d], g.w, g.eps)
	}
}

func (g *normGradW) do(t *thread, lo, hi int) {
	lo, hi = lo*columns, min(hi*columns, g.d)
	rows := max(normBlock/g.d, 1)
	for i := 0; i < g.n; i += rows {
		at := i*g.d + lo
		t.tier.normGradW(g.dw[lo:hi], g.dy[at:], g.x[at:], g.d, g.r[i:min(i+rows, g.n)])
	}
}
