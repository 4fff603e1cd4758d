package answer

import (
	"errors"
	"math/big"
	"strings"

	"srar/lib/expr"
)

// comparer compares readings of two answers.
type comparer struct {
	w       *expr.Work
	limited bool // something was too large to be decided
	inGroup bool // comparing elements of lists
}

// decided returns what is true if there was no error, and remembers limits.
func (c *comparer) decided(ok bool, err error) bool {
	c.limited = c.limited || errors.Is(err, expr.ErrLimit)
	return ok && err == nil
}

// sameAnswer compares whole answers: the letter of a choice may be small.
func (c *comparer) sameAnswer(a, b *expr.Node) bool {
	if x, y := choice(a), choice(b); x != 0 && x == y {
		return true
	}
	return c.same(a, b)
}

// choice returns the small letter of an answer of multiple choice; 0 for
// anything else.
func choice(n *expr.Node) byte {
	if n.Kind != expr.Symbol || len(n.Name) != 1 {
		return 0
	}
	if l := n.Name[0] | 0x20; 'a' <= l && l <= 'e' {
		return l
	}
	return 0
}

// same says whether two nodes of any kind are the same.
func (c *comparer) same(a, b *expr.Node) bool {
	if c.w.Spend(1) != nil {
		return false
	}
	a, b, ok := c.sameUnits(a, b)
	if !ok {
		return false
	}
	switch {
	case a.Kind == expr.Relation && b.Kind == expr.Relation:
		return c.sameRelation(a, b)
	case a.Kind == expr.Relation:
		return c.sameGiven(a, b)
	case b.Kind == expr.Relation:
		return c.sameGiven(b, a)
	case isEmpty(a) && isEmpty(b):
		return true
	case a.Kind == expr.Text || b.Kind == expr.Text:
		return a.Kind == b.Kind && a.Name == b.Name || c.sameReals(a, b)
	case a.Kind == expr.Set && b.Kind != expr.Set && len(a.Args) == 1 && !hasSigns(a):
		return c.same(a.Args[0], b)
	case b.Kind == expr.Set && a.Kind != expr.Set && len(b.Args) == 1 && !hasSigns(b):
		return c.same(a, b.Args[0])
	case hasSigns(a) || hasSigns(b):
		return c.sameSigned(a, b)
	case a.IsScalar() && b.IsScalar():
		return c.sameScalar(a, b)
	case collection(a) && collection(b):
		return c.sameCollection(a, b)
	case collection(a) && b.Kind == expr.Tuple:
		return c.sameNamed(a, b)
	case collection(b) && a.Kind == expr.Tuple:
		return c.sameNamed(b, a)
	case a.Kind == expr.Tuple && b.Kind == expr.Tuple && a.Name == b.Name, a.Kind == expr.Matrix && b.Kind == expr.Matrix:
		return c.sameParts(a.Args, b.Args)
	case a.Kind == expr.Matrix && b.Kind == expr.Tuple && b.Name == "()":
		return c.sameParts(column(a), b.Args)
	case b.Kind == expr.Matrix && a.Kind == expr.Tuple && a.Name == "()":
		return c.sameParts(a.Args, column(b))
	case c.sameReals(a, b):
		return true
	case a.Kind == expr.SetOp && b.Kind == expr.SetOp && a.Name == b.Name:
		if a.Name == `\setminus` {
			return c.sameParts(a.Args, b.Args)
		}
		return c.sameUnordered(operands(a, a.Name), operands(b, b.Name))
	}
	return false
}

// isEmpty says whether n is the empty set, in signs or in words.
func isEmpty(n *expr.Node) bool {
	switch n.Name {
	case "no solution", "no solutions", "no real solution", "no real solutions":
		return n.Kind == expr.Text
	}
	return n.Kind == expr.Set && len(n.Args) == 0
}

