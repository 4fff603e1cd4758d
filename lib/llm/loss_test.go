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
		x := l.token(given{logp: math.Log(c.ratio), drift: math.Log(c.ratio), adv: c.adv, weight: 1})
		require.InDelta(t, c.loss, x.loss, 1e-12, c.name)
		require.InDelta(t, c.derivative, x.dloss, 1e-12, c.name)
		require.InDelta(t, c.ratio, x.ratio, 1e-12, c.name)
		require.Equal(t, c.clipped, x.clipped, c.name)
	}
}

func TestRatioIsBounded(t *testing.T) {
	l := pg()
	far := given{drift: 25, adv: -1, weight: 1}
	x := l.token(far)
	require.InDelta(t, 4.85e8, x.ratio, 1e6)
	require.Equal(t, 10.0, x.loss)
	l.DualClip = 0
	x = l.token(far)
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

// Derivatives are those of the values, where these have one; what a loss takes
// for a constant (cispo's ratio, gspo's but for the token's own part, the weight)
// stays as it is.
func TestDerivativesAgainstDifferences(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := pg()
		l.Kind = rapid.SampledFrom(LossKinds).Draw(t, "kind")
		l.ClipLow = rapid.Float64Range(0, 0.9).Draw(t, "low")
		l.ClipHigh = rapid.Float64Range(0, 2).Draw(t, "high")
		l.DualClip = rapid.SampledFrom([]float64{0, 1.5, 3, 10}).Draw(t, "dual")
		l.KL = rapid.SampledFrom([]float64{0, 0.1}).Draw(t, "kl")
		l.KLKind = rapid.SampledFrom(KLKinds).Draw(t, "kl kind")
		logp, old := rapid.Float64Range(-25, 0).Draw(t, "logp"), rapid.Float64Range(-25, 0).Draw(t, "old")
		if rapid.Bool().Draw(t, "near") {
			old = logp + rapid.Float64Range(-1, 1).Draw(t, "shift")
		}
		ref, adv := logp+rapid.Float64Range(-4, 4).Draw(t, "ref"), rapid.Float64Range(-3, 3).Draw(t, "advantage")
		weight := rapid.Float64Range(0, 2).Draw(t, "weight")
		const h = 1e-6
		at := func(step float64) term {
			g := given{logp: logp + step, drift: logp - old + step, ref: ref, adv: adv, weight: weight}
			if l.Kind == "cispo" {
				g.drift = logp - old
			}
			return l.token(g)
		}
		a, x, b := at(-h), at(0), at(h)
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

func TestCISPOTerms(t *testing.T) {
	l := Loss{Kind: "cispo", ClipLow: 1, ClipHigh: 4, Aggregate: "token-mean"}
	for _, c := range []struct {
		name                   string
		ratio, adv, derivative float64
		clipped                bool
	}{
		{"on policy", 1, 2, -2, false},
		{"below", 0.001, 2, -0.002, false},
		{"gain above", 7, 2, -10, true},
		{"loss above", 7, -2, 10, true},
	} {
		x := l.token(given{logp: -3, drift: math.Log(c.ratio), adv: c.adv, weight: 1})
		require.InDelta(t, c.derivative, x.dloss, 1e-12, c.name)
		require.InDelta(t, -3*c.derivative, x.loss, 1e-12, c.name)
		require.InDelta(t, c.ratio, x.ratio, 1e-12, c.name)
		require.Equal(t, c.clipped, x.clipped, c.name)
	}
}

func TestImportance(t *testing.T) {
	l := Loss{Cap: 2}
	for _, c := range [][2]float64{{0, 1}, {0.5, math.Exp(0.5)}, {1, 2}, {900, 2}, {-1, math.Exp(-1)}, {-900, math.Exp(-20)}} {
		require.InDelta(t, c[1], l.importance(c[0]), 1e-15)
	}
	x := Loss{Kind: "pg", ClipHigh: 9}
	plain := x.token(given{drift: 0.3, adv: 2, weight: 1})
	half := x.token(given{drift: 0.3, adv: 2, weight: 0.5})
	require.Equal(t, plain.loss/2, half.loss)
	require.Equal(t, plain.dloss/2, half.dloss)
	require.Equal(t, plain.ratio, half.ratio)
}

func TestComparison(t *testing.T) {
	compare := func(a, b [][]float32) Difference {
		var c Comparison
		for i := range a {
			c.Add(a[i], b[i])
		}
		return c.Result()
	}
	d := compare([][]float32{{-1, -2}, {-3}, {}}, [][]float32{{-1.5, -2}, {}, {}})
	require.EqualValues(t, 2, d.Tokens)
	require.Equal(t, 0.25, d.Mean)
	require.Equal(t, 0.5, d.Max)
	require.InDelta(t, 1, d.Pearson, 1e-12) // two points lie on a line
	none := compare(nil, nil)
	require.Zero(t, none.Mean)
	require.Zero(t, none.Max)
	require.True(t, math.IsNaN(none.Pearson))
	same := [][]float32{{-1, -2, -0.1, -7}, {-3, -0.01}}
	require.Equal(t, 1.0, compare(same, same).Pearson)
	// By hand: 1/2 1/4 1/8 against 1/4 1/2 1/8.
	p, q := float32(math.Log(0.5)), float32(math.Log(0.25))
	d = compare([][]float32{{p, q, p + q}}, [][]float32{{q, p, p + q}})
	require.InDelta(t, 1.0/7, d.Pearson, 1e-6)
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
		{func(l *Loss) { l.Importance = "both" }, `unknown importance "both"`},
		{func(l *Loss) { l.Importance = "token" }, "importance cap is 0"},
		{func(l *Loss) { l.Kind, l.Importance = "nll", "token" }, `importance "token" has no meaning for loss nll`},
	} {
		l := good
		c.change(&l)
		require.EqualError(t, l.check(), c.err)
	}
}
