package llm

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"srar/lib/real"
)

// plain draws from the model's own distribution.
func plain(limit int) Sampling {
	return Sampling{Temperature: 1, TopP: 1, Repetition: 1, MaxTokens: limit}
}

func TestPenalties(t *testing.T) {
	logits := []float32{2, -2, 1, 0.5}
	seen := observe(observe(observe(observe(nil, 0, 0), 1, 0), 1, 1), 1, 1) // 0 in the prompt, 1 there and twice in the output
	p := plain(1)
	p.Repetition, p.Presence, p.Frequency, p.Temperature = 1.25, 0.5, 0.125, 0.5
	want := []float64{2 / 1.25, -2*1.25 - 0.5 - 2*0.125, 1, 0.5}
	var s sampler
	ids, w := s.weigh(logits, &p, seen)
	require.Nil(t, ids)
	for i := range want {
		require.InDelta(t, math.Exp((want[i]-want[0])/0.5), w[i], 1e-15)
	}
}

func TestTruncationOfEqualTokens(t *testing.T) {
	logits := []float32{1, 3, 3, 3, 0}
	ids := func(change func(p *Sampling)) []int32 {
		p := plain(1)
		change(&p)
		var s sampler
		ids, _ := s.weigh(logits, &p, nil)
		return ids
	}
	require.Equal(t, []int32{1, 2}, ids(func(p *Sampling) { p.TopK = 2 }))
	require.Equal(t, []int32{1, 2}, ids(func(p *Sampling) { p.TopP = 0.5 }))
	require.Equal(t, []int32{1}, ids(func(p *Sampling) { p.TopP = 1e-9 }))
	require.Equal(t, []int32{1, 2, 3}, ids(func(p *Sampling) { p.MinP = 1 }))
	require.Equal(t, []int32{0, 1, 2, 3, 4}, ids(func(p *Sampling) { p.TopK = 9 }))
}

func TestArgmaxTakesTheLowest(t *testing.T) {
	require.EqualValues(t, 1, argmax([]float32{-3, 5, 2, 5}))
}

// Truncation by selection gives what sorting everything gives.
func TestTruncationAgainstSorting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logits := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) float32 {
			if rapid.Bool().Draw(t, "round") {
				return float32(rapid.IntRange(-3, 3).Draw(t, "logit"))
			}
			return rapid.Float32Range(-20, 20).Draw(t, "logit")
		}), 1, 60).Draw(t, "logits")
		p := plain(1)
		p.TopK = rapid.IntRange(0, 70).Draw(t, "top-k")
		p.TopP = rapid.SampledFrom([]float64{1, 0.999, 0.9, 0.5, 0.01}).Draw(t, "top-p")
		p.MinP = rapid.SampledFrom([]float64{0, 0.01, 0.3}).Draw(t, "min-p")

		var want []candidate
		for i, z := range logits {
			want = append(want, candidate{id: int32(i), z: float64(z)})
		}
		slices.SortFunc(want, better)
		if p.TopK > 0 && p.TopK < len(want) {
			want = want[:p.TopK]
		}
		total := 0.0
		for i := range want {
			want[i].w = real.Exp(want[i].z - want[0].z)
			total += want[i].w
		}
		cum := 0.0
		for i := range want {
			if cum += want[i].w; p.TopP < 1 && cum/total >= p.TopP-1e-12 {
				if cum/total < p.TopP+1e-12 {
					return // decided by rounding
				}
				want = want[:i+1]
				break
			}
		}
		want = slices.DeleteFunc(want, func(c candidate) bool { return c.w < p.MinP })
		slices.SortFunc(want, func(a, b candidate) int { return cmp.Compare(a.id, b.id) })
		var s sampler
		ids, w := s.weigh(logits, &p, nil)
		if !p.truncates() {
			require.Nil(t, ids)
		}
		require.Len(t, w, len(want))
		for i, c := range want {
			require.Equal(t, c.w, w[i])
			if ids != nil {
				require.Equal(t, c.id, ids[i])
			}
		}
	})
}

// A number u selects the token whose share of [0, 1) holds it.
func TestDrawInvertsTheDistribution(t *testing.T) {
	logits := []float32{0, float32(math.Log(3)), float32(math.Inf(-1)), float32(math.Log(4))}
	p := plain(1)
	var s sampler
	for u, want := range map[float64]int32{0: 0, 0.1249: 0, 0.1251: 1, 0.4999: 1, 0.5001: 3, 1 - 0x1p-53: 3} {
		require.Equal(t, want, s.draw(logits, &p, nil, u), u)
	}
}

func TestSamplingSettings(t *testing.T) {
	good := plain(1)
	require.NoError(t, good.check())
	for _, c := range []struct {
		change func(s *Sampling)
		err    string
	}{
		{func(s *Sampling) { s.Temperature = 0 }, "temperature is 0"},
		{func(s *Sampling) { s.Temperature = 1e-60 }, "temperature is 1e-60"},
		{func(s *Sampling) { s.Temperature = math.NaN() }, "temperature is NaN"},
		{func(s *Sampling) { s.TopP = 0 }, "top-p is 0"},
		{func(s *Sampling) { s.TopP = 1.1 }, "top-p is 1.1"},
		{func(s *Sampling) { s.TopK = -1 }, "top-k is -1"},
		{func(s *Sampling) { s.MinP = 2 }, "min-p is 2"},
		{func(s *Sampling) { s.Repetition = 0 }, "repetition penalty is 0"},
		{func(s *Sampling) { s.Presence = math.Inf(1) }, "presence penalty is +Inf"},
		{func(s *Sampling) { s.Frequency = math.NaN() }, "frequency penalty is NaN"},
		{func(s *Sampling) { s.MaxTokens = 0 }, "limit of tokens is 0"},
	} {
		s := good
		c.change(&s)
		require.EqualError(t, s.check(), c.err)
	}
	greedy := Sampling{Greedy: true, MaxTokens: 3}
	require.NoError(t, greedy.check())
}

type visits []int32

func (v visits) drawRow(_ *sampler, i int) { v[i]++ }

func TestCrewVisitsEveryRowOnce(t *testing.T) {
	var c crew
	for _, threads := range []int{0, 1, 3, 9} {
		v := make(visits, 50)
		c.each(threads, len(v), 20000, v)
		for i, n := range v {
			require.EqualValues(t, 1, n, i)
		}
	}
}
