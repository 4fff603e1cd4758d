package expr

import (
	"math"
	"math/big"
)

// A mag is an upper bound m 2^e of something not negative: m is 0 or in [1/2, 1).
type mag struct {
	m float64
	e int
}

// magOf rounds m 2^e up.
func magOf(m float64, e int) mag {
	if m == 0 {
		return mag{}
	}
	f, x := math.Frexp(m * (1 + 1e-12))
	return mag{f, e + x}
}

func (a mag) plus(b mag) mag {
	if a.m == 0 || b.m != 0 && a.e < b.e {
		a, b = b, a
	}
	if b.m == 0 {
		return a
	}
	return magOf(a.m+math.Ldexp(b.m, max(b.e-a.e, -60)), a.e)
}

func (a mag) times(b mag) mag { return magOf(a.m*b.m, a.e+b.e) }

// over returns a / b for b > 0, where b is a lower bound.
func (a mag) over(b mag) mag { return magOf(a.m/b.m, a.e-b.e) }

func (a mag) less(b mag) bool {
	if a.m == 0 || b.m == 0 {
		return a.m < b.m
	}
	return a.e < b.e || a.e == b.e && a.m < b.m
}

// sqrt rounds the square root up.
func (a mag) sqrt() mag {
	if a.e%2 != 0 {
		return magOf(math.Sqrt(a.m*2), (a.e-1)/2)
	}
	return magOf(math.Sqrt(a.m), a.e/2)
}

// A ball is the reals within r of x.
type ball struct {
	x *big.Float
	r mag
}

// size is an upper bound of |x|.
func size(x *big.Float) mag {
	if x.Sign() == 0 {
		return mag{}
	}
	var m big.Float
	e := x.MantExp(&m)
	f, _ := m.Float64()
	return magOf(math.Abs(f), e)
}

// below is a lower bound of the absolute values in b; 0 if b holds 0.
func (b ball) below() mag {
	s := size(b.x)
	if s.m == 0 || s.less(mag{b.r.m, b.r.e + 1}) { // within a factor of two: none
		return mag{}
	}
	d := math.Ldexp(b.r.m, max(b.r.e-s.e, -1000))
	f, e := math.Frexp((s.m - d) * (1 - 1e-9))
	return mag{f, s.e + e}
}

// above is an upper bound of the absolute values in b.
func (b ball) above() mag { return size(b.x).plus(b.r) }

func (b ball) holdsZero() bool { return b.below().m == 0 }

// name returns the first digits of b, the same for what cannot be told apart.
func (b ball) name() string {
	const bits = 100
	if b.holdsZero() {
		return "0"
	}
	return newFloat(bits).Set(b.x).Text('p', 0)
}

// A field does arithmetic with balls at one precision.
type field struct{ prec uint }

// ball returns x with radius r and the error of rounding to the precision.
func (f field) ball(x *big.Float, r mag) ball {
	if s := size(x); s.m != 0 {
		r = r.plus(mag{0.5, s.e - int(f.prec) + errorBits})
	}
	return ball{x, r}
}

func (f field) rat(r *big.Rat) ball {
	x := newFloat(f.prec)
	if r.IsInt() && r.Num().BitLen() <= int(f.prec) {
		return ball{x.SetInt(r.Num()), mag{}}
	}
	return f.ball(x.SetRat(r), mag{})
}

func (f field) add(a, b ball) ball { return f.ball(newFloat(f.prec).Add(a.x, b.x), a.r.plus(b.r)) }

func (f field) neg(a ball) ball { return ball{newFloat(f.prec).Neg(a.x), a.r} }

func (f field) mul(a, b ball) ball {
	r := size(a.x).times(b.r).plus(size(b.x).times(a.r)).plus(a.r.times(b.r))
	return f.ball(newFloat(f.prec).Mul(a.x, b.x), r)
}

// quo returns a / b; false if b holds 0.
func (f field) quo(a, b ball) (ball, bool) {
	low := b.below()
	if low.m == 0 {
		return ball{}, false
	}
	q := newFloat(f.prec).Quo(a.x, b.x)
	return f.ball(q, a.r.plus(size(q).times(b.r)).over(low)), true
}

// sqrt returns the root of the part of a that is not negative; false if there is none.
func (f field) sqrt(a ball) (ball, bool) {
	if low := a.below(); low.m == 0 {
		return ball{newFloat(f.prec), a.above().sqrt()}, true
	} else if a.x.Sign() < 0 {
		return ball{}, false
	} else {
		return f.ball(newFloat(f.prec).Sqrt(a.x), a.r.over(low.sqrt())), true
	}
}

const (
	maxExpBits = 21 // exponent of the largest argument of exp
	maxSinBits = 50 // and of sin
)

// exp returns e^a; false if it is too large or too uncertain.
func (f field) exp(a ball) (ball, bool) {
	if size(a.x).e > maxExpBits || a.r.e > 0 {
		return ball{}, false
	}
	y := expFloat(a.x, f.prec)
	return f.ball(y, size(y).times(a.r).times(mag{0.5, 2})), true // e^r - 1 < 2r for r < 1
}

// log returns ln a; false if a holds 0 or less.
func (f field) log(a ball) (ball, bool) {
	low := a.below()
	if low.m == 0 || a.x.Sign() < 0 {
		return ball{}, false
	}
	return f.ball(logFloat(a.x, f.prec), a.r.over(low).plus(mag{0.5, -int(f.prec)})), true
}

// sinCos returns sine and cosine; false if a is too large.
func (f field) sinCos(a ball) (sin, cos ball, ok bool) {
	if size(a.x).e > maxSinBits {
		return ball{}, ball{}, false
	}
	s, c := sinCosFloat(a.x, f.prec)
	r := a.r.plus(mag{0.5, -int(f.prec) + errorBits})
	return ball{s, r}, ball{c, r}, true
}

func (f field) atan(a ball) ball {
	return f.ball(atanFloat(a.x, f.prec), a.r)
}

func (f field) pi() ball { return f.ball(newFloat(f.prec).Set(piFloat()), mag{}) }
