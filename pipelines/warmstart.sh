#!/usr/bin/env bash
# A policy that solves the arithmetic task half of the time:  warmstart.sh DIR
#
# A random model of 172,576 parameters learns from 57,000 solutions, of which more than half
# hold a mistake: 5.1 million tokens, 9,500 steps of 6 solutions, about 6e12 floating-point
# operations. DIR/model is the result, with its optimiser; release it to train on.
#
# Environment: SEED SOLUTIONS

source "$(dirname "${BASH_SOURCE[0]}")/stage.sh"
seed=${SEED:-0} solutions=${SOLUTIONS:-57000}
steps=$((solutions / 6))
stages "$1"
if [[ -e model && -e metrics.arrow ]]; then exit; fi

if [[ ! -e init ]]; then
	logged srar-model init --out init --seed "$seed" \
		--hidden 64 --layers 3 --heads 4 --kv-heads 2 --head-dim 16 --intermediate 192
fi

srar-arith --split train --level large --solutions --seed "$seed" --count "$solutions" |
	logged srar-prepare --instruction /dev/null - |
	logged srar-encode --model init |
	logged srar-update --loss nll --model init --out model --mini-batch 6 \
		--lr 3e-3 --warmup $((steps / 20)) --schedule cosine --total-steps "$steps" --min-lr 1.5e-4 --beta2 0.99 \
		-o metrics.arrow
