package reward

import (
	"math"
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

// drawGroup draws a group with the share of rollouts that lack verdicts.
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
		k := rapid.IntRange(1, 5).Draw(t, "K")
		r := rollout(k, rapid.Bool().Draw(t, "correct"))
		r.WellFormed = rapid.Bool().Draw(t, "well formed")
		r.Status = rapid.SampledFrom([]string{OK, OK, OK, OK, Failed, TooLong, Skipped}).Draw(t, "status")
		if r.Status != OK {
			r.Verdicts = nil
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

// The outcome advantages of a group sum to zero, as do the step advantages over
// G_k; where the deviation of G_k counts, their mean square is one up to eps.
func TestLawSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, g := drawConfig(t), drawGroup(t, true)
		c.Estimator = SRaR
		out := mustAssign(t, c, g)
		sum := 0.0
		for i := range out {
			sum += out[i].BaseAdvantage
		}
		require.InDelta(t, 0, sum, 1e-9)
		for k := 1; k <= 5; k++ {
			var bar, d []float64
			for i, r := range g.Rollouts {
				member := false
				for _, v := range r.Verdicts {
					member = member || int(v.Step) == k && (v.Satisfied || c.GroupBy == Attributed)
				}
				switch {
				case member:
					bar, d = append(bar, out[i].StepAdvantages[k-1]), append(d, out[i].StepRewards[k-1])
				case r.Status == OK && k <= len(r.Steps):
					require.Zero(t, out[i].StepAdvantages[k-1])
				}
			}
			if len(d) < 2 {
				for _, b := range bar {
					require.Zero(t, b)
				}
				continue
			}
			sum, square, mean, spread := 0.0, 0.0, 0.0, 0.0
			for i := range d {
				sum += bar[i]
				square += bar[i] * bar[i]
				mean += d[i] / float64(len(d))
			}
			for _, x := range d {
				spread += (x - mean) * (x - mean)
			}
			n := float64(len(d))
			if c.Std == Sample {
				n--
			}
			require.InDelta(t, 0, sum, 1e-9)
			sigma := math.Sqrt(spread / n)
			switch {
			case sigma > c.Eps*(1+1e-9):
				require.InDelta(t, math.Pow(sigma/(sigma+c.Eps), 2), square/n, 1e-9)
			case sigma < c.Eps*(1-1e-9):
				require.Zero(t, square)
			}
		}
	})
}

// The scalars of rar sum to zero too, rollouts without verdicts included.
func TestLawScalarSum(t *testing.T) {
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

// Without rubric items, or without verdicts, every estimator is grpo bit for bit.
func TestLawWithoutRubric(t *testing.T) {
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

// The step rewards of a rollout stay within the budgets.
func TestLawBudgets(t *testing.T) {
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

// Permuting the rollouts permutes the result.
func TestLawPermutation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, g := drawConfig(t), drawGroup(t, true)
		at := make([]int, len(g.Rollouts))
		for i := range at {
			at[i] = i
		}
		at = rapid.Permutation(at).Draw(t, "order")
		h := &Group{Items: g.Items}
		for _, i := range at {
			h.Rollouts = append(h.Rollouts, g.Rollouts[i])
		}
		a, b := mustAssign(t, c, g), mustAssign(t, c, h)
		for j, i := range at {
			require.Equal(t, a[i].BaseReward, b[j].BaseReward)
			require.InDelta(t, a[i].BaseAdvantage, b[j].BaseAdvantage, 1e-9)
			require.Equal(t, a[i].StepRewards, b[j].StepRewards)
			require.Equal(t, a[i].TokenSteps, b[j].TokenSteps)
			require.Len(t, b[j].StepAdvantages, len(a[i].StepAdvantages))
			for k := range a[i].StepAdvantages {
				require.InDelta(t, a[i].StepAdvantages[k], b[j].StepAdvantages[k], 1e-9)
			}
			for k := range a[i].Advantages {
				require.InDelta(t, a[i].Advantages[k], b[j].Advantages[k], 1e-5)
			}
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
