package ckpt

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// qwen3 is a config.json with one field changed, or left out where the value is "".
func qwen3(field, value string) []byte {
	return changed(`{"architectures":["Qwen3ForCausalLM"],"model_type":"qwen3","vocab_size":512,"hidden_size":64,"intermediate_size":160,
		"num_hidden_layers":3,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":32,"eos_token_id":509,"hidden_act":"silu","attention_bias":false,
		"attention_dropout":0.0,"rope_scaling":null,"rope_theta":1000000.0,"sliding_window":32,"use_sliding_window":false,"torch_dtype":"float32"}`, field, value)
}

// llama is likewise one of another family, with scaled positions.
func llama(field, value string) []byte {
	return changed(`{"architectures":["LlamaForCausalLM"],"model_type":"llama","vocab_size":512,"hidden_size":64,"intermediate_size":168,
		"num_hidden_layers":3,"num_attention_heads":8,"num_key_value_heads":2,"eos_token_id":[511,509],"attention_bias":false,"mlp_bias":false,"pretraining_tp":1,
		"rope_theta":500000.0,"rope_scaling":{"factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":128,
		"rope_type":"llama3"},"torch_dtype":"float32"}`, field, value)
}

func changed(config, field, value string) []byte {
	if value == "" {
		return merged(config, "{}", field)
	}
	return merged(config, fmt.Sprintf("{%q:%s}", field, value))
}

