// Package sampler samples responses of a policy from servers that hold its
// weights: vLLM, SGLang, llama.cpp's llama-server, and others that speak as one
// of them does.
//
// Prompts go out and responses come back as token ids; text is never encoded
// again. [Connect] finds out with what it deals: the kind of server by the
// owned_by of GET /v1/models ("sglang", "llamacpp"; all else is spoken to as vLLM
// is), and by one short response of each whether token ids come back. What kind
// of log-probabilities a server gives is measured where settings make it matter
// (see [LogprobKind]): a row gets those of the contract, ln p under
// softmax(logits / temperature) before penalties and truncation, or none.
//
// [Sampler.Sample] is one response, checked: the prompt that the server says it
// read is the one it was sent, ids lie in the vocabulary, the response ends where
// the policy's own engine would have ended it.
//
// Sources: the servers' documentation and code, vLLM (sampling_params.py,
// entrypoints/openai/completion, v1/sample/sampler.py, v1/engine/detokenizer.py),
// SGLang (native API of /generate, layers/sampler.py), llama.cpp
// (tools/server/README.md, server-context.cpp).
package sampler

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"srar/lib/llm"
	"srar/lib/remote"
)

// EnvKey is the environment variable with the API key, the only way to give it.
const EnvKey = "ROLLOUT_API_KEY"

// Config says what is sampled, and where. All fields but Model are needed; of
// those of Remote, see there.
type Config struct {
	Remote   remote.Config // URLs with or without /v1
	Model    string        // as the servers name it; empty: the only one that they list
	Vocab    int           // V of the policy
	End      []int32
	Sampling llm.Sampling
	Seed     uint64    // of the run
	Probes   [][]int32 // short prompts, to get to know the servers with
}

// Info is what the servers say of themselves.
type Info struct {
	Kind    string // "vllm", "sglang" or "llamacpp"
	Model   string // as they name it
	Root    string // path or name of the weights; empty where not told
	Context int    // tokens of prompt and response; 0 where not told
	Version string // of the weights, as somebody named it; empty where not told
}

// Sampler samples from one model on a set of servers. It may be used by many
// goroutines.
type Sampler struct {
	Info
	// Warnings say where the servers do not sample exactly as the flags say.
	Warnings []string
	// Logprobs is the kind of the servers' log-probabilities, and Known whether
	// samples have them, since they are those of the contract.
	Logprobs LogprobKind
	Known    bool
	// Proofs are short greedy responses to the probes, of each server, with
	// log-probabilities at temperature 1, where there are such.
	Proofs []llm.Row

	cfg  Config
	pool *remote.Pool
	d    dialect

	mu            sync.Mutex // guards Version
	bare, strange atomic.Int64
}

// Bare counts the samples that lack the log-probabilities that others have.
func (s *Sampler) Bare() int64 { return s.bare.Load() }

// Strange counts the samples that the server ended with a token that is no end
// token of the policy.
func (s *Sampler) Strange() int64 { return s.strange.Load() }

// Error is what no further request can mend: the servers lack something, or do
// not hold the policy.
type Error struct{ Text, Advice string }

func (e *Error) Error() string { return e.Text }

// Hint says what to do; it may be empty.
func (e *Error) Hint() string { return e.Advice }

func errorf(advice, format string, a ...any) *Error {
	return &Error{fmt.Sprintf(format, a...), advice}
}

// Sample returns response number rollout to the prompt with this key. A server
// that repeats itself gives the same response to the same (Config.Seed, key,
// rollout), whatever else is asked of it.
//
// The error is the cause of ctx where that is done; else it names the prompt, and
// asking again is of no use.
func (s *Sampler) Sample(ctx context.Context, key string, prompt []int32, rollout int) (llm.Sample, error) {
	out, err := s.sample(ctx, query{prompt: prompt, seed: seedOf(s.cfg.Seed, key, rollout), end: s.cfg.End, Sampling: s.cfg.Sampling})
	switch {
	case err != nil && ctx.Err() != nil:
		return out, context.Cause(ctx)
	case err != nil:
		return out, fmt.Errorf("prompt %q, rollout %d: %w", key, rollout, err)
	}
	if out.Finish == "stop" && !slices.Contains(s.cfg.End, out.Tokens[len(out.Tokens)-1]) {
		s.strange.Add(1)
	}
	if !s.Known {
		out.Logprobs = nil
	} else if out.Logprobs == nil {
		s.bare.Add(1)
	}
	return out, nil
}

