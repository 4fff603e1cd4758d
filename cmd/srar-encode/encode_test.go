package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"srar/lib/ckpt"
	"srar/lib/rows"
	"srar/lib/stream"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"srar-encode": main})
}

// golden returns the paths below SRAR_GOLDEN, by default below the project's
// golden data, that match the pattern.
func golden(t *testing.T, pattern string) []string {
	dir := os.Getenv("SRAR_GOLDEN")
	if dir == "" {
		dir = filepath.Join("..", "..", "testdata", "golden")
	}
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

// command runs srar-encode on a stream.
func command(t *testing.T, in []byte, args ...string) (out []byte, status int, voice string) {
	t.Helper()
	c := exec.Command("srar-encode", append(args, "--quiet")...)
	var stdout, stderr bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(in), &stdout, &stderr
	err := c.Run()
	var exit *exec.ExitError
	require.True(t, err == nil || errors.As(err, &exit), "%v", err)
	return stdout.Bytes(), c.ProcessState.ExitCode(), stderr.String()
}

// encode runs srar-encode, which has to succeed, and returns the rows of each batch.
func encode(t *testing.T, in []byte, args ...string) (schema *stream.Schema, groups [][]rows.Rollout) {
	t.Helper()
	out, status, voice := command(t, in, args...)
	require.Zero(t, status, voice)
	r := stream.NewReader(bytes.NewReader(out), "stream", stream.Limits{})
	schema, err := r.Schema()
	require.NoError(t, err)
	for {
		b, err := r.Next()
		if err == io.EOF {
			return schema, groups
		}
		require.NoError(t, err)
		list, err := rows.Read[rows.Rollout](b, len(groups))
		require.NoError(t, err)
		groups = append(groups, list)
	}
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
func write[T any](t *testing.T, list ...T) []byte {
	var buf bytes.Buffer
	b := rows.Batch(list)
	s := *b.Schema()
	s.RowKind = "prompt"
	w, err := stream.NewWriter(&buf, &s, stream.Options{})
	require.NoError(t, err)
	require.NoError(t, w.Write(b))
	require.NoError(t, w.Close())
	return buf.Bytes()
}

// TestGoldenEncode holds ids and texts against the reference's, with a
// directory that has a tokenizer but no weights.
func TestGoldenEncode(t *testing.T) {
	for _, path := range golden(t, "text/tokenizers/*.cases.jsonl") {
		name := strings.TrimSuffix(path, ".cases.jsonl")
		t.Run(filepath.Base(name), func(t *testing.T) {
			dir := t.TempDir()
			f, err := os.Open(name + ".tokenizer.json.gz")
			require.NoError(t, err)
			defer f.Close()
			z, err := gzip.NewReader(f)
			require.NoError(t, err)
			b, err := io.ReadAll(z)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "tokenizer.json"), b, 0o666))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "tokenizer_config.json"), []byte(`{"chat_template":"{{ messages[0].content }}"}`), 0o666))

			type row struct {
				Text    string
				IDs     []int32
				Skipped string `json:"decoded_skip"`
			}
			var cases []row
			var in []withText
			c, err := os.Open(path)
			require.NoError(t, err)
			defer c.Close()
			s := bufio.NewScanner(c)
			s.Buffer(nil, 1<<24)
			for s.Scan() {
				var r row
				require.NoError(t, json.Unmarshal(s.Bytes(), &r))
				cases = append(cases, r)
				in = append(in, withText{ask("p"), r.Text})
			}
			require.NoError(t, s.Err())
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
	model := golden(t, "model/U-qwen3-micro/checkpoint")[0]
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

func TestMistakes(t *testing.T) {
	model := golden(t, "model/U-qwen3-micro/checkpoint")[0]
	empty := t.TempDir()
	bare := t.TempDir()
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		b, err := os.ReadFile(filepath.Join(model, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(bare, name), b, 0o666))
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
		{[]string{"--model", empty}, good, 1, "tokenizer.json"},
		{[]string{"--model", bare}, good, 1, "hint: with --no-end tokenizer and chat template are enough"},
		{[]string{"--model", model}, write(t, ask("a")), 3, "there is no column response or responses"},
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
		out, status, voice := command(t, tc.in, tc.args...)
		require.Equal(t, tc.status, status, voice)
		require.Contains(t, voice, tc.want)
		if len(out) > 0 {
			r := stream.NewReader(bytes.NewReader(out), "stream", stream.Limits{})
			_, err := r.Next()
			for err == nil {
				_, err = r.Next()
			}
			require.NotEqual(t, io.EOF, err, "no end marker")
		}
	}
}
