"""smollm2.py MODEL ROLLOUTS: transformers repeats greedy rollouts of MODEL in float32.

Its chat template and tokenizer give the prompt's tokens, its argmax the response's, its log-softmax their log-probabilities
to 1e-4, and its decoder the text."""
import sys

import pyarrow as pa
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
tokens, worst = 0, 0.0
rows = pa.ipc.open_stream(sys.argv[2]).read_all().to_pylist()
for row in rows:
    ids = tokenizer.apply_chat_template(row["messages"], add_generation_prompt=True, return_dict=False)
    assert ids == row["prompt_tokens"], f"{row['prompt_id']}: prompt {ids}, not {row['prompt_tokens']}"
    ids = torch.tensor([ids])
    with torch.no_grad():
        out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=len(row["tokens"]), do_sample=False,
                             output_logits=True, return_dict_in_generate=True)
    response = out.sequences[0, ids.shape[1]:].tolist()
    assert response == row["tokens"], f"{row['prompt_id']}: response {response}, not {row['tokens']}"
    assert tokenizer.decode(response, skip_special_tokens=True) == row["response"], row["prompt_id"]
    logp = torch.log_softmax(torch.cat(out.logits).double(), -1)[range(len(response)), response]
    worst = max(worst, (logp - torch.tensor(row["logprobs"], dtype=torch.float64)).abs().max().item())
    tokens += len(response)
assert worst < 1e-4, f"log-probabilities differ by {worst}"
print(f"{len(rows)} rollouts, {tokens} tokens equal, log-probabilities to {worst:.1e}")
