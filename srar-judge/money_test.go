package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/judge"
	"srar/lib/rows"
	"srar/lib/trial"
)

// The summary says what was sent and what it cost, for people and programs.
func TestSummary(t *testing.T) {
	s := serve(t, func(m string, n int) action {
		if n == 0 && m == "mkown0r0x" {
			return says("no")
		}
		return says(`[{"id": 1, "satisfied": true, "step": 1}, {"id": 2, "satisfied": false, "step": -1}]`)
	})
	prices := []string{"--price-in", "1000", "--price-out", "20000"}
	r := run(t, s.URL, mixed(t, 2), prices...)
	require.Zero(t, r.Status, r.Voice)
	require.Contains(t, r.Voice, "requests: 5, of them followed by another: no json 1; answers from the cache: 0; tokens: 500 in, 50 out; cost 1.5\n")
	require.Regexp(t, `latency: p50 \S+, p95 \S+, p99 \S+; in flight: mean \S+, most \d+, over time, each 1s: [\d. ]+\n`, r.Voice)

	r = run(t, s.URL, mixed(t, 2), append(prices, "--log", "json")...)
	var sum *judge.Summary
	for line := range strings.Lines(r.Voice) {
		var v struct {
			Level   string
			Message string
			Summary *judge.Summary
		}
		require.NoError(t, json.Unmarshal([]byte(line), &v))
		if v.Summary != nil {
			require.Nil(t, sum, "one line has all")
			sum = v.Summary
			require.Equal(t, "info", v.Level)
			require.Contains(t, v.Message, "requests: 4, ")
			require.Contains(t, v.Message, "latency: ")
		}
	}
	require.NotNil(t, sum)
	require.EqualValues(t, 4, sum.Requests)
	require.Empty(t, sum.Retries)
	require.EqualValues(t, 400, sum.PromptTokens)
	require.EqualValues(t, 40, sum.CompletionTokens)
	require.Equal(t, 1.2, *sum.Cost)
	require.Positive(t, sum.P50)
	require.LessOrEqual(t, sum.P50, sum.P95)
	require.LessOrEqual(t, sum.P95, sum.P99)
	require.Positive(t, sum.InFlightEvery)
	require.NotEmpty(t, sum.InFlight)
	for _, n := range sum.InFlight {
		require.LessOrEqual(t, n, float64(sum.MostInFlight))
	}
}

// The budget ends the output after a whole group, and the command well; what was
// answered is in the cache, and a rerun goes on from there.
func TestBudget(t *testing.T) {
	s := answering(t, never) // 110 tokens a request
	dir := filepath.Join(t.TempDir(), "c")
	flags := []string{"--cache", dir, "--concurrency", "2"}
	r := run(t, s.URL, mixed(t, 40), append(flags, "--budget", "2000")...)
	require.Zero(t, r.Status, r.Voice)
	got := groups(t, r.Out)
	require.NotEmpty(t, got)
	for i, g := range got {
		require.Equal(t, fmt.Sprintf("p%d", i), g[0].PromptID)
		for _, row := range g {
			require.Equal(t, "ok", row.JudgeStatus)
		}
	}
	require.LessOrEqual(t, s.requests(), 18)
	require.GreaterOrEqual(t, s.requests(), 12)
	require.Contains(t, r.Voice, "warning: the budget of 2000 tokens is used up")

	before := s.requests()
	r = run(t, s.URL, mixed(t, 40), flags...)
	require.Zero(t, r.Status, r.Voice)
	require.Len(t, groups(t, r.Out), 40)
	require.Equal(t, 80, s.requests(), "what was paid for is not asked again")
	require.Contains(t, r.Voice, fmt.Sprintf("answers from the cache: %d;", before))
}

// Rows that are retried stay as they were where the budget does not suffice.
func TestBudgetOfRetries(t *testing.T) {
	broken := answering(t, func(string) bool { return true })
	first := run(t, broken.URL, mixed(t, 20), "--tries", "1", "--max-failure-rate", "1")
	s := answering(t, never)
	r := run(t, s.URL, first.Out, "--retry-failed", "--budget", "1000", "--concurrency", "1")
	require.Zero(t, r.Status, r.Voice)
	ok := 0
	for i, row := range flat(groups(t, r.Out)) {
		if row.JudgeStatus == "ok" {
			ok++
			continue
		}
		require.Equal(t, flat(groups(t, first.Out))[i], row)
	}
	require.Equal(t, s.requests(), ok)
	require.Len(t, groups(t, r.Out), 20)
	require.InDelta(t, 9, ok, 2)
}

// Shards take each group once; with one cache they add up to the whole.
func TestShards(t *testing.T) {
	in := mixed(t, 10)
	s := answering(t, never)
	dir := filepath.Join(t.TempDir(), "c")
	var seen []string
	for i := range 3 {
		r := run(t, s.URL, in, "--cache", dir, "--shard", fmt.Sprintf("%d/3", i+1))
		require.Zero(t, r.Status, r.Voice)
		for _, g := range groups(t, r.Out) {
			seen = append(seen, g[0].PromptID)
		}
		require.Contains(t, trial.Schema(t, r.Out).History[0].Args, fmt.Sprintf("--shard=%d/3", i+1))
	}
	require.ElementsMatch(t, []string{"p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9"}, seen)
	require.Equal(t, 20, s.requests())
	all := run(t, s.URL, in, "--cache", dir)
	require.Equal(t, 20, s.requests(), "the whole costs nothing more")
	whole := run(t, s.URL, in)
	require.True(t, bytes.Equal(whole.Out, all.Out))
}

