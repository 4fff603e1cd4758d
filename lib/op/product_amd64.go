//go:build !purego

package op

// tileFunc is the signature of the kernels of products, see tileSignature in
// _asm/product.go.
type tileFunc func(k, tiles int, a *float32, ai, al int, b *float32, bl, bp int, c *float32, ci, add int, mask uint32)

// kernels are those of one tier in one numerics.
type kernels struct {
	// half and whole are by number of rows, for 16 and 32 columns; those of AVX2
	// have 16 and no masks.
	half, whole []tileFunc
	// wide are for few rows: by number of rows, of several whole panels, the widest
	// first.
	wide [][]wideTile
	// a and b are the k that a step of al, and of bl, are apart.
	a, b int
	// chunk is the number of k whose part of a panel stays in the first cache
	// while all tiles use it; 0 for all. What c holds is rounded after each block
	// in BF16 anyway, while in F32 chunks would cost loads and stores.
	chunk int
}

// wideTile is a kernel of several whole panels.
type wideTile struct {
	panels int
	tile   tileFunc
}

var (
	f32AVX2 = kernels{
		whole: []tileFunc{nil, tile256x1x16, tile256x2x16, tile256x3x16, tile256x4x16, tile256x5x16, tile256x6x16},
		a:     1, b: 1,
	}
	f32AVX512 = kernels{
		half: []tileFunc{nil, tile512x1x16, tile512x2x16, tile512x3x16, tile512x4x16, tile512x5x16, tile512x6x16, tile512x7x16,
			tile512x8x16, tile512x9x16, tile512x10x16, tile512x11x16, tile512x12x16, tile512x13x16, tile512x14x16},
		whole: []tileFunc{nil, tile512x1x32, tile512x2x32, tile512x3x32, tile512x4x32, tile512x5x32, tile512x6x32, tile512x7x32,
			tile512x8x32, tile512x9x32, tile512x10x32, tile512x11x32, tile512x12x32, tile512x13x32, tile512x14x32},
		wide: [][]wideTile{
			1: {{4, tile512x1x128}, {3, tile512x1x96}, {2, tile512x1x64}},
			2: {{4, tile512x2x128}, {3, tile512x2x96}, {2, tile512x2x64}},
			3: {{3, tile512x3x96}, {2, tile512x3x64}},
			4: {{3, tile512x4x96}, {2, tile512x4x64}},
			5: {{2, tile512x5x64}},
			6: {{2, tile512x6x64}},
		},
		a: 1, b: 1,
	}
	bf16AVX2 = kernels{
		whole: []tileFunc{nil, tileBF16x256x1x16, tileBF16x256x2x16, tileBF16x256x3x16},
		a:     1, b: 2, chunk: 256,
	}
	bf16AVX512 = kernels{
		half: []tileFunc{nil, tileBF16x512x1x16, tileBF16x512x2x16, tileBF16x512x3x16, tileBF16x512x4x16,
			tileBF16x512x5x16, tileBF16x512x6x16, tileBF16x512x7x16},
		whole: []tileFunc{nil, tileBF16x512x1x32, tileBF16x512x2x32, tileBF16x512x3x32, tileBF16x512x4x32,
			tileBF16x512x5x32, tileBF16x512x6x32, tileBF16x512x7x32},
		wide: [][]wideTile{
			1: {{4, tileBF16x512x1x128}, {3, tileBF16x512x1x96}, {2, tileBF16x512x1x64}},
			2: {{2, tileBF16x512x2x64}},
			3: {{2, tileBF16x512x3x64}},
		},
		a: 1, b: 2, chunk: 256,
	}
	bf16Words = kernels{
		half: []tileFunc{nil, tileWords512x1x16, tileWords512x2x16, tileWords512x3x16, tileWords512x4x16,
			tileWords512x5x16, tileWords512x6x16, tileWords512x7x16},
		whole: []tileFunc{nil, tileWords512x1x32, tileWords512x2x32, tileWords512x3x32, tileWords512x4x32,
			tileWords512x5x32, tileWords512x6x32, tileWords512x7x32},
		wide: [][]wideTile{
			1: {{4, tileWords512x1x128}, {3, tileWords512x1x96}, {2, tileWords512x1x64}},
			2: {{2, tileWords512x2x64}},
			3: {{2, tileWords512x3x64}},
		},
		a: 2, b: 2, chunk: 256,
	}
)

// longest is the number of multiplications after which a kernel returns, if a
// single tile does not take longer: it cannot be preempted, and a collection of
// garbage waits for it. About 100 µs.
const longest = 10 << 20

// column is what a call of tiles takes of the columns: its width in bits of mask.
type column struct {
	at   int // first column in C
	b    int // place of B(0, at)
	mask uint32
}

// run runs kernels, by number of rows, over rows [i0, i1) of one column, in
// tiles of nearly equal height, and the whole reduction.
func (s *kernels) run(p *product, by []tileFunc, i0, i1 int, col column) {
	chunk := s.chunk
	if chunk == 0 || i1-i0 < len(by) {
		chunk = p.k
	}
	flag := 0
	if p.add {
		flag = 1
	}
	for l := 0; l < p.k; l += chunk {
		s.tiles(p, by, i0, i1, col, l, min(chunk, p.k-l), flag)
		flag = 1
	}
}

