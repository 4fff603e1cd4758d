package srar_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"srar/lib/trial"
)

// tiny shrinks the recipe of pipelines/train.sh until it takes seconds.
var tiny = words("SOLUTIONS=240 PROBLEMS=12 TESTS=12 N=4 MINI_BATCH=4 MAX_TOKENS=40 FILTER=none")

// train starts the recipe in a process group of its own.
func train(ctx context.Context, t testing.TB, run string, iterations int, env ...string) *exec.Cmd {
	t.Helper()
	script, err := filepath.Abs("pipelines/train.sh")
	require.NoError(t, err)
	c := exec.CommandContext(ctx, script, run, fmt.Sprint(iterations))
	c.Env = trial.Env(slices.Concat(tiny, env)...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	return c
}

func trained(t testing.TB, run string, iterations int, env ...string) string {
	t.Helper()
	ctx := trial.Within(t, trial.Patience)
	r := trial.Finish(ctx, t, train(ctx, t, run, iterations, env...))
	require.Zero(t, r.Status, "%s", r.Voice)
	return string(r.Out)
}

// digests maps every file below dir but the logs to its sha256.
func digests(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "log.jsonl" { // the log has a clock
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		out[name] = fmt.Sprintf("%x", sha256.Sum256(b))
		return err
	}))
	return out
}

func TestPipeThreadsAndRunsGiveTheSameBytes(t *testing.T) {
	dir := t.TempDir()
	table := trained(t, filepath.Join(dir, "a"), 2, "GOMAXPROCS=2")
	trained(t, filepath.Join(dir, "b"), 2, "GOMAXPROCS=1")
	a, b := digests(t, filepath.Join(dir, "a")), digests(t, filepath.Join(dir, "b"))
	require.Contains(t, a, "iter-0002/advantages.arrow")
	require.Contains(t, a, "iter-0002/model/model.safetensors")
	require.Contains(t, a, "eval-0002/scores.arrow")
	require.Equal(t, a, b)
	require.Regexp(t, `(?m)^accuracy +0\.`, table)
	require.Regexp(t, `(?m)^frr +0\.`, table)

	// Again: nothing is done again, the table is the same.
	require.Equal(t, table, trained(t, filepath.Join(dir, "a"), 2))
	require.Equal(t, a, digests(t, filepath.Join(dir, "a")))

	// More iterations go on from there.
	trained(t, filepath.Join(dir, "a"), 3)
	more := digests(t, filepath.Join(dir, "a"))
	for name, sum := range a {
		require.Equal(t, sum, more[name], name)
	}
	require.Contains(t, more, "eval-0003/scores.arrow")

	// Other flags in the same directory are refused.
	ctx := trial.Within(t, trial.Patience)
	r := trial.Finish(ctx, t, train(ctx, t, filepath.Join(dir, "a"), 3, "SEED=5"))
	require.Equal(t, 2, r.Status)
	require.Contains(t, r.Voice, "begun with other flags")
}

// Each stage on the saved artifact of the one before gives what the pipe gave.
func TestPipeStageByStage(t *testing.T) {
	f := small(t)
	dir := t.TempDir()
	for _, c := range []struct{ args, in, want string }{
		{"srar-rollout --model M0 -n 3 --max-tokens 24", "prompts.arrow", "rollouts.arrow"},
		{"srar-judge", "rollouts.arrow", "verdicts.arrow"},
		{"srar-reward", "verdicts.arrow", "advantages.arrow"},
		{"srar-update --model M0 --lr 1e-3 --out " + dir + "/M1", "advantages.arrow", "metrics.arrow"},
		{"srar-eval", "verdicts.arrow", "scores.arrow"},
	} {
		out := filepath.Join(dir, c.want)
		f.process(c.args, nil, "-i", c.in, "-o", out).Must(t)
		require.True(t, bytes.Equal(f.read(t, c.want), trial.File(t, out)), "%s differs", c.want)
	}
	require.Equal(t, digests(t, filepath.Join(f.dir, "M1")), digests(t, filepath.Join(dir, "M1")))
}

// The first ratio is exactly 1: the update computes the rollout's own bits.
func TestPipeRolloutAndUpdateAgreeBitForBit(t *testing.T) {
	f := small(t)
	again := f.process("srar-logprob --model M0 --column again -i rollouts.arrow", nil).Must(t)
	for _, b := range trial.Batches(t, again) {
		was, is := b.Column("logprobs"), b.Column("again")
		require.NotEmpty(t, was.Elem().Float32s())
		require.Equal(t, was.Elem().Float32s(), is.Elem().Float32s())
	}
	for _, b := range trial.Batches(t, f.read(t, "metrics.arrow")) {
		require.Equal(t, []float64{1}, b.Column("ratio_max").Float64s())
		require.Equal(t, []float64{0}, b.Column("logprob_diff_max").Float64s())
	}
}

// killed kills the recipe, or with group everything it started, at moments drawn
// from a seed, then lets it finish, and compares with an undisturbed run.
func killed(t *testing.T, moments int, group bool) {
	dir := t.TempDir()
	start := time.Now()
	trained(t, filepath.Join(dir, "calm"), 2)
	whole := time.Since(start)
	rng := rand.New(rand.NewPCG(1, uint64(moments)))
	run := filepath.Join(dir, "killed")
	for i := range moments {
		at := time.Duration(rng.Float64() * float64(whole))
		ctx, cancel := context.WithCancel(context.Background())
		c := train(ctx, t, run, 2)
		if !group {
			c.Cancel = func() error { return c.Process.Kill() }
		}
		require.NoError(t, c.Start())
		done := make(chan error, 1)
		go func() { done <- c.Wait() }()
		select {
		case err := <-done:
			require.NoError(t, err)
		case <-time.After(at):
			cancel()
			<-done
		}
		cancel()
		t.Logf("moment %d: killed after %v of %v", i, at.Round(time.Millisecond), whole.Round(time.Millisecond))
	}
	trained(t, run, 2)
	// Nothing differs and nothing is left over: what outlived a script was waited for.
	require.Equal(t, digests(t, filepath.Join(dir, "calm")), digests(t, run))
}

func TestPipeKilled(t *testing.T) {
	t.Run("all", func(t *testing.T) { killed(t, 3, true) })
	t.Run("script", func(t *testing.T) { killed(t, 2, false) })
}
