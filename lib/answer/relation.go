package answer

import (
	"strings"

	"srar/lib/expr"
)

// sameGiven compares a relation with something else: the value that it gives to a
// name, or the set of reals that it describes.
func (c *comparer) sameGiven(relation, other *expr.Node) bool {
	if v, ok := c.given(relation); ok {
		return c.same(v, other)
	}
	return c.sameReals(relation, other)
}

// given returns what an equation says that a name is: 5 for x = 5, f(x) = 5,
// |AB| = 5, A:B = 5, (p,q) = 5, x = 2+3 = 5 and sqrt(25) = 5, and for "in".
func (c *comparer) given(n *expr.Node) (*expr.Node, bool) {
	sides := n.Args
	for i, r := range n.Rels {
		switch {
		case r == "=" || r == "in":
		case r == "equiv" && i == 0 && len(n.Rels) <= 2:
		case r == "mod" && i == 1 && len(n.Rels) == 2: // x = 3 (mod 7)
			sides = sides[:2]
		default:
			return nil, false
		}
	}
	last := sides[len(sides)-1]
	if len(sides) == 2 && n.Rels[0] == "=" && sides[0].IsConstant() && named(last) { // 5 = x
		return sides[0], true
	}
	if named(sides[0]) || len(sides) > 2 && named(sides[len(sides)-2]) {
		return last, true
	}
	for _, s := range sides[:len(sides)-1] {
		if !s.IsScalar() || !s.IsConstant() || !c.same(s, last) {
			return nil, false
		}
	}
	return last, true
}

// named says whether n is a name and not something to solve for: variables and
// functions, their products, quotients, absolute values and tuples, without
// numbers.
func named(n *expr.Node) bool {
	switch n.Kind {
	case expr.Symbol:
		return !n.IsConstant() || n.Name == "e" || n.Name == "i"
	case expr.Sub:
		return true
	case expr.Call:
		return !n.IsConstant()
	case expr.Mul, expr.Div, expr.Tuple:
		for _, a := range n.Args {
			if !named(a) {
				return false
			}
		}
		return true
	}
	return false
}

func (c *comparer) sameRelation(a, b *expr.Node) bool {
	if v, ok := c.given(a); ok && a.Rels[0] != "equiv" {
		if w, ok := c.given(b); ok {
			if left, w, ok := c.sameHead(a.Args[0], b.Args[0], w); ok || c.same(a.Args[0], left) {
				if c.same(v, w) {
					return true
				}
			}
		}
	}
	if len(a.Rels) == 1 && len(b.Rels) == 1 && c.sameSimple(a, b) {
		return true
	}
	return c.sameChain(a, b) || c.sameChain(a, turned(b)) || c.sameVariable(a, b) && c.sameReals(a, b)
}

// sameHead says whether f and g are the same function of one variable each, f(x)
// and f(n), and returns g and its value w in the variable of f.
func (c *comparer) sameHead(f, g, w *expr.Node) (left, value *expr.Node, ok bool) {
	if f.Kind != expr.Call || g.Kind != expr.Call || f.Name != g.Name || len(f.Args) != 1 || len(g.Args) != 1 {
		return g, w, false
	}
	x, y := f.Args[0], g.Args[0]
	if x.Kind != expr.Symbol || y.Kind != expr.Symbol || x.Name == y.Name {
		return g, w, false
	}
	if w.Any(func(m *expr.Node) bool { return m.Kind == expr.Symbol && m.Name == x.Name }) {
		return g, w, false
	}
	return f, w.Rename(y.Name, x), true
}

// sameSimple compares two relations of two sides each.
func (c *comparer) sameSimple(a, b *expr.Node) bool {
	if strings.HasPrefix(a.Rels[0], ">") {
		a = turned(a)
	}
	if strings.HasPrefix(b.Rels[0], ">") {
		b = turned(b)
	}
	if a.Rels[0] != b.Rels[0] {
		return false
	}
	symmetric := a.Rels[0] == "=" || a.Rels[0] == "!="
	if c.sameParts(a.Args, b.Args) || symmetric && c.same(a.Args[0], b.Args[1]) && c.same(a.Args[1], b.Args[0]) {
		return true
	}
	for _, side := range append(append([]*expr.Node{}, a.Args...), b.Args...) {
		if !side.IsScalar() || hasSigns(side) {
			return false
		}
	}
	p, q := expr.Difference(a.Args[0], a.Args[1]), expr.Difference(b.Args[0], b.Args[1])
	if p.IsConstant() || q.IsConstant() {
		return false
	}
	sign, err := expr.Proportional(c.w, p, q)
	if c.decided(sign > 0 || sign < 0 && symmetric, err) {
		return true
	}
	return a.Rels[0] == "=" && (c.solves(a, q) || c.solves(b, p))
}

// solves says whether the equation a, a name on one side and what it equals on
// the other, is the only solution for the name of q = 0, which must be linear in
// it.
func (c *comparer) solves(a, q *expr.Node) bool {
	name, value := a.Args[0], a.Args[1]
	if name.Kind != expr.Symbol || name.IsConstant() || contains(value, name.Name) || !contains(q, name.Name) {
		return false
	}
	zero := expr.Integer(0)
	at := func(n int64) *expr.Node { return q.Rename(name.Name, expr.Integer(n)) }
	if !c.decided(expr.Same(c.w, q.Rename(name.Name, value), zero)) {
		return false
	}
	slope := expr.Difference(at(2), at(1))
	linear := c.decided(expr.Same(c.w, slope, expr.Difference(at(3), at(2)))) && c.decided(expr.Same(c.w, slope, expr.Difference(at(8), at(7))))
	return linear && !c.decided(expr.Same(c.w, slope, zero))
}

func contains(n *expr.Node, name string) bool {
	return n.Any(func(m *expr.Node) bool { return m.Kind == expr.Symbol && m.Name == name })
}

var flipped = map[string]string{"<": ">", "<=": ">=", ">": "<", ">=": "<="}

// turned is the relation read from the right.
func turned(n *expr.Node) *expr.Node {
	out := &expr.Node{Kind: expr.Relation}
	for i := len(n.Args) - 1; i >= 0; i-- {
		out.Args = append(out.Args, n.Args[i])
	}
	for i := len(n.Rels) - 1; i >= 0; i-- {
		r := n.Rels[i]
		if f, ok := flipped[r]; ok {
			r = f
		}
		out.Rels = append(out.Rels, r)
	}
	return out
}

func (c *comparer) sameChain(a, b *expr.Node) bool {
	if len(a.Rels) != len(b.Rels) {
		return false
	}
	for i, r := range a.Rels {
		if r != b.Rels[i] {
			return false
		}
	}
	return c.sameParts(a.Args, b.Args)
}

// sameVariable says whether two conditions are on the same name.
func (c *comparer) sameVariable(a, b *expr.Node) bool {
	x, y := conditioned(a), conditioned(b)
	return x != nil && y != nil && c.same(x, y)
}

// conditioned returns the name on which a relation is a condition; nil if there
// is none.
func conditioned(n *expr.Node) *expr.Node {
	for _, a := range n.Args {
		if named(a) {
			return a
		}
	}
	return nil
}
