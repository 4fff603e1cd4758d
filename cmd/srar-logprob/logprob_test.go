package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
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
	testscript.Main(m, map[string]func(){"srar-logprob": main})
}

// golden returns the models of SRAR_GOLDEN, by default of the project, that
// match the pattern.
func golden(t *testing.T, pattern string) []string {
	dir := os.Getenv("SRAR_GOLDEN")
	if dir == "" {
		dir = filepath.Join("..", "..", "testdata", "golden")
	}
	files, err := filepath.Glob(filepath.Join(dir, "model", pattern))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

// command runs srar-logprob on a stream.
func command(t *testing.T, in []byte, args ...string) (out []byte, status int, voice string) {
	t.Helper()
	c := exec.Command("srar-logprob", append(args, "--quiet")...)
	var stdout, stderr bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(in), &stdout, &stderr
	err := c.Run()
	var exit *exec.ExitError
	require.True(t, err == nil || errors.As(err, &exit), "%v", err)
	return stdout.Bytes(), c.ProcessState.ExitCode(), stderr.String()
}

// read returns the batches of a complete stream.
func read(t *testing.T, b []byte) (list []*stream.Batch) {
	r := stream.NewReader(bytes.NewReader(b), "stream", stream.Limits{})
	for {
		b, err := r.Next()
		if err == io.EOF {
			return list
		}
		require.NoError(t, err)
		list = append(list, b)
	}
}

// numbers reads a tensor of 8-byte numbers.
func numbers[T any](t *testing.T, f *ckpt.File, name string) []T {
	x, err := f.Tensor(name)
	require.NoError(t, err)
	raw, err := x.Bytes()
	require.NoError(t, err)
	out := make([]T, x.Len())
	require.NoError(t, binary.Read(bytes.NewReader(raw), binary.LittleEndian, out))
	return out
}

// TestGoldenLogprob holds the command against float64 transformers.
func TestGoldenLogprob(t *testing.T) {
	tested := 0
	for _, path := range golden(t, "*/logprob/rows_*.arrow") {
		dir, name := filepath.Dir(path), strings.TrimPrefix(filepath.Base(path), "rows_")
		name = strings.TrimSuffix(name, ".arrow")
		model := filepath.Join(filepath.Dir(dir), "checkpoint")
		c, err := ckpt.Open(model)
		if err != nil {
			require.ErrorContains(t, err, "is not supported") // another architecture
			continue
		}
		digest, err := c.Digest()
		require.NoError(t, err)
		require.NoError(t, c.Close())
		tested++
		t.Run(filepath.Base(filepath.Dir(dir))+"-"+name, func(t *testing.T) {
			var expect struct {
				Tolerance struct{ F32 struct{ Max float64 } }
			}
			b, err := os.ReadFile(filepath.Join(dir, "expect_"+name+".json"))
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(b, &expect))
			require.Positive(t, expect.Tolerance.F32.Max)
			f, err := ckpt.OpenFile(filepath.Join(dir, "expect_"+name+".safetensors"))
			require.NoError(t, err)
			defer f.Close()
			want, start := numbers[float64](t, f, "logprobs"), numbers[int64](t, f, "row_start")

			in, err := os.ReadFile(path)
			require.NoError(t, err)
			out, status, voice := command(t, in, "--model", model, "--column", "ref_logprobs")
			require.Zero(t, status, voice)
			was, is := read(t, in), read(t, out)
			require.Len(t, is, len(was), "a batch for each batch")
			row, largest := 0, 0.0
			for i, b := range is {
				require.Equal(t, was[i].Len(), b.Len())
				ref := b.Column("ref_logprobs")
				for r := range b.Len() {
					lo, hi := ref.Bounds(r)
					got := ref.Elem().Float32s()[lo:hi]
					require.Len(t, got, int(start[row+1]-start[row]))
					for k, x := range got {
						largest = max(largest, math.Abs(float64(x)-want[int(start[row])+k]))
					}
					row++
				}
				require.Equal(t, text(was[i]), text(b.Without("ref_logprobs")), "the other columns are as they were")
			}
			require.Equal(t, len(start)-1, row)
			require.LessOrEqual(t, largest, expect.Tolerance.F32.Max)
			schema, err := stream.NewReader(bytes.NewReader(out), "stream", stream.Limits{}).Schema()
			require.NoError(t, err)
			require.Equal(t, "rollout", schema.RowKind)
			last := schema.History[len(schema.History)-1]
			require.Equal(t, stream.Entry{Command: "srar-logprob", Version: last.Version, Args: []string{"--column=ref_logprobs"}, Inputs: map[string]string{"model": digest}}, last)
		})
	}
	require.NotZero(t, tested)
}

