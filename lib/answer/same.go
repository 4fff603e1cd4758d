package answer

import (
	"math/big"
	"strings"
)

// same says whether two readings are the same answer.
func (m *machine) same(a, b value) bool {
	if !m.spend(1) {
		return false
	}
	if a.kind == isRelation || b.kind == isRelation {
		return m.sameRelation(a, b)
	}
	if len(a.alts) != len(b.alts) { // +- against a list
		if len(a.alts) == 2 {
			a = value{kind: isList, parts: spread(a)}
		}
		if len(b.alts) == 2 {
			b = value{kind: isList, parts: spread(b)}
		}
	}
	switch {
	case a.kind == isExpr && b.kind == isExpr:
		return m.sameExprs(a, b)
	case a.kind == isText && b.kind == isText:
		return a.text == b.text
	case a.kind == isText || b.kind == isText:
		return false
	case unordered(a) && unordered(b) && (a.kind == isUnion) == (b.kind == isUnion):
		return m.sameUnordered(m.distinct(a.parts), m.distinct(b.parts))
	case a.kind == b.kind && (a.kind == isTuple || a.kind == isMatrix) && a.open == b.open && a.close == b.close && len(a.parts) == len(b.parts):
		for i := range a.parts {
			if !m.same(a.parts[i], b.parts[i]) {
				return false
			}
		}
		return true
	}
	return false
}

func unordered(v value) bool { return v.kind == isList || v.kind == isSet || v.kind == isUnion }

// distinct leaves out solutions that are listed twice: tuples and equations. A
// number that comes twice, such as a digit, may mean something.
func (m *machine) distinct(parts []value) []value {
	var out []value
next:
	for _, p := range parts {
		if p.kind == isTuple || p.kind == isRelation {
			for _, q := range out {
				if m.same(p, q) {
					continue next
				}
			}
		}
		out = append(out, p)
	}
	return out
}

func (m *machine) sameUnordered(a, b []value) bool {
	if len(a) != len(b) {
		return false
	}
	used := make([]bool, len(b))
next:
	for _, x := range a {
		for j, y := range b {
			if !used[j] && m.same(x, y) {
				used[j] = true
				continue next
			}
		}
		return false
	}
	return true
}

func (m *machine) sameExprs(a, b value) bool {
	if len(a.alts) != len(b.alts) || a.unit != "" && b.unit != "" && a.unit != b.unit {
		return false
	}
	if len(a.alts) == 1 {
		return m.sameExpr(a.alts[0], b.alts[0])
	}
	return m.sameExpr(a.alts[0], b.alts[0]) && m.sameExpr(a.alts[1], b.alts[1]) || m.sameExpr(a.alts[0], b.alts[1]) && m.sameExpr(a.alts[1], b.alts[0])
}

func (m *machine) sameExpr(a, b expr) bool {
	if a.percent != b.percent {
		// "20 percent" is asked for as 20 and as 1/5.
		whole := func(e expr) expr { e.percent = false; return e }
		return m.sameValue(whole(a), whole(b)) || m.sameValue(a.plain(), b.plain())
	}
	a.percent, b.percent = false, false
	return m.sameValue(a, b)
}

func (m *machine) sameValue(a, b expr) bool {
	d, err := m.difference(a, b)
	if err == nil && len(d.num) == 0 {
		return true
	}
	if choice(a) != 0 && choice(a) == choice(b) {
		return true
	}
	return m.rounds(a, b) || m.rounds(b, a) || m.sameConstant(a, b)
}

// choice returns the letter of an answer of multiple choice, which may be
// written small; 0 for anything else.
func choice(e expr) byte {
	if len(e.num) != 1 || len(e.num[0].mono) != 1 || !e.den.equal(one) || e.num[0].coef.Cmp(big.NewRat(1, 1)) != 0 {
		return 0
	}
	f := e.num[0].mono[0]
	if len(f.atom) != 1 || f.num != 1 || f.den != 1 {
		return 0
	}
	if c := f.atom[0] | 0x20; 'a' <= c && c <= 'e' {
		return c
	}
	return 0
}

// sameRelation compares equations and inequalities, with each other or with
// the value that an equation gives to a name.
func (m *machine) sameRelation(a, b value) bool {
	if a.kind != isRelation || b.kind != isRelation {
		if b.kind == isRelation {
			a, b = b, a
		}
		if v, ok := given(a); ok {
			return m.same(v, b)
		}
		if v, ok := interval(a); ok {
			return m.same(v, b)
		}
		return false
	}
	if v, ok := given(a); ok {
		if w, ok := given(b); ok && m.same(a.parts[0], b.parts[0]) {
			return m.same(v, w)
		}
	}
	if len(a.rels) == 1 && len(b.rels) == 1 {
		return m.sameSimple(a, b)
	}
	return m.sameChain(a, b) || m.sameChain(a, turned(b))
}

