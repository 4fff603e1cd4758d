package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/golden"
	"srar/lib/judge"
	"srar/lib/rows"
	"srar/lib/stream"
	"srar/lib/trial"
)

// stepJudge is a judge behind HTTP that knows the mark of each step by a word
// in its text. It is not sure of every seventh step when first asked.
type stepJudge struct {
	*httptest.Server
	mu       sync.Mutex
	marks    map[string]bool
	asked    map[string]int
	requests int
	down     func(marker string) bool // steps that get status 500
	last     string                   // text of the last request
}

var marker = regexp.MustCompile(`mk[a-z0-9]+s\d+x`)

func newStepJudge(t testing.TB) *stepJudge {
	j := &stepJudge{asked: map[string]int{}, down: func(string) bool { return false }}
	require.NoError(t, json.Unmarshal(stored(t, "marks.json"), &j.marks))
	j.Server = httptest.NewServer(j)
	t.Cleanup(j.Close)
	return j
}

func (j *stepJudge) env() []string {
	return []string{judge.EnvURL + "=" + j.URL + "/v1", judge.EnvModel + "=golden-judge"}
}

func (j *stepJudge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	found := marker.FindAllString(string(body), -1)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.requests++
	j.last = string(body)
	if len(found) == 0 || j.down(found[len(found)-1]) {
		http.Error(w, `{"error": {"message": "out of order"}}`, http.StatusInternalServerError)
		return
	}
	step := found[len(found)-1] // the step in question is shown last
	sum := 0
	for _, c := range step {
		sum += int(c)
	}
	say := map[bool][]string{
		true:  {"CORRECT", "**CORRECT**", "<think>Is it INCORRECT?</think>\nCORRECT", "correct.\n"},
		false: {"INCORRECT", "The step is incorrect.", "<think>CORRECT</think>INCORRECT", "`INCORRECT`"},
	}[j.marks[step]][sum%4]
	if j.asked[step]++; sum%7 == 0 && j.asked[step] == 1 {
		say = "I am not sure."
	}
	w.Header().Set("Content-Type", "application/json")
	err := json.NewEncoder(w).Encode(map[string]any{
		"id": "c", "object": "chat.completion", "model": "golden-judge-v1",
		"choices": []any{map[string]any{"index": 0, "finish_reason": "stop", "message": map[string]any{"role": "assistant", "content": say}}},
		"usage":   map[string]any{"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
	})
	if err != nil {
		panic(err)
	}
}

func TestGoldenStepReplies(t *testing.T) {
	type reply struct {
		Reply    string
		Expected *bool
	}
	for _, c := range golden.Lines[reply](t, golden.Path(t, "reward", "eval", "step-replies.jsonl")) {
		got, err := judge.ReadMark(c.Reply)
		require.Equal(t, c.Expected == nil, err != nil, c.Reply)
		if c.Expected != nil {
			require.Equal(t, *c.Expected, got, c.Reply)
		}
	}
}

type markedRow struct {
	PromptID string `col:"prompt_id"`
	Rollout  int32  `col:"rollout"`
	stepColumns
}

// Marks are kept with their evidence, read back instead of asked for again, and
// asked for where they are missing.
func TestMarksAreKept(t *testing.T) {
	j := newStepJudge(t)
	data := stored(t, "asked.arrow")
	path := filepath.Join(t.TempDir(), "marked.arrow")
	first, status, voice := command(t, data, j.env(), "--judge", "--marks", path)
	require.Zero(t, status, voice)
	require.Contains(t, voice, "30 steps asked for: 0 without a mark")
	asked := j.requests
	require.Greater(t, asked, len(j.marks)) // some were not sure

	marked := load[markedRow](t, trial.File(t, path))
	n := 0
	for _, r := range marked {
		for k, m := range r.StepCorrect {
			n++
			require.NotNil(t, m)
			require.NotNil(t, r.StepReplies[k])
			got, bad := judge.ReadMark(*r.StepReplies[k])
			require.Nil(t, bad)
			require.Equal(t, *m, got)
		}
	}
	require.Equal(t, len(j.marks), n)

	again, status, voice := command(t, trial.File(t, path), nil)
	require.Zero(t, status, voice)
	require.Equal(t, scores(t, first), scores(t, again))
	require.Equal(t, asked, j.requests)

	// One mark is taken away: one request brings it back.
	holed := rewrite(t, trial.File(t, path), func(b *stream.Batch) *stream.Batch {
		list, err := rows.Read[stepColumns](b, 0)
		require.NoError(t, err)
		if id := b.Column("prompt_id").Text(0); strings.HasSuffix(id, marked[0].PromptID) {
			list[0].StepCorrect[0], list[0].StepReplies[0] = nil, nil
		}
		return b.With(rows.Columns(list)...)
	})
	out, status, voice := command(t, holed, j.env(), "--judge", "--marks", path)
	require.Zero(t, status, voice)
	require.Equal(t, scores(t, first), scores(t, out))
	require.Equal(t, asked+1, j.requests)
	require.Equal(t, marked, load[markedRow](t, trial.File(t, path)))
}

// The judge is shown the steps up to the one in question and the reference.
func TestQuestion(t *testing.T) {
	j := newStepJudge(t)
	_, status, voice := command(t, stored(t, "asked.arrow"), j.env(), "--judge", "--concurrency", "1", "--tries", "9")
	require.Zero(t, status, voice)
	last := load[rows.Verdict](t, stored(t, "asked.arrow"))
	r := last[len(last)-1]
	var body struct {
		Messages []struct{ Role, Content string }
	}
	require.NoError(t, json.Unmarshal([]byte(j.last), &body))
	task, err := judge.ReadStepPrompt(body.Messages[1].Content)
	require.NoError(t, err)
	require.Equal(t, r.Problem, task.Problem)
	require.Equal(t, *r.GroundTruth, task.GroundTruth)
	require.Len(t, task.Steps, len(r.Steps))
}

// Steps without a mark take their rollout out of the scores; too many of them
// fail the run, which then leaves neither scores nor marks.
func TestFailures(t *testing.T) {
	j := newStepJudge(t)
	j.down = func(m string) bool { return strings.HasSuffix(m, "s3x") }
	data := stored(t, "asked.arrow")
	dir := t.TempDir()
	path := filepath.Join(dir, "marked.arrow")
	cache := filepath.Join(dir, "cache")
	flags := []string{"--judge", "--marks", path, "--tries", "2", "--cache", cache}
	out, status, voice := command(t, data, j.env(), append(flags, "--max-failure-rate", "0.5")...)
	require.Zero(t, status, voice)
	require.Contains(t, voice, "4 without a mark")
	require.Contains(t, voice, "without a mark, http 500: 4")
	got := scores(t, out)
	require.Equal(t, int64(14), got[key{metric: "frr"}].N) // 18 rollouts, four with a third step
	for _, r := range load[markedRow](t, trial.File(t, path)) {
		for k, m := range r.StepCorrect {
			require.Equal(t, k == 2, m == nil)
		}
	}

	require.NoError(t, os.Remove(path))
	out, status, voice = command(t, data, j.env(), append(flags, "--max-failure-rate", "0.1")...)
	require.Equal(t, 1, status)
	require.Contains(t, voice, "srar-eval: 4 of 30 judgements failed, more than --max-failure-rate 0.1 allows\n")
	require.True(t, trial.Unfinished(out))
	require.NoFileExists(t, path)

	// The cache asks only for those that have no mark.
	j.down = func(string) bool { return false }
	before := j.requests
	_, status, voice = command(t, data, j.env(), flags...)
	require.Zero(t, status, voice)
	require.Contains(t, voice, "answers from the cache: 26")
	require.LessOrEqual(t, j.requests-before, 8)
}

// A judge that refuses the key ends the run at once.
func TestRefused(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, `{"error": {"message": "no"}}`, http.StatusUnauthorized)
	}))
	defer srv.Close()
	_, status, voice := command(t, stored(t, "asked.arrow"), []string{judge.EnvURL + "=" + srv.URL, judge.EnvModel + "=m", judge.EnvKey + "=secret-7f3a"}, "--judge")
	require.Equal(t, 1, status)
	require.NotContains(t, voice, "secret-7f3a")
	require.Contains(t, voice, "srar-eval: ")
}
