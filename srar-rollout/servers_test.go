package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/ckpt"
	"srar/lib/golden"
	"srar/lib/llm"
	"srar/lib/op"
	"srar/lib/rows"
	"srar/lib/trial"
)

// host serves the golden model over HTTP as one kind of server does, by the
// project's own engine. It repeats itself: a response is a function of the request.
type host struct {
	*httptest.Server
	kind  string
	name  string                                                // of its model
	room  int                                                   // its context; 0: not told
	root  string                                                // that it lists
	shift float32                                               // of its log-probabilities
	early bool                                                  // ends responses after three tokens
	first func(n int64, w http.ResponseWriter, r *http.Request) // sees request n; nil: none

	mu    sync.Mutex
	model *llm.Model
	asked atomic.Int64
}

func serve(t testing.TB, kind string, edit ...func(*host)) *host {
	be, err := op.NewCPU(1, op.F32)
	require.NoError(t, err)
	c, err := ckpt.Open(golden.Model(t))
	require.NoError(t, err)
	m, err := llm.Load(be, c, llm.Frozen)
	require.NoError(t, err)
	require.NoError(t, c.Close())
	h := &host{kind: kind, name: "policy", model: m}
	for _, e := range edit {
		e(h)
	}
	h.Server = httptest.NewServer(h)
	t.Cleanup(func() {
		h.CloseClientConnections()
		h.Close()
		be.Close()
	})
	return h
}

// request holds what all kinds of server are asked, by whichever name.
type request struct {
	Prompt       []int32 `json:"prompt"`
	InputIDs     []int32 `json:"input_ids"`
	MaxTokens    int     `json:"max_tokens"`
	MaxNewTokens int     `json:"max_new_tokens"`
	NPredict     int     `json:"n_predict"`
	Temperature  float64 `json:"temperature"`
	TopP         float64 `json:"top_p"`
	Seed         uint64  `json:"seed"`
	SamplingSeed uint64  `json:"sampling_seed"`
}

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		json.NewEncoder(w).Encode(map[string]any{"data": []any{map[string]any{"id": h.name, "owned_by": h.kind, "root": h.root, "max_model_len": h.room}}})
		return
	}
	body, err := io.ReadAll(r.Body)
	var q request
	var inner struct {
		SamplingParams json.RawMessage `json:"sampling_params"`
	}
	if err == nil {
		err = json.Unmarshal(body, &q)
	}
	if err == nil && json.Unmarshal(body, &inner) == nil && inner.SamplingParams != nil {
		err = json.Unmarshal(inner.SamplingParams, &q)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if n := h.asked.Add(1); h.first != nil {
		h.first(n, w, r)
	}
	q.Prompt = append(q.Prompt, q.InputIDs...)
	s := h.generate(q)
	json.NewEncoder(w).Encode(h.answer(q.Prompt, s))
}

func (h *host) generate(q request) (out llm.Sample) {
	set := llm.Sampling{Temperature: q.Temperature, TopP: q.TopP, Repetition: 1, Greedy: q.Temperature == 0, MaxTokens: max(q.MaxTokens, q.MaxNewTokens, q.NPredict)}
	next, sent := func() (*llm.Request, error) { return &llm.Request{Prompt: q.Prompt, N: 1}, nil }, false
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.model.Generate(context.Background(), set, q.Seed+q.SamplingSeed, func() (*llm.Request, error) {
		if sent {
			return nil, io.EOF
		}
		sent = true
		return next()
	}, func(_ *llm.Request, s []llm.Sample) error {
		out = s[0]
		return nil
	})
	if err != nil {
		panic(err)
	}
	for i := range out.Logprobs {
		out.Logprobs[i] += h.shift
	}
	return out
}

func (h *host) answer(prompt []int32, s llm.Sample) any {
	type object = map[string]any
	if h.early && len(s.Tokens) < 16 {
		s = llm.Sample{Tokens: s.Tokens[:3], Logprobs: s.Logprobs[:2], Finish: "stop"}
	}
	var pairs, entries []any
	for i, lp := range s.Logprobs {
		pairs = append(pairs, []any{lp, s.Tokens[i], nil})
		entries = append(entries, object{"id": s.Tokens[i], "logprob": lp})
	}
	switch h.kind {
	case "sglang":
		return object{"text": "?", "meta_info": object{"finish_reason": object{"type": s.Finish}, "prompt_tokens": len(prompt), "output_token_logprobs": pairs}}
	case "llamacpp":
		return object{"tokens": s.Tokens, "stop_type": map[string]string{"stop": "eos", "length": "limit"}[s.Finish], "tokens_evaluated": len(prompt), "completion_probabilities": entries}
	}
	return object{"choices": []any{object{"text": "?", "finish_reason": s.Finish, "token_ids": s.Tokens, "prompt_token_ids": prompt, "logprobs": object{"token_logprobs": s.Logprobs}}}}
}

