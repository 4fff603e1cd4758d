package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"srar/lib/golden"
	"srar/lib/rows"
	"srar/lib/stream"
	"srar/lib/table"
	"srar/lib/trial"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"srar-prepare": main})
}

func command(t testing.TB, dir, stdin string, args ...string) trial.Result {
	t.Helper()
	return trial.Process{Args: append([]string{"srar-prepare"}, args...), Dir: dir, Stdin: []byte(stdin)}.Run(t)
}

// prompts runs the command, which must end well, and reads what it wrote.
func prompts(t testing.TB, dir, stdin string, args ...string) []rows.Prompt {
	t.Helper()
	r := command(t, dir, stdin, args...)
	require.Zero(t, r.Status, r.Voice)
	require.Equal(t, "prompt", trial.Schema(t, r.Out).RowKind)
	return slices.Concat(trial.Groups[rows.Prompt](t, r.Out)...)
}

func TestGoldenPrepare(t *testing.T) {
	var cases []struct {
		Input string
		Error *struct{ Row, Line *int }
		Rows  []struct {
			PromptID    string  `json:"prompt_id"`
			Problem     string  `json:"problem"`
			GroundTruth *string `json:"ground_truth"`
			DataSource  *string `json:"data_source"`
			Rubric      *string `json:"rubric"`
			Items       []struct {
				ID         int32
				Type, Text string
			}
		}
	}
	require.NoError(t, json.Unmarshal(trial.File(t, golden.Path(t, "reward", "prepare", "cases.json")), &cases))
	require.NotEmpty(t, cases)
	for _, c := range cases {
		t.Run(c.Input, func(t *testing.T) {
			path := golden.Path(t, "reward", "prepare", c.Input)
			if e := c.Error; e != nil {
				r := command(t, "", "", path)
				require.Equal(t, 3, r.Status, r.Voice)
				require.True(t, trial.Unfinished(r.Out))
				require.Regexp(t, fmt.Sprintf(`\brow %d\b`, *e.Row), r.Voice)
				if e.Line != nil {
					require.Regexp(t, fmt.Sprintf(`\brow %d, line %d\b`, *e.Row, *e.Line), r.Voice)
				}
				return
			}
			got := prompts(t, "", "", path)
			require.Len(t, got, len(c.Rows))
			for i, want := range c.Rows {
				items := []rows.Item{}
				for _, item := range want.Items {
					items = append(items, rows.Item(item))
				}
				require.Equal(t, rows.Prompt{
					PromptID: want.PromptID, Problem: want.Problem, GroundTruth: want.GroundTruth, DataSource: want.DataSource,
					Rubric: want.Rubric, Items: items,
					Messages: []rows.Message{{Role: "user", Content: want.Problem + "\n\n" + defaultInstruction}},
				}, got[i], "row %d", i)
			}
		})
	}
}

func TestInstruction(t *testing.T) {
	require.Contains(t, defaultInstruction, "### Step N:")
	require.Contains(t, defaultInstruction, `\boxed{}`)
	dir := t.TempDir()
	for name, test := range map[string]struct{ file, want string }{
		"said after the problem": {"Be brief.\n", "1+1?\n\nBe brief."},
		"around the problem":     {"Q: {problem}\n\n### Step N:\n", "Q: 1+1?\n\n### Step N:"},
		"empty":                  {"", "1+1?"},
		"blank":                  {" \n\n", "1+1?"},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "instruction"), []byte(test.file), 0o644))
			got := prompts(t, dir, `{"problem":"1+1?"}`, "--instruction", "instruction")
			require.Equal(t, []rows.Message{{Role: "user", Content: test.want}}, got[0].Messages)
		})
	}
	r := command(t, dir, `{"problem":"1+1?"}`, "--instruction", "nowhere")
	require.Equal(t, 1, r.Status, r.Voice)
}

// What the history says depends on what was read, not on where it lay.
func TestHistory(t *testing.T) {
	dir := t.TempDir()
	data := `{"problem":"1+1?","ground_truth":2}` + "\n"
	for path, text := range map[string]string{"a.jsonl": data, "b.jsonl": data, "p": "{problem}", "q": "{problem}"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, path), []byte(text), 0o644))
	}
	a := command(t, dir, "", "--instruction", "p", "a.jsonl")
	require.Zero(t, a.Status, a.Voice)
	require.Equal(t, a.Out, command(t, dir, "", "--instruction", "q", "b.jsonl").Out)
	require.Equal(t, a.Out, command(t, dir, data, "--instruction", "q").Out)
	require.Equal(t, a.Out, command(t, dir, data, "--instruction", "q", "-").Out)
	require.Equal(t, a.Out, command(t, dir, "", "--instruction", "q", "-i", "b.jsonl").Out)
	s := trial.Schema(t, a.Out)
	require.Len(t, s.History, 1)
	require.Equal(t, "srar-prepare", s.History[0].Command)
	require.Equal(t, map[string]string{"data": digest([]byte(data)), "instruction": digest([]byte("{problem}"))}, s.History[0].Inputs)
	require.Empty(t, s.History[0].Args)
}

