package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"srar/lib/judge"
	"srar/lib/rows"
	"srar/lib/trial"
)

// A chaotic judge knows each rollout by its marker. Of its requests one in five
// goes wrong, in a way that marker and turn decide.
type chaotic struct {
	*httptest.Server
	share float64       // of requests that go wrong
	delay time.Duration // of each reply

	mu   sync.Mutex
	sent map[string][]string // what each marker was answered: classes, "" for verdicts
}

func serveChaos(t testing.TB, share float64, delay time.Duration) *chaotic {
	c := &chaotic{share: share, delay: delay, sent: map[string][]string{}}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

// chaosItems are the rubric of prompt p: each has ids of its own.
func chaosItems(p int) []rows.Item {
	return []rows.Item{{ID: int32(3*p + 1), Type: "SUGGEST", Text: "adds"}, {ID: int32(3*p + 2), Type: "PITFALL", Text: "guesses"}}
}

// meant are the verdicts that the judge gives rollout n of prompt p.
func meant(p, n int) []rows.ItemVerdict {
	r := rand.New(rand.NewPCG(uint64(p), uint64(n)))
	list := []rows.ItemVerdict{}
	for _, it := range chaosItems(p) {
		list = append(list, rows.ItemVerdict{ID: it.ID, Satisfied: r.IntN(2) == 0, Step: int32(r.IntN(3) - 1)})
	}
	return list
}

// verdictText writes verdicts as the judge is asked to.
func verdictText(list []rows.ItemVerdict) string {
	var parts []string
	for _, v := range list {
		parts = append(parts, fmt.Sprintf(`{"id": %d, "satisfied": %v, "step": %d}`, v.ID, v.Satisfied, v.Step))
	}
	return `{"verdicts": [` + strings.Join(parts, ", ") + `]}`
}

// trouble are the ways to go wrong, by weight, and the class that a row fails
// with when the last of its requests met one.
var trouble = []struct {
	weight int
	class  string
	do     func(w http.ResponseWriter, r *http.Request, p, n int)
}{
	{10, "network", func(w http.ResponseWriter, r *http.Request, p, n int) { reset(w) }},
	{10, "network", func(w http.ResponseWriter, r *http.Request, p, n int) {
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, `{"choices": [{"mess`)
	}},
	{1, "timeout", func(w http.ResponseWriter, r *http.Request, p, n int) { <-r.Context().Done() }},
	{1, "timeout", func(w http.ResponseWriter, r *http.Request, p, n int) { trickle(w, r, 20*time.Millisecond) }},
	{10, "http 429", func(w http.ResponseWriter, r *http.Request, p, n int) {
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(429)
	}},
	{10, "http 500", func(w http.ResponseWriter, r *http.Request, p, n int) { w.WriteHeader(500) }},
	{10, "http 502", func(w http.ResponseWriter, r *http.Request, p, n int) {
		w.WriteHeader(502)
		io.WriteString(w, "<html>bad gateway</html>")
	}},
	{10, "response", func(w http.ResponseWriter, r *http.Request, p, n int) { io.WriteString(w, "<html>log in</html>") }},
	{10, "no json", func(w http.ResponseWriter, r *http.Request, p, n int) {
		text := verdictText(meant(p, n))
		content(w, text[:len(text)/2])
	}},
	{10, "schema", func(w http.ResponseWriter, r *http.Request, p, n int) {
		wrong := meant(p, n)
		wrong[0].ID += 1000
		content(w, verdictText(wrong))
	}},
	{10, "schema", func(w http.ResponseWriter, r *http.Request, p, n int) { content(w, verdictText(meant(p+1, n))) }},
}

func content(w io.Writer, text string) {
	json.NewEncoder(w).Encode(map[string]any{"model": "served", "choices": []any{map[string]any{"message": map[string]string{"role": "assistant", "content": text}, "finish_reason": "stop"}}})
}

func (c *chaotic) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	m := marker.FindString(string(body))
	var p, n int
	if _, err := fmt.Sscanf(m, "mkown%dr%dx", &p, &n); err != nil {
		http.Error(w, "whose?", http.StatusTeapot)
		return
	}
	time.Sleep(c.delay)
	c.mu.Lock()
	h := fnv.New64a()
	fmt.Fprint(h, m)
	luck := rand.New(rand.NewPCG(h.Sum64(), uint64(len(c.sent[m]))))
	class, do := "", func(w http.ResponseWriter, _ *http.Request, p, n int) { content(w, verdictText(meant(p, n))) }
	if luck.Float64() < c.share {
		total := 0
		for _, t := range trouble {
			total += t.weight
		}
		k := luck.IntN(total)
		for _, t := range trouble {
			if k -= t.weight; k < 0 {
				class, do = t.class, t.do
				break
			}
		}
	}
	c.sent[m] = append(c.sent[m], class)
	c.mu.Unlock()
	do(w, r, p, n)
}

