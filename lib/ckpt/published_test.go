package ckpt

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Configurations as their publishers have them; those of one family differ in
// few fields.
const (
	qwen3Published = `{"architectures":["Qwen3ForCausalLM"],"attention_bias":false,"attention_dropout":0.0,"bos_token_id":151643,"eos_token_id":151645,
		"head_dim":128,"hidden_act":"silu","hidden_size":1024,"initializer_range":0.02,"intermediate_size":3072,"max_position_embeddings":40960,
		"max_window_layers":28,"model_type":"qwen3","num_attention_heads":16,"num_hidden_layers":28,"num_key_value_heads":8,"rms_norm_eps":1e-06,
		"rope_scaling":null,"rope_theta":1000000,"sliding_window":null,"tie_word_embeddings":true,"torch_dtype":"bfloat16",
		"transformers_version":"4.51.0","use_cache":true,"use_sliding_window":false,"vocab_size":151936}`
	qwen2Published = `{"architectures":["Qwen2ForCausalLM"],"attention_dropout":0.0,"bos_token_id":151643,"eos_token_id":151645,"hidden_act":"silu",
		"hidden_size":896,"initializer_range":0.02,"intermediate_size":4864,"max_position_embeddings":32768,"max_window_layers":21,
		"model_type":"qwen2","num_attention_heads":14,"num_hidden_layers":24,"num_key_value_heads":2,"rms_norm_eps":1e-06,"rope_theta":1000000.0,
		"sliding_window":32768,"tie_word_embeddings":true,"torch_dtype":"bfloat16","transformers_version":"4.43.1","use_cache":true,
		"use_mrope":false,"use_sliding_window":false,"vocab_size":151936}`
	llama3Published = `{"architectures":["LlamaForCausalLM"],"attention_bias":false,"attention_dropout":0.0,"bos_token_id":128000,"eos_token_id":128001,
		"hidden_act":"silu","hidden_size":4096,"initializer_range":0.02,"intermediate_size":14336,"max_position_embeddings":8192,
		"model_type":"llama","num_attention_heads":32,"num_hidden_layers":32,"num_key_value_heads":8,"pretraining_tp":1,"rms_norm_eps":1e-05,
		"rope_scaling":null,"rope_theta":500000.0,"tie_word_embeddings":false,"torch_dtype":"bfloat16","transformers_version":"4.40.0.dev0",
		"use_cache":true,"vocab_size":128256}`
	mistralPublished = `{"architectures":["MistralForCausalLM"],"bos_token_id":1,"eos_token_id":2,"hidden_act":"silu","hidden_size":4096,
		"initializer_range":0.02,"intermediate_size":14336,"max_position_embeddings":32768,"model_type":"mistral","num_attention_heads":32,
		"num_hidden_layers":32,"num_key_value_heads":8,"rms_norm_eps":1e-05,"rope_theta":10000.0,"sliding_window":4096,
		"tie_word_embeddings":false,"torch_dtype":"bfloat16","transformers_version":"4.34.0.dev0","use_cache":true,"vocab_size":32000}`
	smolPublished = `{"architectures":["LlamaForCausalLM"],"attention_bias":false,"attention_dropout":0.0,"bos_token_id":1,"eos_token_id":2,
		"hidden_act":"silu","hidden_size":576,"initializer_range":0.041666666666666664,"intermediate_size":1536,"is_llama_config":true,
		"max_position_embeddings":8192,"mlp_bias":false,"model_type":"llama","num_attention_heads":9,"num_hidden_layers":30,
		"num_key_value_heads":3,"pad_token_id":2,"pretraining_tp":1,"rms_norm_eps":1e-05,"rope_interleaved":false,"rope_scaling":null,
		"rope_theta":100000,"tie_word_embeddings":true,"torch_dtype":"bfloat16",
		"transformers.js_config":{"kv_cache_dtype":{"q4f16":"float16","fp16":"float16"}},"transformers_version":"4.42.3","use_cache":true,"vocab_size":49152}`
	llama31Scaling = `{"factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":8192,"rope_type":"llama3"}`
)

