package op

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// gradTolerance is the error allowed to a gradient in float32, relative to its
// largest element: some ten roundings of 2^-24 and the error of the differences.
const gradTolerance = 3e-6

// attentionTolerance is gradTolerance for attention, which cannot be compared with
// products of rounded operands alone: in BF16 some five roundings of 2^-9, those of
// the scores grown as many times as exponents are large.
func attentionTolerance(n Numerics) float64 {
	if n == F32 {
		return gradTolerance
	}
	return 2e-2
}

// operand returns x as products take it.
func operand(n Numerics, x []float32) []float64 {
	if n == F32 {
		return f64(x)
	}
	y := make([]float32, len(x))
	roundGeneric(y, x)
	return f64(y)
}

func refMatMul(x, w []float64, n, out, in int) []float64 {
	y := make([]float64, n*out)
	for i := range n {
		for o := range out {
			y[i*out+o] = inner(x[i*in:][:in], w[o*in:][:in])
		}
	}
	return y
}

func TestMatMulGrad(t *testing.T) {
	const n, out, in = 19, 37, 45
	r := newNoise(1)
	x, w, dy := r.floats(n*in), r.floats(out*in), r.floats(n*out)
	want := map[Numerics][3][]float64{}
	for _, p := range both {
		x, w, dy := operand(p, x), operand(p, w), operand(p, dy)
		loss := func(x, w []float64) float64 { return inner(refMatMul(x, w, n, out, in), dy) }
		want[p] = [...][]float64{
			refMatMul(x, w, n, out, in),
			slope(x, func(x []float64) float64 { return loss(x, w) }),
			slope(w, func(w []float64) float64 { return loss(x, w) }),
		}
	}
	everywhere(t, func(t *testing.T, c *cpu) {
		wantY, wantX, wantW := want[c.numerics][0], want[c.numerics][1], want[c.numerics][2]
		m := c.Pack(c.buf(w), out, in)
		y, dx, dw := c.New(n*out), c.New(n*in), c.New(out*in)
		back := []Linear{{m, c.buf(dy), dw}}
		c.MatMul([]Linear{{W: m, Y: y}}, c.buf(x), n, false)
		c.MatMulGradX(dx, back, n, false)
		c.MatMulGradW(back, c.buf(x), []Span{{0, n}})
		near(t, wantY, c.floats(y), gradTolerance, "y")
		near(t, wantX, c.floats(dx), gradTolerance, "dx")
		near(t, wantW, c.floats(dw), gradTolerance, "dw")
		// All three again, on top, with other weights in the backward panels.
		half := make([]float32, len(w))
		for i, v := range w {
			half[i] = v / 2
		}
		c.Write(m.(*weight).buf(), half)
		c.Repack(m)
		c.MatMul([]Linear{{W: m, Y: y}}, c.buf(x), n, true)
		c.MatMulGradX(dx, back, n, true)
		c.MatMulGradW(back, c.buf(x), []Span{{0, n}})
		near(t, times(1.5, wantY), c.floats(y), gradTolerance, "y, added")
		near(t, times(1.5, wantX), c.floats(dx), gradTolerance, "dx, added")
		near(t, times(2, wantW), c.floats(dw), gradTolerance, "dw, added")
	})
}

func (w *weight) buf() Buf { return Buf{w.w} }

// times returns f·x.
func times(f float64, x []float64) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = f * v
	}
	return y
}

func refNorm(x, w []float64, d int, eps float64) []float64 {
	y := make([]float64, len(x))
	for i := 0; i < len(x); i += d {
		r := 1 / math.Sqrt(inner(x[i:i+d], x[i:i+d])/float64(d)+eps)
		for j := range d {
			y[i+j] = x[i+j] * r * w[j]
		}
	}
	return y
}

