package reward

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/rubric"
	"srar/lib/steps"
)

// rollout makes a rollout of K steps of two tokens each, behind one token of no
// step and before an end token.
func rollout(k int, correct bool, verdicts ...Verdict) Rollout {
	r := Rollout{Correct: correct, WellFormed: true, Status: OK, Verdicts: append([]Verdict{}, verdicts...), Response: "x", Offsets: []int32{0}}
	for n := range k {
		at := len(r.Response)
		r.Response += "abcd"
		r.Steps = append(r.Steps, steps.Step{Printed: int32(n + 1), HasPrinted: true, Start: at, End: at + 4})
		r.Offsets = append(r.Offsets, int32(at), int32(at+2))
	}
	r.Offsets = append(r.Offsets, int32(len(r.Response)))
	r.Tokens = len(r.Offsets)
	return r
}

func unjudged(status string, k int, correct bool) Rollout {
	r := rollout(k, correct)
	r.Status, r.Verdicts = status, nil
	return r
}

var oneOfEach = []rubric.Item{{ID: 1, Type: rubric.SUGGEST, Text: "a"}, {ID: 2, Type: rubric.SUGGEST, Text: "b"}, {ID: 4, Type: rubric.PITFALL, Text: "c"}, {ID: 5, Type: rubric.BONUS, Text: "d"}, {ID: 6, Type: rubric.ANSWER, Text: "e"}}

// all makes verdicts of oneOfEach; a step of nope is "not satisfied, no step".
func all(first, second, trap, extra int32) []Verdict {
	v := []Verdict{{ID: 1}, {ID: 2}, {ID: 4}, {ID: 5}}
	for i, step := range []int32{first, second, trap, extra} {
		if step == nope {
			v[i].Step = -1
		} else {
			v[i].Satisfied, v[i].Step = true, step
		}
	}
	return v
}

const nope = math.MinInt32

func assign(t require.TestingT, c Config, items []rubric.Item, r ...Rollout) []Credit {
	require.NoError(t, c.Validate())
	out, _, err := c.Assign(&Group{Items: items, Rollouts: r})
	require.NoError(t, err)
	require.Len(t, out, len(r))
	return out
}

// with returns the paper's choices with some changed.
func with(f func(c *Config)) Config {
	c := Paper()
	f(&c)
	return c
}

func bases(out []Credit) []float64 {
	v := make([]float64, len(out))
	for i := range out {
		v[i] = out[i].BaseAdvantage
	}
	return v
}

func TestOutcomeAdvantage(t *testing.T) {
	answers := func(n int, right ...int) []Rollout {
		r := make([]Rollout, n)
		for i := range r {
			r[i] = rollout(1, false)
		}
		for _, i := range right {
			r[i].Correct = true
		}
		return r
	}
	// A right answer in four, without weight on the format: r = 1, 0, 0, 0.
	c := Paper()
	c.FormatWeight = 0
	require.InDeltaSlice(t, []float64{1.732047, -0.577349, -0.577349, -0.577349}, bases(assign(t, c, nil, answers(4, 0)...)), 1e-6)
	c.Std = Sample
	require.InDeltaSlice(t, []float64{1.499997, -0.499999, -0.499999, -0.499999}, bases(assign(t, c, nil, answers(4, 0)...)), 1e-6)

	// r = 1, 1, .9, .1, .1, .1, 0, 0: mean 0.4, deviation of the sample 0.472077.
	r := answers(8, 0, 1, 2)
	for _, i := range []int{2, 6, 7} {
		r[i].WellFormed = false
	}
	c = Recipe()
	out := assign(t, c, nil, r...)
	require.InDeltaSlice(t, []float64{1.270975, 1.270975, 1.059146, -0.635488, -0.635488, -0.635488, -0.847317, -0.847317}, bases(out), 1e-6)
	require.InDelta(t, 0.9, out[2].BaseReward, 1e-15)
	require.InDelta(t, 0.1, out[3].BaseReward, 1e-15)

	// Equal rewards and groups of one: exactly zero, where the mean is inexact too.
	for _, c := range []Config{Paper(), Recipe()} {
		for _, n := range []int{1, 3, 8, 15} {
			r := answers(n)
			for i := range r {
				r[i].Correct, r[i].WellFormed = true, false
			}
			for _, e := range []Estimator{SRaR, RaR, GRPO, Merged, Raw} {
				c.Estimator = e
				for _, o := range assign(t, c, nil, r...) {
					require.Zero(t, o.BaseAdvantage)
					require.Equal(t, make([]float32, len(o.Advantages)), o.Advantages)
				}
			}
		}
	}
}

