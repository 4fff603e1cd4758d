package ckpt

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// families holds, for each model type that is supported, its architecture, what
// the type alone decides, and the defaults of transformers' configuration class.
var families = map[string]Config{
	"llama":   {Architecture: "LlamaForCausalLM", MaxPositions: 2048},
	"mistral": {Architecture: "MistralForCausalLM", MaxPositions: 131072, KVHeads: 8, Window: 4096},
	"qwen2":   {Architecture: "Qwen2ForCausalLM", MaxPositions: 32768, QKVBias: true},
	"qwen3":   {Architecture: "Qwen3ForCausalLM", MaxPositions: 32768, HeadDim: 128, QKNorm: true},
}

// Default returns what a model type ("llama", "mistral", "qwen2" or "qwen3")
// says without any field: the defaults of transformers' configuration class.
// Sizes that every model has to give are 0.
func Default(modelType string) (Config, error) {
	c, ok := families[modelType]
	if !ok {
		return Config{}, fmt.Errorf("model type %q is not supported; %s", modelType, supported())
	}
	c.ModelType, c.RopeTheta, c.RMSNormEps = modelType, 10000, 1e-6
	return c, nil
}

func supported() string {
	var list []string
	for _, t := range slices.Sorted(maps.Keys(families)) {
		list = append(list, t+" with "+families[t].Architecture)
	}
	return "supported are " + strings.Join(list, ", ")
}

// architecture reads what kind of model it is.
func architecture(r *reader) Config {
	var kind string
	var names []string
	r.need("model_type", &kind)
	r.take("architectures", &names)
	c, err := Default(kind)
	if err != nil || len(names) > 1 || len(names) == 1 && names[0] != c.Architecture {
		r.fail("model type %q with architecture %q is not supported; %s", kind, strings.Join(names, ", "), supported())
	}
	return c
}

// family reads the fields of the model type. Of its switches every value but
// those that the engine computes with is refused; where transformers has no
// such switch for the type, the value that describes what it does may stand.
func (c *Config) family(r *reader) {
	switch c.ModelType {
	case "llama":
		c.KVHeads = c.Heads
		var bias bool
		r.take("attention_bias", &bias)
		c.QKVBias, c.OBias = bias, bias
		r.take("mlp_bias", &c.MLPBias)
		only(r, "rope_interleaved", false)
		only(r, "is_llama_config", true)
		delete(r.raw, "pretraining_tp") // how to cut a product into parts
		if c.slides(r) {
			r.fail("layer_types holds sliding_attention, which llama does not have")
		}
	case "mistral":
		only(r, "attention_bias", false)
		only(r, "mlp_bias", false)
		if r.has("layer_types") {
			r.fail("layer_types in a mistral configuration makes it ministral, which is not supported")
		}
		c.Window = window(r, c.Window)
	case "qwen2":
		only(r, "attention_bias", true)
		c.qwen(r)
	case "qwen3":
		var bias bool
		r.take("attention_bias", &bias)
		c.QKVBias, c.OBias = bias, bias
		c.qwen(r)
	}
	if r.null("num_key_value_heads") {
		c.KVHeads = c.Heads
	}
	r.take("num_key_value_heads", &c.KVHeads)
	r.take("head_dim", &c.HeadDim)
	if c.HeadDim == 0 && c.Heads > 0 {
		c.HeadDim = c.Hidden / c.Heads
	}
}

// qwen reads what the Qwen types have in common. A window acts only where it is
// switched on, and then in the layers from max_window_layers on or in those that
// layer_types names.
func (c *Config) qwen(r *reader) {
	if r.raw["num_key_value_heads"] == nil {
		r.fail("field %q is missing", "num_key_value_heads")
	}
	only(r, "use_mrope", false)
	on, first := false, 28
	r.take("use_sliding_window", &on)
	r.take("max_window_layers", &first)
	width := window(r, 4096)
	if !on {
		width = 0
	}
	slides := width > 0 && first < c.Layers
	if r.has("layer_types") {
		if slides = c.slides(r); slides && width == 0 {
			r.fail("layer_types holds sliding_attention, but no sliding_window acts")
		}
	}
	if slides {
		c.Window = width
	}
}

// window reads sliding_window: absent is the type's default, null is 0.
func window(r *reader, width int) int {
	if r.null("sliding_window") {
		width = 0
	}
	if r.take("sliding_window", &width) && width < 1 {
		r.fail("sliding_window is %d", width)
	}
	return width
}

// slides reads layer_types and reports whether a layer has a window.
func (c *Config) slides(r *reader) (yes bool) {
	var types []string
	if r.take("layer_types", &types) && len(types) != c.Layers {
		r.fail("layer_types names %d layers of %d", len(types), c.Layers)
	}
	for _, t := range types {
		switch t {
		case "full_attention":
		case "sliding_attention":
			yes = true
		default:
			r.fail("layer_types holds %q; full_attention and sliding_attention are supported", t)
		}
	}
	return yes
}
