package sampler

import (
	"context"

	"srar/lib/llm"
)

// LogprobKind is what the log-probabilities of a server are of.
type LogprobKind uint8

const (
	// Unmeasured: with these settings all kinds give the same numbers.
	Unmeasured LogprobKind = iota
	// Unclear: they are none of those below, or the probes could not tell.
	Unclear
	// Raw: of softmax(logits). vLLM by default (--logprobs-mode raw_logprobs),
	// llama.cpp, SGLang with SGLANG_RETURN_ORIGINAL_LOGPROB.
	Raw
	// Scaled: of softmax(logits / temperature) after penalties, before truncation.
	// SGLang by default.
	Scaled
	// Processed: of what is sampled from, renormalised after truncation. vLLM with
	// --logprobs-mode processed_logprobs.
	Processed
)

func (k LogprobKind) String() string {
	return [...]string{"not measured", "unclear", "raw", "scaled", "processed"}[k]
}

// know decides whether the servers' log-probabilities are those of the contract.
func (s *Sampler) know(ctx context.Context) error {
	set := neutral(s.cfg.Sampling)
	switch {
	case set.Greedy || isOne(set.Temperature) && !truncates(&set) && !penalises(&set):
		s.Known = true
		return nil
	}
	var err error
	s.Logprobs, err = s.measure(ctx)
	switch s.Logprobs {
	case Raw:
		s.Known = isOne(set.Temperature) && !(penalises(&set) && s.d.penalised())
	case Scaled:
		s.Known = !penalises(&set)
	case Processed:
		s.Known = !penalises(&set) && !truncates(&set)
	}
	return err
}

// The measurement compares two log-probabilities of the most likely token a:
// cold, from a greedy request, is ln p(a) at temperature 1 with every kind; hot
// comes from a request at temperature 2 whose top-p leaves nothing but a. (A
// top-k of 1 would do, but SGLang takes that for greedy.)
const (
	hotTemperature = 2
	onlyBest       = 1e-6 // top-p

	certain = -0.1  // a cold number above it tells nothing
	same    = 0.03  // batches of different size give bf16 numbers that differ by about 0.01
	apart   = 0.1   // temperatures 1 and 2 give numbers that differ by more
	whole   = -1e-3 // ln 1, rounded
)

// measure finds the kind of log-probabilities by the probes. Raw is concluded only
// when no probe says anything else.
func (s *Sampler) measure(ctx context.Context) (LogprobKind, error) {
	raw := 0
	for _, prompt := range s.cfg.Probes {
		cold, err := s.first(ctx, prompt, llm.Sampling{Greedy: true, MaxTokens: 1})
		if err != nil {
			return Unclear, err
		}
		hot, err := s.first(ctx, prompt, llm.Sampling{Temperature: hotTemperature, TopP: onlyBest, MaxTokens: 1})
		if err != nil {
			return Unclear, err
		}
		switch {
		case cold == nil || hot == nil || *cold > certain:
		case *hot >= whole:
			return Processed, nil
		case *hot <= *cold-apart:
			return Scaled, nil
		case *hot > *cold-same && *hot < *cold+same:
			raw++
		default:
			return Unclear, nil
		}
	}
	if raw > 0 {
		return Raw, nil
	}
	return Unclear, nil
}

// first returns the log-probability of the first token of a response, nil where
// there is none.
func (s *Sampler) first(ctx context.Context, prompt []int32, set llm.Sampling) (*float32, error) {
	out, err := s.sample(ctx, s.probe(prompt, set))
	if err != nil || out.Logprobs == nil {
		return nil, err
	}
	return &out.Logprobs[0], nil
}

// Reason says why samples have no log-probabilities, and what to change on the
// servers so that they have; both are empty where they have them.
func (s *Sampler) Reason() (why, advice string) {
	if s.Known {
		return "", ""
	}
	set := s.cfg.Sampling
	switch why = "the servers give those of " + s.Logprobs.of(); {
	case penalises(&set):
	case s.Kind == "vllm" && s.Logprobs == Raw && !truncates(&set):
		advice = "vllm serve --logprobs-mode processed_logprobs gives those at --temperature"
	case s.Kind == "vllm" && s.Logprobs == Processed && isOne(set.Temperature):
		advice = "vllm serve --logprobs-mode raw_logprobs gives those before truncation"
	case s.Kind == "sglang" && s.Logprobs == Raw:
		advice = "SGLang without SGLANG_RETURN_ORIGINAL_LOGPROB gives those at --temperature"
	}
	return why, advice
}

func (k LogprobKind) of() string {
	switch k {
	case Raw:
		return "softmax(logits)"
	case Scaled:
		return "softmax(logits / temperature) after penalties"
	case Processed:
		return "what they sample from, after penalties and truncation"
	}
	return "a distribution that the probes do not tell"
}