// A dry run sends nothing and says what a run would send.
func TestDryRun(t *testing.T) {
	s := answering(t, never)
	dir := filepath.Join(t.TempDir(), "c")
	dry := func(flags ...string) (first string, rest string) {
		before := s.requests()
		r := run(t, s.URL, mixed(t, 10), append(flags, "--dry-run", "--cache", dir, "--price-in", "1")...)
		require.Zero(t, r.Status, r.Voice)
		require.Equal(t, before, s.requests())
		first, rest, _ = strings.Cut(string(r.Out), "\n\n")
		return first, rest
	}
	request, said := dry("--shard", "2/2", "--max-tokens", "50")
	require.Regexp(t, `^groups: 5, dropped: 0\nrequests: 10, if every first reply can be read; answers in the cache: 0\ntokens: about \d+ in, 480 out\ncost: about 0\.\d+\n$`, said)
	var q struct {
		Model     string
		MaxTokens int `json:"max_tokens"`
		Messages  []struct{ Content string }
	}
	require.NoError(t, json.Unmarshal([]byte(request), &q))
	require.Equal(t, "asked", q.Model)
	require.Equal(t, 50, q.MaxTokens)
	require.Contains(t, q.Messages[1].Content, "mkown1r0x")
	require.NotContains(t, request, secretKey)

	_, said = dry("--filter", "acc", "--keep", "3")
	require.Contains(t, said, "groups: 3, dropped: 0\nrequests: 6,")
	must(t, s.URL, mixed(t, 4), "--cache", dir)
	_, said = dry()
	require.Contains(t, said, "requests: 12, if every first reply can be read; answers in the cache: 8\n")
}

func TestCacheStats(t *testing.T) {
	s := answering(t, never)
	dir := filepath.Join(t.TempDir(), "c")
	for range 2 {
		must(t, s.URL, mixed(t, 3), "--cache", dir)
	}
	stats := func() string {
		r := run(t, "", nil, "--cache", dir, "--cache-stats")
		require.Zero(t, r.Status, r.Voice)
		return string(r.Out)
	}
	require.Equal(t, "entries: 6, damaged: 0\ntokens: 600 in, 60 out\nhits: 6\n", stats())
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.json"))
	require.NoError(t, err)
	require.NoError(t, os.Truncate(files[0], 100))
	require.Equal(t, "entries: 5, damaged: 1\ntokens: 500 in, 50 out\nhits: 6\n", stats())

	r := run(t, s.URL, mixed(t, 3), "--cache", dir)
	require.Zero(t, r.Status, r.Voice)
	require.Contains(t, r.Voice, "warning: 1 entries of the cache were damaged and asked again")
	require.Equal(t, "entries: 6, damaged: 0\ntokens: 600 in, 60 out\nhits: 11\n", stats())
	require.Equal(t, 2, run(t, "", nil, "--cache-stats").Status)
}

// Own words are sent in place of ours, and their digest is in the history.
func TestOwnPrompt(t *testing.T) {
	s := answering(t, never)
	file := filepath.Join(t.TempDir(), "prompt.txt")
	require.NoError(t, os.WriteFile(file, []byte("Be brief.\r\n---\r\nGrade\n{problem}{criteria}{solution}as JSON on {ids}."), 0o666))
	r := run(t, s.URL, mixed(t, 1), "--prompt", file)
	require.Zero(t, r.Status, r.Voice)
	require.True(t, strings.HasPrefix(s.texts[0], "Be brief.\nGrade\nA quotation runs from"), s.texts[0])
	require.True(t, strings.HasSuffix(s.texts[0], "as JSON on 1, 2."))
	history := trial.Schema(t, r.Out).History
	require.Regexp(t, `^sha256:`, history[0].Inputs["prompt own"])
	require.NotContains(t, string(r.Out), file)

	ours := trial.Schema(t, run(t, s.URL, mixed(t, 1)).Out).History
	require.Equal(t, map[string]string{"prompt verdicts-2": judge.DefaultTemplate.Prompt().Digest}, ours[0].Inputs)

	require.NoError(t, os.WriteFile(file, []byte("{problem}"), 0o666))
	require.Equal(t, 2, run(t, s.URL, mixed(t, 1), "--prompt", file).Status)
	require.Equal(t, 1, run(t, s.URL, mixed(t, 1), "--prompt", file+"no").Status)
}

// What decides nothing about the rows is not in the history.
func TestHistory(t *testing.T) {
	s := answering(t, never)
	dir := t.TempDir()
	r := run(t, "", mixed(t, 1), "--url", s.URL+"/v1", "--judge-model", "m", "--concurrency", "3", "--timeout", "9s", "--connect-timeout", "8s", "--first-byte-timeout", "7s",
		"--cache", dir, "--price-in", "1", "--price-out", "2", "--tries", "2", "--max-tokens", "100", "--no-schema", "--budget", "100000")
	require.Zero(t, r.Status, r.Voice)
	require.Equal(t, []string{"--budget=100000", "--judge-model=m", "--max-tokens=100", "--no-schema=true", "--tries=2"}, trial.Schema(t, r.Out).History[0].Args)
}

// Large rows do not pile up in memory: what is held is bounded in bytes, not only
// in rows.
func TestSizeOfBatches(t *testing.T) {
	r := rollout(0, 0, strings.Repeat("x", 1000))
	r.Tokens, r.Offsets, r.Logprobs = make([]int32, 500), make([]int32, 500), make([]float32, 500)
	b := rows.Batch([]rows.Rollout{r, r})
	require.InDelta(t, 2*(1000+3*4*500), size(b), 500)
}
