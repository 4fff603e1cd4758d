"""to_gguf.py DIR FILE: writes the small Qwen3 checkpoint in DIR, float32 and tied, as GGUF.

llama.cpp's own converter refuses tokenizers that it has not seen; here the tokens are needed for their number and
their ends only, since prompts and responses are ids."""
import json
import pathlib
import sys

import gguf
from safetensors.numpy import load_file

source, target = pathlib.Path(sys.argv[1]), sys.argv[2]
config = json.loads((source / "config.json").read_text())
tokenizer = json.loads((source / "tokenizer.json").read_text())
assert config["model_type"] == "qwen3" and config["tie_word_embeddings"]

w = gguf.GGUFWriter(target, "qwen3")
w.add_context_length(config["max_position_embeddings"])
w.add_embedding_length(config["hidden_size"])
w.add_block_count(config["num_hidden_layers"])
w.add_feed_forward_length(config["intermediate_size"])
w.add_head_count(config["num_attention_heads"])
w.add_head_count_kv(config["num_key_value_heads"])
w.add_key_length(config["head_dim"])
w.add_value_length(config["head_dim"])
w.add_rope_freq_base(config["rope_theta"])
w.add_layer_norm_rms_eps(config["rms_norm_eps"])
w.add_file_type(gguf.LlamaFileType.ALL_F32)

vocab = tokenizer["model"]["vocab"]
special = {t["id"]: t["content"] for t in tokenizer["added_tokens"]}
tokens = [f"[unused{i}]" for i in range(config["vocab_size"])]
types = [gguf.TokenType.UNUSED] * len(tokens)
for text, i in vocab.items():
    tokens[i], types[i] = text, gguf.TokenType.NORMAL
for i, text in special.items():
    tokens[i], types[i] = text, gguf.TokenType.CONTROL
w.add_tokenizer_model("gpt2")
w.add_tokenizer_pre("qwen2")
w.add_token_list(tokens)
w.add_token_types(types)
w.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]])
w.add_eos_token_id(config["eos_token_id"])
w.add_add_bos_token(False)

names = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm",
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}
for name, tensor in load_file(source / "model.safetensors").items():
    stem = name.removesuffix(".weight")
    if stem.startswith("model.layers."):
        layer, stem = stem.removeprefix("model.layers.").split(".", 1)
        w.add_tensor(f"blk.{layer}.{names[stem]}.weight", tensor)
    else:
        w.add_tensor(f"{names[stem]}.weight", tensor)
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
