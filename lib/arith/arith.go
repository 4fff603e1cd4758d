// Package arith is the embedded arithmetic task: problems that need several
// dependent steps, their rubrics, solutions with the mistakes that learners
// make, and a judge that works by rule.
//
// Every problem is an expression in disguise ("Tom has 5 bags of 4 pens. Tom
// loses 6. How many pens?" is 5*4-6). One evaluator reduces an expression one
// operation at a time; its trace is the solution, one equation a step. A
// mistake is the trace of the same expression in a wrong order, of a wrong
// expression, or with one wrong result carried on; so most mistakes lead to
// true equations on wrong values, and only the rubric or a step judge can tell
// them from right steps.
//
//	Sequence  draws problems and solutions: endless, from a seed, each index on its own
//	Parse     reads a problem's text back: what is asked, the right ways, the answer
//	Judge     verdicts on rubric items, from the items' texts and the steps alone
//	Mark      is a step right? from the problem's text and the step alone
//
// A problem belongs to the test split when the CRC-32 (IEEE) of its text is
// divisible by eight, so training and test problems are disjoint whatever the
// seed. Draws come from PCG-DXSM ([math/rand/v2.PCG]) and integer arithmetic
// only: a sequence is the same on every machine and for every version of Go.
package arith

import (
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
)

// Family is a kind of disguise.
type Family string

// The families, with the share of each among draws. A Unit or Percent problem
// needs three operations; where the draw is of fewer, a Word problem takes its
// place.
const (
	Expr    Family = "expr"    // .40  Find 3*4-(5-2).
	Word    Family = "word"    // .15  Tom has 5 bags of 4 pens. Tom gets 3. Tom loses 6. How many pens?
	Unit    Family = "unit"    // .15  Tom plans 2 trips of 4 days and 2 weeks. Tom loses 3. How many days?
	Percent Family = "percent" // .15  Tom has 40 pens and loses 20%. Tom gets 5. How many pens?
	Compare Family = "compare" // .15  Which is more, A: 9-2*3 or B: 8-(4-2)?
)

// Split says what a problem is for. Each problem has its split once and for all.
type Split string

// The splits: one problem in eight is Test.
const (
	Train Split = "train"
	Test  Split = "test"
)

// SplitOf says to which split the problem with this text belongs.
func SplitOf(text string) Split {
	if crc32.ChecksumIEEE([]byte(text))%8 == 0 {
		return Test
	}
	return Train
}

// Problem is one problem of the task.
type Problem struct {
	Text   string // the question, as the policy and the judge read it
	Family Family
	Answer string // the ground truth: a number, "odd", "even", "yes", "no", "A" or "B"

	question question
	parts    []part      // one for each expression that is asked for
	valid    []Statement // what a right step may state: every right way, and its closing statement
	closing  string      // the statement that the right way ends with; empty where only a value is asked for
}

// part is one expression of a problem with the ways through it.
type part struct {
	expr     expr
	right    []equation // the right way, by the rules of precedence
	short    []equation // a shorter right way; nil where there is none
	mistakes []mistake  // what a learner may do instead; drawn with the problem, unknown where it was parsed
}

// newPart works out the right ways through e; it fails where a value leaves
// 0..999 or is no whole number.
func newPart(e expr) (part, bool) {
	p := part{expr: e, right: e.trace(byRule, nil)}
	if s := e.shorter(); s != nil {
		p.short = s.trace(byRule, nil)
	}
	return p, p.right != nil
}

func (p *part) value() int { return p.right[len(p.right)-1].c }

// has reports whether a right way through p states s.
func (p *part) has(s Statement) bool {
	return contains(p.right, s) || contains(p.short, s)
}

func contains(way []equation, s Statement) bool {
	return slices.ContainsFunc(way, func(q equation) bool { return q.statement() == s })
}

// newProblem puts a problem together from its question and the parts that the
// question asks for.
func newProblem(q question, parts []part) *Problem {
	p := &Problem{Text: q.String(), Family: q.family, question: q, parts: parts}
	values := make([]int, len(parts))
	for i := range parts {
		values[i] = parts[i].value()
		for _, way := range [][]equation{parts[i].right, parts[i].short} {
			for _, e := range way {
				p.valid = append(p.valid, e.statement())
			}
		}
	}
	p.closing, p.Answer = q.close(values)
	p.valid = append(p.valid, Statements(p.closing)...)
	return p
}

// Parse reads a problem back from its text. The result is that of the draw, but
// for the mistakes: which of them a rubric warns of is drawn, not written in
// the text.
func Parse(text string) (*Problem, error) {
	q, err := parseQuestion(text)
	if err != nil {
		return nil, fmt.Errorf("arith: %w", err)
	}
	var parts []part
	for _, e := range q.exprs() {
		p, ok := newPart(e)
		if !ok {
			return nil, fmt.Errorf("arith: %s cannot be worked out in whole numbers from 0 to %d", e, maxValue)
		}
		parts = append(parts, p)
	}
	return newProblem(q, parts), nil
}

// Mark reports whether a step of a solution is right: it states something, and
// everything that it states belongs to a right way to this problem's answer. A
// true equation on wrong values is not right.
func (p *Problem) Mark(step string) bool {
	said := Statements(step)
	for _, s := range said {
		if !slices.Contains(p.valid, s) {
			return false
		}
	}
	return len(said) > 0
}

// falseEquation is the text of the item that every rubric holds beside those on
// the problem's own mistakes.
const falseEquation = "States a false equation."

// Rubric returns the problem's rubric, one item a line: a SUGGEST for each
// equation of the right way and for the closing statement, a PITFALL for the
// first wrong equation of each mistake and one for false equations, a BONUS for
// a shorter way, and the ANSWER.
func (p *Problem) Rubric() string {
	var b strings.Builder
	for i := range p.parts {
		p.parts[i].suggest(&b)
	}
	if p.closing != "" {
		fmt.Fprintf(&b, "<SUGGEST> Says that %s.\n", p.closing)
	}
	for i := range p.parts {
		for _, m := range p.parts[i].mistakes {
			fmt.Fprintf(&b, "<PITFALL> %s: %s.\n", m.habit.words(), m.first)
		}
	}
	fmt.Fprintf(&b, "<PITFALL> %s\n", falseEquation)
	for i := range p.parts {
		if own := p.parts[i].shortOnly(); len(own) > 0 {
			fmt.Fprintf(&b, "<BONUS> Takes a shorter way: %s.\n", own[0])
		}
	}
	fmt.Fprintf(&b, "<ANSWER> %s", p.Answer)
	return b.String()
}

// suggest writes an item for each equation of the right way. One that the
// shorter way leaves out is satisfied by an equation of the shorter way too:
// who takes that way misses nothing.
func (p *part) suggest(b *strings.Builder) {
	own, next := p.shortOnly(), 0
	for _, q := range p.right {
		if len(own) == 0 || contains(p.short, q.statement()) {
			fmt.Fprintf(b, "<SUGGEST> Works out %s.\n", q)
			continue
		}
		fmt.Fprintf(b, "<SUGGEST> Works out %s or %s.\n", q, own[min(next, len(own)-1)])
		next++
	}
}

// shortOnly lists the equations of the shorter way that the right way does not
// hold.
func (p *part) shortOnly() []equation {
	var own []equation
	for _, q := range p.short {
		if !contains(p.right, q.statement()) {
			own = append(own, q)
		}
	}
	return own
}
