package op

import "srar/lib/real"

// ropeTable holds the cosines and sines of all positions met so far: rows of
// cos [C/2] and sin [C/2] for turning forward, then sin negated for turning back.
type ropeTable struct {
	half      int
	positions int
	rows      []float32 // [positions][3][half]
}

// table returns rope's table, at least n positions long.
func (c *cpu) table(rope *Rope, n int) *ropeTable {
	t := c.ropes[rope]
	if t == nil {
		t = &ropeTable{half: len(rope.Inv)}
		c.ropes[rope] = t
	}
	if n <= t.positions {
		return t
	}
	n = max(n, 2*t.positions, 64)
	rows := make([]float32, n*3*t.half)
	done := copy(rows, t.rows) / max(3*t.half, 1)
	scale := rope.Scale
	if scale == 0 {
		scale = 1
	}
	for p := done; p < n; p++ {
		row := rows[p*3*t.half:]
		for i, inv := range rope.Inv {
			sin, cos := real.Sincos(float64(p) * inv)
			row[i] = float32(scale * cos)
			row[t.half+i] = float32(scale * sin)
			row[2*t.half+i] = -float32(scale * sin)
		}
	}
	t.rows, t.positions = rows, n
	return t
}

// rotate is the rotary embedding of queries and keys, its items tokens.
type rotate struct {
	all   [2]headRows
	pos   []int32
	c     int
	table *ropeTable
	sin   int // which row of the table holds the sines
}

// headRows is [Heads] in memory.
type headRows struct {
	y, x, norm []float32
	n          int
	eps        float32
}

func (c *cpu) Rotate(q, k Heads, pos []int32, size int, rope *Rope, inverse bool) {
	const name = "Rotate"
	equal(name, 2*len(rope.Inv), size)
	last := int32(-1)
	for _, p := range pos {
		last = max(last, p)
	}
	j, steps := &c.jobs.rotate, 0
	*j = rotate{pos: pos, c: size, table: c.table(rope, int(last)+1), sin: 1}
	if inverse {
		j.sin = 2
	}
	for i, h := range [...]Heads{q, k} {
		n := len(pos) * h.N * size
		r := headRows{y: need(name, h.Y, n), n: h.N, eps: h.Eps}
		steps += h.N * (5 + size/16)
		if h.Norm.Len() > 0 {
			r.x, r.norm = need(name, h.X, n), need(name, h.Norm, size)
			steps += h.N * (10 + size/8)
		}
		j.all[i] = r
	}
	c.split(len(pos), steps, j)
}

func (r *rotate) do(t *thread, lo, hi int) {
	half := r.table.half
	for i := lo; i < hi; i++ {
		row := r.table.rows[int(r.pos[i])*3*half:][:3*half]
		cos, sin := row[:half], row[r.sin*half:][:half]
		for k := range r.all {
			h := &r.all[k]
			for at := i * h.n * r.c; at < (i+1)*h.n*r.c; at += r.c {
				y := h.y[at:][:r.c]
				if h.norm != nil {
					t.tier.norm(y, h.x[at:][:r.c], h.norm, h.eps)
				}
				t.tier.rotate(y, cos, sin)
			}
		}
	}
}
