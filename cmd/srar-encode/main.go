// Srar-encode turns texts that already exist into rollouts, to judge or to
// fine-tune on the solutions of another system.
//
// It reads Prompt rows with a further column, response (utf8), responses
// (list<utf8>) or steps (list<utf8>: the steps of one text, each of which gets a
// heading "### Step N: "), and writes Rollout rows, one record batch per prompt with one
// row per text: prompt_tokens as srar-rollout makes them, tokens of the text
// followed by the model's first end token, empty logprobs at temperature 1. The
// column response holds the tokens' text afterwards: special tokens that the
// text spells out act as such and are left out. The columns responses and steps are
// gone.
//
// With --no-end no end token follows, and a directory with tokenizer and chat
// template but no weights will do; the column policy is empty then.
//
// Exit codes: 0 done, 1 failed, 2 misused, 3 input ended early or not valid,
// 130/143 interrupted.
package main

import "srar/lib/tool"

const usage = `usage: srar-encode --model DIR [flags] < prompts > rollouts

Encodes the texts in column response, responses or steps as rollouts.

policy
  --model DIR|FILE.gguf     checkpoint in the Hugging Face layout, or GGUF file
  --no-end                  no end token after the texts
  --control-tokens          control tokens inside messages act as such
` + tool.StreamUsage + `
examples
  srar-prepare solutions.jsonl | srar-encode --model M0 | srar-judge > verdicts.arrow
  srar-prepare solutions.jsonl | srar-encode --model M0 | srar-update --loss nll --model M0 --out M1
`

func main() {
	tool.Main(tool.Command{Name: "srar-encode", Usage: usage, Streams: tool.InOut, Setup: setup})
}