// column returns the entries of a column vector; nil if m is none.
func column(m *expr.Node) []*expr.Node {
	var out []*expr.Node
	for _, row := range m.Args {
		if len(row.Args) != 1 {
			return nil
		}
		out = append(out, row.Args[0])
	}
	return out
}

func (c *comparer) sameParts(a, b []*expr.Node) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !c.same(a[i], b[i]) {
			return false
		}
	}
	return true
}

func collection(n *expr.Node) bool { return n.Kind == expr.List || n.Kind == expr.Set }

// operands flattens a union or an intersection.
func operands(n *expr.Node, op string) []*expr.Node {
	if n.Kind != expr.SetOp || n.Name != op {
		return []*expr.Node{n}
	}
	return append(operands(n.Args[0], op), operands(n.Args[1], op)...)
}

func hasSigns(n *expr.Node) bool {
	return n.Any(func(m *expr.Node) bool { return m.Kind == expr.PlusMinus })
}

// sameSigned compares where \pm occurs: as the list of what it stands for.
func (c *comparer) sameSigned(a, b *expr.Node) bool {
	for _, independent := range []bool{false, true} {
		if c.sameUnordered(spread(a, independent), spread(b, independent)) {
			return true
		}
	}
	return false
}

// spread returns the elements of a list or set, one for each sign.
func spread(n *expr.Node, independent bool) []*expr.Node {
	if !collection(n) {
		return n.Signs(independent)
	}
	var out []*expr.Node
	for _, a := range n.Args {
		out = append(out, a.Signs(independent)...)
	}
	return out
}

// sameCollection compares lists and sets. Values with different names on one side
// only must come in the order of the names.
func (c *comparer) sameCollection(a, b *expr.Node) bool {
	if differentNames(a.Args) != differentNames(b.Args) {
		return c.sameParts(a.Args, b.Args)
	}
	return c.sameUnordered(c.distinct(a.Args), c.distinct(b.Args)) || c.sameReals(a, b)
}

// sameNamed compares a list with a tuple: x = 1, y = 2 with (1, 2), and the groups
// of 1, 2; 3, 4 with tuples.
func (c *comparer) sameNamed(list, tuple *expr.Node) bool {
	if tuple.Name == "()" && (differentNames(list.Args) || list.Kind == expr.List && c.inGroup) {
		return c.sameParts(list.Args, tuple.Args)
	}
	return c.sameReals(list, tuple)
}

// differentNames says whether all are equations for names of their own.
func differentNames(args []*expr.Node) bool {
	seen := map[string]bool{}
	for _, a := range args {
		if a.Kind != expr.Relation || len(a.Rels) != 1 || a.Rels[0] != "=" || a.Args[0].Kind != expr.Symbol || seen[a.Args[0].Name] {
			return false
		}
		seen[a.Args[0].Name] = true
	}
	return len(args) > 1
}

// distinct leaves out solutions that are listed twice: tuples and equations. A
// number that comes twice, such as a digit, may mean something.
func (c *comparer) distinct(parts []*expr.Node) []*expr.Node {
	var out []*expr.Node
next:
	for _, p := range parts {
		if p.Kind == expr.Tuple || p.Kind == expr.Relation {
			for _, q := range out {
				if q.Kind == p.Kind && c.same(p, q) {
					continue next
				}
			}
		}
		out = append(out, p)
	}
	return out
}

func (c *comparer) sameUnordered(a, b []*expr.Node) bool {
	if len(a) != len(b) {
		return false
	}
	used := make([]bool, len(b))
next:
	for _, x := range a {
		for j, y := range b {
			if !used[j] && c.element(x, y) {
				used[j] = true
				continue next
			}
		}
		return false
	}
	return true
}

// element compares elements of lists: there a group is a tuple.
func (c *comparer) element(a, b *expr.Node) bool {
	outer := c.inGroup
	c.inGroup = true
	defer func() { c.inGroup = outer }()
	return c.same(a, b)
}

var hundred = big.NewRat(100, 1)