// seedOf returns the seed of one request, in [0, 2^31 - 1), which each server
// takes. Those of one prompt differ from each other. SGLang needs them to differ
// from prompt to prompt as well: its random numbers depend on seed and position
// alone.
func seedOf(run uint64, key string, rollout int) int64 {
	h := sha256.New()
	h.Write(binary.LittleEndian.AppendUint64(nil, run))
	h.Write([]byte(key))
	const most = 1<<31 - 1
	return int64((binary.LittleEndian.Uint64(h.Sum(nil))%most + uint64(rollout)) % most)
}

// query asks for one response.
type query struct {
	prompt []int32
	seed   int64
	end    []int32 // tokens that end a response
	tries  int     // most requests; 0: as configured
	begin  func()  // called before each request, where not nil
	llm.Sampling
}

// reply is a response as the server gave it.
type reply struct {
	tokens   []int32
	logprobs []float32 // one for each token; nil where there are none for some
	stopped  bool      // by a token that ends; else by the limit
	prompt   []int32   // that it read; nil where not told
	read     int       // length of that prompt; -1 where not told
	version  string    // of the weights; empty where not told
}

// sample sends q and checks what comes back.
func (s *Sampler) sample(ctx context.Context, q query) (out llm.Sample, err error) {
	if s.Context > 0 && len(q.prompt)+q.MaxTokens > s.Context {
		return out, errorf("lower --max-tokens, or start the servers with a longer context",
			"the servers' context has %d tokens, the prompt has %d and --max-tokens is %d", s.Context, len(q.prompt), q.MaxTokens)
	}
	body, err := json.Marshal(s.d.body(&q))
	if err != nil {
		panic("sampler: " + err.Error()) // numbers and strings are always JSON
	}
	// Set by the last exchange, before Post returns.
	var r *reply
	var fatal *Error
	_, err = s.pool.Post(ctx, remote.Request{
		Path: s.d.path(), Tries: q.tries,
		Body: func(int) []byte {
			if q.begin != nil {
				q.begin()
			}
			return body
		},
		Check: func(resp *remote.Response) error {
			var err error
			r, err = s.d.read(resp.Body)
			if errors.As(err, &fatal) {
				return nil // another try gives no more
			}
			return err
		},
	})
	switch {
	case err != nil:
		return out, err
	case fatal != nil:
		return out, fatal
	}
	if err := s.check(&q, r); err != nil {
		return out, err
	}
	return s.end(&q, r)
}

// check compares what the server says it did with what it was asked to do.
func (s *Sampler) check(q *query, r *reply) error {
	if r.prompt != nil && !slices.Equal(r.prompt, q.prompt) || r.read >= 0 && r.read != len(q.prompt) {
		return errorf("", "the server read another prompt than it was sent (%d tokens)", len(q.prompt))
	}
	for _, id := range r.tokens {
		if id < 0 || int(id) >= s.cfg.Vocab {
			return errorf("serve the weights of --model", "token %d lies outside the vocabulary of --model (%d)", id, s.cfg.Vocab)
		}
	}
	if r.version == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Version == "" {
		s.Version = r.version
	}
	if r.version != s.Version {
		return errorf("sample again from weights that stay", "the servers changed their weights from version %q to %q", s.Version, r.version)
	}
	return nil
}

// end cuts the response where the policy ends it, and says why it ended.
func (s *Sampler) end(q *query, r *reply) (out llm.Sample, err error) {
	out = llm.Sample{Tokens: r.tokens, Logprobs: r.logprobs, Finish: "stop"}
	at := slices.IndexFunc(r.tokens, func(id int32) bool { return slices.Contains(s.cfg.End, id) })
	switch {
	case at >= 0: // a server may know fewer end tokens
		out.Tokens = out.Tokens[:at+1]
		if out.Logprobs != nil {
			out.Logprobs = out.Logprobs[:at+1]
		}
	case r.stopped:
	case len(r.tokens) < q.MaxTokens:
		return out, errorf("lower --max-tokens, or start the servers with a longer context",
			"the server cut the response at %d tokens, --max-tokens is %d", len(r.tokens), q.MaxTokens)
	default:
		out.Finish = "length"
	}
	if len(out.Tokens) > q.MaxTokens {
		return out, errorf("", "the server gave %d tokens, %d were asked for", len(out.Tokens), q.MaxTokens)
	}
	return out, nil
}