// Three of eight rollouts earn the same: the recipe's group is those three and
// nothing is left of the signal; the paper's group is all that were looked at.
func TestGroupOfStep(t *testing.T) {
	items := []rubric.Item{{ID: 1, Type: rubric.SUGGEST, Text: "a"}, {ID: 2, Type: rubric.SUGGEST, Text: "b"}}
	var r []Rollout
	for i := range 8 {
		r = append(r, rollout(1, i%2 == 0, Verdict{1, i < 3, 1}, Verdict{2, false, -1}))
	}
	recipe, paper := assign(t, Recipe(), items, r...), assign(t, Paper(), items, r...)
	// d = .4 three times, 0 five times: mean .15, deviation sqrt(.0375).
	for i := range r {
		require.Equal(t, []float64{0}, recipe[i].StepAdvantages)
		want := -0.15 / (math.Sqrt(0.0375) + 1e-6)
		if i < 3 {
			want = 0.25 / (math.Sqrt(0.0375) + 1e-6)
		}
		require.InDelta(t, want, paper[i].StepAdvantages[0], 1e-9)
	}
	// With 0.4 and 0.8 the recipe punishes the credited 0.4 and lets the idle go.
	r = []Rollout{
		rollout(1, true, Verdict{1, true, 1}, Verdict{2, false, -1}), rollout(1, true, Verdict{1, true, 1}, Verdict{2, true, 1}),
		rollout(1, true, Verdict{1, false, 1}, Verdict{2, false, 1}), rollout(1, true, Verdict{1, false, 1}, Verdict{2, false, 1}),
	}
	recipe, paper = assign(t, Recipe(), items, r...), assign(t, Paper(), items, r...)
	require.InDelta(t, -0.707, recipe[0].StepAdvantages[0], 1e-3)
	require.Zero(t, recipe[2].StepAdvantages[0])
	require.Positive(t, paper[0].StepAdvantages[0])
	require.Negative(t, paper[2].StepAdvantages[0])
}

// A satisfied item whose budget is zero still makes its rollout a member.
func TestGroupBySatisfiedOfNoWorth(t *testing.T) {
	items := []rubric.Item{{ID: 1, Type: rubric.SUGGEST, Text: "a"}, {ID: 2, Type: rubric.BONUS, Text: "b"}}
	c := with(func(c *Config) { c.GroupBy, c.Bonus = Satisfied, 0 })
	out := assign(t, c, items, rollout(1, true, Verdict{1, true, 1}, Verdict{2, false, 1}), rollout(1, true, Verdict{1, false, 1}, Verdict{2, true, 1}), rollout(1, true, Verdict{1, false, 1}, Verdict{2, false, 1}))
	require.InDelta(t, 1, out[0].StepAdvantages[0], 1e-5)
	require.InDelta(t, -1, out[1].StepAdvantages[0], 1e-5)
	require.Zero(t, out[2].StepAdvantages[0])
}

