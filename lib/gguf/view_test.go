package gguf

import (
	"encoding/binary"
	"encoding/json"
	"io/fs"
	"maps"
	"math"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// open reads an image.
func open(t *testing.T, m *image) *Model {
	model, err := read(m.bytes())
	require.NoError(t, err)
	return model
}

// file reads a JSON file of a model.
func jsonFile(t *testing.T, m *Model, name string) map[string]any {
	b, err := fs.ReadFile(m.Files(), name)
	require.NoError(t, err)
	var v map[string]any
	require.NoError(t, json.Unmarshal(b, &v))
	return v
}

func TestFiles(t *testing.T) {
	m := open(t, tiny())
	require.NoError(t, fstest.TestFS(m.Files(), "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"))
	b, err := fs.ReadFile(m.Files(), "chat_template.jinja")
	require.NoError(t, err)
	require.Equal(t, "{{ messages[0].content }}", string(b))
	require.Equal(t, map[string]any{"eos_token_id": 4.}, jsonFile(t, m, "generation_config.json"))
	require.Equal(t, map[string]any{
		"add_bos_token": false, "add_eos_token": false, "clean_up_tokenization_spaces": false, "eos_token": "<|end|>", "model_max_length": 64.,
		"tokenizer_class": "PreTrainedTokenizerFast",
	}, jsonFile(t, m, "tokenizer_config.json"))

	bare := open(t, with(map[string]any{"tokenizer.chat_template": nil}))
	_, err = fs.Stat(bare.Files(), "chat_template.jinja")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestConfig(t *testing.T) {
	base := map[string]any{
		"architectures": []any{"LlamaForCausalLM"}, "model_type": "llama", "hidden_act": "silu", "vocab_size": 7., "hidden_size": 8., "num_hidden_layers": 1.,
		"num_attention_heads": 2., "num_key_value_heads": 1., "tie_word_embeddings": true, "torch_dtype": "float32", "attention_dropout": 0.,
		"intermediate_size": 32., "max_position_embeddings": 64., "mlp_bias": false, "attention_bias": false, "rms_norm_eps": 1e-5, "rope_theta": 5e5, "eos_token_id": 4.,
	}
	for name, tc := range map[string]struct {
		change func(m *image)
		fields map[string]any // nil: not there
	}{
		"plain": {func(*image) {}, nil},
		"defaults": {func(m *image) {
			m.set("llama.rope.freq_base", nil)
			m.set("llama.rope.dimension_count", nil)
			m.set("llama.rope.scaling.type", "none")
		}, map[string]any{"rope_theta": 1e4}},
		"what changes nothing": {func(m *image) {
			m.set("llama.vocab_size", uint32(7))
			m.set("llama.expert_count", uint32(0))
			m.set("llama.attention.causal", true)
			m.set("llama.tensor_data_layout", "Meta AI original pth")
			m.set("general.sampling.temp", float32(0.6))
			m.set("tokenizer.ggml.add_space_prefix", false)
		}, nil},
		"head of its own": {func(m *image) { m.tensors = append(m.tensors, stored{name: "output.weight", shape: []uint64{8, 7}}) },
			map[string]any{"tie_word_embeddings": false}},
		"biases": {func(m *image) {
			m.tensors = append(m.tensors, stored{name: "blk.0.attn_q.bias", shape: []uint64{8}}, stored{name: "blk.0.ffn_gate.bias", shape: []uint64{32}})
		}, map[string]any{"attention_bias": true, "mlp_bias": true}},
		"wide heads": {func(m *image) {
			m.set("llama.attention.key_length", uint32(8))
			m.set("llama.attention.value_length", uint32(8))
			m.set("llama.rope.dimension_count", uint32(8))
			m.tensor("blk.0.attn_k.weight").shape = []uint64{8, 8}
		}, map[string]any{"head_dim": 8.}},
		"half": {func(m *image) { m.tensor("token_embd.weight").typ = F16 }, map[string]any{"torch_dtype": "float16"}},
		"bf16": {func(m *image) { m.tensor("token_embd.weight").typ = BF16 }, map[string]any{"torch_dtype": "bfloat16"}},
		"linear": {func(m *image) {
			m.set("llama.rope.scaling.type", "linear")
			m.set("llama.rope.scaling.factor", float32(4))
		}, map[string]any{"rope_scaling": map[string]any{"rope_type": "linear", "factor": 4.}}},
		"linear of old": {func(m *image) { m.set("llama.rope.scale_linear", float32(0.3)) },
			map[string]any{"rope_scaling": map[string]any{"rope_type": "linear", "factor": 0.3}}},
		"yarn": {func(m *image) {
			m.set("llama.rope.scaling.type", "yarn")
			m.set("llama.rope.scaling.factor", float32(4))
			m.set("llama.rope.scaling.original_context_length", uint32(16))
			m.set("llama.rope.scaling.yarn_beta_fast", float32(16))
			m.set("llama.rope.scaling.finetuned", true)
			m.set("llama.rope.scaling.yarn_attn_factor", float32(0.1*math.Log(4)+1))
		}, map[string]any{"rope_scaling": map[string]any{"rope_type": "yarn", "factor": 4., "original_max_position_embeddings": 16., "beta_fast": 16.}}},
		"qwen2": {func(m *image) { rearchitect(m, "qwen2") },
			map[string]any{"model_type": "qwen2", "architectures": []any{"Qwen2ForCausalLM"}, "mlp_bias": nil, "attention_bias": nil}},
		"qwen3": {func(m *image) { rearchitect(m, "qwen3") },
			map[string]any{"model_type": "qwen3", "architectures": []any{"Qwen3ForCausalLM"}, "mlp_bias": nil, "head_dim": 4.}},
		"more tokens": {func(m *image) {
			m.set("tokenizer.ggml.bos_token_id", int64(1))
			m.set("tokenizer.ggml.padding_token_id", uint8(2))
		}, map[string]any{"bos_token_id": 1., "pad_token_id": 2.}},
	} {
		t.Run(name, func(t *testing.T) {
			m := tiny()
			tc.change(m)
			want := maps.Clone(base)
			for k, v := range tc.fields {
				if want[k] = v; v == nil {
					delete(want, k)
				}
			}
			require.Equal(t, want, jsonFile(t, open(t, m), "config.json"))
		})
	}
}

// rearchitect gives a model another architecture.
func rearchitect(m *image, to string) {
	for i, k := range m.keys {
		if rest, ok := cut(k.name, "llama."); ok {
			m.keys[i].name = to + "." + rest
		}
	}
	m.set("general.architecture", to)
}

func cut(s, prefix string) (string, bool) {
	if len(s) > len(prefix) && s[:len(prefix)] == prefix {
		return s[len(prefix):], true
	}
	return s, false
}

func TestRefuses(t *testing.T) {
	for want, values := range map[string]map[string]any{
		`architecture "gemma2" is not supported; llama, qwen2, qwen3 are`:                         {"general.architecture": "gemma2"},
		`architecture "" is not supported`:                                                        {"general.architecture": nil},
		`general.architecture is a uint32, not a string`:                                          {"general.architecture": uint32(1)},
		`it is one of 3 files of a model`:                                                         {"split.count": uint16(3)},
		`llama.block_count is missing`:                                                            {"llama.block_count": nil},
		`llama.block_count is a string, not an integer`:                                           {"llama.block_count": "2"},
		`llama.attention.head_count is a []int32, not an integer`:                                 {"llama.attention.head_count": []int32{2}},
		`llama.block_count is -1`:                                                                 {"llama.block_count": int32(-1)},
		`llama.block_count is 9223372036854775807`:                                                {"llama.block_count": uint64(math.MaxUint64)},
		`0 heads in a width of 8`:                                                                 {"llama.attention.head_count": uint32(0)},
		`1 key and value heads of width 1`:                                                        {"llama.attention.head_count": uint32(8), "llama.rope.dimension_count": nil},
		`llama.rope.dimension_count is 2, the width of a head 4; only equal ones are supported`:   {"llama.rope.dimension_count": uint32(2)},
		`llama.attention.value_length is 8, the width of a head 4; only equal ones are supported`: {"llama.attention.value_length": uint32(8)},
		`llama.attention.layer_norm_rms_epsilon is missing`:                                       {"llama.attention.layer_norm_rms_epsilon": nil},
		`llama.attention.layer_norm_rms_epsilon is a float64, not a float32`:                      {"llama.attention.layer_norm_rms_epsilon": 1e-5},
		`invalid number literal`:                                                                  {"llama.rope.freq_base": float32(math.Inf(1))},
		`key llama.attention.sliding_window is not known; what it changes in the model cannot be`: {"llama.attention.sliding_window": uint32(4096)},
		`key llama.logit_scale is not known`:                                                      {"llama.logit_scale": float32(8)},
		`llama.expert_count is 8; only 0 is supported`:                                            {"llama.expert_count": uint32(8)},
		`llama.attention.causal is false; only true is supported`:                                 {"llama.attention.causal": false},
		`rope.scaling.type "longrope" is not supported; none, linear and yarn are`:                {"llama.rope.scaling.type": "longrope"},
		`llama.rope.scaling.attn_factor is 2; only 1 is supported`:                                {"llama.rope.scaling.attn_factor": float32(2)},
		`llama.rope.scaling.yarn_ext_factor is 0; only 1 is supported`: {"llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": float32(4),
			"llama.rope.scaling.yarn_ext_factor": float32(0)},
		`llama.rope.scaling.yarn_attn_factor is 1; only the usual 1.1386294 is supported`: {"llama.rope.scaling.type": "yarn",
			"llama.rope.scaling.factor": float32(4), "llama.rope.scaling.yarn_attn_factor": float32(1)},
		`the tokenizer is SentencePiece (tokenizer.ggml.model llama), which is not supported; byte-level BPE (gpt2) is`: {"tokenizer.ggml.model": "llama"},
		`tokenizer.ggml.model "t5" is not supported`:                                            {"tokenizer.ggml.model": "t5"},
		`pre-tokenizer "tekken" (tokenizer.ggml.pre) is not known; default, gpt-2, llama-bpe, `: {"tokenizer.ggml.pre": "tekken"},
		`pre-tokenizer "" (tokenizer.ggml.pre) is not known`:                                    {"tokenizer.ggml.pre": nil},
		`tokenizer.ggml.add_space_prefix is not supported`:                                      {"tokenizer.ggml.add_space_prefix": true},
		`tokenizer.ggml.normalizer.lowercase is not supported`:                                  {"tokenizer.ggml.normalizer.lowercase": true},
		`tokens, token_type or merges of tokenizer.ggml are missing`:                            {"tokenizer.ggml.merges": nil},
		`tokenizer.ggml has 6 tokens and 1 types of them`:                                       {"tokenizer.ggml.token_type": []int32{1}},
		`tokenizer.ggml has 8 tokens, token_embd.weight only 7 rows`:                            {"tokenizer.ggml.tokens": make([]string, 8), "tokenizer.ggml.token_type": make([]int32, 8)},
		`tokenizer.ggml.bos_token_id is 6 of 6 tokens`:                                          {"tokenizer.ggml.bos_token_id": uint32(6)},
		`token 1 "b" is of type 6, which byte-level BPE has not`:                                {"tokenizer.ggml.token_type": []int32{1, 6, 1, 1, 1, 1}},
		`token 0 is not valid UTF-8`:                                                            {"tokenizer.ggml.tokens": []string{"\xff", "b", "c", "d", "e", "f"}},
		`merge 0 is not valid UTF-8`:                                                            {"tokenizer.ggml.merges": []string{"\xff b"}},
		`tokenizer.chat_template is not valid UTF-8`:                                            {"tokenizer.chat_template": "\xff"},
		`eos_token is 4, which is no token`:                                                     {"tokenizer.ggml.token_type": []int32{1, 1, 1, 1, 5, 1}},
	} {
		_, err := read(with(values).bytes())
		require.ErrorContains(t, err, want)
	}
	for want, add := range map[string]stored{
		`tensor "blk.0.ffn_gate_inp.weight" is not known in a llama model`: {name: "blk.0.ffn_gate_inp.weight", shape: []uint64{8, 2}},
		`tensor "blk.1.attn_q.weight" is not known`:                        {name: "blk.1.attn_q.weight", shape: []uint64{8, 8}},
		`tensor "blk.00.attn_q.weight" is not known`:                       {name: "blk.00.attn_q.weight", shape: []uint64{8, 8}},
		`tensor "blk.0.attn_q.scale" is not known`:                         {name: "blk.0.attn_q.scale", shape: []uint64{8, 8}},
		`tensor "blk.0.attn_q.bias" is F32 of shape [6], with heads`:       {name: "blk.0.attn_q.bias", shape: []uint64{6}},
		`tensor "blk.0.attn_k.bias" is Q8_0 of shape [32], with heads`:     {name: "blk.0.attn_k.bias", shape: []uint64{32}, typ: Q8_0},
		`tensor rope_freqs.weight is F16 of shape [2]`:                     {name: "rope_freqs.weight", shape: []uint64{2}, typ: F16},
		`rope_freqs.weight has 3 factors for heads of width 4`:             {name: "rope_freqs.weight", shape: []uint64{3}},
		`the factors of rope_freqs.weight are not those of Llama 3's`:      {name: "rope_freqs.weight", shape: []uint64{2}},
	} {
		m := tiny()
		m.tensors = append(m.tensors, add)
		_, err := read(m.bytes())
		require.ErrorContains(t, err, want)
	}
	m := tiny()
	m.tensors = slices.DeleteFunc(m.tensors, func(s stored) bool { return s.name == "token_embd.weight" })
	_, err := read(m.bytes())
	require.ErrorContains(t, err, "there is no tensor token_embd.weight")
	m = with(map[string]any{"llama.rope.scaling.type": "yarn"})
	m.tensors = append(m.tensors, stored{name: "rope_freqs.weight", shape: []uint64{2}})
	_, err = read(m.bytes())
	require.ErrorContains(t, err, "rope.scaling.type yarn stands beside rope_freqs.weight")
}

// TestRows: a Llama's q and k are in the order of Hugging Face, of which
// llama.cpp's converter makes
//
//	w.reshape(heads, 2, width/2, columns).swapaxes(1, 2).reshape(rows, columns);
//
// nothing else is moved, and nothing of a Qwen.
func TestRows(t *testing.T) {
	const heads, width, columns = 2, 4, 8
	place := func(row int) int { // of a row in the file
		h, p, j := row/width, row%width/(width/2), row%(width/2)
		return h*width + j*2 + p
	}
	weight := make([]byte, 4*heads*width*columns)
	bias := make([]byte, 4*heads*width)
	number := func(b []byte, i int, x float32) { binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(x)) }
	for r := range heads * width {
		number(bias, place(r), float32(r))
		for c := range columns {
			number(weight, place(r)*columns+c, float32(r*columns+c))
		}
	}
	m := tiny()
	m.tensor("blk.0.attn_q.weight").data = weight
	m.tensor("blk.0.attn_output.weight").data = weight
	m.tensors = append(m.tensors, stored{name: "blk.0.attn_q.bias", shape: []uint64{heads * width}, data: bias})
	numbers := func(m *Model, name string) (x []float32) {
		i := slices.IndexFunc(m.Tensors(), func(w Tensor) bool { return w.Name == name })
		w := m.Tensors()[i]
		n, width := w.Rows()
		row := make([]float32, width)
		for i := range n {
			w.Float32(row, i)
			x = append(x, row...)
		}
		return x
	}
	ascending := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(i)
		}
		return x
	}
	layer := "model.layers.0.self_attn."
	llama := open(t, m)
	require.Equal(t, ascending(heads*width*columns), numbers(llama, layer+"q_proj.weight"))
	require.Equal(t, ascending(heads*width), numbers(llama, layer+"q_proj.bias"))
	require.NotEqual(t, ascending(heads*width*columns), numbers(llama, layer+"o_proj.weight"))
	rearchitect(m, "qwen2")
	qwen := open(t, m)
	require.Equal(t, numbers(llama, layer+"o_proj.weight"), numbers(qwen, layer+"q_proj.weight"))
}

