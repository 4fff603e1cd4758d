#!/usr/bin/env python3
"""Measures srar against other programs that do the same work, on one machine with the same models.

  decode    tokens a second of 1, 8 and 64 sequences, 64 prompt + 256 new tokens: vLLM's CPU backend and llama.cpp.
            llama-batched-bench feeds fixed tokens and samples nothing; vLLM and srar sample at temperature 1.
  train     tokens a second of optimiser steps on 8 x 512 tokens (forward, backward, clip, AdamW): torch, eager and compiled.
  grpo      seconds of an iteration, 8 prompts x 8 responses x 128 tokens: TRL's GRPOTrainer, one process that goes on;
            srar is the pipe of five processes, started anew each time.

Contestants take turns in each round (A B A B ...) and the best round of each counts. A round is marked with the share of
the machine that others used meanwhile; take no ratio from rounds of more than a few percent. Models have random weights
from a fixed seed: nothing ends early, and what is computed does not depend on their values.

PEERS (argument 1) is where setup.sh installed the peers; models are made there.
"""
import argparse, json, os, resource, shutil, subprocess, sys, time
from pathlib import Path

MODELS = {  # name: directory, shape
    "tiny": ("a-qwen3-tiny", dict(model_type="qwen3", vocab_size=512, hidden_size=128, intermediate_size=384, num_hidden_layers=4,
                                  num_attention_heads=4, num_key_value_heads=2, head_dim=32)),
    "25m": ("b-qwen3-25m", dict(model_type="qwen3", vocab_size=8192, hidden_size=384, intermediate_size=1024, num_hidden_layers=12,
                                num_attention_heads=6, num_key_value_heads=2, head_dim=64)),
    "135m": ("c-smollm2-135m-random", dict(model_type="llama", vocab_size=49152, hidden_size=576, intermediate_size=1536,
                                           num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3, head_dim=64)),
}
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHATML = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
          "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
PROMPT, NEW, BATCH, LENGTH = 64, 256, 8, 512
PROMPTS, RESPONSES, RESPONSE = 8, 8, 128


def model(peers, name, dtype):
    return peers / "models" / f"{MODELS[name][0]}-{dtype}"


# ---- models


