// Srar-update makes policy-gradient steps and writes a new checkpoint.
//
// It reads Advantage rows (Rollout rows with --loss nll), computes the clipped
// token-level policy gradient (Schulman et al. 2017, arXiv 1707.06347; dual
// clip: Ye et al. 2020, arXiv 1912.09729), steps AdamW and writes one Metric
// row for each optimiser step. The checkpoint DIR of --out appears whole, after
// the proven end of the input, or not at all; it opens in transformers as it
// is. Beside it lie srar.json (steps, parent, what it was made from) and
// optimizer.safetensors (moments, float32 master weights).
//
// With one step for the whole stream the gradient is accumulated as groups
// arrive, in the memory of one group; with --mini-batch, --epochs or
// --recompute the rows are held in memory. Denominators are those of the whole
// mini-batch: neither micro-batches nor threads change a bit of the result.
//
// An --out that is complete and was made from the same parent, input and flags
// is left as it is: the command repeats its metrics and exits 0. Made from
// others, it is an error.
//
// Exit codes: 0 done, 1 failed, 2 misused, 3 input ended early or not valid,
// 130/143 interrupted.
package main

import "srar/lib/tool"

const usage = `usage: srar-update --model DIR --out DIR [flags] < advantages > metrics

Makes optimiser steps on the rows of the stream and writes a checkpoint.

checkpoint
  --model DIR               parent, in the Hugging Face layout
  --out DIR                 checkpoint to write
loss
  --loss pg|nll             clipped policy gradient, or likelihood of the rows (pg)
  --clip-low X              ratios below 1-X are clipped (0.2)
  --clip-high X             ratios above 1+X are clipped (0.28)
  --dual-clip X             bound for negative advantages (10)
  --aggregate KIND          token-mean, seq-mean-token-mean, seq-mean-token-sum or
                            seq-mean-token-sum-norm (token-mean)
  --kl X                    weight of the KL term against column ref_logprobs (0)
  --kl-kind KIND            k1, abs, k2 or k3 (k3)
  --entropy X               weight of the entropy bonus (0)
  --recompute               log-probabilities of the old policy anew, by this engine
  --same-policy             rows of another policy than --model are an error
optimiser
  --lr X                    learning rate (1e-6)
  --warmup N                steps to reach it, counted over the checkpoint's life (10)
  --schedule KIND           after the warm-up: constant, linear or cosine (constant)
  --total-steps N           step at which linear and cosine end
  --min-lr X                where they end (0)
  --weight-decay X          on all parameters (0.1)
  --beta1 X                 (0.9)
  --beta2 X                 (0.999)
  --adam-eps X              (1e-8)
  --grad-clip X             largest norm of the gradient (1)
  --mini-batch N            prompt groups of a step; 0: the whole stream (0)
  --epochs N                passes over the stream (1)
engine
  --compute f32             arithmetic of the engine (f32)
  --micro-tokens N          tokens in the engine at once; 0: by memory (0)
  --threads N               threads (all processors)
` + tool.StreamUsage + `
examples
  srar-reward < verdicts.arrow | srar-update --model M0 --out M1 > metrics.arrow
  srar-encode --model M0 < texts.arrow | srar-update --loss nll --mini-batch 8 --model M0 --out M1 | srar-cat
`

func main() {
	tool.Main(tool.Command{Name: "srar-update", Usage: usage, Streams: tool.InOut, Setup: setup})
}
