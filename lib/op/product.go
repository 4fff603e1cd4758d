package op

// panel is the number of columns of a right operand that lie together.
const panel = 32

// product describes C [m, n] = A [m, k] · B [k, n], from the stored C with add.
// Strides are in float32 and free, so that one kernel serves a matrix, its
// transpose, a head of a packed batch and a packed weight:
//
//	A(i, l) = a[i*ai + l*al]
//	B(l, j) = b[j/32*bp + l*bl + j%32]
//	C(i, j) = c[i*ci + j]
//
// A packed right operand has bp = 32·k and bl = 32, a row-major one of row
// length ld has bp = 32 and bl = ld.
type product struct {
	m, n, k int
	a       []float32
	ai, al  int
	b       []float32
	bp, bl  int
	c       []float32
	ci      int
	add     bool
}

// panels returns the number of panels of p.
func (p *product) panels() int { return (p.n + panel - 1) / panel }

// check panics unless every element of p lies within its slice, and settles the
// empty reduction. It reports whether there is anything left to compute.
func (p *product) check() bool {
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
	_ = p.b[(p.k-1)*p.bl+last*p.bp+p.n-1-last*panel]
	return true
}

// multiply computes the whole of p on this thread.
func (t *thread) multiply(p product) {
	if p.check() {
		t.product = p // a record that stays, so that the call allocates nothing
		t.tier.product(&t.product, 0, p.m, 0, p.panels())
	}
}

// productGeneric is the definition of the matrix product: every element is one
// chain c = fma(a, b, c) over ascending l, from +0 or from the stored c, with
// denormal operands and results taken as zeros.
func productGeneric(p *product, i0, i1, j0, j1 int) {
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

// cut is the work of one large product: a grid of row groups and panel groups.
type cut struct {
	product
	tiles, rowGroups, panelGroups int
}

const (
	// tilesPerGroup rows of tiles share a panel while it is in the first cache.
	tilesPerGroup = 4
	// spread is the number of float32 from which on an operand with rows far apart is
	// copied together first: its lines would fall into few sets of the caches.
	spread = 1 << 16
)

// multiply computes p on all threads.
func (c *cpu) multiply(p product) {
	if !p.check() {
		return
	}
	if p.bl != panel && p.k*p.bl > spread && p.m >= 4*panel {
		c.jobs.packPanels = packPanels{dst: c.shared.take(p.panels() * panel * p.k), x: p.b, ld: p.bl, rows: p.k, n: p.n}
		p.b, p.bp, p.bl = c.jobs.packPanels.dst, p.k*panel, panel
		c.split(p.panels(), p.k*panel/8, &c.jobs.packPanels)
	}
	j := &c.jobs.cut
	*j = cut{product: p, tiles: (p.m + c.tier.rows - 1) / c.tier.rows, panelGroups: 1}
	j.rowGroups = (j.tiles + tilesPerGroup - 1) / tilesPerGroup
	for j.rowGroups*j.panelGroups < 2*len(c.threads) && j.panelGroups < p.panels() {
		j.panelGroups++
	}
	items := j.rowGroups * j.panelGroups
	c.split(items, p.m*p.n*p.k/(items*flopsPerStep), j)
}

func (j *cut) do(t *thread, lo, hi int) {
	for i := lo; i < hi; i++ {
		t0, t1 := part(j.tiles, j.rowGroups, i/j.panelGroups)
		r0, _ := part(j.m, j.tiles, t0)
		_, r1 := part(j.m, j.tiles, t1-1)
		p0, p1 := part(j.panels(), j.panelGroups, i%j.panelGroups)
		if j.al == 1 || j.k*j.al <= spread || p1-p0 < 4 {
			t.tier.product(&j.product, r0, r1, p0, p1)
			continue
		}
		// A transposed: its rows r0 to r1 as [k, r1-r0].
		p, m := &t.product, r1-r0
		*p = j.product
		p.a, p.al, p.m = t.scratch.take(m*p.k), m, m
		p.c = p.c[r0*p.ci:]
		for l := range p.k {
			copy(p.a[l*m:][:m], j.a[r0+l*j.al:])
		}
		t.tier.product(p, 0, m, p0, p1)
	}
}

// packPanels copies a row-major matrix x [rows, n] into panels [⌈n/32⌉][rows][32],
// its items, with zeros behind the last column.
type packPanels struct {
	dst, x      []float32
	ld, rows, n int
}

func (m *packPanels) do(_ *thread, lo, hi int) {
	for p := lo; p < hi; p++ {
		w := min(panel, m.n-p*panel)
		d := m.dst[p*panel*m.rows:]
		for r := range m.rows {
			row := d[r*panel:][:panel]
			clear(row[copy(row, m.x[r*m.ld+p*panel:][:w]):])
		}
	}
}
