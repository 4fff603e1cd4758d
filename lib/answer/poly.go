package answer

import (
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// A poly is a sum of terms in a canonical form: terms in order of their keys,
// no two with equal keys, none with coefficient 0. The empty poly is 0. Two
// polys are equal as expressions if their terms are, as far as the rules for
// powers in [machine.reduce] go.
type poly []term

// A term is a rational times powers of atoms.
type term struct {
	coef *big.Rat
	mono []factor // in order of the atoms
	key  string   // of mono
}

// A factor is atom^(num/den) in lowest terms with den > 0 and num != 0.
//
// Atoms are variables ("x", "\alpha", "x_1"), "\pi", "e", "i" with i^2 = -1,
// prime-like integers under a radical ("#2", exponent between 0 and 1), and
// things known by their own text only: radicands of several terms "(1 + x)" and
// functions `\sin(x)`.
type factor struct {
	atom     string
	num, den int64
}

// limits of one poly
const (
	maxTerms = 400
	maxBits  = 4096 // of a numerator or denominator
	maxPower = 1 << 20
)

func constant(r *big.Rat) poly {
	if r.Sign() == 0 {
		return nil
	}
	return poly{{coef: r}}
}

func integer(n int64) poly { return constant(new(big.Rat).SetInt64(n)) }

func variable(atom string) poly {
	mono := []factor{{atom, 1, 1}}
	return poly{{coef: big.NewRat(1, 1), mono: mono, key: keyOf(mono)}}
}

func keyOf(mono []factor) string {
	var b strings.Builder
	for _, f := range mono {
		b.WriteString(f.atom)
		if f.num != 1 || f.den != 1 {
			b.WriteString("^" + strconv.FormatInt(f.num, 10))
			if f.den != 1 {
				b.WriteString("/" + strconv.FormatInt(f.den, 10))
			}
		}
		b.WriteByte(' ')
	}
	return b.String()
}

// text writes p in its canonical form.
func (p poly) text() string {
	if len(p) == 0 {
		return "0"
	}
	parts := make([]string, len(p))
	for i, t := range p {
		parts[i] = strings.TrimSpace(t.coef.RatString() + " " + t.key)
	}
	return strings.Join(parts, " + ")
}

func (p poly) equal(q poly) bool {
	return slices.EqualFunc(p, q, func(a, b term) bool { return a.key == b.key && a.coef.Cmp(b.coef) == 0 })
}

// rational returns p as a rational where it is one.
func (p poly) rational() (*big.Rat, bool) {
	switch {
	case len(p) == 0:
		return new(big.Rat), true
	case len(p) == 1 && len(p[0].mono) == 0:
		return p[0].coef, true
	}
	return nil, false
}

func (p poly) scale(r *big.Rat) poly {
	if r.Sign() == 0 {
		return nil
	}
	q := make(poly, len(p))
	for i, t := range p {
		q[i] = term{new(big.Rat).Mul(t.coef, r), t.mono, t.key}
	}
	return q
}

func (m *machine) add(p, q poly) (poly, error) {
	if !m.spend(len(p) + len(q)) {
		return nil, errLimit
	}
	out := make(poly, 0, len(p)+len(q))
	for len(p) > 0 || len(q) > 0 {
		switch {
		case len(q) == 0 || len(p) > 0 && p[0].key < q[0].key:
			out, p = append(out, p[0]), p[1:]
		case len(p) == 0 || q[0].key < p[0].key:
			out, q = append(out, q[0]), q[1:]
		default:
			if sum := new(big.Rat).Add(p[0].coef, q[0].coef); sum.Sign() != 0 {
				if !m.small(sum) {
					return nil, errLimit
				}
				out = append(out, term{sum, p[0].mono, p[0].key})
			}
			p, q = p[1:], q[1:]
		}
	}
	if len(out) > maxTerms {
		return nil, errLimit
	}
	return out, nil
}

// small counts the size of a result, a step for 64 bits, and says whether it is
// within the limit.
func (m *machine) small(r *big.Rat) bool {
	n := max(r.Num().BitLen(), r.Denom().BitLen())
	return n <= maxBits && m.spend(n/64)
}

func (m *machine) mul(p, q poly) (poly, error) {
	if p.equal(one) {
		return q, nil
	}
	if q.equal(one) {
		return p, nil
	}
	sums := map[string]term{}
	for _, s := range p {
		for _, t := range q {
			if !m.spend(1 + len(s.mono) + len(t.mono)) {
				return nil, errLimit
			}
			prod, err := m.reduce(new(big.Rat).Mul(s.coef, t.coef), s.mono, t.mono)
			if err != nil {
				return nil, err
			}
			for _, u := range prod {
				if have, ok := sums[u.key]; ok {
					u.coef = new(big.Rat).Add(have.coef, u.coef)
				}
				if !m.small(u.coef) {
					return nil, errLimit
				}
				sums[u.key] = u
			}
			if len(sums) > maxTerms {
				return nil, errLimit
			}
		}
	}
	out := make(poly, 0, len(sums))
	for _, t := range sums {
		if t.coef.Sign() != 0 {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b term) int { return strings.Compare(a.key, b.key) })
	return out, nil
}

// reduce returns coef times the product of two monomials in canonical form:
// i^2 is -1, integral powers of what stands under a radical are multiplied out.
func (m *machine) reduce(coef *big.Rat, a, b []factor) (poly, error) {
	mono, ok := joinFactors(a, b)
	if !ok {
		return nil, errLimit
	}
	kept := make([]factor, 0, len(mono))
	var out []poly // further factors with several terms
	for _, f := range mono {
		switch {
		case f.atom == "i" && f.den == 1:
			k := ((f.num % 4) + 4) % 4
			if k >= 2 {
				coef = new(big.Rat).Neg(coef)
			}
			if k%2 == 1 {
				kept = append(kept, factor{"i", 1, 1})
			}
		case f.atom[0] == '#':
			whole, rest := floorDiv(f.num, f.den)
			base, _ := new(big.Int).SetString(f.atom[1:], 10)
			p, err := ratPow(new(big.Rat).SetInt(base), whole)
			if err != nil {
				return nil, err
			}
			coef = new(big.Rat).Mul(coef, p)
			if !m.small(coef) {
				return nil, errLimit
			}
			if rest != 0 {
				kept = append(kept, factor{f.atom, rest, f.den})
			}
		case f.atom[0] == '(' && f.num >= f.den:
			whole, rest := floorDiv(f.num, f.den)
			e, err := m.power(m.roots[f.atom], whole)
			if err != nil {
				return nil, err
			}
			out = append(out, e.num) // radicands are kept with denominator 1
			if rest != 0 {
				kept = append(kept, factor{f.atom, rest, f.den})
			}
		default:
			kept = append(kept, f)
		}
	}
	if coef.Sign() == 0 {
		return nil, nil
	}
	p := poly{{coef: coef, mono: kept, key: keyOf(kept)}}
	for _, q := range out {
		var err error
		if p, err = m.mul(p, q); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func floorDiv(a, b int64) (q, r int64) {
	q, r = a/b, a%b
	if r < 0 {
		q, r = q-1, r+b
	}
	return q, r
}

// joinFactors multiplies two monomials; false if an exponent leaves its range.
func joinFactors(a, b []factor) ([]factor, bool) {
	out := make([]factor, 0, len(a)+len(b))
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].atom < b[0].atom:
			out, a = append(out, a[0]), a[1:]
		case len(a) == 0 || b[0].atom < a[0].atom:
			out, b = append(out, b[0]), b[1:]
		default:
			sum := new(big.Rat).Add(big.NewRat(a[0].num, a[0].den), big.NewRat(b[0].num, b[0].den))
			num, den, ok := exponent(sum)
			if !ok {
				return nil, false
			}
			if num != 0 {
				out = append(out, factor{a[0].atom, num, den})
			}
			a, b = a[1:], b[1:]
		}
	}
	return out, true
}

// exponent returns r as a fraction of small integers.
func exponent(r *big.Rat) (num, den int64, ok bool) {
	n, d := r.Num(), r.Denom()
	if !n.IsInt64() || !d.IsInt64() || n.Int64() > maxPower || n.Int64() < -maxPower || d.Int64() > maxPower {
		return 0, 0, false
	}
	return n.Int64(), d.Int64(), true
}

// ratPow returns r^n.
func ratPow(r *big.Rat, n int64) (*big.Rat, error) {
	size := int64(max(r.Num().BitLen(), r.Denom().BitLen()))
	abs := max(n, -n)
	if abs > maxPower || size > 1 && size*abs > maxBits {
		return nil, errLimit
	}
	if n < 0 && r.Sign() == 0 {
		return nil, errSyntax
	}
	e := big.NewInt(abs)
	num, den := new(big.Int).Exp(r.Num(), e, nil), new(big.Int).Exp(r.Denom(), e, nil)
	if n < 0 {
		num, den = den, num
	}
	return new(big.Rat).SetFrac(num, den), nil
}
