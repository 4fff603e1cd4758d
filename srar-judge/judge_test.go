package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"srar/lib/rows"
	"srar/lib/stream"
	"srar/lib/trial"
)

type httpScripts struct {
	HTTP map[string]struct {
		Case     string
		Script   []action
		Expected struct {
			Status           string
			Classes          []string
			Verdicts         []rows.ItemVerdict
			Tries            *int32
			PromptTokens     *json.RawMessage `json:"prompt_tokens"`
			CompletionTokens *json.RawMessage `json:"completion_tokens"`
		}
	}
	RateFail []string `json:"rate_fail"`
	Filter   []struct {
		PromptID string `json:"prompt_id"`
		Kept     bool
		Rows     int
		Markers  []string
	}
	Secret map[string]string
}

func scripts(t testing.TB) (s httpScripts) {
	require.NoError(t, json.Unmarshal(stored(t, "http.json"), &s))
	return s
}

func TestGoldenHTTP(t *testing.T) {
	t.Parallel() // it waits much
	want := scripts(t).HTTP
	s := serve(t, func(m string, n int) action {
		script := want[m].Script
		a := script[min(n, len(script)-1)]
		if a.Delay > 0 {
			a.Delay = forever
		}
		return a
	})
	got := flat(must(t, s.URL, stored(t, "http.arrow"), "--tries", "3", "--timeout", "4s", "--max-failure-rate", "1", "--concurrency", "32"))
	require.Len(t, got, len(want))
	for _, r := range got {
		c := want[marker.FindString(r.Response)]
		e := c.Expected
		require.Equal(t, e.Status, r.JudgeStatus, c.Case)
		if e.Status == "ok" {
			require.Equal(t, e.Verdicts, r.Verdicts, c.Case)
			require.Nil(t, r.JudgeError, c.Case)
		} else {
			require.Nil(t, r.Verdicts, c.Case)
			require.NotNil(t, r.JudgeError, c.Case)
			class, detail, ok := strings.Cut(*r.JudgeError, ": ")
			require.True(t, ok && detail != "", c.Case)
			if e.Classes != nil {
				require.Contains(t, e.Classes, class, c.Case)
			}
		}
		if e.Tries != nil {
			require.Equal(t, *e.Tries, r.JudgeTries, c.Case)
			require.EqualValues(t, *e.Tries, s.count[marker.FindString(r.Response)], "%s: requests that arrived", c.Case)
		}
		if e.PromptTokens != nil {
			have, err := json.Marshal(r.JudgePromptTokens)
			require.NoError(t, err)
			require.JSONEq(t, string(*e.PromptTokens), string(have), c.Case)
		}
	}
}

func TestGoldenFilter(t *testing.T) {
	want := scripts(t).Filter
	for _, keep := range []int{0, 2} {
		s := answering(t, never)
		flags := []string{"--filter", "acc", "--max-failure-rate", "1"}
		if keep > 0 {
			flags = append(flags, "--keep", fmt.Sprint(keep))
		}
		var ids, markers []string
		for _, f := range want {
			if f.Kept && (keep == 0 || len(ids) < keep) {
				ids = append(ids, f.PromptID)
				markers = append(markers, f.Markers...)
			}
		}
		var got []string
		for _, g := range must(t, s.URL, stored(t, "filter.arrow"), flags...) {
			got = append(got, g[0].PromptID)
		}
		require.Equal(t, ids, got)
		for m := range s.count {
			require.Contains(t, markers, m, "the judge is asked about kept groups only")
		}
		require.Len(t, s.count, len(markers))
	}
}

func TestGoldenSecret(t *testing.T) {
	words := scripts(t).Secret
	s := answering(t, never)
	got := flat(must(t, s.URL, stored(t, "secret.arrow"), "--max-failure-rate", "1"))
	require.NotZero(t, len(s.texts))
	for _, text := range s.texts {
		for _, k := range []string{"problem", "suggest_item", "tail"} {
			require.Contains(t, text, words[k])
		}
		for _, k := range []string{"answer_item", "chat"} {
			require.NotContains(t, text, words[k])
		}
	}
	for _, r := range got[1:] { // no rubric, only an ANSWER item
		require.Equal(t, "skipped", r.JudgeStatus)
		require.Nil(t, r.Verdicts)
		require.Nil(t, r.JudgeReply)
		require.Zero(t, r.JudgeTries)
	}
}

