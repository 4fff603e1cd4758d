package ckpt

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Config is what the arithmetic needs to know of a model.
type Config struct {
	ModelType    string // model_type: "llama", "qwen2" or "qwen3"
	Architecture string // architectures[0], such as "Qwen3ForCausalLM"
	Vocab        int    // V, rows of the embedding; may exceed the tokenizer's size
	Hidden       int    // D
	Intermediate int    // F
	Layers       int
	Heads        int // H, query heads
	KVHeads      int // G, key and value heads; divides H
	HeadDim      int // C, even; H·C need not be D
	MaxPositions int
	RopeTheta    float64
	RopeScaling  RopeScaling
	RMSNormEps   float64
	Tied         bool    // the output matrix is the embedding
	QKNorm       bool    // RMSNorm over each head of q and k
	QKVBias      bool    // q, k and v have biases
	EOS          []int32 // tokens that end a response
	DType        string  // "float32", "bfloat16", "float16": the type that the weights are said to have
}

// RopeScaling stretches the rotary embedding to more positions than a model
// was first trained on, as Llama 3.1 does (Grattafiori et al. 2024, arXiv
// 2407.21783; rope_type "llama3" in config.json). The zero value leaves it as
// it is.
type RopeScaling struct {
	Factor            float64 // divides the frequencies of long waves; 0: no scaling
	LowFreq, HighFreq float64 // waves longer than OriginalPositions/LowFreq are long, those shorter than OriginalPositions/HighFreq stay
	OriginalPositions int     // positions of the first training
}

// Parameter names a tensor of a model and its shape.
type Parameter struct {
	Name  string
	Shape []int
}

// Parameters lists the trainable tensors of the model in the order in which
// the data pass them. A tied output matrix is not among them.
func (c Config) Parameters() []Parameter {
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	ps := []Parameter{{embedName, []int{c.Vocab, c.Hidden}}}
	for l := range c.Layers {
		at := fmt.Sprintf("model.layers.%d.", l)
		add := func(name string, shape ...int) { ps = append(ps, Parameter{at + name, shape}) }
		add("input_layernorm.weight", c.Hidden)
		add("self_attn.q_proj.weight", q, c.Hidden)
		add("self_attn.k_proj.weight", kv, c.Hidden)
		add("self_attn.v_proj.weight", kv, c.Hidden)
		if c.QKVBias {
			add("self_attn.q_proj.bias", q)
			add("self_attn.k_proj.bias", kv)
			add("self_attn.v_proj.bias", kv)
		}
		if c.QKNorm {
			add("self_attn.q_norm.weight", c.HeadDim)
			add("self_attn.k_norm.weight", c.HeadDim)
		}
		add("self_attn.o_proj.weight", c.Hidden, q)
		add("post_attention_layernorm.weight", c.Hidden)
		add("mlp.gate_proj.weight", c.Intermediate, c.Hidden)
		add("mlp.up_proj.weight", c.Intermediate, c.Hidden)
		add("mlp.down_proj.weight", c.Hidden, c.Intermediate)
	}
	ps = append(ps, Parameter{"model.norm.weight", []int{c.Hidden}})
	if !c.Tied {
		ps = append(ps, Parameter{headName, []int{c.Vocab, c.Hidden}})
	}
	return ps
}

const (
	embedName = "model.embed_tokens.weight"
	headName  = "lm_head.weight"
)

// passive reports whether a stored tensor that is no parameter may be there:
// the copy of a tied output matrix, and tables of rotary frequencies, which
// older writers stored and every reader computes anew.
func (c Config) passive(name string) bool {
	return c.Tied && name == headName || strings.HasSuffix(name, ".rotary_emb.inv_freq")
}

