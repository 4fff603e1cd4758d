package gguf

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	embedName   = "model.embed_tokens.weight"
	storedEmbed = "token_embd.weight"
	storedFreqs = "rope_freqs.weight"
)

// outside names the tensors that are of no layer.
var outside = map[string]string{
	storedEmbed:          embedName,
	"output_norm.weight": "model.norm.weight",
	"output.weight":      "lm_head.weight",
}

// inside names the parts of a layer; each has a weight, some a bias.
var inside = map[string]string{
	"attn_norm":   "input_layernorm",
	"attn_q":      "self_attn.q_proj",
	"attn_k":      "self_attn.k_proj",
	"attn_v":      "self_attn.v_proj",
	"attn_q_norm": "self_attn.q_norm",
	"attn_k_norm": "self_attn.k_norm",
	"attn_output": "self_attn.o_proj",
	"ffn_norm":    "post_attention_layernorm",
	"ffn_gate":    "mlp.gate_proj",
	"ffn_up":      "mlp.up_proj",
	"ffn_down":    "mlp.down_proj",
}

// tensors returns the weights, and the factors of the rotary frequencies, nil
// without.
func (v *view) tensors(f *file, s shape) (list []Tensor, freqs []float32, err error) {
	for _, t := range f.tensors {
		data := f.data[t.lo:t.hi]
		if t.name == storedFreqs {
			if len(t.shape) != 1 || t.typ != F32 {
				return nil, nil, fmt.Errorf("tensor %s is %s of shape %v", t.name, t.typ, t.shape)
			}
			freqs = make([]float32, t.shape[0])
			t.typ.decode(freqs, data)
			continue
		}
		name, part, ok := rename(t.name, s.layers)
		if !ok {
			return nil, nil, fmt.Errorf("tensor %q is not known in a %s model", t.name, v.arch)
		}
		w := Tensor{Name: name, Type: t.typ, Shape: t.shape, data: data}
		if v.arch == "llama" && (part == "attn_q" || part == "attn_k") {
			if w.pairs = s.headDim / 2; t.shape[0]%s.headDim != 0 || t.typ.Quantised() && len(t.shape) == 1 {
				return nil, nil, fmt.Errorf("tensor %q is %s of shape %v, with heads of width %d", t.name, t.typ, t.shape, s.headDim)
			}
		}
		list = append(list, w)
	}
	return list, freqs, nil
}

// rename returns the name of a tensor in the layout of Hugging Face, and what
// part of a layer it belongs to.
func rename(stored string, layers int) (name, part string, ok bool) {
	if name, ok = outside[stored]; ok {
		return name, "", true
	}
	rest, ok := strings.CutPrefix(stored, "blk.")
	if !ok {
		return "", "", false
	}
	layer, rest, _ := strings.Cut(rest, ".")
	part, kind, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(layer)
	if err != nil || n < 0 || n >= layers || strconv.Itoa(n) != layer || kind != "weight" && kind != "bias" || inside[part] == "" {
		return "", "", false
	}
	return "model.layers." + layer + "." + inside[part] + "." + kind, part, true
}
