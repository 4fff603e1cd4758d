package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"srar/lib/ckpt"
	"srar/lib/golden"
	"srar/lib/llm"
	"srar/lib/rows"
	"srar/lib/stream"
	"srar/lib/tool"
	"srar/lib/trial"
)

// varied returns n groups of three rows whose tokens and advantages differ.
func varied(n int) [][]rows.Advantage {
	var groups [][]rows.Advantage
	for i := range n {
		var g []rows.Advantage
		for k := range 3 {
			r := good(fmt.Sprint(i))
			r.PromptTokens = []int32{int32(i%50 + 1), 2}
			r.Tokens = []int32{int32(i*7%400 + 3), int32(k + 5), int32(i + k + 9)}[:2+k%2]
			r.Offsets = make([]int32, len(r.Tokens))
			r.TokenSteps = make([]int32, len(r.Tokens))
			r.Logprobs = []float32{-5, -6, -7}[:len(r.Tokens)]
			r.Advantages = []float32{float32(k) - 1, float32(i%3) - 1, 0.5}[:len(r.Tokens)]
			r.Finish = []string{"stop", "stop", "length"}[k]
			g = append(g, r)
		}
		groups = append(groups, g)
	}
	return groups
}

// updated runs the command into a new directory and returns what it told and made.
func updated(t *testing.T, in []byte, args ...string) (metrics []metric, weights string, r trial.Result) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "M1")
	r = trial.Process{Args: slices.Concat([]string{"srar-update", "--model", golden.Model(t), "--out", out, "--lr", "1e-2"}, args), Stdin: in}.Run(t)
	require.Zero(t, r.Status, r.Voice)
	c, err := ckpt.Open(out)
	require.NoError(t, err)
	defer c.Close()
	weights, err = c.Digest()
	require.NoError(t, err)
	left, err := os.ReadDir(filepath.Dir(out))
	require.NoError(t, err)
	require.Len(t, left, 1)
	return slices.Concat(trial.Groups[metric](t, r.Out)...), weights, r
}

// TestMaskTruncated: truncated rows leave the step as if they were not there, and
// are counted; where nothing else is there is no step.
func TestMaskTruncated(t *testing.T) {
	all, kept, cut := varied(3), varied(3), varied(3)
	for i := range kept {
		kept[i] = kept[i][:2]
		cut[i] = cut[i][2:]
	}
	for _, more := range [][]string{nil, {"--mini-batch", "1"}, {"--recompute"}} {
		want, weights, _ := updated(t, advantages(t, kept...), more...)
		got, same, r := updated(t, advantages(t, all...), append(more, "--mask-truncated")...)
		require.Contains(t, r.Voice, "3 truncated rows left out")
		require.Equal(t, weights, same)
		for i := range got {
			require.EqualValues(t, 3/len(got), got[i].Excluded)
			got[i].Excluded, got[i].OtherPolicy = 0, want[i].OtherPolicy
		}
		require.Equal(t, want, got)

		got, same, r = updated(t, advantages(t, cut...), append(more, "--mask-truncated")...)
		require.Contains(t, r.Voice, "all rows are truncated")
		require.Empty(t, got)
		parent, err := ckpt.Open(golden.Model(t))
		require.NoError(t, err)
		defer parent.Close()
		digest, err := parent.Digest()
		require.NoError(t, err)
		require.Equal(t, digest, same)

		got, _, r = updated(t, advantages(t, kept[0], cut[1], kept[2]), "--mask-truncated", "--mini-batch", "1")
		require.Len(t, got, 2)
		require.Contains(t, r.Voice, "1 mini-batches of truncated rows only made no step")
	}
}

// TestOrder: a seed gives every epoch its own order of the groups, the same in
// every run.
func TestOrder(t *testing.T) {
	u := &update{options: &options{}}
	require.Equal(t, []int{0, 1, 2, 3}, u.order(4, 0))
	u.shuffled = true
	require.Equal(t, []int{5, 3, 2, 1, 0, 4, 6, 7}, u.order(8, 0), "as it always was")
	seen := map[string]bool{}
	for _, seed := range []uint64{0, 1, math.MaxUint64} {
		for epoch := range 3 {
			u.shuffle = seed
			list := u.order(100, epoch)
			seen[fmt.Sprint(list)] = true
			slices.Sort(list)
			for i, x := range list {
				require.Equal(t, i, x)
			}
		}
	}
	require.Len(t, seen, 9)
}

