package llm

import (
	"math"

	"srar/lib/ckpt"
	"srar/lib/op"
	"srar/lib/real"
)

// rotary returns the rotary embedding of a configuration. Pair i of C/2 has the
// inverse frequency f = θ^(-2i/C), which a scaling changes with the formulas of
// transformers:
//
//   - linear: f / Factor.
//   - llama3, yarn: (1 - keep)·f/Factor + keep·f, where keep is 1 for fast waves
//     and 0 for slow ones. Between the borders it is linear: for llama3 in the
//     number of turns within the original positions, for yarn in i.
//
// Yarn multiplies cosines and sines by AttentionFactor too.
func rotary(c ckpt.Config) *op.Rope {
	s := c.RopeScaling
	r := &op.Rope{Inv: make([]float64, c.HeadDim/2), Scale: s.AttentionFactor}
	for i := range r.Inv {
		f := real.Pow(c.RopeTheta, -2*float64(i)/float64(c.HeadDim))
		keep := 1.0
		switch s.Kind {
		case "linear":
			keep = 0
		case "llama3":
			turns := float64(s.OriginalPositions) * f / (2 * math.Pi)
			keep = clamp((turns - s.LowFreq) / (s.HighFreq - s.LowFreq))
		case "yarn":
			keep = yarn(c, i)
		}
		r.Inv[i] = f
		if s.Kind != "" {
			r.Inv[i] = (1-keep)*f/s.Factor + float64(keep*f)
		}
	}
	return r
}

// yarn returns what pair i keeps of its frequency (Peng et al. 2023, arXiv
// 2309.00071, section 3.2). The border of β turns is the pair, a fraction, whose
// wave turns β times within the original positions.
func yarn(c ckpt.Config, i int) float64 {
	s := c.RopeScaling
	border := func(beta float64) float64 {
		return float64(c.HeadDim) * real.Log(float64(s.OriginalPositions)/(2*math.Pi*beta)) / (2 * real.Log(c.RopeTheta))
	}
	low, high := border(s.BetaFast), border(s.BetaSlow)
	if s.Truncate {
		low, high = math.Floor(low), math.Ceil(high)
	}
	low, high = max(low, 0), min(high, float64(c.HeadDim-1))
	if low == high {
		high += 0.001
	}
	return 1 - clamp((float64(i)-low)/(high-low))
}

func clamp(x float64) float64 { return min(max(x, 0), 1) }
