package expr

import "math/big"

// A value is what an expression evaluates to: a rational exactly, an infinity,
// or a complex number as a ball for each part.
type value struct {
	rat      *big.Rat
	infinite int // sign of an infinity
	re, im   ball
	complex  bool // im counts
}

const (
	maxBits  = 1 << 14 // of an exact number; larger ones are rounded
	maxWhole = 1 << 12 // exponent up to which powers are multiplied out
)

// calculator evaluates expressions at one precision.
type calculator struct {
	w       *Work
	f       field
	complex bool // roots and logarithms of negatives have their principal value
	rounded bool // an exact number was too large and became a ball
	point   point
	degrees bool                // evaluating the argument of a trigonometric function
	bound   map[string]*big.Rat // values of the indices of sums
}

func (c *calculator) exact(r *big.Rat) (value, error) {
	bits := r.Num().BitLen() + r.Denom().BitLen()
	if err := c.w.Spend(1 + bits/64); err != nil {
		return value{}, err
	}
	if bits > maxBits {
		c.rounded = true
		return value{re: c.f.rat(r)}, nil
	}
	return value{rat: r}, nil
}

func whole(n int64) value { return value{rat: new(big.Rat).SetInt64(n)} }

// parts returns v as balls.
func (c *calculator) parts(v value) (re, im ball) {
	if v.rat != nil {
		return c.f.rat(v.rat), ball{x: newFloat(c.f.prec)}
	}
	if !v.complex {
		return v.re, ball{x: newFloat(c.f.prec)}
	}
	return v.re, v.im
}

func isZero(v value) bool {
	if v.rat != nil {
		return v.rat.Sign() == 0
	}
	return v.infinite == 0 && v.re.holdsZero() && (!v.complex || v.im.holdsZero())
}

func (c *calculator) neg(v value) value {
	switch {
	case v.rat != nil:
		return value{rat: new(big.Rat).Neg(v.rat)}
	case v.infinite != 0:
		return value{infinite: -v.infinite}
	}
	out := value{re: c.f.neg(v.re), complex: v.complex}
	if v.complex {
		out.im = c.f.neg(v.im)
	}
	return out
}

func (c *calculator) add(a, b value) (value, error) {
	if err := c.w.Spend(2); err != nil {
		return value{}, err
	}
	if a.rat != nil && b.rat != nil {
		return c.exact(new(big.Rat).Add(a.rat, b.rat))
	}
	if a.infinite != 0 || b.infinite != 0 {
		switch {
		case a.infinite == 0:
			return b, nil
		case b.infinite == 0 || a.infinite == b.infinite:
			return a, nil
		}
		return value{}, errUndefined
	}
	if a.rat != nil && a.rat.Sign() == 0 {
		return b, nil
	}
	if b.rat != nil && b.rat.Sign() == 0 {
		return a, nil
	}
	ar, ai := c.parts(a)
	br, bi := c.parts(b)
	out := value{re: c.f.add(ar, br), complex: a.complex || b.complex}
	if out.complex {
		out.im = c.f.add(ai, bi)
	}
	return out, nil
}

func (c *calculator) mul(a, b value) (value, error) {
	if err := c.w.Spend(2); err != nil {
		return value{}, err
	}
	if a.rat != nil && b.rat != nil {
		return c.exact(new(big.Rat).Mul(a.rat, b.rat))
	}
	if a.infinite != 0 || b.infinite != 0 {
		return c.infiniteProduct(a, b)
	}
	if a.rat != nil && a.rat.Sign() == 0 || b.rat != nil && b.rat.Sign() == 0 {
		return whole(0), nil
	}
	ar, ai := c.parts(a)
	br, bi := c.parts(b)
	if !a.complex && !b.complex {
		return value{re: c.f.mul(ar, br)}, nil
	}
	return value{
		re:      c.f.add(c.f.mul(ar, br), c.f.neg(c.f.mul(ai, bi))),
		im:      c.f.add(c.f.mul(ar, bi), c.f.mul(ai, br)),
		complex: true,
	}, nil
}

func (c *calculator) infiniteProduct(a, b value) (value, error) {
	sign := 1
	for _, v := range []value{a, b} {
		switch s, ok := signOf(v); {
		case v.infinite != 0:
			sign *= v.infinite
		case !ok || s == 0:
			return value{}, errUndefined
		default:
			sign *= s
		}
	}
	return value{infinite: sign}, nil
}

// signOf returns the sign of a real value; false if it is not certain.
func signOf(v value) (int, bool) {
	switch {
	case v.rat != nil:
		return v.rat.Sign(), true
	case v.infinite != 0:
		return v.infinite, true
	case v.complex && !v.im.holdsZero():
		return 0, false
	case v.re.holdsZero():
		return 0, true
	}
	return v.re.x.Sign(), true
}

