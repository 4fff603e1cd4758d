// Srar-rollout samples responses of a policy to prompts.
//
// It reads Prompt rows and writes Rollout rows, one record batch per prompt
// with its n rollouts: token ids, byte offsets, log-probabilities, finish
// reason and the digest of the policy. Groups leave in the order of the
// prompts, each as soon as it is complete, while later ones are still sampled.
//
// The bytes written are a function of the input, the weights and the flags:
// every token draws from a counter-based generator keyed by --seed, prompt id,
// rollout index and position, so neither threads nor batching change a bit.
// Log-probabilities are those of softmax(logits / temperature) before any
// truncation or penalty, equal bit for bit to what srar-update computes.
//
// Exit codes: 0 done, 1 failed, 2 misused, 3 input ended early or not valid,
// 130/143 interrupted.
package main

import "srar/lib/tool"

const usage = `usage: srar-rollout --model DIR [flags] < prompts > rollouts

Samples n responses of each prompt.

policy
  --model DIR               checkpoint in the Hugging Face layout
  --compute f32             arithmetic of the engine (f32)
  --threads N               threads (all processors)
  --max-rows N              rollouts in flight at once (256)
sampling
  -n N                      rollouts of each prompt (8)
  --seed N                  run seed (0)
  --temperature T           divides the logits (1)
  --top-k K                 keep the K best tokens (0: all)
  --top-p P                 keep the best tokens that reach probability P (1)
  --min-p P                 keep tokens of at least P times the best (0)
  --repetition-penalty R    for tokens of prompt and output (1)
  --presence-penalty X      for tokens of the output (0)
  --frequency-penalty X     for each time a token is in the output (0)
  --greedy                  the best token always
  --max-tokens N            longest response (8192)
  --max-prompt N            longest prompt; a longer one is an error (2048)
  --control-tokens          control tokens inside messages act as such
` + tool.StreamUsage + `
examples
  srar-prepare train.parquet | srar-rollout --model M0 -n 8 --save r.arrow | srar-judge
  srar-prepare aime.jsonl | srar-rollout --model M1 -n 32 --temperature 0.7 --top-p 0.8 | srar-eval
`

func main() {
	tool.Main(tool.Command{Name: "srar-rollout", Usage: usage, Streams: tool.InOut, Setup: setup})
}
