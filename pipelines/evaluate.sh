#!/usr/bin/env bash
# Evaluation of a policy:  evaluate.sh DIR MODEL DATA
#
# Samples N responses of each problem, asks the judge ($JUDGE_URL) for a mark of every
# step, and leaves prompts, rollouts, verdicts (with the marks), scores and log.jsonl in
# DIR. 500 problems x 4 samples give intervals of about +-0.03.
#
# Environment: N SEED TEMPERATURE MAX_TOKENS PREPARE_FLAGS

source "$(dirname "${BASH_SOURCE[0]}")/stage.sh"
model=$(realpath "$2") data=$(realpath "$3")
stages "$1" prompts rollouts
if [[ -e scores.arrow ]]; then exit; fi

stage prompts srar-prepare ${PREPARE_FLAGS-} "$data" |
	stage rollouts srar-rollout --model "$model" -n "${N:-4}" --seed "${SEED:-0}" --temperature "${TEMPERATURE:-1}" --max-tokens "${MAX_TOKENS:-8192}" |
	logged srar-judge --no-judge |
	logged srar-eval --judge --marks verdicts.arrow -o scores.arrow