// tiles runs kernels over k of the reduction from l on.
func (s *kernels) tiles(p *product, by []tileFunc, i0, i1 int, col column, l, k, flag int) {
	tiles := (i1 - i0 + len(by) - 2) / (len(by) - 1)
	low, higher := (i1-i0)/tiles, (i1-i0)%tiles // so many tiles have one row more
	for i, done := i0, 0; i < i1; {
		height, n := low, tiles-done
		if done < higher {
			height, n = low+1, higher-done
		}
		n = min(n, max(1, longest/(height*panel*k)))
		s.call(by[height], p, n, i, col, l, k, flag)
		i += height * n
		done += n
	}
}

// call calls a kernel for n tiles from row i on.
func (s *kernels) call(f tileFunc, p *product, n, i int, col column, l, k, flag int) {
	f(k, n, &p.a[i*p.ai+l/s.a*p.al], 4*p.ai, 4*p.al, &p.b[col.b+l/s.b*p.bl], 4*p.bl, 4*p.bp,
		&p.c[i*p.ci+col.at], 4*p.ci, flag, col.mask)
}

// few computes rows [i0, i1) of panels [j0, j1) with the kernels of several whole
// panels, and returns the first panel that is left for the others.
func (s *kernels) few(p *product, i0, i1, j0, j1 int) int {
	if i1-i0 >= len(s.wide) {
		return j0
	}
	flag := 0
	if p.add {
		flag = 1
	}
	whole := min(j1, p.n/panel)
	for i, w := range s.wide[i1-i0] {
		last := i == len(s.wide[i1-i0])-1
		// A single panel is slow: 5 are better done as 3 and 2.
		for ; j0+w.panels <= whole && (last || j0+w.panels+1 != whole); j0 += w.panels {
			s.call(w.tile, p, 1, i0, column{j0 * panel, j0 * p.bp, 0}, 0, p.k, flag)
		}
	}
	return j0
}

// by512 returns the product with the kernels of AVX-512 that s holds.
func by512(s *kernels) func(t *thread, p *product, i0, i1, j0, j1 int) {
	return func(_ *thread, p *product, i0, i1, j0, j1 int) {
		for j := s.few(p, i0, i1, j0, j1); j < j1; j++ {
			w := min(panel, p.n-j*panel)
			by := s.whole
			if w <= panel/2 {
				by = s.half
			}
			s.run(p, by, i0, i1, column{j * panel, j * p.bp, 1<<w - 1})
		}
	}
}

// width256 is the number of columns that the kernels of AVX2, which have no
// masks, read and write.
const width256 = 16

// by256 returns the product with the kernels of AVX2 that s holds.
func by256(s *kernels) func(t *thread, p *product, i0, i1, j0, j1 int) {
	return func(t *thread, p *product, i0, i1, j0, j1 int) {
		for at := j0 * panel; at < min(j1*panel, p.n); at += width256 {
			col := column{at: at, b: at/panel*p.bp + at%panel}
			if w := p.n - at; w < width256 {
				s.edge256(t, p, i0, i1, col, w)
				continue
			}
			s.run(p, s.whole, i0, i1, col)
		}
	}
}

// edge256 computes the last w < 16 columns of rows [i0, i1): into a tile of its
// own and, in F32, from a copy of those rows of B, 15 at most, whose lanes would
// reach beyond the end of memory.
func (s *kernels) edge256(t *thread, p *product, i0, i1 int, col column, w int) {
	buf := t.edge.take((rows256 + width256 - 1) * width256)
	c, b := buf[:rows256*width256], buf[rows256*width256:]
	whole := p.k // rows of B that can be read in full width
	if over := col.b + (p.k/s.b-1)*p.bl + width256 - len(p.b); over > 0 {
		whole -= min(p.k, (over+p.bl-1)/p.bl)
	}
	for l := whole; l < p.k; l++ {
		copy(b[(l-whole)*width256:], p.b[col.b+l*p.bl:][:w])
	}
	for i := i0; i < i1; i += rows256 {
		m := min(rows256, i1-i)
		q := *p
		q.c, q.ci = c, width256
		if p.add {
			for r := range m {
				copy(c[r*width256:], p.c[(i+r)*p.ci+col.at:][:w])
			}
		}
		q.a = p.a[i*p.ai:]
		if whole > 0 {
			q.k = whole
			s.run(&q, s.whole, 0, m, column{b: col.b})
			q.add = true
		}
		if whole < p.k {
			q.k, q.a, q.b, q.bl = p.k-whole, q.a[whole*p.al:], b, width256
			s.run(&q, s.whole, 0, m, column{})
		}
		for r := range m {
			copy(p.c[(i+r)*p.ci+col.at:][:w], c[r*width256:])
		}
	}
}

// rows256 is the number of rows of the largest tile of AVX2.
const rows256 = 6