def make_model(d, name, dtype):
    """A checkpoint with matrices N(0, 1/fan-in) and a tokenizer of bytes; ids above it decode to nothing."""
    import numpy as np, torch
    from safetensors.torch import save_file
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    s = MODELS[name][1]
    H, I, V, D = s["hidden_size"], s["intermediate_size"], s["vocab_size"], s["head_dim"]
    q, kv = s["num_attention_heads"] * D, s["num_key_value_heads"] * D
    r = np.random.default_rng(1)
    tensors = {"model.embed_tokens.weight": (V, H), "model.norm.weight": (H,)}
    for l in range(s["num_hidden_layers"]):
        p = f"model.layers.{l}."
        tensors |= {p + "input_layernorm.weight": (H,), p + "post_attention_layernorm.weight": (H,),
                    p + "self_attn.q_proj.weight": (q, H), p + "self_attn.k_proj.weight": (kv, H), p + "self_attn.v_proj.weight": (kv, H),
                    p + "self_attn.o_proj.weight": (H, q), p + "mlp.gate_proj.weight": (I, H), p + "mlp.up_proj.weight": (I, H),
                    p + "mlp.down_proj.weight": (H, I)}
        if s["model_type"] == "qwen3":
            tensors |= {p + "self_attn.q_norm.weight": (D,), p + "self_attn.k_norm.weight": (D,)}
    # The numbers of both types are the same: f32 is bf16 widened.
    t = {k: torch.from_numpy((r.standard_normal(n, np.float32) * n[-1] ** -0.5 if len(n) > 1 else np.ones(n, np.float32))).bfloat16()
         for k, n in tensors.items()}
    part = d.with_name(d.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    torch_type = {"f32": torch.float32, "bf16": torch.bfloat16}[dtype]
    save_file({k: v.to(torch_type).contiguous() for k, v in t.items()}, part / "model.safetensors", metadata={"format": "pt"})
    arch = {"qwen3": "Qwen3ForCausalLM", "llama": "LlamaForCausalLM"}[s["model_type"]]
    (part / "config.json").write_text(json.dumps(s | dict(
        architectures=[arch], attention_bias=False, eos_token_id=2, pad_token_id=0, bos_token_id=None, hidden_act="silu",
        max_position_embeddings=4096, rms_norm_eps=1e-6, rope_theta=10000.0, tie_word_embeddings=True,
        torch_dtype=str(torch_type).removeprefix("torch.")), indent=2))
    (part / "generation_config.json").write_text(json.dumps(dict(eos_token_id=2, pad_token_id=0)))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    # One merge: llama.cpp refuses a tokenizer without.
    tok = Tokenizer(models.BPE({x: i for i, x in enumerate([*SPECIAL, *alphabet, "th"])}, [("t", "h")]))
    tok.pre_tokenizer, tok.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tok.add_special_tokens([AddedToken(x, special=True, normalized=False) for x in SPECIAL])
    tok.save(str(part / "tokenizer.json"))
    (part / "tokenizer_config.json").write_text(json.dumps(dict(
        tokenizer_class="PreTrainedTokenizerFast", chat_template=CHATML, eos_token=SPECIAL[2], pad_token=SPECIAL[0],
        model_max_length=4096, clean_up_tokenization_spaces=False)))
    part.rename(d)


def make_gguf(peers, name, dtype):
    out = peers / "models/gguf" / f"{MODELS[name][0]}-{dtype}.gguf"
    if not out.exists():
        out.parent.mkdir(exist_ok=True)
        run([sys.executable, __file__, peers, "--child", "gguf", "--model", name, "--dtype", dtype], 900)
    return out


def child_gguf(a):
    """llama.cpp's converter, told which splitter our tokenizer has: it looks others up by hash."""
    import runpy
    src = next(a.peers.glob("llama_cpp_python-*/vendor/llama.cpp"))
    sys.path[:0] = [str(src), str(src / "gguf-py")]
    import conversion.base as base
    for k in vars(base).values():
        if isinstance(k, type) and "get_vocab_base_pre" in vars(k):
            k.get_vocab_base_pre = lambda self, tok: "gpt-2"
    out = a.peers / "models/gguf" / f"{MODELS[a.model][0]}-{a.dtype}.gguf"
    sys.argv = ["convert_hf_to_gguf.py", str(model(a.peers, a.model, "f32")), "--outtype", a.dtype, "--outfile", str(out)]
    runpy.run_path(str(src / "convert_hf_to_gguf.py"), run_name="__main__")


def endless(peers, name, dtype):
    """The same model without an end token."""
    d = model(peers, name, dtype)
    e = d.with_name(d.name + "-endless")
    if not e.exists():
        part = e.with_name(e.name + ".part")
        shutil.copytree(d, part, dirs_exist_ok=True)
        config = json.loads((part / "config.json").read_text())
        (part / "config.json").write_text(json.dumps(config | dict(eos_token_id=None)))
        (part / "generation_config.json").write_text("{}")
        part.rename(e)
    return e


# ---- contestants: each returns {measure: value} of one process


def run(cmd, limit, **more):
    try:
        r = subprocess.run([str(c) for c in cmd], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=limit, **more)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"over {limit} s: {' '.join(map(str, cmd))}")
    if r.returncode:
        raise RuntimeError(f"{' '.join(map(str, cmd))}: status {r.returncode}: {(r.stdout + r.stderr)[-1500:]}")
    return r.stdout


def child(a, kind, name, python="v", **options):
    cmd = [a.peers / python / "bin/python", __file__, a.peers, "--child", kind, "--model", name, "--threads", a.threads]
    # vLLM asks for tcmalloc.
    preload = {"LD_PRELOAD": str(next(a.peers.glob("tcm/**/libtcmalloc_minimal.so.4"), ""))} if kind == "vllm" else {}
    out = run(cmd + [f"--{k}={v}" for k, v in options.items()], a.limit, env=os.environ | {"OMP_NUM_THREADS": str(a.threads)} | a.env | preload)
    return json.loads(next(l for l in out.splitlines() if l.startswith("RESULT "))[7:])


def ours(a, name, dtype, *flags):
    out = run([a.bin / "srar-model", "bench", model(a.peers, name, dtype), "--threads", a.threads, "--json", "--quiet", "--repeat", 1, *flags], a.limit)
    return [x for x in map(json.loads, out.splitlines()) if "work" in x]


