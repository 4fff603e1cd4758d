#!/usr/bin/env bash
# The whole of it on the embedded arithmetic task:  train.sh RUN ITERATIONS
#
# Warm start, evaluation, ITERATIONS times rollout-judge-reward-update, evaluation, and a
# table of before and after on 500 problems never trained on, 4 samples each. The judge is
# srar-oracle on a loopback port. Run again, it does exactly what is missing.
# On 2 cores the warm start takes about a minute, an iteration a few seconds.
#
# Environment: SEED ESTIMATOR LR, and what warmstart.sh, iterate.sh and evaluate.sh take

source "$(dirname "${BASH_SOURCE[0]}")/stage.sh"
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
run=$1 iterations=$2
export SEED=${SEED:-0} ESTIMATOR=${ESTIMATOR:-srar} LR=${LR:-1e-3} MINI_BATCH=${MINI_BATCH:-32}
export PREPARE_FLAGS="--instruction /dev/null" MAX_TOKENS=${MAX_TOKENS:-110}
problems=${PROBLEMS:-256} tests=${TESTS:-500}
mkdir -p "$run"
cd "$run"

# The flags of a run do not change while it lasts.
flags=$(printf '{"version": "%s", "seed": %s, "estimator": "%s", "lr": %s, "mini_batch": %s, "problems": %s, "tests": %s, "max_tokens": %s, "n": %s, "solutions": %s}' \
	"$(srar-model --version | cut -d' ' -f2)" "$SEED" "$ESTIMATOR" "$LR" "$MINI_BATCH" "$problems" "$tests" "$MAX_TOKENS" "${N:-8}" "${SOLUTIONS:-98040}")
if [[ ! -e run.json ]]; then
	printf '%s\n' "$flags" >.run.json.tmp
	mv .run.json.tmp run.json
elif [[ $(<run.json) != "$flags" ]]; then
	say "train.sh: $run was begun with other flags"
	say "hint: choose another RUN; this one has $(<run.json)"
	exit 2
fi

# The oracle lives as long as this script: it ends when its standard input does.
url=.oracle-$$
trap 'rm -f "$url"' EXIT
exec {oracle}> >(exec srar-oracle --listen 127.0.0.1:0 --until-eof --url-file "$url" --quiet)
until [[ -s $url ]]; do sleep 0.02; kill -0 $! 2>/dev/null || { say "train.sh: srar-oracle did not start"; exit 1; }; done
export JUDGE_URL=$(<"$url") JUDGE_MODEL=oracle

# problems SPLIT SKIP COUNT FILE: draws of the endless sequence that SEED names
problems() {
	[[ -e $4 ]] && return
	mkdir -p "$(dirname "$4")"
	srar-arith --split "$1" --level small --seed "$((SEED + 1000))" --skip "$2" --count "$3" >"$4.tmp"
	mv "$4.tmp" "$4"
}

say "warm start"
"$here/warmstart.sh" warm
[[ -e model-0000 ]] || srar-model release warm/model --out model-0000

problems test 0 "$tests" test.jsonl
say "evaluation of the warm start"
N=4 "$here/evaluate.sh" eval-0000 model-0000 test.jsonl

policy=model-0000
for ((k = 1; k <= iterations; k++)); do
	dir=$(printf 'iter-%04d' "$k")
	problems train "$(((k - 1) * problems))" "$problems" "$dir/problems.jsonl"
	say "iteration $k of $iterations"
	SEED=$((SEED * 1000 + k)) "$here/iterate.sh" "$dir" "$policy" "$dir/problems.jsonl"
	policy=$dir/model
done

say "evaluation after $iterations iterations"
after=$(printf 'eval-%04d' "$iterations")
N=4 "$here/evaluate.sh" "$after" "$policy" test.jsonl

"$here/compare.sh" eval-0000 "$after"
say
say "artifacts in $PWD:"
printf '  %s\n' model-0000 iter-*/*.arrow iter-*/model eval-*/*.arrow >&2
