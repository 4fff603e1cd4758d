package reward

import (
	"math"
	"slices"

	"srar/lib/steps"
)

// tally is what the verdicts of one rollout say.
type tally struct {
	ok  bool    // there are verdicts
	sum float64 // all deltas, whatever their step
	// Indexed by step, 0 the whole solution: [K+1].
	d         []float64
	named     []bool // an item is attributed to the step
	satisfied []bool // a satisfied one is
	bar       []float64
}

// Assign returns the credit of each rollout of a group, in order. No bit of a
// rollout's result depends on the order of the others or of verdicts, and a
// rollout without verdicts changes no one's step rewards. Arithmetic is float64;
// token advantages are rounded to float32 once, at the end. Slices of the result
// may share memory. An [*Error] names a rollout whose data break the method.
// c must be valid.
func (c *Config) Assign(g *Group) ([]Credit, Counts, error) {
	s, err := c.sheet(g.Items)
	if err != nil {
		return nil, Counts{}, err
	}
	n, tokens := len(g.Rollouts), 0
	out := make([]Credit, n)
	all := make([]tally, n)
	seen := make(map[int32]bool, s.due)
	var counts Counts
	for i := range g.Rollouts {
		r := &g.Rollouts[i]
		if err := s.check(i, r, seen); err != nil {
			return nil, Counts{}, err
		}
		counts.rollout(r)
		tokens += r.Tokens
		all[i] = s.tally(r)
	}
	counts.group(g)

	base := make([]float64, n)
	for i := range g.Rollouts {
		base[i] = c.outcome(&g.Rollouts[i])
	}
	basis := c.normalised(base)
	for i := range out {
		out[i].BaseReward, out[i].BaseAdvantage = base[i], basis[i]
	}

	merged := basis // the scalar of RaR, R6
	switch c.Estimator {
	case RaR, Merged:
		merged = c.normalised(withRubric(base, all))
	case SRaR:
		c.normaliseSteps(all, &counts)
	}

	slab := make([]float32, tokens)
	for i := range out {
		r := &g.Rollouts[i]
		if c.Spans == Proportional {
			out[i].TokenSteps = steps.Proportional(r.Response, r.Steps, r.Tokens)
		} else {
			out[i].TokenSteps = steps.OfTokens(r.Steps, r.Offsets, len(r.Response))
		}
		out[i].Advantages, slab = slab[:r.Tokens:r.Tokens], slab[r.Tokens:]
		c.spread(&out[i], &all[i], merged[i])
	}
	return out, counts, nil
}

// outcome is r_base = (1-lambda) r_acc + lambda r_fmt.
func (c *Config) outcome(r *Rollout) float64 {
	var acc, form float64
	if r.Correct {
		acc = 1
	}
	if r.WellFormed {
		form = 1
	}
	return float64((1-c.FormatWeight)*acc) + float64(c.FormatWeight*form)
}

// tally sums the deltas of a rollout by step. They are counted by type first:
// rollouts that satisfy as many items of each type earn the same to the bit,
// whatever the order of their verdicts.
func (s *sheet) tally(r *Rollout) tally {
	k := len(r.Steps) + 1
	f := make([]float64, 2*k)
	b := make([]bool, 2*k)
	t := tally{ok: r.Status == OK, d: f[:k:k], bar: f[k:], named: b[:k:k], satisfied: b[k:]}
	if !t.ok {
		return t
	}
	hits := make([][3]int32, k)
	var total [3]int32
	for _, v := range r.Verdicts {
		if v.Step >= 0 {
			t.named[v.Step] = true
		}
		if !v.Satisfied {
			continue
		}
		typ := s.kind[v.ID]
		total[typ]++
		if v.Step >= 0 {
			t.satisfied[v.Step] = true
			hits[v.Step][typ]++
		}
	}
	t.sum = s.earned(total)
	for i, h := range hits {
		t.d[i] = s.earned(h)
	}
	return t
}

// earned is what satisfied items earn, hits counting them by type.
func (s *sheet) earned(hits [3]int32) float64 {
	sum := 0.0
	for typ, n := range hits {
		sum += float64(float64(n) * s.worth[typ])
	}
	return sum
}