// TestShuffle: another order is other steps, the same seed the same ones, and the
// order is only that of steps.
func TestShuffle(t *testing.T) {
	in := advantages(t, varied(6)...)
	straight, one, _ := updated(t, in, "--mini-batch", "2", "--epochs", "2")
	shuffled, two, _ := updated(t, in, "--mini-batch", "2", "--epochs", "2", "--shuffle", "3")
	again, three, _ := updated(t, in, "--mini-batch", "2", "--epochs", "2", "--shuffle", "3")
	require.Len(t, straight, 6)
	require.Equal(t, shuffled, again)
	require.Equal(t, two, three)
	require.NotEqual(t, straight, shuffled)
	require.NotEqual(t, one, two)
	for _, args := range [][]string{{"--shuffle", "1"}, {"--shuffle", "1", "--epochs", "2"}} {
		r := run(t, in, append(args, "--model", golden.Model(t), "--out", filepath.Join(t.TempDir(), "M1"))...)
		require.Equal(t, 2, r.Status)
		require.Contains(t, r.Voice, "--shuffle has no effect")
	}
}

// TestSpool: rows that are on disk give the bytes of those in memory, and nothing
// of the file is left.
func TestSpool(t *testing.T) {
	in := advantages(t, varied(40)...)
	args := []string{"--mini-batch", "4", "--epochs", "2", "--shuffle", "1", "--recompute"}
	want, weights, r := updated(t, in, args...)
	require.NotContains(t, r.Voice, "on disk")
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	plan := run(t, nil, "--model", golden.Model(t), "--dry-run")
	require.Zero(t, plan.Status)
	// Just above what the training takes: next to nothing is left for rows.
	memory := fmt.Sprint(totalOf(t, golden.Model(t)) + spare + 2000)
	got, same, r := updated(t, in, append(args, "--memory", memory)...)
	require.Contains(t, r.Voice, "are on disk, in "+tmp)
	require.Equal(t, want, got)
	require.Equal(t, weights, same)
	left, err := os.ReadDir(tmp)
	require.NoError(t, err)
	require.Empty(t, left)
}

func totalOf(t *testing.T, model string) int64 {
	c, err := ckpt.Open(model)
	require.NoError(t, err)
	defer c.Close()
	n, err := llm.Numerics(c.Config, "auto")
	require.NoError(t, err)
	f, err := llm.Plan{Numerics: n}.Footprint(c)
	require.NoError(t, err)
	return f.Total()
}

// TestStore: what comes back is what went in, wherever it was kept and however
// often it was replaced.
func TestStore(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		s := &store{dir: dir, bound: int64(rapid.IntRange(0, 2000).Draw(t, "bound"))}
		defer s.close()
		floats := rapid.SliceOf(rapid.Float32Range(-10, 10))
		ids := rapid.SliceOf(rapid.Int32Range(-1, 1<<30))
		draw := func(label string) group {
			g := group{batch: rapid.IntRange(0, 1<<40).Draw(t, label), strange: 3, rows: []llm.Row{}}
			for range rapid.IntRange(0, 4).Draw(t, "rows") {
				g.rows = append(g.rows, llm.Row{
					Prompt: ids.Draw(t, "prompt"), Tokens: ids.Draw(t, "tokens"), Temperature: 0.7,
					Old: floats.Draw(t, "old"), Sampled: floats.Draw(t, "sampled"), Ref: floats.Draw(t, "ref"), Advantages: floats.Draw(t, "advantages"),
					Exact: rapid.Bool().Draw(t, "exact"), Masked: rapid.Bool().Draw(t, "masked"),
				})
			}
			return g
		}
		var want []group
		for range rapid.IntRange(1, 8).Draw(t, "groups") {
			want = append(want, draw("batch"))
			require.NoError(t, s.add(want[len(want)-1]))
		}
		for range rapid.IntRange(0, 8).Draw(t, "changes") {
			i := rapid.IntRange(0, len(want)-1).Draw(t, "which")
			want[i] = draw("again")
			require.NoError(t, s.put(i, want[i]))
		}
		require.LessOrEqual(t, s.held, s.bound)
		require.Equal(t, len(want), s.len())
		for i, g := range want {
			got, err := s.get(i)
			require.NoError(t, err)
			require.Equal(t, g, got)
		}
	})
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestLosses: every loss trains through the command; weights of importance
// sampling are 1 where the sampler was exact, and need its log-probabilities.
func TestLosses(t *testing.T) {
	in := advantages(t, varied(3)...)
	seen := map[string]string{}
	for _, args := range []string{
		"--loss pg", "--loss gspo --aggregate seq-mean-token-mean --clip-low 0.9 --clip-high 9", "--loss cispo", "--loss nll", "--tis token", "--tis sequence --tis-cap 3",
		"--loss cispo --tis token --epochs 2", "--loss pg --epochs 2 --tis sequence",
	} {
		m, weights, _ := updated(t, in, strings.Fields(args)...)
		require.Empty(t, seen[weights], "%s is %s", args, seen[weights])
		seen[weights] = args
		if strings.Contains(args, "--tis") {
			require.NotEqual(t, 1.0, m[0].Importance)
			require.LessOrEqual(t, m[0].Importance, 3.0)
			require.Equal(t, 1.0, m[0].RatioMax)
		} else {
			require.Equal(t, 1.0, m[0].Importance)
		}
	}
	none := varied(2)
	none[1][2].Logprobs = nil
	r := run(t, advantages(t, none...), "--tis", "token", "--model", golden.Model(t), "--out", filepath.Join(t.TempDir(), "M1"))
	require.Equal(t, 3, r.Status)
	require.Contains(t, r.Voice, "batch 1, row 2: logprobs are empty: --tis needs those of the sampler")
	for _, args := range []string{"--loss gspo --dual-clip 3", "--loss nll --tis token", "--tis-cap 2", "--loss nll --max-logprob-diff 1"} {
		r := run(t, in, append(strings.Fields(args), "--model", golden.Model(t), "--out", filepath.Join(t.TempDir(), "M1"))...)
		require.Equal(t, 2, r.Status, args)
		require.Contains(t, r.Voice, "has no effect")
	}
}

