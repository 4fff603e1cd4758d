package llm

import (
	"fmt"
	"math"

	"srar/lib/ckpt"
)

// reference computes the model in float64, one sequence at a time, with plain
// loops: a second writing of the formulas.
type reference struct {
	c ckpt.Config
	w map[string][]float64
	// frozen holds the log-probabilities that the constants of a loss come from;
	// nil: those of now.
	frozen [][]float64
}

func newReference(c ckpt.Config, weights map[string][]float32) *reference {
	r := &reference{c: c, w: map[string][]float64{}}
	for name, w := range weights {
		v := make([]float64, len(w))
		for i, x := range w {
			v[i] = float64(x)
		}
		r.w[name] = v
	}
	return r
}

func (r *reference) norm(x, w []float64) []float64 {
	sum := 0.0
	for _, v := range x {
		sum += v * v
	}
	s := 1 / math.Sqrt(sum/float64(len(x))+r.c.RMSNormEps)
	y := make([]float64, len(x))
	for i := range x {
		y[i] = x[i] * s * w[i]
	}
	return y
}

func times(w, x []float64) []float64 {
	y := make([]float64, len(w)/len(x))
	for o := range y {
		for i, v := range x {
			y[o] += w[o*len(x)+i] * v
		}
	}
	return y
}

func addTo(x, y []float64) {
	for i, v := range y {
		x[i] += v
	}
}

// linear is a layer's matrix, and its bias where there is one.
func (r *reference) linear(layer int, name string, x []float64) []float64 {
	name = fmt.Sprintf("model.layers.%d.%s", layer, name)
	y := times(r.w[name+".weight"], x)
	addTo(y, r.w[name+".bias"])
	return y
}

// frequency of pair i of a head, as transformers has it.
func (r *reference) frequency(i, size int) float64 {
	f, s := math.Pow(r.c.RopeTheta, -float64(2*i)/float64(size)), r.c.RopeScaling
	old, wave := float64(s.OriginalPositions), 2*math.Pi/f
	switch s.Kind {
	case "linear":
		return f / s.Factor
	case "llama3":
		switch {
		case wave < old/s.HighFreq:
			return f
		case wave > old/s.LowFreq:
			return f / s.Factor
		}
		smooth := (old/wave - s.LowFreq) / (s.HighFreq - s.LowFreq)
		return (1-smooth)*f/s.Factor + smooth*f
	case "yarn":
		pair := func(turns float64) float64 {
			return float64(size) * math.Log(old/(turns*2*math.Pi)) / (2 * math.Log(r.c.RopeTheta))
		}
		low, high := pair(s.BetaFast), pair(s.BetaSlow)
		if s.Truncate {
			low, high = math.Floor(low), math.Ceil(high)
		}
		low, high = math.Max(low, 0), math.Min(high, float64(size-1))
		switch at := float64(i); {
		case at <= low:
			return f
		case at >= high:
			return f / s.Factor
		default:
			ramp := (at - low) / (high - low)
			return f/s.Factor*ramp + f*(1-ramp)
		}
	}
	return f
}

// rotated normalises and rotates one head of q or k.
func (r *reference) rotated(x []float64, w []float64, pos int) []float64 {
	if r.c.QKNorm {
		x = r.norm(x, w)
	}
	half := len(x) / 2
	y := make([]float64, len(x))
	for i := range half {
		angle := float64(pos) * r.frequency(i, len(x))
		sin, cos := math.Sincos(angle)
		if r.c.RopeScaling.Kind == "yarn" {
			sin, cos = sin*r.c.RopeScaling.AttentionFactor, cos*r.c.RopeScaling.AttentionFactor
		}
		y[i], y[i+half] = x[i]*cos-x[i+half]*sin, x[i+half]*cos+x[i]*sin
	}
	return y
}

// logits returns the logits after each token.
func (r *reference) logits(ids []int32) [][]float64 {
	c, d := r.c, r.c.Hidden
	x := make([][]float64, len(ids))
	for i, id := range ids {
		x[i] = append([]float64(nil), r.w["model.embed_tokens.weight"][int(id)*d:][:d]...)
	}
	for l := range c.Layers {
		w := func(name string) []float64 { return r.w[fmt.Sprintf("model.layers.%d.%s.weight", l, name)] }
		keys, values := make([][]float64, len(ids)), make([][]float64, len(ids)) // [G, C] of each position
		for i := range ids {
			h := r.norm(x[i], w("input_layernorm"))
			q, k := r.linear(l, "self_attn.q_proj", h), r.linear(l, "self_attn.k_proj", h)
			values[i] = r.linear(l, "self_attn.v_proj", h)
			for g := range c.KVHeads {
				keys[i] = append(keys[i], r.rotated(k[g*c.HeadDim:][:c.HeadDim], w("self_attn.k_norm"), i)...)
			}
			var att []float64
			for head := range c.Heads {
				qh := r.rotated(q[head*c.HeadDim:][:c.HeadDim], w("self_attn.q_norm"), i)
				at := head / (c.Heads / c.KVHeads) * c.HeadDim
				p, sum := make([]float64, i+1), 0.0
				for j := range p {
					for e, v := range qh {
						p[j] += v * keys[j][at+e]
					}
					p[j] = math.Exp(p[j] / math.Sqrt(float64(c.HeadDim)))
					sum += p[j]
				}
				o := make([]float64, c.HeadDim)
				for j := range p {
					for e := range o {
						o[e] += p[j] / sum * values[j][at+e]
					}
				}
				att = append(att, o...)
			}
			addTo(x[i], r.linear(l, "self_attn.o_proj", att))
			h = r.norm(x[i], w("post_attention_layernorm"))
			gate, up := r.linear(l, "mlp.gate_proj", h), r.linear(l, "mlp.up_proj", h)
			for e, v := range gate {
				gate[e] = v / (1 + math.Exp(-v)) * up[e]
			}
			addTo(x[i], r.linear(l, "mlp.down_proj", gate))
		}
	}
	head := r.w["model.embed_tokens.weight"]
	if !c.Tied {
		head = r.w["lm_head.weight"]
	}
	for i := range x {
		x[i] = times(head, r.norm(x[i], r.w["model.norm.weight"]))
	}
	return x
}

