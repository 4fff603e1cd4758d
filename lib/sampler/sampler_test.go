package sampler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"srar/lib/llm"
	"srar/lib/remote"
)

var kinds = []string{"vllm", "sglang", "llamacpp"}

// TestRequests: each server is asked for what the settings say, in its words.
func TestRequests(t *testing.T) {
	set := llm.Sampling{Temperature: 0.7, TopP: 0.9, TopK: 20, MinP: 0.05, Repetition: 1.1, MaxTokens: 4}
	for kind, want := range map[string]string{
		"vllm": `{"model":"policy","prompt":[3,1],"max_tokens":4,"temperature":0.7,"top_k":20,"top_p":0.9,"min_p":0.05,"repetition_penalty":1.1,
			"presence_penalty":0,"frequency_penalty":0,"seed":SEED,"ignore_eos":true,"stop_token_ids":[9],"logprobs":1,"return_token_ids":true}`,
		"sglang": `{"input_ids":[3,1],"return_logprob":true,"sampling_params":{"max_new_tokens":4,"temperature":0.7,"top_k":20,"top_p":0.9,"min_p":0.05,
			"repetition_penalty":1.1,"presence_penalty":0,"frequency_penalty":0,"sampling_seed":SEED,"stop_token_ids":[9]}}`,
		"llamacpp": `{"model":"policy","prompt":[3,1],"n_predict":4,"samplers":["penalties","temperature","top_k","top_p","min_p"],"temperature":0.7,"top_k":20,
			"top_p":0.9,"min_p":0.05,"repeat_penalty":1.1,"repeat_last_n":6,"presence_penalty":0,"frequency_penalty":0,"seed":SEED,"n_probs":1,"return_tokens":true}`,
	} {
		check := func(set llm.Sampling, replace ...string) {
			f := serve(t, kind)
			s := connect(t, config(set, f.URL+"/v1"))
			_, err := s.Sample(context.Background(), "a", []int32{3, 1}, 2)
			require.NoError(t, err)
			require.Equal(t, paths[kind], f.paths[len(f.paths)-1])
			got, err := json.Marshal(f.requests()[0])
			require.NoError(t, err)
			require.JSONEq(t, replaceAll(want, append(replace, "SEED", fmt.Sprint(seedOf(7, "a", 2)))...), string(got), kind)
		}
		check(set)
		all := "-1"
		if kind == "llamacpp" {
			all = "0"
		}
		none := []string{`top_k":20`, `top_k":` + all, `top_p":0.9`, `top_p":1`, `"min_p":0.05`, `"min_p":0`, `penalty":1.1`, `penalty":1`}
		check(plain(), append(none, `temperature":0.7`, `temperature":1`)...)
		check(llm.Sampling{Greedy: true, Temperature: 1, TopP: 1, Repetition: 1, MaxTokens: 4}, append(none, `temperature":0.7`, `temperature":0`)...)
	}
}

// TestAnswers: what a server says becomes a sample that ends where the policy
// ends it.
func TestAnswers(t *testing.T) {
	known := []token{{1, -0.5}, {2, -1.25}, {3, 0}, {4, -2}}
	for _, tc := range []struct {
		name    string
		tokens  []token
		finish  string
		want    llm.Sample
		bare    int64
		strange int64
	}{
		{"limit", known, "length", llm.Sample{Tokens: []int32{1, 2, 3, 4}, Logprobs: []float32{-0.5, -1.25, 0, -2}, Finish: "length"}, 0, 0},
		{"end", []token{{1, -0.5}, {9, -1}}, "stop", llm.Sample{Tokens: []int32{1, 9}, Logprobs: []float32{-0.5, -1}, Finish: "stop"}, 0, 0},
		{"end at the limit", []token{{1, -1}, {1, -1}, {1, -1}, {9, -1}}, "length", llm.Sample{Tokens: []int32{1, 1, 1, 9}, Logprobs: []float32{-1, -1, -1, -1}, Finish: "stop"}, 0, 0},
		{"end passed over", []token{{1, -0.5}, {9, -1}, {5, -1}, {5, -1}}, "length", llm.Sample{Tokens: []int32{1, 9}, Logprobs: []float32{-0.5, -1}, Finish: "stop"}, 0, 0},
		{"another end", []token{{1, -0.5}, {8, -1}}, "stop", llm.Sample{Tokens: []int32{1, 8}, Logprobs: []float32{-0.5, -1}, Finish: "stop"}, 0, 1},
		{"p rounded up", []token{{9, 1e-6}}, "stop", llm.Sample{Tokens: []int32{9}, Logprobs: []float32{0}, Finish: "stop"}, 0, 0},
		{"ln 0", []token{{1, -0.5}, {9, -9999}}, "stop", llm.Sample{Tokens: []int32{1, 9}, Finish: "stop"}, 1, 0},
	} {
		for _, kind := range kinds {
			t.Run(tc.name+" "+kind, func(t *testing.T) {
				f := serve(t, kind, func(f *fake) {
					f.answer = func(w http.ResponseWriter, r *http.Request) {
						io.WriteString(w, answerOf(kind, []any{3, 1}, tc.tokens, tc.finish))
					}
				})
				s := connect(t, config(plain(), f.URL))
				got, err := s.Sample(context.Background(), "a", []int32{3, 1}, 0)
				require.NoError(t, err)
				require.Equal(t, tc.want, got)
				require.Equal(t, tc.bare, s.Bare())
				require.Equal(t, tc.strange, s.Strange())
			})
		}
	}
}

