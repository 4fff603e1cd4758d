package arith

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// question is what a problem asks, word for word: String writes the text,
// parseQuestion reads it.
type question struct {
	family Family
	asked  []expr // of Expr and Compare, one or two; the others have a story
	story  story
	tail   tail
	limit  int // of tailLimit
}

// tail is what is asked about the values.
type tail int

const (
	tailValue   tail = iota // the value itself
	tailParity              // whether it is odd or even
	tailLimit               // whether it is more than a given number
	tailCompare             // which of two values is more
)

// exprs are the expressions behind the question.
func (q question) exprs() []expr {
	if q.asked != nil {
		return q.asked
	}
	return []expr{q.story.expr()}
}

// close returns the closing statement and the answer that follow from values of
// the expressions, right or wrong. There is no statement where only the value
// is asked for, or where the two sides are equal.
func (q question) close(values []int) (statement, answer string) {
	v := values[0]
	switch q.tail {
	case tailValue:
		return "", strconv.Itoa(v)
	case tailParity:
		answer = "even"
		if v%2 == 1 {
			answer = "odd"
		}
		return fmt.Sprintf("%d is %s", v, answer), answer
	case tailLimit:
		return moreThan(v, q.limit, "yes", "no")
	}
	return moreThan(v, values[1], "A", "B")
}

func moreThan(a, b int, yes, no string) (statement, answer string) {
	switch {
	case a > b:
		return fmt.Sprintf("%d>%d", a, b), yes
	case a < b:
		return fmt.Sprintf("%d<%d", a, b), no
	}
	return "", no
}

func (q question) String() string {
	if q.tail == tailCompare {
		return fmt.Sprintf("Which is more, A: %s or B: %s?", q.asked[0], q.asked[1])
	}
	if q.asked == nil {
		return q.story.String() + " " + q.ending()
	}
	switch x := q.asked[0].String(); q.tail {
	case tailValue:
		return "Find " + x + "."
	case tailParity:
		return "Is " + x + " odd or even?"
	default:
		return fmt.Sprintf("Is %s more than %d?", x, q.limit)
	}
}

// ending is the question that ends a story.
func (q question) ending() string {
	switch noun := q.story.noun; q.tail {
	case tailValue:
		return "How many " + noun + "?"
	case tailParity:
		return "Is the number of " + noun + " odd or even?"
	default:
		return fmt.Sprintf("Are there more than %d %s?", q.limit, noun)
	}
}

// story is an expression told in words: a beginning, which depends on the
// family, and turns.
type story struct {
	family Family
	noun   string // pens, eggs or days
	times  int    // Word: bags of each; Unit: trips of each days
	each   int
	weeks  int // Unit
	start  int // Percent: a multiple of ten, of which
	loss   int // so many per cent are lost, a multiple of ten too
	turns  []turn
}

// turn is a sentence of a story: Tom gets or loses n.
type turn struct {
	gets bool
	n    int
}

const (
	hero       = "Tom"
	weekOfDays = 7
)

var nouns = []string{"pens", "eggs"}

func (s story) String() string {
	var b strings.Builder
	b.WriteString(hero)
	switch s.family {
	case Word:
		fmt.Fprintf(&b, " has %d bags of %d %s.", s.times, s.each, s.noun)
	case Unit:
		fmt.Fprintf(&b, " plans %d trips of %d %s and %d weeks.", s.times, s.each, s.noun, s.weeks)
	case Percent:
		fmt.Fprintf(&b, " has %d %s and loses %d%%.", s.start, s.noun, s.loss)
	}
	for _, t := range s.turns {
		verb := "loses"
		if t.gets {
			verb = "gets"
		}
		fmt.Fprintf(&b, " %s %s %d.", hero, verb, t.n)
	}
	return b.String()
}

// expr is the expression that the story tells.
func (s story) expr() expr {
	var e expr
	switch s.family {
	case Word:
		e = expr{{n: s.times}, {sign: '*'}, {n: s.each}}
	case Unit:
		e = s.plan(weekOfDays)
	case Percent:
		e = append(expr{{n: s.start}, {sign: '-'}}, s.share()...)
	}
	return s.then(e)
}

// plan is the beginning of a Unit story, for weeks of so many days.
func (s story) plan(week int) expr {
	return expr{{n: s.times}, {sign: '*'}, {n: s.each}, {sign: '+'}, {n: s.weeks}, {sign: '*'}, {n: week}}
}

// share is what a Percent story's hero loses: start/10*(loss/10).
func (s story) share() expr {
	e := expr{{n: s.start}, {sign: '/'}, {n: 10}}
	if s.loss > 10 {
		e = append(e, token{sign: '*'}, token{n: s.loss / 10})
	}
	return e
}

