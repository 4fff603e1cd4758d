package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"srar/lib/ckpt"
	"srar/lib/golden"
	"srar/lib/rows"
	"srar/lib/stream"
	"srar/lib/trial"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"srar-logprob": main})
}

func run(t *testing.T, in []byte, args ...string) trial.Result {
	t.Helper()
	return trial.Process{Args: slices.Concat([]string{"srar-logprob"}, args, []string{"--quiet"}), Stdin: in}.Run(t)
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
	for _, path := range golden.Glob(t, "model/*/logprob/rows_*.arrow") {
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
				Tolerance map[string]struct{ Max, Mean float64 }
			}
			require.NoError(t, json.Unmarshal(trial.File(t, filepath.Join(dir, "expect_"+name+".json")), &expect))
			require.Positive(t, expect.Tolerance["f32"].Max)
			require.Positive(t, expect.Tolerance["bf16"].Mean)
			f, err := ckpt.OpenFile(filepath.Join(dir, "expect_"+name+".safetensors"))
			require.NoError(t, err)
			defer f.Close()
			want, start := numbers[float64](t, f, "logprobs"), numbers[int64](t, f, "row_start")

			in := trial.File(t, path)
			for _, compute := range []string{"f32", "bf16"} {
				out := run(t, in, "--model", model, "--column", "ref_logprobs", "--compute", compute)
				require.Zero(t, out.Status, out.Voice)
				was, is := trial.Batches(t, in), trial.Batches(t, out.Out)
				require.Len(t, is, len(was), "a batch for each batch")
				row, n, largest, sum := 0, 0, 0.0, 0.0
				for i, b := range is {
					require.Equal(t, was[i].Len(), b.Len())
					ref := b.Column("ref_logprobs")
					for r := range b.Len() {
						lo, hi := ref.Bounds(r)
						got := ref.Elem().Float32s()[lo:hi]
						require.Len(t, got, int(start[row+1]-start[row]))
						for k, x := range got {
							d := math.Abs(float64(x) - want[int(start[row])+k])
							largest, sum, n = max(largest, d), sum+d, n+1
						}
						row++
					}
					others := b.Without("ref_logprobs")
					require.Equal(t, was[i].Schema().Fields, others.Schema().Fields)
					require.Equal(t, trial.Text(was[i]), trial.Text(others), "the other columns are as they were")
				}
				require.Equal(t, len(start)-1, row)
				require.LessOrEqual(t, largest, expect.Tolerance[compute].Max, compute)
				if compute == "bf16" {
					require.LessOrEqual(t, sum/float64(n), expect.Tolerance[compute].Mean)
				}
				schema := trial.Schema(t, out.Out)
				require.Equal(t, "rollout", schema.RowKind)
				last := schema.History[len(schema.History)-1]
				require.Equal(t, stream.Entry{
					Command: "srar-logprob", Version: last.Version, Args: []string{"--column=ref_logprobs", "--compute=" + compute}, Inputs: map[string]string{"model": digest},
				}, last)
			}
		})
	}
	require.NotZero(t, tested)
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
	model := golden.Model(t)
	hot := trial.Rows(t, "rollout", rollout(2, []int32{1, 2}, []int32{3, 4}), rollout(2, []int32{1}, nil))
	cold := trial.Rows(t, "rollout", rollout(0.5, []int32{1, 2}, []int32{3, 4}), rollout(1, []int32{1}, nil))
	one := func(in []byte, args ...string) *stream.Batch {
		out := run(t, in, append(args, "--model", model)...)
		require.Zero(t, out.Status, out.Voice)
		list := trial.Batches(t, out.Out)
		require.Len(t, list, 1)
		return list[0]
	}
	want := one(hot)
	require.Equal(t, []float32{2, 2}, want.Column("temperature").Float32s())
	require.Len(t, want.Column("logprobs").Elem().Float32s(), 2)
	require.Equal(t, trial.Text(want), trial.Text(one(cold, "--temperature", "2")))

	other := one(cold, "--temperature", "2", "--column", "other")
	require.Equal(t, []float32{0.5, 1}, other.Column("temperature").Float32s())
	require.Equal(t, want.Column("logprobs").Elem().Float32s(), other.Column("other").Elem().Float32s())
	require.Empty(t, other.Column("logprobs").Elem().Float32s())
}

// TestMistakes: what is wrong is said, with the place, and nothing is written
// as complete.
func TestMistakes(t *testing.T) {
	model := golden.Model(t)
	good := rollout(1, []int32{1}, []int32{2})
	for _, tc := range []struct {
		args   []string
		bad    rows.Rollout
		status int
		want   string
	}{
		{nil, good, 2, "--model is missing"},
		{[]string{"--model", model, "--compute", "fp8"}, good, 2, `--compute is auto, f32 or bf16, not "fp8"`},
		{[]string{"--model", model, "--temperature", "0"}, good, 2, "--temperature is above 0"},
		{[]string{"--model", model, "--column", "tokens"}, good, 2, "would replace a column that srar-rollout makes"},
		{[]string{"--model", model, "--column", ""}, good, 2, "--column is empty"},
		{[]string{"--model", model, "x"}, good, 2, `unexpected operand "x"`},
		{[]string{"--model", filepath.Join(model, "none")}, good, 1, "no such file"},
		{[]string{"--model", model}, rollout(1, []int32{1}, []int32{512}), 3, "batch 0, row 1: token 512 is not in the model's vocabulary of 512"},
		{[]string{"--model", model}, rollout(1, []int32{-1}, nil), 3, "batch 0, row 1: token -1"},
		{[]string{"--model", model}, rollout(1, nil, []int32{1}), 3, "batch 0, row 1: the prompt has no tokens"},
		{[]string{"--model", model}, rollout(0, []int32{1}, []int32{1}), 3, "rows: batch 0, row 1: temperature is 0"},
	} {
		r := run(t, trial.Rows(t, "rollout", good, tc.bad), tc.args...)
		require.Equal(t, tc.status, r.Status, r.Voice)
		require.Contains(t, r.Voice, tc.want)
		require.True(t, trial.Unfinished(r.Out))
		_, err := stream.NewReader(bytes.NewReader(r.Out), "test", stream.Limits{}).Next()
		require.Error(t, err, "rows were written")
	}
}