func TestRMSNormGrad(t *testing.T) {
	const eps = 1e-6
	everywhere(t, func(t *testing.T, c *cpu) {
		for _, shape := range [][2]int{{1, 1}, {5, 12}, {7, 48}, {3, 67}} {
			n, d := shape[0], shape[1]
			r := newNoise(2)
			x, w, dy, before := r.floats(n*d), r.floats(d), r.floats(n*d), r.floats(n*d)
			y, dx, dw := c.New(n*d), c.buf(before), c.New(d)
			c.RMSNorm(y, c.buf(x), c.buf(w), n, d, eps)
			c.RMSNormGrad(dx, dw, c.buf(dy), c.buf(x), c.buf(w), n, d, eps)
			near(t, refNorm(f64(x), f64(w), d, eps), c.floats(y), gradTolerance, "y")
			loss := func(x, w []float64) float64 { return inner(refNorm(x, w, d, eps), f64(dy)) }
			want := slope(f64(x), func(x []float64) float64 { return loss(x, f64(w)) })
			for i, v := range before {
				want[i] += float64(v)
			}
			near(t, want, c.floats(dx), gradTolerance, "dx")
			near(t, slope(f64(w), func(w []float64) float64 { return loss(f64(x), w) }), c.floats(dw), gradTolerance, "dw")
		}
	})
}

func TestSwiGLUGrad(t *testing.T) {
	forward := func(g, u []float64) []float64 {
		y := make([]float64, len(g))
		for i, v := range g {
			y[i] = v / (1 + math.Exp(-v)) * u[i]
		}
		return y
	}
	everywhere(t, func(t *testing.T, c *cpu) {
		for _, n := range []int{1, 16, 333} {
			r := newNoise(3)
			g, u, dy := r.floats(n), r.floats(n), r.floats(n)
			y, dg, du := c.New(n), c.buf(g), c.buf(u)
			c.SwiGLU(y, dg, du)
			c.SwiGLUGrad(dg, du, c.buf(dy))
			near(t, forward(f64(g), f64(u)), c.floats(y), gradTolerance, "y")
			loss := func(g, u []float64) float64 { return inner(forward(g, u), f64(dy)) }
			near(t, slope(f64(g), func(g []float64) float64 { return loss(g, f64(u)) }), c.floats(dg), gradTolerance, "dg")
			near(t, slope(f64(u), func(u []float64) float64 { return loss(f64(g), u) }), c.floats(du), gradTolerance, "du")
		}
	})
}

func TestRotate(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cpu) {
		for _, size := range []int{2, 12, 32, 38, 64} {
			const heads = 3
			pos := []int32{0, 1, 7, 130, 7, 1000}
			rope := &Rope{}
			for i := range size / 2 {
				rope.Inv = append(rope.Inv, math.Pow(10000, -2*float64(i)/float64(size)))
			}
			x := newNoise(4).floats(len(pos) * heads * size)
			want := make([]float64, len(x))
			for i, p := range pos {
				for h := range heads {
					at := (i*heads + h) * size
					for k, inv := range rope.Inv {
						sin, cos := math.Sincos(float64(p) * inv)
						a, b := float64(x[at+k]), float64(x[at+k+size/2])
						want[at+k], want[at+k+size/2] = a*cos-b*sin, b*cos+a*sin
					}
				}
			}
			b := c.buf(x)
			of := Heads{Y: b, N: heads}
			c.Rotate(of, Heads{}, pos, size, rope, false)
			near(t, want, c.floats(b), gradTolerance, "rotated")
			// Beside other keys, which are normalised first.
			norm, y, both := c.buf(newNoise(5).floats(size)), c.New(len(x)), c.New(len(x))
			c.RMSNorm(y, c.buf(x), norm, len(pos)*heads, size, 1e-6)
			c.Rotate(of, Heads{Y: y, N: heads}, pos, size, rope, true)
			near(t, f64(x), c.floats(b), gradTolerance, "and back: the gradient of a rotation is its inverse")
			c.Rotate(of, Heads{Y: both, N: heads, X: c.buf(x), Norm: norm, Eps: 1e-6}, pos, size, rope, true)
			sameBits(t, c.floats(y), c.floats(both), "normalised and rotated")
		}
	})
}

func refAttention(q, k, v []float64, seq []Span, h, g, c int) []float64 {
	o := make([]float64, len(q))
	for _, s := range seq {
		for i := s.Lo; i < s.Hi; i++ {
			for x := range h {
				qi := q[(i*h+x)*c:][:c]
				var p []float64
				sum := 0.0
				for j := s.Lo; j <= i; j++ {
					e := math.Exp(inner(qi, k[(j*g+x*g/h)*c:][:c]) / math.Sqrt(float64(c)))
					p = append(p, e)
					sum += e
				}
				for j, e := range p {
					for y := range c {
						o[(i*h+x)*c+y] += e / sum * v[((s.Lo+j)*g+x*g/h)*c+y]
					}
				}
			}
		}
	}
	return o
}

