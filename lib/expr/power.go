package expr

import "math/big"

// sqrt is the square root: exact where it can be, the principal one of complex
// numbers, undefined for negatives in the reals.
func (c *calculator) sqrt(v value) (value, error) {
	if err := c.w.Spend(4); err != nil {
		return value{}, err
	}
	if v.infinite > 0 {
		return v, nil
	}
	if v.infinite < 0 {
		return value{}, errUndefined
	}
	if v.rat != nil {
		if r, ok := rationalRoot(v.rat, 2); ok {
			return value{rat: r}, nil
		}
	}
	if v.complex {
		l, err := c.log(v)
		if err != nil {
			return value{}, err
		}
		if l, err = c.mul(l, value{rat: big.NewRat(1, 2)}); err != nil {
			return value{}, err
		}
		return c.exp(l)
	}
	re, _ := c.parts(v)
	if r, ok := c.f.sqrt(re); ok {
		return value{re: r}, nil
	}
	if !c.complex {
		return value{}, errUndefined
	}
	r, _ := c.f.sqrt(c.f.neg(re))
	return value{re: ball{x: newFloat(c.f.prec)}, im: r, complex: true}, nil
}

// rationalRoot returns the q-th root of r >= 0 where it is rational.
func rationalRoot(r *big.Rat, q int64) (*big.Rat, bool) {
	if r.Sign() < 0 {
		return nil, false
	}
	num, ok := integerRoot(r.Num(), q)
	if !ok {
		return nil, false
	}
	den, ok := integerRoot(r.Denom(), q)
	if !ok {
		return nil, false
	}
	return new(big.Rat).SetFrac(num, den), true
}

func integerRoot(n *big.Int, q int64) (*big.Int, bool) {
	if n.Sign() == 0 || n.IsInt64() && n.Int64() == 1 {
		return n, true
	}
	if int64(n.BitLen()) <= q { // between 1 and 2
		return nil, false
	}
	var r *big.Int
	if q == 2 {
		r = new(big.Int).Sqrt(n)
	} else {
		// Newton's method from above
		r = new(big.Int).Lsh(big.NewInt(1), uint((int64(n.BitLen())+q-1)/q))
		for {
			p := new(big.Int).Exp(r, big.NewInt(q-1), nil)
			next := new(big.Int).Mul(r, big.NewInt(q-1))
			next.Add(next, p.Quo(n, p))
			next.Quo(next, big.NewInt(q))
			if next.Cmp(r) >= 0 {
				break
			}
			r = next
		}
	}
	if new(big.Int).Exp(r, big.NewInt(q), nil).Cmp(n) != 0 {
		return nil, false
	}
	return r, true
}

// pow returns a^b. A negative has the real root of an odd degree where constant
// says that the exponent holds no variable.
func (c *calculator) pow(a, b value, constant bool) (value, error) {
	switch {
	case a.infinite != 0 || b.infinite != 0:
		return value{}, errUndefined
	case b.rat != nil && b.rat.IsInt():
		return c.wholePower(a, b.rat.Num())
	case isZero(a):
		if s, ok := signOf(b); !ok || s <= 0 {
			return value{}, errUndefined
		}
		return whole(0), nil
	}
	if b.rat != nil && b.rat.Denom().IsInt64() {
		q := b.rat.Denom().Int64()
		if q == 2 {
			r, err := c.sqrt(a)
			if err != nil {
				return value{}, err
			}
			return c.wholePower(r, b.rat.Num())
		}
		if s, ok := signOf(a); ok && s < 0 && q%2 == 1 && constant {
			r, err := c.pow(c.neg(a), b, constant)
			if err == nil && b.rat.Num().Bit(0) == 1 {
				r = c.neg(r)
			}
			return r, err
		}
		const mostRoot = 64
		if a.rat != nil && q <= mostRoot {
			if r, ok := rationalRoot(a.rat, q); ok {
				return c.wholePower(value{rat: r}, b.rat.Num())
			}
		}
	}
	l, err := c.log(a)
	if err != nil {
		return value{}, err
	}
	if l, err = c.mul(l, b); err != nil {
		return value{}, err
	}
	return c.exp(l)
}

func (c *calculator) wholePower(a value, e *big.Int) (value, error) {
	if !e.IsInt64() {
		if a.rat != nil && a.rat.IsInt() && a.rat.Num().IsInt64() && a.rat.Num().Int64() == 1 {
			return a, nil
		}
		return value{}, ErrLimit
	}
	n := e.Int64()
	if isZero(a) && n <= 0 { // 0^0 among them
		return value{}, errUndefined
	}
	if n < 0 {
		inv, err := c.inverse(a)
		if err != nil {
			return value{}, err
		}
		a, n = inv, -n
	}
	if a.rat != nil {
		bits := int64(a.rat.Num().BitLen() + a.rat.Denom().BitLen())
		if bits <= 2 { // 0, 1 and -1
			if n%2 == 0 {
				n = min(n, 2)
			} else {
				n = 1
			}
		}
		if n < maxBits && bits*n <= maxBits {
			e := big.NewInt(n)
			return c.exact(new(big.Rat).SetFrac(new(big.Int).Exp(a.rat.Num(), e, nil), new(big.Int).Exp(a.rat.Denom(), e, nil)))
		}
		c.rounded = true
	}
	if n > maxWhole {
		return c.largePower(a, n)
	}
	out := whole(1)
	for square := a; n > 0; n >>= 1 {
		var err error
		if n&1 == 1 {
			if out, err = c.mul(out, square); err != nil {
				return value{}, err
			}
		}
		if n > 1 {
			if square, err = c.mul(square, square); err != nil {
				return value{}, err
			}
		}
	}
	return out, nil
}

// largePower goes through logarithms.
func (c *calculator) largePower(a value, n int64) (value, error) {
	s, ok := signOf(a)
	if !ok {
		return value{}, ErrLimit
	}
	if s < 0 {
		a = c.neg(a)
	}
	l, err := c.log(a)
	if err != nil {
		return value{}, err
	}
	if l, err = c.mul(l, whole(n)); err != nil {
		return value{}, err
	}
	out, err := c.exp(l)
	if err == nil && s < 0 && n%2 == 1 {
		out = c.neg(out)
	}
	return out, err
}
