#!/bin/sh
# run.sh DIR: one small run with the commands that PATH leads to, all of its artifacts in DIR: both definitions of
# products, every way to draw a token, every loss with a ratio, both optimisers, scores with intervals.
set -eu
mkdir "$1"
cd "$1"
srar-model init --out M0 --seed 1 --hidden 32 --layers 2 --heads 4 --kv-heads 2 --head-dim 8 --intermediate 64
srar-model init --out B0 --seed 2 --hidden 32 --layers 2 --heads 2 --kv-heads 1 --head-dim 16 --intermediate 64 --dtype bf16 \
	--family llama --rope-theta 500000
srar-arith --split train --level small --seed 1 --count 8 --solutions > problems.jsonl
srar-prepare --instruction /dev/null problems.jsonl -o prompts.arrow

# A warm start of a few steps, so that not all is noise.
srar-encode --model M0 -i prompts.arrow |
	srar-update --loss nll --model M0 --out W --lr 1e-2 --mini-batch 2 --epochs 2 --schedule cosine --total-steps 8 --warmup 2 -o warm.arrow

mkfifo hold
srar-oracle --until-eof --quiet --url-file url < hold &
exec 3> hold
while ! test -s url; do sleep 0.1; done
JUDGE_URL=$(cat url) JUDGE_MODEL=oracle
export JUDGE_URL JUDGE_MODEL

srar-rollout --model W -n 4 --max-tokens 40 -i prompts.arrow -o rollouts.arrow
srar-rollout --model W -n 4 --max-tokens 24 --temperature 0.8 --top-k 30 --top-p 0.9 --min-p 0.01 --repetition-penalty 1.1 \
	-i prompts.arrow -o filtered.arrow
srar-rollout --model B0 -n 4 --max-tokens 24 -i prompts.arrow -o bf16.arrow
for of in rollouts filtered bf16; do
	srar-judge -i $of.arrow -o $of-verdicts.arrow
	srar-reward --estimator rar -i $of-verdicts.arrow -o $of-advantages.arrow
	srar-eval -i $of-verdicts.arrow -o $of-scores.arrow
done
exec 3>&-
wait
rm hold url

srar-logprob --model M0 --column ref_logprobs -i rollouts-advantages.arrow -o ref.arrow
srar-update --model W --out M1 --lr 1e-2 --kl 0.1 --entropy 0.01 --mini-batch 2 --epochs 2 --warmup 3 -i ref.arrow -o metrics.arrow
srar-update --model W --out M2 --lr 1e-2 --loss gspo --tis sequence --optimizer adamw8bit --lora-rank 4 --mini-batch 4 \
	-i filtered-advantages.arrow -o lora-metrics.arrow
srar-update --model B0 --out B1 --lr 1e-2 --loss cispo --tis token --recompute --mini-batch 4 -i bf16-advantages.arrow -o bf16-metrics.arrow
srar-rollout --model M1 -n 2 --max-tokens 24 -i prompts.arrow -o again.arrow