func TestColumns(t *testing.T) {
	text := func(s string) *string { return &s }
	chat := func(problem string) []rows.Message {
		return []rows.Message{{Role: "user", Content: problem}}
	}
	for name, test := range map[string]struct {
		data  string
		flags []string
		want  rows.Prompt
		extra string // names of the further columns
	}{
		"named by flags": {
			`{"question":"Q","answer":7,"criteria":"<BONUS> b","set":"s","key":5,"x":1}`,
			[]string{"--problem", "question", "--ground-truth", "answer", "--rubric", "criteria", "--source", "set", "--id", "key"},
			rows.Prompt{PromptID: "5", Problem: "Q", GroundTruth: text("7"), DataSource: text("s"), Rubric: text("<BONUS> b"),
				Items: []rows.Item{{ID: 1, Type: "BONUS", Text: "b"}}, Messages: chat("Q")},
			"x",
		},
		"in structs": {
			`{"a":{"q":"Q","r":{"t":2.50}}}`,
			[]string{"--problem", "a.q", "--ground-truth", "a.r.t"},
			rows.Prompt{PromptID: "row-000000", Problem: "Q", GroundTruth: text("2.5"), Items: []rows.Item{}, Messages: chat("Q")},
			"a",
		},
		"a dot in the name of a column": {
			`{"a.q":"Q","a":{"q":"other"}}`,
			[]string{"--problem", "a.q"},
			rows.Prompt{PromptID: "row-000000", Problem: "Q", Items: []rows.Item{}, Messages: chat("Q")},
			"a",
		},
		"as verl has them": {
			`{"data_source":"d","prompt":[{"role":"system","content":"S"},{"role":"user","content":"Q"},{"role":"assistant","content":"A"}],"reward_model":{"style":"rule","ground_truth":"9"}}`,
			nil,
			rows.Prompt{PromptID: "row-000000", Problem: "Q", GroundTruth: text("9"), DataSource: text("d"), Items: []rows.Item{}, Messages: chat("Q")},
			"prompt reward_model",
		},
		"a text called prompt": {
			`{"prompt":"Q","id":null}`,
			nil,
			rows.Prompt{PromptID: "row-000000", Problem: "Q", Items: []rows.Item{}, Messages: chat("Q")},
			"",
		},
		"columns of ours in the data are replaced": {
			`{"problem":"Q","messages":[{"role":"user","content":"x"}],"items":3,"response":"r"}`,
			nil,
			rows.Prompt{PromptID: "row-000000", Problem: "Q", Items: []rows.Item{}, Messages: chat("Q")},
			"response",
		},
	} {
		t.Run(name, func(t *testing.T) {
			flags := append([]string{"--instruction", os.DevNull}, test.flags...)
			r := command(t, "", test.data, flags...)
			require.Zero(t, r.Status, r.Voice)
			require.Equal(t, [][]rows.Prompt{{test.want}}, trial.Groups[rows.Prompt](t, r.Out))
			var extra []string
			for _, f := range trial.Schema(t, r.Out).Fields[len(rows.Prompts.Columns):] {
				extra = append(extra, f.Name)
			}
			require.Equal(t, test.extra, strings.Join(extra, " "))
		})
	}
}

// Several files are one stream: ids are counted over all, and columns that only
// some have are null in the others.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	write("a.jsonl", `{"problem":"A","x":1}`+"\n"+`{"problem":"B","x":2}`)
	write("b.jsonl", `{"problem":"C","y":[1.5]}`)
	write("c.jsonl", "")
	var p bytes.Buffer
	one := stream.NewBatch(1, stream.Named{Name: "problem", Column: stream.NewTexts([]string{"D"}, nil)},
		stream.Named{Name: "x", Column: stream.NewInt64s([]int64{4}, nil)})
	left := []*stream.Batch{one}
	require.NoError(t, table.WriteParquet(&p, one.Schema(), func() (*stream.Batch, error) {
		if len(left) == 0 {
			return nil, io.EOF
		}
		b := left[0]
		left = left[1:]
		return b, nil
	}))
	write("d", p.String()) // Parquet by its content
	r := command(t, dir, "", "a.jsonl", "b.jsonl", "c.jsonl", "d")
	require.Zero(t, r.Status, r.Voice)
	require.Contains(t, r.Voice, "4 prompts")
	var got []string
	for _, b := range trial.Batches(t, r.Out) {
		for i := range b.Len() {
			line := b.Column("prompt_id").Text(i) + b.Column("problem").Text(i)
			for _, name := range []string{"x", "y"} {
				line += " " + string(b.Column(name).AppendJSON(nil, i))
			}
			got = append(got, line)
		}
	}
	require.Equal(t, []string{"row-000000A 1 null", "row-000001B 2 null", "row-000002C null [1.5]", "row-000003D 4 null"}, got)
	require.Len(t, trial.Schema(t, r.Out).History[0].Inputs, 4)

	write("e.jsonl", `{"problem":"E","x":"text"}`)
	r = command(t, dir, "", "a.jsonl", "e.jsonl")
	require.Equal(t, 3, r.Status)
	require.Contains(t, r.Voice, "e.jsonl: column x is utf8, in a file before int64")
	write("f.jsonl", `{"problem":"F","id":"row-000001"}`)
	r = command(t, dir, "", "a.jsonl", "f.jsonl")
	require.Equal(t, 3, r.Status)
	require.Contains(t, r.Voice, `f.jsonl: row 0: prompt_id "row-000001" is that of row 1 of a.jsonl already`)
}