// The five estimators on one group, by hand: budgets .8, -1, 1; rollout 0 earns
// .4 at step 1 and 1 for the whole, rollout 1 costs 1 at step 1, rollout 2 has
// no verdict, rollout 3 satisfies nothing.
func TestEstimators(t *testing.T) {
	group := []Rollout{
		rollout(2, true, all(1, nope, nope, 0)...), rollout(2, false, all(nope, nope, 1, nope)...),
		unjudged(Failed, 2, true), rollout(2, false, all(nope, nope, nope, nope)...),
	}
	type row struct {
		steps []float64
		rest  float64 // of tokens outside every step
	}
	const (
		b = 0.9999977777827159 // (1-.55)/(.45+1e-6): the outcome advantage of a right answer
	)
	// rar: rubric sums 1.4, -1, -, 0 with mean 2/15 for the failed one.
	scalars := []float64{1 + 1.4, .1 - 1, 1 + .4/3, .1}
	mu, sigma := 0.0, 0.0
	for _, s := range scalars {
		mu += s / 4
	}
	for _, s := range scalars {
		sigma += (s - mu) * (s - mu) / 4
	}
	var m [4]float64
	for i, s := range scalars {
		m[i] = (s - mu) / (math.Sqrt(sigma) + 1e-6)
	}
	dbar := 0.7 / (0.7 + 1e-6) // d = .4 and -1
	for _, c := range []struct {
		est   Estimator
		whole Whole
		want  [4]row
	}{
		{GRPO, Drop, [4]row{{[]float64{b, b}, b}, {[]float64{-b, -b}, -b}, {[]float64{b, b}, b}, {[]float64{-b, -b}, -b}}},
		{SRaR, Drop, [4]row{{[]float64{b + dbar, b}, b}, {[]float64{-b - dbar, -b}, -b}, {[]float64{b, b}, b}, {[]float64{-b, -b}, -b}}},
		// One rollout alone has an item for the whole: nothing to compare it with.
		{SRaR, Broadcast, [4]row{{[]float64{b + dbar, b}, b}, {[]float64{-b - dbar, -b}, -b}, {[]float64{b, b}, b}, {[]float64{-b, -b}, -b}}},
		{Raw, Drop, [4]row{{[]float64{b + .4, b}, b}, {[]float64{-b - 1, -b}, -b}, {[]float64{b, b}, b}, {[]float64{-b, -b}, -b}}},
		{Raw, Broadcast, [4]row{{[]float64{b + 1.4, b + 1}, b + 1}, {[]float64{-b - 1, -b}, -b}, {[]float64{b, b}, b}, {[]float64{-b, -b}, -b}}},
		{RaR, Drop, [4]row{{[]float64{m[0], m[0]}, m[0]}, {[]float64{m[1], m[1]}, m[1]}, {[]float64{m[2], m[2]}, m[2]}, {[]float64{m[3], m[3]}, m[3]}}},
		{Merged, Drop, [4]row{{[]float64{m[0], 0}, 0}, {[]float64{m[1], 0}, 0}, {[]float64{m[2], m[2]}, m[2]}, {[]float64{m[3], m[3]}, m[3]}}},
		{Merged, Broadcast, [4]row{{[]float64{m[0], m[0]}, m[0]}, {[]float64{m[1], 0}, 0}, {[]float64{m[2], m[2]}, m[2]}, {[]float64{m[3], m[3]}, m[3]}}},
	} {
		t.Run(fmt.Sprintf("%s %s", c.est, c.whole), func(t *testing.T) {
			out := assign(t, with(func(x *Config) { x.Estimator, x.Whole = c.est, c.whole }), oneOfEach, group...)
			for i, w := range c.want {
				want := []float64{w.rest, w.steps[0], w.steps[0], w.steps[1], w.steps[1], w.rest}
				require.Len(t, out[i].Advantages, len(want))
				for k := range want {
					require.InDelta(t, want[k], out[i].Advantages[k], 1e-6, "rollout %d token %d", i, k)
				}
				require.Equal(t, []int32{0, 1, 1, 2, 2, 0}, out[i].TokenSteps)
			}
			require.InDeltaSlice(t, []float64{.4, 0}, out[0].StepRewards, 1e-15)
			require.InDeltaSlice(t, []float64{-1, 0}, out[1].StepRewards, 1e-15)
			require.Nil(t, out[2].StepRewards)
			require.Nil(t, out[2].StepAdvantages)
			require.Equal(t, []float64{0, 0}, out[3].StepRewards)
		})
	}
}

// Under broadcast the whole solution is normalised like a step and reaches every
// token, those outside of all steps included; it is in no column of steps.
func TestBroadcast(t *testing.T) {
	group := []Rollout{rollout(1, true, all(1, nope, nope, 0)...), rollout(1, true, all(1, nope, 0, nope)...)}
	out := assign(t, with(func(c *Config) { c.Whole = Broadcast }), oneOfEach, group...)
	for i, want := range []float32{1, -1} { // d_0 = 1 and -1
		for _, a := range out[i].Advantages {
			require.InDelta(t, want, a, 1e-5)
		}
		require.Equal(t, []float64{.4}, out[i].StepRewards)
		require.Equal(t, []float64{0}, out[i].StepAdvantages)
	}
	for _, o := range assign(t, Paper(), oneOfEach, group...) {
		require.Equal(t, make([]float32, 4), o.Advantages)
	}
}

