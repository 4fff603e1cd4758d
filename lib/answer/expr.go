package answer

import "math/big"

// An expr is a quotient of polys. The denominator is 1 or has several terms.
type expr struct {
	num, den poly
	places   int  // decimal places, where it was written as a decimal; else 0
	percent  bool // it was written with a percent sign, which is not in num
}

var one = integer(1)

func exprOf(p poly) expr { return expr{num: p, den: one} }

// plain returns e without the marks of how it was written.
func (e expr) plain() expr {
	if e.percent {
		return expr{num: e.num.scale(big.NewRat(1, 100)), den: e.den}
	}
	return expr{num: e.num, den: e.den}
}

func (m *machine) quotient(num, den poly) (expr, error) {
	switch {
	case len(den) == 0:
		return expr{}, errSyntax // a division by zero is no value
	case len(num) == 0:
		return exprOf(nil), nil
	case len(den) > 1:
		if num.equal(den) {
			return exprOf(one), nil
		}
		// A rational factor goes to the numerator, so that den has a canonical form.
		lead := new(big.Rat).Inv(den[0].coef)
		return expr{num: num.scale(lead), den: den.scale(lead)}, nil
	}
	inverse := make([]factor, len(den[0].mono))
	for i, f := range den[0].mono {
		inverse[i] = factor{f.atom, -f.num, f.den}
	}
	p, err := m.reduce(new(big.Rat).Inv(den[0].coef), inverse, nil)
	if err != nil {
		return expr{}, err
	}
	if num, err = m.mul(num, p); err != nil {
		return expr{}, err
	}
	return exprOf(num), nil
}

func (m *machine) sum(a, b expr) (expr, error) {
	a, b = a.plain(), b.plain()
	if a.den.equal(b.den) {
		num, err := m.add(a.num, b.num)
		if err != nil {
			return expr{}, err
		}
		return m.quotient(num, a.den)
	}
	x, err := m.mul(a.num, b.den)
	if err != nil {
		return expr{}, err
	}
	y, err := m.mul(b.num, a.den)
	if err != nil {
		return expr{}, err
	}
	num, err := m.add(x, y)
	if err != nil {
		return expr{}, err
	}
	den, err := m.mul(a.den, b.den)
	if err != nil {
		return expr{}, err
	}
	return m.quotient(num, den)
}

func (m *machine) neg(a expr) expr {
	a.num = a.num.scale(big.NewRat(-1, 1))
	return a
}

func (m *machine) difference(a, b expr) (expr, error) { return m.sum(a, m.neg(b)) }

func (m *machine) product(a, b expr) (expr, error) {
	a, b = a.plain(), b.plain()
	num, err := m.mul(a.num, b.num)
	if err != nil {
		return expr{}, err
	}
	den, err := m.mul(a.den, b.den)
	if err != nil {
		return expr{}, err
	}
	return m.quotient(num, den)
}

func (m *machine) divide(a, b expr) (expr, error) {
	b = b.plain()
	inv, err := m.quotient(b.den, b.num)
	if err != nil {
		return expr{}, err
	}
	return m.product(a, inv)
}

// power returns a^n.
func (m *machine) power(a expr, n int64) (expr, error) {
	a = a.plain()
	if n < 0 {
		var err error
		if a, err = m.quotient(a.den, a.num); err != nil {
			return expr{}, err
		}
		n = -n
	}
	if len(a.num) <= 1 && a.den.equal(one) {
		return m.monomialPower(a.num, big.NewRat(n, 1))
	}
	if n > 64 {
		return expr{}, errLimit
	}
	out := exprOf(one)
	for ; n > 0; n-- {
		var err error
		if out, err = m.product(out, a); err != nil {
			return expr{}, err
		}
	}
	return out, nil
}

// monomialPower raises a poly of at most one term to an integral power.
func (m *machine) monomialPower(p poly, r *big.Rat) (expr, error) {
	n, _, ok := exponent(r)
	if !ok {
		return expr{}, errLimit
	}
	if len(p) == 0 {
		if n == 0 {
			return expr{}, errSyntax // 0^0
		}
		return exprOf(nil), nil
	}
	coef, err := ratPow(p[0].coef, n)
	if err != nil {
		return expr{}, err
	}
	mono := make([]factor, 0, len(p[0].mono))
	for _, f := range p[0].mono {
		num, den, ok := exponent(new(big.Rat).Mul(big.NewRat(f.num, f.den), r))
		if !ok {
			return expr{}, errLimit
		}
		if num != 0 {
			mono = append(mono, factor{f.atom, num, den})
		}
	}
	q, err := m.reduce(coef, mono, nil)
	return exprOf(q), err
}

// raise returns a^b for any exponent.
func (m *machine) raise(a, b expr) (expr, error) {
	a, b = a.plain(), b.plain()
	r, ok := rationalOf(b)
	if !ok {
		return m.opaque("^", a, b)
	}
	if r.IsInt() {
		if !r.Num().IsInt64() {
			return expr{}, errLimit
		}
		return m.power(a, r.Num().Int64())
	}
	num, den, ok := exponent(r)
	if !ok {
		return expr{}, errLimit
	}
	root, err := m.root(a, den)
	if err != nil {
		return expr{}, err
	}
	return m.power(root, num)
}

func rationalOf(e expr) (*big.Rat, bool) {
	if !e.den.equal(one) {
		return nil, false
	}
	return e.num.rational()
}