// Many prompts come in batches of a bounded size.
func TestBatches(t *testing.T) {
	var data strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&data, "{\"problem\":\"%d+%d?\"}\n\n", i, i)
	}
	r := command(t, "", data.String())
	require.Zero(t, r.Status, r.Voice)
	n := 0
	for _, b := range trial.Batches(t, r.Out) {
		require.LessOrEqual(t, b.Len(), 256)
		require.Equal(t, fmt.Sprintf("row-%06d", n), b.Column("prompt_id").Text(0))
		n += b.Len()
	}
	require.Equal(t, 1000, n)
}

func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		data   string
		flags  []string
		status int
		voice  string // a regular expression
	}{
		"no such file":                {"", []string{"nowhere.jsonl"}, 1, "nowhere.jsonl"},
		"no column for the problem":   {`{"question":"Q"}`, nil, 3, "no column problem; hint: --problem names it; the columns are question"},
		"no column named by a flag":   {`{"problem":"Q"}`, []string{"--rubric", "r"}, 3, "stdin: no column r"},
		"a problem that is a number":  {`{"problem":5}`, nil, 3, `row 0\b.*column problem: is a number, not utf8`},
		"a blank problem":             {`{"problem":"Q"}` + "\n" + `{"problem":" \n"}`, nil, 3, "stdin: row 1: column problem is empty"},
		"a chat without user":         {`{"prompt":[{"role":"system","content":"S"}]}`, nil, 3, "row 0: column prompt is empty"},
		"a list that is no chat":      {`{"prompt":["Q"]}`, nil, 3, "column prompt is list<utf8>, neither text nor a chat"},
		"a list as ground truth":      {`{"problem":"Q","ground_truth":["1"]}`, nil, 3, `row 0\b.*column ground_truth: is a list`},
		"a list in a struct as truth": {`{"problem":"Q","reward_model":{"ground_truth":[1]}}`, nil, 3, "row 0: column reward_model.ground_truth is list<int64>, not text"},
		"a boolean id":                {`{"problem":"Q","id":true}`, nil, 3, "row 0: column id is bool, not text"},
		"a row without ground truth":  {`{"problem":"Q","ground_truth":"1"}` + "\n" + `{"problem":"R"}`, nil, 3, `row 1\b.*column ground_truth: is not there`},
		"standard input twice":        {`{"problem":"Q"}`, []string{"-", "-"}, 2, "standard input is named twice"},
		"-i and an operand":           {`{"problem":"Q"}`, []string{"-i", "a", "b"}, 2, "-i FILE goes without operands"},
		"no such flag":                {"", []string{"--tidy"}, 2, "no such flag: --tidy"},
	} {
		t.Run(name, func(t *testing.T) {
			r := command(t, t.TempDir(), test.data, test.flags...)
			require.Equal(t, test.status, r.Status, r.Voice)
			require.Regexp(t, test.voice, strings.ReplaceAll(r.Voice, "\nhint", "; hint"))
			require.True(t, trial.Unfinished(r.Out))
		})
	}
}

// What chooses the rows is in the history; where they were put aside is not.
func TestHistoryOfRows(t *testing.T) {
	data := `{"problem":"A?","level":1}` + "\n" + `{"problem":"","level":1}`
	r := command(t, t.TempDir(), data, "--where", "level=1", "--where", "level!=2", "--shuffle", "0", "--limit", "3", "--repeat", "2", "--skip-bad", "--bad", "b")
	require.Zero(t, r.Status, r.Voice)
	require.Equal(t, []string{"--limit=3", "--repeat=2", "--shuffle=0", "--skip-bad=true", "--where=level=1 level!=2"}, trial.Schema(t, r.Out).History[0].Args)
}
