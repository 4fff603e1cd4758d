"""adapter.py DIR: PEFT opens the adapter that srar-update wrote for DIR/M0 and computes with it what the merged checkpoint
of srar-model does; then it writes DIR/theirs, an adapter of its own, and DIR/theirs-merged."""
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM


def load(name):
    return AutoModelForCausalLM.from_pretrained(f"{sys.argv[1]}/{name}", dtype=torch.float32).eval()


ids = torch.arange(1, 40)[None]
with torch.no_grad():
    base = load("M0")(ids).logits
    ours = PeftModel.from_pretrained(load("M0"), f"{sys.argv[1]}/ours")(ids).logits
    merged = load("ours-merged")(ids).logits
moved, apart = (ours - base).abs().max().item(), (ours - merged).abs().max().item()
assert moved > 1e-3, f"the adapter changes logits by {moved} only"
assert apart < 1e-5, f"logits differ by {apart}"

torch.manual_seed(0)
theirs = get_peft_model(load("M0"), LoraConfig(r=3, lora_alpha=5, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM"))
for name, weight in theirs.named_parameters():
    if "lora_B" in name:
        torch.nn.init.normal_(weight, std=0.2)
theirs.save_pretrained(f"{sys.argv[1]}/theirs")
theirs.merge_and_unload().save_pretrained(f"{sys.argv[1]}/theirs-merged")
print(f"logits moved by {moved:.3g}, differ by {apart:.1e}")
