package main

import (
	"bytes"
	"encoding/json"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"srar/lib/golden"
	"srar/lib/rows"
	"srar/lib/stream"
	"srar/lib/trial"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"srar-eval": main})
}

// On a terminal the scores are a table, and --save holds the rows.
func TestTerminal(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Files: []string{filepath.Join("testdata", "terminal.txt")},
		Setup: func(e *testscript.Env) error {
			e.Setenv("DATA", golden.Path(t, "reward", "eval", "one-prompt.arrow"))
			return nil
		},
	})
}

// stored reads a golden file.
func stored(t testing.TB, name string) []byte {
	t.Helper()
	return trial.File(t, golden.Path(t, "reward", "eval", name))
}

// command runs srar-eval and returns its output, exit status and voice.
func command(t testing.TB, stdin []byte, env []string, flags ...string) (out []byte, status int, voice string) {
	t.Helper()
	r := trial.Process{Args: append([]string{"srar-eval"}, flags...), Stdin: stdin, Env: env}.Run(t)
	return r.Out, r.Status, r.Voice
}

// load reads a stream to its proven end.
func load[T any](t testing.TB, data []byte) []T {
	t.Helper()
	return slices.Concat(trial.Groups[T](t, data)...)
}

// key names a score.
type key struct{ metric, source string }

func keyOf(s *rows.Score) key {
	k := key{metric: s.Metric}
	if s.DataSource != nil {
		k.source = *s.DataSource
	}
	return k
}

// scores reads scores; none may come twice.
func scores(t testing.TB, data []byte) map[key]rows.Score {
	t.Helper()
	out := map[key]rows.Score{}
	for _, s := range load[rows.Score](t, data) {
		require.NotContains(t, out, keyOf(&s))
		out[keyOf(&s)] = s
	}
	return out
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b))+1e-9 }

func nearOrNull(a, b *float64) bool {
	return a == nil && b == nil || a != nil && b != nil && near(*a, *b)
}

type goldenCase struct {
	Case, Stream string
	Flags        []string
	Against      *string
	HTTP         bool
	Expected     []struct {
		Metric     string
		DataSource *string `json:"data_source"`
		Value      float64
		Low, High  *float64
		N          int64
	}
}

func goldenCases(t testing.TB) (cases []goldenCase) {
	require.NoError(t, json.Unmarshal(stored(t, "cases.json"), &cases))
	require.NotEmpty(t, cases)
	return cases
}

func TestGoldenScores(t *testing.T) {
	cases := goldenCases(t)
	known := map[string]bool{}
	for _, c := range cases {
		for _, w := range c.Expected {
			known[w.Metric] = true
		}
	}
	for _, c := range cases {
		t.Run(c.Case, func(t *testing.T) {
			flags := append([]string{}, c.Flags...)
			if c.Against != nil {
				flags = append(flags, "--against", golden.Path(t, "reward", "eval", *c.Against))
			}
			var env []string
			if c.HTTP {
				flags = append(flags, "--judge")
				env = newStepJudge(t).env()
			}
			out, status, voice := command(t, stored(t, c.Stream), env, flags...)
			require.Zero(t, status, voice)
			got := scores(t, out)
			for _, w := range c.Expected {
				s := rows.Score{Metric: w.Metric, DataSource: w.DataSource}
				k := keyOf(&s)
				g, ok := got[k]
				require.True(t, ok, "%v is missing", k)
				require.True(t, near(w.Value, g.Value), "%v is %v, want %v", k, g.Value, w.Value)
				require.True(t, nearOrNull(w.Low, g.Low) && nearOrNull(w.High, g.High), "interval of %v", k)
				require.Equal(t, w.N, g.N, "%v", k)
				delete(got, k)
			}
			for k := range got {
				require.False(t, known[k.metric], "%v should not be there", k)
			}
		})
	}
}

// A stream that was cut has no scores.
func TestCutInput(t *testing.T) {
	data := stored(t, "one-prompt.arrow")
	for _, n := range []int{0, 50, len(data) / 2, len(data) - 8} {
		out, status, voice := command(t, data[:n], nil)
		require.Equal(t, 3, status, "cut at %d", n)
		require.True(t, trial.Unfinished(out))
		require.True(t, strings.HasPrefix(voice, "srar-eval: "), voice)
	}
}