// TestLlama3: the factors that llama.cpp's converter writes lead back to the
// parameters, where they are not those of another model as well.
func TestLlama3(t *testing.T) {
	for _, tc := range []struct {
		theta             float64
		width             int
		factor, low, high float64
		positions         int
		same              bool // the same parameters come back, not only the same factors
	}{
		{500000, 128, 8, 1, 4, 8192, true},  // Llama 3.1
		{500000, 64, 32, 1, 4, 8192, true},  // Llama 3.2
		{500000, 16, 8, 1, 4, 128, false},   // one factor between the borders, or none
		{10000, 64, 16, 1, 8, 2048, true},   // another border
		{1000000, 128, 2, 1, 2, 1024, true}, // another factor
	} {
		freqs := make([]float32, tc.width/2)
		for i := range freqs {
			freqs[i] = float32(llama3Factor(tc.theta, tc.width, tc.factor, tc.low, tc.high, float64(tc.positions), i))
		}
		v := &view{}
		got := v.llama3(shape{headDim: tc.width}, float32(tc.theta), freqs)
		require.NoError(t, v.err)
		positions, high := got["original_max_position_embeddings"].(int), got["high_freq_factor"].(int)
		if tc.same {
			require.Equal(t, tc.positions, positions)
			require.Equal(t, tc.high, float64(high))
		}
		factor, err := got["factor"].(json.Number).Float64()
		require.NoError(t, err)
		for i, f := range freqs {
			require.InEpsilon(t, f, llama3Factor(tc.theta, tc.width, factor, 1, float64(high), float64(positions), i), 2e-5)
		}
	}
	freqs := []float32{1, 1, 2, 3, 4, 4, 8, 8} // of no scaling
	v := &view{}
	require.Nil(t, v.llama3(shape{headDim: 16}, 500000, freqs))
	require.ErrorContains(t, v.err, "not those of Llama 3's scaling")
}

