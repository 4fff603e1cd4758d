package sampler

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/llm"
	"srar/lib/remote"
)

// The policy of these tests has 16 tokens, of which 9 ends a response, and puts
// these logits on each position.
var logits = []float64{2, 1.5, 1, 0.5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

const (
	vocab    = 16
	endToken = 9
)

// logp is ln p of a token at a temperature.
func logp(id int, temperature float64) float64 {
	sum := 0.0
	for _, z := range logits {
		sum += math.Exp(z / temperature)
	}
	return logits[id]/temperature - math.Log(sum)
}

// fake is a server. list is what it lists, and answer its response to a request;
// where that is nil it answers the probes as a server of log-probabilities of
// kind would, and all else with one token.
type fake struct {
	*httptest.Server
	list   string
	kind   LogprobKind
	answer http.HandlerFunc

	mu    sync.Mutex
	paths []string
	asked []map[string]any
}

var lists = map[string]string{
	"vllm":     `{"object":"list","data":[{"id":"policy","object":"model","owned_by":"vllm","root":"/models/policy","parent":null,"max_model_len":64}]}`,
	"sglang":   `{"object":"list","data":[{"id":"policy","object":"model","owned_by":"sglang","root":"policy","max_model_len":64}]}`,
	"llamacpp": `{"models":[{"name":"policy"}],"object":"list","data":[{"id":"policy","owned_by":"llamacpp","meta":{"n_vocab":16,"n_ctx":64}}]}`,
}

var paths = map[string]string{"vllm": "/v1/completions", "sglang": "/generate", "llamacpp": "/completion"}

// serve starts a server of a kind.
func serve(t testing.TB, kind string, edit ...func(*fake)) *fake {
	f := &fake{list: lists[kind], kind: Raw}
	for _, e := range edit {
		e(f)
	}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == "/v1/models" {
			io.WriteString(w, f.list)
			return
		}
		body, err := io.ReadAll(r.Body)
		var asked map[string]any
		if err != nil || json.Unmarshal(body, &asked) != nil {
			http.Error(w, "no JSON", http.StatusBadRequest)
			return
		}
		f.mu.Lock()
		f.paths, f.asked = append(f.paths, r.URL.Path), append(f.asked, asked)
		f.mu.Unlock()
		if f.answer != nil && !isProbe(asked) {
			f.answer(w, r)
			return
		}
		set := asked
		if inner, ok := asked["sampling_params"].(map[string]any); ok {
			set = inner
		}
		io.WriteString(w, answerOf(kind, prompt(asked), f.ask(set), "length"))
	}))
	t.Cleanup(f.Close)
	return f
}

// token and its log-probability.
type token struct {
	id int
	lp float64
}

// ask makes a response as long as it may be, of the most likely token.
func (f *fake) ask(set map[string]any) []token {
	n := 0.0
	for _, name := range []string{"max_tokens", "max_new_tokens", "n_predict"} {
		if v, ok := set[name].(float64); ok {
			n = v
		}
	}
	temperature, lp := set["temperature"].(float64), logp(0, 1)
	switch {
	case temperature == 0:
	case f.kind == Scaled:
		lp = logp(0, temperature)
	case f.kind == Processed:
		lp = 0 // top-p leaves one token
	case f.kind == Unclear:
		lp = logp(0, 1) - (same+apart)/2
	}
	var out []token
	for range int(n) {
		out = append(out, token{0, lp})
	}
	return out
}

// isProbe tells the questions of Connect by their seed.
func isProbe(asked map[string]any) bool {
	set := asked
	if inner, ok := asked["sampling_params"].(map[string]any); ok {
		set = inner
	}
	seed := set["seed"]
	if seed == nil {
		seed = set["sampling_seed"]
	}
	return seed == 0.0
}

func prompt(asked map[string]any) []any {
	for _, name := range []string{"prompt", "input_ids"} {
		if p, ok := asked[name].([]any); ok {
			return p
		}
	}
	return nil
}

// answerOf writes a response as the kind of server does.
func answerOf(kind string, prompt []any, tokens []token, finish string) string {
	write := func(format func(token) string) string {
		var parts []string
		for _, k := range tokens {
			parts = append(parts, format(k))
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	ids := write(func(k token) string { return fmt.Sprint(k.id) })
	switch kind {
	case "vllm":
		sent, err := json.Marshal(prompt)
		if err != nil {
			panic(err)
		}
		return fmt.Sprintf(`{"object":"text_completion","model":"policy","choices":[{"index":0,"text":"?","finish_reason":%q,"stop_reason":null,`+
			`"logprobs":{"token_logprobs":%s,"tokens":["?"]},"token_ids":%s,"prompt_token_ids":%s}],"usage":{"prompt_tokens":%d}}`,
			finish, write(func(k token) string { return fmt.Sprint(k.lp) }), ids, sent, len(prompt))
	case "sglang":
		return fmt.Sprintf(`{"text":"?","output_ids":%s,"meta_info":{"id":"1","finish_reason":{"type":%q,"length":1},"prompt_tokens":%d,`+
			`"weight_version":"default","output_token_logprobs":%s}}`,
			ids, finish, len(prompt), write(func(k token) string { return fmt.Sprintf("[%v,%d,null]", k.lp, k.id) }))
	default:
		return fmt.Sprintf(`{"content":"?","tokens":%s,"stop":true,"stop_type":%q,"tokens_evaluated":%d,"truncated":false,"completion_probabilities":%s}`,
			ids, map[string]string{"stop": "eos", "length": "limit"}[finish], len(prompt),
			write(func(k token) string {
				return fmt.Sprintf(`{"id":%d,"token":"?","bytes":[63],"logprob":%v,"top_logprobs":[]}`, k.id, k.lp)
			}))
	}
}

// plain are settings under which all kinds of log-probabilities are the same.
func plain() llm.Sampling {
	return llm.Sampling{Temperature: 1, TopP: 1, Repetition: 1, MaxTokens: 4}
}

func config(set llm.Sampling, urls ...string) Config {
	return Config{
		Remote: remote.Config{URLs: urls, Tries: 3, KeyFrom: "$" + EnvKey},
		Vocab:  vocab, End: []int32{endToken}, Sampling: set, Seed: 7,
		Probes: [][]int32{{1, 2}, {3, 4, 5}},
	}
}

func connect(t testing.TB, cfg Config) *Sampler {
	t.Helper()
	s, err := Connect(context.Background(), cfg)
	require.NoError(t, err)
	return s
}

// requests returns the bodies that were sent, without those of Connect.
func (f *fake) requests() (out []map[string]any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.asked {
		if !isProbe(a) {
			out = append(out, a)
		}
	}
	return out
}
