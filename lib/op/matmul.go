package op

import "fmt"

// weight is a matrix [out, in] in the forms that products read.
type weight struct {
	w       []float32 // the matrix itself; nil where it came in rows
	out, in int
	forward right // Wᵀ, the lanes over outputs
	// backward is W, the lanes over inputs. It is made when the first gradient is
	// asked for.
	backward right
	outputs  []Span // all rows
}

func (w *weight) Dims() (out, in int) { return w.out, w.in }

func (c *cpu) NewWeight(out, in int) Weight {
	n := c.numerics.columnsLen(in, out)
	return &weight{out: out, in: in, outputs: []Span{{0, out}}, forward: right{c.heap.get(n, true), n / panels(out), panel}}
}

func (c *cpu) PackRows(w Weight, rows Buf, lo, n int) {
	m := w.(*weight)
	if lo%panel != 0 || lo+n > m.out || n%panel != 0 && lo+n < m.out {
		panic(fmt.Sprintf("op: PackRows: rows %d to %d of %d", lo, lo+n, m.out))
	}
	c.packForward(m, need("PackRows", rows, n*m.in), lo, n)
}

func (c *cpu) Pack(w Buf, out, in int) Weight {
	m := c.NewWeight(out, in).(*weight)
	m.w = need("Pack", w, out*in)
	c.packForward(m, m.w, 0, out)
	return m
}

func (c *cpu) Repack(w Weight) {
	m := w.(*weight)
	c.packForward(m, m.matrix("Repack"), 0, m.out)
	if m.backward.b != nil {
		c.packBackward(m)
	}
}

// matrix returns the matrix itself, which a weight made of rows does not have.
func (w *weight) matrix(name string) []float32 {
	if w.w == nil {
		panic("op: " + name + ": the weight was made of rows")
	}
	return w.w
}

// panels returns the number of panels that n columns take.
func panels(n int) int { return (n + panel - 1) / panel }

// packForward transposes rows of a weight into panels, its items.
type packForward struct {
	*weight
	rows  []float32
	first int // panel
	n     int // rows
}

func (c *cpu) packForward(m *weight, rows []float32, lo, n int) {
	c.jobs.packForward = packForward{m, rows, lo / panel, n}
	c.split(panels(n), panel*m.in/8, &c.jobs.packForward)
}

func (m *packForward) do(t *thread, lo, hi int) {
	for p := lo; p < hi; p++ {
		t.column(m.forward.b[(m.first+p)*m.forward.bp:], m.rows[p*panel*m.in:], m.in, m.in, min(panel, m.n-p*panel))
	}
}

// packBackward copies a weight into panels.
func (c *cpu) packBackward(m *weight) {
	c.packPanels(m.backward.b, m.matrix("MatMulGradX"), m.in, m.in, m.outputs)
}

// pack writes the w ≤ 32 rows of x [w, ld], n long, as columns of one panel
// dst [n, 32] and zeros into the columns that are left.
func (t *thread) pack(dst, x []float32, ld, w, n int) {
	if w < panel {
		clear(dst[:n*panel])
	}
	t.tier.turn(dst, panel, x, ld, w, n)
}

// turnGeneric writes the w rows of x [w, ld], n long, as columns of dst
// [n, stride].
func turnGeneric(dst []float32, stride int, x []float32, ld, w, n int) {
	turnColumns(dst, stride, x, ld, 0, w, n)
}

// turnColumns writes rows [lo, hi) of x as columns.
func turnColumns(dst []float32, stride int, x []float32, ld, lo, hi, n int) {
	for r := lo; r < hi; r++ {
		d := dst[r:]
		for i, v := range x[r*ld:][:n] {
			d[i*stride] = v
		}
	}
}

// packPanels copies the rows seq of a row-major matrix x [rows, n] into panels,
// its items: [⌈n/32⌉][rows][32], or of words in BF16.
type packPanels struct {
	dst, x    []float32
	ld, n     int
	seq       []Span
	rows, per int // rows of x, and of a panel in dst
}