// sameScalar compares values. A percentage on one side only is the number before
// the sign or the fraction.
func (c *comparer) sameScalar(a, b *expr.Node) bool {
	if a.Kind == expr.Percent && b.Kind == expr.Percent {
		return c.sameValue(a.Args[0], b.Args[0])
	}
	if b.Kind == expr.Percent {
		a, b = b, a
	}
	if a.Kind == expr.Percent {
		x := a.Args[0]
		return c.sameValue(x, b) || c.sameValue(x, expr.Scale(b, hundred)) || c.sameValue(expr.Scale(x, new(big.Rat).Inv(hundred)), b)
	}
	return c.sameValue(a, b)
}

func (c *comparer) sameValue(a, b *expr.Node) bool {
	return c.decided(expr.Same(c.w, a, b)) || c.rounds(a, b) || c.rounds(b, a)
}

// A decimal with at least minPlaces places and minDigits significant digits is
// the same as a finer value that rounds to it.
const (
	minPlaces = 4
	minDigits = 4
)

// rounds says whether the decimal d is what n rounds to.
func (c *comparer) rounds(d, n *expr.Node) bool {
	if d.Kind != expr.Number || d.Places < minPlaces || n.Kind == expr.Number && n.Places != 0 && n.Places <= d.Places {
		return false
	}
	unit := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.Places)), nil))
	digits := new(big.Rat).Mul(d.Val, unit)
	if least := new(big.Int).Exp(big.NewInt(10), big.NewInt(minDigits-1), nil); new(big.Int).Abs(digits.Num()).Cmp(least) < 0 {
		return false
	}
	half := new(big.Rat).Mul(big.NewRat(1, 2), new(big.Rat).Inv(unit))
	return expr.Within(c.w, d, n, half)
}

// sameUnits takes the units off two values. They must fit where both have one; a
// value in another unit is converted.
func (c *comparer) sameUnits(a, b *expr.Node) (x, y *expr.Node, ok bool) {
	if a.Kind != expr.Quantity && b.Kind != expr.Quantity {
		return a, b, true
	}
	x, u, ok1 := bare(a)
	y, v, ok2 := bare(b)
	switch {
	case ok1 && ok2 && angle(u, "degree") && angle(v, "radian"):
		x = expr.Radians(x)
	case ok1 && ok2 && angle(v, "degree") && angle(u, "radian"):
		y = expr.Radians(y)
	case ok1 && ok2:
		if !sameBase(u, v) {
			return nil, nil, false
		}
		if u.Factor.Cmp(v.Factor) != 0 && x.IsScalar() && y.IsScalar() {
			x = expr.Scale(x, new(big.Rat).Quo(u.Factor, v.Factor))
		}
	case ok1 && angle(u, "degree") && hasPi(y):
		x = expr.Radians(x)
	case ok2 && angle(v, "degree") && hasPi(x):
		y = expr.Radians(y)
	}
	return x, y, true
}

// bare returns a value without its words, and its unit if they name one.
func bare(n *expr.Node) (*expr.Node, expr.Unit, bool) {
	if n.Kind != expr.Quantity {
		return n, expr.Unit{}, false
	}
	u, ok := expr.UnitOf(n.Name)
	inner, v, nested := bare(n.Args[0])
	if nested && !ok {
		return inner, v, true
	}
	return inner, u, ok
}

func sameBase(u, v expr.Unit) bool {
	if len(u.Base) != len(v.Base) {
		return false
	}
	for name, power := range u.Base {
		if v.Base[name] != power {
			return false
		}
	}
	return true
}

func angle(u expr.Unit, name string) bool { return len(u.Base) == 1 && u.Base[name] == 1 }

func hasPi(n *expr.Node) bool {
	return n.IsScalar() && n.Any(func(m *expr.Node) bool { return m.Kind == expr.Symbol && strings.HasPrefix(m.Name, `\pi`) })
}