func TestMisused(t *testing.T) {
	for _, c := range []struct {
		says  string
		flags []string
	}{
		{`--k is a list of numbers from 1, such as 1,8,32, not "0"`, []string{"--k", "0"}},
		{`--k is a list of numbers from 1, such as 1,8,32, not "x"`, []string{"--k", "x"}},
		{`--k names 8 twice`, []string{"--k", "8,1,8"}},
		{`--by is data_source, not "colour"`, []string{"--by", "colour"}},
		{`--marks has no effect without --judge`, []string{"--marks", "m"}},
		{`--cache has no effect without --judge`, []string{"--cache", "c"}},
		{`no address of a judge` + "\nhint: give --url or set $JUDGE_URL", []string{"--judge"}},
		{`no model for the judge` + "\nhint: give --judge-model or set $JUDGE_MODEL", []string{"--judge", "--url", "http://127.0.0.1:1"}},
		{`--tries and --concurrency are 1 or more`, []string{"--judge", "--url", "http://127.0.0.1:1", "--judge-model", "m", "--tries", "0"}},
		{`--timeout is above 0, not 0s`, []string{"--judge", "--url", "http://127.0.0.1:1", "--judge-model", "m", "--timeout", "0"}},
		{`--max-failure-rate is between 0 and 1, not NaN`, []string{"--judge", "--url", "http://127.0.0.1:1", "--judge-model", "m", "--max-failure-rate", "nan"}},
		{`judge: the address is no http or https URL`, []string{"--judge", "--url", "localhost", "--judge-model", "m"}},
		{`unexpected operand "x"`, []string{"x"}},
	} {
		out, status, voice := command(t, nil, nil, c.flags...)
		require.Equal(t, 2, status, c.flags)
		require.Equal(t, "srar-eval: "+c.says+"\n", voice)
		require.Empty(t, out)
	}
}

// Rows of kind rollout are checked by rule and score as the same rows do with
// the columns of the judge.
func TestRolloutsAreChecked(t *testing.T) {
	data := rewrite(t, stored(t, "one-prompt.arrow"), func(b *stream.Batch) *stream.Batch {
		return b.Without("answer", "answer_status", "correct", "well_formed", "steps", "judge_status", "judge_error", "verdicts", "judge_reply",
			"judge_model", "judge_tries", "judge_prompt_tokens", "judge_completion_tokens", "step_correct")
	})
	out, status, voice := command(t, data, nil, "--k", "1,8")
	require.Zero(t, status, voice)
	require.Contains(t, voice, "8 answers checked by rule")
	full, _, _ := command(t, stored(t, "one-prompt.arrow"), nil, "--k", "1,8")
	got, want := scores(t, out), scores(t, full)
	for _, m := range []string{"accuracy", "pass@8", "maj@8", "loop_rate", "self_corrections", "length", "format_rate"} {
		require.Equal(t, want[key{metric: m}], got[key{metric: m}], m)
	}
	require.NotContains(t, got, key{metric: "rpb_suggest"})
	require.NotContains(t, got, key{metric: "frr"})
}

// rewrite passes every batch of a stream through f.
func rewrite(t testing.TB, data []byte, f func(*stream.Batch) *stream.Batch) []byte {
	t.Helper()
	list := trial.Batches(t, data)
	for i, b := range list {
		list[i] = f(b)
	}
	return trial.Stream(t, list[0].Schema(), list...)
}

// Two halves of a prompt's rollouts, in two streams, are one prompt; the same
// id with another problem is another prompt.
func TestPromptsJoin(t *testing.T) {
	whole := stored(t, "one-prompt.arrow")
	half := func(from, to int) []byte {
		return rewrite(t, whole, func(b *stream.Batch) *stream.Batch {
			var at []int
			for i := from; i < to; i++ {
				at = append(at, i)
			}
			return b.Take(at)
		})
	}
	n := len(load[rows.Rollout](t, whole))
	one, status, voice := command(t, whole, nil)
	require.Zero(t, status, voice)
	two, status, voice := command(t, append(half(n/2, n), half(0, n/2)...), nil)
	require.Zero(t, status, voice)
	require.Equal(t, scores(t, one), scores(t, two))

	other := rewrite(t, whole, func(b *stream.Batch) *stream.Batch {
		texts := make([]string, b.Len())
		for i := range texts {
			texts[i] = "another problem"
		}
		return b.With(stream.Named{Name: "problem", Column: stream.NewTexts(texts, nil)})
	})
	out, status, voice := command(t, append(append([]byte{}, whole...), other...), nil)
	require.Zero(t, status, voice)
	require.Equal(t, int64(2), scores(t, out)[key{metric: "accuracy"}].N)
}