// given returns what an equation says that a name is: 5 for x = 5, f(x) = 5,
// |AB| = 5, A:B = 5, (p,q) = 5 and x = 2+3 = 5, and for "in".
func given(v value) (value, bool) {
	for _, r := range v.rels {
		if r != "=" && r != "in" {
			return value{}, false
		}
	}
	last := v.parts[len(v.parts)-1]
	if len(v.parts) == 2 && v.rels[0] == "=" && constantValue(v.parts[0]) && named(last) { // 5 = x
		return v.parts[0], true
	}
	if !named(v.parts[0]) && !(len(v.parts) > 2 && named(v.parts[len(v.parts)-2])) {
		return value{}, false
	}
	return last, true
}

// constantValue says whether v is a number.
func constantValue(v value) bool {
	if v.kind != isExpr || len(v.alts) != 1 {
		return false
	}
	_, ok := rationalOf(v.alts[0])
	return ok
}

// named says whether v is a name and not something to solve for: variables,
// their products and quotients, absolute values and tuples, without numbers.
func named(v value) bool {
	if v.kind == isTuple {
		for _, p := range v.parts {
			if !named(p) {
				return false
			}
		}
		return true
	}
	if v.kind != isExpr || len(v.alts) != 1 {
		return false
	}
	e := v.alts[0]
	return len(e.num) == 1 && len(e.num[0].mono) > 0 && e.den.equal(one) && e.num[0].coef.Cmp(big.NewRat(1, 1)) == 0 && powersOfOne(e.num[0].mono)
}

func powersOfOne(mono []factor) bool {
	for _, f := range mono {
		if f.den != 1 || f.num != 1 && f.num != -1 {
			return false
		}
	}
	return true
}

// sameSimple compares two relations of two sides each.
func (m *machine) sameSimple(a, b value) bool {
	if strings.HasPrefix(a.rels[0], ">") {
		a = turned(a)
	}
	if strings.HasPrefix(b.rels[0], ">") {
		b = turned(b)
	}
	if a.rels[0] != b.rels[0] {
		return false
	}
	symmetric := a.rels[0] == "=" || a.rels[0] == "!="
	if m.same(a.parts[0], b.parts[0]) && m.same(a.parts[1], b.parts[1]) || symmetric && m.same(a.parts[0], b.parts[1]) && m.same(a.parts[1], b.parts[0]) {
		return true
	}
	p, ok1 := m.sides(a)
	q, ok2 := m.sides(b)
	if !ok1 || !ok2 || len(p) == 0 || len(p) != len(q) {
		return false
	}
	ratio := new(big.Rat).Quo(q[0].coef, p[0].coef)
	return p.scale(ratio).equal(q) && (symmetric || ratio.Sign() > 0)
}

// sides returns the numerator of left minus right. Only denominators without
// sign of their own, numbers, may be dropped.
func (m *machine) sides(v value) (poly, bool) {
	l, r := v.parts[0], v.parts[1]
	if l.kind != isExpr || r.kind != isExpr || len(l.alts) != 1 || len(r.alts) != 1 {
		return nil, false
	}
	d, err := m.difference(l.alts[0], r.alts[0])
	if err != nil || !d.den.equal(one) {
		return nil, false
	}
	return d.num, true
}

func flipped(rel string) string {
	switch rel {
	case "<":
		return ">"
	case "<=":
		return ">="
	case ">":
		return "<"
	case ">=":
		return "<="
	}
	return rel
}

// turned is the relation read from the right.
func turned(v value) value {
	out := value{kind: isRelation}
	for i := len(v.parts) - 1; i >= 0; i-- {
		out.parts = append(out.parts, v.parts[i])
	}
	for i := len(v.rels) - 1; i >= 0; i-- {
		out.rels = append(out.rels, flipped(v.rels[i]))
	}
	return out
}

func (m *machine) sameChain(a, b value) bool {
	if len(a.rels) != len(b.rels) {
		return false
	}
	for i, r := range a.rels {
		if r != b.rels[i] {
			return false
		}
	}
	for i, p := range a.parts {
		if !m.same(p, b.parts[i]) {
			return false
		}
	}
	return true
}

// interval returns the interval that a name between two bounds lies in.
func interval(v value) (value, bool) {
	if len(v.rels) != 2 || !named(v.parts[1]) {
		return value{}, false
	}
	if strings.HasPrefix(v.rels[0], ">") {
		v = turned(v)
	}
	open, ok1 := map[string]byte{"<": '(', "<=": '['}[v.rels[0]]
	end, ok2 := map[string]byte{"<": ')', "<=": ']'}[v.rels[1]]
	return value{kind: isTuple, open: open, close: end, parts: []value{v.parts[0], v.parts[2]}}, ok1 && ok2
}
