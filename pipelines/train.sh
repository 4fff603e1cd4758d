#!/usr/bin/env bash
# The whole of it on the embedded arithmetic task, level large:  train.sh RUN ITERATIONS
#
# Warm start, evaluation, ITERATIONS times rollout-judge-reward-update, evaluation, and a
# table of before and after on 500 problems never trained on, 4 samples each. The judge is
# srar-oracle on a loopback port of its own. Run again, it does exactly what is missing.
# On 2 cores the warm start takes about a minute, an iteration about 3 seconds.
#
# Environment: SEED ESTIMATOR FILTER LR MINI_BATCH N MAX_TOKENS PROBLEMS TESTS SOLUTIONS

source "$(dirname "${BASH_SOURCE[0]}")/stage.sh"
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
iterations=$2
stages "$1"
run=$PWD

# One run at a time in a directory. What a killed script left running holds the lock
# too: its work is waited for, not done a second time beside it.
exec {lock}>.lock
if command -v flock >/dev/null && ! flock -n "$lock"; then
	say "waiting for another run in $run"
	flock "$lock"
fi

export SEED=${SEED:-0} N=${N:-8} MAX_TOKENS=${MAX_TOKENS:-128} SOLUTIONS=${SOLUTIONS:-57000}
export ESTIMATOR=${ESTIMATOR:-srar} FILTER=${FILTER:-acc} LR=${LR:-5e-4} MINI_BATCH=${MINI_BATCH:-32}
export PREPARE_FLAGS="--instruction /dev/null" # the prompt is the problem alone
export GOGC=${GOGC:-400}                       # small heaps: encoding takes half the time with rarer collections
problems=${PROBLEMS:-256} tests=${TESTS:-500}

# The flags of a run do not change while it lasts; only ITERATIONS may grow.
flags=$(
	cat <<-END
		{
		  "version": "$(srar-model --version | cut -d' ' -f2)",
		  "seed": $SEED, "estimator": "$ESTIMATOR", "filter": "$FILTER", "lr": $LR, "mini_batch": $MINI_BATCH,
		  "problems": $problems, "n": $N, "max_tokens": $MAX_TOKENS, "tests": $tests, "solutions": $SOLUTIONS
		}
	END
)
if [[ ! -e run.json ]]; then
	printf '%s\n' "$flags" >.run.json.tmp
	mv .run.json.tmp run.json
elif [[ $(<run.json) != "$flags" ]]; then
	say "train.sh: $run was begun with other flags: $(<run.json)"
	say "hint: choose another RUN"
	exit 2
fi

# The oracle lives as long as this script and what it runs: it ends when nobody holds
# the other side of its standard input any more, however they ended.
rm -f .oracle-*
url=.oracle-$$
trap 'rm -f "$url"' EXIT
exec {oracle}> >(exec srar-oracle --listen 127.0.0.1:0 --until-eof --url-file "$url" --quiet {lock}>&-)
for ((i = 0; i < 500; i++)); do
	if [[ -s $url ]]; then break; fi
	sleep 0.02
done
export JUDGE_URL=$(<"$url") JUDGE_MODEL=oracle

# draw SPLIT SKIP COUNT FILE: problems of the endless sequence that SEED names
draw() {
	if [[ -e $4 ]]; then return; fi
	srar-arith --split "$1" --level large --seed "$((SEED + 1000))" --skip "$2" --count "$3" >"$4.tmp"
	mv "$4.tmp" "$4"
}

say "warm start: $SOLUTIONS solutions"
"$here/warmstart.sh" warm
if [[ ! -e model-0000 ]]; then logged srar-model release warm/model --out model-0000; fi

draw test 0 "$tests" test.jsonl
say "evaluation of the warm start"
N=4 "$here/evaluate.sh" eval-0000 model-0000 test.jsonl

policy=model-0000
for ((k = 1; k <= iterations; k++)); do
	dir=$(printf 'iter-%04d' "$k")
	mkdir -p "$dir"
	draw train "$(((k - 1) * problems))" "$problems" "$dir/problems.jsonl"
	SEED=$((SEED * 1000 + k)) "$here/iterate.sh" "$dir" "$policy" "$dir/problems.jsonl"
	say "iteration $k of $iterations: $(srar-cat --to tsv --columns rollouts,entropy,grad_norm "$dir/metrics.arrow" |
		awk '{ n += $1; h += $2; g += $3 } END { if (NR) printf "%d steps on %d rollouts, entropy %.3f, gradient norm %.2f", NR, n, h / NR, g / NR; else print "no step, the filter left nothing" }')"
	policy=$dir/model
done

say "evaluation after $iterations iterations"
after=$(printf 'eval-%04d' "$iterations")
N=4 "$here/evaluate.sh" "$after" "$policy" test.jsonl

say
"$here/compare.sh" eval-0000 "$after"
say
say "artifacts in $run:"
printf '  %s\n' model-0000 iter-*/{prompts,rollouts,verdicts,advantages,metrics}.arrow iter-*/model eval-*/{prompts,rollouts,verdicts,scores}.arrow >&2
