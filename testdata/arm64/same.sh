#!/bin/sh
# same.sh: a run on arm64 is the same run: no fused multiply-add in what reaches an artifact, tests of the engine, and the
# same bytes of every artifact. Needs the commands in bin/ and, for all but the first, qemu-aarch64; without, it says so.
set -eu
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export GOOS=linux GOARCH=arm64
mkdir "$tmp/arm64" "$tmp/bin"
go build -o "$tmp/arm64/" ./srar-rollout ./srar-judge ./srar-reward ./srar-update ./srar-eval ./cmd/...

# What is fused is rounded once less. srar-model's own arithmetic is of speeds, which are shown and not kept.
for command in "$tmp"/arm64/*; do
	name=$(basename "$command") own='|main\.'
	if [ "$name" = srar-model ]; then own=; fi
	go tool objdump -s "^(srar/$own)" "$command" | awk '/^TEXT/ { f = $2 } /FN?M(ADD|SUB)[SD]/ { print f, $1 }' > "$tmp/fused"
	if [ -s "$tmp/fused" ]; then
		echo "arm64: $name: fused multiply-adds; convert the product to its own type:" >&2
		cat "$tmp/fused" >&2
		exit 1
	fi
	printf '#!/bin/sh\nexec qemu-aarch64 "%s" "$@"\n' "$command" > "$tmp/bin/$name"
	chmod +x "$tmp/bin/$name"
done
echo "arm64: nothing is fused"

if ! command -v qemu-aarch64 > /dev/null; then
	echo "arm64: no qemu-aarch64 here: nothing was run"
	exit 0
fi
# What the emulator itself cannot do, or not in time, says nothing about the project: it is told and not held against it.
# Signals by which goroutines are preempted are where it fails now and then.
export GODEBUG=asyncpreemptoff=1
gave_up() { # STATUS LOG
	if [ "$1" = 124 ] || [ "$1" = 137 ] || grep -q '^qemu' "$2"; then
		echo "arm64: the emulator gave up; what was compared before is equal"
		tail -3 "$2"
		exit 0
	fi
	cat "$2" >&2
	exit 1
}
emulated() { # ROOM PATTERN
	timeout -k 5 300 go test -count=1 -exec qemu-aarch64 -run "$2" "./lib/$1" > "$tmp/log" 2>&1 || gave_up $? "$tmp/log"
	cat "$tmp/log"
}
emulated real .
emulated op '^(TestEncode8|TestAdamW8|TestProductDefinition|TestProductDefinitionBF16|TestRounding|TestRowFunctions|TestBatchSplit)$'
emulated llm '^TestGolden(Greedy|SamplingNextToken)$'
emulated token .

PATH="$PWD/bin:$PATH" testdata/arm64/run.sh "$tmp/here" > "$tmp/log" 2>&1 || { cat "$tmp/log" >&2; exit 1; }
PATH="$tmp/bin:$PATH" timeout -k 5 400 testdata/arm64/run.sh "$tmp/there" > "$tmp/log" 2>&1 || gave_up $? "$tmp/log"
diff -r "$tmp/here" "$tmp/there"
echo "arm64: $(find "$tmp/there" -type f | wc -l) artifacts of a run are the same bytes"
