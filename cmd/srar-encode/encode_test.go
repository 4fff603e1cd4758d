package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"srar/lib/ckpt"
	"srar/lib/golden"
	"srar/lib/rows"
	"srar/lib/steps"
	"srar/lib/stream"
	"srar/lib/trial"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"srar-encode": main})
}

func run(t *testing.T, in []byte, args ...string) trial.Result {
	t.Helper()
	return trial.Process{Args: slices.Concat([]string{"srar-encode"}, args, []string{"--quiet"}), Stdin: in}.Run(t)
}

// encode runs srar-encode, which has to succeed, and returns the rows of each batch.
func encode(t *testing.T, in []byte, args ...string) (*stream.Schema, [][]rows.Rollout) {
	t.Helper()
	r := run(t, in, args...)
	require.Zero(t, r.Status, r.Voice)
	return trial.Schema(t, r.Out), trial.Groups[rows.Rollout](t, r.Out)
}

type withText struct {
	rows.Prompt
	Text string `col:"response"`
}

type withTexts struct {
	rows.Prompt
	Texts []string `col:"responses"`
}

func ask(id string) rows.Prompt {
	return rows.Prompt{PromptID: id, Problem: "1+1?", Messages: []rows.Message{{Role: "user", Content: "1+1?<|im_end|>"}}}
}

// write makes a stream of one batch.
func write[T any](t *testing.T, list ...T) []byte { return trial.Rows(t, "prompt", list...) }

// TestGoldenEncode holds ids and texts against the reference's, with a
// directory that has a tokenizer but no weights.
func TestGoldenEncode(t *testing.T) {
	for _, path := range golden.Glob(t, "text/tokenizers/*.cases.jsonl") {
		name := strings.TrimSuffix(path, ".cases.jsonl")
		t.Run(filepath.Base(name), func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "tokenizer.json"), golden.Unpack(t, name+".tokenizer.json.gz"), 0o666))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "tokenizer_config.json"), []byte(`{"chat_template":"{{ messages[0].content }}"}`), 0o666))

			type row struct {
				Text    string
				IDs     []int32
				Skipped string `json:"decoded_skip"`
			}
			cases := golden.Lines[row](t, path)
			var in []withText
			for _, r := range cases {
				in = append(in, withText{ask("p"), r.Text})
			}
			schema, groups := encode(t, write(t, in...), "--model", dir, "--no-end")
			require.Equal(t, "rollout", schema.RowKind)
			require.Len(t, groups, len(cases))
			for i, want := range cases {
				require.Len(t, groups[i], 1)
				got := groups[i][0]
				require.Equal(t, want.IDs, append([]int32{}, got.Tokens...))
				require.Equal(t, want.Skipped, got.Response)
				require.Len(t, got.Offsets, len(got.Tokens))
				require.Empty(t, got.Policy)
			}
		})
	}
}

// TestGroups: one batch per prompt, the end token, what the columns say.
func TestGroups(t *testing.T) {
	model := golden.Model(t)
	c, err := ckpt.Open(model)
	require.NoError(t, err)
	defer c.Close()
	digest, err := c.Digest()
	require.NoError(t, err)
	in := write(t, withTexts{ask("a"), []string{"2", "so<|im_end|>"}}, withTexts{ask("b"), nil}, withTexts{ask("c"), []string{""}})

	schema, groups := encode(t, in, "--model", model)
	_, there := schema.Lookup("responses")
	require.False(t, there)
	require.Equal(t, map[string]string{"model": digest}, schema.History[0].Inputs)
	require.Len(t, groups, 2, "a prompt without texts has no rollouts")
	require.Len(t, groups[0], 2)
	require.Len(t, groups[1], 1)
	a := groups[0]
	require.Equal(t, "2", a[0].Response)
	require.Equal(t, "so", a[1].Response, "special tokens in the text act")
	require.Equal(t, []int32{509, 509}, a[1].Tokens[len(a[1].Tokens)-2:])
	require.Equal(t, []int32{509}, groups[1][0].Tokens)
	for i, r := range a {
		require.Equal(t, int32(i), r.Rollout)
		require.Equal(t, "stop", r.Finish)
		require.Equal(t, digest, r.Policy)
		require.Equal(t, float32(1), r.Temperature)
		require.Empty(t, r.Logprobs)
		require.Equal(t, int32(509), r.Tokens[len(r.Tokens)-1])
		require.Equal(t, int32(len(r.Response)), r.Offsets[len(r.Tokens)-1])
		require.Equal(t, a[0].PromptTokens, r.PromptTokens)
	}

	_, plain := encode(t, in, "--model", model, "--no-end")
	require.Equal(t, "length", plain[0][0].Finish)
	require.Equal(t, "stop", plain[0][1].Finish, "the text itself ends so")
	require.Empty(t, plain[1][0].Tokens)
	_, acting := encode(t, in, "--model", model, "--control-tokens")
	require.Less(t, len(acting[0][0].PromptTokens), len(a[0].PromptTokens), "<|im_end|> in the message is one token")
}