func TestAttentionGrad(t *testing.T) {
	shapes := []struct {
		seq     []Span
		h, g, c int
	}{
		{[]Span{{0, 1}, {1, 6}, {6, 13}}, 4, 2, 12},
		{[]Span{{0, 5}}, 3, 1, 33},
		{[]Span{{0, 75}}, 2, 1, 4},
	}
	for _, s := range shapes {
		n := s.seq[len(s.seq)-1].Hi
		r := newNoise(5)
		q, k, v, do := r.floats(n*s.h*s.c), r.floats(n*s.g*s.c), r.floats(n*s.g*s.c), r.floats(n*s.h*s.c)
		forward := func(q, k, v []float64) []float64 { return refAttention(q, k, v, s.seq, s.h, s.g, s.c) }
		loss := func(q, k, v []float64) float64 { return inner(forward(q, k, v), f64(do)) }
		want := forward(f64(q), f64(k), f64(v))
		wantQ := slope(f64(q), func(q []float64) float64 { return loss(q, f64(k), f64(v)) })
		wantK := slope(f64(k), func(k []float64) float64 { return loss(f64(q), k, f64(v)) })
		wantV := slope(f64(v), func(v []float64) float64 { return loss(f64(q), f64(k), v) })
		everywhere(t, func(t *testing.T, b *cpu) {
			o := b.New(len(q))
			// The gradients are written, not added: what was there does not matter.
			dq, dk, dv := b.buf(r.floats(len(q))), b.buf(r.floats(len(k))), b.buf(r.floats(len(v)))
			b.Attention(o, b.buf(q), b.buf(k), b.buf(v), s.seq, s.h, s.g, s.c)
			b.AttentionGrad(dq, dk, dv, b.buf(do), b.buf(q), b.buf(k), b.buf(v), o, s.seq, s.h, s.g, s.c)
			tol := attentionTolerance(b.numerics)
			near(t, want, b.floats(o), tol, "o")
			near(t, wantQ, b.floats(dq), tol, "dq")
			near(t, wantK, b.floats(dk), tol, "dk")
			near(t, wantV, b.floats(dv), tol, "dv")
		})
	}
}

// refLogProb returns Σ dlogp·logp + dent·entropy and the two columns.
func refLogProb(x []float64, ids []int32, temp, dlogp, dent []float32, v int) (loss float64, logp, entropy []float64) {
	for i, id := range ids {
		z := make([]float64, v)
		m := math.Inf(-1)
		for j := range z {
			z[j] = x[i*v+j] / float64(temp[i])
			m = max(m, z[j])
		}
		sum := 0.0
		for _, y := range z {
			sum += math.Exp(y - m)
		}
		ln := m + math.Log(sum)
		h := 0.0
		for _, y := range z {
			h -= math.Exp(y-ln) * (y - ln)
		}
		logp = append(logp, z[id]-ln)
		entropy = append(entropy, h)
		loss += float64(dlogp[i])*(z[id]-ln) + float64(dent[i])*h
	}
	return loss, logp, entropy
}

func TestLogProbGrad(t *testing.T) {
	const n = 5
	temp := []float32{1, 0.7, 2, 1, 0.3}
	for _, v := range []int{2, 16, 45, 384} {
		r := newNoise(6)
		x, ids := r.floats(n*v), r.ids(n, v)
		dlogp, dent := r.floats(n), r.floats(n)
		_, wantP, wantH := refLogProb(f64(x), ids, temp, dlogp, dent, v)
		gradient := func(dent []float32) []float64 {
			return slope(f64(x), func(x []float64) float64 {
				loss, _, _ := refLogProb(x, ids, temp, dlogp, dent, v)
				return loss
			})
		}
		want, without := gradient(dent), gradient(make([]float32, n))
		everywhere(t, func(t *testing.T, c *cpu) {
			logp, entropy := make([]float32, n), make([]float32, n)
			b := c.buf(x)
			c.LogProb(logp, entropy, b, ids, temp, n, v)
			near(t, wantP, logp, gradTolerance, "log-probability")
			near(t, wantH, entropy, gradTolerance, "entropy")
			again := make([]float32, n)
			c.LogProb(again, nil, b, ids, temp, n, v)
			require.Equal(t, logp, again, "without entropy")
			c.LogProbGrad(b, ids, temp, dlogp, dent, n, v)
			near(t, want, c.floats(b), gradTolerance, "gradient")
			c.Write(b, x)
			c.LogProbGrad(b, ids, temp, dlogp, nil, n, v)
			near(t, without, c.floats(b), gradTolerance, "gradient without entropy")
		})
	}
}