// llama3Factor is what divides frequency i, as Llama 3's code has it.
func llama3Factor(theta float64, width int, factor, low, high, positions float64, i int) float64 {
	wave := 2 * math.Pi * math.Pow(theta, 2*float64(i)/float64(width))
	if wave < positions/high {
		return 1
	}
	if wave > positions/low {
		return factor
	}
	smooth := (positions/wave - low) / (high - low)
	return 1 / ((1-smooth)/factor + smooth)
}

func TestTokenizer(t *testing.T) {
	m := tiny()
	got := jsonFile(t, open(t, m), "tokenizer.json")
	one := func(id float64, content string, special bool) any {
		return map[string]any{"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": special}
	}
	require.Equal(t, []any{one(4, "<|end|>", true), one(5, "<think>", false)}, got["added_tokens"])
	model := got["model"].(map[string]any)
	require.Equal(t, map[string]any{"a": 0., "b": 1., "ab": 2., "\"\\\n<|é": 3.}, model["vocab"], "added tokens behind the last stay outside")
	require.Equal(t, []any{"a b"}, model["merges"])
	require.Nil(t, got["post_processor"])
	require.Nil(t, got["normalizer"])

	// A row without a token would shift the ids of those that follow outside.
	m.set("tokenizer.ggml.token_type", []int32{tokenNormal, tokenNormal, tokenNormal, tokenUnused, tokenControl, tokenUser})
	model = jsonFile(t, open(t, m), "tokenizer.json")["model"].(map[string]any)
	require.Equal(t, map[string]any{"a": 0., "b": 1., "ab": 2., "<|end|>": 4., "<think>": 5.}, model["vocab"])

	// One that stands before the last of the model is in its vocabulary.
	m.set("tokenizer.ggml.token_type", []int32{tokenControl, tokenNormal, tokenNormal, tokenNormal, tokenControl, tokenUnused})
	model = jsonFile(t, open(t, m), "tokenizer.json")["model"].(map[string]any)
	require.Equal(t, map[string]any{"a": 0., "b": 1., "ab": 2., "\"\\\n<|é": 3.}, model["vocab"])
	m.set("tokenizer.ggml.token_type", []int32{tokenUnused, tokenUnused, tokenUnused, tokenUnused, tokenUser, tokenUnused})
	model = jsonFile(t, open(t, m), "tokenizer.json")["model"].(map[string]any)
	require.Equal(t, map[string]any{"<|end|>": 4.}, model["vocab"])
	m.set("tokenizer.ggml.token_type", []int32{tokenUser, tokenUser, tokenUser, tokenUser, tokenUser, tokenUser})
	model = jsonFile(t, open(t, m), "tokenizer.json")["model"].(map[string]any)
	require.Empty(t, model["vocab"])
}

