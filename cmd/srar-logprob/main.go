// Srar-logprob adds the log-probabilities that a model gives to the tokens of
// rollouts: those of a reference policy for a KL term, or of any model to
// compare with.
//
// It reads Rollout rows or a later kind and writes the same rows with a column
// list<float32> of that name: ln p of each response token under softmax(logits /
// temperature), nothing truncated. For --model the policy that sampled the rows
// and its temperature, they are the rollout's own, bit for bit.
//
// The temperature is that of the row, or --temperature for all; when the column
// is logprobs, the column temperature then says so.
//
// Exit codes: 0 done, 1 failed, 2 misused, 3 input ended early or not valid,
// 130/143 interrupted.
package main

import "srar/lib/tool"

const usage = `usage: srar-logprob --model DIR [flags] < rollouts > rollouts

Adds the log-probabilities of the response tokens under a model.

model
  --model DIR|FILE.gguf     checkpoint in the Hugging Face layout, or GGUF file
  --adapter DIR             adapter of it, in the layout of PEFT
  --column NAME             column that is added or replaced (logprobs)
  --temperature T           divides the logits (the row's temperature)
  --compute KIND            products of matrices in f32 or bf16; auto: as the weights
                            are stored (auto)
  --threads N               threads (all processors)
` + tool.StreamUsage + `
examples
  srar-logprob --model M0 --column ref_logprobs < advantages.arrow | srar-update --kl 0.001 --model M3 --out M4
  srar-logprob --model other --column other_logprobs -i rollouts.arrow | srar-cat | less
`

func main() {
	tool.Main(tool.Command{Name: "srar-logprob", Usage: usage, Streams: tool.InOut, Setup: setup})
}
