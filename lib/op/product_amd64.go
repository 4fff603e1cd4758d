//go:build !purego

package op

// tileFunc is the signature of the kernels of products, see tileSignature in
// _asm/product.go.
type tileFunc func(k, blocks int, a *float32, ai, al int, b *float32, bl int, c *float32, ci, add int, mask uint32)

// The kernels by number of rows; of AVX-512 with 16 and with 32 columns.
var (
	tiles256 = [...]tileFunc{nil, tile256x1, tile256x2, tile256x3, tile256x4, tile256x5, tile256x6}
	tiles512 = [2][15]tileFunc{
		{nil, tile512x1x16, tile512x2x16, tile512x3x16, tile512x4x16, tile512x5x16, tile512x6x16, tile512x7x16,
			tile512x8x16, tile512x9x16, tile512x10x16, tile512x11x16, tile512x12x16, tile512x13x16, tile512x14x16},
		{nil, tile512x1x32, tile512x2x32, tile512x3x32, tile512x4x32, tile512x5x32, tile512x6x32, tile512x7x32,
			tile512x8x32, tile512x9x32, tile512x10x32, tile512x11x32, tile512x12x32, tile512x13x32, tile512x14x32},
	}
)

// longest is the number of multiplications after which a kernel returns, if a
// single tile does not take longer: it cannot be preempted, and a collection of
// garbage waits for it. About 100 µs.
const longest = 10 << 20

// column is what a call of tiles takes of one panel: its width in bits of mask.
type column struct {
	at   int // first column in C
	b    int // place of B(0, at)
	mask uint32
}

// rows runs kernels over rows [i0, i1) of one column, in tiles of nearly equal
// height.
func (p *product) rows(kernels []tileFunc, i0, i1 int, col column) {
	tiles := (i1 - i0 + len(kernels) - 2) / (len(kernels) - 1)
	low, higher := (i1-i0)/tiles, (i1-i0)%tiles // so many tiles have one row more
	flag := 0
	if p.add {
		flag = 1
	}
	for i := i0; i < i1; {
		height, blocks := low, tiles-higher
		if higher > 0 {
			height, blocks = low+1, higher
		}
		blocks = min(blocks, max(1, longest/(height*panel*p.k)))
		kernels[height](p.k, blocks, &p.a[i*p.ai], 4*p.ai, 4*p.al, &p.b[col.b], 4*p.bl,
			&p.c[i*p.ci+col.at], 4*p.ci, flag, col.mask)
		i += height * blocks
		tiles -= blocks
		if higher > 0 {
			higher -= blocks
		}
	}
}

// product512 is the product with AVX-512.
func product512(p *product, i0, i1, j0, j1 int) {
	for j := j0; j < j1; j++ {
		w := min(panel, p.n-j*panel)
		col := column{j * panel, j * p.bp, 1<<w - 1}
		p.rows(tiles512[(w-1)/16][:], i0, i1, col)
	}
}

// width256 is the number of columns that the kernels of AVX2, which have no
// masks, read and write.
const width256 = 16

// product256 is the product with AVX2.
func product256(p *product, i0, i1, j0, j1 int) {
	for at := j0 * panel; at < min(j1*panel, p.n); at += width256 {
		col := column{at: at, b: at/panel*p.bp + at%panel}
		if w := p.n - at; w < width256 {
			p.edge256(i0, i1, col, w)
			continue
		}
		p.rows(tiles256[:], i0, i1, col)
	}
}

// edge256 computes the last w < 16 columns of rows [i0, i1): into a tile of its
// own, and from a copy of those rows of B, 15 at most, whose lanes would reach
// beyond the end of memory.
func (p *product) edge256(i0, i1 int, col column, w int) {
	const rows = len(tiles256) - 1
	var c [rows * width256]float32
	var b [(width256 - 1) * width256]float32
	whole := p.k // rows of B that can be read in full width
	if over := col.b + (p.k-1)*p.bl + width256 - len(p.b); over > 0 {
		whole -= min(p.k, (over+p.bl-1)/p.bl)
	}
	for l := whole; l < p.k; l++ {
		copy(b[(l-whole)*width256:], p.b[col.b+l*p.bl:][:w])
	}
	for i := i0; i < i1; i += rows {
		m := min(rows, i1-i)
		flag := 0
		if p.add {
			flag = 1
			for r := range m {
				copy(c[r*width256:], p.c[(i+r)*p.ci+col.at:][:w])
			}
		}
		a := p.a[i*p.ai:]
		if whole > 0 {
			tile256(m, whole, &a[0], 4*p.ai, 4*p.al, &p.b[col.b], 4*p.bl, &c[0], flag)
			flag = 1
		}
		if whole < p.k {
			tile256(m, p.k-whole, &a[whole*p.al], 4*p.ai, 4*p.al, &b[0], 4*width256, &c[0], flag)
		}
		for r := range m {
			copy(p.c[(i+r)*p.ci+col.at:][:w], c[r*width256:])
		}
	}
}

// tile256 computes one tile c [m, 16]. It names the kernels, so that the compiler
// knows that they keep no pointer and leaves c on the stack.
func tile256(m, k int, a *float32, ai, al int, b *float32, bl int, c *float32, add int) {
	const ci = 4 * width256
	switch m {
	case 1:
		tile256x1(k, 1, a, ai, al, b, bl, c, ci, add, 0)
	case 2:
		tile256x2(k, 1, a, ai, al, b, bl, c, ci, add, 0)
	case 3:
		tile256x3(k, 1, a, ai, al, b, bl, c, ci, add, 0)
	case 4:
		tile256x4(k, 1, a, ai, al, b, bl, c, ci, add, 0)
	case 5:
		tile256x5(k, 1, a, ai, al, b, bl, c, ci, add, 0)
	case 6:
		tile256x6(k, 1, a, ai, al, b, bl, c, ci, add, 0)
	}
}