// history gives a stream of advantages entries of commands.
func history(t *testing.T, groups [][]rows.Advantage, entries ...stream.Entry) []byte {
	s := rows.Advantages.Schema()
	s.History = entries
	var list []*stream.Batch
	for _, g := range groups {
		list = append(list, rows.Batch(g))
	}
	return trial.Stream(t, s, list...)
}

// TestRecordedLogprobs: where this engine sampled the rows with these weights the
// first ratio is 1 or the command fails; otherwise the difference is told, and
// bounded where asked.
func TestRecordedLogprobs(t *testing.T) {
	model := golden.Model(t)
	c, err := ckpt.Open(model)
	require.NoError(t, err)
	defer c.Close()
	digest, err := c.Digest()
	require.NoError(t, err)
	m, err := llm.LoadCPU(c, llm.Trained, "f32", 1)
	require.NoError(t, err)
	defer m.Close()
	exact := varied(3)
	for _, g := range exact {
		for i := range g {
			logp, _, err := m.Score([]llm.Row{{Prompt: g[i].PromptTokens, Tokens: g[i].Tokens, Temperature: 1}})
			require.NoError(t, err)
			g[i].Logprobs, g[i].Policy = logp[0], digest
		}
	}
	ours := stream.Entry{Command: "srar-rollout", Version: tool.Version, Inputs: map[string]string{"model": digest}}
	got, _, r := updated(t, history(t, exact, ours))
	require.Equal(t, []float64{1, 0, 0, 0, 1}, []float64{got[0].RatioMax, got[0].LogprobDiffMean, got[0].LogprobDiffMax, float64(got[0].OtherPolicy), *got[0].LogprobPearson})
	require.NotContains(t, r.Voice, "differ")

	apart := varied(0)
	for _, g := range exact {
		apart = append(apart, slices.Clone(g))
	}
	apart[1][2].Logprobs = slices.Clone(apart[1][2].Logprobs)
	apart[1][2].Logprobs[1] += 0.125
	fails := func(in []byte, args ...string) string {
		out := filepath.Join(t.TempDir(), "M1")
		r := run(t, in, append(args, "--model", model, "--out", out)...)
		require.Equal(t, 1, r.Status, r.Voice)
		require.NoDirExists(t, out)
		return r.Voice
	}
	for _, args := range [][]string{nil, {"--mini-batch", "3"}} {
		voice := fails(history(t, apart, ours), args...)
		require.Contains(t, voice, "batch 1: train: row 2: token 1: log-probability is ")
		require.Contains(t, voice, "by the same weights and arithmetic")
		require.Contains(t, voice, "hint: --recompute")
	}
	scored := stream.Entry{Command: "srar-logprob", Version: tool.Version, Inputs: ours.Inputs}
	require.Contains(t, fails(history(t, apart, stream.Entry{Command: "srar-encode"}, scored)), "same weights")
	// Elsewhere it is told: another engine, version, arithmetic, or no history.
	served := stream.Entry{Command: "srar-rollout", Version: tool.Version, Inputs: map[string]string{"model": digest, "served by vllm": digest}}
	for _, e := range []stream.Entry{
		served, {Command: "srar-rollout", Version: "0", Inputs: ours.Inputs},
		{Command: "srar-rollout", Version: tool.Version, Args: []string{"--compute=bf16"}, Inputs: ours.Inputs},
		{Command: "srar-encode", Version: tool.Version, Inputs: ours.Inputs},
		{Command: "srar-logprob", Version: tool.Version, Args: []string{"--temperature=2"}, Inputs: ours.Inputs},
	} {
		got, _, r := updated(t, history(t, apart, ours, e))
		require.Equal(t, 0.125, got[0].LogprobDiffMax, e)
		require.Contains(t, r.Voice, "differ from this engine's by")
	}
	recomputed, _, _ := updated(t, history(t, apart, ours), "--recompute")
	require.Equal(t, []float64{1, 0.125}, []float64{recomputed[0].RatioMax, recomputed[0].LogprobDiffMax})
	steps, _, _ := updated(t, history(t, apart, ours), "--recompute", "--mini-batch", "1")
	require.Len(t, steps, 3)
	for _, s := range steps {
		require.Equal(t, recomputed[0].LogprobDiffMax, s.LogprobDiffMax)
		require.Equal(t, recomputed[0].LogprobDiffMean, s.LogprobDiffMean)
	}
	for _, args := range [][]string{{"--recompute"}, {"--recompute", "--mini-batch", "1"}, {"--mini-batch", "1"}, nil} {
		require.Contains(t, fails(history(t, apart), append(args, "--max-logprob-diff", "0.1")...), "batch 1: train: row 2: token 1: log-probability is ")
		_, _, _ = updated(t, history(t, apart), append(args, "--max-logprob-diff", "0.2")...)
	}
}