// root returns the q-th root of a, the real one of an odd root of a negative.
func (m *machine) root(a expr, q int64) (expr, error) {
	a = a.plain()
	if !a.den.equal(one) {
		num, err := m.root(exprOf(a.num), q)
		if err != nil {
			return expr{}, err
		}
		den, err := m.root(exprOf(a.den), q)
		if err != nil {
			return expr{}, err
		}
		return m.divide(num, den)
	}
	switch len(a.num) {
	case 0:
		return a, nil
	case 1:
		return m.monomialRoot(a.num[0], q)
	}
	// The rational content comes out, so that sqrt(4x+4) is 2 sqrt(x+1).
	c := content(a.num)
	inside := exprOf(a.num.scale(new(big.Rat).Inv(c)))
	outside, err := m.monomialRoot(term{coef: c}, q)
	if err != nil {
		return expr{}, err
	}
	return m.product(outside, m.radical(inside, q))
}

// radical is the q-th root of e, kept as it is.
func (m *machine) radical(e expr, q int64) expr {
	name := "(" + e.num.text() + ")"
	if m.roots == nil {
		m.roots = map[string]expr{}
	}
	m.roots[name] = e
	mono := []factor{{name, 1, q}}
	return exprOf(poly{{coef: big.NewRat(1, 1), mono: mono, key: keyOf(mono)}})
}

// content is the positive rational c for which p/c has coprime integral
// coefficients.
func content(p poly) *big.Rat {
	num, den := new(big.Int), big.NewInt(1)
	for _, t := range p {
		num.GCD(nil, nil, num, new(big.Int).Abs(t.coef.Num()))
		g := new(big.Int).GCD(nil, nil, den, t.coef.Denom())
		den.Mul(den, new(big.Int).Div(t.coef.Denom(), g))
	}
	return new(big.Rat).SetFrac(num, den)
}

// monomialRoot returns the q-th root of a term. Variables may be negative, so
// sqrt(x^2) stays a root of its own; \pi and e may not.
func (m *machine) monomialRoot(t term, q int64) (expr, error) {
	out := exprOf(one)
	if t.coef.Sign() < 0 {
		switch {
		case q%2 == 1:
			out = exprOf(integer(-1))
		case q == 2:
			out = exprOf(variable("i"))
		default:
			return m.radical(exprOf(poly{t}), q), nil
		}
	}
	var roots, kept []factor
	for i, n := range []*big.Int{new(big.Int).Abs(t.coef.Num()), t.coef.Denom()} {
		sign := int64(1 - 2*i)
		primes, err := m.split(n)
		if err != nil {
			return expr{}, err
		}
		for _, p := range primes {
			num, den, ok := exponent(big.NewRat(sign*p.power, q))
			if !ok {
				return expr{}, errLimit
			}
			roots = append(roots, factor{"#" + p.base, num, den})
		}
	}
	for _, f := range t.mono {
		if f.atom != `\pi` && f.atom != "e" && f.atom[0] != '#' && f.den == 1 && f.num != 1 {
			kept = append(kept, f)
			continue
		}
		r := new(big.Rat).Mul(big.NewRat(f.num, f.den), big.NewRat(1, q))
		num, den, ok := exponent(r)
		if !ok {
			return expr{}, errLimit
		}
		roots = append(roots, factor{f.atom, num, den})
	}
	for _, f := range roots {
		p, err := m.reduce(big.NewRat(1, 1), []factor{f}, nil)
		if err != nil {
			return expr{}, err
		}
		if out, err = m.product(out, exprOf(p)); err != nil {
			return expr{}, err
		}
	}
	if len(kept) > 0 {
		return m.product(out, m.radical(exprOf(poly{{coef: big.NewRat(1, 1), mono: kept, key: keyOf(kept)}}), q))
	}
	return out, nil
}

// primePower is a factor of an integer: prime, or a cofactor without divisors
// below the bound of [machine.split].
type primePower struct {
	base  string
	power int64
}

// split factors n > 0 by division up to a small bound. What is left is a prime,
// the square of something, or one opaque factor.
func (m *machine) split(n *big.Int) ([]primePower, error) {
	if n.BitLen() > 256 {
		return nil, errLimit
	}
	const bound = 2000
	if !m.spend(bound / 8) {
		return nil, errLimit
	}
	var out []primePower
	rest := new(big.Int).Set(n)
	quo, rem := new(big.Int), new(big.Int)
	for d := int64(2); d < bound && rest.Cmp(big.NewInt(1)) > 0; d++ {
		if rest.IsInt64() && rest.Int64() < d*d {
			break // rest is prime
		}
		var k int64
		for div := big.NewInt(d); ; k++ {
			if quo.QuoRem(rest, div, rem); rem.Sign() != 0 {
				break
			}
			rest.Set(quo)
		}
		if k > 0 {
			out = append(out, primePower{big.NewInt(d).String(), k})
		}
	}
	if rest.Cmp(big.NewInt(1)) > 0 {
		base, power := rest, int64(1)
		if r := new(big.Int).Sqrt(rest); new(big.Int).Mul(r, r).Cmp(rest) == 0 {
			base, power = r, 2
		}
		out = append(out, primePower{base.String(), power})
	}
	return out, nil
}

// opaque makes an atom of what has no rule of its own.
func (m *machine) opaque(name string, args ...expr) (expr, error) {
	text := name + "("
	for i, a := range args {
		if i > 0 {
			text += ";"
		}
		text += a.text()
	}
	if !m.spend(len(text)) {
		return expr{}, errLimit
	}
	return exprOf(variable(text + ")")), nil
}

func (e expr) text() string {
	s := e.num.text()
	if !e.den.equal(one) {
		s += " / " + e.den.text()
	}
	if e.percent {
		s += " %"
	}
	return s
}
