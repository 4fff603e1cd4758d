// Package score turns judged rollouts into the metrics of an evaluation:
// accuracy of several kinds, step accuracy and what answers and steps say of
// each other, loops, and the agreement of judges, with 95 % intervals.
//
// Definitions are those of arXiv 2605.17291 where it gives them. Values are
// ratios of sums over prompts, so intervals are clustered by prompt.
package score

import (
	"cmp"
	"fmt"
	"slices"
)

// Score is one metric.
type Score struct {
	Metric    string
	Value     float64
	Low, High *float64 // bounds of the 95 % interval; nil where it has none
	N         int64    // what the metric counts: prompts, rollouts, steps or items
}

// Share counts the items of one type in one rollout.
type Share struct{ Satisfied, Items int }

// Rollout is what is known of one rollout.
type Rollout struct {
	Index      int32 // in its group: majorities take the lowest
	Correct    bool
	Answer     *string // nil: no answer was found, which does not vote
	WellFormed bool
	Truncated  bool // the response was cut at the token limit
	Tokens     int  // of the response
	Loop       Loop
	Marks      []bool    // right or wrong for every step; nil: not marked
	Shares     [3]Share  // of SUGGEST, PITFALL and BONUS items with a verdict
	Against    Agreement // with another judge
}

// Set collects rollouts and scores them together.
type Set struct {
	ks      []int
	equal   func(answer, other string) bool
	prompts map[string]*prompt
	order   []*prompt
}

// prompt holds what the metrics need of one prompt's rollouts.
type prompt struct {
	rollouts []Rollout

	// See vote.
	class []int // of the first rollouts: the class of the answer, -1 without one
	first []int // of each class: the rollout that opened it
}

// NewSet makes a set. ks are the k of avg@k, pass@k and maj@k, each at least 1;
// equal says whether two answers are the same.
func NewSet(ks []int, equal func(answer, other string) bool) *Set {
	for _, k := range ks {
		if k < 1 {
			panic(fmt.Sprintf("score: k = %d", k))
		}
	}
	return &Set{ks: ks, equal: equal, prompts: map[string]*prompt{}}
}

// Add adds a rollout of the prompt with that key. The order of the rollouts
// does not matter but for those of one prompt with the same index.
func (s *Set) Add(key string, r Rollout) {
	p := s.prompts[key]
	if p == nil {
		p = &prompt{}
		s.prompts[key] = p
		s.order = append(s.order, p)
	}
	p.rollouts = append(p.rollouts, r)
}

// Scores returns the metrics in a fixed order. A metric whose denominator is
// zero is left out.
func (s *Set) Scores() []Score {
	for _, p := range s.order {
		slices.SortStableFunc(p.rollouts, func(a, b Rollout) int { return cmp.Compare(a.Index, b.Index) })
	}
	var t table
	s.answers(&t)
	s.marks(&t)
	s.loops(&t)
	s.form(&t)
	s.agreement(&t)
	s.correlations(&t)
	return t
}

// table is a list of scores under construction.
type table []Score

// ratio adds a metric of (a, b) per prompt, if anything was counted.
func (t *table) ratio(name string, x sums) {
	if v, low, high, n, ok := x.share(); ok {
		*t = append(*t, Score{name, v, low, high, n})
	}
}

// mean adds a metric of (a, b) per prompt that is not a share: its interval is
// not cut to [0, 1].
func (t *table) mean(name string, x sums) {
	if v, low, high, n, ok := x.mean(); ok {
		*t = append(*t, Score{name, v, low, high, n})
	}
}

// plain adds a metric without an interval.
func (t *table) plain(name string, v float64, n int64) {
	*t = append(*t, Score{Metric: name, Value: v, N: n})
}

// each sums a and b over the rollouts of each prompt.
func (s *Set) each(f func(r *Rollout) (a, b int)) sums {
	var x sums
	for _, p := range s.order {
		a, b := 0, 0
		for i := range p.rollouts {
			ra, rb := f(&p.rollouts[i])
			a, b = a+ra, b+rb
		}
		x.add(float64(a), float64(b))
	}
	return x
}

// answers: accuracy is the mean over prompts of c/n, c right answers of n.
// avg@k, pass@k and maj@k are means over the prompts with n >= k.
func (s *Set) answers(t *table) {
	right := func(p *prompt) (c int) {
		for i := range p.rollouts {
			c += one(p.rollouts[i].Correct)
		}
		return c
	}
	var accuracy sums
	for _, p := range s.order {
		accuracy.add(float64(right(p))/float64(len(p.rollouts)), 1)
	}
	t.ratio("accuracy", accuracy)
	for _, p := range s.order {
		p.vote(s.equal, s.ks)
	}
	for _, k := range s.ks {
		var avg, pass, maj sums
		for _, p := range s.order {
			n := len(p.rollouts)
			if n < k {
				continue
			}
			c := right(p)
			avg.add(float64(c)/float64(n), 1)
			pass.add(passAt(n, c, k), 1)
			maj.add(p.majority(k), 1)
		}
		t.ratio(fmt.Sprintf("avg@%d", k), avg)
		t.ratio(fmt.Sprintf("pass@%d", k), pass)
		t.ratio(fmt.Sprintf("maj@%d", k), maj)
	}
}

