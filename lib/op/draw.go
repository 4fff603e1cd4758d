package op

// drawBlock is the number of logits whose probabilities are first added up
// together.
const drawBlock = 512

// draw draws a token from each row of logits, its items.
type draw struct {
	ids    []int32
	logits []float32
	temp   []float32
	u      []float64
	v      int
}

func (c *cpu) Draw(ids []int32, logits Buf, temp []float32, u []float64, n, v int) {
	c.jobs.draw = draw{ids[:n], need("Draw", logits, n*v), temp[:n], u[:n], v}
	c.split(n, 300+v/8, &c.jobs.draw)
}

func (d *draw) do(t *thread, lo, hi int) {
	for i := lo; i < hi; i++ {
		d.ids[i] = t.draw(d.logits[i*d.v:][:d.v], d.temp[i], d.u[i])
	}
}

// draw finds the block of x that u selects, then the token in it. A block has its
// own largest logit, so that its sum is exact to float32 however unlikely it is.
func (t *thread) draw(x []float32, temp float32, u float64) int32 {
	n := (len(x) + drawBlock - 1) / drawBlock
	buf := t.scratch.take(2*n + drawBlock)
	tops, sums, exps := buf[:n], buf[n:2*n], buf[2*n:]
	for b := range n {
		tops[b], sums[b], _ = t.tier.logSum(x[b*drawBlock:min((b+1)*drawBlock, len(x))], temp)
	}
	top := maxOf(tops)
	weight := func(b int) float64 { return float64(float64(exp32(tops[b]-top)) * float64(sums[b])) }
	total := 0.0
	for b := range n {
		total += weight(b)
	}
	// Should rounding leave a rest of the target, the last block and the last token
	// with any weight are taken.
	target, block := u*total, 0
	for b := range n {
		if w := weight(b); w > 0 {
			block = b
			if target < w {
				break
			}
			target -= w
		}
	}
	first := block * drawBlock
	scale, token := float64(exp32(tops[block]-top)), first
	exps = exps[:copy(exps, x[first:])]
	t.tier.logGrad(exps, temp, tops[block], 1, 0, 1, 0) // exp(x/temp - top)
	for k, e := range exps {
		if w := float64(scale * float64(e)); w > 0 {
			token = first + k
			if target < w {
				break
			}
			target -= w
		}
	}
	return int32(token)
}
