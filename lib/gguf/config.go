package gguf

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// view turns the metadata into the files of a checkpoint.
type view struct {
	values map[string]any
	arch   string // general.architecture
	known  map[string]bool
	err    error
}

// architectures names the architecture in the layout of Hugging Face.
var architectures = map[string]string{
	"llama": "LlamaForCausalLM",
	"qwen2": "Qwen2ForCausalLM",
	"qwen3": "Qwen3ForCausalLM",
}

func (v *view) fail(format string, a ...any) {
	if v.err == nil {
		v.err = fmt.Errorf(format, a...)
	}
}

// get stores the value of a key in p and reports whether the file has it; a
// value of another type is an error.
func get[T any](v *view, key string, p *T) bool {
	x, ok := v.values[key]
	if !ok {
		return false
	}
	y, ok := x.(T)
	if !ok {
		v.fail("%s is a %T, not a %T", key, x, *p)
		return false
	}
	*p = y
	return true
}

// integer reads a number that is no larger than an int32's.
func (v *view) integer(key string, p *int) bool {
	x, ok := v.values[key]
	if !ok {
		return false
	}
	var n int64
	switch x := x.(type) {
	case uint8:
		n = int64(x)
	case int8:
		n = int64(x)
	case uint16:
		n = int64(x)
	case int16:
		n = int64(x)
	case uint32:
		n = int64(x)
	case int32:
		n = int64(x)
	case int64:
		n = x
	case uint64:
		n = int64(min(x, math.MaxInt64))
	default:
		v.fail("%s is a %T, not an integer", key, x)
		return false
	}
	if n < 0 || n > math.MaxInt32 {
		v.fail("%s is %d", key, n)
		return false
	}
	*p = int(n)
	return true
}

// of returns the full name of a key of the architecture and takes note that it
// is known.
func (v *view) of(name string) string {
	key := v.arch + "." + name
	v.known[key] = true
	return key
}

func (v *view) need(name string, p *int) {
	if key := v.of(name); !v.integer(key, p) {
		v.fail("%s is missing", key)
	}
}

// only refuses every value of a key but one, which changes nothing.
func only[T comparable](v *view, name string, want T) {
	x := want
	if key := v.of(name); get(v, key, &x) && x != want {
		v.fail("%s is %v; only %v is supported", key, x, want)
	}
}

// shape is what the sizes of a model are, beside those that its tensors have.
type shape struct {
	layers, heads, kvHeads, headDim, hidden int
}

// shape reads architecture and sizes.
func (v *view) shape() (shape, error) {
	get(v, "general.architecture", &v.arch)
	if v.err == nil && architectures[v.arch] == "" {
		v.fail("architecture %q is not supported; %s are", v.arch, strings.Join(slices.Sorted(maps.Keys(architectures)), ", "))
	}
	parts := 1
	if v.integer("split.count", &parts); parts > 1 {
		v.fail("it is one of %d files of a model; only whole files are supported", parts)
	}
	var s shape
	v.need("block_count", &s.layers)
	v.need("attention.head_count", &s.heads)
	v.need("embedding_length", &s.hidden)
	if v.err != nil {
		return s, v.err
	}
	if s.heads == 0 || s.hidden == 0 {
		return s, fmt.Errorf("%d heads in a width of %d", s.heads, s.hidden)
	}
	s.kvHeads, s.headDim = s.heads, s.hidden/s.heads
	v.integer(v.of("attention.head_count_kv"), &s.kvHeads)
	v.integer(v.of("attention.key_length"), &s.headDim)
	same := func(name string) {
		n := s.headDim
		if key := v.of(name); v.integer(key, &n) && n != s.headDim {
			v.fail("%s is %d, the width of a head %d; only equal ones are supported", key, n, s.headDim)
		}
	}
	same("attention.value_length")
	same("rope.dimension_count")
	if v.err == nil && (s.kvHeads == 0 || s.headDim == 0 || s.headDim%2 != 0) {
		v.fail("%d key and value heads of width %d", s.kvHeads, s.headDim)
	}
	return s, v.err
}

// config returns config.json and the rows of the embedding. freqs are the
// factors of the rotary frequencies, nil without.
func (v *view) config(s shape, tensors []Tensor, freqs []float32) (b []byte, rows int, err error) {
	has := map[string]*Tensor{}
	for i := range tensors {
		has[tensors[i].Name] = &tensors[i]
	}
	embed := has[embedName]
	if embed == nil {
		return nil, 0, fmt.Errorf("there is no tensor %s", storedEmbed)
	}
	c := map[string]any{
		"architectures": []string{architectures[v.arch]}, "model_type": v.arch, "hidden_act": "silu", "vocab_size": embed.Shape[0],
		"hidden_size": s.hidden, "num_hidden_layers": s.layers, "num_attention_heads": s.heads, "num_key_value_heads": s.kvHeads,
		"tie_word_embeddings": has["lm_head.weight"] == nil, "torch_dtype": embed.Type.torch(), "attention_dropout": 0.0,
	}
	size := func(name, field string) {
		var n int
		v.need(name, &n)
		c[field] = n
	}
	size("feed_forward_length", "intermediate_size")
	size("context_length", "max_position_embeddings")
	switch layer := "model.layers.0."; v.arch {
	case "llama":
		c["mlp_bias"] = has[layer+"mlp.gate_proj.bias"] != nil
		fallthrough
	case "qwen3":
		c["attention_bias"] = has[layer+"self_attn.q_proj.bias"] != nil
	}
	if v.arch == "qwen3" || s.headDim*s.heads != s.hidden {
		c["head_dim"] = s.headDim
	}
	var eps float32
	if key := v.of("attention.layer_norm_rms_epsilon"); !get(v, key, &eps) {
		v.fail("%s is missing", key)
	}
	theta := float32(10000)
	get(v, v.of("rope.freq_base"), &theta)
	c["rms_norm_eps"], c["rope_theta"] = shortest(eps), shortest(theta)
	if scaling := v.scaling(s, theta, freqs); scaling != nil {
		c["rope_scaling"] = scaling
	}
	v.special(func(field string, id any) { c[field] = id })
	v.silent()
	if v.err != nil {
		return nil, 0, v.err
	}
	b, err = marshal(c)
	return b, embed.Shape[0], err
}

// silent passes the keys that change nothing in what the model computes, and
// refuses those that are not known.
func (v *view) silent() {
	rows := 0
	v.integer(v.of("vocab_size"), &rows) // the embedding says it
	v.of("tensor_data_layout")           // how q and k of the first Llama were arranged; as in every file today
	v.of("rope.scaling.finetuned")
	only(v, "attention.causal", true)
	zero := func(name string) {
		n := 0
		if key := v.of(name); v.integer(key, &n) && n != 0 {
			v.fail("%s is %d; only 0 is supported", key, n)
		}
	}
	zero("expert_count")
	zero("expert_used_count")
	zero("pooling_type")
	for _, key := range slices.Sorted(maps.Keys(v.values)) {
		if strings.HasPrefix(key, v.arch+".") && !v.known[key] {
			v.fail("key %s is not known; what it changes in the model cannot be computed", key)
		}
	}
}

// shortest is the decimal number that x was written as: 1e-5 rather than what
// its nearest float32 is as a float64.
func shortest(x float32) json.Number {
	return json.Number(strconv.FormatFloat(float64(x), 'g', -1, 32))
}

// torch returns the name that config.json has for the numbers of a tensor.
func (t Type) torch() string {
	switch t {
	case F16:
		return "float16"
	case BF16:
		return "bfloat16"
	}
	return "float32"
}
