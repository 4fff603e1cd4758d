package op

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// BenchmarkOperators reports how long each operator of a training step takes that
// is no product of weights, on a micro-batch of a model of 25 million: the best of
// all calls. Every call has activations of another layer, so that they come from
// memory as they do in training.
func BenchmarkOperators(b *testing.B) {
	const n, d, f, h, g, size, v, read, layers = 1024, 384, 1024, 6, 2, 64, 8192, 512, 12
	for _, tier := range runnable()[1:] {
		for _, numerics := range both {
			c := newCPU(tier, 1, numerics)
			r := newNoise(1)
			some := r.floats(1 << 16) // again and again
			fresh := func(n int) Buf {
				b := c.New(n)
				for i := 0; i < n; i += len(some) {
					copy(b.data[i:], some)
				}
				return b
			}
			layer := 0
			each := func(n int) func() Buf {
				all := fresh(layers * n)
				return func() Buf { return all.Slice(layer*n, (layer+1)*n) }
			}
			seq := []Span{{0, 512}, {512, n}}
			x, q, k, val, o, gate, up := each(n*d), each(n*h*size), each(n*g*size), each(n*g*size), each(n*h*size), each(n*f), each(n*f)
			dx, y, w, dw := fresh(n*d), fresh(n*d), fresh(d), c.New(d)
			do, dq, dk, dv := fresh(n*h*size), c.New(n*h*size), c.New(n*g*size), c.New(n*g*size)
			act := fresh(n * f)
			p, grad, m1, m2 := fresh(4*n*f), fresh(4*n*f), c.New(4*n*f), c.New(4*n*f)
			ids, dlogp := r.ids(n, v), r.floats(n)
			logits, temp := fresh(read*v), slices.Repeat([]float32{1}, n)
			logp, entropy := make([]float32, n), make([]float32, n)
			pos := make([]int32, n)
			for i := range pos {
				pos[i] = int32(i % 512)
			}
			rope := &Rope{Inv: make([]float64, size/2)}
			for _, op := range []struct {
				name string
				run  func()
			}{
				{"Attention", func() { c.Attention(o(), q(), k(), val(), seq, h, g, size) }},
				{"AttentionGrad", func() { c.AttentionGrad(dq, dk, dv, do, q(), k(), val(), o(), seq, h, g, size) }},
				{"RMSNorm", func() { c.RMSNorm(y, x(), w, n, d, 1e-6) }},
				{"RMSNormGrad", func() { c.RMSNormGrad(dx, dw, y, x(), w, n, d, 1e-6) }},
				{"RMSNormGradHeads", func() { c.RMSNormGrad(dq, dw, do, q(), w, n*h, size, 1e-6) }},
				{"SwiGLU", func() { c.SwiGLU(act, gate(), up()) }},
				{"SwiGLUGrad", func() { c.SwiGLUGrad(gate(), up(), act) }},
				{"LogProb", func() { c.LogProb(logp, entropy, logits, ids, temp, read, v) }},
				{"LogProbGrad", func() { c.LogProbGrad(logits, ids, temp, dlogp, nil, read, v) }},
				{"Rotate", func() { c.Rotate(Heads{Y: q(), N: h}, Heads{Y: k(), N: g}, pos, size, rope, false) }},
				{"RotateNorm", func() { c.Rotate(Heads{dq, h, q(), w, 1e-6}, Heads{dk, g, k(), w, 1e-6}, pos, size, rope, false) }},
				{"EmbedGrad", func() { c.EmbedGrad(p, x(), ids, d) }},
				{"SumSquares", func() { c.SumSquares(grad) }},
				{"AdamW", func() {
					c.AdamW(p, grad, m1, m2, AdamW{LR: 1e-9, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Scale: 1, Step: 10})
				}},
			} {
				b.Run(fmt.Sprintf("%s/%v/%s", tier.name, numerics, op.name), func(b *testing.B) {
					best := time.Hour
					for b.Loop() {
						start := time.Now()
						op.run()
						best = min(best, time.Since(start))
						layer = (layer + 1) % layers
					}
					b.ReportMetric(best.Seconds()*1e6, "best-us")
				})
			}
			c.Close()
		}
	}
}