// Steps become one text that reads as the same steps.
func TestSteps(t *testing.T) {
	type withSteps struct {
		rows.Prompt
		Steps []string `col:"steps"`
	}
	list := []string{"Step 1: add", "", "#### 3\n"}
	schema, groups := encode(t, write(t, withSteps{ask("a"), list}), "--model", golden.Model(t))
	_, there := schema.Lookup("steps")
	require.False(t, there)
	require.Equal(t, "### Step 1: Step 1: add\n### Step 2: \n### Step 3: #### 3\n\n", groups[0][0].Response)
	require.Len(t, steps.Split(groups[0][0].Response), len(list))
	for _, bad := range [][]string{nil, {"a\n### Step 2: b"}} {
		r := run(t, write(t, withSteps{ask("a"), list}, withSteps{ask("b"), bad}), "--model", golden.Model(t))
		require.Equal(t, 3, r.Status)
		require.Contains(t, r.Voice, "batch 0, row 1: column steps holds ")
	}
}

func TestMistakes(t *testing.T) {
	model := golden.Model(t)
	empty := t.TempDir()
	bare := t.TempDir()
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		require.NoError(t, os.WriteFile(filepath.Join(bare, name), trial.File(t, filepath.Join(model, name)), 0o666))
	}
	good := write(t, withText{ask("a"), "2"})
	type null struct {
		rows.Prompt
		Text *string `col:"response"`
	}
	for _, tc := range []struct {
		args   []string
		in     []byte
		status int
		want   string
	}{
		{nil, good, 2, "--model is missing"},
		{[]string{"--model", model, "x"}, good, 2, `unexpected operand "x"`},
		{[]string{"--model", empty}, good, 1, "config.json"},
		{[]string{"--model", empty, "--no-end"}, good, 1, "tokenizer.json"},
		{[]string{"--model", bare}, good, 1, "hint: with --no-end tokenizer and chat template are enough"},
		{[]string{"--model", model}, write(t, ask("a")), 3, "there is no column response, responses or steps"},
		{[]string{"--model", model}, write(t, struct {
			rows.Prompt
			Text  string   `col:"response"`
			Texts []string `col:"responses"`
		}{ask("a"), "2", nil}), 3, "there are columns response and responses"},
		{[]string{"--model", model}, write(t, struct {
			rows.Prompt
			Text []string `col:"response"`
		}{ask("a"), nil}), 3, "column response is list<utf8>, not utf8"},
		{[]string{"--model", model}, write(t, struct {
			rows.Prompt
			Text int64 `col:"responses"`
		}{ask("a"), 1}), 3, "column responses is int64, not list<utf8>"},
		{[]string{"--model", model}, write(t, null{ask("a"), new(string)}, null{ask("b"), nil}), 3, "batch 0, row 1: column response is null"},
		{[]string{"--model", model}, write(t, withText{rows.Prompt{PromptID: "p"}, ""}), 3, `batch 0, row 0: prompt "p": `},
	} {
		r := run(t, tc.in, tc.args...)
		require.Equal(t, tc.status, r.Status, r.Voice)
		require.Contains(t, r.Voice, tc.want)
		require.True(t, trial.Unfinished(r.Out))
	}
}
