package op

import "math"

// What follows is the definition of everything that a tier may do by SIMD along
// a row. Products and sums are rounded one by one: the conversions to float32
// keep the compiler from fusing them. Nothing is flushed here.

// maxOf returns the largest of x, -Inf for none, a positive zero for any. What it
// returns if there are NaNs is not defined; the sums that use it are NaN anyway.
func maxOf(x []float32) float32 {
	m := float32(math.Inf(-1))
	for _, v := range x {
		if v > m {
			m = v
		}
	}
	return m + 0
}

// softmaxGeneric replaces x[:n] by exp(scale·x - max(scale·x)) and the rest by 0,
// and returns the sum. scale is positive.
func softmaxGeneric(x []float32, n int, scale float32) float32 {
	m := float32(maxOf(x[:n]) * scale)
	var l lanes
	for i, v := range x[:n] {
		e := exp32(float32(v*scale) - m)
		x[i] = e
		l[i&15] += e
	}
	clear(x[n:])
	return l.sum()
}

// scaleGeneric multiplies x by s; a negative zero becomes a positive one.
func scaleGeneric(x []float32, s float32) {
	for i, v := range x {
		x[i] = float32(v*s) + 0
	}
}

// dotGeneric returns Σ x·y.
func dotGeneric(x, y []float32) float32 {
	var l lanes
	y = y[:len(x)]
	for i, v := range x {
		l[i&15] += float32(v * y[i])
	}
	return l.sum()
}

// dscoreGeneric scales exponentials p to probabilities, and computes from these
// and their gradient d that of the scores, into d: p·(d - dot)·scale.
func dscoreGeneric(d, p []float32, inv, dot, scale float32) {
	p = p[:len(d)]
	for i, v := range d {
		w := float32(p[i] * inv)
		p[i] = w
		d[i] = float32(float32(w*(v-dot)) * scale)
	}
}

// fetchGeneric asks for n elements of each of m rows of x, ld apart, ahead of their
// use. It is for speed alone.
func fetchGeneric(_ []float32, _, _, _ int) {}

// addGeneric is y += x.
func addGeneric(y, x []float32) {
	x = x[:len(y)]
	for i, v := range x {
		y[i] += v
	}
}

// sumSquaresGeneric returns Σ x² in float64, where squares are exact. Its lanes are
// those of all reductions.
func sumSquaresGeneric(x []float32) float64 {
	var l [len(lanes{})]float64
	for i, v := range x {
		l[i%len(l)] += float64(float64(v) * float64(v)) // never fused
	}
	for s := len(l) / 2; s > 0; s /= 2 {
		for i := range s {
			l[i] += l[i+s]
		}
	}
	return l[0]
}

// swiGLUGeneric is y = g/(1 + e^-g)·u.
func swiGLUGeneric(y, g, u []float32) {
	g, u = g[:len(y)], u[:len(y)]
	for i, v := range g {
		y[i] = float32(v/(1+exp32(-v))) * u[i]
	}
}

// swiGLUGradGeneric: with s = 1/(1 + e^-g), du = dy·g·s and
// dg = dy·u·s·(1 + g·(1 - s)).
func swiGLUGradGeneric(dg, du, dy, g, u []float32) {
	du, dy, g, u = du[:len(dg)], dy[:len(dg)], g[:len(dg)], u[:len(dg)]
	for i, v := range g {
		s := 1 / (1 + exp32(-v))
		d, w := dy[i], u[i]
		du[i] = float32(d * float32(v*s))
		dg[i] = float32(float32(d*w)*s) * (1 + float32(v*(1-s)))
	}
}

// normGeneric writes y = x·r·w and returns r = 1/√(Σx²/d + eps), d = len(x).
func normGeneric(y, x, w []float32, eps float32) float32 {
	r := 1 / sqrt32(dotGeneric(x, x)/float32(len(x))+eps)
	y, w = y[:len(x)], w[:len(x)]
	for i, v := range x {
		y[i] = float32(v*r) * w[i]
	}
	return r
}

// normGradGeneric adds to dx the gradient of normGeneric by x and returns r:
// dx += r·dy·w - x·(r³/d·Σ dy·w·x).
func normGradGeneric(dx, dy, x, w []float32, eps float32) float32 {
	d := float32(len(x))
	r := 1 / sqrt32(dotGeneric(x, x)/d+eps)
	dx, dy, w = dx[:len(x)], dy[:len(x)], w[:len(x)]
	var l lanes
	for i, v := range x {
		l[i&15] += float32(float32(dy[i]*w[i]) * v)
	}
	k := float32(float32(float32(r*r)*r) * float32(l.sum()/d))
	for i, v := range x {
		dx[i] += float32(float32(dy[i]*w[i])*r) - float32(v*k)
	}
	return r
}

// normGradWGeneric adds the gradient of normGeneric by w, row after row:
// dw += dy·x·r. The rows of dy and x are ld apart.
func normGradWGeneric(dw, dy, x []float32, ld int, r []float32) {
	for i, s := range r {
		a, b := dy[i*ld:][:len(dw)], x[i*ld:][:len(dw)]
		for j, v := range a {
			dw[j] += float32(float32(v*b[j]) * s)
		}
	}
}

// rotateGeneric turns the pairs (x[i], x[i+len(cos)]).
func rotateGeneric(x, cos, sin []float32) {
	h := len(cos)
	a, b := x[:h], x[h:][:h]
	sin = sin[:h]
	for i, c := range cos {
		s, u, v := sin[i], a[i], b[i]
		a[i] = float32(u*c) - float32(v*s)
		b[i] = float32(v*c) + float32(u*s)
	}
}

// logSumGeneric returns the largest m of x/temp, Σ e and Σ e·(x/temp - m),
// where e = exp(x/temp - m).
func logSumGeneric(x []float32, temp float32) (m, sum, dot float32) {
	m = maxOf(x) / temp
	var l, k lanes
	for i, v := range x {
		z := v/temp - m
		e := exp32(z)
		l[i&15] += e
		k[i&15] += float32(e * z)
	}
	return m, l.sum(), k.sum()
}

// logGradGeneric replaces x by
// p·(a + b·ln p), p = exp(x/temp - m)·inv, ln p = x/temp - m - ln.
func logGradGeneric(x []float32, temp, m, inv, ln, a, b float32) {
	for i, v := range x {
		z := v/temp - m
		x[i] = float32(exp32(z)*inv) * (a + float32(b*(z-ln)))
	}
}

// adamScalars are the scalars of AdamW in float32.
type adamScalars struct {
	scale, keep, lerp, beta2, grow, root, eps, step float32
}

// adamWGeneric updates p, m and v from g in the order of torch.optim.AdamW.
func adamWGeneric(p, g, m, v []float32, a *adamScalars) {
	g, m, v = g[:len(p)], m[:len(p)], v[:len(p)]
	for i, x := range g {
		x = float32(x * a.scale)
		mi := m[i] + float32(a.lerp*(x-m[i]))
		vi := float32(v[i]*a.beta2) + float32(float32(a.grow*x)*x)
		m[i], v[i] = mi, vi
		d := sqrt32(vi)/a.root + a.eps
		p[i] = float32(p[i]*a.keep) - float32(a.step*mi)/d
	}
}

// sqrt32 returns the square root rounded once.
func sqrt32(x float32) float32 { return float32(math.Sqrt(float64(x))) }