// withRubric adds the rubric sums to the outcome rewards. A rollout without
// verdicts takes the mean sum of those that have some.
func withRubric(base []float64, all []tally) []float64 {
	var sums []float64
	for i := range all {
		if all[i].ok {
			sums = append(sums, all[i].sum)
		}
	}
	mean := 0.0
	if len(sums) > 0 {
		mean = sumAscending(sums) / float64(len(sums))
	}
	out := make([]float64, len(base))
	for i, r := range base {
		if all[i].ok {
			out[i] = r + all[i].sum
		} else {
			out[i] = r + mean
		}
	}
	return out
}

// sumAscending sorts x and sums it: the sum does not depend on the order of the
// rollouts.
func sumAscending(x []float64) float64 {
	slices.Sort(x)
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum
}

// normalised is (x - mean) / (deviation + eps), and exactly zero where all x
// are equal, one alone included.
func (c *Config) normalised(x []float64) []float64 {
	out := make([]float64, len(x))
	equal := true
	for _, v := range x {
		equal = equal && v == x[0]
	}
	if equal {
		return out
	}
	mu, sigma := c.moments(x)
	for i, v := range x {
		out[i] = (v - mu) / (sigma + c.Eps)
	}
	return out
}

// moments returns the mean and the standard deviation of x, which is not empty.
func (c *Config) moments(x []float64) (mu, sigma float64) {
	s := slices.Clone(x)
	mu = sumAscending(s) / float64(len(s))
	for i, v := range s {
		s[i] = (v - mu) * (v - mu)
	}
	n := len(s)
	if c.Std == Sample {
		n--
	}
	if n > 0 {
		sigma = math.Sqrt(sumAscending(s) / float64(n))
	}
	return mu, sigma
}

// normaliseSteps fills bar: dbar_k = (d_k - mu) / (sigma + eps) over G_k, and 0
// where G_k has one member or sigma does not exceed eps.
func (c *Config) normaliseSteps(all []tally, counts *Counts) {
	deepest, first := 0, 1
	for i := range all {
		deepest = max(deepest, len(all[i].d)-1)
	}
	if c.Whole == Broadcast {
		first = 0
	}
	var d []float64
	var members []int
	for k := first; k <= deepest; k++ {
		d, members = d[:0], members[:0]
		for i := range all {
			t := &all[i]
			if k >= len(t.d) || !t.named[k] || c.GroupBy == Satisfied && !t.satisfied[k] {
				continue
			}
			d, members = append(d, t.d[k]), append(members, i)
		}
		switch len(members) {
		case 0:
			continue
		case 1:
			counts.StepGroups++
			counts.SingleStepGroups++
			continue
		}
		counts.StepGroups++
		mu, sigma := c.moments(d)
		if sigma <= c.Eps {
			counts.FlatStepGroups++
			continue
		}
		for m, i := range members {
			all[i].bar[k] = (d[m] - mu) / (sigma + c.Eps)
		}
	}
}

// spread fills the step rewards and the advantages of one rollout. scalar is
// that of RaR.
func (c *Config) spread(out *Credit, t *tally, scalar float64) {
	k := len(t.d)
	step := make([]float64, k) // what the tokens of each step get on top of rest
	rest := out.BaseAdvantage  // what every token gets
	switch c.Estimator {
	case SRaR:
		copy(step[1:], t.bar[1:])
		rest += t.bar[0]
	case Raw:
		copy(step[1:], t.d[1:])
		if c.Whole == Broadcast {
			rest += t.d[0]
		}
	case RaR:
		rest = scalar
	case Merged:
		if credited := t.credited(c.Whole); credited == nil {
			rest = scalar
		} else {
			rest = 0
			for i, yes := range credited {
				if yes {
					step[i+1] = scalar
				}
			}
		}
	}
	if t.ok {
		out.StepRewards, out.StepAdvantages = t.d[1:], step[1:]
	}
	of := make([]float32, k)
	for i := range of {
		of[i] = float32(rest + step[i])
	}
	for i, k := range out.TokenSteps {
		out.Advantages[i] = of[k]
	}
}

// credited says which steps 1..K have a satisfied item; nil where all tokens
// are meant: no step is named, or the whole solution is and that counts.
func (t *tally) credited(w Whole) []bool {
	if w == Broadcast && t.satisfied[0] {
		return nil
	}
	for _, yes := range t.satisfied[1:] {
		if yes {
			return t.satisfied[1:]
		}
	}
	return nil
}
