// Package expr reads mathematics in LaTeX or plain notation and says whether two
// expressions are equal.
//
// [Parse] makes a tree of [Node]s. [Same] compares two trees without structure
// (no lists, tuples, relations) as a computer algebra system would, by value:
// rationals exactly; other constants as complex balls, which differ when the
// balls do not meet at 256 bits and are equal when they still meet at 1,024;
// expressions in variables by their values at rational and integral points, which
// is an identity test in the sense of Schwartz and Zippel (1979). "Different" is
// therefore proved, "equal" is exact for rationals and certain to some 300 digits
// for the rest.
//
// Everything is bounded by a [Work], which counts steps and not time.
package expr

import (
	"errors"
	"math/big"
)

// Kind is what a node is.
type Kind uint8

// The kinds of nodes, with their arguments.
const (
	Number    Kind = iota // Val; Places decimal places if it was written as a decimal
	Symbol                // Name: a variable, or one of the constants \pi, e, i, \infty
	Add                   // two or more terms
	Mul                   // two or more factors
	Div                   // numerator, denominator
	Pow                   // base, exponent
	Neg                   // one argument
	PlusMinus             // one argument; Name is \pm or \mp
	Call                  // Name of a function and its arguments
	Sub                   // an indexed name: Name, index
	Percent               // one argument
	Quantity              // one argument with words behind it: Name
	Numeral               // a numeral to another base than ten: Name holds digits_base
	List                  // values side by side
	Set                   // values in braces
	Tuple                 // values in brackets; Name holds the brackets, as in "[)", or ":"
	SetOp                 // two arguments; Name is \cup, \cap or \setminus
	Matrix                // rows, which are tuples
	Relation              // sides; Rels between them
	Text                  // Name
)

// A Node is a part of an expression. Nodes are not changed once they are made.
type Node struct {
	Kind   Kind
	Name   string
	Args   []*Node
	Rels   []string // of a Relation: = < <= > >= != in notin equiv mod
	Val    *big.Rat
	Places int
}

// Errors of this package.
var (
	ErrSyntax    = errors.New("expr: not understood")
	ErrLimit     = errors.New("expr: too large")
	errUndefined = errors.New("expr: no value")
)

// Work is what may still be spent, in steps: one for a token, a node that is
// evaluated, or 64 bits of a number.
type Work struct{ left int }

// NewWork returns a budget of steps.
func NewWork(steps int) *Work { return &Work{steps} }

// Spend takes n steps and returns [ErrLimit] when none are left.
func (w *Work) Spend(n int) error {
	if w.left -= n; w.left < 0 {
		return ErrLimit
	}
	return nil
}

// Left returns the steps that are left; negative if more was asked for.
func (w *Work) Left() int { return w.left }

// IsScalar says whether n is one value: nothing in it has structure.
func (n *Node) IsScalar() bool {
	if n.Kind >= List {
		return false
	}
	for _, a := range n.Args {
		if !a.IsScalar() {
			return false
		}
	}
	return true
}

// Any says whether f holds for n or any node in it.
func (n *Node) Any(f func(*Node) bool) bool {
	if f(n) {
		return true
	}
	for _, a := range n.Args {
		if a.Any(f) {
			return true
		}
	}
	return false
}

// IsConstant says whether n holds no variable and no unknown function.
func (n *Node) IsConstant() bool {
	return !n.Any(func(m *Node) bool {
		return m.Kind == Symbol && !constants[m.Name] || m.Kind == Sub || m.Kind == Call && !known[m.Name] || m.Kind >= List
	})
}

var constants = map[string]bool{`\pi`: true, "e": true, "i": true, `\infty`: true}

// Rename returns n with every symbol from replaced by to.
func (n *Node) Rename(from string, to *Node) *Node {
	if n.Kind == Symbol && n.Name == from {
		return to
	}
	if len(n.Args) == 0 {
		return n
	}
	out := *n
	out.Args = make([]*Node, len(n.Args))
	for i, a := range n.Args {
		out.Args[i] = a.Rename(from, to)
	}
	return &out
}

// Signs returns the values that a node with \pm or \mp stands for; the node
// alone without them. All signs change together, or, if independent is set, each
// \pm by itself.
func (n *Node) Signs(independent bool) []*Node {
	count := 0
	n.Any(func(m *Node) bool {
		if m.Kind == PlusMinus {
			count++
		}
		return false
	})
	const most = 4
	if count == 0 {
		return []*Node{n}
	}
	masks := []int{0, 1<<min(count, 30) - 1}
	if independent && count <= most {
		masks = masks[:0]
		for m := range 1 << count {
			masks = append(masks, m)
		}
	}
	out := make([]*Node, len(masks))
	for i, mask := range masks {
		out[i] = n.signed(&mask)
	}
	return out
}

// signed takes one bit of mask for each sign: set for minus.
func (n *Node) signed(mask *int) *Node {
	minus := false
	if n.Kind == PlusMinus {
		minus = *mask&1 == 1 != (n.Name == `\mp`)
		*mask >>= 1
	}
	if len(n.Args) == 0 {
		return n
	}
	out := *n
	out.Args = make([]*Node, len(n.Args))
	for i, a := range n.Args {
		out.Args[i] = a.signed(mask)
	}
	if n.Kind != PlusMinus {
		return &out
	}
	if minus {
		return negative(out.Args[0])
	}
	return out.Args[0]
}

// Integer returns a number.
func Integer(n int64) *Node { return &Node{Kind: Number, Val: new(big.Rat).SetInt64(n)} }

func node(k Kind, args ...*Node) *Node { return &Node{Kind: k, Args: args} }

func call(name string, args ...*Node) *Node { return &Node{Kind: Call, Name: name, Args: args} }

// negative returns -n; a number stays a number.
func negative(n *Node) *Node {
	if n.Kind == Number {
		return &Node{Kind: Number, Val: new(big.Rat).Neg(n.Val), Places: n.Places}
	}
	return node(Neg, n)
}

// Difference returns a - b.
func Difference(a, b *Node) *Node { return node(Add, a, negative(b)) }

// Scale returns n times r.
func Scale(n *Node, r *big.Rat) *Node { return node(Mul, &Node{Kind: Number, Val: r}, n) }

// Radians returns the value of n degrees.
func Radians(n *Node) *Node {
	return node(Mul, n, node(Div, &Node{Kind: Symbol, Name: `\pi`}, Integer(180)))
}