// TestOtherPolicies are counted in each step.
func TestOtherPolicies(t *testing.T) {
	got, _, r := updated(t, advantages(t, varied(4)...), "--mini-batch", "3")
	require.EqualValues(t, 9, got[0].OtherPolicy)
	require.EqualValues(t, 3, got[1].OtherPolicy)
	require.Contains(t, r.Voice, "12 of 12 rows were sampled from another policy")
}

// TestMemory: what does not fit is said before anything is read, with the figures
// of --dry-run; the flags that save memory do, and change no bit.
func TestMemory(t *testing.T) {
	model := golden.Model(t)
	r := run(t, nil, "--model", model, "--dry-run", "--memory", "1G")
	require.Zero(t, r.Status, r.Voice)
	for _, want := range []string{"parameters ", "trained ", "weights ", "gradients ", "moments ", "activations ", "total ", "it fits"} {
		require.Contains(t, string(r.Out), want)
	}
	r = run(t, nil, "--model", model, "--dry-run", "--memory", "1M")
	require.Zero(t, r.Status)
	require.Contains(t, string(r.Out), "it does not fit")
	r = run(t, advantages(t, varied(1)...), "--model", model, "--memory", "1M", "--out", filepath.Join(t.TempDir(), "M1"))
	require.Equal(t, 1, r.Status)
	require.Regexp(t, "training takes .*B, 1MB are there\nhint: less: --checkpoint-activations", r.Voice)

	in := advantages(t, varied(5)...)
	want, weights, _ := updated(t, in)
	for _, more := range [][]string{{"--checkpoint-activations"}, {"--micro-tokens", "1"}, {"--micro-tokens", "7", "--threads", "1"}} {
		got, same, _ := updated(t, in, more...)
		require.Equal(t, want, got)
		require.Equal(t, weights, same)
	}
}

// TestEightBit: an optimiser goes on with the moments that it has.
func TestEightBit(t *testing.T) {
	in := advantages(t, varied(3)...)
	dir := t.TempDir()
	step := func(from, to string, args ...string) trial.Result {
		return run(t, in, append(args, "--model", from, "--out", to, "--lr", "1e-3")...)
	}
	one, two := filepath.Join(dir, "M1"), filepath.Join(dir, "M2")
	require.Zero(t, step(golden.Model(t), one, "--optimizer", "adamw8bit").Status)
	r := step(one, two)
	require.Equal(t, 1, r.Status)
	require.Contains(t, r.Voice, "hint: give the --optimizer of before")
	require.Zero(t, step(one, two, "--optimizer", "adamw8bit").Status)
	f, err := ckpt.OpenFile(filepath.Join(two, "optimizer.safetensors"))
	require.NoError(t, err)
	defer f.Close()
	codes, err := f.Tensor("model.embed_tokens.weight.m")
	require.NoError(t, err)
	require.Equal(t, ckpt.U8, codes.DType)
	_, err = f.Tensor("model.embed_tokens.weight.v.scale")
	require.NoError(t, err)
	norm, err := f.Tensor("model.norm.weight.m")
	require.NoError(t, err)
	require.Equal(t, ckpt.F32, norm.DType)
	require.True(t, bytes.HasPrefix(trial.File(t, filepath.Join(two, "srar.json")), []byte("{\n  \"step\": 2")))
}
