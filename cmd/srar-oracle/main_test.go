package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"srar/lib/judge"
	"srar/lib/remote"
	"srar/lib/trial"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"srar-oracle": main})
}

// start starts a server that ends with the test.
func start(t testing.TB, args ...string) *trial.Oracle {
	t.Helper()
	o := trial.Serve(t, args...)
	t.Cleanup(o.Close)
	return o
}

func client(t testing.TB, o *trial.Oracle, tries int) *judge.Client {
	c, err := judge.NewClient(judge.Config{Model: "oracle", Remote: remote.Config{URLs: []string{o.URL}, Tries: tries, Total: 10 * time.Second, Concurrency: 8, Key: "secret-of-tests"}})
	require.NoError(t, err)
	return c
}

// ask asks for verdicts as srar-judge does.
func ask(t testing.TB, c *judge.Client, task judge.Task) judge.Answer[[]judge.Verdict] {
	a, err := judge.Ask(context.Background(), c, task.Query(), func(reply string) ([]judge.Verdict, *judge.Error) {
		return judge.ReadVerdicts(reply, task.Items, len(task.Steps))
	})
	assert.NoError(t, err)
	return a
}

// post sends a request body and returns the status and the body of the answer.
func post(t testing.TB, url, body string) (int, string) {
	t.Helper()
	resp, err := http.Post(url+"/chat/completions", "application/json", strings.NewReader(body))
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

func body(t testing.TB, fields map[string]any, q judge.Query) string {
	all := map[string]any{"model": "oracle", "messages": []map[string]string{{"role": "system", "content": q.System}, {"role": "user", "content": q.User}}}
	for k, v := range fields {
		all[k] = v
	}
	b, err := json.Marshal(all)
	require.NoError(t, err)
	return string(b)
}

func TestJudgesForOurClient(t *testing.T) {
	t.Parallel()
	o := start(t)
	c := client(t, o, 1)
	for i := range 20 {
		q := draw(t, 1, uint64(i))
		task := q.task(t)
		r, err := answer(task.Query().User)
		require.NoError(t, err)
		a := ask(t, c, task)
		require.Equal(t, judge.OK, a.Status, "%v", a.Err)
		require.Equal(t, r.text, *a.Reply)
		require.Equal(t, "oracle", *a.Model)
		require.Len(t, a.Value, len(task.Items))
		require.EqualValues(t, tokens(task.Query().System)+tokens(task.Query().User)+8, *a.PromptTokens)
		require.EqualValues(t, tokens(r.text), *a.CompletionTokens)
		for k, m := range q.marks() {
			a, err := judge.Ask(context.Background(), c, m.Query(), judge.ReadMark)
			require.NoError(t, err)
			require.Equal(t, judge.OK, a.Status, "%v", a.Err)
			require.Equal(t, q.problem.Mark(task.Steps[k]), a.Value)
		}
	}
	require.NoError(t, o.Hold.Close())
	require.NoError(t, o.Wait())
	require.Regexp(t, `^srar-oracle: 20 verdicts and \d+ marks given, 0 requests refused, 0 replies spoiled on purpose\n$`, o.Voice)
}

func TestResponse(t *testing.T) {
	t.Parallel()
	o := start(t, "--model", "rule")
	q := draw(t, 1, 0)
	m := q.marks()[0]
	request := body(t, map[string]any{"model": "rule", "temperature": 0, "max_tokens": 100}, m.Query())
	status, first := post(t, o.URL, request)
	require.Equal(t, http.StatusOK, status)
	var c completion
	require.NoError(t, json.Unmarshal([]byte(first), &c))
	prompt := tokens(m.Query().System) + tokens(m.Query().User) + 8
	word := mark(q.problem.Mark(m.Steps[0]))
	require.Equal(t, usageOf{prompt, tokens(word), prompt + tokens(word)}, c.Usage)
	require.Equal(t, "chat.completion", c.Object)
	require.Equal(t, "rule", c.Model)
	require.Equal(t, "assistant", c.Choices[0].Message.Role)
	require.Equal(t, word, c.Choices[0].Message.Content)
	require.Equal(t, "stop", c.Choices[0].FinishReason)
	_, second := post(t, o.URL, request)
	require.Equal(t, first, second, "equal requests get equal bytes")

	// The budget of tokens is kept, under either name.
	for _, name := range []string{"max_tokens", "max_completion_tokens"} {
		_, short := post(t, o.URL, body(t, map[string]any{"model": "rule", name: 1}, m.Query()))
		require.NoError(t, json.Unmarshal([]byte(short), &c))
		require.Equal(t, word[:4], c.Choices[0].Message.Content)
		require.Equal(t, "length", c.Choices[0].FinishReason)
		require.Equal(t, 1, c.Usage.CompletionTokens)
	}

	// Content may come in parts, and the model may be left out.
	half := len(m.Query().User) / 2
	status, parts := post(t, o.URL, body(t, map[string]any{"model": "", "messages": []any{map[string]any{"role": "user", "content": []any{
		map[string]any{"type": "text", "text": m.Query().User[:half]}, map[string]any{"type": "text", "text": m.Query().User[half:]}}}}}, judge.Query{}))
	require.Equal(t, http.StatusOK, status, parts)
	require.Contains(t, parts, word)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	o := start(t)
	good := draw(t, 1, 0).task(t).Query()
	for _, c := range []struct {
		body   string
		status int
		want   string
	}{
		{body(t, map[string]any{"stream": true}, good), 400, "replies are not streamed here: leave out stream"},
		{body(t, map[string]any{"n": 2}, good), 400, "there is one choice: n must be 1"},
		{body(t, map[string]any{"max_tokens": 0}, good), 400, "max_tokens must be at least 1"},
		{body(t, map[string]any{"model": "gpt"}, good), 404, `the model \"gpt\" does not exist; there is \"oracle\"`},
		{body(t, map[string]any{"messages": nil}, good), 400, "the last message must be the user's"},
		{body(t, map[string]any{"messages": []any{map[string]any{"role": "assistant", "content": good.User}}}, good), 400, "the last message must be the user's"},
		{body(t, map[string]any{"messages": []any{map[string]any{"role": "user", "content": []any{map[string]any{"type": "image_url"}}}}}, good), 400, "the request is no chat completion request"},
		{body(t, nil, judge.Query{User: "Who are you?"}), 400, "no question of srar-judge or srar-eval"},
		{body(t, nil, judge.Query{User: good.User[:len(good.User)-1]}), 400, "no question of srar-judge or srar-eval"},
		{`{"model": "oracle"`, 400, "the request is no chat completion request"},
		{"", 400, "the request is no chat completion request"},
		{strings.Repeat(" ", maxBody+1), 413, "the request is larger than 8388608 bytes"},
	} {
		status, got := post(t, o.URL, c.body)
		require.Equal(t, c.status, status, got)
		require.Contains(t, got, c.want)
		var e struct {
			Error struct{ Message, Type string }
		}
		require.NoError(t, json.Unmarshal([]byte(got), &e))
		require.Equal(t, "invalid_request_error", e.Error.Type)
	}
	for path, want := range map[string]string{
		"/v1/models":           `200 {"data":[{"id":"oracle","object":"model","created":0,"owned_by":"srar"}],"object":"list"}`,
		"/health":              "200 ",
		"/v1/chat/completions": `404 {"error":{"code":null,"message":"there is no GET /v1/chat/completions here","param":null,"type":"invalid_request_error"}}`,
	} {
		resp, err := http.Get(strings.TrimSuffix(o.URL, "/v1") + path)
		require.NoError(t, err)
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, want, fmt.Sprintf("%d %s", resp.StatusCode, b))
	}
}

