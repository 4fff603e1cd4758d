#!/usr/bin/env bash
# One iteration of SRaR:  iterate.sh DIR MODEL DATA
#
# DATA (JSON Lines or Parquet) holds this iteration's problems, MODEL is the policy.
# DIR receives prompts, rollouts, verdicts, advantages, metrics (.arrow) and model/.
# The default, 256 problems x 8 rollouts, about 1,500 of the 2,048 rollouts left by
# --filter acc, makes 6 optimiser steps of 32 groups each. A finished stage is not run
# again, an unfinished one leaves nothing. The judge is $JUDGE_URL.
#
# Environment: N SEED LR MINI_BATCH ESTIMATOR PREPARE_FLAGS MAX_TOKENS

source "$(dirname "${BASH_SOURCE[0]}")/stage.sh"
dir=$1 model=$(realpath "$2") data=$(realpath "$3")
mkdir -p "$dir"
stages "$dir" prompts rollouts verdicts advantages
[[ -e model && -e metrics.arrow ]] && exit

stage prompts srar-prepare ${PREPARE_FLAGS-} "$data" |
	stage rollouts srar-rollout --model "$model" -n "${N:-8}" --seed "${SEED:-0}" --max-tokens "${MAX_TOKENS:-8192}" |
	stage verdicts srar-judge --filter acc |
	stage advantages srar-reward --estimator "${ESTIMATOR:-srar}" |
	srar-update --model "$model" --out model --lr "${LR:-1e-6}" --mini-batch "${MINI_BATCH:-0}" -o metrics.arrow
