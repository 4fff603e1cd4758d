package op

import "math"

// swiGLU is y = silu(g)·u, its items blocks.
type swiGLU struct{ y, g, u []float32 }

func (c *cpu) SwiGLU(y, g, u Buf) {
	equal("SwiGLU", y.Len(), g.Len())
	equal("SwiGLU", y.Len(), u.Len())
	c.jobs.swiGLU = swiGLU{y.data, g.data, u.data}
	c.split(blocks(y.Len()), block/6, &c.jobs.swiGLU)
}

func (s *swiGLU) do(t *thread, lo, hi int) {
	t.tier.swiGLU(of(s.y, lo, hi), of(s.g, lo, hi), of(s.u, lo, hi))
}

// swiGLUGrad is its gradient, in the places of g and u.
type swiGLUGrad struct{ g, u, dy []float32 }

func (c *cpu) SwiGLUGrad(g, u, dy Buf) {
	n := g.Len()
	for _, b := range [...]Buf{u, dy} {
		equal("SwiGLUGrad", n, b.Len())
	}
	c.jobs.swiGLUGrad = swiGLUGrad{g.data, u.data, dy.data}
	c.split(blocks(n), block/4, &c.jobs.swiGLUGrad)
}

func (s *swiGLUGrad) do(t *thread, lo, hi int) {
	g, u := of(s.g, lo, hi), of(s.u, lo, hi)
	t.tier.swiGLUGrad(g, u, of(s.dy, lo, hi), g, u)
}

// adamW is one optimiser step, its items blocks.
type adamW struct {
	p, g, m, v []float32
	s          adamScalars
}

func (c *cpu) AdamW(p, g, m, v Buf, a AdamW) {
	for _, b := range [...]Buf{g, m, v} {
		equal("AdamW", p.Len(), b.Len())
	}
	c.jobs.adamW = adamW{p.data, g.data, m.data, v.data, a.scalars()}
	c.split(blocks(p.Len()), block/4, &c.jobs.adamW)
}

// scalars rounds the scalars of a step, computed in float64, once.
func (a AdamW) scalars() adamScalars {
	t := float64(a.Step)
	return adamScalars{
		scale: float32(a.Scale),
		keep:  float32(1 - float64(a.LR*a.Decay)),
		lerp:  float32(1 - a.Beta1),
		beta2: float32(a.Beta2),
		grow:  float32(1 - a.Beta2),
		root:  float32(math.Sqrt(1 - math.Pow(a.Beta2, t))),
		eps:   float32(a.Eps),
		step:  float32(a.LR / (1 - math.Pow(a.Beta1, t))),
	}
}

func (a *adamW) do(t *thread, lo, hi int) {
	t.tier.adamW(of(a.p, lo, hi), of(a.g, lo, hi), of(a.m, lo, hi), of(a.v, lo, hi), &a.s)
}

// sumSquares sums squares in pieces, its items, of squares elements.
type sumSquares struct {
	x    []float32
	part []float64
}

const squares = 16 * block

func (c *cpu) SumSquares(b Buf) float64 {
	j := &c.jobs.sumSquares
	n := (b.Len() + squares - 1) / squares
	if cap(j.part) < n {
		j.part = make([]float64, n)
	}
	j.x, j.part = b.data, j.part[:n]
	c.split(n, squares/16, j)
	sum := 0.0
	for _, v := range j.part {
		sum += v
	}
	return sum
}

func (s *sumSquares) do(t *thread, lo, hi int) {
	for i := lo; i < hi; i++ {
		s.part[i] = t.tier.sumSquares(s.x[i*squares : min((i+1)*squares, len(s.x))])
	}
}