func TestBadRows(t *testing.T) {
	for _, c := range []struct {
		says string
		with func(list []rows.Verdict, marks [][]*bool)
	}{
		{"rows: batch 0, row 2: verdict of item 99, which is no item to judge", func(v []rows.Verdict, _ [][]*bool) { v[2].Verdicts = []rows.ItemVerdict{{ID: 99}} }},
		{"rows: batch 0, row 1: a step spans bytes ", func(v []rows.Verdict, _ [][]*bool) { v[1].Steps[0].End = 1 << 30 }},
		{"rows: batch 0, row 3: 0 marks of ", func(_ []rows.Verdict, m [][]*bool) { m[3] = []*bool{} }},
	} {
		data := rewrite(t, stored(t, "one-prompt.arrow"), func(b *stream.Batch) *stream.Batch {
			list, err := rows.Read[rows.Verdict](b, 0)
			require.NoError(t, err)
			marked, err := rows.Read[rows.StepMarks](b, 0)
			require.NoError(t, err)
			marks := make([][]*bool, len(marked))
			for i := range marked {
				marks[i] = marked[i].StepCorrect
			}
			c.with(list, marks)
			for i := range marked {
				marked[i].StepCorrect = marks[i]
			}
			return b.With(rows.Columns(list)...).With(rows.Columns(marked)...)
		})
		_, status, voice := command(t, data, nil)
		require.Equal(t, 3, status, voice)
		require.Contains(t, voice, c.says)
	}
}

// Rows without a source are in no set of --by, and it is said.
func TestByWithoutSource(t *testing.T) {
	data := rewrite(t, stored(t, "one-prompt.arrow"), func(b *stream.Batch) *stream.Batch {
		null := make([]bool, b.Len())
		for i := range null {
			null[i] = true
		}
		return b.With(stream.Named{Name: "data_source", Nullable: true, Column: stream.NewTexts(make([]string, b.Len()), null)})
	})
	out, status, voice := command(t, data, nil, "--by", "data_source")
	require.Zero(t, status, voice)
	require.Empty(t, scores(t, out))
	require.Contains(t, voice, "warning: 8 rollouts without data_source are in no score")
}

func TestMarkdown(t *testing.T) {
	dir := t.TempDir()
	out, status, voice := command(t, stored(t, "one-prompt.arrow"), nil, "--k", "1", "--markdown", "--save", filepath.Join(dir, "s.arrow"))
	require.Zero(t, status, voice)
	lines := strings.Split(string(out), "\n")
	require.Equal(t, "| metric | value | 95 % interval | n |", lines[0])
	require.Equal(t, "| --- | ---: | ---: | ---: |", lines[1])
	require.Equal(t, "| accuracy | 0.8750 |  | 1 |", lines[2])
	require.Equal(t, "| maj@1 | 1.0000 | 0.2065 to 1.0000 | 1 |", lines[5])
	require.Contains(t, string(out), "| right_sound | 5 |  | 6 |\n")

	rowsOut, _, _ := command(t, stored(t, "one-prompt.arrow"), nil, "--k", "1")
	require.Equal(t, scores(t, rowsOut), scores(t, trial.File(t, filepath.Join(dir, "s.arrow"))))

	out, status, voice = command(t, stored(t, "one-prompt.arrow"), nil, "--by", "data_source", "--markdown", "-o", filepath.Join(dir, "t.md"))
	require.Zero(t, status, voice)
	require.Empty(t, out)
	require.Contains(t, string(trial.File(t, filepath.Join(dir, "t.md"))), "| data source | metric | value |")
}

// A data source cannot break the table or command the terminal.
func TestTable(t *testing.T) {
	source, low := "a|b\x1b[2J\nc\td", .25
	list := []rows.Score{{Metric: "accuracy", DataSource: &source, Value: .5, Low: &low, High: &low, N: 2}, {Metric: "right_sound", DataSource: &source, Value: 12, N: 30}}
	var b bytes.Buffer
	require.NoError(t, printTable(&b, list, false))
	require.Equal(t, strings.Join([]string{
		"data source  metric       value   95 % interval     n",
		"a|b [2J c d  accuracy     0.5000  0.2500 to 0.2500  2",
		"a|b [2J c d  right_sound  12                        30",
		"",
	}, "\n"), b.String())
	b.Reset()
	require.NoError(t, printTable(&b, list, true))
	require.Equal(t, "| data source | metric | value | 95 % interval | n |\n| --- | --- | ---: | ---: | ---: |\n| a\\|b [2J c d | accuracy | 0.5000 | 0.2500 to 0.2500 | 2 |\n| a\\|b [2J c d | right_sound | 12 |  | 30 |\n", b.String())
}