func (c *calculator) inverse(v value) (value, error) {
	if err := c.w.Spend(2); err != nil {
		return value{}, err
	}
	switch {
	case isZero(v):
		return value{}, errUndefined
	case v.infinite != 0:
		return whole(0), nil
	case v.rat != nil:
		return value{rat: new(big.Rat).Inv(v.rat)}, nil
	}
	one := c.f.rat(big.NewRat(1, 1))
	if !v.complex {
		q, ok := c.f.quo(one, v.re)
		if !ok {
			return value{}, errUndefined
		}
		return value{re: q}, nil
	}
	n := c.f.add(c.f.mul(v.re, v.re), c.f.mul(v.im, v.im))
	re, ok1 := c.f.quo(v.re, n)
	im, ok2 := c.f.quo(c.f.neg(v.im), n)
	if !ok1 || !ok2 {
		return value{}, errUndefined
	}
	return value{re: re, im: im, complex: true}, nil
}

func (c *calculator) quo(a, b value) (value, error) {
	inv, err := c.inverse(b)
	if err != nil {
		return value{}, err
	}
	return c.mul(a, inv)
}

// asReal drops an imaginary part that is 0 as far as known.
func asReal(v value) (value, bool) {
	if !v.complex {
		return v, v.infinite == 0
	}
	return value{re: v.re}, v.im.holdsZero()
}

// transcendental counts the steps of a function that is not elementary arithmetic.
func (c *calculator) transcendental() error { return c.w.Spend(int(c.f.prec) / 4) }

func (c *calculator) exp(v value) (value, error) {
	if err := c.transcendental(); err != nil {
		return value{}, err
	}
	switch {
	case v.infinite < 0 || v.rat != nil && v.rat.Sign() == 0:
		return whole(int64(1 + min(v.infinite, 0))), nil
	case v.infinite > 0:
		return v, nil
	}
	re, im := c.parts(v)
	e, ok := c.f.exp(re)
	if !ok {
		return value{}, ErrLimit
	}
	if !v.complex {
		return value{re: e}, nil
	}
	s, co, ok := c.f.sinCos(im)
	if !ok {
		return value{}, ErrLimit
	}
	return value{re: c.f.mul(e, co), im: c.f.mul(e, s), complex: true}, nil
}

func (c *calculator) log(v value) (value, error) {
	if err := c.transcendental(); err != nil {
		return value{}, err
	}
	switch {
	case isZero(v):
		return value{}, errUndefined
	case v.infinite > 0:
		return v, nil
	case v.infinite < 0:
		return value{}, errUndefined
	case v.rat != nil && v.rat.IsInt() && v.rat.Num().IsInt64() && v.rat.Num().Int64() == 1:
		return whole(0), nil
	}
	re, im := c.parts(v)
	if !v.complex {
		if l, ok := c.f.log(re); ok {
			return value{re: l}, nil
		}
		if !c.complex {
			return value{}, errUndefined
		}
	}
	n := c.f.add(c.f.mul(re, re), c.f.mul(im, im))
	l, ok := c.f.log(n)
	if !ok {
		return value{}, errUndefined
	}
	arg, err := c.arg(re, im)
	if err != nil {
		return value{}, err
	}
	return value{re: c.f.mul(l, c.f.rat(big.NewRat(1, 2))), im: arg, complex: true}, nil
}

// arg is the angle of re + i im, in (-pi, pi].
func (c *calculator) arg(re, im ball) (ball, error) {
	if im.holdsZero() && !re.holdsZero() {
		if re.x.Sign() > 0 {
			return ball{newFloat(c.f.prec), im.above().over(re.below())}, nil
		}
		pi := c.f.pi()
		pi.r = pi.r.plus(im.above().over(re.below()))
		return pi, nil
	}
	if re.holdsZero() { // near the imaginary axis: pi/2 - atan(re/im)
		q, ok := c.f.quo(re, im)
		if !ok {
			return ball{}, errUndefined
		}
		half := c.f.mul(c.f.pi(), c.f.rat(big.NewRat(int64(im.x.Sign()), 2)))
		return c.f.add(half, c.f.neg(c.f.atan(q))), nil
	}
	q, ok := c.f.quo(im, re)
	if !ok {
		return ball{}, errUndefined
	}
	a := c.f.atan(q)
	if re.x.Sign() < 0 {
		pi := c.f.pi()
		if im.x.Sign() < 0 {
			pi = c.f.neg(pi)
		}
		a = c.f.add(a, pi)
	}
	return a, nil
}
