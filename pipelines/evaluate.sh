#!/usr/bin/env bash
# Evaluation of a policy:  evaluate.sh DIR MODEL DATA
#
# Samples N responses of each problem, asks the judge ($JUDGE_URL) for a mark of every
# step, and leaves prompts, rollouts, verdicts (with the marks) and scores in DIR.
#
# Environment: N SEED TEMPERATURE PREPARE_FLAGS MAX_TOKENS

source "$(dirname "${BASH_SOURCE[0]}")/stage.sh"
dir=$1 model=$(realpath "$2") data=$(realpath "$3")
mkdir -p "$dir"
stages "$dir" prompts rollouts verdicts
[[ -e scores.arrow ]] && exit
if [[ -e verdicts.arrow ]]; then
	srar-eval -i verdicts.arrow -o scores.arrow
	exit
fi

stage prompts srar-prepare ${PREPARE_FLAGS-} "$data" |
	stage rollouts srar-rollout --model "$model" -n "${N:-4}" --seed "${SEED:-0}" --temperature "${TEMPERATURE:-1}" --max-tokens "${MAX_TOKENS:-8192}" |
	srar-judge --no-judge |
	srar-eval --judge --marks verdicts.arrow -o scores.arrow
