package gguf

import (
	"math"

	"srar/lib/real"
)

// scaling returns rope_scaling of config.json, nil where positions are not
// scaled.
func (v *view) scaling(s shape, theta float32, freqs []float32) map[string]any {
	kind := "none"
	get(v, v.of("rope.scaling.type"), &kind)
	var factor float32
	scaled := get(v, v.of("rope.scaling.factor"), &factor)
	if key := v.of("rope.scale_linear"); !scaled && get(v, key, &factor) && factor != 1 { // the older name
		kind = "linear"
	}
	var positions int
	v.integer(v.of("rope.scaling.original_context_length"), &positions)
	only(v, "rope.scaling.attn_factor", float32(1))
	if freqs != nil {
		if kind != "none" {
			v.fail("rope.scaling.type %s stands beside rope_freqs.weight; only one of them can count", kind)
		}
		return v.llama3(s, theta, freqs)
	}
	switch kind {
	case "none":
		return nil
	case "linear":
		return map[string]any{"rope_type": "linear", "factor": shortest(factor)}
	case "yarn":
		return v.yarn(factor, positions)
	}
	v.fail("rope.scaling.type %q is not supported; none, linear and yarn are", kind)
	return nil
}

// yarn reads the parameters of YaRN (Peng et al. 2023, arXiv 2309.00071).
func (v *view) yarn(factor float32, positions int) map[string]any {
	m := map[string]any{"rope_type": "yarn", "factor": shortest(factor), "original_max_position_embeddings": positions}
	for name, field := range map[string]string{"yarn_beta_fast": "beta_fast", "yarn_beta_slow": "beta_slow"} {
		var x float32
		if get(v, v.of("rope.scaling."+name), &x) {
			m[field] = shortest(x)
		}
	}
	only(v, "rope.scaling.yarn_ext_factor", float32(1))
	// llama.cpp writes attention_factor there and then computes the usual value
	// all the same, so another one has no meaning that both sides share.
	usual := float64(0.1*real.Log(float64(factor))) + 1
	attention := float32(usual)
	if key := v.of("rope.scaling.yarn_attn_factor"); get(v, key, &attention) && !(math.Abs(float64(attention)-usual) < 1e-6*usual) {
		v.fail("%s is %v; only the usual %v is supported", key, attention, float32(usual))
	}
	return m
}

// llama3 returns the parameters of Llama 3's scaling whose factors are freqs
// (Grattafiori et al. 2024, arXiv 2407.21783). A file has the factor of each
// frequency, not the parameters. Low frequencies are divided by the largest
// factor; which positions and border they come from is found by trying what
// models have: positions a power of two, low_freq_factor 1, high_freq_factor an
// integer. Those that give the same factors make the same model. Factors that
// no such parameters give are an error.
func (v *view) llama3(s shape, theta float32, freqs []float32) map[string]any {
	if len(freqs) != s.headDim/2 {
		v.fail("rope_freqs.weight has %d factors for heads of width %d", len(freqs), s.headDim)
		return nil
	}
	factor := float32(1)
	for _, f := range freqs {
		factor = max(factor, f)
	}
	try := func(positions, high int) bool {
		for i, f := range freqs {
			wave := 2 * math.Pi * real.Pow(float64(theta), float64(2*i)/float64(s.headDim))
			turns := float64(positions) / wave
			want := float64(factor)
			if turns > float64(high) {
				want = 1
			} else if turns >= 1 {
				smooth := (turns - 1) / float64(high-1)
				want = 1 / ((1-smooth)/float64(factor) + smooth)
			}
			if !(math.Abs(float64(f)-want) <= 1e-5*want) {
				return false
			}
		}
		return true
	}
	for _, usual := range []bool{true, false} {
		for positions := 1 << 5; positions <= 1<<22; positions <<= 1 {
			for high := 2; high <= 64; high++ {
				if usual && (positions != 8192 || high != 4) || !try(positions, high) {
					continue
				}
				return map[string]any{
					"rope_type": "llama3", "factor": shortest(factor), "low_freq_factor": 1, "high_freq_factor": high,
					"original_max_position_embeddings": positions,
				}
			}
		}
	}
	v.fail("the factors of rope_freqs.weight are not those of Llama 3's scaling")
	return nil
}
