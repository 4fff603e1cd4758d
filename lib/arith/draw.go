package arith

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Level is how large numbers are, and how many operations a problem has.
type Level string

// The levels. Small and Medium draw problems of two, three, three or four
// operations, Large of three, four, four or five.
const (
	Small  Level = "small"  // terms to 12, factors to 6, values to 30 (50 in stories)
	Medium Level = "medium" // terms to 30, factors to 9, values to 99
	Large  Level = "large"  // Medium's numbers, longer ways
)

// sizes are the bounds that a level sets; the least number is 2 everywhere, the
// least value 1.
type sizes struct {
	fewest       int // operations: so many, one more (twice as often) or two more
	term, factor int // of expressions; factors of stories too
	weeks, tens  int // of stories
	top          int // value of an expression on the way
	storyTop     int // value of a story on the way
}

var levels = map[Level]sizes{
	Small:  {fewest: 2, term: 12, factor: 6, weeks: 3, tens: 5, top: 30, storyTop: 50},
	Medium: {fewest: 2, term: 30, factor: 9, weeks: 8, tens: 9, top: 99, storyTop: 99},
	Large:  {fewest: 3, term: 30, factor: 9, weeks: 8, tens: 9, top: 99, storyTop: 99},
}

// Sequence is an endless sequence of problems, a function of its fields alone, of
// which any stretch can be drawn.
type Sequence struct {
	Level Level
	Split Split
	Seed  uint64
}

// NewSequence returns the sequence of the level and split with these names.
func NewSequence(level, split string, seed uint64) (Sequence, error) {
	if _, ok := levels[Level(level)]; !ok {
		return Sequence{}, fmt.Errorf("arith: level %q is not %s, %s or %s", level, Small, Medium, Large)
	}
	if s := Split(split); s != Train && s != Test {
		return Sequence{}, fmt.Errorf("arith: split %q is neither %s nor %s", split, Train, Test)
	}
	return Sequence{Level(level), Split(split), seed}, nil
}

// rng returns the generator of index i for one purpose.
func (q Sequence) rng(purpose string, i uint64) *rng {
	stream := uint64(0)
	for _, c := range []byte(fmt.Sprintf("%s/%s/%s", q.Level, q.Split, purpose)) {
		stream = mix(stream ^ uint64(c))
	}
	return newRNG(q.Seed, stream, i)
}

// From yields the problems number skip, skip+1, ... of the sequence. Training
// problems may come again, and never end. Test problems are numbered in the
// order in which they first come, each text once, so that skip takes time; they
// end when hardly any others are left, beyond a hundred thousand.
func (q Sequence) From(skip uint64) iter.Seq2[uint64, *Problem] {
	if q.Split == Test {
		return distinct(q.problem, skip)
	}
	return func(yield func(uint64, *Problem) bool) {
		for i := skip; yield(i, q.problem(i)); i++ {
		}
	}
}

// patience is how many draws in a row must hold nothing new before the test
// problems count as exhausted.
const patience = 20_000

// distinct numbers the draws that are not repeated and yields them from number
// skip on.
func distinct(draw func(i uint64) *Problem, skip uint64) iter.Seq2[uint64, *Problem] {
	return func(yield func(uint64, *Problem) bool) {
		seen := map[string]bool{}
		for i, last := uint64(0), uint64(0); i-last < patience; i++ {
			p := draw(i)
			if seen[p.Text] {
				continue
			}
			seen[p.Text], last = true, i
			if n := uint64(len(seen)) - 1; n >= skip && !yield(n, p) {
				return
			}
		}
	}
}

// problem makes draw i.
func (q Sequence) problem(i uint64) *Problem {
	r, z := q.rng("problem", i), levels[q.Level]
	for {
		if p := z.draw(r); SplitOf(p.Text) == q.Split {
			return p
		}
	}
}

// draw draws a problem of either split.
func (z sizes) draw(r *rng) *Problem {
	ops := z.fewest + pick(r, 0, 1, 1, 2)
	for {
		q, parts := z.drawQuestion(r, ops)
		if parts == nil {
			continue
		}
		q.tail = tailCompare
		if len(parts) == 1 {
			q.tail = pick(r, tailValue, tailValue, tailValue, tailParity, tailLimit)
		}
		if q.tail == tailLimit {
			off := r.between(1, 9)
			if r.percent(50) {
				off = -off
			}
			if q.limit = parts[0].value() + off; q.limit < 2 {
				continue
			}
		}
		return newProblem(q, parts)
	}
}

// drawQuestion draws a family and expressions of so many operations; it returns
// no parts where they do not do.
func (z sizes) drawQuestion(r *rng, ops int) (question, []part) {
	family := Compare
	switch n := r.intn(100); {
	case n < 40:
		family = Expr
	case n < 55:
		family = Word
	case n < 70:
		family = Unit
	case n < 85:
		family = Percent
	}
	if ops < storyOps && (family == Unit || family == Percent) {
		family = Word
	}
	switch family {
	case Expr:
		p := z.drawExpr(r, ops)
		return question{family: Expr, asked: []expr{p.expr}}, []part{p}
	case Compare:
		a, b := z.drawExpr(r, max(2, ops-2)), z.drawExpr(r, 2)
		if a.value() == b.value() || a.meets(&b) || b.meets(&a) {
			return question{}, nil
		}
		return question{family: Compare, asked: []expr{a.expr, b.expr}}, []part{a, b}
	}
	s, p := z.drawStory(r, family, ops)
	return question{family: family, story: s}, []part{p}
}

