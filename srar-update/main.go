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
// Losses are those of verl and TRL by their names: pg is PPO's, gspo has the ratio
// of the sequence (arXiv 2507.18071; the paper aggregates by
// seq-mean-token-mean), cispo weighs every token by its clipped ratio (arXiv
// 2506.13585). --tis corrects for a sampler that is not this engine with weights
// of truncated importance sampling. See `go doc ./lib/llm.Loss` for the formulas.
//
// Old log-probabilities are those of the stream, or with --recompute (and --tis)
// this engine's at the weights before the first step. Where the history says that
// this engine computed them from these weights in this arithmetic, they must be
// the same bits: the first ratio is exactly 1, or the command fails. Otherwise the
// columns logprob_diff_mean, logprob_diff_max and logprob_pearson say how far the
// two are apart.
//
// With one step for the whole stream the gradient is accumulated as groups
// arrive, in the memory of one group; with --mini-batch or --epochs the rows are
// kept, in memory as far as it reaches and then in a file without name in $TMPDIR
// or beside --out. Denominators are those of the whole mini-batch: neither
// micro-batches nor threads nor --checkpoint-activations change a bit of the
// result.
//
// With --lora-rank the base stays as it is and --out is an adapter in the layout
// of PEFT, to be given as --adapter to this command, srar-rollout and srar-logprob
// along with the base; srar-model merge makes a checkpoint of both. The optimiser
// of a checkpoint or adapter goes on where it was.
//
// Beside the columns of a Metric row the output has dual_clip_fraction, importance
// (the mean weight of --tis), logprob_pearson and other_policy, the rows of the step
// that another policy than --model sampled.
//
// The training must fit in the memory that is free, or in --memory, or it does
// not begin; --dry-run says what it takes, without reading any rows. Measured at
// its peak, SmolLM2-135M in bfloat16 on rows of 288 tokens takes 3.9 GiB; with
// --checkpoint-activations 3.7, with --optimizer adamw8bit 3.2, with both 3.0, with
// --lora-rank 16 and --checkpoint-activations 2.0; Qwen3-0.6B with
// --checkpoint-activations 15.8.
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
  --model DIR|FILE.gguf     parent, in the Hugging Face layout or a GGUF file
  --out DIR                 checkpoint to write
loss
  --loss pg|gspo|cispo|nll  clipped policy gradient by token or by sequence, clipped
                            weights, or likelihood of the rows (pg)
  --clip-low X              ratios below 1-X are clipped (0.2; gspo 0.0003, cispo 1)
  --clip-high X             ratios above 1+X are clipped (0.28; gspo 0.0004, cispo 4)
  --dual-clip X             bound for negative advantages, with pg (10)
  --tis none|token|sequence weights of importance sampling against the sampler's own
                            log-probabilities; --recompute included (none)
  --tis-cap X               largest of them (2)
  --mask-truncated          leave out rows whose finish is length
  --aggregate KIND          token-mean, seq-mean-token-mean, seq-mean-token-sum or
                            seq-mean-token-sum-norm (token-mean)
  --kl X                    weight of the KL term against column ref_logprobs (0)
  --kl-kind KIND            k1, abs, k2 or k3 (k3)
  --entropy X               weight of the entropy bonus (0)
  --recompute               log-probabilities of the old policy anew, by this engine
  --same-policy             rows of another policy than --model are an error
  --max-logprob-diff X      a token whose log-probability is further from the
                            stream's at the first weights is an error
optimiser
  --optimizer NAME          adamw, or adamw8bit with moments in 8 bits (adamw)
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
  --shuffle SEED            groups in another order in each epoch
adapter
  --lora-rank R             train an adapter of this rank, not the weights
  --lora-alpha X            scale of the adapter times the rank (twice the rank)
  --lora-targets LIST       q,k,v,o,gate,up,down or some of them (all)
  --lora-seed N             which random A (0)
  --adapter DIR             adapter of --model that goes on
engine
  --compute KIND            products of matrices in f32 or bf16; auto: as the weights
                            are stored (auto)
  --micro-tokens N          tokens in the engine at once; 0: what suits the model (0)
  --checkpoint-activations  keep the inputs of layers and compute the rest again
  --memory SIZE             memory to use, such as 12G (what is free)
  --dry-run                 print what the training takes and whether it fits
  --threads N               threads (all processors)
` + tool.StreamUsage + `
examples
  srar-reward < verdicts.arrow | srar-update --model M0 --out M1 > metrics.arrow
  srar-update --model M0 --lora-rank 16 --out A1 --checkpoint-activations -i advantages.arrow -o metrics.arrow
  srar-encode --model M0 < texts.arrow | srar-update --loss nll --mini-batch 8 --model M0 --out M1 | srar-cat
`

func main() {
	tool.Main(tool.Command{Name: "srar-update", Usage: usage, Streams: tool.InOut, Setup: setup})
}
