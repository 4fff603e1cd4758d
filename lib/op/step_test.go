package op

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// toy is a small Qwen3-shaped decoder with its activations: the operators in the
// order in which training calls them, to measure a step and to find what makes
// one depend on threads, tiers or the cut of the batch.
type toy struct {
	c                                 *cpu
	layers, d, f, h, g, size, v, n    int
	rope                              *Rope
	params, grads, m1, m2             Buf
	used                              int
	embed, norm                       param
	blocks                            []toyBlock
	x, y, dx, logits                  Buf
	h1, q, k, vv, o, gate, up, act    []Buf
	dq, dk, dv, do, dact              Buf
	q0, k0, in, mid, h2               []Buf
	pos, ids, next                    []int32
	seq                               []Span
	temp, logp, entropy, dlogp, dents []float32
}

// param is a tensor and its gradient; matrices are packed.
type param struct {
	w, g Buf
	m    Weight
}

// of is p with its outputs, or with the gradient by them.
func (p *param) of(y Buf) Linear { return Linear{p.m, y, p.g} }

type toyBlock struct{ n1, n2, nq, nk, wq, wk, wv, wo, wg, wu, wd param }

func newToy(c *cpu, layers, d, f, h, g, size, v int, lengths []int) *toy {
	t := &toy{c: c, layers: layers, d: d, f: f, h: h, g: g, size: size, v: v, rope: &Rope{}}
	for i := range size / 2 {
		t.rope.Inv = append(t.rope.Inv, 1/float64(1+i*i))
	}
	per := 2*d + 2*size + 2*h*size*d + 2*g*size*d + 3*d*f
	total := v*d + d + layers*per
	r := newNoise(11)
	all := r.floats(total)
	for i := range all {
		all[i] *= 0.15
	}
	t.params, t.grads, t.m1, t.m2 = c.buf(all), c.New(total), c.New(total), c.New(total)
	t.embed, t.norm = t.param(v, d), t.param(1, d)
	for range layers {
		t.blocks = append(t.blocks, toyBlock{
			t.param(1, d), t.param(1, d), t.param(1, size), t.param(1, size),
			t.param(h*size, d), t.param(g*size, d), t.param(g*size, d), t.param(d, h*size),
			t.param(f, d), t.param(f, d), t.param(d, f),
		})
	}
	for _, l := range lengths {
		t.seq = append(t.seq, Span{t.n, t.n + l})
		for p := range l {
			t.pos = append(t.pos, int32(p))
		}
		t.n += l
	}
	n := t.n
	t.ids, t.next = r.ids(n, v), r.ids(n, v)
	for range n {
		t.temp, t.dlogp, t.dents = append(t.temp, 1), append(t.dlogp, -1), append(t.dents, 0.1)
	}
	t.logp, t.entropy = make([]float32, n), make([]float32, n)
	many := func(m int) (b []Buf) {
		for range layers {
			b = append(b, c.New(n*m))
		}
		return b
	}
	t.x, t.y, t.dx, t.logits = c.New(n*d), c.New(n*d), c.New(n*d), c.New(n*v)
	t.in, t.mid, t.h1, t.h2 = many(d), many(d), many(d), many(d)
	t.q, t.k, t.vv, t.o, t.q0, t.k0 = many(h*size), many(g*size), many(g*size), many(h*size), many(h*size), many(g*size)
	t.gate, t.up, t.act = many(f), many(f), many(f)
	t.dq, t.dk, t.dv, t.do = c.New(n*h*size), c.New(n*g*size), c.New(n*g*size), c.New(n*h*size)
	t.dact = c.New(n * f)
	return t
}

func (t *toy) param(out, in int) param {
	lo, hi := t.used, t.used+out*in
	t.used = hi
	p := param{w: t.params.Slice(lo, hi), g: t.grads.Slice(lo, hi)}
	if out > 1 {
		p.m = t.c.Pack(p.w, out, in)
	}
	return p
}

func (t *toy) forward() {
	c, n, d, h, g, s := t.c, t.n, t.d, t.h, t.g, t.size
	const eps = 1e-6
	c.Embed(t.x, t.embed.w, t.ids, d)
	for l := range t.blocks {
		b := &t.blocks[l]
		c.Copy(t.in[l], t.x)
		c.RMSNorm(t.h1[l], t.x, b.n1.w, n, d, eps)
		c.MatMul([]Linear{b.wq.of(t.q0[l]), b.wk.of(t.k0[l]), b.wv.of(t.vv[l])}, t.h1[l], n, false)
		c.Rotate(Heads{t.q[l], h, t.q0[l], b.nq.w, eps}, Heads{t.k[l], g, t.k0[l], b.nk.w, eps}, t.pos, s, t.rope, false)
		c.Attention(t.o[l], t.q[l], t.k[l], t.vv[l], t.seq, h, g, s)
		c.MatMul([]Linear{b.wo.of(t.x)}, t.o[l], n, true)
		c.Copy(t.mid[l], t.x)
		c.RMSNorm(t.h2[l], t.x, b.n2.w, n, d, eps)
		c.MatMul([]Linear{b.wg.of(t.gate[l]), b.wu.of(t.up[l])}, t.h2[l], n, false)
		c.SwiGLU(t.act[l], t.gate[l], t.up[l])
		c.MatMul([]Linear{b.wd.of(t.x)}, t.act[l], n, true)
	}
	c.RMSNorm(t.y, t.x, t.norm.w, n, d, eps)
	c.MatMul([]Linear{t.embed.of(t.logits)}, t.y, n, false)
	c.LogProb(t.logp, t.entropy, t.logits, t.next, t.temp, n, t.v)
}