func TestRowsGrad(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cpu) {
		const v, d, n = 11, 45, 70
		r := newNoise(7)
		table, dy, ids := r.floats(v*d), r.floats(n*d), r.ids(n, v)
		y, dt := c.New(n*d), c.New(v*d)
		c.Embed(y, c.buf(table), ids, d)
		c.EmbedGrad(dt, c.buf(dy), ids, d)
		want := make([]float64, v*d)
		for i, id := range ids {
			require.Equal(t, table[int(id)*d:][:d], c.floats(y)[i*d:][:d])
			for j := range d {
				want[int(id)*d+j] += float64(dy[i*d+j])
			}
		}
		near(t, want, c.floats(dt), gradTolerance, "dtable")

		rows := []int32{3, 60, 0, 17}
		some := c.New(len(rows) * d)
		c.Gather(some, y, rows, d)
		sum := c.buf(dy)
		c.Scatter(sum, some, rows, d)
		all := f64(dy)
		for i, row := range rows {
			require.Equal(t, c.floats(y)[int(row)*d:][:d], c.floats(some)[i*d:][:d])
			for j := range d {
				all[int(row)*d+j] += float64(c.floats(y)[int(row)*d+j])
			}
		}
		near(t, all, c.floats(sum), gradTolerance, "scattered")
	})
}

func TestBiasGrad(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cpu) {
		for _, shape := range [][2]int{{1, 1}, {5, 12}, {70, 48}, {3, 67}} {
			n, d := shape[0], shape[1]
			r := newNoise(13)
			x, bias, dy, before := r.floats(n*d), r.floats(d), r.floats(n*d), r.floats(d)
			y, db := c.buf(x), c.buf(before)
			c.Bias(y, c.buf(bias), n, d)
			c.BiasGrad(db, c.buf(dy), n, d)
			want := append([]float32(nil), before...)
			for i := range x {
				x[i] += bias[i%d]
				want[i%d] += dy[i]
			}
			sameBits(t, x, c.floats(y), "y")
			sameBits(t, want, c.floats(db), "db, row after row on top of what was there")
		}
	})
}

func TestAdamW(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cpu) {
		const n = 1000
		r := newNoise(8)
		p0 := r.floats(n)
		p, m, v := c.buf(p0), c.New(n), c.New(n)
		wantP, wantM, wantV := f64(p0), make([]float64, n), make([]float64, n)
		a := AdamW{LR: 1e-2, Beta1: 0.9, Beta2: 0.99, Eps: 1e-8, Decay: 0.1, Scale: 0.5}
		for a.Step = 1; a.Step <= 5; a.Step++ {
			g := r.floats(n)
			c.AdamW(p, c.buf(g), m, v, a)
			s := float64(a.Step)
			for i := range g {
				x := float64(g[i]) * a.Scale
				wantP[i] *= 1 - a.LR*a.Decay
				wantM[i] = a.Beta1*wantM[i] + (1-a.Beta1)*x
				wantV[i] = a.Beta2*wantV[i] + (1-a.Beta2)*x*x
				wantP[i] -= a.LR / (1 - math.Pow(a.Beta1, s)) * wantM[i] / (math.Sqrt(wantV[i])/math.Sqrt(1-math.Pow(a.Beta2, s)) + a.Eps)
			}
		}
		near(t, wantP, c.floats(p), gradTolerance, "p")
		near(t, wantM, c.floats(m), gradTolerance, "m")
		near(t, wantV, c.floats(v), gradTolerance, "v")
	})
}

func TestSumSquares(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cpu) {
		for _, n := range []int{0, 1, 5, 255, 256, 257, 10007} {
			x := newNoise(9).floats(n)
			got := c.SumSquares(c.buf(x))
			require.InEpsilon(t, 1+inner(f64(x), f64(x)), 1+got, 1e-12)
			require.Equal(t, reference(t, c.numerics).SumSquares(Buf{x}), got, "bits")
		}
	})
}
