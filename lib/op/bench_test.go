package op

import (
	"fmt"
	"testing"
	"time"
)

// ceilings are what a thread of each tier can do at most, measured once.
var ceilings = map[string]Ceiling{}

func ceilingOf(t *tier, n Numerics) Ceiling {
	c := newCPU(t, 1, n)
	defer c.Close()
	x, ok := ceilings[c.Name()]
	if !ok {
		x = c.ceiling(patience)
		ceilings[c.Name()] = x
	}
	return x
}

// BenchmarkDecode reports how fast products of few rows read weights that no cache
// holds, and the ratio to bandwidth.
func BenchmarkDecode(b *testing.B) {
	const in, out = 1024, 16384
	for _, tier := range runnable()[1:] {
		for _, numerics := range both {
			for _, n := range []int{1, 2, 3, 4, 5, 6, 8, 16, 32} {
				b.Run(fmt.Sprintf("%s/%v/%d", tier.name, numerics, n), func(b *testing.B) {
					c := newCPU(tier, 1, numerics)
					defer c.Close()
					r := newNoise(1)
					w := c.New(out * in)
					m := c.Pack(w, out, in)
					x, y := c.buf(r.floats(n*in)), c.New(n*out)
					best := time.Hour
					for b.Loop() {
						start := time.Now()
						c.MatMul([]Linear{{W: m, Y: y}}, x, n, false)
						best = min(best, time.Since(start))
					}
					bytes := 4 * float64(numerics.columnsLen(in, out)) / best.Seconds()
					b.ReportMetric(bytes/1e9, "GB/s")
					b.ReportMetric(bytes/ceilingOf(tier, numerics).Read(largestRead), "of-bandwidth")
					b.ReportMetric(2*float64(n*in*out)/best.Seconds()/1e9, "GFLOP/s")
				})
			}
		}
	}
}

// BenchmarkMatMul reports GFLOP/s, the best of all calls, and their ratio to what
// the registers could do; of few rows also the bytes of weights per second.
func BenchmarkMatMul(b *testing.B) {
	for _, tier := range runnable() {
		for _, numerics := range both {
			for _, threads := range []int{1, 2} {
				for _, s := range [][3]int{{1, 1024, 1024}, {8, 1024, 1024}, {64, 1024, 1024}, {1008, 1024, 1024}, {450, 48, 144}, {450, 144, 48}} {
					n, in, out := s[0], s[1], s[2]
					for _, op := range []string{"forward", "gradx", "gradw"} {
						if tier == &generic && n*in*out > 1<<24 || op != "forward" && n < 64 {
							continue
						}
						b.Run(fmt.Sprintf("%s/%v/t%d/%dx%dx%d/%s", tier.name, numerics, threads, n, in, out, op), func(b *testing.B) {
							c := newCPU(tier, threads, numerics)
							defer c.Close()
							r := newNoise(1)
							x, y, w := c.buf(r.floats(n*in)), c.buf(r.floats(n*out)), c.buf(r.floats(out*in))
							m := c.Pack(w, out, in)
							dx, seq, maps := c.New(n*in), []Span{{0, n}}, []Linear{{m, y, w}}
							c.MatMulGradX(dx, maps, n, false)
							best := time.Hour
							for b.Loop() {
								start := time.Now()
								switch op {
								case "forward":
									c.MatMul(maps, x, n, false)
								case "gradx":
									c.MatMulGradX(dx, maps, n, false)
								case "gradw":
									c.MatMulGradW(maps, x, seq)
								}
								best = min(best, time.Since(start))
							}
							flops := 2 * float64(n*in*out) / best.Seconds()
							b.ReportMetric(flops/1e9, "GFLOP/s")
							b.ReportMetric(flops/ceilingOf(tier, numerics).FLOPS/float64(threads), "of-peak")
							if n < 64 {
								b.ReportMetric(4*float64(c.numerics.columnsLen(in, out))/best.Seconds()/1e9, "GB/s")
							}
						})
					}
				}
			}
		}
	}
}

// BenchmarkAttention reports GFLOP/s of causal attention within spans, halves that
// are masked not counted, forward and backward (five products for two), and of
// decoding over caches that share a prompt or not, with the bytes of keys and values
// that a row without sharing reads per second.
func BenchmarkAttention(b *testing.B) {
	const h, g, size = 9, 3, 64
	for _, tier := range runnable()[1:] {
		for _, numerics := range both {
			for _, threads := range []int{1, 2} {
				run := func(name string, flops, bytes float64, c *cpu, f func()) {
					b.Run(fmt.Sprintf("%s/%v/t%d/%s", tier.name, numerics, threads, name), func(b *testing.B) {
						best := time.Hour
						for b.Loop() {
							start := time.Now()
							f()
							best = min(best, time.Since(start))
						}
						b.ReportMetric(flops/best.Seconds()/1e9, "GFLOP/s")
						b.ReportMetric(flops/best.Seconds()/ceilingOf(tier, numerics).FLOPS/float64(threads), "of-peak")
						b.ReportMetric(best.Seconds()*1e6, "best-us")
						if bytes > 0 {
							b.ReportMetric(bytes/best.Seconds()/1e9, "GB/s")
						}
					})
				}
				c := newCPU(tier, threads, numerics)
				r := newNoise(1)
				for _, n := range []int{128, 512, 1024} {
					q, k, v := c.buf(r.floats(n*h*size)), c.buf(r.floats(n*g*size)), c.buf(r.floats(n*g*size))
					o, dq, dk, dv, do := c.New(n*h*size), c.New(n*h*size), c.New(n*g*size), c.New(n*g*size), c.buf(r.floats(n*h*size))
					seq := []Span{{0, n}}
					flops := 4 * float64(h*size*scores(seq))
					run(fmt.Sprintf("forward/%d", n), flops, 0, c, func() { c.Attention(o, q, k, v, seq, h, g, size) })
					run(fmt.Sprintf("backward/%d", n), 2.5*flops, 0, c, func() { c.AttentionGrad(dq, dk, dv, do, q, k, v, o, seq, h, g, size) })
				}
				const rows, n = 64, 256
				q, kv, o := c.buf(r.floats(rows*h*size)), c.buf(r.floats(n*g*size)), c.New(rows*h*size)
				src := c.NewCache(1, g, size, n)
				c.CacheWrite([]Cache{src}, 0, kv, kv, []Span{{0, n}}, g, size)
				var seq []Span
				caches := make([]Cache, rows)
				for i := range caches {
					seq = append(seq, Span{i, i + 1})
					caches[i] = c.ShareCache(src, n+1)
				}
				flops, bytes := 4*float64(rows*h*size*n), float64(rows)*float64(c.CacheBytes(1, g, size, n))
				run("decode/shared", flops, bytes, c, func() { c.Attend(o, q, caches, 0, seq, h, g, size) })
				for i := range caches {
					caches[i] = c.NewCache(1, g, size, n)
					c.CacheWrite(caches[i:i+1], 0, kv, kv, []Span{{0, n}}, g, size)
				}
				run("decode/apart", flops, bytes, c, func() { c.Attend(o, q, caches, 0, seq, h, g, size) })
				c.Close()
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
			{"turn", func() { tier.turn(x[0], panel, x[1], n/panel, panel, n/panel) }},
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