func TestColumns(t *testing.T) {
	s := answering(t, never)
	none := rollout(0, 2, "no answer")
	none.GroundTruth = nil
	bare := rollout(0, 3, "x")
	bare.Response = `mkown0r3x ### Step 7: a ### Step 99999999999: \boxed{9^{9^{9^9}}}`
	in := streamOf(t, &rows.Rollouts, []rows.Rollout{rollout(0, 0, `\boxed{4}`), rollout(0, 1, `\boxed{5}`), none, bare})
	got := flat(must(t, s.URL, in, "--tries", "1"))
	require.Len(t, got, 4)

	r := got[0]
	require.Equal(t, "4", *r.Answer)
	require.Equal(t, "equal", r.AnswerStatus)
	require.True(t, r.Correct)
	require.True(t, r.WellFormed)
	one := int32(1)
	require.Equal(t, []rows.Step{{Printed: &one, Start: 0, End: int32(len(r.Response))}}, r.Steps)
	require.Equal(t, []rows.ItemVerdict{{ID: 1, Satisfied: true, Step: 1}, {ID: 2, Step: -1}}, r.Verdicts)
	require.Equal(t, "served", *r.JudgeModel)
	require.EqualValues(t, 1, r.JudgeTries)
	require.EqualValues(t, 100, *r.JudgePromptTokens)

	require.Equal(t, "different", got[1].AnswerStatus)
	require.Equal(t, "unknown", got[2].AnswerStatus)
	require.Nil(t, got[2].Answer)
	require.False(t, got[2].WellFormed)
	require.Equal(t, "undecided", got[3].AnswerStatus)
	require.False(t, got[3].Correct)
	seven := int32(7)
	require.Equal(t, []rows.Step{{Printed: &seven, Start: 10, End: 24}, {Start: 24, End: int32(len(bare.Response))}}, got[3].Steps)
}

func TestJ3TooManyFailuresFailTheRun(t *testing.T) {
	fail := scripts(t).RateFail
	s := answering(t, func(m string) bool { return slices.Contains(fail, m) })
	for _, c := range []struct {
		flags  []string
		status int
	}{
		{[]string{"--max-failure-rate", "0.6"}, 0},
		{[]string{"--max-failure-rate", "0.5"}, 0},
		{[]string{"--max-failure-rate", "0.4"}, 1},
		{nil, 1},
	} {
		save := filepath.Join(t.TempDir(), "save.arrow")
		r := run(t, s.URL, stored(t, "rate.arrow"), append(c.flags, "--tries", "1", "--save", save)...)
		require.Equal(t, c.status, r.Status, r.Voice)
		require.Equal(t, c.status == 0, trial.Complete(r.Out))
		require.Equal(t, c.status != 0, trial.Unfinished(r.Out))
		_, err := os.Stat(save)
		require.Equal(t, c.status == 0, err == nil, "a file under its final name is complete")
		if c.status == 1 {
			require.Regexp(t, `failed judgements: no json ([3-9]|10);`, r.Voice)
			require.Regexp(t, `([3-9]|10) of 20 judgements failed, more than --max-failure-rate 0.[14] allows\nhint: `, r.Voice)
		} else {
			require.Contains(t, r.Voice, "failed judgements: no json 10;")
		}
	}
}

func TestJ3RefusedKeyEndsAtOnce(t *testing.T) {
	s := serve(t, func(string, int) action { return action{Status: 401, EchoKey: true} })
	r := run(t, s.URL, mixed(t, 50), "--max-failure-rate", "1", "--concurrency", "2")
	require.Equal(t, 1, r.Status)
	require.True(t, trial.Unfinished(r.Out))
	require.Contains(t, r.Voice, "401")
	require.Contains(t, r.Voice, "hint: check the key in $JUDGE_API_KEY")
	require.LessOrEqual(t, s.requests(), 4, "it ends at once")
}

