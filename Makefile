# make            the commands, in bin/
# make iterate    the whole pipe on the embedded task: RUN=, ITERATIONS=, SEED=
# make test       everything that must hold, 2,000 inputs for every fuzz target (a count: with a time go test may
#                 report its own deadline as a failure)
# make test-long  and what takes longer: races, kills at many moments, three seeds learn
# make fuzz       every fuzz target for FUZZTIME each
# make bench      benchmarks, and how near models come to what the machine can do
# make bench-peers  the same work by llama.cpp, vLLM, torch and TRL, installed in PEERS; COMPARE='--what train --rounds 1'
# make interop    pyarrow, duckdb, transformers, llama.cpp and a real model (makes a venv, builds llama.cpp)
# make cross      the commands build for arm64, macOS and Windows
# make arm64      a run on arm64 gives the same bytes, where there is qemu-aarch64
# make lint       gofmt, vet, staticcheck, generated code is as its generator says

SHELL      := /bin/bash
RUN        ?= runs/arith
ITERATIONS ?= 6
FUZZTIME   ?= 30s
VENV       ?= .venv
PEERS      ?= .venv-peers
export CGO_ENABLED ?= 0

.PHONY: all iterate test test-long race fuzz bench bench-peers interop lint cross arm64 clean

all:
	@mkdir -p bin
	go build -o bin/ ./srar-rollout ./srar-judge ./srar-reward ./srar-update ./srar-eval ./cmd/...

iterate: all
	@PATH="$(CURDIR)/bin:$$PATH" pipelines/train.sh $(RUN) $(ITERATIONS)

test: all
	go test -timeout 30m ./...
	@$(MAKE) -s fuzz FUZZTIME=2000x

test-long: test race
	go test -tags long -count=1 -timeout 60m -run 'TestKilledAtTwentyMoments|TestLearns' .

race:
	CGO_ENABLED=1 SRAR_RACE=1 go test -count=1 -timeout 30m -run 'TestPipe' .

fuzz:
	@for dir in $$(git grep -l 'func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u); do \
		for target in $$(go test -list '^Fuzz' ./$$dir | grep '^Fuzz'); do \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x ./$$dir | grep -v '^fuzz:'; test $${PIPESTATUS[0]} = 0 || exit 1; \
		done; \
	done

bench: all
	go test -run '^$$' -bench . ./lib/... ./srar-judge ./srar-reward
	bin/srar-model bench --compute f32,bf16 --tokens 32 --repeat 1

bench-peers: all
	testdata/peers/setup.sh $(PEERS)
	$(PEERS)/v/bin/python testdata/peers/peers.py $(PEERS) $(COMPARE)

interop: all
	test -x $(VENV)/bin/python || python3 -m venv $(VENV)
	$(VENV)/bin/pip install -q -r testdata/interop/requirements.txt
	SRAR_PYTHON=$(abspath $(VENV))/bin/python testdata/interop/llama_server.sh $(VENV)/llama
	PATH="$(CURDIR)/bin:$$PATH" PYTHON=$(VENV)/bin/python pipelines/smollm2.sh runs/smollm2
	SRAR_PYTHON=$(abspath $(VENV))/bin/python SRAR_LLAMA_SERVER=$(abspath $(VENV))/llama/build/bin/llama-server \
		go test -tags interop -count=1 -timeout 60m -run 'TestInterop' . ./srar-judge
	if test -d ../shared/golden; then \
		$(VENV)/bin/python ../shared/golden/model/checks/check_checkpoint.py bin ../shared/golden/model; \
	fi

lint:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet ./...
	go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
	cd lib/op && go generate ./... && git diff --exit-code -- .

# The commands on the other platforms, where the engine's plain form runs.
cross:
	GOOS=linux GOARCH=arm64 go build ./...
	GOOS=darwin GOARCH=arm64 go build ./...
	GOOS=windows GOARCH=amd64 go build ./...

# Under emulation what takes a second takes a minute.
arm64: all
	testdata/arm64/same.sh

clean:
	rm -rf bin
