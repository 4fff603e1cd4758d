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
// With --url the responses come from servers that hold the weights: vLLM
// (0.10.2 or newer), SGLang, or llama.cpp's llama-server, one or several that
// serve the same model. --model stays needed: prompts are rendered and encoded
// here, sent as token ids, and rows are made of the ids that come back; text is
// never encoded again. A server that gives no ids is an error that says what to
// switch on. The kind of server shows in the owned_by of GET /v1/models:
// sglang is asked at /generate, llamacpp at /completion, all others at
// /v1/completions as vLLM is. Each response is a request of its own, with a seed
// made of --seed, prompt id and rollout index, so that a server that repeats
// itself (vLLM in batch-invariant mode, SGLang with
// --enable-deterministic-inference) gives the same rows again. The API key is in
// $ROLLOUT_API_KEY and nowhere else.
//
// What is checked of the servers: they list the model, with the vocabulary and
// the context that are needed where they tell these; a name of the model, or
// version of SGLang's weights, that begins with sha256: is the digest of --model,
// and the version stays; the prompt that they say they read is the one they were
// sent, and the ids they give lie in the vocabulary. A directory that they say
// they serve, where it is on this machine, is compared with --model; a difference
// is a warning. --check-policy computes log-probabilities of short responses of
// the servers with the weights of --model too: that finds another model, not one
// that is a small step older. The column policy holds the digest of --model.
//
// Log-probabilities of servers are those of softmax(logits), as vLLM and
// llama.cpp give them, or of softmax(logits / temperature), as SGLang does, or of
// what was sampled from, as vLLM --logprobs-mode processed_logprobs does. Where
// the settings make that a difference, probes find out which; rows get
// log-probabilities only where they are those described above, else logprobs is
// [] and a warning says so. With --greedy, and at temperature 1 without
// truncation and penalties, all of them are right.
//
// Exit codes: 0 done, 1 failed, 2 misused, 3 input ended early or not valid,
// 130/143 interrupted.
package main

import "srar/lib/tool"

const usage = `usage: srar-rollout --model DIR [flags] < prompts > rollouts

Samples n responses of each prompt.

policy
  --model DIR|FILE.gguf     checkpoint in the Hugging Face layout, or GGUF file
  --adapter DIR             adapter of it, in the layout of PEFT
  --compute KIND            products of matrices in f32 or bf16; auto: as the weights
                            are stored (auto)
  --memory SIZE             bound for weights, activations, keys and values, such as
                            12G (three quarters of what is free)
  --threads N               threads (all processors)
  --max-rows N              rollouts in flight at once (256)
servers instead of the own engine
  --url URL[,URL...]        addresses, such as http://127.0.0.1:8000/v1; key in
                            $ROLLOUT_API_KEY
  --served-model NAME       as the servers name it (the only one that they list)
  --check-policy            compare log-probabilities of short responses with
                            those of --model's weights
  --concurrency N           most requests in flight; fewer while servers are
                            overloaded (64)
  --tries N                 most requests for one response (8)
  --timeout D               of one request and its whole answer (30m)
  --connect-timeout D       to reach a server (10s)
  --first-byte-timeout D    until an answer begins; 0: as --timeout (0s)
  --ca FILE                 trust the certificates in FILE beside the system's
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
  srar-prepare train.parquet | srar-rollout --model M0 --url http://a:8000/v1,http://b:8000/v1 | srar-judge
`

func main() {
	tool.Main(tool.Command{Name: "srar-rollout", Usage: usage, Streams: tool.InOut, Setup: setup})
}
