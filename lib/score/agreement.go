package score

import "math"

// Verdict says whether an item is satisfied, and at which step: 1..K, 0 the
// whole solution, -1 none.
type Verdict struct {
	ID        int32
	Satisfied bool
	Step      int32
}

// Agreement counts what two judges say of one rollout.
type Agreement struct {
	Items     int // judged by both
	Same      int // satisfied for both or for neither
	Mine      int // satisfied for the first
	Theirs    int // satisfied for the second
	Placed    int // tied to a step from 1 by both
	SamePlace int // and to the same
	Steps     int // marked by both
	SameMarks int
	Compared  bool // every step is marked by both
	SameFirst bool // and the first wrong step is the same, or there is none
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
		g.Items++
		g.Same += one(v.Satisfied == w.Satisfied)
		g.Mine += one(v.Satisfied)
		g.Theirs += one(w.Satisfied)
		if v.Step >= 1 && w.Step >= 1 {
			g.Placed++
			g.SamePlace += one(v.Step == w.Step)
		}
	}
}

// AgreeMarks compares two lists of marks on the same steps, of equal length.
func (g *Agreement) AgreeMarks(mine, theirs []bool) {
	first := func(marks []bool) int {
		for k, m := range marks {
			if !m {
				return k
			}
		}
		return len(marks)
	}
	g.Compared = true
	g.SameFirst = first(mine) == first(theirs)
	for k := range mine {
		g.Steps++
		g.SameMarks += one(mine[k] == theirs[k])
	}
}

func (s *Set) agreement(t *table) {
	t.ratio("agreement", s.each(func(r *Rollout) (a, b int) { return r.Against.Same, r.Against.Items }))
	n, same, mine, theirs := 0, 0, 0, 0
	for _, p := range s.order {
		for i := range p.rollouts {
			g := &p.rollouts[i].Against
			n, same, mine, theirs = n+g.Items, same+g.Same, mine+g.Mine, theirs+g.Theirs
		}
	}
	if k, ok := kappa(n, same, mine, theirs); ok {
		t.plain("kappa", k, int64(n))
	}
	t.ratio("step_agreement", s.each(func(r *Rollout) (a, b int) { return r.Against.SamePlace, r.Against.Placed }))
	t.ratio("mark_agreement", s.each(func(r *Rollout) (a, b int) { return r.Against.SameMarks, r.Against.Steps }))
	t.ratio("first_error_agreement", s.each(func(r *Rollout) (a, b int) { return one(r.Against.SameFirst), one(r.Against.Compared) }))
}

// kappa is Cohen's: (p_o - p_e) / (1 - p_e), the agreement beyond chance of two
// judges on n items, mine and theirs of them satisfied for each. It does not
// exist where chance alone agrees always.
func kappa(n, same, mine, theirs int) (float64, bool) {
	chance := mine*theirs + (n-mine)*(n-theirs) // of n^2
	if chance == n*n {
		return 0, false
	}
	square := float64(n) * float64(n)
	po, pe := float64(same)/float64(n), float64(chance)/square
	return (po - pe) / (1 - pe), true
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
		xx, yy, xy = xx+dx*dx, yy+dy*dy, xy+dx*dy
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