// What the step adds, in words: the column's value under each estimator.
func TestStepAdvantages(t *testing.T) {
	group := []Rollout{rollout(2, true, all(1, nope, nope, 0)...), rollout(2, false, all(nope, nope, 1, nope)...)}
	get := func(e Estimator, w Whole) []float64 {
		return assign(t, with(func(c *Config) { c.Estimator, c.Whole = e, w }), oneOfEach, group...)[0].StepAdvantages
	}
	require.Equal(t, []float64{0, 0}, get(GRPO, Drop))
	require.Equal(t, []float64{0, 0}, get(RaR, Drop))
	require.InDeltaSlice(t, []float64{1, 0}, get(SRaR, Drop), 1e-5)
	require.InDeltaSlice(t, []float64{.4, 0}, get(Raw, Broadcast), 1e-15)
	require.InDeltaSlice(t, []float64{1, 0}, get(Merged, Drop), 1e-5)
	require.Equal(t, []float64{0, 0}, get(Merged, Broadcast)) // all tokens are meant
}

// A deviation that does not exceed eps is zero in steps; the outcome has no
// such threshold.
func TestEps(t *testing.T) {
	items := []rubric.Item{{ID: 1, Type: rubric.SUGGEST, Text: "a"}}
	r := []Rollout{rollout(1, true, Verdict{1, true, 1}), rollout(1, false, Verdict{1, false, 1})}
	at := func(eps float64) []Credit { return assign(t, with(func(c *Config) { c.Eps = eps }), items, r...) }
	require.InDelta(t, .4/(.4+.39), at(.39)[0].StepAdvantages[0], 1e-12) // d = .8, 0
	require.Zero(t, at(.4)[0].StepAdvantages[0])
	require.InDelta(t, .45/(.45+5), at(5)[0].BaseAdvantage, 1e-12)
	tiny := assign(t, with(func(c *Config) { c.Suggest = 1e-9 }), items, r...)
	require.Zero(t, tiny[0].StepAdvantages[0]) // 5e-10/(5e-10+1e-6) would be noise
}

// Rollouts that satisfy as much earn the same to the bit, whatever the order
// of their verdicts, so that a group of them has no signal at all.
func TestSameSumsAreEqual(t *testing.T) {
	items := []rubric.Item{{ID: 1, Type: rubric.SUGGEST, Text: "a"}, {ID: 2, Type: rubric.SUGGEST, Text: "b"}, {ID: 3, Type: rubric.PITFALL, Text: "c"}, {ID: 4, Type: rubric.SUGGEST, Text: "d"}, {ID: 5, Type: rubric.PITFALL, Text: "e"}, {ID: 6, Type: rubric.PITFALL, Text: "f"}}
	// .8/3 + .8/3 - 1/3 and -1/3 + .8/3 + .8/3 differ in floating point.
	v := []Verdict{{1, true, 1}, {2, true, 1}, {3, true, 1}, {4, false, 1}, {5, false, 1}, {6, false, 1}}
	w := []Verdict{{3, true, 1}, {2, true, 1}, {4, true, 1}, {1, false, 1}, {5, false, 1}, {6, false, 1}}
	out := assign(t, with(func(c *Config) { c.Estimator = RaR }), items, rollout(1, true, v...), rollout(1, true, w...))
	require.Equal(t, []float32{0, 0, 0, 0}, out[0].Advantages)
	require.Equal(t, out[0].StepRewards, out[1].StepRewards)
}

// Doing nothing does not score: a response without a satisfied item earns
// nothing, and less than one that did what was asked for.
func TestJ8DoingNothingDoesNotScore(t *testing.T) {
	idle := rollout(1, false, all(nope, nope, nope, nope)...)
	idle.WellFormed, idle.Response, idle.Steps = false, "", []steps.Step{{}}
	idle.Tokens, idle.Offsets = 1, []int32{0}
	for _, e := range []Estimator{SRaR, RaR, Merged, Raw, GRPO} {
		out := assign(t, with(func(c *Config) { c.Estimator = e }), oneOfEach, idle, rollout(1, true, all(1, nope, nope, nope)...))
		require.Equal(t, []float64{0}, out[0].StepRewards, e)
		require.Zero(t, out[0].BaseReward, e)
		require.Less(t, out[0].Advantages[0], out[1].Advantages[0], e)
	}
}

