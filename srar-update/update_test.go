package main

import (
	"bytes"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"srar/lib/golden"
	"srar/lib/rows"
	"srar/lib/stream"
	"srar/lib/trial"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"srar-update": main})
}

func run(t *testing.T, in []byte, args ...string) trial.Result {
	t.Helper()
	return trial.Process{Args: slices.Concat([]string{"srar-update"}, args, []string{"--quiet"}), Stdin: in}.Run(t)
}

// good returns a row of a prompt that can be trained on.
func good(prompt string) rows.Advantage {
	return rows.Advantage{
		Prompt:     rows.Prompt{PromptID: prompt},
		Generation: rows.Generation{PromptTokens: []int32{1, 2}, Tokens: []int32{3, 4}, Offsets: []int32{0, 0}, Logprobs: []float32{-5, -5}, Temperature: 1},
		Credit:     rows.Credit{Advantages: []float32{1, -1}, TokenSteps: []int32{0, 0}},
	}
}

// advantages makes a stream of groups.
func advantages(t *testing.T, groups ...[]rows.Advantage) []byte {
	var list []*stream.Batch
	for _, g := range groups {
		list = append(list, rows.Batch(g))
	}
	return trial.Stream(t, rows.Advantages.Schema(), list...)
}

// TestBadRows: what a row holds is the input's fault, found before the first
// step, and no checkpoint comes of it.
func TestBadRows(t *testing.T) {
	nan := float32(math.NaN())
	for _, tc := range []struct {
		change func(r *rows.Advantage)
		want   string
	}{
		{func(r *rows.Advantage) { r.Tokens[1] = 512 }, "token 512 is not in the model's vocabulary of 512"},
		{func(r *rows.Advantage) { r.PromptTokens[0] = -1 }, "token -1 is not in the model's vocabulary of 512"},
		{func(r *rows.Advantage) { r.PromptTokens = nil }, "the prompt has no tokens"},
		{func(r *rows.Advantage) { r.Temperature = 0 }, "temperature is 0"},
		{func(r *rows.Advantage) { r.Temperature = nan }, "temperature is NaN"},
		{func(r *rows.Advantage) { r.Temperature = float32(math.Inf(1)) }, "temperature is +Inf"},
		{func(r *rows.Advantage) { r.Logprobs = r.Logprobs[:1] }, "recorded log-probability: 1 values for 2 tokens"},
		{func(r *rows.Advantage) { r.Advantages = nil }, "advantage: 0 values for 2 tokens"},
		{func(r *rows.Advantage) { r.Advantages[1] = nan }, "token 1: advantage is NaN"},
		{func(r *rows.Advantage) { r.PromptID = "q" }, `prompt "q" in a batch of prompt "b"`},
	} {
		bad := good("b")
		tc.change(&bad)
		in := advantages(t, []rows.Advantage{good("a")}, []rows.Advantage{good("b"), bad})
		for _, more := range [][]string{nil, {"--mini-batch", "1"}, {"--recompute"}} {
			out := filepath.Join(t.TempDir(), "M1")
			r := run(t, in, append(more, "--model", golden.Model(t), "--out", out)...)
			require.Equal(t, 3, r.Status, r.Voice)
			require.Contains(t, r.Voice, "rows: batch 1, row 1: "+tc.want)
			require.NoDirExists(t, out)
			_, err := stream.NewReader(bytes.NewReader(r.Out), "metrics", stream.Limits{}).Next()
			require.Error(t, err)
			require.NotEqual(t, io.EOF, err, "no step was made, nothing is complete")
		}
	}
}

// TestEmpty: a batch without rows is no group, and a response without tokens is
// a row of one; there has to be one token in a step.
func TestEmpty(t *testing.T) {
	mute := good("a")
	mute.Tokens, mute.Offsets, mute.Logprobs, mute.Advantages, mute.TokenSteps = nil, nil, nil, nil, nil
	full := [][]rows.Advantage{{good("a"), mute}, {good("b")}}
	metrics := func(groups [][]rows.Advantage, more ...string) []rows.Metric {
		r := run(t, advantages(t, groups...), append(more, "--model", golden.Model(t), "--out", filepath.Join(t.TempDir(), "M1"))...)
		require.Zero(t, r.Status, r.Voice)
		return slices.Concat(trial.Groups[rows.Metric](t, r.Out)...)
	}
	for _, more := range [][]string{nil, {"--mini-batch", "1"}, {"--recompute"}} {
		want := metrics(full, more...)
		require.Len(t, want, map[bool]int{true: 2, false: 1}[slices.Contains(more, "--mini-batch")])
		require.Equal(t, want, metrics([][]rows.Advantage{nil, full[0], nil, nil, full[1], nil}, more...))
		require.Empty(t, metrics([][]rows.Advantage{nil, nil}, more...))

		out := filepath.Join(t.TempDir(), "M1")
		r := run(t, advantages(t, []rows.Advantage{mute}), append(more, "--model", golden.Model(t), "--out", out)...)
		require.Equal(t, 1, r.Status)
		require.Equal(t, "srar-update: optimiser step 1: no response tokens in 1 rows\n", r.Voice)
		require.NoDirExists(t, out)
	}
}

// TestSettings: a number that means nothing is misuse, and said by its flag.
func TestSettings(t *testing.T) {
	for _, tc := range []struct{ flag, value, want string }{
		{"--dual-clip", "1", "--dual-clip is above 1, not 1"},
		{"--adam-eps", "0", "--adam-eps is above 0, not 0"},
		{"--grad-clip", "Inf", "--grad-clip is above 0, not +Inf"},
		{"--grad-clip", "NaN", "--grad-clip is above 0, not NaN"},
		{"--lr", "NaN", "--lr lies in [0, "},
		{"--beta2", "1", "--beta2 lies in [0, "},
		{"--loss", "ppo", `--loss is one of [pg gspo cispo nll], not "ppo"`},
	} {
		r := run(t, nil, "--model", golden.Model(t), "--out", filepath.Join(t.TempDir(), "M1"), tc.flag, tc.value)
		require.Equal(t, 2, r.Status, tc.flag)
		require.Contains(t, r.Voice, tc.want)
	}
}

// TestInterrupt: an update that was interrupted makes no checkpoint, though its
// input is complete meanwhile.
func TestInterrupt(t *testing.T) {
	in := advantages(t, []rows.Advantage{good("a")}, []rows.Advantage{good("b")})
	dir := t.TempDir()
	c := trial.Process{ // with so many steps that it hears the signal first, however busy the machine is
		Args: []string{"srar-update", "--quiet", "--model", golden.Model(t), "--out", filepath.Join(dir, "M1"), "--mini-batch", "1", "--epochs", "50"},
	}.Command(trial.Within(t, trial.Patience))
	stdin, err := c.StdinPipe()
	require.NoError(t, err)
	var voice bytes.Buffer
	c.Stderr = &voice
	stdout, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	_, err = stdin.Write(in[:len(in)-8])
	require.NoError(t, err)
	_, err = io.ReadFull(stdout, make([]byte, 8)) // it has begun
	require.NoError(t, err)
	time.Sleep(300 * time.Millisecond) // and waits for the end of its input
	require.NoError(t, c.Process.Signal(os.Interrupt))
	time.Sleep(300 * time.Millisecond) // within the time that a run has to stop
	stdin.Write(in[len(in)-8:])
	stdin.Close()
	require.Error(t, c.Wait())
	require.Equal(t, 130, c.ProcessState.ExitCode())
	require.Equal(t, "srar-update: interrupted\n", voice.String())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}