// prompts is a stream of n prompts.
func prompts(t testing.TB, n int) []byte {
	var list []rows.Prompt
	for i := range n {
		p := rows.Prompt{PromptID: string(rune('a' + i)), Problem: "?"}
		p.Messages = append(p.Messages, rows.Message{Role: "user", Content: strings.Repeat("Add 1. ", i+1)})
		list = append(list, p)
	}
	return trial.Rows(t, rows.Prompts.Name, list...)
}

func rollout(t testing.TB, in []byte, args ...string) trial.Process {
	return trial.Process{Args: append([]string{"srar-rollout", "--model", golden.Model(t), "-n", "3", "--max-tokens", "12"}, args...), Stdin: in}
}

func text(t testing.TB, stream []byte) (out string) {
	for _, b := range trial.Batches(t, stream) {
		out += trial.Text(b) + "\n"
	}
	return out
}

// TestServersGiveTheRowsOfTheEngine: greedy rows are those of the own engine, byte
// for byte, whichever server computes them.
func TestServersGiveTheRowsOfTheEngine(t *testing.T) {
	in := prompts(t, 4)
	want := text(t, rollout(t, in, "--greedy").Must(t))
	require.Contains(t, want, "logprobs=[-")
	for _, kind := range []string{"vllm", "sglang", "llamacpp"} {
		out := rollout(t, in, "--greedy", "--url", serve(t, kind).URL+"/v1").Must(t)
		require.Equal(t, want, text(t, out), kind)
		history := trial.Schema(t, out).History
		last := history[len(history)-1]
		require.Contains(t, last.Inputs, "served by "+kind)
		require.Equal(t, last.Inputs["model"], last.Inputs["served by "+kind])
		require.NotContains(t, strings.Join(last.Args, " "), "127.0.0.1")
	}
}

// TestServersRepeat: the bytes are those of the seed, however many requests are
// under way and servers there are; fewer rollouts are the first of more.
func TestServersRepeat(t *testing.T) {
	in := prompts(t, 6)
	a, b := serve(t, "sglang"), serve(t, "sglang")
	args := []string{"--temperature", "0.8", "--seed", "5", "--url"}
	one := rollout(t, in, append(args, a.URL, "--concurrency", "1")...).Must(t)
	many := rollout(t, in, append(args, a.URL+","+b.URL)...).Must(t)
	require.Equal(t, one, many)
	require.Positive(t, b.asked.Load())
	other := rollout(t, in, "--temperature", "0.8", "--seed", "6", "--url", a.URL).Must(t)
	require.NotEqual(t, text(t, one), text(t, other))

	group := trial.Groups[rows.Generation](t, one)
	require.NotEqual(t, group[0][0].Tokens, group[0][1].Tokens)
	require.Len(t, group[0][0].Logprobs, len(group[0][0].Tokens))
	fewer := trial.Groups[rows.Generation](t, rollout(t, in, append(args, a.URL, "-n", "2")...).Must(t))
	for i := range group {
		require.Equal(t, group[i][:2], fewer[i])
	}
}

// TestServersWithoutLogprobs: numbers that are not those of the contract are left
// out, and the warning says how to have them.
func TestServersWithoutLogprobs(t *testing.T) {
	// The engine's are those at the temperature, which servers apply to logits that
	// penalties have changed.
	r := rollout(t, prompts(t, 1), "--repetition-penalty", "1.1", "--url", serve(t, "vllm").URL).Run(t)
	require.Zero(t, r.Status, r.Voice)
	require.Contains(t, r.Voice, "warning: the rows get no log-probabilities, and srar-update computes its own: the servers give those of softmax(logits / temperature) after penalties")
	require.Contains(t, r.Voice, "srar-logprob")
	for _, g := range trial.Groups[rows.Generation](t, r.Out)[0] {
		require.Empty(t, g.Logprobs)
		require.NotEmpty(t, g.Tokens)
	}
}

// TestServersFallShort: what a server does not give, or does otherwise, is counted.
func TestServersFallShort(t *testing.T) {
	h := serve(t, "llamacpp", func(h *host) { h.early = true })
	r := rollout(t, prompts(t, 2), "--greedy", "--url", h.URL).Run(t)
	require.Zero(t, r.Status, r.Voice)
	require.Contains(t, r.Voice, "warning: 6 responses have no log-probabilities")
	require.Contains(t, r.Voice, "warning: 3 responses were ended by tokens that do not end those of --model") // the others end earlier
}

