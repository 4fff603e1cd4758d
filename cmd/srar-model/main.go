// Srar-model makes and describes checkpoints.
//
//	srar-model init --out DIR     a new policy with random weights
//	srar-model import FILE.gguf --out DIR
//	                              a GGUF file as a directory in the layout of
//	                              Hugging Face
//	srar-model info MODEL         what it is, in words
//	srar-model digest MODEL       sha256:..., as the column policy has it
//	srar-model selftest MODEL     does it load and compute?
//	srar-model bench [MODEL]      how fast it computes here, and what bounds it
//	srar-model release DIR --out DIR
//	                              the same weights as a fresh policy: no optimiser
//	                              state, step 0
//	srar-model merge MODEL ADAPTER --out DIR
//	                              a fresh policy of a model and its adapter, as
//	                              srar-update --lora-rank trains it
//	srar-model average MODEL MODEL... --out DIR
//	                              a fresh policy whose weights are the means
//	srar-model diff MODEL MODEL   how far each tensor has moved, in norms
//
// A model is a directory in the layout of Hugging Face or a GGUF file, whose
// quantised weights count as the float32 numbers that they stand for; every
// command takes either. Import without --dtype keeps the weights bit for bit, so
// the digest stays; with it they are rounded to nearest even, from directories
// too.
//
// A new policy is of the Qwen3 architecture (Yang et al. 2025, arXiv
// 2505.09388) or that of another family, without a sliding window; norms are 1,
// biases 0, embeddings N(0, 0.02²), matrices N(0, 0.36/fan-in), those that write
// to the residual stream divided by √(2·layers). The same flags give the same
// bytes.
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
// The benchmark measures what the machine can do at most (multiplications in
// registers, reading from caches and memory), then what a model reaches: tokens a
// second when it decodes sequences and when it is trained, the best of several
// runs, and the time of each operator in a further one. Each operator's ceiling is
// the least time that its multiplications and its bytes take; the roofline of the
// whole is the sum of them. Without MODEL it takes models with random weights of
// 0.85, 22 and 134.5 million parameters. Other work on the machine disturbs it.
//
// Exit codes: 0 done, 1 failed, 2 misused, 130/143 interrupted.
package main

import "srar/lib/tool"

const usage = `usage: srar-model init --out DIR [flags]
       srar-model import FILE.gguf --out DIR [--dtype f32|bf16|f16]
       srar-model info|digest|selftest DIR|FILE.gguf
       srar-model bench [DIR|FILE.gguf] [flags]
       srar-model release DIR --out DIR
       srar-model merge DIR|FILE.gguf ADAPTER --out DIR
       srar-model average DIR DIR... --out DIR
       srar-model diff DIR DIR

Makes and describes checkpoints.

init, import, release, merge and average
  --out DIR                 directory to make; must not be there yet
init
  --seed N                  which random weights (0)
  --hidden D                width of the residual stream (48)
  --layers N                number of layers (2)
  --heads H                 query heads (4)
  --kv-heads G              key and value heads, divides H (2)
  --head-dim C              width of a head, even (12)
  --intermediate F          width of the MLP (144)
  --family NAME             llama, mistral, qwen2 or qwen3 (qwen3)
  --dtype f32|bf16          type of the stored weights (f32)
  --untied                  an output matrix of its own, not the embedding
  --rope-theta X            base of the rotary embedding (10000)
  --tokenizer arith|PATH    that of the arithmetic task, or a tokenizer.json, or
                            a directory with one (arith)
import
  --dtype f32|bf16|f16      round the weights to it (as they are, f32 where quantised)
selftest and bench
  --threads N               threads (all processors)
bench
  --shapes LIST             models to make (tiny,25m,135m)
  --compute LIST            products of matrices in f32 or bf16; auto: as the weights
                            are stored (auto)
  --rows LIST               sequences decoded at once; none: do not decode (1,8,64)
  --prompt N                tokens of a prompt (64)
  --tokens N                tokens decoded after it (256)
  --batch N                 sequences of an optimiser step; 0: do not train (8)
  --length N                tokens of each (512)
  --repeat N                runs of which the best counts (3)
  --json                    JSON lines instead of tables
info, digest, selftest, bench and diff
  -o FILE                   write FILE instead of standard output
general
  --quiet                   errors and warnings only
  --log json                messages as JSON lines
  --help, --version

examples
  srar-model init --out M0 --seed 1 && srar-model info M0
  srar-model import SmolLM2-135M-Instruct.Q8_0.gguf --out M0 --dtype bf16
  srar-model release warm/model --out M0
  srar-model merge M0 A1 --out M1 && srar-model diff M0 M1
  srar-model bench M0 --rows 64 --compute f32,bf16
`

func main() {
	tool.Main(tool.Command{Name: "srar-model", Usage: usage, Streams: tool.Lines, Setup: setup})
}
