#!/usr/bin/env bash
# One iteration of SRaR:  iterate.sh DIR MODEL DATA
#
# DATA (JSON Lines or Parquet) holds this iteration's problems, MODEL is the policy.
# DIR receives prompts, rollouts, verdicts, advantages, metrics (.arrow), model/ and
# log.jsonl. 256 problems x 8 rollouts make 2,048; --filter acc leaves about 1,500 of
# them, 190 groups, which are 6 optimiser steps of 32 groups each. A finished stage is
# not run again, an unfinished one leaves nothing. The judge is $JUDGE_URL.
#
# Environment: N SEED LR MINI_BATCH ESTIMATOR FILTER MAX_TOKENS PREPARE_FLAGS

source "$(dirname "${BASH_SOURCE[0]}")/stage.sh"
model=$(realpath "$2") data=$(realpath "$3")
stages "$1" prompts rollouts verdicts advantages
if [[ -e model && -e metrics.arrow ]]; then exit; fi

stage prompts srar-prepare ${PREPARE_FLAGS-} "$data" |
	stage rollouts srar-rollout --model "$model" -n "${N:-8}" --seed "${SEED:-0}" --max-tokens "${MAX_TOKENS:-8192}" |
	stage verdicts srar-judge --filter "${FILTER:-acc}" |
	stage advantages srar-reward --estimator "${ESTIMATOR:-srar}" |
	logged srar-update --model "$model" --out model --lr "${LR:-1e-6}" --mini-batch "${MINI_BATCH:-0}" -o metrics.arrow
