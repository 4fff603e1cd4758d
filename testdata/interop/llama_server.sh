#!/bin/sh
# llama_server.sh DIR: builds llama.cpp's llama-server in DIR from the source in PyPI's llama-cpp-python, if it is not
# there yet (some ten minutes of CPU; needs cmake and a C++ compiler), with the Python that SRAR_PYTHON names.
set -eu
version=0.3.36
mkdir -p "$1"
cd "$1"
test ! -x build/bin/llama-server || exit 0
"$SRAR_PYTHON" -m pip download -q --no-deps --no-binary llama-cpp-python "llama-cpp-python==$version"
tar xzf "llama_cpp_python-$version.tar.gz"
cmake -S "llama_cpp_python-$version/vendor/llama.cpp" -B build -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF \
	-DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF
cmake --build build --target llama-server -j "$(nproc)"