// meets reports whether p, or the first wrong equation of one of its mistakes,
// is on a right way through o: then what is wrong in one part would be right in
// the other.
func (p *part) meets(o *part) bool {
	return slices.ContainsFunc(p.right, func(q equation) bool { return o.has(q.statement()) }) ||
		slices.ContainsFunc(p.short, func(q equation) bool { return o.has(q.statement()) }) ||
		slices.ContainsFunc(p.mistakes, func(m mistake) bool { return o.has(m.first.statement()) })
}

// shapes are the expressions of so many operations; a letter that comes twice
// is the same number twice.
var shapes = map[int][]string{
	2: {"a+b*c", "a-b*c", "a*(b+c)", "a-(b-c)", "a-(b+c)"},
	3: {"a*b+c*d", "a*b-c*d", "a*b-(c-d)", "a*b-(c+d)", "a+b-(c-d)", "a*b+a*c", "(a+b)*c-d", "a+b*c-d"},
	4: {"a+b*c-(d-e)", "a*b+c-d*e", "a*b-c*d+e", "a*b+c-(d-e)", "a*b+c-(d+e)", "(a+b)*c-(d-e)", "a*b+a*c-d"},
	5: {"a+b*c-(d-e)+f", "a*b+c-d*e-f", "a*b-c*d+e-f", "a*b+c*d-(e-f)", "a*b-c-(d-e)+f", "(a+b)*c-(d-e)-f", "a*b+a*c-(d-e)"},
}

// drawExpr draws an expression of so many operations in which at least one
// mistake can be made.
func (z sizes) drawExpr(r *rng, ops int) part {
	for {
		p, ok := z.fill(r, pick(r, shapes[ops]...))
		if !ok || p.repeats() {
			continue
		}
		p.add(byOrder, p.expr.trace(leftToRight, nil))
		p.add(byBracket, p.expr.trace(noBrackets, nil))
		if len(p.mistakes) > 0 {
			return p
		}
	}
}

// fill tries numbers for the letters of a shape until every value is within the
// level's bounds: so each shape keeps its share, however rarely its values fit.
// A factor is small.
func (z sizes) fill(r *rng, shape string) (part, bool) {
	for range 200 {
		var numbers ['z' + 1]int
		var e expr
		for i, c := range []byte(shape) {
			switch {
			case !isLetter(c):
				e = append(e, token{sign: c})
				continue
			case numbers[c] == 0 && isFactor(shape, i):
				numbers[c] = r.between(2, z.factor)
			case numbers[c] == 0:
				numbers[c] = r.between(2, z.term)
			}
			e = append(e, token{n: numbers[c]})
		}
		if p, ok := newPart(e); ok && p.within(z.top) {
			return p, true
		}
	}
	return part{}, false
}

// isFactor reports whether the letter at shape[i] touches * or stands in a
// bracket that does.
func isFactor(shape string, i int) bool {
	multiplied := func(from, to int) bool {
		return strings.HasSuffix(shape[:from], "*") || strings.HasPrefix(shape[to:], "*")
	}
	if multiplied(i, i+1) {
		return true
	}
	open := strings.LastIndexByte(shape[:i], '(')
	if open < 0 || strings.IndexByte(shape[open:i], ')') >= 0 {
		return false
	}
	return multiplied(open, i+strings.IndexByte(shape[i:], ')')+1)
}

// within reports whether every value of the right way is in 1..top.
func (p *part) within(top int) bool {
	return !slices.ContainsFunc(p.right, func(q equation) bool { return q.c < 1 || q.c > top })
}

// repeats reports whether the right way states something twice.
func (p *part) repeats() bool {
	for i, q := range p.right {
		if contains(p.right[:i], q.statement()) {
			return true
		}
	}
	return false
}

// storyOps is how many operations the beginning of a Unit or Percent story
// takes; that of a Word story takes one.
const storyOps = 3

// drawStory draws a story of so many operations.
func (z sizes) drawStory(r *rng, family Family, ops int) (story, part) {
	for {
		s := story{family: family, noun: pick(r, nouns...)}
		turns := ops - storyOps
		switch family {
		case Word:
			s.times, s.each = r.between(2, 6), r.between(2, z.factor)
			turns = ops - 1
		case Unit:
			s.times, s.each, s.weeks = r.between(2, 6), r.between(2, z.factor), r.between(2, z.weeks)
			s.noun = "days"
		case Percent:
			s.start, s.loss = r.between(2, z.tens)*10, pick(r, 10, 20, 20, 30, 50)
		}
		for range turns {
			s.turns = append(s.turns, turn{gets: r.percent(40), n: r.between(2, 9)})
		}
		p, ok := newPart(s.expr())
		if !ok || !p.within(z.storyTop) || p.repeats() || s.loss >= s.start && family == Percent {
			continue
		}
		s.mistakes(r, &p)
		return s, p
	}
}

// mistakes adds to p what a learner may take wrong in the story.
func (s story) mistakes(r *rng, p *part) {
	switch s.family {
	case Word:
		// Rather a late turn is taken for its opposite: what precedes it then
		// is right in a wrong answer.
		i := max(r.intn(len(s.turns)), r.intn(len(s.turns)))
		if s.turns[i].gets && r.percent(50) {
			return
		}
		t := s
		t.turns = slices.Clone(s.turns)
		t.turns[i].gets = !t.turns[i].gets
		p.add(byWord, t.expr().trace(byRule, nil))
	case Unit:
		p.add(byUnit, s.then(s.plan(workingDays)).trace(byRule, nil))
	case Percent:
		p.add(byPercent, s.then(expr{{n: s.start}, {sign: '-'}, {n: s.loss}}).trace(byRule, nil))
		p.add(byShare, s.then(append(expr{{n: s.start}, {sign: '+'}}, s.share()...)).trace(byRule, nil))
	}
}

// workingDays are the days of a week for who makes the mistake of that name.
const workingDays = 5