// passAt is 1 - C(n-c, k) / C(n, k): the chance that k of n rollouts, drawn
// without replacement, hold one of the c right ones. The estimator is unbiased
// (arXiv 2107.03374, eq. 1).
func passAt(n, c, k int) float64 {
	if n-c < k {
		return 1
	}
	miss := 1.0
	for i := n - c + 1; i <= n; i++ {
		miss *= 1 - float64(k)/float64(i)
	}
	return 1 - miss
}

// vote puts the answers into classes, as far as a k of ks asks for. An answer
// joins the first class whose first member it equals, and else opens one.
func (p *prompt) vote(equal func(answer, other string) bool, ks []int) {
	n := 0
	for _, k := range ks {
		if k <= len(p.rollouts) {
			n = max(n, k)
		}
	}
	p.class, p.first = make([]int, n), nil
	known := map[string]int{} // answers as they are spelled: most need no comparison
	for i := range p.class {
		a := p.rollouts[i].Answer
		if a == nil {
			p.class[i] = -1
			continue
		}
		c, ok := known[*a]
		if !ok {
			c = slices.IndexFunc(p.first, func(j int) bool { return equal(*a, *p.rollouts[j].Answer) })
			if c < 0 {
				c = len(p.first)
				p.first = append(p.first, i)
			}
			known[*a] = c
		}
		p.class[i] = c
	}
}

// majority is the share of right classes among those with most answers of the
// first k rollouts, 0 without answers; a class is right when its first member is.
func (p *prompt) majority(k int) float64 {
	votes := make([]int, len(p.first))
	most := 0
	for _, c := range p.class[:k] {
		if c >= 0 {
			votes[c]++
			most = max(most, votes[c])
		}
	}
	if most == 0 {
		return 0
	}
	right, tied := 0, 0
	for c, n := range votes {
		if n == most {
			tied++
			right += one(p.rollouts[p.first[c]].Correct)
		}
	}
	return float64(right) / float64(tied)
}

// marks: the metrics of marked steps. A: the answer is right, S: all steps are.
func (s *Set) marks(t *table) {
	rollouts := func(f func(r *Rollout, sound bool) bool) sums {
		return s.each(func(r *Rollout) (a, b int) {
			if r.Marks == nil {
				return 0, 0
			}
			return one(f(r, !slices.Contains(r.Marks, false))), 1
		})
	}
	// The share of steps with the mark, over rollouts whose answer is in among.
	steps := func(mark bool, among ...bool) sums {
		return s.each(func(r *Rollout) (a, b int) {
			if r.Marks == nil || !slices.Contains(among, r.Correct) {
				return 0, 0
			}
			for _, m := range r.Marks {
				a += one(m == mark)
			}
			return a, len(r.Marks)
		})
	}
	t.ratio("step_accuracy", steps(true, true, false))
	t.ratio("frr", rollouts(func(r *Rollout, sound bool) bool { return r.Correct && sound }))
	t.ratio("mtr", rollouts(func(r *Rollout, sound bool) bool { return r.Correct != sound }))
	for _, c := range []struct {
		name           string
		correct, sound bool
	}{{"right_sound", true, true}, {"right_flawed", true, false}, {"wrong_sound", false, true}, {"wrong_flawed", false, false}} {
		x := rollouts(func(r *Rollout, sound bool) bool { return r.Correct == c.correct && sound == c.sound })
		if a, b := x.total(); b > 0 {
			t.plain(c.name, a, int64(b))
		}
	}
	t.ratio("wrong_steps_in_right", steps(false, true))
	t.ratio("right_steps_in_wrong", steps(true, false))
}

func (s *Set) loops(t *table) {
	t.ratio("loop_rate", s.each(func(r *Rollout) (a, b int) { return one(r.Loop.Loops()), 1 }))
	t.ratio("loop_accuracy", s.each(func(r *Rollout) (a, b int) { return one(r.Loop.Loops() && r.Correct), one(r.Loop.Loops()) }))
	t.ratio("other_accuracy", s.each(func(r *Rollout) (a, b int) { return one(!r.Loop.Loops() && r.Correct), one(!r.Loop.Loops()) }))
	t.mean("self_corrections", s.each(func(r *Rollout) (a, b int) { return r.Loop.SelfCorrections, 1 }))
}

func (s *Set) form(t *table) {
	t.ratio("format_rate", s.each(func(r *Rollout) (a, b int) { return one(r.WellFormed), 1 }))
	t.ratio("truncation_rate", s.each(func(r *Rollout) (a, b int) { return one(r.Truncated), 1 }))
	t.mean("length", s.each(func(r *Rollout) (a, b int) { return r.Tokens, 1 }))
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}
