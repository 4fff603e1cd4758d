"""Blocks of every quantised type with the numbers that gguf 0.19.0 (llama.cpp's Python package) reads from them.

Scales are binary16 numbers of all sizes, the other bytes are random. Writes blocks.json beside this file: for each type the
bytes of some blocks, and the float32 numbers, both in hexadecimal, little-endian.
"""
import json, pathlib
import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize

SCALES = [0x0000, 0x8000, 0x0001, 0x83ff, 0x0400, 0x1234, 0xa345, 0x2e66, 0x3c00, 0xbc00, 0x7bff]
AT = {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q8_0: [0], T.Q4_K: [0, 2], T.Q6_K: [208]}

rng = np.random.default_rng(1)
out = {}
for t, at in AT.items():
    raw = rng.integers(0, 256, (8, GGML_QUANT_SIZES[t][1]), dtype=np.uint8)
    for block in raw:
        for i in at:
            block[i:i + 2] = np.frombuffer(np.uint16(rng.choice(SCALES)).tobytes(), np.uint8)
    values = dequantize(raw.reshape(1, -1), t).astype("<f4")
    out[t.name] = {"bytes": raw.tobytes().hex(), "floats": values.tobytes().hex()}
half = rng.integers(0, 1 << 16, 64, dtype=np.uint16)
half[half & 0x7c00 == 0x7c00] = 1  # neither infinities nor NaN
out["F16"] = {"bytes": half.tobytes().hex(), "floats": half.view(np.float16).astype("<f4").tobytes().hex()}
brain = rng.integers(0, 1 << 15, 64, dtype=np.uint16) & 0xbfff
out["BF16"] = {"bytes": brain.tobytes().hex(), "floats": (brain.astype("<u4") << 16).tobytes().hex()}
pathlib.Path(__file__).with_name("blocks.json").write_text(json.dumps(out, indent=1) + "\n")