func TestKey(t *testing.T) {
	t.Setenv("ORACLE_KEY", "secret-of-tests")
	o := start(t, "--api-key-env", "ORACLE_KEY")
	task := draw(t, 1, 0).task(t)
	require.Equal(t, judge.OK, ask(t, client(t, o, 1), task).Status)
	status, got := post(t, o.URL, body(t, nil, task.Query()))
	require.Equal(t, 401, status)
	require.Equal(t, `{"error":{"code":"invalid_api_key","message":"the API key is missing or not the right one","param":null,"type":"invalid_request_error"}}`, got)
	t.Setenv("ORACLE_KEY", "another-secret")
	other := start(t, "--api-key-env", "ORACLE_KEY")
	_, err := judge.Ask(context.Background(), client(t, other, 1), task.Query(), judge.ReadMark)
	require.ErrorContains(t, err, "401")
}

func TestSlow(t *testing.T) {
	t.Parallel()
	o := start(t, "--delay", "60ms", "--jitter", "40ms")
	began := time.Now()
	require.Equal(t, judge.OK, ask(t, client(t, o, 1), draw(t, 1, 0).task(t)).Status)
	require.GreaterOrEqual(t, time.Since(began), 60*time.Millisecond)
}

func TestRate(t *testing.T) {
	t.Parallel()
	o := start(t, "--rate", "0.001")
	q := draw(t, 1, 0).task(t).Query()
	status, _ := post(t, o.URL, body(t, nil, q))
	require.Equal(t, 200, status)
	resp, err := http.Post(o.URL+"/chat/completions", "application/json", strings.NewReader(body(t, nil, q)))
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, 429, resp.StatusCode)
	require.Regexp(t, "^(1000|9[0-9][0-9])$", resp.Header.Get("Retry-After"))
}

