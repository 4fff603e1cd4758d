package answer

import "srar/lib/expr"

// reals says which parts of the real line belong to a set. The ends of its
// intervals, in order, cut the line into cells: before the first, the first, between
// the first and the second, the second, ...
type reals struct {
	c    *comparer
	ends []*expr.Node
}

// maxEnds bounds the intervals of a set.
const maxEnds = 40

// sameReals says whether two nodes are the same set of reals: intervals, unions,
// finite sets, conditions on one name. At least one must be more than a tuple or
// a list.
func (c *comparer) sameReals(a, b *expr.Node) bool {
	if !describesReals(a) && !describesReals(b) {
		return false
	}
	r := reals{c: c}
	if !r.collect(a) || !r.collect(b) {
		return false
	}
	x, ok1 := r.cells(a)
	y, ok2 := r.cells(b)
	if !ok1 || !ok2 {
		return false
	}
	for i := range x {
		if x[i] != y[i] {
			return false
		}
	}
	return true
}

// describesReals says whether n can be nothing but a set of reals.
func describesReals(n *expr.Node) bool {
	switch n.Kind {
	case expr.SetOp, expr.Relation:
		return true
	case expr.Tuple:
		return n.Name == "[)" || n.Name == "(]"
	case expr.List:
		for _, a := range n.Args {
			if a.Kind != expr.Relation {
				return false
			}
		}
		return true
	case expr.Symbol:
		return n.Name == `\mathbb{R}`
	case expr.Text:
		return n.Name == "all real numbers" || n.Name == "all reals"
	}
	return false
}

// collect inserts the constants of n into the ends.
func (r *reals) collect(n *expr.Node) bool {
	if n.Kind == expr.Relation || !n.IsScalar() {
		for _, a := range n.Args {
			if !r.collect(a) {
				return false
			}
		}
		return true
	}
	if n.Kind == expr.Text || !n.IsConstant() { // a name
		return true
	}
	if infinite(n) {
		return true
	}
	if len(r.ends) == maxEnds {
		return false
	}
	for i, e := range r.ends {
		s, ok := r.order(n, e)
		if !ok {
			return false
		}
		if s == 0 {
			return true
		}
		if s < 0 {
			r.ends = append(r.ends[:i], append([]*expr.Node{n}, r.ends[i:]...)...)
			return true
		}
	}
	_, ok := expr.Sign(r.c.w, n)
	r.ends = append(r.ends, n)
	return ok
}

// order compares two constants.
func (r *reals) order(a, b *expr.Node) (int, bool) {
	return expr.Sign(r.c.w, expr.Difference(a, b))
}

func infinite(n *expr.Node) bool {
	return n.Kind == expr.Symbol && n.Name == `\infty` || n.Kind == expr.Neg && infinite(n.Args[0])
}

// cell returns the number of the cell of a constant: of the first or last one for
// infinities, which are never closed.
func (r *reals) cell(n *expr.Node) (int, bool) {
	if infinite(n) {
		if n.Kind == expr.Neg {
			return -1, true
		}
		return 2*len(r.ends) + 1, true
	}
	if !n.IsScalar() || !n.IsConstant() {
		return 0, false
	}
	for i, e := range r.ends {
		if s, ok := r.order(n, e); ok && s == 0 {
			return 2*i + 1, true
		}
	}
	return 0, false
}

func (r *reals) line(value bool) []bool {
	out := make([]bool, 2*len(r.ends)+1)
	for i := range out {
		out[i] = value
	}
	return out
}

// between fills the cells from one constant to another.
func (r *reals) between(lo, hi *expr.Node, loClosed, hiClosed bool) ([]bool, bool) {
	i, ok1 := r.cell(lo)
	j, ok2 := r.cell(hi)
	if !ok1 || !ok2 || i > j || i == j && !(loClosed && hiClosed) {
		return nil, false
	}
	out := r.line(false)
	for k := range out {
		out[k] = i < k && k < j || k == i && loClosed || k == j && hiClosed
	}
	return out, true
}

