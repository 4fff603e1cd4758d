package reward

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"srar/lib/rubric"
)

var estimators = []Estimator{SRaR, RaR, GRPO, Merged, Raw}

func drawConfig(t *rapid.T) Config {
	c := Paper()
	c.Estimator = rapid.SampledFrom(estimators).Draw(t, "estimator")
	c.GroupBy = rapid.SampledFrom([]GroupBy{Attributed, Satisfied}).Draw(t, "group by")
	c.Std = rapid.SampledFrom([]Std{Population, Sample}).Draw(t, "std")
	c.Whole = rapid.SampledFrom([]Whole{Drop, Broadcast}).Draw(t, "whole")
	c.Spans = rapid.SampledFrom([]Spans{Exact, Proportional}).Draw(t, "spans")
	c.Eps = rapid.SampledFrom([]float64{1e-6, 1e-3, .13}).Draw(t, "eps")
	c.FormatWeight = rapid.SampledFrom([]float64{0, .1, 1}).Draw(t, "lambda")
	c.Suggest = rapid.Float64Range(0, 4).Draw(t, "suggest")
	c.Pitfall = rapid.Float64Range(-4, 4).Draw(t, "pitfall")
	c.Bonus = rapid.Float64Range(0, 4).Draw(t, "bonus")
	require.NoError(t, c.Validate())
	return c
}

// deepest is the largest K that drawGroup draws.
const deepest = 5

// drawGroup draws a group, with items or without a rubric; some rollouts lack
// verdicts.
func drawGroup(t *rapid.T, items bool) *Group {
	g := &Group{}
	if items {
		id := int32(0)
		for range rapid.IntRange(0, 8).Draw(t, "items") {
			id += rapid.Int32Range(1, 3).Draw(t, "gap")
			g.Items = append(g.Items, rubric.Item{ID: id, Type: rapid.SampledFrom(rubric.Types[:]).Draw(t, "type"), Text: "x"})
		}
	}
	for range rapid.IntRange(1, 9).Draw(t, "n") {
		k := rapid.IntRange(1, deepest).Draw(t, "K")
		r := rollout(k, rapid.Bool().Draw(t, "correct"))
		r.WellFormed = rapid.Bool().Draw(t, "well formed")
		r.Status = rapid.SampledFrom([]string{OK, OK, OK, OK, Failed, TooLong, Skipped}).Draw(t, "status")
		if r.Status != OK {
			r.Verdicts = nil
			if rapid.Bool().Draw(t, "left over") { // nobody reads them
				r.Verdicts = []Verdict{{ID: 99, Satisfied: true, Step: 1}}
			}
		} else {
			for _, it := range g.Items {
				if it.Type != rubric.ANSWER {
					r.Verdicts = append(r.Verdicts, Verdict{it.ID, rapid.Bool().Draw(t, "satisfied"), rapid.Int32Range(-1, int32(k)).Draw(t, "step")})
				}
			}
		}
		g.Rollouts = append(g.Rollouts, r)
	}
	return g
}

func mustAssign(t *rapid.T, c Config, g *Group) []Credit {
	out, _, err := c.Assign(g)
	require.NoError(t, err)
	return out
}

// stepGroup returns dbar and d of G_k: the rollouts with an item attributed to
// step k, or satisfied there.
func stepGroup(c *Config, g *Group, out []Credit, k int) (bar, d []float64) {
	for i, r := range g.Rollouts {
		if r.Status == OK && slices.ContainsFunc(r.Verdicts, func(v Verdict) bool {
			return int(v.Step) == k && (v.Satisfied || c.GroupBy == Attributed)
		}) {
			bar, d = append(bar, out[i].StepAdvantages[k-1]), append(d, out[i].StepRewards[k-1])
		}
	}
	return bar, d
}

// deviation is the definition of sigma, in the order of the rollouts.
func deviation(c *Config, d []float64) float64 {
	n, mean, square := float64(len(d)), 0.0, 0.0
	for _, x := range d {
		mean += x / n
	}
	for _, x := range d {
		square += (x - mean) * (x - mean)
	}
	if c.Std == Sample {
		n--
	}
	return math.Sqrt(square / n)
}

// sum_i A_i = 0 (method, eq. 6).
func TestLawOutcomeAdvantagesSumToZero(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sum := 0.0
		for _, o := range mustAssign(t, drawConfig(t), drawGroup(t, true)) {
			sum += o.BaseAdvantage
		}
		require.InDelta(t, 0, sum, 1e-12)
	})
}

// sum_{i in G_k} dbar_k,i = 0 (eq. 4), and nothing outside of G_k.
func TestLawStepAdvantagesSumToZero(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, g := drawConfig(t), drawGroup(t, true)
		c.Estimator = SRaR
		out := mustAssign(t, c, g)
		for k := 1; k <= deepest; k++ {
			bar, d := stepGroup(&c, g, out, k)
			sum, size := 0.0, 0.0
			for i, x := range bar {
				sum, size = sum+x, max(size, math.Abs(d[i]))
			}
			// Rewards of size s are known to s 2^-53, which sigma divides.
			require.InDelta(t, 0, sum, 1e-12+1e-14*size/c.Eps)
			inside := 0
			for i := range out {
				if k <= len(out[i].StepAdvantages) && out[i].StepAdvantages[k-1] != 0 {
					inside++
				}
			}
			require.LessOrEqual(t, inside, len(bar))
		}
	})
}