// TestPartialCharacters: llama-server gives no probability of a token that leaves
// a character unfinished; the row then has none at all.
func TestPartialCharacters(t *testing.T) {
	for _, given := range []string{
		`{"id":2,"logprob":-1},{"id":9,"logprob":-1}`,
		`{"id":1,"logprob":-1},{"id":9,"logprob":-1},{"id":9,"logprob":-1}`,
	} {
		f := serve(t, "llamacpp", func(f *fake) {
			f.answer = func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, `{"tokens":[1,2,9],"stop_type":"eos","tokens_evaluated":2,"completion_probabilities":[`+given+`]}`)
			}
		})
		s := connect(t, config(plain(), f.URL))
		got, err := s.Sample(context.Background(), "a", []int32{3, 1}, 0)
		require.NoError(t, err)
		require.Equal(t, llm.Sample{Tokens: []int32{1, 2, 9}, Finish: "stop"}, got)
		require.EqualValues(t, 1, s.Bare())
	}
}

// TestPassingFaults: what may pass is asked again, with the same seed.
func TestPassingFaults(t *testing.T) {
	good := []token{{1, -0.5}, {9, -1}}
	for _, kind := range kinds {
		whole := answerOf(kind, []any{3, 1}, good, "stop")
		aborted := map[string]string{
			"vllm":     `{"choices":[{"finish_reason":"abort","token_ids":[1]}]}`,
			"sglang":   `{"meta_info":{"finish_reason":{"type":"abort","message":"server is shutting down"},"output_token_logprobs":[[-1,1,null]]}}`,
			"llamacpp": `{"tokens":[1],"stop_type":"none"}`,
		}[kind]
		empty := map[string]string{
			"vllm":     `{"choices":[]}`,
			"sglang":   `{"meta_info":{"finish_reason":{"type":"stop"},"output_token_logprobs":[]}}`,
			"llamacpp": `{}`,
		}[kind]
		for name, fault := range map[string]http.HandlerFunc{
			"429":     func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "0"); w.WriteHeader(429) },
			"500":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
			"cut":     func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, whole[:len(whole)/2]) },
			"reset":   func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			"aborted": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, aborted) },
			"empty":   func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, empty) },
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel() // they wait
				var n atomic.Int64
				f := serve(t, kind, func(f *fake) {
					f.answer = func(w http.ResponseWriter, r *http.Request) {
						if n.Add(1) == 1 {
							fault(w, r)
							return
						}
						io.WriteString(w, whole)
					}
				})
				s := connect(t, config(plain(), f.URL))
				got, err := s.Sample(context.Background(), "a", []int32{3, 1}, 0)
				require.NoError(t, err)
				require.Equal(t, []int32{1, 9}, got.Tokens)
				require.EqualValues(t, 2, n.Load())
				require.Equal(t, f.requests()[0], f.requests()[1])
			})
		}
	}
}

