package op

// weight is a matrix [out, in] and its packed forms.
type weight struct {
	w       []float32
	out, in int
	forward []float32 // [⌈out/32⌉][in][32]: Wᵀ, the lanes over outputs
	// backward is W, the lanes over inputs: [⌈in/32⌉][out][32]. It is made when
	// the first gradient is asked for.
	backward []float32
}

func (w *weight) Dims() (out, in int) { return w.out, w.in }

func (c *cpu) Pack(w Buf, out, in int) Weight {
	m := &weight{w: need("Pack", w, out*in), out: out, in: in}
	m.forward = c.heap.get(panels(out)*panel*in, false)
	c.packForward(m)
	return m
}

func (c *cpu) Repack(w Weight) {
	m := w.(*weight)
	c.packForward(m)
	if m.backward != nil {
		c.packBackward(m)
	}
}

// panels returns the number of panels that n columns take.
func panels(n int) int { return (n + panel - 1) / panel }

func (c *cpu) packForward(m *weight) {
	c.jobs.packForward = packForward{m}
	c.split(panels(m.out), m.in*panel/8, &c.jobs.packForward)
}

func (c *cpu) packBackward(m *weight) {
	c.jobs.packPanels = packPanels{dst: m.backward, x: m.w, ld: m.in, rows: m.out, n: m.in}
	c.split(panels(m.in), m.out*panel/8, &c.jobs.packPanels)
}

// packForward fills the forward panels.
type packForward struct{ *weight }

func (m *packForward) do(t *thread, lo, hi int) {
	for p := lo; p < hi; p++ {
		w := min(panel, m.out-p*panel)
		t.tier.pack(m.forward[p*panel*m.in:], m.w[p*panel*m.in:], m.in, w, m.in)
	}
}

// packGeneric writes the w ≤ 32 rows of x [w, ld], n long, as columns of one
// panel dst [n, 32] and zeros into the columns that are left.
func packGeneric(dst, x []float32, ld, w, n int) {
	if w < panel {
		clear(dst[:n*panel])
	}
	packColumns(dst, x, ld, 0, w, n)
}

// packColumns writes rows [lo, hi) of x as columns.
func packColumns(dst, x []float32, ld, lo, hi, n int) {
	for r := lo; r < hi; r++ {
		d := dst[r:]
		for i, v := range x[r*ld:][:n] {
			d[i*panel] = v
		}
	}
}

func (c *cpu) MatMul(y, x Buf, w Weight, n int, add bool) {
	m := w.(*weight)
	c.multiply(product{
		m: n, n: m.out, k: m.in,
		a: need("MatMul", x, n*m.in), ai: m.in, al: 1,
		b: m.forward, bp: m.in * panel, bl: panel,
		c: need("MatMul", y, n*m.out), ci: m.out, add: add,
	})
}

func (c *cpu) MatMulGradX(dx, dy Buf, w Weight, n int, add bool) {
	m := w.(*weight)
	if m.backward == nil {
		m.backward = c.heap.get(panels(m.in)*panel*m.out, false)
		c.packBackward(m)
	}
	c.multiply(product{
		m: n, n: m.in, k: m.out,
		a: need("MatMulGradX", dy, n*m.out), ai: m.out, al: 1,
		b: m.backward, bp: m.out * panel, bl: panel,
		c: need("MatMulGradX", dx, n*m.in), ci: m.in, add: add,
	})
}

func (c *cpu) MatMulGradW(dw, dy, x Buf, n, out, in int) {
	c.multiply(product{
		m: out, n: in, k: n,
		a: need("MatMulGradW", dy, n*out), ai: 1, al: out,
		b: need("MatMulGradW", x, n*in), bp: panel, bl: in,
		c: need("MatMulGradW", dw, out*in), ci: in, add: true,
	})
}