func TestPitfallIsTakenByItsSize(t *testing.T) {
	r := []Rollout{rollout(1, true, all(nope, nope, 1, nope)...)}
	for _, p := range []float64{-.5, .5} {
		out := assign(t, with(func(c *Config) { c.Pitfall = p }), oneOfEach, r...)
		require.Equal(t, []float64{-.5}, out[0].StepRewards)
	}
}

func TestSpans(t *testing.T) {
	r := rollout(2, true, all(nope, nope, nope, nope)...)
	r.Response, r.Steps = "0123456789", []steps.Step{{Start: 2, End: 5}, {Start: 5, End: 10}}
	r.Offsets, r.Tokens = []int32{0, 2, 3, 4, 10}, 5
	require.Equal(t, []int32{0, 1, 1, 1, 0}, assign(t, Paper(), oneOfEach, r)[0].TokenSteps)
	require.Equal(t, []int32{0, 1, 2, 2, 2}, assign(t, Recipe(), oneOfEach, r)[0].TokenSteps)
}

func TestErrors(t *testing.T) {
	good := func() Rollout { return rollout(2, true, all(1, 2, nope, 0)...) }
	for _, c := range []struct {
		says string
		harm func(r *Rollout)
	}{
		{"judge status ok without verdicts", func(r *Rollout) { r.Verdicts = nil }},
		{"verdict of item 3, which the rubric lacks", func(r *Rollout) { r.Verdicts[0].ID = 3 }},
		{"verdict of item 6, which is an ANSWER item", func(r *Rollout) { r.Verdicts = append(r.Verdicts, Verdict{ID: 6}) }},
		{"two verdicts of item 2", func(r *Rollout) { r.Verdicts[0].ID = 2 }},
		{"3 of 4 items have a verdict", func(r *Rollout) { r.Verdicts = r.Verdicts[:3] }},
		{"0 of 4 items have a verdict", func(r *Rollout) { r.Verdicts = r.Verdicts[:0] }},
		{"item 4 is tied to step 3 of 2", func(r *Rollout) { r.Verdicts[2].Step = 3 }},
		{"item 5 is tied to step -2 of 2", func(r *Rollout) { r.Verdicts[3].Step = -2 }},
		{`unknown judge status "fine"`, func(r *Rollout) { r.Status = "fine" }},
		{"5 offsets for 6 tokens", func(r *Rollout) { r.Offsets = r.Offsets[:5] }},
		{"offset -1 of token 0 lies outside", func(r *Rollout) { r.Offsets[0] = -1 }},
		{"offset 10 of token 5 lies outside the response of 9 bytes", func(r *Rollout) { r.Offsets[5] = 10 }},
		{"step 2 spans bytes 5 to 10", func(r *Rollout) { r.Steps[1].End = 10 }},
		{"step 2 spans bytes 4 to 9 of a response of 9 bytes, from 5 on", func(r *Rollout) { r.Steps[1].Start = 4 }},
		{"step 1 spans bytes 5 to 4", func(r *Rollout) { r.Steps[0].Start, r.Steps[0].End = 5, 4 }},
	} {
		r := good()
		c.harm(&r)
		p := Paper()
		out, _, err := p.Assign(&Group{Items: oneOfEach, Rollouts: []Rollout{good(), r}})
		var e *Error
		require.ErrorAs(t, err, &e, c.says)
		require.Equal(t, 1, e.Row)
		require.ErrorContains(t, err, "rollout 1: "+c.says)
		require.Nil(t, out)
	}
	p := Paper()
	_, _, err := p.Assign(&Group{Items: []rubric.Item{{ID: 1, Type: "NOTE"}}})
	require.EqualError(t, err, `item 1 has the unknown type "NOTE"`)
	_, _, err = p.Assign(&Group{Items: []rubric.Item{{ID: 1, Type: rubric.BONUS}, {ID: 1, Type: rubric.BONUS}}})
	require.EqualError(t, err, "two items have the id 1")
	out, counts, err := p.Assign(&Group{Items: oneOfEach})
	require.NoError(t, err)
	require.Empty(t, out)
	require.Zero(t, counts.SameOutcome+counts.OneRollout)
}