func TestNobodyListens(t *testing.T) {
	s := answering(t, never)
	s.Close()
	r := run(t, s.URL, mixed(t, 1), "--tries", "1")
	require.Equal(t, 1, r.Status)
	require.Regexp(t, `network [12];.*\n`, r.Voice)
}

func TestMisused(t *testing.T) {
	in := mixed(t, 1)
	for _, flags := range [][]string{
		{}, {"--url", ""}, {"--url", "ftp://h/v1", "--judge-model", "m"}, {"--url", "http://h/v1"},
		{"--no-judge", "--url", "http://h/v1"}, {"--no-judge", "--retry-failed"}, {"--no-judge", "--cache", "c"},
		{"--no-judge", "--filter", "all"}, {"--no-judge", "--keep", "0"}, {"--no-judge", "--keep", "-1"}, {"--no-judge", "operand"},
		{"--url", "http://h/v1", "--judge-model", "m", "--tries", "0"}, {"--url", "http://h/v1", "--judge-model", "m", "--timeout", "0s"},
		{"--url", "http://h/v1", "--judge-model", "m", "--concurrency", "0"}, {"--url", "http://h/v1", "--judge-model", "m", "--max-failure-rate", "NaN"},
		{"--url", "http://h/v1", "--judge-model", "m", "--max-failure-rate", "1.1"}, {"--url", "http://h/v1", "--judge-model", "m", "--ca", "none"},
		{"--url", "http://h/v1", "--judge-model", "m", "--max-tokens", "-1"}, {"--url", "http://h/v1", "--judge-model", "m", "--budget", "0"},
		{"--no-judge", "--shard", "0/2"}, {"--no-judge", "--shard", "3/2"}, {"--no-judge", "--shard", "1/2x"}, {"--no-judge", "--shard", "2"},
		{"--no-judge", "--budget", "5"}, {"--no-judge", "--prompt", "f"}, {"--no-judge", "--dry-run"}, {"--no-judge", "--no-schema"}, {"--dry-run", "--save", "f"},
	} {
		r := run(t, "", in, flags...)
		require.Equal(t, 2, r.Status, "%v: %s", flags, r.Voice)
		require.Empty(t, r.Out)
	}
}

func TestNotValid(t *testing.T) {
	typo := rollout(0, 0, "")
	typo.Items[0].Type = "HINT"
	twice := rollout(0, 0, "")
	twice.Items[1].ID = 1
	outside := rows.Verdict{Prompt: rollout(0, 0, "").Prompt, Generation: rollout(0, 0, "").Generation}
	outside.JudgeStatus, outside.Steps = "failed", []rows.Step{{Start: 0, End: 1000}}
	s := answering(t, never)
	for name, c := range map[string]struct {
		in    []byte
		flags []string
		text  string
	}{
		"unknown type":           {streamOf(t, &rows.Rollouts, []rows.Rollout{typo}), nil, `batch 0, row 0: column items: rubric item 1 has the unknown type "HINT"`},
		"id twice":               {streamOf(t, &rows.Rollouts, []rows.Rollout{twice}), nil, "rubric item 1 appears twice"},
		"two prompts":            {streamOf(t, &rows.Rollouts, []rows.Rollout{rollout(0, 0, ""), rollout(1, 0, "")}), nil, "one record batch holds one prompt group"},
		"cut":                    {mixed(t, 1)[:len(mixed(t, 1))-8], nil, "ended early"},
		"step outside":           {streamOf(t, &rows.Verdicts, []rows.Verdict{outside}), []string{"--retry-failed"}, "batch 0, row 0: column steps"},
		"retry without verdicts": {mixed(t, 1), []string{"--retry-failed"}, "verdict rows are needed"},
	} {
		r := run(t, s.URL, c.in, c.flags...)
		require.Equal(t, 3, r.Status, "%s: %s", name, r.Voice)
		require.True(t, trial.Unfinished(r.Out), name)
		require.Contains(t, r.Voice, c.text, name)
	}
}

