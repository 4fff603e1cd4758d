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

// rotate is the rotary embedding, its items tokens.
type rotate struct {
	x        []float32
	pos      []int32
	heads, c int
	table    *ropeTable
	sin      int // which row of the table holds the sines
}

func (c *cpu) Rotate(x Buf, pos []int32, heads, size int, rope *Rope, inverse bool) {
	equal("Rotate", 2*len(rope.Inv), size)
	last := int32(-1)
	for _, p := range pos {
		last = max(last, p)
	}
	sin := 1
	if inverse {
		sin = 2
	}
	c.jobs.rotate = rotate{need("Rotate", x, len(pos)*heads*size), pos, heads, size, c.table(rope, int(last)+1), sin}
	c.split(len(pos), heads*(5+size/16), &c.jobs.rotate)
}

func (r *rotate) do(t *thread, lo, hi int) {
	h := r.table.half
	for i := lo; i < hi; i++ {
		row := r.table.rows[int(r.pos[i])*3*h:][:3*h]
		cos, sin := row[:h], row[r.sin*h:][:h]
		for k := range r.heads {
			t.tier.rotate(r.x[(i*r.heads+k)*r.c:][:r.c], cos, sin)
		}
	}
}