// text renders all rows of a batch.
func text(b *stream.Batch) string {
	var out []byte
	for _, f := range b.Schema().Fields {
		out = append(out, f.Name...)
		for i := range b.Len() {
			out = b.Column(f.Name).AppendJSON(append(out, ' '), i)
		}
	}
	return string(out)
}

// write makes a stream of one batch.
func write(t *testing.T, list []rows.Rollout) []byte {
	var buf bytes.Buffer
	b := rows.Batch(list)
	s := *b.Schema()
	s.RowKind = "rollout"
	w, err := stream.NewWriter(&buf, &s, stream.Options{})
	require.NoError(t, err)
	require.NoError(t, w.Write(b))
	require.NoError(t, w.Close())
	return buf.Bytes()
}

func rollout(temperature float32, prompt, tokens []int32) rows.Rollout {
	return rows.Rollout{
		Prompt:     rows.Prompt{PromptID: "p"},
		Generation: rows.Generation{PromptTokens: prompt, Tokens: tokens, Offsets: make([]int32, len(tokens)), Temperature: temperature},
	}
}

// TestTemperature: a flag stands for the row's temperature, and is noted where
// the log-probabilities of the row itself are replaced.
func TestTemperature(t *testing.T) {
	model := golden(t, "U-qwen3-micro/checkpoint")[0]
	hot := write(t, []rows.Rollout{rollout(2, []int32{1, 2}, []int32{3, 4}), rollout(2, []int32{1}, nil)})
	cold := write(t, []rows.Rollout{rollout(0.5, []int32{1, 2}, []int32{3, 4}), rollout(1, []int32{1}, nil)})
	one := func(in []byte, args ...string) *stream.Batch {
		out, status, voice := command(t, in, append(args, "--model", model)...)
		require.Zero(t, status, voice)
		list := read(t, out)
		require.Len(t, list, 1)
		return list[0]
	}
	want := one(hot)
	require.Equal(t, []float32{2, 2}, want.Column("temperature").Float32s())
	require.Len(t, want.Column("logprobs").Elem().Float32s(), 2)
	require.Equal(t, text(want), text(one(cold, "--temperature", "2")))

	other := one(cold, "--temperature", "2", "--column", "other")
	require.Equal(t, []float32{0.5, 1}, other.Column("temperature").Float32s())
	require.Equal(t, want.Column("logprobs").Elem().Float32s(), other.Column("other").Elem().Float32s())
	require.Empty(t, other.Column("logprobs").Elem().Float32s())
}

// TestMistakes: what is wrong is said, with the place, and nothing is written
// as complete.
func TestMistakes(t *testing.T) {
	model := golden(t, "U-qwen3-micro/checkpoint")[0]
	good := rollout(1, []int32{1}, []int32{2})
	for _, tc := range []struct {
		args   []string
		bad    rows.Rollout
		status int
		want   string
	}{
		{nil, good, 2, "--model is missing"},
		{[]string{"--model", model, "--compute", "bf16"}, good, 2, `--compute is f32, not "bf16"`},
		{[]string{"--model", model, "--temperature", "0"}, good, 2, "--temperature is above 0"},
		{[]string{"--model", model, "--column", "tokens"}, good, 2, "would replace a column that srar-rollout makes"},
		{[]string{"--model", model, "--column", ""}, good, 2, "--column is empty"},
		{[]string{"--model", model, "x"}, good, 2, `unexpected operand "x"`},
		{[]string{"--model", filepath.Join(model, "none")}, good, 1, "no such file"},
		{[]string{"--model", model}, rollout(1, []int32{1}, []int32{512}), 3, "batch 0, row 1: token 512 is not in the model's vocabulary of 512"},
		{[]string{"--model", model}, rollout(1, []int32{-1}, nil), 3, "batch 0, row 1: token -1"},
		{[]string{"--model", model}, rollout(1, nil, []int32{1}), 3, "batch 0, row 1: column prompt_tokens is empty"},
		{[]string{"--model", model}, rollout(0, []int32{1}, []int32{1}), 3, "batch 0, row 1: column temperature is 0"},
	} {
		out, status, voice := command(t, write(t, []rows.Rollout{good, tc.bad}), tc.args...)
		require.Equal(t, tc.status, status, voice)
		require.Contains(t, voice, tc.want)
		if len(out) > 0 {
			_, err := io.ReadAll(bytes.NewReader(out))
			require.NoError(t, err)
			r := stream.NewReader(bytes.NewReader(out), "stream", stream.Limits{})
			_, err = r.Next()
			require.Error(t, err)
			require.NotEqual(t, io.EOF, err, "no end marker")
		}
	}
}