// TestPre: every pre-tokenizer splits as the tokenizer.json of its family.
func TestPre(t *testing.T) {
	for pre, want := range map[string]struct {
		types      []string
		pattern    string // of the first split
		normalizer any
		whole      bool // ignore_merges
		bos        bool
	}{
		"gpt-2":     {[]string{"ByteLevel"}, "", nil, false, false},
		"smollm":    {[]string{"Digits", "ByteLevel"}, "", nil, false, false},
		"qwen2":     {[]string{"Split", "ByteLevel"}, qwenPattern, map[string]any{"type": "NFC"}, false, false},
		"llama-bpe": {[]string{"Split", "ByteLevel"}, llamaPattern, nil, true, true},
		"llama3":    {[]string{"Split", "ByteLevel"}, llamaPattern, nil, true, true},
		"default":   {[]string{"Split", "Split", "Split", "Split", "ByteLevel"}, `[\p{P}\$\+<=>\^~\|]+`, nil, false, false},
	} {
		t.Run(pre, func(t *testing.T) {
			m := with(map[string]any{"tokenizer.ggml.pre": pre, "tokenizer.ggml.bos_token_id": uint32(4)})
			model := open(t, m)
			got := jsonFile(t, model, "tokenizer.json")
			var types []string
			list := got["pre_tokenizer"].(map[string]any)["pretokenizers"].([]any)
			for i, p := range list {
				p := p.(map[string]any)
				types = append(types, p["type"].(string))
				if i == len(list)-1 {
					require.Equal(t, want.pattern == "", p["use_regex"], "it splits unless a pattern did")
				}
			}
			require.Equal(t, want.types, types)
			if want.pattern != "" {
				require.Equal(t, want.pattern, list[0].(map[string]any)["pattern"].(map[string]any)["Regex"])
			}
			require.Equal(t, want.normalizer, got["normalizer"])
			require.Equal(t, want.whole, got["model"].(map[string]any)["ignore_merges"])
			require.Equal(t, want.bos, got["post_processor"] != nil)
			require.Equal(t, want.bos, jsonFile(t, model, "tokenizer_config.json")["add_bos_token"])
		})
	}
}

