package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"srar/lib/golden"
	"srar/lib/judge"
	"srar/lib/rows"
	"srar/lib/stream"
	"srar/lib/trial"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"srar-judge": main})
}

const secretKey = "sk-0123456789abcdef"

// stored reads a golden file.
func stored(t testing.TB, name string) []byte {
	t.Helper()
	return trial.File(t, golden.Path(t, "reward", "judge", name))
}

// server is a judge that knows a case by the marker in the solution. script
// gives the answer to the n-th request with that marker, from 0.
type server struct {
	*httptest.Server
	script func(marker string, n int) action

	mu    sync.Mutex
	count map[string]int
	texts []string
}

// action is what a scripted judge does; the names are those of http.json.
type action struct {
	Content      *string
	Reasoning    bool
	FinishReason string `json:"finish_reason"`
	NoUsage      bool   `json:"no_usage"`
	Status       int
	Body         *string
	Headers      map[string]string
	Delay        float64 // seconds, at most until the client has gone
	Reset, Close bool
	Short, Huge  bool
	Trickle      float64 // seconds between bytes
	EchoKey      bool    `json:"echo_key"`
	present      bool    // content is there, perhaps null
}

func (a *action) UnmarshalJSON(b []byte) error {
	type plain action
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	_, a.present = all["content"]
	p := (*plain)(a)
	return json.Unmarshal(b, p)
}

// forever is a delay that outlasts every test.
const forever = 3600

var marker = regexp.MustCompile(`mk[a-z]+[0-9][a-z0-9]*x`)

func serve(t testing.TB, script func(marker string, n int) action) *server {
	s := &server{script: script, count: map[string]int{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// answering is a judge that finds item ids satisfied in step 1.
func answering(t testing.TB, fails func(marker string) bool) *server {
	return serve(t, func(m string, _ int) action {
		if fails(m) {
			return says("no")
		}
		return says(`[{"id": 1, "satisfied": true, "step": 1}, {"id": 2, "satisfied": false, "step": -1}]`)
	})
}

func never(string) bool { return false }

func says(text string) action { return action{Content: &text, present: true} }

func (s *server) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.texts)
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var q struct {
		Messages []struct{ Content string }
	}
	if err := json.Unmarshal(body, &q); err != nil || len(q.Messages) != 2 {
		http.Error(w, "not a request", http.StatusTeapot)
		return
	}
	text := q.Messages[0].Content + "\n" + q.Messages[1].Content
	m := marker.FindString(text)
	s.mu.Lock()
	n := s.count[m]
	s.count[m]++
	s.texts = append(s.texts, text)
	s.mu.Unlock()
	a := s.script(m, n)
	if a.Delay > 0 {
		select {
		case <-time.After(time.Duration(a.Delay * float64(time.Second))):
		case <-r.Context().Done():
		}
	}
	switch {
	case a.Reset:
		reset(w)
		return
	case a.Close:
		panic(http.ErrAbortHandler)
	}
	for k, v := range a.Headers {
		w.Header().Set(k, v)
	}
	message := map[string]any{"role": "assistant", "content": a.Content}
	if a.Reasoning {
		message["reasoning_content"] = "thinking"
	}
	if a.FinishReason == "" {
		a.FinishReason = "stop"
	}
	answer := map[string]any{"model": "served", "choices": []any{map[string]any{"index": 0, "message": message, "finish_reason": a.FinishReason}}}
	if !a.NoUsage {
		answer["usage"] = map[string]any{"prompt_tokens": 100, "completion_tokens": 10}
	}
	out, _ := json.Marshal(answer)
	switch {
	case a.EchoKey:
		out = []byte(`{"error":{"message":"wrong key ` + r.Header.Get("Authorization") + `"}}`)
	case a.Huge:
		out = bytes.Repeat([]byte("x"), 9<<20)
	case a.Body != nil:
		out = []byte(*a.Body)
	case !a.present:
		out = []byte(`{"error":{"message":"no"}}`)
	}
	if a.Short {
		w.Header().Set("Content-Length", fmt.Sprint(len(out)+100))
	}
	if a.Status != 0 {
		w.WriteHeader(a.Status)
	}
	if a.Trickle > 0 {
		trickle(w, r, time.Duration(a.Trickle*float64(time.Second)))
	}
	w.Write(out)
}

// process is srar-judge with a judge at url, or none.
func process(url string, stdin []byte, flags ...string) trial.Process {
	p := trial.Process{Args: append([]string{"srar-judge"}, flags...), Stdin: stdin}
	if url != "" {
		p.Env = []string{judge.EnvURL + "=" + url + "/v1", judge.EnvModel + "=asked", judge.EnvKey + "=" + secretKey}
	}
	return p
}

// command is process for a test that starts it and waits for it.
func command(t testing.TB, url string, stdin []byte, flags ...string) *exec.Cmd {
	return process(url, stdin, flags...).Command(trial.Within(t, 3*time.Minute))
}

// piped starts a command between two pipes.
func piped(t testing.TB, cmd *exec.Cmd) (stdin io.WriteCloser, stdout io.ReadCloser) {
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err = cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	return stdin, stdout
}

func run(t testing.TB, url string, stdin []byte, flags ...string) trial.Result {
	t.Helper()
	r := process(url, stdin, flags...).Run(t)
	require.NotContains(t, string(r.Out), secretKey)
	require.NotContains(t, r.Voice, secretKey)
	return r
}

// must is run for one that has to end well.
func must(t testing.TB, url string, stdin []byte, flags ...string) [][]rows.Verdict {
	t.Helper()
	r := run(t, url, stdin, flags...)
	require.Zero(t, r.Status, r.Voice)
	return groups(t, r.Out)
}

func groups(t testing.TB, data []byte) [][]rows.Verdict {
	t.Helper()
	return trial.Groups[rows.Verdict](t, data)
}

func flat(groups [][]rows.Verdict) (out []rows.Verdict) {
	for _, g := range groups {
		out = append(out, g...)
	}
	return out
}

// rollout makes a row of prompt p with a marker that the judge knows it by.
func rollout(p, n int, response string) rows.Rollout {
	truth := "4"
	return rows.Rollout{
		Prompt: rows.Prompt{
			PromptID: fmt.Sprintf("p%d", p), Problem: "2+2?", GroundTruth: &truth,
			Items: []rows.Item{{ID: 1, Type: "SUGGEST", Text: "adds"}, {ID: 2, Type: "PITFALL", Text: "guesses"}, {ID: 3, Type: "ANSWER", Text: "4"}},
		},
		Generation: rows.Generation{Rollout: int32(n), Response: fmt.Sprintf("### Step 1:\nmkown%dr%dx %s", p, n, response), Finish: "stop", Policy: "sha256:0"},
	}
}

// streamOf writes groups as a stream of the kind.
func streamOf[T any](t testing.TB, kind *rows.Kind, groups ...[]T) []byte {
	t.Helper()
	var list []*stream.Batch
	for _, g := range groups {
		list = append(list, rows.Batch(g))
	}
	return trial.Stream(t, kind.Schema(), list...)
}

// mixed are n groups of two rollouts, one right and one wrong.
func mixed(t testing.TB, n int) []byte {
	var all [][]rows.Rollout
	for p := range n {
		all = append(all, []rows.Rollout{rollout(p, 0, `\boxed{4}`), rollout(p, 1, `\boxed{5}`)})
	}
	return streamOf(t, &rows.Rollouts, all...)
}
