"""make.py: writes the checkpoints beside it, and what transformers makes of them.

    pip install torch==2.15 transformers==5.23 safetensors && python make.py

Each folder is a tiny random checkpoint (config.json, model.safetensors) with
expect.json: a row of tokens, the log-probability of every response token in
float64, the largest error of torch in float32, and for a model with a sliding
window the first position whose logits the window changes. gradient.safetensors
is the gradient of the mean negative log-probability by every parameter, of the
float64 model, rounded once.

transformers computes norms and angles in float32 even in a float64 model, so
the float64 model is patched to stay in float64.
"""
import json
import pathlib

import torch
import transformers
from safetensors.torch import save_file
from transformers import modeling_rope_utils
from transformers.models.llama import modeling_llama
from transformers.models.mistral import modeling_mistral
from transformers.models.qwen2 import modeling_qwen2
from transformers.models.qwen3 import modeling_qwen3

SIZES = dict(vocab_size=24, hidden_size=12, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
             head_dim=8, hidden_act="silu", rms_norm_eps=1e-6, tie_word_embeddings=False, eos_token_id=3, torch_dtype="bfloat16")
FAMILY = dict(llama="LlamaForCausalLM", mistral="MistralForCausalLM", qwen2="Qwen2ForCausalLM", qwen3="Qwen3ForCausalLM")
CASES = {  # model type, length of the row, fields
    "llama-biases-linear": ("llama", 40, dict(
        attention_bias=True, mlp_bias=True, max_position_embeddings=64, rope_theta=100.0, rope_scaling=dict(type="linear", factor=3.0))),
    "llama-yarn": ("llama", 60, dict(max_position_embeddings=128, rope_parameters=dict(
        rope_type="yarn", rope_theta=500.0, factor=4.0, original_max_position_embeddings=32, beta_fast=4, beta_slow=0.5, mscale=0.9,
        mscale_all_dim=0.4, truncate=False))),
    "mistral-window": ("mistral", 17, dict(max_position_embeddings=64, rope_theta=1e4, sliding_window=16)),
    "mistral-yarn": ("mistral", 40, dict(max_position_embeddings=128, sliding_window=None, rope_theta=200.0, rope_scaling=dict(
        rope_type="yarn", factor=8.0, original_max_position_embeddings=24, attention_factor=1.25, beta_fast=3.0))),
    "qwen2-yarn": ("qwen2", 60, dict(
        max_position_embeddings=32, rope_theta=1e4, use_sliding_window=False, sliding_window=8, max_window_layers=1, tie_word_embeddings=True,
        rope_scaling=dict(type="yarn", factor=4.0, original_max_position_embeddings=32))),
    "qwen3-biases-window": ("qwen3", 13, dict(
        attention_bias=True, max_position_embeddings=64, rope_theta=1e4, use_sliding_window=True, sliding_window=12, max_window_layers=1)),
}


class Wide:
    """torch, but float32 is float64."""

    float = float32 = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


def wide_rotary(self, x, position_ids):
    angle = position_ids[:, :, None].to(torch.float64) * self.inv_freq.to(torch.float64)
    angle = torch.cat((angle, angle), dim=-1)
    return (angle.cos() * self.attention_scaling).to(x.dtype), (angle.sin() * self.attention_scaling).to(x.dtype)


def load(path, dtype):
    """The model in dtype, all of it in float64 where dtype is."""
    modules = modeling_rope_utils, modeling_llama, modeling_mistral, modeling_qwen2, modeling_qwen3
    kept = [(m, m.torch) for m in modules]
    rotary = {c: c.forward for m in modules for n, c in vars(m).items() if n.endswith("RotaryEmbedding")}
    if dtype == torch.float64:
        for m in modules:
            m.torch = Wide()
        for c in rotary:
            c.forward = wide_rotary
    model, info = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=dtype, attn_implementation="eager", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    model.eval()
    if dtype == torch.float64:
        model.model.rotary_emb = type(model.model.rotary_emb)(model.config)  # loading may have made it in float32

    def restore():
        for m, t in kept:
            m.torch = t
        for c, f in rotary.items():
            c.forward = f
    return model, restore


def run(path, dtype, ids, prompt):
    model, restore = load(path, dtype)
    logits = model(torch.tensor([ids])).logits[0]
    logp = torch.log_softmax(logits, -1)[range(prompt - 1, len(ids) - 1), ids[prompt:]]
    (-logp.mean()).backward()
    grads = {n: p.grad.detach() for n, p in model.named_parameters()}
    restore()
    return logp.detach(), grads, logits.detach()


def first_change(path, config, ids):
    """The first position whose logits differ from those of a model without a window."""
    with_window = run(path, torch.float64, ids, 1)[2]
    (path / "config.json").write_text(json.dumps(config | dict(sliding_window=None)))
    without = run(path, torch.float64, ids, 1)[2]
    (path / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    return (with_window != without).any(-1).nonzero()[0].item()


def make(name, kind, length, fields):
    top = pathlib.Path(__file__).parent / name
    top.mkdir(exist_ok=True)
    config = dict(architectures=[FAMILY[kind]], model_type=kind) | SIZES | fields
    (top / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    g = torch.Generator().manual_seed(sum(map(ord, name)))
    model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.from_pretrained(top))
    weights = {}
    for n, p in model.named_parameters():
        x = torch.randn(p.shape, generator=g)
        if n.endswith("bias"):
            x = 0.5 * x
        elif p.dim() == 1:
            x = 1 + 0.3 * x
        else:
            x = 1.2 * x / p.shape[1] ** 0.5
        weights[n] = x.to(torch.bfloat16)
    save_file(weights, top / "model.safetensors", metadata=dict(format="pt"))

    ids = torch.randint(SIZES["vocab_size"], (length,), generator=g).tolist()
    prompt = 3
    exact, exact_grads, _ = run(top, torch.float64, ids, prompt)
    single, single_grads, _ = run(top, torch.float32, ids, prompt)
    expect = dict(
        prompt=ids[:prompt], tokens=ids[prompt:], logprobs=exact.tolist(), torch_error=(single - exact).abs().max().item(),
        torch_gradient_error=max(((single_grads[n] - x).abs().max() / x.abs().max()).item() for n, x in exact_grads.items()))
    if kind == "mistral" and fields["sliding_window"] or fields.get("use_sliding_window"):
        expect["window_changes"] = first_change(top, config, (ids + ids)[: length + 8])
    (top / "expect.json").write_text(json.dumps(expect) + "\n")
    save_file({n: x.to(torch.float32) for n, x in exact_grads.items()}, top / "gradient.safetensors")
    print(name, {k: v for k, v in expect.items() if k not in ("prompt", "tokens", "logprobs")})


if __name__ == "__main__":
    for name, (kind, length, fields) in CASES.items():
        make(name, kind, length, fields)
