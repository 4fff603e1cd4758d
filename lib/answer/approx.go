package answer

import (
	"math"
	"math/big"
)

// precision of approximations, in bits.
const precision = 300

func number(digits string) *big.Float {
	f, _, err := big.ParseFloat(digits, 10, precision, big.ToNearestEven)
	if err != nil {
		panic("answer: " + err.Error())
	}
	return f
}

var constants = map[string]*big.Float{
	`\pi`: number("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211706798214808651"),
	"e":   number("2.71828182845904523536028747135266249775724709369995957496696762772407663035354759457138217852516642742746639193"),
}

// approx returns the value of a real constant; false for anything else.
func (m *machine) approx(e expr) (*big.Float, bool) {
	e = e.plain()
	num, ok1 := m.approxPoly(e.num)
	den, ok2 := m.approxPoly(e.den)
	if !ok1 || !ok2 || den.Sign() == 0 {
		return nil, false
	}
	return num.Quo(num, den), true
}

func (m *machine) approxPoly(p poly) (*big.Float, bool) {
	sum := newFloat()
	for _, t := range p {
		v := newFloat().SetRat(t.coef)
		for _, f := range t.mono {
			if !m.spend(200) {
				return nil, false
			}
			base, ok := m.approxAtom(f.atom)
			if !ok {
				return nil, false
			}
			if base, ok = floatPow(base, f.num, f.den); !ok {
				return nil, false
			}
			v.Mul(v, base)
		}
		sum.Add(sum, v)
	}
	return sum, true
}

func newFloat() *big.Float { return new(big.Float).SetPrec(precision) }

func (m *machine) approxAtom(atom string) (*big.Float, bool) {
	if c, ok := constants[atom]; ok {
		return c, true
	}
	switch atom[0] {
	case '#':
		return number(atom[1:]), true
	case '(':
		return m.approx(m.roots[atom])
	}
	return nil, false
}

// floatPow returns x^(n/d) for x > 0.
func floatPow(x *big.Float, n, d int64) (*big.Float, bool) {
	const most = 64
	if x.Sign() <= 0 || max(n, -n) > most || d > most {
		return nil, false
	}
	y, ok := floatRoot(x, d)
	if !ok {
		return nil, false
	}
	out := newFloat().SetInt64(1)
	for range max(n, -n) {
		out.Mul(out, y)
	}
	if n < 0 {
		out.Quo(newFloat().SetInt64(1), out)
	}
	return out, true
}

// floatRoot returns the d-th root of x > 0 by Newton's method, from a start that
// float64 gives; false where float64 does not hold x.
func floatRoot(x *big.Float, d int64) (*big.Float, bool) {
	switch d {
	case 1:
		return x, true
	case 2:
		return newFloat().Sqrt(x), true
	}
	start, _ := x.Float64()
	start = math.Pow(start, 1/float64(d))
	if start == 0 || math.IsInf(start, 0) {
		return nil, false
	}
	y := newFloat().SetFloat64(start)
	for range 4 { // 50 bits doubled four times
		p := newFloat().SetInt64(1)
		for range d - 1 {
			p.Mul(p, y)
		}
		// y = ((d-1) y + x/y^(d-1)) / d
		q := newFloat().Quo(x, p)
		y.Mul(y, newFloat().SetInt64(d-1))
		y.Add(y, q)
		y.Quo(y, newFloat().SetInt64(d))
	}
	return y, true
}

// Rounding: a decimal with at least minPlaces places and minDigits significant
// digits is the same as a finer value that rounds to it.
const (
	minPlaces = 4
	minDigits = 4
)

// rounds says whether the decimal d is what e rounds to.
func (m *machine) rounds(d, e expr) bool {
	r, ok := rationalOf(d)
	if !ok || d.places < minPlaces || e.places != 0 && e.places <= d.places {
		return false
	}
	unit := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.places)), nil))
	if least := big.NewRat(int64(math.Pow10(minDigits-1)), 1); new(big.Rat).Abs(new(big.Rat).Mul(r, unit)).Cmp(least) < 0 {
		return false
	}
	half := new(big.Rat).Mul(big.NewRat(1, 2), new(big.Rat).Inv(unit))
	v, ok := m.approx(expr{num: e.num, den: e.den})
	if !ok {
		return false
	}
	exact, _ := v.Rat(nil)
	if x, ok := rationalOf(expr{num: e.num, den: e.den}); ok {
		exact = x
	}
	gap := new(big.Rat).Sub(exact, r)
	return gap.Abs(gap).Cmp(half) <= 0
}

// sameConstant says whether two real constants agree to all digits computed,
// far more than different answers of this size could share.
func (m *machine) sameConstant(a, b expr) bool {
	x, ok1 := m.approx(a)
	y, ok2 := m.approx(b)
	if !ok1 || !ok2 {
		return false
	}
	gap := newFloat().Sub(x, y)
	bound := newFloat().SetMantExp(newFloat().Abs(x), -200)
	return gap.Abs(gap).Cmp(bound) <= 0
}
