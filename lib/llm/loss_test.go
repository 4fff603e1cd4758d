package llm

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func pg() Loss {
	return Loss{Kind: "pg", ClipLow: 0.2, ClipHigh: 0.28, DualClip: 10, Aggregate: "token-mean", KLKind: "k3"}
}

func TestPolicyGradientTerms(t *testing.T) {
	l := pg()
	for _, c := range []struct {
		name             string
		ratio, adv       float64
		loss, derivative float64
		clipped          bool
	}{
		{"on policy", 1, 2, -2, -2, false},
		{"gain inside the range", 1.2, 2, -2.4, -2.4, false},
		{"gain above it", 1.5, 2, -2.56, 0, true},
		{"gain below it", 0.5, 2, -1, -1, false},
		{"loss inside the range", 0.9, -2, 1.8, 1.8, false},
		{"loss below it", 0.5, -2, 1.6, 0, true},
		{"loss above it", 5, -2, 10, 10, false},
		{"loss beyond the dual clip", 12, -2, 20, 0, false},
		{"no advantage", 12, 0, 0, 0, false},
	} {
		x := l.token(math.Log(c.ratio), 0, 0, c.adv)
		require.InDelta(t, c.loss, x.loss, 1e-12, c.name)
		require.InDelta(t, c.derivative, x.dloss, 1e-12, c.name)
		require.InDelta(t, c.ratio, x.ratio, 1e-12, c.name)
		require.Equal(t, c.clipped, x.clipped, c.name)
	}
}

func TestRatioIsBounded(t *testing.T) {
	l := pg()
	x := l.token(0, -25, 0, -1)
	require.InDelta(t, 4.85e8, x.ratio, 1e6)
	require.Equal(t, 10.0, x.loss)
	l.DualClip = 0
	x = l.token(0, -25, 0, -1)
	require.Equal(t, x.ratio, x.loss)
	require.Zero(t, x.dloss)
}

func TestDivergenceBounds(t *testing.T) {
	for _, c := range []struct {
		kind           string
		delta, kl, dkl float64
	}{
		{"k1", -30, -30, 1}, {"abs", -30, 30, -1}, {"abs", 0, 0, 0}, {"k2", -30, 450, -30},
		{"k3", 0, 0, 0}, {"k3", -5, 10, 0}, {"k3", 25, 10, 0}, {"k3", 1, math.Exp(-1), 1 - math.Exp(-1)},
	} {
		kl, dkl := divergence(c.kind, c.delta)
		require.InDelta(t, c.kl, kl, 1e-12, c)
		require.InDelta(t, c.dkl, dkl, 1e-12, c)
	}
}

// Derivatives are those of the values, where these have one.
func TestDerivativesAgainstDifferences(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := pg()
		l.Kind = rapid.SampledFrom([]string{"pg", "nll"}).Draw(t, "kind")
		l.ClipLow = rapid.Float64Range(0, 0.9).Draw(t, "low")
		l.ClipHigh = rapid.Float64Range(0, 2).Draw(t, "high")
		l.DualClip = rapid.SampledFrom([]float64{0, 1.5, 3, 10}).Draw(t, "dual")
		l.KL = rapid.SampledFrom([]float64{0, 0.1}).Draw(t, "kl")
		l.KLKind = rapid.SampledFrom([]string{"k1", "abs", "k2", "k3"}).Draw(t, "kl kind")
		logp, old := rapid.Float64Range(-25, 0).Draw(t, "logp"), rapid.Float64Range(-25, 0).Draw(t, "old")
		if rapid.Bool().Draw(t, "near") {
			old = logp + rapid.Float64Range(-1, 1).Draw(t, "shift")
		}
		ref, adv := logp+rapid.Float64Range(-4, 4).Draw(t, "ref"), rapid.Float64Range(-3, 3).Draw(t, "advantage")
		const h = 1e-6
		a, x, b := l.token(logp-h, old, ref, adv), l.token(logp, old, ref, adv), l.token(logp+h, old, ref, adv)
		// Away from a corner the second difference is of the order of h.
		slope, corner := (b.loss-a.loss)/(2*h), math.Abs(a.loss+b.loss-2*x.loss)/h
		if scale := 1 + math.Abs(slope) + math.Abs(x.loss); corner < 1e-3*scale {
			require.InDelta(t, slope, x.dloss, 1e-3*scale)
		}
		slope, corner = (b.kl-a.kl)/(2*h), math.Abs(a.kl+b.kl-2*x.kl)/h
		if corner < 1e-3 {
			require.InDelta(t, slope, x.dkl, 1e-3*(1+math.Abs(slope)))
		}
	})
}

func TestAggregation(t *testing.T) {
	lengths := []int{3, 1, 5}
	value := func(i, t int) float64 { return float64(10*i + t + 1) }
	sum, rowMeans := 0.0, 0.0
	for i, n := range lengths {
		row := 0.0
		for t := range n {
			row += value(i, t)
		}
		sum += row
		rowMeans += row / float64(n)
	}
	for kind, want := range map[string]float64{
		"token-mean": sum / 9, "seq-mean-token-mean": rowMeans / 3, "seq-mean-token-sum": sum / 3, "seq-mean-token-sum-norm": sum / (3 * 5),
	} {
		l := Loss{Aggregate: kind}
		got := 0.0
		for i, n := range lengths {
			for t := range n {
				got += l.weight(n) * value(i, t)
			}
		}
		require.InDelta(t, want, got*l.scale(9, 3, 5), 1e-6, kind)
	}
}

func TestLossSettings(t *testing.T) {
	good := pg()
	require.NoError(t, good.check())
	for _, c := range []struct {
		change func(l *Loss)
		err    string
	}{
		{func(l *Loss) { l.Kind = "ppo" }, `unknown loss "ppo"`},
		{func(l *Loss) { l.Aggregate = "mean" }, `unknown aggregation "mean"`},
		{func(l *Loss) { l.KL, l.KLKind = 0.1, "k4" }, `unknown kl kind "k4"`},
		{func(l *Loss) { l.ClipLow = 1.5 }, "clip low is 1.5"},
		{func(l *Loss) { l.ClipHigh = math.NaN() }, "clip high is NaN"},
		{func(l *Loss) { l.DualClip = 1 }, "dual clip is 1"},
		{func(l *Loss) { l.KL = -1 }, "kl coefficient is -1"},
		{func(l *Loss) { l.Entropy = math.Inf(1) }, "entropy coefficient is +Inf"},
	} {
		l := good
		c.change(&l)
		require.EqualError(t, l.check(), c.err)
	}
}
