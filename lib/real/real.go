// Package real computes elementary functions of float64, with the same bits on
// every machine. Those of package math are assembly here, and there compiled
// with fused multiply-adds. Here each operation is rounded by itself: converting
// a product to its own type keeps the compiler from fusing it.
package real

import "math"

// Exp returns e^x within 2 units in the last place: +Inf for large x, 0 for
// small ones, NaN for NaN.
func Exp(x float64) float64 {
	switch {
	case x != x:
		return x
	case x > 710:
		return math.Inf(1)
	case x < -746:
		return 0
	}
	// The product with the first part of ln 2 is exact.
	const hi, lo = 0x1.62e42fefa2p-1, 0x1.9ef35793c7673p-41
	n := math.RoundToEven(x * math.Log2E)
	r := x - float64(n*hi) - float64(n*lo)
	return math.Ldexp(1+expm1(r), int(n))
}

// Expm1 returns e^x - 1 within 5 units in the last place, near 0 too.
func Expm1(x float64) float64 {
	if math.Abs(x) < math.Ln2/2 {
		return expm1(x)
	}
	return Exp(x) - 1
}

// expm1 returns e^r - 1 for |r| ≤ ln 2 / 2, by Taylor's series.
func expm1(r float64) float64 {
	p := 1.0 / 87178291200
	p = float64(p*r) + 1.0/6227020800
	p = float64(p*r) + 1.0/479001600
	p = float64(p*r) + 1.0/39916800
	p = float64(p*r) + 1.0/3628800
	p = float64(p*r) + 1.0/362880
	p = float64(p*r) + 1.0/40320
	p = float64(p*r) + 1.0/5040
	p = float64(p*r) + 1.0/720
	p = float64(p*r) + 1.0/120
	p = float64(p*r) + 1.0/24
	p = float64(p*r) + 1.0/6
	p = float64(p*r) + 1.0/2
	return r + float64(float64(r*r)*p)
}

// Log returns the natural logarithm within 4e-16 of max(1, |ln x|), and what
// [math.Log] does where there is none: x = 2^e·f with f near 1 and
// ln f = 2 artanh((f-1)/(f+1)).
func Log(x float64) float64 {
	if !(x > 0 && x <= math.MaxFloat64) {
		return math.Log(x)
	}
	f, e := math.Frexp(x)
	if f < math.Sqrt2/2 {
		f *= 2
		e--
	}
	s := (f - 1) / (f + 1)
	q := float64(s * s)
	sum := 0.0
	for i := 25; i >= 1; i -= 2 {
		sum = float64(sum*q) + 1/float64(i)
	}
	return float64(float64(e)*math.Ln2) + float64(2*s*sum)
}

// Pow returns x^y of a positive x, as e^(y ln x): exact to some
// 2 + |y ln x| units in the last place.
func Pow(x, y float64) float64 { return Exp(y * Log(x)) }

// Sincos returns sine and cosine of x within 2^-52, for |x| < 2^25.
func Sincos(x float64) (sin, cos float64) {
	// Products of the first two parts of π/2 with n are exact.
	const p1, p2, p3 = 0x1.921fb54p0, 0x1.10b4610p-30, 0x1.a62633145c06ep-58
	n := math.RoundToEven(x * (2 / math.Pi))
	r := x - float64(n*p1) - float64(n*p2) - float64(n*p3)
	q := float64(r * r)

	s := 1.0 / 355687428096000
	s = float64(s*q) - 1.0/1307674368000
	s = float64(s*q) + 1.0/6227020800
	s = float64(s*q) - 1.0/39916800
	s = float64(s*q) + 1.0/362880
	s = float64(s*q) - 1.0/5040
	s = float64(s*q) + 1.0/120
	s = float64(s*q) - 1.0/6
	s = r + float64(float64(s*q)*r)

	c := 1.0 / 20922789888000
	c = float64(c*q) - 1.0/87178291200
	c = float64(c*q) + 1.0/479001600
	c = float64(c*q) - 1.0/3628800
	c = float64(c*q) + 1.0/40320
	c = float64(c*q) - 1.0/720
	c = float64(c*q) + 1.0/24
	c = float64(c*q) - 1.0/2
	c = 1 + float64(c*q)

	switch int64(n) & 3 {
	case 0:
		return s, c
	case 1:
		return c, -s
	case 2:
		return -s, -c
	default:
		return -c, s
	}
}