// TestServerDies: what tries do not mend ends the run, and nothing half-written
// takes the place of an artifact.
func TestServerDies(t *testing.T) {
	h := serve(t, "vllm", func(h *host) {
		h.first = func(n int64, w http.ResponseWriter, _ *http.Request) {
			if n > 6 {
				panic(http.ErrAbortHandler)
			}
		}
	})
	dir := t.TempDir()
	r := rollout(t, prompts(t, 6), "--tries", "2", "-o", filepath.Join(dir, "r.arrow"), "--url", h.URL).Run(t)
	require.Equal(t, 1, r.Status)
	require.Regexp(t, `srar-rollout: prompt "[a-f]", rollout [012]: network: closed before the end of the answer`, r.Voice)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestServerBusy: a server that has more to do than it can is waited for.
func TestServerBusy(t *testing.T) {
	in := prompts(t, 2)
	h := serve(t, "vllm", func(h *host) {
		h.first = func(n int64, w http.ResponseWriter, _ *http.Request) {
			if n == 5 {
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(http.StatusTooManyRequests)
			}
		}
	})
	out := rollout(t, in, "--greedy", "--url", h.URL).Must(t)
	require.Equal(t, text(t, rollout(t, in, "--greedy").Must(t)), text(t, out))
	require.EqualValues(t, 10, h.asked.Load()) // three proofs, six responses, one again
}

// TestInterruptedAtServers: an interrupt ends requests that are under way.
func TestInterruptedAtServers(t *testing.T) {
	reached := make(chan bool, 1)
	h := serve(t, "vllm", func(h *host) {
		h.first = func(n int64, _ http.ResponseWriter, r *http.Request) {
			if n == 6 {
				reached <- true
			}
			if n >= 6 {
				<-r.Context().Done()
			}
		}
	})
	file := filepath.Join(t.TempDir(), "r.arrow")
	c := rollout(t, prompts(t, 6), "-o", file, "--concurrency", "2", "--url", h.URL).Command(trial.Within(t, trial.Patience))
	require.NoError(t, c.Start())
	<-reached
	require.NoError(t, c.Process.Signal(syscall.SIGINT))
	require.Error(t, c.Wait())
	require.Equal(t, 130, c.ProcessState.ExitCode()) // a command that hangs is killed
	require.NoFileExists(t, file)
}

// TestServedPolicy: another policy than --model is found out.
func TestServedPolicy(t *testing.T) {
	in := prompts(t, 1)
	good := serve(t, "vllm", func(h *host) { h.root = golden.Model(t) })
	r := rollout(t, in, "--check-policy", "--url", good.URL).Run(t)
	require.Zero(t, r.Status, r.Voice)
	require.Contains(t, r.Voice, "log-probabilities of 3 short responses differ by 0 in the mean from those of --model")
	require.Contains(t, r.Voice, `vllm serves "policy" from "`)

	other := serve(t, "vllm", func(h *host) { h.shift = -0.3 })
	r = rollout(t, in, "--check-policy", "--url", other.URL).Run(t)
	require.Equal(t, 1, r.Status)
	require.Contains(t, r.Voice, "the server's policy is not --model: its log-probabilities of 16 tokens differ by 0.3 in the mean")
	require.Nil(t, r.Out)

	named := serve(t, "vllm", func(h *host) { h.name = "sha256:0123" })
	r = rollout(t, in, "--url", named.URL).Run(t)
	require.Equal(t, 1, r.Status)
	require.Contains(t, r.Voice, "the servers serve sha256:0123, --model is sha256:")

	copied, elsewhere := t.TempDir(), serve(t, "vllm", func(h *host) { h.root = golden.Path(t, "model", "A-qwen3", "checkpoint") })
	require.NoError(t, os.CopyFS(copied, os.DirFS(golden.Model(t))))
	r = rollout(t, in, "--url", serve(t, "vllm", func(h *host) { h.root = copied }).URL).Run(t)
	require.Zero(t, r.Status, r.Voice)
	require.NotContains(t, r.Voice, "warning")
	r = rollout(t, in, "--url", elsewhere.URL).Run(t)
	require.Zero(t, r.Status, r.Voice)
	require.Contains(t, r.Voice, "which the server serves, are not those of --model")
}

// TestServersWithoutRoom: a context that could end a run in its middle is refused
// before the start.
func TestServersWithoutRoom(t *testing.T) {
	in := prompts(t, 1)
	h := serve(t, "vllm", func(h *host) { h.room = 111 })
	r := rollout(t, in, "--max-prompt", "100", "--url", h.URL).Run(t)
	require.Equal(t, 1, r.Status)
	require.Contains(t, r.Voice, "the servers' context has 111 tokens, --max-prompt 100 and --max-tokens 12 need 112\nhint: lower one of them")
	rollout(t, in, "--max-prompt", "99", "--url", h.URL).Must(t)
}

// TestServerFlags: flags that mean nothing with or without servers are misuse.
func TestServerFlags(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"--served-model", "m"}, "--served-model has no effect without --url"},
		{[]string{"--concurrency", "3"}, "--concurrency has no effect without --url"},
		{[]string{"--check-policy"}, "--check-policy has no effect without --url"},
		{[]string{"--url", "http://127.0.0.1:1", "--max-rows", "3"}, "--max-rows has no effect with --url"},
		{[]string{"--url", "http://127.0.0.1:1", "--tries", "0"}, "--tries and --concurrency are 1 or more"},
		{[]string{"--url", ","}, "no address"},
	} {
		r := rollout(t, nil, tc.args...).Run(t)
		require.Equal(t, 2, r.Status, "%v: %s", tc.args, r.Voice)
		require.Contains(t, r.Voice, tc.want)
	}
}