// score returns log-probability and entropy of each response token.
func (r *reference) score(row *Row) (logp, entropy []float64) {
	if len(row.Tokens) == 0 {
		return nil, nil
	}
	z := r.logits(append(append([]int32(nil), row.Prompt...), row.Tokens...))
	for i, id := range row.Tokens {
		at := z[len(row.Prompt)+i-1]
		sum, mean := 0.0, 0.0
		for _, v := range at {
			e := math.Exp(v / float64(row.Temperature))
			sum += e
			mean += e * v / float64(row.Temperature)
		}
		logp = append(logp, at[id]/float64(row.Temperature)-math.Log(sum))
		entropy = append(entropy, math.Log(sum)-mean/sum)
	}
	return logp, entropy
}

// loss returns the total loss of rows as the formulas of [Loss] have it, written
// anew where a loss takes something for a constant.
func (r *reference) loss(l *Loss, rows []Row) float64 {
	total, tokens, longest := 0.0, 0, 0
	for i := range rows {
		row := &rows[i]
		logp, entropy := r.score(row)
		frozen := logp
		if r.frozen != nil {
			frozen = r.frozen[i]
		}
		old, drift, distance := make([]float64, len(logp)), 0.0, 0.0
		for k := range logp {
			old[k] = frozen[k]
			if row.Old != nil {
				old[k] = float64(row.Old[k])
			}
			drift += (frozen[k] - old[k]) / float64(len(logp))
			if row.Sampled != nil {
				distance += old[k] - float64(row.Sampled[k])
			}
		}
		sum := 0.0
		for k := range logp {
			a, weight := float64(row.Advantages[k]), 1.0
			switch l.Importance {
			case "token":
				weight = math.Min(math.Exp(old[k]-float64(row.Sampled[k])), l.Cap)
			case "sequence":
				weight = math.Min(math.Exp(distance), l.Cap)
			}
			clip := func(x float64) float64 { return math.Max(1-l.ClipLow, math.Min(x, 1+l.ClipHigh)) }
			x := -logp[k]
			switch l.Kind {
			case "pg":
				rho := math.Exp(logp[k] - old[k])
				x = math.Max(-a*rho, -a*clip(rho))
				if a < 0 && l.DualClip > 0 {
					x = math.Min(x, -a*l.DualClip)
				}
			case "gspo":
				rho := math.Exp(drift + logp[k] - frozen[k])
				x = math.Max(-a*rho, -a*clip(rho))
			case "cispo":
				x = -clip(math.Exp(frozen[k]-old[k])) * a * logp[k]
			}
			kl := 0.0
			if l.KL != 0 {
				kl, _ = divergence(l.KLKind, logp[k]-float64(row.Ref[k]))
			}
			sum += weight*x - l.Entropy*entropy[k] + l.KL*kl
		}
		if l.Aggregate == "seq-mean-token-mean" {
			sum /= float64(len(logp)) + 1e-8
		}
		total += sum
		tokens += len(logp)
		longest = max(longest, len(logp))
	}
	switch l.Aggregate {
	case "token-mean":
		return total / float64(tokens)
	case "seq-mean-token-sum-norm":
		return total / float64(len(rows)*longest)
	}
	return total / float64(len(rows))
}

// freeze makes the constants of a loss those of the weights of now.
func (r *reference) freeze(rows []Row) {
	r.frozen = nil
	for i := range rows {
		logp, _ := r.score(&rows[i])
		r.frozen = append(r.frozen, logp)
	}
}

// gradient returns the derivative of the loss by every stride-th weight of each
// tensor from the first on, from central differences; NaN for the others.
func (r *reference) gradient(l *Loss, rows []Row, first, stride int) map[string][]float64 {
	const h = 1e-5
	r.freeze(rows)
	defer func() { r.frozen = nil }()
	all := map[string][]float64{}
	for name, w := range r.w {
		g := make([]float64, len(w))
		for i, x := range w {
			if i%stride != first%stride {
				g[i] = math.NaN()
				continue
			}
			w[i] = x + h
			up := r.loss(l, rows)
			w[i] = x - h
			g[i] = (up - r.loss(l, rows)) / (2 * h)
			w[i] = x
		}
		all[name] = g
	}
	return all
}