def srar_decode(a, name, dtype):
    rows = ",".join(map(str, a.rows))
    return {x["rows"]: x["tokens_per_second"] for x in ours(a, name, dtype, "--rows", rows, "--prompt", PROMPT, "--tokens", NEW, "--batch", 0)}


def llama_decode(a, name, dtype):
    cmd = [a.peers / "build-llama/bin/llama-batched-bench", "-m", make_gguf(a.peers, name, dtype), "-c", max(a.rows) * (PROMPT + NEW), "-b", 2048,
           "-ub", 512, "-npp", PROMPT, "-ntg", NEW, "-npl", ",".join(map(str, a.rows)), "-t", a.threads, "-tb", a.threads, "--output-format", "jsonl"]
    lines = [json.loads(l) for l in run(cmd, a.limit).splitlines() if l.startswith("{")]
    return {x["pl"]: x["speed_tg"] for x in lines}


def vllm_decode(mode):
    return lambda a, name, dtype: {int(k): v for k, v in child(
        a, "vllm", name, "vllmv", dtype=dtype, mode=mode, rows=",".join(map(str, a.rows))).items()}


def srar_train(a, name, dtype):
    (x,) = ours(a, name, "f32", "--rows", "none", "--compute", dtype, "--batch", BATCH, "--length", LENGTH)
    return {"step": x["tokens_per_second"]}


def torch_train(mode):
    return lambda a, name, dtype: child(a, "train", name, dtype=dtype, mode=mode)


