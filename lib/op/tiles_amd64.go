//go:build !purego

package op

// tilesFunc is the signature of the kernels of AMX, see tilesSignature in
// _asm/tiles.go.
type tilesFunc func(config *tileConfig, k, n int, a *float32, ai, an int, b *float32, bl, bp, bn int, c *float32, ci, cn, add int)

// tileConfig is the operand of LDTILECFG: the palette, from 16 on the bytes of a
// row of each tile, two bytes each, and from 48 on its rows.
type tileConfig = [64]byte

// tileSize is the number of rows of a tile, and of float32 or words in each.
const tileSize = 16

// tileKernels are those of AMX.
type tileKernels struct {
	by   [3][3]tilesFunc // by rows and columns of tiles
	wide tilesFunc       // one row of tiles, two panels
}

var amxKernels = tileKernels{
	by:   [3][3]tilesFunc{1: {1: tiles1x1, 2: tiles1x2}, 2: {1: tiles2x1, 2: tiles2x2}},
	wide: tiles1x4,
}

// The k whose part of a panel stays in the first cache while several blocks use
// it, and the most that a call reads for one block.
const (
	tileChunk  = 18 * reduction
	tileStream = 128 * reduction
)

// patch is what a call computes: n blocks of C, the first at row i and column j.
// They lie one below the other or, with few rows, side by side.
type patch struct{ i, j, rows, columns, n int }

// product computes rows [i0, i1) and panels [j0, j1) of p in BF16.
func (s *tileKernels) product(t *thread, p *product, i0, i1, j0, j1 int) {
	const most = 2 * tileSize
	rows := i1 - i0
	blocks, chunk := (rows+most-1)/most, tileChunk
	if blocks == 1 {
		chunk = tileStream
	}
	if pairs := (min(j1, p.n/panel) - j0) / 2; rows <= tileSize && pairs > 0 {
		for l := 0; l < p.k; l += chunk {
			s.run(t, p, patch{i0, j0 * panel, rows, 2 * panel, pairs}, l, min(chunk, p.k-l))
		}
		j0 += 2 * pairs
	}
	low, higher := rows/blocks, rows%blocks // so many blocks have one row more
	for ; j0 < j1; j0++ {
		j, columns := j0*panel, min(panel, p.n-j0*panel)
		for l := 0; l < p.k; l += chunk {
			k := min(chunk, p.k-l)
			s.run(t, p, patch{i0, j, low + 1, columns, higher}, l, k)
			s.run(t, p, patch{i0 + higher*(low+1), j, low, columns, blocks - higher}, l, k)
		}
	}
}

// run computes a patch over k of the reduction from l on.
func (s *tileKernels) run(t *thread, p *product, x patch, l, k int) {
	if x.n == 0 {
		return
	}
	rows, columns := (x.rows+tileSize-1)/tileSize, (x.columns+tileSize-1)/tileSize
	t.config = configure(x.rows, x.columns)
	// Distances of one block and the next.
	an, bn, cn := x.rows*p.ai, 0, x.rows*p.ci
	var kernel tilesFunc
	if columns > panel/tileSize {
		kernel = s.wide
		an, bn, cn = 0, x.columns/panel*p.bp, x.columns
	} else {
		kernel = s.by[rows][columns]
	}
	add := 0
	if p.add || l > 0 {
		add = 1
	}
	// A single row takes the time of a whole tile: that of reading B.
	longest := max(1, longest/(max(x.rows, tileSize)*x.columns*k))
	for done := 0; done < x.n; done += longest {
		kernel(&t.config, k, min(longest, x.n-done),
			&p.a[x.i*p.ai+done*an+l/2], 4*p.ai, 4*an,
			&p.b[x.j/panel*p.bp+done*bn+l/2*p.bl], 4*p.bl, 4*p.bp, 4*bn,
			&p.c[x.i*p.ci+x.j+done*cn], 4*p.ci, 4*cn, add)
	}
}

// configure returns the tiles of a block: of C from 0 on, row after row, of A from
// 4 on, and of B the last ones.
func configure(rows, columns int) (config tileConfig) {
	config[0] = 1 // the palette
	tile := func(t, rows, columns int) {
		config[16+2*t], config[48+t] = byte(4*columns), byte(rows)
	}
	across := (columns + tileSize - 1) / tileSize
	for i := 0; i*tileSize < rows; i++ {
		height := min(tileSize, rows-i*tileSize)
		for j := range across {
			tile(i*across+j, height, min(tileSize, columns-j*tileSize))
		}
		tile(4+i, height, tileSize)
	}
	if across > 2 {
		tile(5, tileSize, tileSize)
	}
	for j := range min(across, 2) {
		tile(6+j, tileSize, min(tileSize, columns-j*tileSize))
	}
	return config
}
