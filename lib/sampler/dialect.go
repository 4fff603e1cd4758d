package sampler

import (
	"encoding/json"
	"errors"
	"fmt"

	"srar/lib/llm"
)

// dialect is how one kind of server is spoken to.
type dialect interface {
	// path is that of the interface, below the server's address.
	path() string
	// body is the request of one response, to be sent as JSON.
	body(q *query) any
	// read takes an answer of status 2xx apart. An error of type *Error stays;
	// others may pass, and the request is sent again.
	read(body []byte) (*reply, error)
	// fit says where the server cannot sample as the settings say: not at all, or
	// not exactly.
	fit(s *llm.Sampling) (warnings []string, err error)
	// penalised says whether log-probabilities of kind Raw come after the penalties.
	penalised() bool
}

// neutral is s with what a greedy policy does not use taken out.
func neutral(s llm.Sampling) llm.Sampling {
	if !s.Greedy {
		return s
	}
	return llm.Sampling{Greedy: true, Repetition: 1, TopP: 1, MaxTokens: s.MaxTokens}
}

func truncates(s *llm.Sampling) bool { return s.TopK > 0 || s.TopP < 1 || s.MinP > 0 }

func penalises(s *llm.Sampling) bool {
	return s.Repetition != 1 || s.Presence != 0 || s.Frequency != 0
}

// allTokens is the top-k of servers that take every token for it.
const allTokens = -1

func topK(s *llm.Sampling) int {
	if s.TopK == 0 {
		return allTokens
	}
	return s.TopK
}

// standIn is what servers write for ln 0, or below that: JSON has no infinity.
const standIn = -9999

// logprobs returns the numbers as a column holds them: nil unless each of the n
// tokens has one that is a logarithm of a probability.
func logprobs(list []*float64, n int) []float32 {
	if len(list) != n {
		return nil
	}
	out := make([]float32, n)
	for i, v := range list {
		if v == nil || !(*v > standIn) || *v > 1e-3 { // rounding may lift p above 1
			return nil
		}
		out[i] = float32(min(*v, 0))
	}
	return out
}

// decode reads an answer; one that is cut or of another form may pass.
func decode(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("the answer is not of the form that was asked for: %w", err)
	}
	return nil
}

var errNoTokens = errors.New("the response has no tokens")

// unfinished is the fault of a response that neither ended nor met its limit.
func unfinished(why string) error { return fmt.Errorf("the response was not finished: %q", why) }

// f32 is a setting as rows and servers hold it.
func f32(x float64) float32 { return float32(x) }

func isOne(x float64) bool { return f32(x) == 1 }
