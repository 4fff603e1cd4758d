// Srar-model makes and describes checkpoints.
//
//	srar-model init --out DIR     a new policy with random weights
//	srar-model info DIR           what it is, in words
//	srar-model digest DIR         sha256:..., as the column policy has it
//	srar-model selftest DIR       does it load and compute?
//	srar-model release DIR --out DIR
//	                              the same weights as a fresh policy: no optimiser
//	                              state, step 0
//
// A new policy is of the Qwen3 architecture (Yang et al. 2025, arXiv
// 2505.09388) with tied embeddings and rotary base 10,000; norms are 1,
// embeddings N(0, 0.02²), matrices N(0, 0.36/fan-in), those that write to the
// residual stream divided by √(2·layers). The same flags give the same bytes.
//
// Its tokenizer is that of the embedded arithmetic task (384 tokens), or one in
// the Hugging Face layout. Where there is no chat template it gets ChatML, so
// the tokenizer needs <|im_start|> and <|im_end|>.
//
// The self-test reads every weight, renders and encodes a prompt, samples from
// it, and holds the log-probabilities of the sampling (prompt at once, then
// token by token) against those of scoring (all at once): they are equal bit
// for bit, or it fails.
//
// Exit codes: 0 done, 1 failed, 2 misused, 130/143 interrupted.
package main

import "srar/lib/tool"

const usage = `usage: srar-model init --out DIR [flags]
       srar-model info|digest|selftest DIR
       srar-model release DIR --out DIR

Makes and describes checkpoints.

init and release
  --out DIR                 directory to make; must not be there yet
init
  --seed N                  which random weights (0)
  --hidden D                width of the residual stream (48)
  --layers N                number of layers (2)
  --heads H                 query heads (4)
  --kv-heads G              key and value heads, divides H (2)
  --head-dim C              width of a head, even (12)
  --intermediate F          width of the MLP (144)
  --tokenizer arith|PATH    that of the arithmetic task, or a tokenizer.json, or
                            a directory with one (arith)
selftest
  --threads N               threads (all processors)
general
  --quiet                   errors and warnings only
  --log json                messages as JSON lines
  --help, --version

examples
  srar-model init --out M0 --seed 1 && srar-model info M0
  srar-model release warm/model --out M0
`

func main() {
	tool.Main(tool.Command{Name: "srar-model", Usage: usage, Setup: setup})
}