// With sigma_k > 0 the mean square of dbar over G_k is 1 up to eps (eq. 4), for
// the deviation that was asked for; it is 0 where sigma <= eps or |G_k| <= 1.
func TestLawStepAdvantagesHaveUnitMeanSquare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, g := drawConfig(t), drawGroup(t, true)
		c.Estimator = SRaR
		out := mustAssign(t, c, g)
		for k := 1; k <= deepest; k++ {
			bar, d := stepGroup(&c, g, out, k)
			square := 0.0
			for _, x := range bar {
				square += x * x
			}
			if len(d) < 2 {
				require.Zero(t, square)
				continue
			}
			n := float64(len(d))
			if c.Std == Sample {
				n--
			}
			sigma := deviation(&c, d)
			switch {
			case sigma > c.Eps*(1+1e-9):
				require.InDelta(t, math.Pow(sigma/(sigma+c.Eps), 2), square/n, 1e-8)
			case sigma < c.Eps*(1-1e-9):
				require.Zero(t, square)
			}
		}
	})
}

// The scalars of rar sum to zero too, rollouts without verdicts included.
func TestLawScalarsOfRaRSumToZero(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, g := drawConfig(t), drawGroup(t, true)
		c.Estimator = RaR
		sum, size := 0.0, 0.0
		for _, o := range mustAssign(t, c, g) {
			sum += float64(o.Advantages[0])
			size = max(size, math.Abs(float64(o.Advantages[0])))
		}
		require.InDelta(t, 0, sum, 1e-5*(1+size))
	})
}

// With no rubric srar equals grpo bit for bit, as every estimator does; so too
// without verdicts.
func TestLawWithoutRubricSRaREqualsGRPO(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t)
		g := drawGroup(t, rapid.Bool().Draw(t, "a rubric, and no verdicts"))
		if g.Items != nil {
			for i := range g.Rollouts {
				g.Rollouts[i].Status, g.Rollouts[i].Verdicts = Failed, nil
			}
		}
		got := mustAssign(t, c, g)
		c.Estimator = GRPO
		for i, want := range mustAssign(t, c, g) {
			require.Equal(t, want.BaseAdvantage, got[i].BaseAdvantage)
			for k := range want.Advantages {
				require.Equal(t, math.Float32bits(want.Advantages[k]), math.Float32bits(got[i].Advantages[k]))
			}
		}
	})
}

// R_PIT <= sum_k d_k,i <= R_SUG + R_BON (eq. 3).
func TestLawStepRewardsStayWithinBudgets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, g := drawConfig(t), drawGroup(t, true)
		for i, o := range mustAssign(t, c, g) {
			require.Equal(t, g.Rollouts[i].Status == OK, o.StepRewards != nil)
			sum := 0.0
			for _, d := range o.StepRewards {
				sum += d
			}
			require.GreaterOrEqual(t, sum, -math.Abs(c.Pitfall)-1e-12)
			require.LessOrEqual(t, sum, c.Suggest+c.Bonus+1e-12)
			require.Len(t, o.Advantages, g.Rollouts[i].Tokens)
			for _, a := range o.Advantages {
				require.False(t, math.IsNaN(float64(a)) || math.IsInf(float64(a), 0))
			}
		}
	})
}

// Permuting the rollouts, and the verdicts of each, permutes the result: no bit
// of it changes.
func TestLawPermutingRolloutsPermutesTheResult(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, g := drawConfig(t), drawGroup(t, true)
		at := make([]int, len(g.Rollouts))
		for i := range at {
			at[i] = i
		}
		at = rapid.Permutation(at).Draw(t, "order")
		h := &Group{Items: g.Items}
		for _, i := range at {
			r := g.Rollouts[i]
			if len(r.Verdicts) > 0 {
				r.Verdicts = rapid.Permutation(r.Verdicts).Draw(t, "verdicts")
			}
			h.Rollouts = append(h.Rollouts, r)
		}
		a, b := mustAssign(t, c, g), mustAssign(t, c, h)
		for j, i := range at {
			require.Equal(t, a[i], b[j])
		}
	})
}

// Rollouts without verdicts never change what steps earn for others: the rest
// of the group gets the same, to the bit, as if they were not there. Nor do they
// get anything of the rubric themselves.
func TestJ2FailedRolloutLeavesStatisticsAndGradient(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, g := drawConfig(t), drawGroup(t, true)
		c.Estimator = rapid.SampledFrom([]Estimator{SRaR, Raw}).Draw(t, "step estimator")
		h := &Group{Items: g.Items}
		for _, r := range g.Rollouts {
			if r.Status == OK {
				h.Rollouts = append(h.Rollouts, r)
			}
		}
		rest := mustAssign(t, c, h)
		for i, o := range mustAssign(t, c, g) {
			if g.Rollouts[i].Status != OK {
				for _, a := range o.Advantages {
					require.Equal(t, float32(o.BaseAdvantage), a)
				}
				continue
			}
			require.Equal(t, rest[0].StepRewards, o.StepRewards)
			require.Equal(t, rest[0].StepAdvantages, o.StepAdvantages)
			rest = rest[1:]
		}
		require.Empty(t, rest)
	})
}

// A token's advantage is that of its step: equal within a step, and the base
// outside of every step unless the whole solution counts.
func TestLawTokensFollowSteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, g := drawConfig(t), drawGroup(t, true)
		c.Estimator, c.Whole = rapid.SampledFrom([]Estimator{SRaR, Raw, GRPO}).Draw(t, "step estimator"), Drop
		for _, o := range mustAssign(t, c, g) {
			for i, k := range o.TokenSteps {
				want := o.BaseAdvantage
				if k > 0 && o.StepAdvantages != nil {
					want += o.StepAdvantages[k-1]
				}
				require.Equal(t, float32(want), o.Advantages[i])
			}
		}
	})
}