// TestLastingFaults: what no other try mends ends at once, and says what to do.
func TestLastingFaults(t *testing.T) {
	say := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }
	}
	for _, tc := range []struct {
		name, kind string
		answer     http.HandlerFunc
		want, hint string
	}{
		{"no ids", "vllm", say(`{"choices":[{"text":"hi","finish_reason":"stop","logprobs":{"token_logprobs":[-1]}}]}`), "gives text, but no token ids", "vLLM from 0.10.2"},
		{"no ids", "sglang", say(`{"text":"hi","meta_info":{"finish_reason":{"type":"stop"}}}`), "no output_token_logprobs", "proxy"},
		{"no ids", "llamacpp", say(`{"content":"hi","stop_type":"eos","tokens":[]}`), "gives text, but no token ids", "update it"},
		{"another prompt", "vllm", say(answerOf("vllm", []any{3, 2}, []token{{9, -1}}, "stop")), "read another prompt", ""},
		{"another prompt", "sglang", say(answerOf("sglang", []any{3}, []token{{9, -1}}, "stop")), "read another prompt", ""},
		{"another prompt", "llamacpp", say(answerOf("llamacpp", []any{3, 1, 1}, []token{{9, -1}}, "stop")), "read another prompt", ""},
		{"vocabulary", "vllm", say(answerOf("vllm", []any{3, 1}, []token{{16, -1}}, "stop")), "token 16 lies outside the vocabulary of --model (16)", "weights of --model"},
		{"vocabulary", "sglang", say(answerOf("sglang", []any{3, 1}, []token{{-1, -1}}, "stop")), "token -1 lies outside", "weights of --model"},
		{"cut", "llamacpp", say(answerOf("llamacpp", []any{3, 1}, []token{{1, -1}, {1, -1}}, "length")), "cut the response at 2 tokens, --max-tokens is 4", "longer context"},
		{"too many", "vllm", say(answerOf("vllm", []any{3, 1}, make([]token, 5), "length")), "gave 5 tokens, 4 were asked for", ""},
		{"version", "sglang", say(`{"meta_info":{"finish_reason":{"type":"stop"},"prompt_tokens":2,"weight_version":"8","output_token_logprobs":[[-1,9,null]]}}`),
			`changed their weights from version "default" to "8"`, "weights that stay"},
		{"bad request", "vllm", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"error":{"message":"presence_penalty must be in [-2, 2]"}}`, 400)
		}, "http 400: presence_penalty must be in [-2, 2]", ""},
	} {
		t.Run(tc.name+" "+tc.kind, func(t *testing.T) {
			f := serve(t, tc.kind, func(f *fake) { f.answer = tc.answer })
			s := connect(t, config(plain(), f.URL))
			_, err := s.Sample(context.Background(), "a", []int32{3, 1}, 5)
			require.ErrorContains(t, err, `prompt "a", rollout 5: `)
			require.ErrorContains(t, err, tc.want)
			require.Len(t, f.requests(), 1)
			if tc.hint != "" {
				var own *Error
				require.ErrorAs(t, err, &own)
				require.Contains(t, own.Hint(), tc.hint)
			}
		})
	}
}

func TestContextTooShort(t *testing.T) {
	f := serve(t, "vllm")
	s := connect(t, config(plain(), f.URL))
	_, err := s.Sample(context.Background(), "a", make([]int32, 61), 0)
	require.ErrorContains(t, err, "the servers' context has 64 tokens, the prompt has 61 and --max-tokens is 4")
	require.Empty(t, f.requests())
	_, err = s.Sample(context.Background(), "a", make([]int32, 60), 0)
	require.NoError(t, err)
}

// TestConnectRefuses: servers that cannot serve the policy are found out before
// anything is sampled.
func TestConnectRefuses(t *testing.T) {
	status := func(code int, body string) func(*fake) {
		return func(f *fake) {
			f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet && code != 401 {
					io.WriteString(w, f.list)
					return
				}
				http.Error(w, body, code)
			})
		}
	}
	two := `{"data":[{"id":"a"},{"id":"b"}]}`
	for _, tc := range []struct {
		name       string
		edit       func(*fake)
		model      string
		set        llm.Sampling
		after      func(*fake)
		want, hint string
	}{
		{name: "no list", edit: func(f *fake) { f.list = "hello" }, want: "lists no model", hint: "address"},
		{name: "empty list", edit: func(f *fake) { f.list = `{"data":[]}` }, want: "lists no model", hint: "address"},
		{name: "two models", edit: func(f *fake) { f.list = two }, want: `lists 2 models: "a", "b"`, hint: "--served-model"},
		{name: "nameless", edit: func(f *fake) { f.list = `{"data":[{"id":""},{"id":"b"}]}` }, want: `lists 2 models: "", "b"`, hint: "--served-model"},
		{name: "unknown model", model: "c", edit: func(f *fake) { f.list = two }, want: `no model "c"; it lists "a", "b"`, hint: "--served-model"},
		{name: "vocabulary", edit: func(f *fake) { f.list = `{"data":[{"id":"a","owned_by":"llamacpp","meta":{"n_vocab":17}}]}` }, want: "has 17 tokens, --model has 16", hint: "weights of --model"},
		{name: "key", after: status(401, ""), want: "http 401", hint: "$ROLLOUT_API_KEY"},
		{name: "text only", after: status(422, `{"detail":"prompt: str expected"}`), want: "does not take token ids as a prompt (/v1/completions): http 422: prompt: str expected", hint: "llama-server"},
		{name: "text only, said otherwise", after: status(500, `{"error":{"message":"1 validation errors: 'prompt' should be a valid string"}}`), want: "does not take token ids as a prompt", hint: "llama-server"},
		{name: "cold", set: llm.Sampling{Temperature: 0.005, TopP: 1, Repetition: 1, MaxTokens: 4}, want: "vLLM raises --temperature 0.005 to 0.01", hint: "--greedy"},
		{name: "prompt counted", edit: func(f *fake) { f.list = lists["llamacpp"] }, set: llm.Sampling{Temperature: 1, TopP: 1, Repetition: 1, Presence: 1, MaxTokens: 4}, want: "llama.cpp counts the tokens of the prompt too", hint: "leave them out"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var edits []func(*fake)
			if tc.edit != nil {
				edits = append(edits, tc.edit)
			}
			f := serve(t, "vllm", edits...)
			if tc.after != nil {
				tc.after(f)
			}
			cfg := config(plain(), f.URL)
			cfg.Model = tc.model
			if tc.set.MaxTokens > 0 {
				cfg.Sampling = tc.set
			}
			_, err := Connect(context.Background(), cfg)
			require.ErrorContains(t, err, tc.want)
			var own interface{ Hint() string }
			require.ErrorAs(t, err, &own)
			require.Contains(t, own.Hint(), tc.hint)
		})
	}
}

func TestUnreachable(t *testing.T) {
	f := serve(t, "vllm")
	f.Close()
	_, err := Connect(context.Background(), config(plain(), f.URL))
	require.ErrorContains(t, err, "connection refused")
	_, err = Connect(context.Background(), config(plain(), "ftp://x"))
	require.Error(t, err)
	missing := config(plain(), f.URL)
	missing.Remote.CAFile = "no-such-file"
	_, err = Connect(context.Background(), missing)
	require.Error(t, err)
}

// TestPool: servers of one pool are alike, and each is tried before the start.
func TestPool(t *testing.T) {
	a, b := serve(t, "vllm"), serve(t, "vllm", func(f *fake) {
		f.list = `{"data":[{"id":"other"},{"id":"policy","owned_by":"vllm","max_model_len":32}]}`
	})
	cfg := config(plain(), a.URL, b.URL)
	_, err := Connect(context.Background(), cfg)
	require.ErrorContains(t, err, "lists 2 models")
	cfg.Model = "policy"
	s := connect(t, cfg)
	require.Equal(t, 32, s.Context)
	require.Equal(t, Info{Kind: "vllm", Model: "policy", Root: "/models/policy", Context: 32}, s.Info)
	require.Len(t, s.Proofs, 4) // of two probes
	require.Len(t, a.asked, 2)
	require.Len(t, b.asked, 2)
	require.Equal(t, llm.Row{Prompt: []int32{3, 4, 5}, Tokens: make([]int32, 16), Old: s.Proofs[0].Old, Temperature: 1}, s.Proofs[3])

	cfg.Remote.Concurrency = 1 // fewer than servers
	require.Len(t, connect(t, cfg).Proofs, 4)

	c := serve(t, "sglang")
	_, err = Connect(context.Background(), config(plain(), a.URL, c.URL))
	require.ErrorContains(t, err, `the servers differ: vllm with "policy", and sglang with "policy"`)
}

// TestSurvivor: what a dying server does not answer another one does.
func TestSurvivor(t *testing.T) {
	die := func(f *fake) { f.answer = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) } }
	a, b := serve(t, "vllm", die), serve(t, "vllm")
	s := connect(t, config(plain(), a.URL, b.URL))
	for i := range 20 {
		_, err := s.Sample(context.Background(), "a", []int32{3, 1}, i)
		require.NoError(t, err)
	}
	s = connect(t, config(plain(), serve(t, "vllm", die).URL))
	_, err := s.Sample(context.Background(), "a", []int32{3, 1}, 0)
	var fail *remote.Error
	require.ErrorAs(t, err, &fail)
	require.Equal(t, 3, fail.Tries)
}

// TestCancelled: the end of the context is the error, at once.
func TestCancelled(t *testing.T) {
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(context.Background())
	f := serve(t, "vllm", func(f *fake) {
		f.answer = func(w http.ResponseWriter, r *http.Request) {
			cancel(stop)
			<-r.Context().Done()
		}
	})
	s := connect(t, config(plain(), f.URL))
	begun := time.Now()
	_, err := s.Sample(ctx, "a", []int32{3, 1}, 0)
	require.Equal(t, stop, err)
	require.Less(t, time.Since(begun), 5*time.Second)
	_, err = Connect(ctx, config(plain(), f.URL))
	require.Equal(t, stop, err)
}

// TestLora: an adapter of SGLang is named by lora_path.
func TestLora(t *testing.T) {
	f := serve(t, "sglang", func(f *fake) {
		f.list = `{"data":[{"id":"policy","owned_by":"sglang"},{"id":"policy-17","owned_by":"sglang","parent":"policy"}]}`
	})
	cfg := config(plain(), f.URL)
	cfg.Model = "policy-17"
	s := connect(t, cfg)
	_, err := s.Sample(context.Background(), "a", []int32{3, 1}, 0)
	require.NoError(t, err)
	require.Equal(t, "policy-17", f.requests()[0]["lora_path"])
}

// TestKey: the key goes to the servers, also for the list.
func TestKey(t *testing.T) {
	var seen atomic.Int64
	f := serve(t, "vllm")
	inner := f.Config.Handler
	f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer secret-0123" {
			seen.Add(1)
		}
		inner.ServeHTTP(w, r)
	})
	cfg := config(plain(), f.URL)
	cfg.Remote.Key = "secret-0123"
	connect(t, cfg)
	require.EqualValues(t, 3, seen.Load()) // the list, two probes
}

// TestTLS: a private authority is trusted for the list and for the rest.
func TestTLS(t *testing.T) {
	plainText := serve(t, "vllm")
	f := httptest.NewUnstartedServer(plainText.Config.Handler)
	f.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake that fails
	f.StartTLS()
	defer f.Close()
	_, err := Connect(context.Background(), config(plain(), f.URL))
	require.ErrorContains(t, err, "certificate")
	cfg := config(plain(), f.URL)
	cfg.Remote.CAFile = writePEM(t, f.Certificate())
	connect(t, cfg)
}

// TestSeeds: a seed fits every server, those of a group differ, and none depends
// on anything but run, prompt and rollout.
func TestSeeds(t *testing.T) {
	require.EqualValues(t, []int64{917160931, 917160932}, []int64{seedOf(0, "row-000000", 0), seedOf(0, "row-000000", 1)})
	rapid.Check(t, func(t *rapid.T) {
		run, key := rapid.Uint64().Draw(t, "run"), rapid.String().Draw(t, "key")
		i, j := rapid.IntRange(0, 1<<20).Draw(t, "i"), rapid.IntRange(0, 1<<20).Draw(t, "j")
		a, b := seedOf(run, key, i), seedOf(run, key, j)
		if a < 0 || a >= 1<<31-1 || (a == b) != (i == j) {
			t.Fatalf("seeds %d and %d", a, b)
		}
	})
}
