package ckpt

import (
	"encoding/json"
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
	m := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(config), &m); err != nil {
		panic(err)
	}
	if value == "" {
		delete(m, field)
	} else {
		m[field] = json.RawMessage(value)
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
			func(c *Config) { c.RopeScaling = RopeScaling{32, 1, 2, 64} }},
		{"head_dim", "16", func(c *Config) { c.HeadDim = 16 }},
		{"num_key_value_heads", "", func(c *Config) { c.KVHeads = 8 }},
		{"max_position_embeddings", "131072", func(c *Config) { c.MaxPositions = 131072 }},
		{"is_llama_config", "true", func(c *Config) {}},
		{"rope_interleaved", "false", func(c *Config) {}},
	} {
		want := Config{
			ModelType: "llama", Architecture: "LlamaForCausalLM", Vocab: 512, Hidden: 64, Intermediate: 168, Layers: 3, Heads: 8, KVHeads: 2,
			HeadDim: 8, MaxPositions: 2048, RopeTheta: 5e5, RopeScaling: RopeScaling{8, 1, 4, 128}, RMSNormEps: 1e-6, EOS: []int32{511, 509}, DType: "float32",
		}
		tc.want(&want)
		got, err := parseConfig(llama(tc.field, tc.value))
		require.NoError(t, err, tc.field)
		require.Equal(t, want, got)
	}
	for _, tc := range []struct{ field, value, want string }{
		{"model_type", `"mistral"`, `model type "mistral"`},
		{"architectures", `["Qwen3ForCausalLM"]`, `model type "llama" with architecture "Qwen3ForCausalLM"`},
		{"attention_bias", "true", "attention_bias is true"},
		{"mlp_bias", "true", "mlp_bias is true"},
		{"rope_interleaved", "true", "rope_interleaved is true"},
		{"sliding_window", "32", `field "sliding_window" is not known`},
		{"hidden_size", "4", "head_dim is 0"},
		{"num_attention_heads", "0", "num_attention_heads is 0"},
		{"rope_parameters", `{"rope_type":"default"}`, "rope_scaling stands beside rope_parameters"},
		{"rope_scaling", `{"rope_type":"llama3","factor":8}`, `rope_scaling: field "low_freq_factor" is missing`},
		{"rope_scaling", `{"rope_type":"llama3","factor":0,"low_freq_factor":1,"high_freq_factor":2,"original_max_position_embeddings":64}`, "rope_scaling: factor 0"},
		{"rope_scaling", `{"rope_type":"llama3","factor":8,"low_freq_factor":2,"high_freq_factor":2,"original_max_position_embeddings":64}`, "from 2 to 2"},
		{"rope_scaling", `{"rope_type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":2,"original_max_position_embeddings":0}`, "over 0 positions"},
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
		{"use_sliding_window", "true", "use_sliding_window is true"},
		{"attention_bias", "false", "attention_bias is false"},
		{"num_key_value_heads", "", `"num_key_value_heads" is missing`},
		{"mlp_bias", "true", `field "mlp_bias" is not known`},
	} {
		_, err := parseConfig(qwen2(tc.field, tc.value))
		require.ErrorContains(t, err, tc.want, tc.field+" "+tc.value)
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
		{"rope_scaling", `{"rope_type":"yarn","factor":4}`, "rope_scaling: rope_type is yarn"},
		{"rope_scaling", `{"rope_type":"default","factor":4}`, `rope_scaling: field "factor"`},
		{"rope_parameters", `{"partial_rotary_factor":0.5}`, "rope_parameters: partial_rotary_factor is 0.5"},
		{"hidden_act", `"gelu"`, "hidden_act is gelu"},
		{"attention_bias", "true", "attention_bias is true"},
		{"attention_dropout", "0.1", "attention_dropout is 0.1"},
		{"use_sliding_window", "true", "use_sliding_window is true"},
		{"layer_types", `["sliding_attention"]`, "sliding_attention"},
		{"logit_scale", "2", `field "logit_scale" is not known`},
		{"quantization_config", `{"bits":4}`, `field "quantization_config" is not known`},
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

// FuzzConfig: sizes that are taken can be multiplied, end tokens can be looked up.
func FuzzConfig(f *testing.F) {
	f.Add(qwen3("x", ""))
	f.Add(llama("x", ""))
	f.Add(qwen3("rope_parameters", `{"rope_theta":5e5,"rope_type":"default"}`))
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
