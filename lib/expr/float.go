package expr

import (
	"math"
	"math/big"
	"sync"
)

// Elementary functions of big.Float. Each returns its value to about prec bits:
// the error is below one unit in place prec-errorBits.

// guard is what is added to the precision of intermediate results; errorBits is
// what the callers allow for.
const (
	guard     = 40
	errorBits = 4
)

func newFloat(prec uint) *big.Float { return new(big.Float).SetPrec(prec) }

func floatOf(n int64, prec uint) *big.Float { return newFloat(prec).SetInt64(n) }

// constantBits is the precision to which constants are kept.
const constantBits = maxPrec + 200

// piFloat is Machin's formula: pi = 16 atan(1/5) - 4 atan(1/239).
var piFloat = sync.OnceValue(func() *big.Float {
	a, b := arctanInverse(5), arctanInverse(239)
	a.Mul(a, floatOf(16, constantBits))
	return a.Sub(a, b.Mul(b, floatOf(4, constantBits)))
})

// ln2Float is 2 atanh(1/3).
var ln2Float = sync.OnceValue(func() *big.Float {
	sum := inverseSeries(3, 1)
	return sum.Mul(sum, floatOf(2, constantBits))
})

func arctanInverse(n int64) *big.Float { return inverseSeries(n, -1) }

// inverseSeries is the sum of sign^k / ((2k+1) n^(2k+1)).
func inverseSeries(n, sign int64) *big.Float {
	square := floatOf(sign*n*n, constantBits)
	power := newFloat(constantBits).Quo(floatOf(1, constantBits), floatOf(n, constantBits))
	sum := newFloat(constantBits)
	for k := int64(1); power.MantExp(nil) > -constantBits; k += 2 {
		sum.Add(sum, newFloat(constantBits).Quo(power, floatOf(k, constantBits)))
		power.Quo(power, square)
	}
	return sum
}

// nearest returns the integer next to x, for |x| < 2^62.
func nearest(x *big.Float) int64 {
	half := big.NewFloat(0.5)
	if x.Sign() < 0 {
		half.Neg(half)
	}
	n, _ := newFloat(x.Prec()).Add(x, half).Int64()
	return n
}

// expFloat returns e^x for |x| < 2^30: x is reduced by multiples of ln 2 and
// then by 2^halvings, and the series squared back.
func expFloat(x *big.Float, prec uint) *big.Float {
	const halvings = 8
	p := prec + guard + halvings
	k := nearest(newFloat(64).Quo(x, ln2Float()))
	r := newFloat(p+32).Mul(floatOf(k, 64), newFloat(p+32).Set(ln2Float()))
	r.Sub(x, r).SetPrec(p)
	if r.Sign() != 0 {
		r.SetMantExp(r, -halvings)
	}
	sum, t := floatOf(1, p), floatOf(1, p)
	for n := int64(1); t.Sign() != 0 && t.MantExp(nil) > -int(p); n++ {
		t.Mul(t, r)
		t.Quo(t, floatOf(n, p))
		sum.Add(sum, t)
	}
	for range halvings {
		sum.Mul(sum, sum)
	}
	return newFloat(prec).SetMantExp(sum, int(k))
}

// logFloat returns ln x for x > 0 by Halley's iteration on exp, which triples the
// digits that float64 gives.
func logFloat(x *big.Float, prec uint) *big.Float {
	p := prec + guard
	m := newFloat(p)
	k := x.MantExp(m)
	m.SetPrec(p)
	if m.Cmp(big.NewFloat(0.7)) < 0 {
		m.SetMantExp(m, 1)
		k--
	}
	f, _ := m.Float64()
	y := newFloat(p).SetFloat64(math.Log(f))
	for bits := uint(48); bits < p; bits *= 3 {
		e := expFloat(y, p)
		d := newFloat(p).Sub(m, e)
		d.Quo(d, e.Add(e, m))
		y.Add(y, d.Mul(d, floatOf(2, p)))
	}
	y.Add(y, newFloat(p).Mul(floatOf(int64(k), p), ln2Float()))
	return y.SetPrec(prec)
}

// sinCosFloat returns sin x and cos x for |x| < 2^60.
func sinCosFloat(x *big.Float, prec uint) (sin, cos *big.Float) {
	p := prec + guard
	half := newFloat(p + 64).Set(piFloat())
	half.SetMantExp(half, -1)
	k := nearest(newFloat(80).Quo(x, half))
	r := newFloat(p+64).Mul(floatOf(k, 64), half)
	r.Sub(x, r).SetPrec(p)
	square := newFloat(p).Mul(r, r)
	square.Neg(square)
	series := func(t *big.Float, n int64) *big.Float {
		sum := newFloat(p).Set(t)
		for ; t.Sign() != 0 && t.MantExp(nil) > -int(p); n += 2 {
			t.Mul(t, square)
			t.Quo(t, floatOf((n+1)*(n+2), p))
			sum.Add(sum, t)
		}
		return sum
	}
	s, c := series(newFloat(p).Set(r), 1), series(floatOf(1, p), 0)
	if k&1 == 1 {
		s, c = c, s.Neg(s)
	}
	if k&2 == 2 {
		s.Neg(s)
		c.Neg(c)
	}
	return s.SetPrec(prec), c.SetPrec(prec)
}

// atanFloat returns the arc tangent: for |x| > 1 from that of 1/x, the argument
// halved with x / (1 + sqrt(1 + x^2)).
func atanFloat(x *big.Float, prec uint) *big.Float {
	const halvings = 4
	p := prec + guard
	t := newFloat(p).Set(x)
	one := floatOf(1, p)
	large := newFloat(p).Abs(t).Cmp(one) > 0
	if large {
		t.Quo(one, t)
	}
	for range halvings {
		d := newFloat(p).Mul(t, t)
		d.Sqrt(d.Add(d, one))
		t.Quo(t, d.Add(d, one))
	}
	square := newFloat(p).Mul(t, t)
	square.Neg(square)
	sum := newFloat(p).Set(t)
	for n := int64(3); t.Sign() != 0 && t.MantExp(nil) > -int(p); n += 2 {
		t.Mul(t, square)
		sum.Add(sum, newFloat(p).Quo(t, floatOf(n, p)))
	}
	if sum.Sign() != 0 {
		sum.SetMantExp(sum, halvings)
	}
	if large {
		half := newFloat(p).Set(piFloat())
		half.SetMantExp(half, -1)
		if x.Sign() < 0 {
			half.Neg(half)
		}
		sum.Sub(half, sum)
	}
	return sum.SetPrec(prec)
}
