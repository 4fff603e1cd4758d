package ckpt

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
)

// Config is what the arithmetic needs to know of a model.
type Config struct {
	ModelType    string // model_type: "llama", "mistral", "qwen2" or "qwen3"
	Architecture string // architectures[0], such as "Qwen3ForCausalLM"
	Vocab        int    // V, rows of the embedding; may exceed the tokenizer's size
	Hidden       int    // D
	Intermediate int    // F
	Layers       int
	Heads        int // H, query heads
	KVHeads      int // G, key and value heads; divides H
	HeadDim      int // C, even; H·C need not be D
	MaxPositions int
	// Window is the number of positions that a token of some layer sees, itself
	// included; 0: all before it in every layer. Up to that many positions no
	// layer differs from one without a window.
	Window      int
	RopeTheta   float64
	RopeScaling RopeScaling
	RMSNormEps  float64
	Tied        bool    // the output matrix is the embedding
	QKNorm      bool    // RMSNorm over each head of q and k
	QKVBias     bool    // q, k and v have biases
	OBias       bool    // so has o, the matrix after attention
	MLPBias     bool    // so have gate, up and down
	EOS         []int32 // tokens that end a response
	DType       string  // "float32", "bfloat16", "float16": the type that the weights are said to have
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
		if c.OBias {
			add("self_attn.o_proj.bias", c.Hidden)
		}
		add("post_attention_layernorm.weight", c.Hidden)
		add("mlp.gate_proj.weight", c.Intermediate, c.Hidden)
		add("mlp.up_proj.weight", c.Intermediate, c.Hidden)
		add("mlp.down_proj.weight", c.Hidden, c.Intermediate)
		if c.MLPBias {
			add("mlp.gate_proj.bias", c.Intermediate)
			add("mlp.up_proj.bias", c.Intermediate)
			add("mlp.down_proj.bias", c.Hidden)
		}
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
	_attn_implementation _attn_implementation_autoset _name_or_path add_cross_attention attn_implementation auto_map bad_words_ids
	begin_suppress_tokens bos_token_id chunk_size_feed_forward cross_attention_hidden_size decoder_start_token_id diversity_penalty
	do_sample early_stopping encoder_no_repeat_ngram_size exponential_decay_length_penalty finetuning_task forced_bos_token_id
	forced_eos_token_id id2label initializer_range is_decoder is_encoder_decoder keys_to_ignore_at_inference label2id length_penalty
	max_length max_window_layers min_length name_or_path no_repeat_ngram_size num_beam_groups num_beams num_return_sequences
	output_attentions output_hidden_states output_router_logits output_scores pad_token_id prefix problem_type remove_invalid_values
	repetition_penalty return_dict return_dict_in_generate sep_token_id suppress_tokens task_specific_params temperature
	tf_legacy_loss tie_encoder_decoder tokenizer_class top_k top_p torchscript transformers.js_config transformers_version typical_p
	unsloth_fixed unsloth_version use_bfloat16 use_cache use_return_dict`)

func fields(s string) map[string]bool {
	m := map[string]bool{}
	for f := range strings.FieldsSeq(s) {
		m[f] = true
	}
	return m
}

// readConfig reads config.json and generation_config.json.
func readConfig(files fs.FS) (Config, error) {
	b, err := fs.ReadFile(files, configFile)
	if err != nil {
		return Config{}, err
	}
	c, err := parseConfig(b)
	if err != nil {
		return c, fmt.Errorf("%s: %w", configFile, err)
	}
	b, err = fs.ReadFile(files, generationFile)
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
	r := &reader{raw: map[string]json.RawMessage{}}
	err := walkObject(b, func(d *json.Decoder, key string) error {
		var v json.RawMessage
		err := d.Decode(&v)
		r.raw[key] = v
		return err
	})
	if err != nil {
		return Config{}, err
	}
	c := architecture(r)
	r.need("vocab_size", &c.Vocab)
	r.need("hidden_size", &c.Hidden)
	r.need("intermediate_size", &c.Intermediate)
	r.need("num_hidden_layers", &c.Layers)
	r.need("num_attention_heads", &c.Heads)
	c.family(r)
	r.take("max_position_embeddings", &c.MaxPositions)
	r.take("rms_norm_eps", &c.RMSNormEps)
	r.take("tie_word_embeddings", &c.Tied)
	r.take("torch_dtype", &c.DType) // the older name
	r.take("dtype", &c.DType)
	c.rope(r)
	only(r, "hidden_act", "silu")
	only(r, "attention_dropout", 0.0) // it would act in training
	if r.has("quantization_config") {
		r.fail("quantization_config: quantised weights are not supported")
	}
	if r.err != nil {
		return c, r.err
	}
	if err := c.check(); err != nil {
		return c, err
	}
	var eos json.RawMessage
	if r.take("eos_token_id", &eos) {
		if c.EOS, err = c.tokens(eos); err != nil {
			return c, in("eos_token_id", err)
		}
	}
	for _, key := range r.left() {
		if !silent[key] {
			return c, fmt.Errorf("field %q is not known; what it changes in the model cannot be computed", key)
		}
	}
	return c, nil
}

// reader takes fields out of a JSON object and keeps the first error.
type reader struct {
	raw map[string]json.RawMessage
	err error
}

// has reports whether the field is there and not null.
func (r *reader) has(field string) bool { return r.raw[field] != nil && !r.null(field) }

// null reports whether the field is there and null, which need not mean the
// same as its absence.
func (r *reader) null(field string) bool { return string(r.raw[field]) == "null" }

// take stores the field in p unless it is absent or null; it reports whether it
// was there.
func (r *reader) take(field string, p any) bool {
	v, ok := r.raw[field], r.has(field)
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

// left returns the fields that were not taken and say something, sorted.
func (r *reader) left() []string {
	var keys []string
	for k := range r.raw {
		if r.has(k) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
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
	case c.ModelType == "llama" && c.Hidden%c.Heads != 0: // transformers refuses it
		return fmt.Errorf("hidden_size %d is no multiple of %d heads", c.Hidden, c.Heads)
	case !(c.RopeTheta > 0) || math.IsInf(c.RopeTheta, 0) || c.RopeScaling.Kind == "yarn" && c.RopeTheta <= 1:
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