func combine(a, b []bool, f func(x, y bool) bool) []bool {
	out := make([]bool, len(a))
	for i := range a {
		out[i] = f(a[i], b[i])
	}
	return out
}

func or(x, y bool) bool  { return x || y }
func and(x, y bool) bool { return x && y }
func not(x, y bool) bool { return x && !y }

// cells returns which cells belong to n.
func (r *reals) cells(n *expr.Node) ([]bool, bool) {
	switch n.Kind {
	case expr.Symbol:
		return r.line(true), n.Name == `\mathbb{R}`
	case expr.Text:
		return r.line(true), describesReals(n)
	case expr.Tuple:
		if len(n.Args) == 2 && len(n.Name) == 2 {
			return r.between(n.Args[0], n.Args[1], n.Name[0] == '[', n.Name[1] == ']')
		}
	case expr.Set:
		out := r.line(false)
		for _, a := range spread(n, false) {
			i, ok := r.cell(a)
			if !ok || infinite(a) {
				return nil, false
			}
			out[i] = true
		}
		return out, true
	case expr.SetOp:
		a, ok1 := r.cells(n.Args[0])
		b, ok2 := r.cells(n.Args[1])
		if !ok1 || !ok2 {
			return nil, false
		}
		return combine(a, b, map[string]func(x, y bool) bool{`\cup`: or, `\cap`: and, `\setminus`: not}[n.Name]), true
	case expr.List:
		return r.conditions(n.Args)
	case expr.Relation:
		return r.condition(n)
	}
	return nil, false
}

// conditions are those of a list, of which all must hold; if they cannot, as with
// x < 1, x > 2, one of them.
func (r *reals) conditions(args []*expr.Node) ([]bool, bool) {
	all, some := r.line(true), r.line(false)
	possible := false
	for _, a := range args {
		if a.Kind != expr.Relation || !r.c.sameVariable(a, args[0]) {
			return nil, false
		}
		x, ok := r.cells(a)
		if !ok {
			return nil, false
		}
		all, some = combine(all, x, and), combine(some, x, or)
	}
	for _, x := range all {
		possible = possible || x
	}
	if possible {
		return all, true
	}
	return some, true
}

// condition returns the cells of a name between bounds, in a set, or not equal to
// something.
func (r *reals) condition(n *expr.Node) ([]bool, bool) {
	switch {
	case len(n.Rels) == 1 && (n.Rels[0] == "in" || n.Rels[0] == "notin") && named(n.Args[0]):
		x, ok := r.cells(n.Args[1])
		if !ok || n.Rels[0] == "in" {
			return x, ok
		}
		return combine(r.line(true), x, not), true
	case len(n.Rels) == 1 && n.Rels[0] == "!=":
		name, value := n.Args[0], n.Args[1]
		if named(value) {
			name, value = value, name
		}
		i, ok := r.cell(value)
		if !ok || !named(name) || infinite(value) {
			return nil, false
		}
		out := r.line(true)
		out[i] = false
		return out, true
	}
	middle := 0
	for middle < len(n.Args) && !named(n.Args[middle]) {
		middle++
	}
	if len(n.Rels) > 2 || middle == len(n.Args) || len(n.Rels) == 2 && middle != 1 {
		return nil, false
	}
	out := r.line(true)
	for i, rel := range n.Rels {
		bound := n.Args[i]
		if i >= middle { // the name is on the left
			bound = n.Args[i+1]
			if f, ok := flipped[rel]; ok {
				rel = f
			}
		}
		x, ok := r.bounded(bound, rel)
		if !ok {
			return nil, false
		}
		out = combine(out, x, and)
	}
	return out, true
}

// bounded returns the cells of what has bound on its left: bound < x and so on.
func (r *reals) bounded(bound *expr.Node, rel string) ([]bool, bool) {
	i, ok := r.cell(bound)
	if !ok {
		return nil, false
	}
	out := r.line(false)
	for k := range out {
		switch rel {
		case "<":
			out[k] = k > i
		case "<=":
			out[k] = k >= i
		case ">":
			out[k] = k < i
		case ">=":
			out[k] = k <= i
		default:
			return nil, false
		}
	}
	return out, true
}
