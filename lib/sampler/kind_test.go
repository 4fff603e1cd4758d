package sampler

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/llm"
)

// TestLogprobKinds: rows have log-probabilities where, and only where, those of
// the server are ln p under softmax(logits / temperature) before penalties and
// truncation.
func TestLogprobKinds(t *testing.T) {
	set := func(edit func(*llm.Sampling)) llm.Sampling {
		s := plain()
		edit(&s)
		return s
	}
	settings := map[string]llm.Sampling{
		"plain":     plain(),
		"greedy":    {Greedy: true, Temperature: 1, TopP: 1, Repetition: 1, MaxTokens: 4},
		"warm":      set(func(s *llm.Sampling) { s.Temperature = 0.7 }),
		"cut":       set(func(s *llm.Sampling) { s.TopP = 0.9 }),
		"warm, cut": set(func(s *llm.Sampling) { s.Temperature, s.TopK = 0.7, 20 }),
		"penalty":   set(func(s *llm.Sampling) { s.Repetition = 1.1 }),
	}
	for _, tc := range []struct {
		server string
		kind   LogprobKind
		known  string // of the settings, beside plain and greedy
		advice string // of "warm"
	}{
		{"vllm", Raw, "cut, penalty", "--logprobs-mode processed_logprobs"},
		{"vllm", Processed, "warm", ""},
		{"vllm", Scaled, "warm, cut, warm, cut", ""},
		{"vllm", Unclear, "", ""},
		{"sglang", Scaled, "warm, cut, warm, cut", ""},
		{"sglang", Raw, "cut", "SGLANG_RETURN_ORIGINAL_LOGPROB"},
		{"llamacpp", Raw, "cut, penalty", ""},
	} {
		known := map[string]bool{"plain": true, "greedy": true}
		switch tc.known {
		case "":
		case "warm, cut, warm, cut":
			known["warm"], known["cut"], known["warm, cut"] = true, true, true
		default:
			for _, name := range strings.Split(tc.known, ", ") {
				known[name] = true
			}
		}
		for name, set := range settings {
			t.Run(tc.server+" "+tc.kind.String()+" "+name, func(t *testing.T) {
				f := serve(t, tc.server, func(f *fake) { f.kind = tc.kind })
				s := connect(t, config(set, f.URL))
				require.Equal(t, known[name], s.Known)
				if name == "plain" || name == "greedy" {
					require.Equal(t, Unmeasured, s.Logprobs)
				} else {
					require.Equal(t, tc.kind, s.Logprobs)
				}
				got, err := s.Sample(context.Background(), "a", []int32{3, 1}, 0)
				require.NoError(t, err)
				require.Equal(t, known[name], got.Logprobs != nil)
				require.Zero(t, s.Bare())
				why, advice := s.Reason()
				require.Equal(t, known[name], why == "")
				if name == "warm" && !known[name] {
					require.Contains(t, advice, tc.advice)
				}
			})
		}
	}
}

// TestCertainProbes: a policy that is certain of its answers tells nothing.
func TestCertainProbes(t *testing.T) {
	old := logits
	defer func() { logits = old }()
	logits = append([]float64{40}, old[1:]...)
	f := serve(t, "vllm")
	set := plain()
	set.TopP = 0.5
	s := connect(t, config(set, f.URL))
	require.Equal(t, Unclear, s.Logprobs)
	require.False(t, s.Known)
}

// TestWarnings: where a server samples otherwise than the flags say, it is said.
func TestWarnings(t *testing.T) {
	for _, tc := range []struct {
		server string
		set    llm.Sampling
		want   []string
	}{
		{"vllm", llm.Sampling{Temperature: 1, TopP: 0.9, MinP: 0.1, Repetition: 1.2, MaxTokens: 4}, []string{"vLLM cuts by --min-p before --top-p, not after it"}},
		{"vllm", llm.Sampling{Temperature: 1, TopP: 0.9, TopK: 5, Repetition: 1.2, MaxTokens: 4}, nil},
		{"sglang", llm.Sampling{Temperature: 1, TopP: 0.9, TopK: 5, Repetition: 1.2, MaxTokens: 4}, []string{
			"SGLang's --repetition-penalty counts tokens of the response only, not of the prompt",
			"SGLang measures --top-p before --top-k has cut",
		}},
		{"llamacpp", llm.Sampling{Temperature: 1, TopP: 0.9, TopK: 5, MinP: 0.1, Repetition: 1.2, MaxTokens: 4}, nil},
	} {
		require.Equal(t, tc.want, connect(t, config(tc.set, serve(t, tc.server).URL)).Warnings)
	}
}

func replaceAll(s string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(s) }

func writePEM(t *testing.T, c *x509.Certificate) string {
	path := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), 0o600))
	return path
}

// FuzzRead: no answer of a server brings a command down, and what is taken for
// one can be made a row of.
func FuzzRead(f *testing.F) {
	for _, kind := range kinds {
		f.Add([]byte(answerOf(kind, []any{3, 1}, []token{{1, -0.5}, {9, -1}}, "stop")))
		f.Add([]byte(lists[kind]))
	}
	f.Add([]byte(`{"choices":[{"finish_reason":"stop","token_ids":[1],"logprobs":{"token_logprobs":[null]}}]}`))
	f.Add([]byte(`{"meta_info":{"finish_reason":{"type":"stop"},"output_token_logprobs":[[-1],[null,2],[-1,3,"x",4]]}}`))
	f.Add([]byte(`{"meta_info":{"finish_reason":null,"output_token_logprobs":[5]}}`))
	f.Add([]byte(`{"tokens":[1,2],"stop_type":"eos","completion_probabilities":[{"id":1,"logprob":1e999}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, d := range []dialect{vllm{}, sglang{}, llamacpp{}} {
			r, err := d.read(body)
			if err != nil {
				continue
			}
			if len(r.tokens) == 0 {
				t.Fatalf("%T: no tokens", d)
			}
			if r.logprobs != nil && len(r.logprobs) != len(r.tokens) {
				t.Fatalf("%T: %d log-probabilities of %d tokens", d, len(r.logprobs), len(r.tokens))
			}
			for _, lp := range r.logprobs {
				if !(lp > standIn && lp <= 0) {
					t.Fatalf("%T: log-probability %v", d, lp)
				}
			}
		}
		if m, err := choose(body, ""); err == nil {
			if again, err := choose(body, m.ID); err != nil || again.ID != m.ID {
				t.Fatalf("%q is listed, but not found", m.ID)
			}
		}
	})
}
