package sampler

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"srar/lib/llm"
	"srar/lib/remote"
)

// maxBody bounds an answer. A token of a response takes some 100 bytes.
const maxBody = 64 << 20

// Connect asks the servers what they are and samples a short response from each.
// Errors that are not those of package remote are of type [*Error].
func Connect(ctx context.Context, cfg Config) (*Sampler, error) {
	cfg.Remote.URLs = slices.Clone(cfg.Remote.URLs)
	for i, u := range cfg.Remote.URLs {
		cfg.Remote.URLs[i] = strings.TrimSuffix(strings.TrimRight(u, "/"), "/v1")
	}
	if cfg.Remote.MaxBody == 0 {
		cfg.Remote.MaxBody = maxBody
	}
	s := &Sampler{cfg: cfg}
	var err error
	if s.pool, err = remote.New(cfg.Remote); err != nil {
		return nil, err
	}
	for server := range cfg.Remote.URLs {
		list, err := s.pool.Get(ctx, server, "/v1/models")
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err != nil:
			return nil, fmt.Errorf("GET /v1/models: %w", err)
		}
		if err := s.meet(list); err != nil {
			return nil, err
		}
	}
	if s.Warnings, err = s.d.fit(&s.cfg.Sampling); err != nil {
		return nil, err
	}
	if err := s.prove(ctx); err != nil {
		return nil, err
	}
	return s, s.know(ctx)
}

// meet reads what one server lists, and makes sure that it fits the policy and
// the servers met before.
func (s *Sampler) meet(list []byte) error {
	m, err := choose(list, s.cfg.Model)
	if err != nil {
		return err
	}
	if n := m.Meta.Vocab; n != 0 && n != s.cfg.Vocab {
		return errorf("serve the weights of --model", "the server's model %q has %d tokens, --model has %d", m.ID, n, s.cfg.Vocab)
	}
	info := Info{Model: m.ID, Root: m.Root, Context: max(m.Context, m.Meta.Context)}
	var d dialect
	switch m.OwnedBy {
	case "sglang":
		lora := ""
		if m.Parent != "" {
			lora = m.ID
		}
		info.Kind, d = "sglang", sglang{lora}
	case "llamacpp":
		info.Kind, d = "llamacpp", llamacpp{m.ID}
	default:
		info.Kind, d = "vllm", vllm{m.ID}
	}
	switch {
	case s.d == nil:
		s.Info, s.d = info, d
		return nil
	case d != s.d:
		return errorf("", "the servers differ: %s with %q, and %s with %q", s.Kind, s.Model, info.Kind, info.Model)
	case info.Context != 0:
		s.Context = min(s.Context, info.Context)
	}
	return nil
}

// proofTokens is the length of the proofs.
const proofTokens = 16

// prove samples a greedy response to each probe from each server.
func (s *Sampler) prove(ctx context.Context) error {
	n := len(s.cfg.Remote.URLs)
	for _, prompt := range s.cfg.Probes {
		list, errs := make([]llm.Sample, n), make([]error, n)
		var done, under sync.WaitGroup
		under.Add(n)
		for i := range n {
			done.Go(func() {
				q := s.probe(prompt, llm.Sampling{Greedy: true, MaxTokens: proofTokens})
				arrived := sync.OnceFunc(under.Done)
				defer arrived()
				if c := s.cfg.Remote.Concurrency; c == 0 || c >= n {
					// As many at once as there are servers: each gets the one that has none.
					q.begin = func() {
						arrived()
						under.Wait()
					}
				}
				list[i], errs[i] = s.sample(ctx, q)
			})
		}
		done.Wait()
		for i, out := range list {
			if errs[i] != nil {
				return s.refusal(errs[i])
			}
			if out.Logprobs != nil {
				s.Proofs = append(s.Proofs, llm.Row{Prompt: prompt, Tokens: out.Tokens, Old: out.Logprobs, Temperature: 1})
			}
		}
	}
	return nil
}

// probe is a question that gets to know the servers. It is not insisted on.
func (s *Sampler) probe(prompt []int32, set llm.Sampling) query {
	set.Repetition = 1
	return query{prompt: prompt, end: s.cfg.End, tries: 3, Sampling: set}
}

// refusal says what a server lacks that does not take the first request.
func (s *Sampler) refusal(err error) error {
	var fail *remote.Error
	if !errors.As(err, &fail) {
		return err
	}
	// llama-cpp-python answers with status 500 where its schema does not fit.
	invalid := fail.Status == http.StatusInternalServerError && strings.Contains(fail.Detail, "validation error")
	if invalid || slices.Contains([]int{400, 404, 405, 422, 501}, fail.Status) {
		return &Error{
			fmt.Sprintf("the server does not take token ids as a prompt (%s): %v", s.d.path(), err),
			"vLLM from 0.10.2 on takes them and gives them back, SGLang, and llama.cpp's llama-server",
		}
	}
	return err
}