// requests counts what has arrived.
func (c *chaotic) requests() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, list := range c.sent {
		n += len(list)
	}
	return n
}

// chaosInput are groups of four rollouts.
func chaosInput(t testing.TB, groups int) []byte {
	var all [][]rows.Rollout
	for p := range groups {
		var g []rows.Rollout
		for n := range 4 {
			r := rollout(p, n, `\boxed{4}`)
			r.Items = chaosItems(p)
			g = append(g, r)
		}
		all = append(all, g)
	}
	return streamOf(t, &rows.Rollouts, all...)
}

// Five thousand requests of which one in five goes wrong: every row ends with the
// verdicts that the judge meant for it, or failed for the reason of its last
// request; none is lost, doubled or exchanged.
func TestChaos(t *testing.T) {
	t.Parallel() // it waits much
	const groups = 1000
	c := serveChaos(t, 0.2, time.Millisecond)
	r := run(t, c.URL, chaosInput(t, groups), "--tries", "3", "--timeout", "8s", "--concurrency", "128", "--max-failure-rate", "0.1")
	require.Zero(t, r.Status, r.Voice)
	got := flatten(t, r.Out)
	require.Len(t, got, 4*groups)
	require.Greater(t, c.requests(), 4800)
	failed := 0
	for i, row := range got {
		p, n := i/4, i%4
		require.Equal(t, fmt.Sprintf("p%d", p), row.PromptID)
		require.EqualValues(t, n, row.Rollout)
		sent := c.sent[fmt.Sprintf("mkown%dr%dx", p, n)]
		require.EqualValues(t, len(sent), row.JudgeTries, "every request that arrived is counted, and no other")
		last := sent[len(sent)-1]
		if last == "" {
			require.Equal(t, "ok", row.JudgeStatus, "%v", sent)
			require.Equal(t, meant(p, n), row.Verdicts)
			continue
		}
		failed++
		require.Equal(t, "failed", row.JudgeStatus)
		require.Len(t, sent, 3)
		class, _, _ := strings.Cut(*row.JudgeError, ": ")
		require.Equal(t, last, class)
		require.Nil(t, row.Verdicts)
	}
	require.Positive(t, failed)
	require.Contains(t, r.Voice, "requests: ")
}

// reset cuts the connection, which TCP tells the other side.
func reset(w http.ResponseWriter) {
	if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
}

// trickle sends a byte now and then until the client has gone.
func trickle(w http.ResponseWriter, r *http.Request, every time.Duration) {
	for r.Context().Err() == nil {
		io.WriteString(w, " ")
		w.(http.Flusher).Flush()
		time.Sleep(every)
	}
}

func flatten(t testing.TB, out []byte) []rows.Verdict {
	t.Helper()
	return flat(groups(t, out))
}

// Killed in the middle, the command has kept what it was answered: the rerun
// sends the rest and gives the bytes of a run that nothing disturbed.
func TestKilled(t *testing.T) {
	in := chaosInput(t, 250)
	whole := run(t, serveChaos(t, 0, 0).URL, in)
	require.Zero(t, whole.Status, whole.Voice)

	dir := filepath.Join(t.TempDir(), "c")
	flags := []string{"--cache", dir, "--concurrency", "16"}
	first := serveChaos(t, 0, 5*time.Millisecond)
	cmd := command(t, first.URL, in, flags...)
	var out bytes.Buffer
	cmd.Stdout = &out
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool { return first.requests() > 400 }, time.Minute, time.Millisecond)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.True(t, trial.Unfinished(out.Bytes()))

	cache, err := judge.OpenCache(dir)
	require.NoError(t, err)
	kept, err := cache.Stats()
	require.NoError(t, err)
	require.Zero(t, kept.Damaged)
	require.GreaterOrEqual(t, kept.Entries, int64(first.requests()-21), "all but those of jobs under way, of which there are 16 and a quarter and one")

	second := serveChaos(t, 0, 0)
	again := run(t, second.URL, in, flags...)
	require.Zero(t, again.Status, again.Voice)
	require.EqualValues(t, 1000-kept.Entries, second.requests(), "only what was not answered")
	require.True(t, bytes.Equal(whole.Out, again.Out))
	for m, list := range second.sent {
		require.Len(t, list, 1, m)
	}
}