func TestNoJudge(t *testing.T) {
	got := flat(must(t, "", mixed(t, 2), "--no-judge"))
	require.Len(t, got, 4)
	for i, r := range got {
		require.Equal(t, i%2 == 0, r.Correct)
		require.Equal(t, "skipped", r.JudgeStatus)
		require.Nil(t, r.Verdicts)
	}
}

// Where the judge is, how fast it is asked, what is in the cache and in which
// order the answers come changes no byte.
func TestSameBytes(t *testing.T) {
	dir := t.TempDir()
	in := mixed(t, 12)
	s := answering(t, never)
	first := run(t, s.URL, in, "--cache", filepath.Join(dir, "a"))
	require.Zero(t, first.Status, first.Voice)
	require.Equal(t, 24, s.requests())

	cached := run(t, "http://127.0.0.1:9", in, "--cache", filepath.Join(dir, "a"), "--timeout", "7s")
	require.Zero(t, cached.Status, cached.Voice)
	require.True(t, bytes.Equal(first.Out, cached.Out), "nothing is sent, all is the same")
	require.Contains(t, cached.Voice, "answers from the cache: 24")

	jumbled := serve(t, func(m string, _ int) action {
		a := says(`[{"id": 1, "satisfied": true, "step": 1}, {"id": 2, "satisfied": false, "step": -1}]`)
		a.Delay = float64(len(m)*7+int(m[5])*3%5) / 1000
		return a
	})
	other := run(t, jumbled.URL, in, "--concurrency", "7")
	require.Zero(t, other.Status, other.Voice)
	require.True(t, bytes.Equal(first.Out, other.Out))

	require.NotContains(t, string(first.Out), "127.0.0.1")
	require.NotContains(t, string(first.Out), dir)
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NotContains(t, string(b), secretKey)
		}
		return err
	}))
}

func TestJ6RetriesAddToTheCost(t *testing.T) {
	broken := func(m string) bool { return strings.HasSuffix(m, "r1x") }
	s := answering(t, broken)
	first := run(t, s.URL, mixed(t, 3), "--tries", "2", "--max-failure-rate", "1")
	require.Zero(t, first.Status, first.Voice)
	before := flat(groups(t, first.Out))

	again := answering(t, never)
	second := run(t, again.URL, first.Out, "--tries", "1", "--retry-failed")
	require.Zero(t, second.Status, second.Voice)
	require.Equal(t, 3, again.requests(), "only failed rows are asked about")
	for i, r := range flat(groups(t, second.Out)) {
		if before[i].JudgeStatus == "ok" {
			require.Equal(t, before[i], r)
			continue
		}
		require.Equal(t, "ok", r.JudgeStatus)
		require.Nil(t, r.JudgeError)
		require.Len(t, r.Verdicts, 2)
		require.EqualValues(t, 3, r.JudgeTries, "what it has cost so far")
		require.EqualValues(t, 300, *r.JudgePromptTokens)
		require.Equal(t, before[i].Response, r.Response)
	}

	nothing := answering(t, never)
	third := run(t, nothing.URL, second.Out, "--retry-failed")
	require.Zero(t, third.Status)
	require.Zero(t, nothing.requests())
}

// Verdicts that were judged anew do not keep the advantages of the old ones.
func TestStaleColumns(t *testing.T) {
	r := rollout(0, 0, `\boxed{4}`)
	in := streamOf(t, &rows.Advantages, []rows.Advantage{{Prompt: r.Prompt, Generation: r.Generation, Judgement: rows.Judgement{AnswerStatus: "different", JudgeStatus: "skipped"}, Credit: rows.Credit{BaseAdvantage: 7}}})
	out := run(t, "", in, "--no-judge")
	require.Zero(t, out.Status, out.Voice)
	schema := trial.Schema(t, out.Out)
	require.Equal(t, "verdict", schema.RowKind)
	_, there := schema.Lookup("advantages")
	require.False(t, there)
	require.True(t, flat(groups(t, out.Out))[0].Correct)
}

