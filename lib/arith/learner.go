package arith

import (
	"fmt"
	"strings"
)

// habit is a kind of mistake.
type habit int

const (
	byOrder   habit = iota // all operators from the left
	byBracket              // brackets not seen
	byWord                 // gets for loses, or the other way
	byUnit                 // a week of five days
	byPercent              // 20% of 40 taken as 20
	byShare                // the part that is lost added
)

// habits says what a rubric calls each mistake, and how many in a hundred
// learners make it where it can be made. Habits are frequent and slips rare on
// purpose: reinforcement learning takes habits away in a few iterations, while
// the tables of arithmetic have to be known before.
var habits = [...]struct {
	words string
	rate  int
}{
	byOrder:   {"Works left to right", 50},
	byBracket: {"Ignores the bracket", 70},
	byWord:    {"Takes the wrong operation", 50},
	byUnit:    {"Takes the wrong unit", 65},
	byPercent: {"Takes the percent as a number", 40},
	byShare:   {"Adds the part", 45},
}

func (h habit) words() string { return habits[h].words }

// The rates of what is no habit, in a hundred parts.
const (
	slipRate  = 6  // one wrong result
	shortRate = 25 // the shorter way, where there is one
)

// mistake is a way through a part that leaves the right ones.
type mistake struct {
	habit habit
	way   []equation
	first equation // the first that is on no right way
}

// add adds a mistake, unless its way cannot be gone (nil) or shows nothing
// wrong.
func (p *part) add(h habit, way []equation) {
	for _, q := range way {
		if !p.has(q.statement()) {
			p.mistakes = append(p.mistakes, mistake{h, way, q})
			return
		}
	}
}

// Learner draws a solution of the sequence's problem i as a learner writes it:
// now the right way, now a shorter one, now with mistakes at their rates. About
// two in three end in the right answer, half of all hold a mistake.
func (q Sequence) Learner(i uint64, p *Problem) string {
	r := q.rng("learner", i)
	return p.write(func(pt *part) []equation {
		way, right := pt.rightWay(r)
		for _, m := range pt.mistakes {
			if r.percent(habits[m.habit].rate) {
				way, right = m.way, false
				break
			}
		}
		if slips := r.percent(slipRate); slips && right {
			return pt.slip(r)
		}
		return way
	})
}

// Right draws a right solution of the sequence's problem i, a shorter way now
// and then.
func (q Sequence) Right(i uint64, p *Problem) string {
	r := q.rng("right", i)
	return p.write(func(pt *part) []equation {
		way, _ := pt.rightWay(r)
		return way
	})
}

// rightWay draws one of the right ways; long says that it is the one by the
// rules of precedence.
func (p *part) rightWay(r *rng) (way []equation, long bool) {
	if p.short != nil && r.percent(shortRate) {
		return p.short, false
	}
	return p.right, true
}

// slip draws the right way with one wrong result, carried on.
func (p *part) slip(r *rng) []equation {
	for range 10 {
		at := r.intn(len(p.right))
		way := p.expr.trace(byRule, func(i int, q equation) int {
			if i != at {
				return q.c
			}
			return q.misread(r)
		})
		if way != nil {
			return way
		}
	}
	return p.right // every result that a slip leads to is out of bounds
}

// misread returns a wrong result as people get it: a carry or a borrow
// forgotten, the neighbour in the table of products, else one off.
func (q equation) misread(r *rng) int {
	switch {
	case q.op == '+' && q.a%10+q.b%10 >= 10:
		return q.c - 10
	case q.op == '-' && q.a%10 < q.b%10:
		return q.c + 10
	case q.op == '*':
		return q.c + pick(r, -q.a, q.a, -q.b, q.b)
	}
	return q.c + pick(r, -1, 1)
}

// write writes a solution that goes the way chosen through each part: one
// equation a step, the statement that follows from the values reached, and the
// answer.
func (p *Problem) write(choose func(*part) []equation) string {
	var b strings.Builder
	step := 0
	say := func(statement string) {
		step++
		fmt.Fprintf(&b, "### Step %d:\n%s\n", step, statement)
	}
	values := make([]int, len(p.parts))
	for i := range p.parts {
		way := choose(&p.parts[i])
		for _, q := range way {
			say(q.String())
		}
		values[i] = way[len(way)-1].c
	}
	statement, answer := p.question.close(values)
	if statement != "" {
		say(statement)
	}
	fmt.Fprintf(&b, `\boxed{%s}`, answer)
	return b.String()
}