func TestFailFirst(t *testing.T) {
	t.Parallel()
	o := start(t, "--fail-first", "2")
	a := ask(t, client(t, o, 3), draw(t, 1, 0).task(t))
	require.Equal(t, judge.OK, a.Status, "%v", a.Err)
	require.EqualValues(t, 3, a.Tries)
	a = ask(t, client(t, o, 2), draw(t, 1, 1).task(t))
	require.Equal(t, judge.Failed, a.Status)
	require.Equal(t, "http 503: overloaded, on purpose", a.Err.Error())
}

// Faults cost tries, never an answer; and they are the same each time, whatever
// the order of questions.
func TestUnreliable(t *testing.T) {
	t.Parallel()
	plain := client(t, start(t), 1)
	flaky := []string{"--flaky", "0.3", "--garbage", "0.3", "--talkative", "--seed", "11"}
	servers := []*judge.Client{client(t, start(t, flaky...), 40), client(t, start(t, flaky...), 40)}
	const n = 8
	var answers [2][n]judge.Answer[[]judge.Verdict]
	var wg sync.WaitGroup
	for s, c := range servers {
		for i := range n {
			task := draw(t, 1, uint64(i)).task(t)
			wg.Go(func() { answers[s][i] = ask(t, c, task) })
		}
	}
	wg.Wait()
	again := 0
	for i, a := range answers[0] {
		require.Equal(t, judge.OK, a.Status, "%v", a.Err)
		require.Equal(t, ask(t, plain, draw(t, 1, uint64(i)).task(t)).Value, a.Value)
		require.Equal(t, a, answers[1][i])
		again += int(a.Tries) - 1
	}
	require.Positive(t, again)
}

// Each kind of failure is what its name says on the wire.
func TestFailures(t *testing.T) {
	t.Parallel()
	o := start(t, "--flaky", "1")
	request := body(t, nil, draw(t, 1, 0).task(t).Query())
	seen := map[string]bool{}
	for range 60 {
		resp, err := http.Post(o.URL+"/chat/completions", "application/json", strings.NewReader(request))
		if err != nil {
			require.ErrorIs(t, err, io.EOF)
			seen["closed"] = true
			continue
		}
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, resp.Body.Close())
		if err != nil {
			require.Equal(t, 200, resp.StatusCode)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.NotEmpty(t, b)
			seen["cut"] = true
			continue
		}
		require.Contains(t, string(b), "on purpose")
		seen[fmt.Sprint(resp.StatusCode)] = true
	}
	require.Equal(t, map[string]bool{"closed": true, "cut": true, "500": true, "503": true}, seen)
}