// With --keep the command ends though its input does not, and whoever writes
// there finds it closed.
func TestKeepClosesTheInput(t *testing.T) {
	s := answering(t, never)
	cmd := command(t, s.URL, nil, "--keep", "2")
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	var out, voice bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &voice
	require.NoError(t, cmd.Start())
	in := mixed(t, 4)
	_, err = stdin.Write(in[:len(in)-8]) // no end: more could come
	if err != nil {
		require.ErrorIs(t, err, syscall.EPIPE)
	}
	require.NoError(t, cmd.Wait(), voice.String())
	require.Len(t, groups(t, out.Bytes()), 2)
	require.Equal(t, 4, s.requests())
}

// A reader downstream that has enough is no failure, and what was saved until
// then is complete.
func TestClosedDownstream(t *testing.T) {
	s := answering(t, never)
	save := filepath.Join(t.TempDir(), "save.arrow")
	cmd := command(t, s.URL, mixed(t, 200), "--save", save, "--concurrency", "1")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	var voice bytes.Buffer
	cmd.Stderr = &voice
	require.NoError(t, cmd.Start())
	_, err = stdout.Read(make([]byte, 10))
	require.NoError(t, err)
	require.NoError(t, stdout.Close())
	require.NoError(t, cmd.Wait(), voice.String())
	require.Less(t, len(groups(t, trial.File(t, save))), 200)
}

// An interrupted run ends soon, whatever the judge does, and keeps what it has
// paid for.
func TestInterrupt(t *testing.T) {
	reached := make(chan struct{}, 100)
	s := serve(t, func(m string, _ int) action {
		a := says(`[{"id": 1, "satisfied": true, "step": 1}, {"id": 2, "satisfied": false, "step": -1}]`)
		if m != "mkown0r0x" {
			a.Delay = forever
		}
		reached <- struct{}{}
		return a
	})
	dir := filepath.Join(t.TempDir(), "c")
	cmd := command(t, s.URL, mixed(t, 3), "--cache", dir, "--concurrency", "16")
	var out, voice bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &voice
	require.NoError(t, cmd.Start())
	for range 3 { // one is answered, the others hang
		select {
		case <-reached:
		case <-time.After(time.Minute):
			require.Fail(t, "the judge is not asked", voice.String())
		}
	}
	cached := func() int {
		files, err := filepath.Glob(filepath.Join(dir, "*", "*.json"))
		require.NoError(t, err)
		return len(files)
	}
	require.Eventually(t, func() bool { return cached() == 1 }, time.Minute, time.Millisecond)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.Error(t, cmd.Wait())
	require.Equal(t, 130, cmd.ProcessState.ExitCode(), voice.String())
	require.True(t, trial.Unfinished(out.Bytes()))
	require.Equal(t, 1, cached())
}

// Judging starts before the input ends: a group is written while the producer
// still waits.
func TestGroupsLeaveAtOnce(t *testing.T) {
	s := answering(t, never)
	cmd := command(t, s.URL, nil)
	stdin, stdout := piped(t, cmd)
	in := mixed(t, 3)
	_, err := stdin.Write(in[:len(in)-8])
	require.NoError(t, err)
	r := stream.NewReader(stdout, "test", stream.Limits{})
	for range 3 {
		_, err := r.Next()
		require.NoError(t, err)
	}
	_, err = stdin.Write(in[len(in)-8:])
	require.NoError(t, err)
	require.NoError(t, stdin.Close())
	_, err = r.Next()
	require.ErrorContains(t, err, "EOF")
	require.NoError(t, cmd.Wait())
}

// The reader downstream goes while the producer upstream is silent: the command
// ends with the next group, and does not wait for its input.
func TestClosedDownstreamWhileTheInputWaits(t *testing.T) {
	s := answering(t, never)
	cmd := command(t, s.URL, nil)
	var voice bytes.Buffer
	cmd.Stderr = &voice
	stdin, stdout := piped(t, cmd)
	one, two := mixed(t, 1), mixed(t, 2)
	cut := len(one) - 8
	_, err := stdin.Write(two[:cut])
	require.NoError(t, err)
	r := stream.NewReader(stdout, "test", stream.Limits{})
	_, err = r.Next()
	require.NoError(t, err)
	require.NoError(t, stdout.Close())
	_, err = stdin.Write(two[cut : len(two)-8])
	require.NoError(t, err)
	require.NoError(t, cmd.Wait(), voice.String())
}