func TestValidate(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		says string
		harm func(c *Config)
	}{
		{"estimator", func(c *Config) { c.Estimator = "ppo" }},
		{"group-by", func(c *Config) { c.GroupBy = "all" }},
		{"std", func(c *Config) { c.Std = "0" }},
		{"eps", func(c *Config) { c.Eps = 0 }},
		{"eps", func(c *Config) { c.Eps = -1 }},
		{"eps", func(c *Config) { c.Eps = nan }},
		{"eps", func(c *Config) { c.Eps = inf }},
		{"whole-solution", func(c *Config) { c.Whole = "keep" }},
		{"spans", func(c *Config) { c.Spans = "chars" }},
		{"format-weight", func(c *Config) { c.FormatWeight = 1.5 }},
		{"format-weight", func(c *Config) { c.FormatWeight = -.1 }},
		{"format-weight", func(c *Config) { c.FormatWeight = nan }},
		{"suggest", func(c *Config) { c.Suggest = inf }},
		{"suggest", func(c *Config) { c.Suggest = -.1 }},
		{"bonus", func(c *Config) { c.Bonus = nan }},
		{"bonus", func(c *Config) { c.Bonus = -1 }},
		{"pitfall", func(c *Config) { c.Pitfall = -inf }},
		{"pitfall", func(c *Config) { c.Pitfall = nan }},
	} {
		require.ErrorContains(t, func() error { x := with(c.harm); return x.Validate() }(), c.says+" is ")
	}
	p, r := Paper(), Recipe()
	require.NoError(t, p.Validate())
	require.NoError(t, r.Validate())
}

func TestCounts(t *testing.T) {
	restart := rollout(3, true, all(1, 1, 0, -1)...)
	restart.Steps[2].Printed = 1
	plain := rollout(1, true, all(nope, nope, nope, 1)...)
	plain.Steps[0] = steps.Step{End: len(plain.Response)}
	late := rollout(1, false, all(1, nope, nope, nope)...) // a heading whose number is too large
	late.Steps[0].HasPrinted = false
	p := Paper()
	_, got, err := p.Assign(&Group{Items: oneOfEach, Rollouts: []Rollout{restart, plain, late, unjudged(Failed, 1, true), unjudged(TooLong, 1, true), unjudged(Skipped, 1, true)}})
	require.NoError(t, err)
	want := Counts{Groups: 1, Rollouts: 6, Right: 5, NoHeading: 1, Restarts: 1, Judged: 3, Failed: 1, TooLong: 1, Skipped: 1,
		Items: 12, Satisfied: 6, Whole: 1, Nowhere: 7, StepGroups: 1}
	require.Equal(t, want, got)
	require.Equal(t, 3, got.Excluded())

	// Numbers that fall or repeat restart; those that leave some out do not.
	for _, c := range []struct {
		printed  [3]int32
		restarts int
	}{{[3]int32{1, 2, 3}, 0}, {[3]int32{2, 5, 9}, 0}, {[3]int32{1, 2, 2}, 1}, {[3]int32{3, 1, 2}, 1}, {[3]int32{2, 1, 1}, 1}} {
		r := rollout(3, true, all(1, 1, 0, -1)...)
		for k, n := range c.printed {
			r.Steps[k].Printed = n
		}
		_, got, err = p.Assign(&Group{Items: oneOfEach, Rollouts: []Rollout{r}})
		require.NoError(t, err)
		require.Equal(t, c.restarts, got.Restarts, c.printed)
	}

	_, got, err = p.Assign(&Group{Items: oneOfEach, Rollouts: []Rollout{rollout(2, true, all(1, nope, nope, 2)...), rollout(2, true, all(1, nope, nope, nope)...)}})
	require.NoError(t, err)
	require.Equal(t, [4]int{1, 2, 1, 1}, [4]int{got.SameOutcome, got.StepGroups, got.SingleStepGroups, got.FlatStepGroups})
	_, one, err := p.Assign(&Group{Items: oneOfEach, Rollouts: []Rollout{rollout(1, true, all(1, 1, 1, 1)...)}})
	require.NoError(t, err)
	require.Equal(t, 1, one.OneRollout)
	sum := got
	sum.Add(one)
	require.Equal(t, Counts{Groups: 2, OneRollout: 1, SameOutcome: 1, Rollouts: 3, Right: 3, Judged: 3, Items: 12, Satisfied: 7, Nowhere: 5, StepGroups: 3, SingleStepGroups: 2, FlatStepGroups: 1}, sum)
}