// then adds the story's turns to an expression.
func (s story) then(e expr) expr {
	for _, t := range s.turns {
		sign := token{sign: '-'}
		if t.gets {
			sign.sign = '+'
		}
		e = append(e, sign, token{n: t.n})
	}
	return e
}

var errOther = errors.New("not a problem of this task")

// parseQuestion reads what question.String writes, and nothing else.
func parseQuestion(text string) (question, error) {
	r := reader{rest: text}
	var q question
	switch {
	case r.skip("Which is more, A: "):
		q = question{family: Compare, tail: tailCompare}
		q.asked = append(q.asked, r.expr())
		r.must(" or B: ")
		q.asked = append(q.asked, r.expr())
		r.must("?")
	case r.skip("Find "):
		q = question{family: Expr, tail: tailValue, asked: []expr{r.expr()}}
		r.must(".")
	case r.skip("Is "):
		q = question{family: Expr, tail: tailParity, asked: []expr{r.expr()}}
		if !r.skip(" odd or even?") {
			q.tail = tailLimit
			r.must(" more than ")
			q.limit = r.number()
			r.must("?")
		}
	default:
		q.story = r.story()
		q.family = q.story.family
		q.tail, q.limit = r.ending(q.story.noun)
	}
	if r.failed || r.rest != "" {
		return question{}, fmt.Errorf("%w: byte %d", errOther, len(text)-len(r.rest))
	}
	return q, nil
}

// reader reads a text from the left. Once something is not as it must be, it
// stays where it is and says failed.
type reader struct {
	rest   string
	failed bool
}

// skip takes s, if it comes next.
func (r *reader) skip(s string) bool {
	if r.failed || !strings.HasPrefix(r.rest, s) {
		return false
	}
	r.rest = r.rest[len(s):]
	return true
}

func (r *reader) must(s string) {
	if !r.skip(s) {
		r.failed = true
	}
}

// number reads 0..maxValue, as strconv writes it.
func (r *reader) number() int {
	n, end, _ := readNumber(r.rest, 0)
	if r.failed || n > maxValue || strconv.Itoa(n) != r.rest[:end] {
		r.failed = true
		return 0
	}
	r.rest = r.rest[end:]
	return n
}

// longest bounds the tokens of an expression; those of the task have fewer than
// twenty.
const longest = 64

// expr reads an expression of at least one operation.
func (r *reader) expr() expr {
	e := r.sum(nil)
	if len(e) < 3 {
		r.failed = true
	}
	return e
}

// sum appends operands with signs between them: what a bracket, or all of an
// expression, holds.
func (r *reader) sum(e expr) expr {
	for !r.failed {
		if len(e) >= longest {
			r.failed = true
		} else if r.skip("(") {
			e = r.sum(append(e, token{sign: '('}))
			r.must(")")
			e = append(e, token{sign: ')'})
		} else {
			e = append(e, token{n: r.number()})
		}
		if r.rest == "" || strings.IndexByte("+-*/", r.rest[0]) < 0 || r.failed {
			break
		}
		e = append(e, token{sign: r.rest[0]})
		r.rest = r.rest[1:]
	}
	return e
}

func (r *reader) story() story {
	var s story
	r.must(hero + " ")
	switch {
	case r.skip("plans "):
		s.family, s.noun = Unit, "days"
		s.times = r.number()
		r.must(" trips of ")
		s.each = r.number()
		r.must(" days and ")
		s.weeks = r.number()
		r.must(" weeks.")
	default:
		r.must("has ")
		n := r.number()
		if r.skip(" bags of ") {
			s.family, s.times, s.each = Word, n, r.number()
			s.noun = r.noun()
			r.must(".")
			break
		}
		s.family, s.start, s.noun = Percent, n, r.noun()
		r.must(" and loses ")
		s.loss = r.number()
		r.must("%.")
		r.failed = r.failed || s.start%10 > 0 || s.loss%10 > 0 || s.loss == 0
	}
	for len(s.turns) <= longest {
		switch {
		case r.skip(" " + hero + " gets "):
			s.turns = append(s.turns, turn{gets: true, n: r.number()})
		case r.skip(" " + hero + " loses "):
			s.turns = append(s.turns, turn{n: r.number()})
		default:
			return s
		}
		r.must(".")
	}
	r.failed = true
	return s
}

// noun reads a blank and one of the nouns.
func (r *reader) noun() string {
	for _, noun := range nouns {
		if r.skip(" " + noun) {
			return noun
		}
	}
	r.failed = true
	return ""
}

// ending reads the question that ends a story.
func (r *reader) ending(noun string) (t tail, most int) {
	switch {
	case r.skip(" How many " + noun + "?"):
		return tailValue, 0
	case r.skip(" Is the number of " + noun + " odd or even?"):
		return tailParity, 0
	}
	r.must(" Are there more than ")
	most = r.number()
	r.must(" " + noun + "?")
	return tailLimit, most
}