def srar_grpo(a, name, dtype):
    d, work = endless(a.peers, name, "f32"), a.peers / "srar-out"
    problems = a.peers / f"problems-{name}.jsonl"
    problems.write_text("".join(json.dumps({"problem": p, "ground_truth": "7"}) + "\n" for p in texts(d, PROMPTS)))
    shutil.rmtree(work, ignore_errors=True)
    stages = [["srar-prepare", "--instruction", "/dev/null", problems],
              ["srar-rollout", "--model", d, "-n", RESPONSES, "--max-tokens", RESPONSE, "--compute", dtype],
              ["srar-judge", "--no-judge"], ["srar-reward", "--estimator", "grpo"],
              ["srar-update", "--model", d, "--out", work, "--compute", dtype], ["srar-cat"]]
    start, procs, stream = time.time(), [], None
    for s in stages:
        p = subprocess.Popen([str(a.bin / s[0]), *map(str, s[1:])], stdin=stream, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if stream:
            stream.close()
        procs.append(p)
        stream = p.stdout
    metrics = [json.loads(l) for l in stream]
    for s, p in zip(stages, procs):
        if p.wait():
            raise RuntimeError(f"{s[0]}: status {p.returncode}: {p.stderr.read()}")
    took = time.time() - start
    tokens = sum(m["tokens"] for m in metrics)
    assert tokens == PROMPTS * RESPONSES * RESPONSE, tokens
    return {"warm": took, "first": took}


def trl_grpo(a, name, dtype):
    return child(a, "grpo", name, dtype=dtype)


def texts(d, n):
    """Distinct problems of which the prompt has PROMPT tokens or one less, in the words of the template."""
    from tokenizers import Tokenizer
    tok = Tokenizer.from_file(str(Path(d) / "tokenizer.json"))
    out = []
    for i in range(n):
        p = f"Problem {i}:"
        while len(tok.encode(f"<|im_start|>user\n{p} {i}<|im_end|>\n<|im_start|>assistant\n").ids) <= PROMPT:
            p += f" {i}"
        out.append(p)
    return out


# ---- peers, each in a process of its own


def result(x):
    print("\nRESULT " + json.dumps(x), flush=True)


def child_vllm(a):
    import random
    from vllm import LLM, SamplingParams
    rows = [int(x) for x in a.rows.split(",")]
    llm = LLM(str(model(a.peers, a.model, a.dtype)), dtype={"f32": "float32", "bf16": "bfloat16"}[a.dtype], max_model_len=PROMPT + NEW + 16,
              enforce_eager=a.mode == "eager", disable_log_stats=False, enable_prefix_caching=False, max_num_seqs=max(rows),
              max_num_batched_tokens=8192, skip_tokenizer_init=True)
    vocabulary, r, rates = MODELS[a.model][1]["vocab_size"], random.Random(1), {}
    for n in rows:
        for new in (4, NEW):  # the first warms
            prompts = [{"prompt_token_ids": [r.randrange(3, vocabulary) for _ in range(PROMPT)]} for _ in range(n)]
            out = llm.generate(prompts, SamplingParams(max_tokens=new, ignore_eos=True, temperature=1.0, detokenize=False), use_tqdm=False)
            assert all(len(o.outputs[0].token_ids) == new for o in out)
            m = [o.metrics for o in out]
            rates[n] = n * (new - 1) / (max(x.last_token_ts for x in m) - min(x.first_token_ts for x in m))
    result(rates)


def child_train(a):
    import torch
    from transformers import AutoModelForCausalLM
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    m = AutoModelForCausalLM.from_pretrained(model(a.peers, a.model, "f32"), attn_implementation="sdpa", dtype=torch.float32)
    m.train()
    m.config.use_cache = False
    forward = torch.compile(m) if a.mode == "compile" else m
    opt = torch.optim.AdamW(m.parameters(), lr=1e-6, fused=True)
    micro = 2 if a.model == "135m" else BATCH  # the logits of more do not fit
    g, best = torch.Generator().manual_seed(1), 0
    for i in range(5):
        ids = torch.randint(0, m.config.vocab_size, (BATCH, LENGTH), generator=g)
        start = time.perf_counter()
        for x in ids.split(micro):
            with torch.autocast("cpu", torch.bfloat16, enabled=a.dtype == "bf16"):
                loss = forward(input_ids=x, labels=x).loss * (micro / BATCH)
            loss.backward()
        torch.nn.utils.clip_grad_norm_(m.parameters(), 1.0)
        opt.step()
        opt.zero_grad(set_to_none=True)
        if i > 1:
            best = max(best, BATCH * LENGTH / (time.perf_counter() - start))
    result({"step": best})


def child_grpo(a):
    started = process_start()
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer
    torch.set_num_threads(a.threads)
    d = model(a.peers, a.model, "f32")
    tok = AutoTokenizer.from_pretrained(d, padding_side="left")
    steps = 5
    args = GRPOConfig(
        output_dir=str(a.peers / "trl-out"), use_cpu=True, bf16=a.dtype == "bf16", fp16=False, report_to=[], save_strategy="no",
        logging_strategy="no", disable_tqdm=True, seed=1, learning_rate=1e-6, lr_scheduler_type="constant", max_grad_norm=1.0,
        per_device_train_batch_size=PROMPTS * RESPONSES, gradient_accumulation_steps=1, num_generations=RESPONSES,
        max_completion_length=RESPONSE, max_steps=steps, num_iterations=1, beta=0.0, temperature=1.0, gradient_checkpointing=False,
        optim="adamw_torch_fused", dataloader_num_workers=0, loss_type="grpo", generation_kwargs={"eos_token_id": None, "suppress_tokens": [0, 2]})
    ends = []

    class Clock(TrainerCallback):
        def on_step_end(self, args, state, control, **more):
            ends.append(time.time())

    def reward(completions, **more):
        return [float(sum(ch in "aeiou" for ch in c[0]["content"])) / 100 for c in completions]

    prompts = [[{"role": "user", "content": p}] for p in texts(d, PROMPTS * (steps + 1))]
    trainer = GRPOTrainer(model=AutoModelForCausalLM.from_pretrained(d, dtype=torch.float32), reward_funcs=reward, args=args,
                          processing_class=tok, train_dataset=Dataset.from_dict({"prompt": prompts}), callbacks=[Clock()])
    trainer.train()
    result({"warm": min(y - x for x, y in zip(ends, ends[1:])), "first": ends[0] - started})


def process_start():
    ticks = float(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
    up = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - (up - ticks / os.sysconf("SC_CLK_TCK"))


# ---- the comparison


class Others:
    """The share of the machine's processors that was not ours (nor our finished children's)."""

    def __init__(self):
        self.start = self.now()

    @staticmethod
    def now():
        f = [int(x) for x in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        own = sum(sum(resource.getrusage(w)[:2]) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return time.time(), (sum(f) - f[3] - f[4]) / os.sysconf("SC_CLK_TCK"), own

    def share(self):
        (t0, busy0, own0), (t1, busy1, own1) = self.start, self.now()
        return max(0, busy1 - busy0 - (own1 - own0)) / ((t1 - t0) * os.cpu_count())


def wait(limit):
    """Waits until others have left the machine alone for three seconds, limit seconds at most."""
    quiet, end = 0, time.time() + limit
    while quiet < 3 and time.time() < end:
        o = Others()
        time.sleep(1)
        quiet = quiet + 1 if o.share() < 0.05 else 0


def compare(a, what, name, dtype, contestants, lower=False):
    """Lets contestants take turns and prints a line for each measure. The first contestant is ours."""
    best, noise = {}, {}
    for r in range(a.rounds):
        for who, f in contestants.items():
            wait(a.wait)
            o = Others()
            try:
                got = f(a, name, dtype)
            except (RuntimeError, StopIteration) as e:
                print(f"# {what} {name} {dtype} {who}: {e}", flush=True)
                continue
            share = o.share()
            for k, v in got.items():
                old = best.setdefault(k, {}).get(who)
                if old is None or (v < old) == lower:
                    best[k][who], noise[k, who] = v, share
    us = next(iter(contestants))
    for k, by in best.items():
        theirs = {w: v for w, v in by.items() if w != us}
        if us not in by or not theirs:
            continue
        who, v = (min if lower else max)(theirs.items(), key=lambda x: x[1])
        ratio = v / by[us] if lower else by[us] / v
        figures = "  ".join(f"{w} {x:.4g} ({100 * noise[k, w]:.0f} %)" for w, x in by.items())
        print(f"{what:6} {name:5} {dtype:5} {k!s:5} {ratio:5.2f}x of {who:13} {figures}", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("peers", type=Path)
    p.add_argument("--bin", type=Path, default=Path("bin"), help="where srar's commands are")
    p.add_argument("--what", default="decode,train,grpo")
    p.add_argument("--models", default="tiny,25m,135m", help="decode leaves out tiny, grpo 135m")
    p.add_argument("--dtypes", default="f32,bf16")
    p.add_argument("--rows", default="1,8,64")
    p.add_argument("--peer", help="only these: vllm,vllm-compile,llama.cpp,torch,torch-compile,trl")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--wait", type=int, default=0, help="seconds to wait for a quiet machine before each process")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--limit", type=int, default=900, help="seconds that a process may take")
    p.add_argument("--child", help=argparse.SUPPRESS)
    p.add_argument("--model", help=argparse.SUPPRESS)
    p.add_argument("--dtype", help=argparse.SUPPRESS)
    p.add_argument("--mode", help=argparse.SUPPRESS)
    a = p.parse_args()
    a.peers = a.peers.resolve()
    if a.child:
        return globals()["child_" + a.child](a)
    a.bin, a.rows = a.bin.resolve(), [int(x) for x in a.rows.split(",")]
    a.env = dict(TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TORCHINDUCTOR_COMPILE_THREADS="1",
                 VLLM_CPU_KVCACHE_SPACE="4", VLLM_CPU_OMP_THREADS_BIND=f"0-{a.threads - 1}", VLLM_ENABLE_V1_MULTIPROCESSING="0",
                 VLLM_NO_USAGE_STATS="1", VLLM_LOGGING_LEVEL="ERROR")
    names, dtypes = a.models.split(","), a.dtypes.split(",")
    for name in names:
        for dtype in ("f32", "bf16"):
            if not model(a.peers, name, dtype).exists():
                make_model(model(a.peers, name, dtype), name, dtype)
    duels = {
        "decode": (["25m", "135m"], {"srar": srar_decode, "llama.cpp": llama_decode, "vllm": vllm_decode("eager"), "vllm-compile": vllm_decode("compile")}),
        "train": (["tiny", "25m", "135m"], {"srar": srar_train, "torch": torch_train("eager"), "torch-compile": torch_train("compile")}),
        "grpo": (["tiny", "25m"], {"srar": srar_grpo, "trl": trl_grpo}),
    }
    print(f"ratio to the best peer; best of {a.rounds} rounds, {a.threads} threads; in brackets what others used of the machine", flush=True)
    for what in a.what.split(","):
        where, who = duels[what]
        who = {w: f for w, f in who.items() if w == "srar" or a.peer is None or w in a.peer.split(",")}
        for name in names:
            for dtype in dtypes:
                if name in where:
                    compare(a, what, name, dtype, who, lower=what == "grpo")


if __name__ == "__main__":
    main()
