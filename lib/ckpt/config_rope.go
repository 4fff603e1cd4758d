package ckpt

import (
	"encoding/json"
	"math"

	"srar/lib/real"
)

// RopeScaling stretches the rotary embedding to more positions than a model
// was first trained on, in one of the ways of transformers. The zero value
// leaves it as it is. What its numbers do to the frequencies is said where the
// engine computes them.
type RopeScaling struct {
	// Kind is rope_type: "" (no scaling), "linear", "llama3" (Grattafiori et al.
	// 2024, arXiv 2407.21783) or "yarn" (Peng et al. 2023, arXiv 2309.00071).
	Kind              string
	Factor            float64 // divides frequencies
	OriginalPositions int     // positions of the first training; llama3 and yarn
	// LowFreq and HighFreq (llama3), BetaSlow and BetaFast (yarn) are numbers of
	// turns within OriginalPositions: of the slowest wave that is not stretched
	// fully, and of the fastest that is stretched at all.
	LowFreq, HighFreq  float64
	BetaSlow, BetaFast float64
	Truncate           bool    // yarn: the borders are moved out to whole pairs
	AttentionFactor    float64 // yarn: multiplies cosines and sines
}

// rope reads the rotary embedding: rope_theta beside rope_scaling in older
// files, both inside rope_parameters in newer ones.
func (c *Config) rope(r *reader) {
	r.take("rope_theta", &c.RopeTheta)
	if r.has("rope_scaling") && r.has("rope_parameters") {
		r.fail("rope_scaling stands beside rope_parameters; only one of them can count")
	}
	for _, field := range []string{"rope_scaling", "rope_parameters"} {
		var raw map[string]json.RawMessage
		if !r.take(field, &raw) || r.err != nil {
			continue
		}
		s := &reader{raw: raw}
		s.take("rope_theta", &c.RopeTheta)
		c.RopeScaling.take(s, c.MaxPositions)
		only(s, "partial_rotary_factor", 1.0)
		if rest := s.left(); len(rest) > 0 {
			s.fail("field %q is not known; what it changes in the model cannot be computed", rest[0])
		}
		r.err = in(field, s.err)
	}
	only(r, "partial_rotary_factor", 1.0)
}

// take reads kind and numbers; positions is max_position_embeddings.
func (p *RopeScaling) take(s *reader, positions int) {
	kind := "default"
	s.take("type", &kind) // the older name
	s.take("rope_type", &kind)
	switch kind {
	case "default":
		return
	case "linear":
	case "llama3":
		p.OriginalPositions = positions
		s.need("low_freq_factor", &p.LowFreq)
		s.need("high_freq_factor", &p.HighFreq)
	case "yarn":
		p.OriginalPositions = positions
	default:
		s.fail("rope_type is %s; default, linear, llama3 and yarn are supported", kind)
		return
	}
	p.Kind = kind
	s.need("factor", &p.Factor)
	if kind != "linear" {
		s.take("original_max_position_embeddings", &p.OriginalPositions)
	}
	if kind == "yarn" {
		p.takeYarn(s)
	}
	if s.err == nil && !p.valid() {
		s.fail("%+v is not a scaling", *p)
	}
}

// takeYarn reads what yarn has beside a factor. Where attention_factor is not
// given it is g(1), or g(mscale)/g(mscale_all_dim) where both are,
// g(m) = 0.1·m·ln(factor) + 1.
func (p *RopeScaling) takeYarn(s *reader) {
	p.Truncate = !s.null("truncate")
	s.take("truncate", &p.Truncate)
	s.take("beta_fast", &p.BetaFast)
	s.take("beta_slow", &p.BetaSlow)
	if p.BetaFast == 0 {
		p.BetaFast = 32
	}
	if p.BetaSlow == 0 {
		p.BetaSlow = 1
	}
	g := func(m float64) float64 { return float64(0.1*m*real.Log(max(p.Factor, 1))) + 1 }
	var m, all float64
	s.take("mscale", &m)
	s.take("mscale_all_dim", &all)
	p.AttentionFactor = g(1)
	if m != 0 && all != 0 {
		p.AttentionFactor = g(m) / g(all)
	}
	s.take("attention_factor", &p.AttentionFactor)
}

// valid reports whether p is a scaling.
func (p *RopeScaling) valid() bool {
	for _, x := range []float64{p.Factor, p.LowFreq, p.HighFreq, p.BetaSlow, p.BetaFast, p.AttentionFactor} {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return false
		}
	}
	switch p.Kind {
	case "llama3":
		return p.Factor >= 1 && p.LowFreq > 0 && p.HighFreq > p.LowFreq && p.OriginalPositions > 0
	case "yarn":
		return p.Factor > 0 && p.BetaSlow > 0 && p.BetaFast >= p.BetaSlow && p.OriginalPositions > 0 && p.AttentionFactor > 0
	}
	return p.Factor > 0
}
