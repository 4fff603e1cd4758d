package score

import "math"

// Verdict says whether an item is satisfied, and at which step: 1..K, 0 the
// whole solution, -1 none.
type Verdict struct {
	ID        int32
	Satisfied bool
	Step      int32
}

// Pairs counts what two judges say to the same yes-or-no questions.
type Pairs struct {
	N      int // answered by both
	Same   int // alike
	Mine   int // with yes by the first
	Theirs int // with yes by the second
}

func (p *Pairs) count(mine, theirs bool) {
	p.N++
	p.Same += one(mine == theirs)
	p.Mine += one(mine)
	p.Theirs += one(theirs)
}

func (p *Pairs) add(q Pairs) {
	p.N, p.Same, p.Mine, p.Theirs = p.N+q.N, p.Same+q.Same, p.Mine+q.Mine, p.Theirs+q.Theirs
}

// kappa is Cohen's: (p_o - p_e) / (1 - p_e), the agreement beyond chance. It
// does not exist where chance alone agrees always.
func (p *Pairs) kappa() (float64, bool) {
	chance := p.Mine*p.Theirs + (p.N-p.Mine)*(p.N-p.Theirs) // of N^2
	if chance == p.N*p.N {
		return 0, false
	}
	n := float64(p.N)
	po, pe := float64(p.Same)/n, float64(chance)/(n*n)
	return (po - pe) / (1 - pe), true
}

// Agreement counts what two judges say of one rollout; the second may be people.
type Agreement struct {
	Items     Pairs // is it satisfied
	Placed    int   // items tied to a step from 1 by both
	SamePlace int   // and to the same
	Steps     Pairs // is it right
	Located   bool  // both say where the first wrong step is, or that there is none
	SameFirst bool  // and say the same
	Wrong     bool  // Located, and the second judge has a wrong step
}

// AgreeItems counts the items that both judges gave a verdict on.
func (g *Agreement) AgreeItems(mine, theirs []Verdict) {
	other := make(map[int32]Verdict, len(theirs))
	for _, v := range theirs {
		other[v.ID] = v
	}
	for _, v := range mine {
		w, ok := other[v.ID]
		if !ok {
			continue
		}
		g.Items.count(v.Satisfied, w.Satisfied)
		if v.Step >= 1 && w.Step >= 1 {
			g.Placed++
			g.SamePlace += one(v.Step == w.Step)
		}
	}
}

// AgreeMarks compares two lists of marks on the same steps, of equal length; nil
// is a step without a mark. People often mark no step behind the first wrong one:
// that is enough to say where it is.
func (g *Agreement) AgreeMarks(mine, theirs []*bool) {
	for k, m := range mine {
		if m != nil && theirs[k] != nil {
			g.Steps.count(*m, *theirs[k])
		}
	}
	a, mineKnown := firstWrong(mine)
	b, theirsKnown := firstWrong(theirs)
	g.Located = mineKnown && theirsKnown
	g.SameFirst = g.Located && a == b
	g.Wrong = g.Located && b < len(theirs)
}

// firstWrong returns the index of the first step marked wrong, the number of
// steps where all are right. It is not known where a step before lacks a mark.
func firstWrong(marks []*bool) (k int, known bool) {
	for k, m := range marks {
		if m == nil {
			return 0, false
		}
		if !*m {
			return k, true
		}
	}
	return len(marks), true
}

func (s *Set) agreement(t *table) {
	pairs := func(agreement, kappa string, of func(g *Agreement) *Pairs) {
		t.ratio(agreement, s.each(func(r *Rollout) (a, b int) { p := of(&r.Against); return p.Same, p.N }))
		var all Pairs
		for _, p := range s.order {
			for i := range p.rollouts {
				all.add(*of(&p.rollouts[i].Against))
			}
		}
		if k, ok := all.kappa(); ok {
			t.plain(kappa, k, int64(all.N))
		}
	}
	pairs("agreement", "kappa", func(g *Agreement) *Pairs { return &g.Items })
	t.ratio("step_agreement", s.each(func(r *Rollout) (a, b int) { return r.Against.SamePlace, r.Against.Placed }))
	pairs("mark_agreement", "mark_kappa", func(g *Agreement) *Pairs { return &g.Steps })
	t.ratio("first_error_agreement", s.each(func(r *Rollout) (a, b int) { return one(r.Against.SameFirst), one(r.Against.Located) }))
	t.ratio("first_error_accuracy", s.each(func(r *Rollout) (a, b int) {
		return one(r.Against.Wrong && r.Against.SameFirst), one(r.Against.Wrong)
	}))
}

// correlations: Pearson's between a right answer (1 or 0) and the share of
// satisfied items of a type, the point-biserial one.
func (s *Set) correlations(t *table) {
	for typ, name := range [3]string{"rpb_suggest", "rpb_pitfall", "rpb_bonus"} {
		var x, y []float64
		for _, p := range s.order {
			for i := range p.rollouts {
				r := &p.rollouts[i]
				if share := r.Shares[typ]; share.Items > 0 {
					x = append(x, float64(one(r.Correct)))
					y = append(y, float64(share.Satisfied)/float64(share.Items))
				}
			}
		}
		if v, ok := pearson(x, y); ok {
			t.plain(name, v, int64(len(x)))
		}
	}
}

// pearson does not exist for fewer than three rows or without variance.
func pearson(x, y []float64) (float64, bool) {
	n := float64(len(x))
	if n < 3 || flat(x) || flat(y) {
		return 0, false
	}
	mx, my := 0.0, 0.0
	for i := range x {
		mx += x[i] / n
		my += y[i] / n
	}
	xx, yy, xy := 0.0, 0.0, 0.0
	for i := range x {
		dx, dy := x[i]-mx, y[i]-my
		xx, yy, xy = xx+float64(dx*dx), yy+float64(dy*dy), xy+float64(dx*dy)
	}
	return xy / math.Sqrt(xx*yy), true
}

func flat(x []float64) bool {
	for _, v := range x {
		if v != x[0] {
			return false
		}
	}
	return true
}