// merged returns config with the fields of change in the place of its own, and
// without some.
func merged(config, change string, without ...string) []byte {
	m := map[string]json.RawMessage{}
	for _, s := range []string{config, change} {
		if err := json.Unmarshal([]byte(s), &m); err != nil {
			panic(err)
		}
	}
	for _, field := range without {
		delete(m, field)
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

func TestConfig(t *testing.T) {
	for _, tc := range []struct {
		field, value string
		want         func(c *Config)
	}{
		{"rope_theta", "10000", func(c *Config) { c.RopeTheta = 10000 }},
		{"rope_theta", "", func(c *Config) { c.RopeTheta = 10000 }},
		{"rope_parameters", `{"rope_theta":5e5,"rope_type":"default"}`, func(c *Config) { c.RopeTheta = 5e5 }},
		{"rope_scaling", `{"type":"default"}`, func(c *Config) {}},
		{"head_dim", "", func(c *Config) { c.HeadDim = 128 }},
		{"tie_word_embeddings", "true", func(c *Config) { c.Tied = true }},
		{"eos_token_id", "[1,2]", func(c *Config) { c.EOS = []int32{1, 2} }},
		{"eos_token_id", "null", func(c *Config) { c.EOS = nil }},
		{"dtype", `"bfloat16"`, func(c *Config) { c.DType = "bfloat16" }},
		{"torch_dtype", "", func(c *Config) { c.DType = "" }},
		{"layer_types", `["full_attention","full_attention","full_attention"]`, func(c *Config) {}},
		{"architectures", "", func(c *Config) {}},
		{"quantization_config", "null", func(c *Config) {}},
		{"max_window_layers", "3", func(c *Config) {}},
		{"num_key_value_heads", "null", func(c *Config) { c.KVHeads = 4 }},
		{"attention_bias", "true", func(c *Config) { c.QKVBias, c.OBias = true, true }},
		{"sliding_window", "null", func(c *Config) {}},
	} {
		want := Config{
			ModelType: "qwen3", Architecture: "Qwen3ForCausalLM", Vocab: 512, Hidden: 64, Intermediate: 160, Layers: 3, Heads: 4, KVHeads: 2,
			HeadDim: 32, MaxPositions: 32768, RopeTheta: 1e6, RMSNormEps: 1e-6, QKNorm: true, EOS: []int32{509}, DType: "float32",
		}
		tc.want(&want)
		got, err := parseConfig(qwen3(tc.field, tc.value))
		require.NoError(t, err, tc.field)
		require.Equal(t, want, got)
	}
}

func TestLlamaConfig(t *testing.T) {
	for _, tc := range []struct {
		field, value string
		want         func(c *Config)
	}{
		{"rope_scaling", "", func(c *Config) { c.RopeScaling = RopeScaling{} }},
		{"rope_scaling", `{"type":"llama3","factor":32,"low_freq_factor":1,"high_freq_factor":2,"original_max_position_embeddings":64}`,
			func(c *Config) {
				c.RopeScaling = RopeScaling{Kind: "llama3", Factor: 32, LowFreq: 1, HighFreq: 2, OriginalPositions: 64}
			}},
		{"rope_scaling", `{"rope_type":"linear","factor":2.5}`, func(c *Config) { c.RopeScaling = RopeScaling{Kind: "linear", Factor: 2.5} }},
		{"rope_scaling", `{"rope_type":"yarn","type":"linear","factor":4}`, func(c *Config) {
			c.RopeScaling = RopeScaling{
				Kind: "yarn", Factor: 4, OriginalPositions: 2048, BetaSlow: 1, BetaFast: 32, Truncate: true, AttentionFactor: 0.1*math.Log(4) + 1,
			}
		}},
		{"rope_scaling", `{"type":"yarn","factor":40,"original_max_position_embeddings":64,"beta_fast":16,"beta_slow":2,"mscale":1.5,"mscale_all_dim":0.5,
			"attention_factor":null,"truncate":false}`, func(c *Config) {
			c.RopeScaling = RopeScaling{
				Kind: "yarn", Factor: 40, OriginalPositions: 64, BetaSlow: 2, BetaFast: 16, AttentionFactor: (0.1*1.5*math.Log(40) + 1) / (0.1*0.5*math.Log(40) + 1),
			}
		}},
		{"rope_scaling", `{"rope_type":"yarn","factor":4,"original_max_position_embeddings":64,"attention_factor":1.5,"mscale":2}`, func(c *Config) {
			c.RopeScaling = RopeScaling{Kind: "yarn", Factor: 4, OriginalPositions: 64, BetaSlow: 1, BetaFast: 32, Truncate: true, AttentionFactor: 1.5}
		}},
		{"attention_bias", "true", func(c *Config) { c.QKVBias, c.OBias = true, true }},
		{"mlp_bias", "true", func(c *Config) { c.MLPBias = true }},
		{"layer_types", `["full_attention","full_attention","full_attention"]`, func(c *Config) {}},
		{"head_dim", "16", func(c *Config) { c.HeadDim = 16 }},
		{"num_key_value_heads", "", func(c *Config) { c.KVHeads = 8 }},
		{"max_position_embeddings", "131072", func(c *Config) { c.MaxPositions = 131072 }},
		{"is_llama_config", "true", func(c *Config) {}},
		{"rope_interleaved", "false", func(c *Config) {}},
	} {
		want := Config{
			ModelType: "llama", Architecture: "LlamaForCausalLM", Vocab: 512, Hidden: 64, Intermediate: 168, Layers: 3, Heads: 8, KVHeads: 2,
			HeadDim: 8, MaxPositions: 2048, RopeTheta: 5e5, RMSNormEps: 1e-6, EOS: []int32{511, 509}, DType: "float32",
			RopeScaling: RopeScaling{Kind: "llama3", Factor: 8, LowFreq: 1, HighFreq: 4, OriginalPositions: 128},
		}
		tc.want(&want)
		got, err := parseConfig(llama(tc.field, tc.value))
		require.NoError(t, err, tc.field)
		require.Equal(t, want, got)
	}
	for _, tc := range []struct{ field, value, want string }{
		{"model_type", `"ministral"`, `model type "ministral"`},
		{"architectures", `["Qwen3ForCausalLM"]`, `model type "llama" with architecture "Qwen3ForCausalLM"`},
		{"rope_interleaved", "true", "rope_interleaved is true"},
		{"hidden_size", "68", "hidden_size 68 is no multiple of 8 heads"},
		{"layer_types", `["full_attention","sliding_attention","full_attention"]`, "sliding_attention, which llama does not have"},
		{"sliding_window", "32", `field "sliding_window" is not known`},
		{"hidden_size", "4", "head_dim is 0"},
		{"num_attention_heads", "0", "num_attention_heads is 0"},
		{"rope_parameters", `{"rope_type":"default"}`, "rope_scaling stands beside rope_parameters"},
		{"rope_scaling", `{"rope_type":"llama3","factor":8}`, `rope_scaling: field "low_freq_factor" is missing`},
		{"rope_scaling", `{"rope_type":"llama3","factor":0,"low_freq_factor":1,"high_freq_factor":2,"original_max_position_embeddings":64}`, "rope_scaling: {Kind:llama3 Factor:0"},
		{"rope_scaling", `{"rope_type":"llama3","factor":8,"low_freq_factor":2,"high_freq_factor":2,"original_max_position_embeddings":64}`, "LowFreq:2 HighFreq:2"},
		{"rope_scaling", `{"rope_type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":2,"original_max_position_embeddings":0}`, "OriginalPositions:0"},
		{"rope_scaling", `{"rope_type":"yarn"}`, `rope_scaling: field "factor" is missing`},
		{"rope_scaling", `{"rope_type":"yarn","factor":4,"beta_fast":1,"beta_slow":2}`, "BetaSlow:2 BetaFast:1"},
		{"rope_scaling", `{"rope_type":"yarn","factor":4,"attention_factor":0}`, "AttentionFactor:0"},
		{"rope_scaling", `{"rope_type":"yarn","factor":4,"low_freq_factor":1}`, `rope_scaling: field "low_freq_factor" is not known`},
		{"rope_scaling", `{"rope_type":"linear","factor":0}`, "Factor:0"},
		{"rope_scaling", `{"rope_type":"dynamic","factor":4}`, "rope_type is dynamic; default, linear, llama3 and yarn are supported"},
		{"rope_scaling", `{"type":"longrope","long_factor":[1]}`, "rope_type is longrope"},
	} {
		_, err := parseConfig(llama(tc.field, tc.value))
		require.ErrorContains(t, err, tc.want, tc.field+" "+tc.value)
	}
}

func TestQwen2Config(t *testing.T) {
	qwen2 := func(field, value string) []byte {
		return changed(`{"architectures":["Qwen2ForCausalLM"],"model_type":"qwen2","vocab_size":512,"hidden_size":64,"intermediate_size":144,
			"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"tie_word_embeddings":true,"eos_token_id":511,
			"use_sliding_window":false,"sliding_window":32,"max_window_layers":1,"torch_dtype":"bfloat16"}`, field, value)
	}
	got, err := parseConfig(qwen2("rope_theta", "1e6"))
	require.NoError(t, err)
	require.Equal(t, Config{
		ModelType: "qwen2", Architecture: "Qwen2ForCausalLM", Vocab: 512, Hidden: 64, Intermediate: 144, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 16,
		MaxPositions: 32768, RopeTheta: 1e6, RMSNormEps: 1e-6, Tied: true, QKVBias: true, EOS: []int32{511}, DType: "bfloat16",
	}, got)
	for _, tc := range []struct{ field, value, want string }{
		{"attention_bias", "false", "attention_bias is false"},
		{"use_mrope", "true", "use_mrope is true"},
		{"num_key_value_heads", "", `"num_key_value_heads" is missing`},
		{"mlp_bias", "true", `field "mlp_bias" is not known`},
	} {
		_, err := parseConfig(qwen2(tc.field, tc.value))
		require.ErrorContains(t, err, tc.want, tc.field+" "+tc.value)
	}
}

// TestWindow: a window acts where transformers lets it act in some layer.
func TestWindow(t *testing.T) {
	const mistral = `{"architectures":["MistralForCausalLM"],"model_type":"mistral","vocab_size":512,"hidden_size":64,"intermediate_size":144,
		"num_hidden_layers":3,"num_attention_heads":16,"torch_dtype":"bfloat16"}`
	for _, tc := range []struct {
		config, change string
		want           int
	}{
		{mistral, `{}`, 4096},
		{mistral, `{"sliding_window":null}`, 0},
		{mistral, `{"sliding_window":32}`, 32},
		{string(qwen3("", "")), `{"use_sliding_window":true}`, 0}, // from layer 28 on
		{string(qwen3("", "")), `{"use_sliding_window":true,"max_window_layers":3}`, 0},
		{string(qwen3("", "")), `{"use_sliding_window":true,"max_window_layers":2}`, 32},
		{string(qwen3("", "")), `{"use_sliding_window":false,"max_window_layers":2}`, 0},
		{string(qwen3("", "")), `{"use_sliding_window":true,"max_window_layers":2,"sliding_window":null}`, 0},
		{string(qwen3("", "")), `{"use_sliding_window":true,"layer_types":["full_attention","full_attention","sliding_attention"]}`, 32},
		{string(qwen3("", "")), `{"use_sliding_window":true,"max_window_layers":0,"layer_types":["full_attention","full_attention","full_attention"]}`, 0},
	} {
		c, err := parseConfig(merged(tc.config, tc.change))
		require.NoError(t, err, tc.change)
		require.Equal(t, tc.want, c.Window, tc.change)
	}
	got, err := parseConfig([]byte(mistral))
	require.NoError(t, err)
	require.Equal(t, Config{
		ModelType: "mistral", Architecture: "MistralForCausalLM", Vocab: 512, Hidden: 64, Intermediate: 144, Layers: 3, Heads: 16, KVHeads: 8, HeadDim: 4,
		MaxPositions: 131072, Window: 4096, RopeTheta: 10000, RMSNormEps: 1e-6, DType: "bfloat16",
	}, got)
	for _, tc := range []struct{ config, change, want string }{
		{mistral, `{"sliding_window":0}`, "sliding_window is 0"},
		{mistral, `{"layer_types":["full_attention"]}`, "ministral, which is not supported"},
		{mistral, `{"attention_bias":true}`, "attention_bias is true"},
		{string(qwen3("", "")), `{"use_sliding_window":true,"sliding_window":-1}`, "sliding_window is -1"},
	} {
		_, err := parseConfig(merged(tc.config, tc.change))
		require.ErrorContains(t, err, tc.want)
	}
}

func TestConfigRefused(t *testing.T) {
	for _, tc := range []struct{ field, value, want string }{
		{"model_type", `"mamba"`, `model type "mamba"`},
		{"architectures", `["Qwen3ForSequenceClassification"]`, "Qwen3ForSequenceClassification"},
		{"model_type", "", `"model_type" is missing`},
		{"vocab_size", "", `"vocab_size" is missing`},
		{"vocab_size", "0", "vocab_size is 0"},
		{"vocab_size", "1.5", "vocab_size: "},
		{"hidden_size", "-1", "hidden_size is -1"},
		{"hidden_size", "99999999999", "hidden_size is 99999999999"},
		{"num_hidden_layers", "1000000", "num_hidden_layers is 1000000"},
		{"num_key_value_heads", "3", "4 heads cannot share 3"},
		{"head_dim", "31", "head_dim is 31"},
		{"rope_theta", "0", "rope_theta is 0"},
		{"rms_norm_eps", "-1", "rms_norm_eps is -1"},
		{"rope_scaling", `{"rope_type":"default","factor":4}`, `rope_scaling: field "factor"`},
		{"rope_parameters", `{"partial_rotary_factor":0.5}`, "rope_parameters: partial_rotary_factor is 0.5"},
		{"hidden_act", `"gelu"`, "hidden_act is gelu"},
		{"attention_dropout", "0.1", "attention_dropout is 0.1"},
		{"layer_types", `["full_attention"]`, "layer_types names 1 layers of 3"},
		{"layer_types", `["full_attention","full_attention","chunked_attention"]`, `layer_types holds "chunked_attention"`},
		{"layer_types", `["full_attention","sliding_attention","full_attention"]`, "no sliding_window acts"},
		{"logit_scale", "2", `field "logit_scale" is not known`},
		{"quantization_config", `{"bits":4}`, "quantization_config: quantised weights are not supported"},
		{"model_type", `"qwen3_moe"`, `model type "qwen3_moe"`},
		{"model_type", `"gemma3_text"`, `model type "gemma3_text"`},
		{"model_type", `"phi3"`, `model type "phi3"`},
		{"torch_dtype", `"float8"`, `dtype is "float8"`},
		{"eos_token_id", "512", "token 512 is not in a vocabulary of 512"},
		{"eos_token_id", "[-1]", "token -1"},
		{"eos_token_id", `"x"`, "eos_token_id: "},
	} {
		_, err := parseConfig(qwen3(tc.field, tc.value))
		require.ErrorContains(t, err, tc.want, tc.field+" "+tc.value)
	}
	_, err := parseConfig([]byte(`{"model_type":"qwen3","model_type":"qwen3"}`))
	require.ErrorContains(t, err, "comes twice")
}

func TestGenerationConfig(t *testing.T) {
	c := Config{Vocab: 10, EOS: []int32{1}}
	require.NoError(t, c.parseGeneration([]byte(`{"temperature":0.6,"eos_token_id":null}`)))
	require.Equal(t, []int32{1}, c.EOS, "config.json counts where this file names none")
	require.NoError(t, c.parseGeneration([]byte(`{"repetition_penalty":1.05,"eos_token_id":[2,3]}`)))
	require.Equal(t, []int32{2, 3}, c.EOS)
	require.ErrorContains(t, c.parseGeneration([]byte(`{"eos_token_id":10}`)), "token 10")
	require.Error(t, c.parseGeneration([]byte(`{"eos_token_id":`)))
}

// FuzzConfig: sizes that are taken can be multiplied, end tokens can be looked
// up, and what was understood can be said again.
func FuzzConfig(f *testing.F) {
	f.Add(qwen3("x", ""))
	f.Add(llama("x", ""))
	f.Add(qwen3("rope_parameters", `{"rope_theta":5e5,"rope_type":"default"}`))
	f.Add(qwen3("attention_bias", "true"))
	f.Add(merged(qwen2Published, `{"use_sliding_window":true,"layer_types":["sliding_attention"],"num_hidden_layers":1}`))
	f.Add(llama("mlp_bias", "true"))
	f.Add(llama("rope_scaling", `{"type":"linear","factor":2}`))
	f.Add(llama("rope_scaling", `{"rope_type":"yarn","factor":4,"beta_fast":16,"beta_slow":2,"mscale":1,"mscale_all_dim":0.5,"attention_factor":1.1,"truncate":false}`))
	f.Add([]byte(mistralPublished))
	f.Add([]byte(`{"eos_token_id":`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseConfig(b)
		if err != nil {
			return
		}
		require.Zero(t, c.Heads%c.KVHeads)
		require.Positive(t, c.Vocab*c.Hidden)
		for _, id := range c.EOS {
			require.True(t, id >= 0 && int(id) < c.Vocab)
		}
		_, _, err = c.marshal()
		require.NoError(t, err)
		_ = c.parseGeneration(b)
	})
}

// FuzzIndex: an index names files beside it only.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"metadata":{"total_size":1},"weight_map":{"a":"model-00001-of-00001.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"a":"../x"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		place, err := parseIndex(b)
		if err != nil {
			return
		}
		require.NotEmpty(t, place)
		for _, file := range place {
			require.NotContains(t, file, "/")
			require.NotEqual(t, "..", file)
		}
	})
}
