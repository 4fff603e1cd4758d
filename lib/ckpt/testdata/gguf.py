"""Makes qwen3.gguf and llama.gguf beside this file with llama.cpp's own converter.

    gguf.py LLAMA_CPP GOLDEN_MODEL

LLAMA_CPP is a source tree of llama.cpp, GOLDEN_MODEL the folder of golden models. qwen3.gguf is U-qwen3-micro with its matrices in F16;
llama.gguf a Llama with scaled positions made of A-qwen3's first layer, 64 of its 160 rows of the MLP, in Q8_0.
"""
import json, pathlib, runpy, subprocess, sys, tempfile

here = pathlib.Path(__file__).parent


def convert(llama_cpp, model, kind, out, pre):
    sys.path[:0] = [llama_cpp, llama_cpp + "/gguf-py"]
    import conversion.base as base
    for k in list(vars(base).values()):  # the converter knows tokenizers by a hash; these are not among them
        if isinstance(k, type) and "get_vocab_base_pre" in vars(k):
            k.get_vocab_base_pre = lambda self, tokenizer: pre
    sys.argv = ["convert_hf_to_gguf.py", str(model), "--outtype", kind, "--outfile", str(out)]
    runpy.run_path(llama_cpp + "/convert_hf_to_gguf.py", run_name="__main__")


def llama(source, to):
    from safetensors.torch import load_file, save_file
    config = json.loads((source / "config.json").read_text())
    for field in ("sliding_window", "use_sliding_window", "max_window_layers"):
        del config[field]
    config |= {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": 1, "intermediate_size": 64, "rope_theta": 500000.0,
               "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}}
    (to / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        (to / name).write_bytes((source / name).read_bytes())
    weights = {}
    for name, w in load_file(source / "model.safetensors").items():
        if "layers.1." in name or "layers.2." in name or "q_norm" in name or "k_norm" in name:
            continue
        if "gate_proj" in name or "up_proj" in name:
            w = w[:64]
        if "down_proj" in name:
            w = w[:, :64]
        weights[name] = w.contiguous()
    save_file(weights, to / "model.safetensors", metadata={"format": "pt"})


if len(sys.argv) == 6:
    convert(*sys.argv[1:])
else:
    llama_cpp, golden = sys.argv[1], pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as t:
        llama(golden / "A-qwen3/checkpoint", pathlib.Path(t))
        for model, kind, name, pre in ((golden / "U-qwen3-micro/checkpoint", "f16", "qwen3", "qwen2"), (t, "q8_0", "llama", "llama-bpe")):
            subprocess.run([sys.executable, __file__, llama_cpp, str(model), kind, str(here / (name + ".gguf")), pre], check=True)