// TestPublished opens what is published: each has as many parameters as its
// publisher says, and comes back from the configuration that Init would write.
func TestPublished(t *testing.T) {
	for _, tc := range []struct {
		name   string
		config string
		change string // fields in the place of the family's
		want   int    // parameters
	}{
		{"Qwen3-0.6B", qwen3Published, `{}`, 596049920},
		{"Qwen3-0.6B, saved again", qwen3Published, `{"torch_dtype":null,"dtype":"bfloat16","rope_theta":null,"rope_parameters":{"rope_theta":1000000,"rope_type":"default"},
			"layer_types":["full_attention","full_attention","full_attention","full_attention","full_attention","full_attention","full_attention","full_attention",
			"full_attention","full_attention","full_attention","full_attention","full_attention","full_attention","full_attention","full_attention","full_attention",
			"full_attention","full_attention","full_attention","full_attention","full_attention","full_attention","full_attention","full_attention","full_attention",
			"full_attention","full_attention"],"pad_token_id":null,"transformers_version":"5.0.0","_attn_implementation_autoset":true}`, 596049920},
		{"Qwen3-1.7B", qwen3Published, `{"hidden_size":2048,"intermediate_size":6144}`, 1720574976},
		{"Qwen3-4B", qwen3Published, `{"hidden_size":2560,"intermediate_size":9728,"num_hidden_layers":36,"num_attention_heads":32,"max_window_layers":36}`, 4022468096},
		{"Qwen3-4B-Instruct-2507", qwen3Published, `{"hidden_size":2560,"intermediate_size":9728,"num_hidden_layers":36,"num_attention_heads":32,"max_window_layers":36,
			"max_position_embeddings":262144,"rope_theta":5000000}`, 4022468096},
		{"Qwen3-8B", qwen3Published, `{"hidden_size":4096,"intermediate_size":12288,"num_hidden_layers":36,"num_attention_heads":32,"tie_word_embeddings":false}`, 8190735360},
		{"Qwen3-8B with yarn", qwen3Published, `{"hidden_size":4096,"intermediate_size":12288,"num_hidden_layers":36,"num_attention_heads":32,"tie_word_embeddings":false,
			"rope_scaling":{"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":32768}}`, 8190735360},
		{"Qwen3-14B", qwen3Published, `{"hidden_size":5120,"intermediate_size":17408,"num_hidden_layers":40,"num_attention_heads":40,"tie_word_embeddings":false}`, 14768307200},
		{"Qwen3-32B", qwen3Published, `{"hidden_size":5120,"intermediate_size":25600,"num_hidden_layers":64,"num_attention_heads":64,"tie_word_embeddings":false}`, 32762123264},
		{"Qwen2.5-0.5B", qwen2Published, `{"max_window_layers":24,"eos_token_id":151643}`, 494032768},
		{"Qwen2.5-0.5B-Instruct", qwen2Published, `{"use_mrope":null}`, 494032768},
		{"Qwen2.5-1.5B", qwen2Published, `{"hidden_size":1536,"intermediate_size":8960,"num_hidden_layers":28,"num_attention_heads":12,"sliding_window":131072}`, 1543714304},
		{"Qwen2.5-3B", qwen2Published, `{"hidden_size":2048,"intermediate_size":11008,"num_hidden_layers":36,"num_attention_heads":16,"max_window_layers":70}`, 3085938688},
		{"Qwen2.5-7B", qwen2Published, `{"hidden_size":3584,"intermediate_size":18944,"num_hidden_layers":28,"num_attention_heads":28,"num_key_value_heads":4,
			"tie_word_embeddings":false,"vocab_size":152064,"max_position_embeddings":131072,"sliding_window":131072}`, 7615616512},
		{"Qwen2.5-7B-Instruct with yarn", qwen2Published, `{"hidden_size":3584,"intermediate_size":18944,"num_hidden_layers":28,"num_attention_heads":28,"num_key_value_heads":4,
			"tie_word_embeddings":false,"vocab_size":152064,"rope_scaling":{"factor":4.0,"original_max_position_embeddings":32768,"type":"yarn"}}`, 7615616512},
		{"Qwen2.5-14B", qwen2Published, `{"hidden_size":5120,"intermediate_size":13824,"num_hidden_layers":48,"num_attention_heads":40,"num_key_value_heads":8,
			"tie_word_embeddings":false,"vocab_size":152064,"rms_norm_eps":1e-05}`, 14770033664},
		{"Qwen2.5-32B", qwen2Published, `{"hidden_size":5120,"intermediate_size":27648,"num_hidden_layers":64,"num_attention_heads":40,"num_key_value_heads":8,
			"tie_word_embeddings":false,"vocab_size":152064,"rms_norm_eps":1e-05}`, 32763876352},
		{"Qwen2.5-72B", qwen2Published, `{"hidden_size":8192,"intermediate_size":29568,"num_hidden_layers":80,"num_attention_heads":64,"num_key_value_heads":8,
			"tie_word_embeddings":false,"vocab_size":152064,"rms_norm_eps":1e-05,"max_window_layers":80}`, 72706203648},
		{"Qwen2.5-Math-1.5B", qwen2Published, `{"hidden_size":1536,"intermediate_size":8960,"num_hidden_layers":28,"num_attention_heads":12,
			"max_position_embeddings":4096,"sliding_window":4096,"rope_theta":10000}`, 1543714304},
		{"DeepSeek-R1-Distill-Qwen-1.5B", qwen2Published, `{"hidden_size":1536,"intermediate_size":8960,"num_hidden_layers":28,"num_attention_heads":12,"bos_token_id":151646,
			"eos_token_id":151643,"max_position_embeddings":131072,"sliding_window":4096,"rope_theta":10000,"tie_word_embeddings":false}`, 1777088000},
		{"DeepSeek-R1-Distill-Qwen-32B", qwen2Published, `{"hidden_size":5120,"intermediate_size":27648,"num_hidden_layers":64,"num_attention_heads":40,"num_key_value_heads":8,
			"tie_word_embeddings":false,"vocab_size":152064,"rms_norm_eps":1e-05,"max_window_layers":64,"sliding_window":131072}`, 32763876352},
		{"Meta-Llama-3-8B", llama3Published, `{}`, 8030261248},
		{"Llama-3.1-8B-Instruct", llama3Published, `{"eos_token_id":[128001,128008,128009],"max_position_embeddings":131072,"mlp_bias":false,"rope_scaling":` + llama31Scaling + `}`, 8030261248},
		{"Llama-3.1-70B", llama3Published, `{"hidden_size":8192,"intermediate_size":28672,"num_hidden_layers":80,"num_attention_heads":64,"mlp_bias":false,"rope_scaling":` + llama31Scaling + `}`, 70553706496},
		{"Llama-3.2-1B", llama3Published, `{"hidden_size":2048,"intermediate_size":8192,"num_hidden_layers":16,"head_dim":64,"tie_word_embeddings":true,"mlp_bias":false,
			"rope_scaling":{"factor":32.0,"high_freq_factor":4.0,"low_freq_factor":1.0,"original_max_position_embeddings":8192,"rope_type":"llama3"}}`, 1235814400},
		{"Llama-3.2-3B", llama3Published, `{"hidden_size":3072,"intermediate_size":8192,"num_hidden_layers":28,"num_attention_heads":24,"head_dim":128,"tie_word_embeddings":true,
			"mlp_bias":false,"rope_scaling":{"factor":32.0,"high_freq_factor":4.0,"low_freq_factor":1.0,"original_max_position_embeddings":8192,"rope_type":"llama3"}}`, 3212749824},
		{"DeepSeek-R1-Distill-Llama-8B", llama3Published, `{"max_position_embeddings":131072,"mlp_bias":false,"rope_scaling":` + llama31Scaling + `}`, 8030261248},
		{"Mistral-7B-v0.1", mistralPublished, `{}`, 7241732096},
		{"Mistral-7B-Instruct-v0.2", mistralPublished, `{"attention_dropout":0.0,"rope_theta":1000000.0,"sliding_window":null}`, 7241732096},
		{"Mistral-7B-v0.3", mistralPublished, `{"attention_dropout":0.0,"rope_theta":1000000.0,"sliding_window":null,"vocab_size":32768}`, 7248023552},
		{"SmolLM2-135M", smolPublished, `{"bos_token_id":0,"eos_token_id":0,"pad_token_id":null,"transformers.js_config":null}`, 134515008},
		{"SmolLM2-135M-Instruct", smolPublished, `{}`, 134515008},
		{"SmolLM2-360M-Instruct", smolPublished, `{"hidden_size":960,"intermediate_size":2560,"num_hidden_layers":32,"num_attention_heads":15,"num_key_value_heads":5}`, 361821120},
		{"SmolLM2-1.7B-Instruct", smolPublished, `{"hidden_size":2048,"intermediate_size":8192,"num_hidden_layers":24,"num_attention_heads":32,"num_key_value_heads":32,
			"rope_theta":130000}`, 1711376384},
	} {
		c, err := parseConfig(merged(tc.config, tc.change))
		require.NoError(t, err, tc.name)
		n := 0
		for _, p := range c.Parameters() {
			size := 1
			for _, d := range p.Shape {
				size *= d
			}
			n += size
		}
		require.Equal(t, tc.want, n, tc.name)
		config, _, err := c.marshal()
		require.NoError(t, err, tc.name)
		again, err := parseConfig(config)
		require.NoError(t, err, tc.name)
		require.Equal(t, c, again, tc.name)
		require.Equal(t, tc.name == "Mistral-7B-v0.1", c.Window > 0, tc.name)
	}
}