func TestBeginAndEnd(t *testing.T) {
	m := with(map[string]any{
		"tokenizer.ggml.bos_token_id": uint32(5), "tokenizer.ggml.eot_token_id": uint32(2), "tokenizer.ggml.eom_token_id": uint32(4),
		"tokenizer.ggml.unknown_token_id": uint32(0), "tokenizer.ggml.add_bos_token": true, "tokenizer.ggml.add_eos_token": true,
	})
	model := open(t, m)
	require.Equal(t, map[string]any{"bos_token_id": 5., "eos_token_id": []any{4., 2.}}, jsonFile(t, model, "generation_config.json"))
	config := jsonFile(t, model, "tokenizer_config.json")
	require.Equal(t, []any{"<think>", "<|end|>", "a", true, true},
		[]any{config["bos_token"], config["eos_token"], config["unk_token"], config["add_bos_token"], config["add_eos_token"]})
	special := func(s string, sequence float64) any {
		return map[string]any{"SpecialToken": map[string]any{"id": s, "type_id": sequence}}
	}
	text := func(s string, sequence float64) any {
		return map[string]any{"Sequence": map[string]any{"id": s, "type_id": sequence}}
	}
	post := jsonFile(t, model, "tokenizer.json")["post_processor"].(map[string]any)
	require.Equal(t, []any{special("<think>", 0), text("A", 0), special("<|end|>", 0)}, post["single"])
	require.Equal(t, []any{special("<think>", 0), text("A", 0), special("<|end|>", 0), special("<think>", 1), text("B", 1), special("<|end|>", 1)}, post["pair"])
	require.Len(t, post["special_tokens"], 2)
}
