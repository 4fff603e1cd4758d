package op

import (
	"fmt"
	"testing"
	"time"
)

// peak measures the multiplications and additions per second of one thread of
// a tier: its largest tile on one row of A and B again and again, which stays
// in the first cache.
func peak(t *tier) float64 {
	th := &thread{tier: t}
	const k = 1 << 14
	p := product{m: t.rows, n: panel, k: k, a: make([]float32, t.rows), ai: 1, b: aligned(panel), bp: panel, c: aligned(t.rows * panel), ci: panel}
	best := time.Duration(1 << 62)
	for range 100 {
		start := time.Now()
		th.multiply(p)
		best = min(best, time.Since(start))
	}
	return 2 * k * float64(t.rows*panel) / best.Seconds()
}

// BenchmarkMatMul reports GFLOP/s and their ratio to what the registers could do.
func BenchmarkMatMul(b *testing.B) {
	for _, tier := range runnable() {
		top := peak(tier)
		for _, threads := range []int{1, 2} {
			for _, s := range [][3]int{{450, 48, 48}, {450, 48, 144}, {450, 144, 48}, {450, 48, 384}, {512, 64, 192}, {1008, 1024, 1024}, {8, 1024, 1024}, {1, 1024, 1024}} {
				n, in, out := s[0], s[1], s[2]
				for _, op := range []string{"forward", "gradx", "gradw"} {
					if tier == &generic && n*in*out > 1<<24 || op != "forward" && n < 64 {
						continue
					}
					b.Run(fmt.Sprintf("%s/t%d/%dx%dx%d/%s", tier.name, threads, n, in, out, op), func(b *testing.B) {
						c := newCPU(tier, threads)
						defer c.Close()
						r := newNoise(1)
						x, y, w := c.buf(r.floats(n*in)), c.buf(r.floats(n*out)), c.buf(r.floats(out*in))
						m := c.Pack(w, out, in)
						dx := c.New(n * in)
						c.MatMulGradX(dx, y, m, n, false)
						b.ReportAllocs()
						for b.Loop() {
							switch op {
							case "forward":
								c.MatMul(y, x, m, n, false)
							case "gradx":
								c.MatMulGradX(dx, y, m, n, false)
							case "gradw":
								c.MatMulGradW(w, y, x, n, out, in)
							}
						}
						flops := 2 * float64(n*in*out) * float64(b.N) / b.Elapsed().Seconds()
						b.ReportMetric(flops/1e9, "GFLOP/s")
						b.ReportMetric(flops/top/float64(threads), "of-peak")
					})
				}
			}
		}
	}
}

// BenchmarkRowFunctions reports the nanoseconds an element takes in the first
// cache.
func BenchmarkRowFunctions(b *testing.B) {
	const n = 1024
	r := newNoise(1)
	var x [5][]float32
	for i := range x {
		x[i] = aligned(n)
		copy(x[i], r.floats(n))
	}
	a := AdamW{LR: 1e-9, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Scale: 1, Step: 10}.scalars()
	for _, tier := range runnable() {
		for _, f := range []struct {
			name string
			run  func()
		}{
			{"softmax", func() { tier.softmax(x[0], n, 0.25) }},
			{"swiGLU", func() { tier.swiGLU(x[0], x[1], x[2]) }},
			{"swiGLUGrad", func() { tier.swiGLUGrad(x[0], x[4], x[1], x[2], x[3]) }},
			{"norm", func() { tier.norm(x[0], x[1], x[2], 1e-6) }},
			{"normGrad", func() { tier.normGrad(x[0], x[1], x[2], x[3], 1e-6) }},
			{"logSum", func() { tier.logSum(x[1], 1) }},
			{"adamW", func() { tier.adamW(x[0], x[1], x[2], x[4], &a) }},
			{"pack", func() { tier.pack(x[0], x[1], n/panel, panel, n/panel) }},
		} {
			b.Run(tier.name+"/"+f.name, func(b *testing.B) {
				clear(x[4])
				for b.Loop() {
					f.run()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/element")
			})
		}
	}
}
