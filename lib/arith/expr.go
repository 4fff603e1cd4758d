package arith

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxValue bounds every number in a problem and every result on the way.
const maxValue = 999

// equation is one operation worked out, rightly or not: a op b = c.
type equation struct {
	a  int
	op byte // + - * /
	b  int
	c  int
}

func (q equation) String() string { return fmt.Sprintf("%d%c%d=%d", q.a, q.op, q.b, q.c) }

func (q equation) statement() Statement { return equality(q.a, q.op, q.b, q.c) }

// apply works out a op b in whole numbers; it fails where a division leaves a
// remainder.
func apply(a int, op byte, b int) (int, bool) {
	switch op {
	case '+':
		return a + b, true
	case '-':
		return a - b, true
	case '*':
		return a * b, true
	case '/':
		if b == 0 || a%b != 0 {
			return 0, false
		}
		return a / b, true
	}
	panic(fmt.Sprintf("arith: operator %q", op))
}

// expr is an expression as a row of tokens: numbers, + - * / and brackets, well
// formed.
type expr []token

// token is a number where sign is 0, else the sign.
type token struct {
	sign byte
	n    int
}

func (t token) operator() bool { return t.product() || t.sign == '+' || t.sign == '-' }

func (t token) product() bool { return t.sign == '*' || t.sign == '/' }

func (e expr) String() string {
	var b strings.Builder
	for _, t := range e {
		if t.sign == 0 {
			b.WriteString(strconv.Itoa(t.n))
		} else {
			b.WriteByte(t.sign)
		}
	}
	return b.String()
}

// order is a way to choose the next operation of an expression.
type order int

const (
	byRule      order = iota // the first innermost bracket, then * and /, then + and -, each from the left
	leftToRight              // the first innermost bracket, then every operator from the left
	noBrackets               // as byRule, but brackets are not seen
)

// trace works e out one operation at a time and returns the equations, or nil
// where a result leaves 0..maxValue or is no whole number. A slip, if not nil,
// may replace the result of the i-th equation (from 0); what follows goes on
// from there.
func (e expr) trace(o order, slip func(i int, q equation) int) []equation {
	left := make(expr, 0, len(e))
	for _, t := range e {
		if o != noBrackets || t.sign != '(' && t.sign != ')' {
			left = append(left, t)
		}
	}
	var done []equation
	for len(left) > 1 {
		from, to := left.innermost()
		if to-from == 1 {
			left = slices.Replace(left, from-1, to+1, left[from])
			continue
		}
		i := from + left[from:to].next(o)
		q := equation{a: left[i-1].n, op: left[i].sign, b: left[i+1].n}
		c, ok := apply(q.a, q.op, q.b)
		if !ok {
			return nil
		}
		q.c = c
		if slip != nil {
			q.c = slip(len(done), q)
		}
		if q.c < 0 || q.c > maxValue {
			return nil
		}
		done = append(done, q)
		left = slices.Replace(left, i-1, i+2, token{n: q.c})
	}
	return done
}

// innermost returns the bounds of what the first innermost bracket holds, or of
// all of e.
func (e expr) innermost() (from, to int) {
	for i, t := range e {
		switch t.sign {
		case '(':
			from = i + 1
		case ')':
			return from, i
		}
	}
	return 0, len(e)
}

// next returns the place of the operator to work out first, in an expression
// without brackets.
func (e expr) next(o order) int {
	if o != leftToRight {
		if i := slices.IndexFunc(e, token.product); i >= 0 {
			return i
		}
	}
	return slices.IndexFunc(e, token.operator)
}

// shorter returns an expression of the same value with fewer operations, or
// nil: a*b+a*c... becomes a*(b+c)..., and n/10*2 and n/10*5 (20 and 50 per
// cent) become n/5 and n/2.
func (e expr) shorter() expr {
	if len(e) >= 7 && e[:7].signs() == "n*n+n*n" && e[0].n == e[4].n && (len(e) == 7 || !e[7].product()) {
		s := expr{e[0], {sign: '*'}, {sign: '('}, e[2], {sign: '+'}, e[6], {sign: ')'}}
		return append(s, e[7:]...)
	}
	for i := 0; i+5 <= len(e); i++ {
		tenths := e[i:]
		if tenths[:5].signs() != "n/n*n" || tenths[2].n != 10 || i > 0 && e[i-1].product() {
			continue
		}
		if by := tenths[4].n; by == 2 || by == 5 {
			s := append(slices.Clone(e[:i+2]), token{n: 10 / by})
			return append(s, tenths[5:]...)
		}
	}
	return nil
}

// signs spells e with n for every number.
func (e expr) signs() string {
	b := make([]byte, len(e))
	for i, t := range e {
		if b[i] = t.sign; t.sign == 0 {
			b[i] = 'n'
		}
	}
	return string(b)
}