func (t *toy) backward() {
	c, n, d, h, g, s := t.c, t.n, t.d, t.h, t.g, t.size
	const eps = 1e-6
	c.LogProbGrad(t.logits, t.next, t.temp, t.dlogp, t.dents, n, t.v)
	back := func(dx, x Buf, maps ...Linear) {
		c.MatMulGradX(dx, maps, n, false)
		c.MatMulGradW(maps, x, t.seq)
	}
	dy := t.do.Slice(0, n*d)
	back(dy, t.y, t.embed.of(t.logits))
	c.Zero(t.dx)
	c.RMSNormGrad(t.dx, t.norm.g, dy, t.x, t.norm.w, n, d, eps)
	for l := t.layers - 1; l >= 0; l-- {
		b := &t.blocks[l]
		back(t.dact, t.act[l], b.wd.of(t.dx))
		gate, up := t.gate[l], t.up[l]
		c.SwiGLUGrad(gate, up, t.dact)
		back(dy, t.h2[l], b.wg.of(gate), b.wu.of(up))
		c.RMSNormGrad(t.dx, b.n2.g, dy, t.mid[l], b.n2.w, n, d, eps)
		back(t.do, t.o[l], b.wo.of(t.dx))
		c.AttentionGrad(t.dq, t.dk, t.dv, t.do, t.q[l], t.k[l], t.vv[l], t.o[l], t.seq, h, g, s)
		c.Rotate(Heads{Y: t.dq, N: h}, Heads{Y: t.dk, N: g}, t.pos, s, t.rope, true)
		dq0, dk0 := t.dact.Slice(0, n*h*s), up.Slice(0, n*g*s)
		c.Zero(dq0)
		c.Zero(dk0)
		c.RMSNormGrad(dq0, b.nq.g, t.dq, t.q0[l], b.nq.w, n*h, s, eps)
		c.RMSNormGrad(dk0, b.nk.g, t.dk, t.k0[l], b.nk.w, n*g, s, eps)
		dh := t.do.Slice(0, n*d)
		back(dh, t.h1[l], b.wq.of(dq0), b.wk.of(dk0), b.wv.of(t.dv))
		c.RMSNormGrad(t.dx, b.n1.g, dh, t.in[l], b.n1.w, n, d, eps)
	}
	c.EmbedGrad(t.embed.g, t.dx, t.ids, d)
}

func (t *toy) update(step int64) {
	c := t.c
	norm := c.SumSquares(t.grads)
	c.AdamW(t.params, t.grads, t.m1, t.m2, AdamW{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Decay: 0.01, Scale: 1 / (1 + norm), Step: step})
	c.Zero(t.grads)
	c.Repack(t.embed.m)
	for i := range t.blocks {
		b := &t.blocks[i]
		for _, p := range [...]*param{&b.wq, &b.wk, &b.wv, &b.wo, &b.wg, &b.wu, &b.wd} {
			c.Repack(p.m)
		}
	}
}

// run does steps of training and returns the parameters and log-probabilities.
func (t *toy) run(steps int) (params, logp []float32) {
	for i := range steps {
		t.forward()
		t.backward()
		t.update(int64(i + 1))
	}
	return t.c.floats(t.params), t.logp
}

// smallModel is the model that the embedded task trains, and a batch of it.
func smallModel(c *cpu) *toy {
	return newToy(c, 2, 48, 144, 4, 2, 12, 384, []int{75, 80, 70, 75, 60, 90})
}

// BenchmarkStep measures forward, backward and optimiser of the small model.
func BenchmarkStep(b *testing.B) {
	for _, tier := range runnable() {
		for _, numerics := range both {
			for _, threads := range []int{1, 2} {
				b.Run(fmt.Sprintf("%s/%v/t%d", tier.name, numerics, threads), func(b *testing.B) {
					c := newCPU(tier, threads, numerics)
					defer c.Close()
					t := smallModel(c)
					t.run(1)
					b.ReportAllocs()
					best := time.Hour // of one step: what the machine can do when nobody else is there
					for b.Loop() {
						start := time.Now()
						t.forward()
						t.backward()
						t.update(1)
						best = min(best, time.Since(start))
					}
					b.ReportMetric(best.Seconds()*1e3, "best-ms")
				})
			}
		}
	}
}

// TestStep: a few steps of training give the same bits on every tier and any
// number of threads.
func TestStep(t *testing.T) {
	small := func(c *cpu) *toy { return newToy(c, 2, 40, 72, 4, 2, 10, 50, []int{13, 1, 70, 33}) }
	var params, logp [2][]float32
	for _, n := range both {
		params[n], logp[n] = small(reference(t, n)).run(3)
	}
	everywhere(t, func(t *testing.T, c *cpu) {
		p, l := small(c).run(3)
		sameBits(t, logp[c.numerics], l, "log-probabilities")
		sameBits(t, params[c.numerics], p, "parameters")
		for _, v := range p {
			require.False(t, v != v, "NaN")
		}
	})
}
