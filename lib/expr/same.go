package expr

import (
	"errors"
	"math/big"
)

// Precisions in bits: of the first comparison, and of the one that confirms that
// constants are equal.
const (
	firstPrec = 256
	maxPrec   = 1024
)

// Same says whether two scalars are equal: as numbers, or as expressions in their
// variables wherever both have a real value (a complex one, where i occurs or
// constants need it). \log without a base is decimal. What has no value anywhere
// equals nothing. The error is [ErrLimit].
func Same(w *Work, a, b *Node) (bool, error) {
	if a.Kind == Number && b.Kind == Number {
		return a.Val.Cmp(b.Val) == 0, nil
	}
	r, err := ratio(w, a, b)
	return r.equal, err
}

// Proportional returns the sign of the constant c for which a = c b, 0 if there is
// none or it is not real.
func Proportional(w *Work, a, b *Node) (int, error) {
	r, err := ratio(w, a, b)
	return r.sign, err
}

// A likeness is how two expressions go together.
type likeness struct {
	equal bool
	sign  int // of the constant quotient
}

func ratio(w *Work, a, b *Node) (likeness, error) {
	both := node(Add, a, b)
	modes := []bool{false, true}
	if both.IsConstant() || both.Any(func(n *Node) bool { return n.Kind == Symbol && n.Name == "i" }) {
		modes = []bool{true}
	}
	for _, mode := range modes {
		r, decided, err := compare(w, a, b, calculator{w: w, f: field{firstPrec}, complex: mode})
		if err != nil || decided {
			return r, err
		}
	}
	return likeness{}, nil
}

// compare evaluates both at the points. decided says that there were enough of
// them or that they differ at one.
func compare(w *Work, a, b *Node, c calculator) (r likeness, decided bool, err error) {
	if a.IsConstant() && b.IsConstant() {
		return compareConstants(w, a, b, c)
	}
	wanted, tries := enough, len(points)+more
	step := func(n *Node) bool { return n.Kind == Call && stepped[n.Name] }
	if a.Any(step) || b.Any(step) {
		wanted, tries = enoughStep, len(points)+2*enoughStep
	}
	r = likeness{equal: true}
	var first *[2]value // where neither is 0
	agreed := 0
	var limit error
	for i := 0; i < tries && agreed < wanted; i++ {
		if i >= len(points) && wanted == enough && agreed >= least {
			break
		}
		c.point = pointAt(i)
		x, y, err := c.sides(a, b)
		if w.Left() < 0 {
			return likeness{}, true, ErrLimit
		}
		if err != nil {
			if !errors.Is(err, errUndefined) {
				limit = err
			}
			continue
		}
		if r.equal {
			same, err := c.equal(x, y)
			if err != nil {
				limit = err
				continue
			}
			r.equal = same
		}
		proportional := isZero(x) == isZero(y)
		if proportional && !isZero(x) {
			if first == nil {
				first = &[2]value{x, y}
				r.sign = quotientSign(x, y)
			} else if proportional, err = c.sameQuotient(*first, x, y); err != nil {
				return likeness{}, true, err
			}
		}
		if !proportional || r.sign == 0 && !r.equal {
			return likeness{}, true, nil
		}
		agreed++
	}
	switch {
	case agreed < least:
		return likeness{}, false, limit
	case c.rounded && r.equal:
		return likeness{}, true, ErrLimit // equal as far as digits were kept
	}
	return r, true, nil
}

// sides evaluates both; one that has no value decides, whatever the other is.
func (c *calculator) sides(a, b *Node) (x, y value, err error) {
	x, err1 := c.eval(a)
	y, err2 := c.eval(b)
	if errors.Is(err2, errUndefined) || err1 == nil {
		return x, y, err2
	}
	return x, y, err1
}

// compareConstants evaluates both once, and with more digits if they are equal.
func compareConstants(w *Work, a, b *Node, c calculator) (r likeness, decided bool, err error) {
	x, y, err := c.sides(a, b)
	if errors.Is(err, errUndefined) {
		return likeness{}, false, nil
	}
	if err != nil {
		return likeness{}, true, err
	}
	r.sign = quotientSign(x, y)
	if r.equal, err = c.equal(x, y); err != nil || !r.equal || x.rat != nil && y.rat != nil {
		return r, true, err
	}
	c.f = field{maxPrec}
	if x, y, err = c.sides(a, b); err != nil {
		return likeness{}, true, ErrLimit
	}
	if r.equal, err = c.equal(x, y); err == nil && r.equal && c.rounded {
		err = ErrLimit // equal as far as digits were kept
	}
	return r, true, err
}

// equal says whether two values cannot be told apart.
func (c *calculator) equal(a, b value) (bool, error) {
	if a.rat != nil && b.rat != nil {
		return a.rat.Cmp(b.rat) == 0, nil
	}
	if a.infinite != 0 || b.infinite != 0 {
		return a.infinite == b.infinite, nil
	}
	d, err := c.add(a, c.neg(b))
	if err != nil {
		return false, err
	}
	if !isZero(d) {
		return false, nil
	}
	// The digits that are known must be many.
	ar, ai := c.parts(a)
	scale := ar.above().plus(ai.above()).plus(mag{0.5, 1})
	dr, di := c.parts(d)
	if bound := (mag{scale.m, scale.e - int(c.f.prec)/3}); bound.less(dr.r.plus(di.r)) {
		return false, ErrLimit
	}
	return true, nil
}

// quotientSign is the sign of x/y where both are real, or both are imaginary, or
// the same for both parts; else 0.
func quotientSign(x, y value) int {
	s, ok1 := signOf(x)
	t, ok2 := signOf(y)
	if ok1 && ok2 {
		return s * t
	}
	return 0
}

// sameQuotient says whether x/y is first[0]/first[1].
func (c *calculator) sameQuotient(first [2]value, x, y value) (bool, error) {
	l, err := c.mul(first[0], y)
	if err != nil {
		return false, err
	}
	r, err := c.mul(first[1], x)
	if err != nil {
		return false, err
	}
	return c.equal(l, r)
}

// Sign returns the sign of a real constant; false if n is none.
func Sign(w *Work, n *Node) (int, bool) {
	v, ok := constantValue(w, n)
	if !ok {
		return 0, false
	}
	return signOf(v)
}

// Within says whether two real constants differ by at most tolerance, and by so
// much exactly where they are rational.
func Within(w *Work, a, b *Node, tolerance *big.Rat) bool {
	v, ok := constantValue(w, Difference(a, b))
	if !ok || v.infinite != 0 {
		return false
	}
	if v.rat != nil {
		return new(big.Rat).Abs(v.rat).Cmp(tolerance) <= 0
	}
	return newFloat(firstPrec).Abs(v.re.x).Cmp(newFloat(firstPrec).SetRat(tolerance)) <= 0
}

func constantValue(w *Work, n *Node) (value, bool) {
	if n.Kind == Number {
		return value{rat: n.Val}, true
	}
	if !n.IsConstant() || !n.IsScalar() {
		return value{}, false
	}
	c := calculator{w: w, f: field{firstPrec}, complex: true, point: points[0]}
	v, err := c.eval(n)
	if err != nil {
		return value{}, false
	}
	if v.infinite != 0 {
		return v, true
	}
	return asReal(v)
}