// silent lists the fields of config.json that do not change what the model
// computes: what other programs write there about tokens, training,
// generation defaults, output formats and themselves.
var silent = fields(`
	_attn_implementation _name_or_path add_cross_attention attn_implementation auto_map bad_words_ids begin_suppress_tokens
	bos_token_id chunk_size_feed_forward cross_attention_hidden_size decoder_start_token_id diversity_penalty do_sample early_stopping
	encoder_no_repeat_ngram_size exponential_decay_length_penalty finetuning_task forced_bos_token_id forced_eos_token_id id2label
	initializer_range is_decoder is_encoder_decoder keys_to_ignore_at_inference label2id length_penalty max_length max_window_layers
	min_length name_or_path no_repeat_ngram_size num_beam_groups num_beams num_return_sequences output_attentions output_hidden_states
	output_router_logits output_scores pad_token_id prefix problem_type remove_invalid_values repetition_penalty return_dict
	return_dict_in_generate sep_token_id suppress_tokens task_specific_params temperature tf_legacy_loss tokenizer_class top_k top_p
	torchscript transformers_version typical_p unsloth_fixed unsloth_version use_cache use_bfloat16`)

func fields(s string) map[string]bool {
	m := map[string]bool{}
	for f := range strings.FieldsSeq(s) {
		m[f] = true
	}
	return m
}

// readConfig reads config.json and generation_config.json in dir.
func readConfig(dir string) (Config, error) {
	b, err := os.ReadFile(filepath.Join(dir, configFile))
	if err != nil {
		return Config{}, err
	}
	c, err := parseConfig(b)
	if err != nil {
		return c, fmt.Errorf("%s: %w", configFile, err)
	}
	b, err = os.ReadFile(filepath.Join(dir, generationFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return c, err
	default:
		if err := c.parseGeneration(b); err != nil {
			return c, fmt.Errorf("%s: %w", generationFile, err)
		}
	}
	return c, nil
}

// parseGeneration takes the end tokens from generation_config.json. Nothing
// else in it acts: how to sample is said by flags.
func (c *Config) parseGeneration(b []byte) error {
	return walkObject(b, func(d *json.Decoder, key string) error {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return err
		}
		if key != "eos_token_id" || string(raw) == "null" {
			return nil
		}
		var err error
		c.EOS, err = c.tokens(raw)
		return in(key, err)
	})
}

// tokens reads a token id or a list of them.
func (c *Config) tokens(raw json.RawMessage) ([]int32, error) {
	var list []int32
	if raw[0] == '[' {
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, err
		}
	} else {
		list = make([]int32, 1)
		if err := json.Unmarshal(raw, &list[0]); err != nil {
			return nil, err
		}
	}
	for _, id := range list {
		if id < 0 || int(id) >= c.Vocab {
			return nil, fmt.Errorf("token %d is not in a vocabulary of %d", id, c.Vocab)
		}
	}
	return list, nil
}

func in(field string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	return nil
}

// parseConfig reads config.json. A field that it does not know is an error,
// since it may change the arithmetic; so is a known one with a value that the
// engine does not compute.
func parseConfig(b []byte) (Config, error) {
	raw := map[string]json.RawMessage{}
	err := walkObject(b, func(d *json.Decoder, key string) error {
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return err
		}
		if string(v) != "null" {
			raw[key] = v
		}
		return nil
	})
	if err != nil {
		return Config{}, err
	}
	c := Config{RopeTheta: 10000, RMSNormEps: 1e-6}
	r := &reader{raw: raw}
	c.architecture(r)
	if r.err != nil {
		return c, r.err
	}
	r.need("vocab_size", &c.Vocab)
	r.need("hidden_size", &c.Hidden)
	r.need("intermediate_size", &c.Intermediate)
	r.need("num_hidden_layers", &c.Layers)
	r.need("num_attention_heads", &c.Heads)
	c.family(r)
	r.take("head_dim", &c.HeadDim)
	r.take("max_position_embeddings", &c.MaxPositions)
	r.take("rms_norm_eps", &c.RMSNormEps)
	r.take("tie_word_embeddings", &c.Tied)
	r.take("torch_dtype", &c.DType)
	r.take("dtype", &c.DType)
	c.rope(r)
	c.fixed(r)
	if r.err != nil {
		return c, r.err
	}
	if err := c.check(); err != nil {
		return c, err
	}
	if eos, ok := raw["eos_token_id"]; ok {
		if c.EOS, err = c.tokens(eos); err != nil {
			return c, in("eos_token_id", err)
		}
		delete(raw, "eos_token_id")
	}
	for _, key := range r.left() {
		if !silent[key] {
			return c, fmt.Errorf("field %q is not known; what it changes in the model cannot be computed", key)
		}
	}
	return c, nil
}