func TestEnds(t *testing.T) {
	t.Parallel()
	for signal, code := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		o := start(t, "--delay", "1h")
		request := body(t, nil, draw(t, 1, 0).task(t).Query())
		var wg sync.WaitGroup
		wg.Go(func() { // a reply that waits does not keep the server
			resp, err := http.Post(o.URL+"/chat/completions", "application/json", strings.NewReader(request))
			if err == nil {
				resp.Body.Close()
			}
		})
		time.Sleep(50 * time.Millisecond)
		began := time.Now()
		require.NoError(t, o.Process.Signal(signal))
		require.Error(t, o.Wait())
		require.Equal(t, code, o.ProcessState.ExitCode(), o.Voice)
		require.Less(t, time.Since(began), 5*time.Second)
		wg.Wait()
	}
	o := start(t)
	require.NoError(t, o.Hold.Close())
	require.NoError(t, o.Wait())
	_, err := http.Get(o.URL + "/models")
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

// Without --until-eof standard input does not matter.
func TestStandardInputIsLeftAlone(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "url")
	c := trial.Process{Args: []string{"srar-oracle", "--url-file", file, "--quiet"}}.Command(trial.Within(t, trial.Patience)) // standard input is /dev/null
	var out bytes.Buffer
	c.Stdout = &out
	require.NoError(t, c.Start())
	var url string
	require.Eventually(t, func() bool {
		b, err := os.ReadFile(file)
		url = strings.TrimSuffix(string(b), "\n")
		return err == nil
	}, trial.Patience, time.Millisecond)
	status, got := post(t, url, body(t, nil, draw(t, 1, 0).task(t).Query()))
	require.Equal(t, 200, status, got)
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.Error(t, c.Wait())
	require.Equal(t, 143, c.ProcessState.ExitCode())
	require.Empty(t, out.String())
}

func TestMisuse(t *testing.T) {
	t.Parallel()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer busy.Close()
	for _, c := range []struct {
		args, want string
		code       int
	}{
		{"--flaky 1.5", "--flaky and --garbage are probabilities\n", 2},
		{"--garbage NaN", "--flaky and --garbage are probabilities\n", 2},
		{"--rate -1", "--rate is a number from 0 up\n", 2},
		{"--delay -1s", "--delay and --jitter are not negative\n", 2},
		{"--model=", "--model is empty\n", 2},
		{"--api-key-env NO_SUCH_VARIABLE", "--api-key-env: $NO_SUCH_VARIABLE is not set\n", 2},
		{"operand", "unexpected operand \"operand\"\n", 2},
		{"--listen " + busy.Addr().String(), "listen tcp " + busy.Addr().String() + ": bind: address already in use\nhint: choose another --listen, such as 127.0.0.1:0\n", 1},
		{"--url-file /no/such/file", "stream: open /no/such/", 1},
	} {
		r := trial.Process{Args: append([]string{"srar-oracle"}, strings.Fields(c.args)...)}.Run(t)
		require.Equal(t, c.code, r.Status)
		require.Contains(t, r.Voice, "srar-oracle: "+c.want)
	}
}

// The evaluation of a policy asks for thousands of marks.
func BenchmarkMarks(b *testing.B) {
	o := start(b)
	request := body(b, nil, draw(b, 1, 0).marks()[0].Query())
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			resp, err := client.Post(o.URL+"/chat/completions", "application/json", strings.NewReader(request))
			if err != nil {
				b.Error(err)
				return
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}