// packPanels returns x as a right operand in dst.
func (c *cpu) packPanels(dst, x []float32, ld, n int, seq []Span) right {
	j := &c.jobs.packPanels
	*j = packPanels{dst: dst, x: x, ld: ld, n: n, seq: seq}
	for _, s := range seq {
		j.rows += s.Hi - s.Lo
		j.per += c.numerics.height(s.Hi - s.Lo)
	}
	c.split(panels(n), j.rows*panel/8, j)
	return right{dst, j.per * panel, panel}
}

func (m *packPanels) do(t *thread, lo, hi int) {
	for p := lo; p < hi; p++ {
		w := min(panel, m.n-p*panel)
		d := m.dst[p*panel*m.per:]
		for _, s := range m.seq {
			if s.Lo == s.Hi {
				continue
			}
			x := m.x[s.Lo*m.ld+p*panel:]
			if n := s.Hi - s.Lo; t.numerics == BF16 {
				t.weave(d, panel, x, m.ld, n, w)
			} else {
				for r := range n {
					row := d[r*panel:][:panel]
					clear(row[copy(row, x[r*m.ld:][:w]):])
				}
			}
			d = d[t.numerics.height(s.Hi-s.Lo)*panel:]
		}
	}
}

// inputs returns the number of inputs that all maps have.
func inputs(name string, maps []Linear) (in int) {
	for i, l := range maps {
		_, n := l.W.Dims()
		if i > 0 {
			equal(name, in, n)
		}
		in = n
	}
	return in
}

func (c *cpu) MatMul(maps []Linear, x Buf, n int, add bool) {
	const name = "MatMul"
	in, all := inputs(name, maps), c.jobs.cut.products[:0]
	for _, l := range maps {
		m := l.W.(*weight)
		all = append(all, product{
			m: n, n: m.out, k: in,
			a: need(name, x, n*in), ai: in, al: 1,
			right: m.forward,
			c:     need(name, l.Y, n*m.out), ci: m.out, add: add,
		})
	}
	c.multiply(all, false)
}

func (c *cpu) MatMulGradX(dx Buf, maps []Linear, n int, add bool) {
	const name = "MatMulGradX"
	in := inputs(name, maps)
	for _, l := range maps {
		if m := l.W.(*weight); m.backward.b == nil {
			n := panels(in) * panel * c.numerics.height(m.out)
			m.backward = right{c.heap.get(n, false), n / panels(in), panel}
			c.packBackward(m)
		}
	}
	all := c.jobs.cut.products[:0]
	for i, l := range maps {
		m := l.W.(*weight)
		all = append(all, product{
			m: n, n: in, k: m.out,
			a: need(name, l.Y, n*m.out), ai: m.out, al: 1,
			right: m.backward,
			c:     need(name, dx, n*in), ci: in, add: add || i > 0,
		})
	}
	c.multiply(all, true)
}

func (c *cpu) MatMulGradW(maps []Linear, x Buf, seq []Span) {
	const name = "MatMulGradW"
	n, in := 0, inputs(name, maps)
	for i, s := range seq {
		if s.Lo != n || s.Hi < s.Lo {
			panic(fmt.Sprintf("op: %s: span %d is rows %d to %d, after %d rows", name, i, s.Lo, s.Hi, n))
		}
		n = s.Hi
	}
	packed := right{}
	for _, l := range maps {
		out, _ := l.W.Dims()
		if l.DW.Len() == 0 {
			continue
		}
		p := product{
			m: out, n: in, k: n,
			a: need(name, l.Y, n*out), ai: 1, al: out,
			right: right{need(name, x, n*in), panel, in},
			c:     need(name, l.DW, out*in), ci: in, add: true,
			seq: seq,
		}
		if packed.b == nil && (c.numerics == BF16 || n*in > spread && out >= 4*panel) {
			rows := n
			if c.numerics == BF16 {
				rows = p.depth() / 2
			}
			packed = c.packPanels(c.shared.take(panels(in)*panel*rows), x.data, in, in, seq)
		}
		if packed.b != nil {
			p.right = packed
		}
		c.multiply(append(c.jobs.cut.products[:0], p), false)
	}
}