// qwen reads what the Qwen types have in common.
func (c *Config) qwen(r *reader) {
	r.need("num_key_value_heads", &c.KVHeads)
	only(r, "use_sliding_window", false)
	delete(r.raw, "sliding_window") // a width that does not act without the switch
}

// reader takes fields out of a JSON object and keeps the first error.
type reader struct {
	raw map[string]json.RawMessage
	err error
}

// take stores the field in p when it is there; it reports whether it was.
func (r *reader) take(field string, p any) bool {
	v, ok := r.raw[field]
	delete(r.raw, field)
	if ok && r.err == nil {
		r.err = in(field, json.Unmarshal(v, p))
	}
	return ok
}

func (r *reader) need(field string, p any) {
	if !r.take(field, p) {
		r.fail("field %q is missing", field)
	}
}

// fail keeps an error unless there is one.
func (r *reader) fail(format string, a ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, a...)
	}
}

// only refuses the field unless it is absent or v.
func only[T comparable](r *reader, field string, v T) {
	x := v
	if r.take(field, &x) && x != v {
		r.fail("%s is %v; only %v is supported", field, x, v)
	}
}

// left returns the fields that were not taken, sorted.
func (r *reader) left() []string {
	var keys []string
	for k := range r.raw {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// architecture reads what kind of model it is.
func (c *Config) architecture(r *reader) {
	var names []string
	r.need("model_type", &c.ModelType)
	r.take("architectures", &names)
	if r.err != nil {
		return
	}
	c.Architecture = architectures[c.ModelType]
	if c.Architecture == "" || len(names) > 1 || len(names) == 1 && names[0] != c.Architecture {
		r.err = fmt.Errorf("model type %q with architecture %q is not supported; %s", c.ModelType, strings.Join(names, ", "), supported())
	}
}

// architectures holds the architecture of each model type that is supported.
var architectures = map[string]string{
	"llama": "LlamaForCausalLM",
	"qwen2": "Qwen2ForCausalLM",
	"qwen3": "Qwen3ForCausalLM",
}

func supported() string {
	var list []string
	for _, t := range slices.Sorted(maps.Keys(architectures)) {
		list = append(list, t+" with "+architectures[t])
	}
	return "supported are " + strings.Join(list, ", ")
}

// family sets what the model type says: the defaults of transformers'
// configuration of that type, its fields, and its switches, of which every
// value but the one that the engine computes with is refused.
func (c *Config) family(r *reader) {
	switch c.ModelType {
	case "llama":
		c.MaxPositions, c.KVHeads = 2048, c.Heads
		r.take("num_key_value_heads", &c.KVHeads)
		only(r, "attention_bias", false)
		only(r, "mlp_bias", false)
		only(r, "rope_interleaved", false)
		for _, field := range []string{"is_llama_config", "pretraining_tp"} { // notes, and how to cut a product into parts
			delete(r.raw, field)
		}
	case "qwen2":
		c.MaxPositions, c.QKVBias = 32768, true
		only(r, "attention_bias", true) // no switch there
		c.qwen(r)
	case "qwen3":
		c.MaxPositions, c.HeadDim, c.QKNorm = 32768, 128, true
		only(r, "attention_bias", false)
		c.qwen(r)
	}
	if c.HeadDim == 0 && c.Heads > 0 {
		c.HeadDim = c.Hidden / c.Heads
	}
}

// rope reads the rotary embedding: rope_theta beside rope_scaling in older
// files, both inside rope_parameters in newer ones.
func (c *Config) rope(r *reader) {
	r.take("rope_theta", &c.RopeTheta)
	if r.raw["rope_scaling"] != nil && r.raw["rope_parameters"] != nil {
		r.fail("rope_scaling stands beside rope_parameters; only one of them can count")
	}
	for _, field := range []string{"rope_scaling", "rope_parameters"} {
		var raw map[string]json.RawMessage
		if !r.take(field, &raw) || r.err != nil {
			continue
		}
		s := &reader{raw: raw}
		s.take("rope_theta", &c.RopeTheta)
		kind := "default"
		s.take("type", &kind) // the older name
		s.take("rope_type", &kind)
		switch kind {
		case "default":
		case "llama3":
			c.RopeScaling.take(s)
		default:
			s.fail("rope_type is %s; only default and llama3 are supported", kind)
		}
		only(s, "partial_rotary_factor", 1.0)
		if rest := s.left(); s.err == nil && len(rest) > 0 {
			s.err = fmt.Errorf("field %q is not known; what it changes in the model cannot be computed", rest[0])
		}
		r.err = in(field, s.err)
	}
	only(r, "partial_rotary_factor", 1.0)
}

// take reads the parameters of llama3 scaling.
func (p *RopeScaling) take(s *reader) {
	s.need("factor", &p.Factor)
	s.need("low_freq_factor", &p.LowFreq)
	s.need("high_freq_factor", &p.HighFreq)
	s.need("original_max_position_embeddings", &p.OriginalPositions)
	finite := !math.IsInf(p.Factor, 0) && !math.IsInf(p.HighFreq, 0)
	if !(p.Factor >= 1 && p.LowFreq > 0 && p.HighFreq > p.LowFreq && p.OriginalPositions > 0 && finite) {
		s.fail("factor %v from %v to %v over %d positions is not a scaling", p.Factor, p.LowFreq, p.HighFreq, p.OriginalPositions)
	}
}

// fixed refuses every other value of the switches that the engine computes
// with one value.
func (c *Config) fixed(r *reader) {
	only(r, "hidden_act", "silu")
	only(r, "attention_dropout", 0.0) // it would act in training
	var types []string
	r.take("layer_types", &types)
	for _, t := range types {
		if t != "full_attention" {
			r.fail("layer_types holds %q; only full_attention is supported", t)
		}
	}
}

// check refuses sizes that no model has, before anyone multiplies them.
func (c *Config) check() error {
	const limit = 1 << 28
	for _, d := range []struct {
		field string
		n     int
	}{
		{"vocab_size", c.Vocab}, {"hidden_size", c.Hidden}, {"intermediate_size", c.Intermediate}, {"num_attention_heads", c.Heads},
		{"num_key_value_heads", c.KVHeads}, {"head_dim", c.HeadDim}, {"max_position_embeddings", c.MaxPositions},
	} {
		if d.n < 1 || d.n > limit {
			return fmt.Errorf("%s is %d", d.field, d.n)
		}
	}
	switch {
	case c.Layers < 1 || c.Layers > 1<<12:
		return fmt.Errorf("num_hidden_layers is %d", c.Layers)
	case c.Heads%c.KVHeads != 0:
		return fmt.Errorf("%d heads cannot share %d key and value heads", c.Heads, c.KVHeads)
	case c.HeadDim%2 != 0:
		return fmt.Errorf("head_dim is %d; rotary embedding needs pairs", c.HeadDim)
	case !(c.RopeTheta > 0) || math.IsInf(c.RopeTheta, 0):
		return fmt.Errorf("rope_theta is %v", c.RopeTheta)
	case !(c.RMSNormEps >= 0) || c.RMSNormEps > 1:
		return fmt.Errorf("rms_norm_eps is %v", c.RMSNormEps)
	}
	switch c.DType {
	case "", "float32", "bfloat16", "float16":
		return nil
	}
	return fmt.Errorf("dtype is %q; float32, bfloat16 and float16 are supported", c.DType)
}
