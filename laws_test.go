package srar_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/cpu"

	"srar/lib/op"
	"srar/lib/stream"
	"srar/lib/trial"
)

// law is a command that reads a stream of rows, as the laws see it.
type law struct {
	name  string
	args  string // OUT stands for a path that does not exist yet
	input string // artifact of the fixture that it reads
	rows  bool   // f(A+B) = f(A)+f(B), and unknown columns pass through
}

// computes reports whether the command runs the engine.
func (l law) computes() bool {
	for _, name := range []string{"srar-rollout ", "srar-logprob ", "srar-update "} {
		if strings.HasPrefix(l.args, name) {
			return true
		}
	}
	return false
}

var laws = []law{
	{"rollout", "srar-rollout --model M0 -n 2 --max-tokens 8", "prompts.arrow", true},
	{"encode", "srar-encode --model M0", "prompts.arrow", true},
	{"rollout bf16", "srar-rollout --model M0 --compute bf16 -n 2 --max-tokens 8", "prompts.arrow", true},
	{"logprob", "srar-logprob --model M0 --column ref_logprobs", "rollouts.arrow", true},
	{"logprob bf16", "srar-logprob --model M0 --compute bf16 --column ref_logprobs", "rollouts.arrow", true},
	{"judge", "srar-judge", "rollouts.arrow", true},
	{"judge without judge", "srar-judge --no-judge", "rollouts.arrow", true},
	{"retry", "srar-judge --retry-failed", "verdicts.arrow", true},
	{"reward", "srar-reward", "verdicts.arrow", true},
	{"reward rar", "srar-reward --estimator rar", "verdicts.arrow", true},
	{"cat", "srar-cat --to arrow", "advantages.arrow", true},
	{"update", "srar-update --model M0 --out OUT", "advantages.arrow", false},
	{"update bf16", "srar-update --model M0 --compute bf16 --out OUT", "advantages.arrow", false},
	{"update nll", "srar-update --loss nll --model M0 --out OUT --mini-batch 2", "encoded.arrow", false},
	{"eval", "srar-eval --k 1,2", "verdicts.arrow", false},
	{"eval judge", "srar-eval --judge", "verdicts.arrow", false},
}

// with returns the command as a process on input, writing what it makes to a
// fresh directory.
func (l law) with(t testing.TB, f fixture, in []byte, more ...string) trial.Process {
	return f.process(strings.ReplaceAll(l.args, "OUT", filepath.Join(t.TempDir(), "out")), in, more...)
}

func eachLaw(t *testing.T, test func(t *testing.T, l law, f fixture)) {
	f := small(t)
	for _, l := range laws {
		t.Run(l.name, func(t *testing.T) { test(t, l, f) })
	}
}

func TestLawCuttingTheInputChangesNothing(t *testing.T) {
	eachLaw(t, func(t *testing.T, l law, f fixture) {
		in := f.read(t, l.input)
		want := l.with(t, f, in).Must(t)
		for _, size := range []int{1, 7, 4093} {
			ctx := trial.Within(t, trial.Patience)
			c := l.with(t, f, nil).Command(ctx)
			w, err := c.StdinPipe()
			require.NoError(t, err)
			go func() {
				defer w.Close()
				for rest := in; len(rest) > 0; {
					n := min(size, len(rest))
					if _, err := w.Write(rest[:n]); err != nil {
						return
					}
					rest = rest[n:]
				}
			}()
			r := trial.Finish(ctx, t, c)
			require.Zero(t, r.Status, "%s", r.Voice)
			require.True(t, bytes.Equal(want, r.Out), "pieces of %d bytes change the output", size)
		}
	})
}

func TestLawEmptyStreamInEmptyStreamOut(t *testing.T) {
	eachLaw(t, func(t *testing.T, l law, f fixture) {
		s := trial.Schema(t, f.read(t, l.input))
		out := l.with(t, f, trial.Stream(t, s)).Must(t)
		for _, b := range trial.Batches(t, out) {
			require.Zero(t, b.Len())
		}
	})
}

func TestLawTruncatedInputFails(t *testing.T) {
	eachLaw(t, func(t *testing.T, l law, f fixture) {
		in := f.read(t, l.input)
		cuts := []int{0, 1, 4, 8, len(in) - 1, len(in) - 4, len(in) - 8, len(in) - 9}
		for i := 1; i < 24; i++ {
			cuts = append(cuts, i*len(in)/24)
		}
		for _, n := range cuts {
			dir := t.TempDir()
			save := filepath.Join(dir, "saved.arrow")
			r := l.with(t, f, in[:n], "--save", save).Run(t)
			require.Equal(t, 3, r.Status, "cut at %d of %d: %s", n, len(in), r.Voice)
			require.True(t, trial.Unfinished(r.Out), "cut at %d: the output has its end marker", n)
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Empty(t, left, "cut at %d", n)
		}
	})
}

func TestLawConcatenation(t *testing.T) {
	eachLaw(t, func(t *testing.T, l law, f fixture) {
		in := f.read(t, l.input)
		if !l.rows {
			require.Zero(t, l.with(t, f, append(bytes.Clone(in), in...)).Run(t).Status)
			return
		}
		s, all := trial.Schema(t, in), trial.Batches(t, in)
		half := len(all) / 2
		if half == 0 { // one batch of several rows: prompts
			rows := all[0]
			a, b := []int{}, []int{}
			for i := range rows.Len() {
				if i < 2 {
					a = append(a, i)
				} else {
					b = append(b, i)
				}
			}
			all, half = []*stream.Batch{rows.Take(a), rows.Take(b)}, 1
		}
		a, b := trial.Stream(t, s, all[:half]...), trial.Stream(t, s, all[half:]...)
		text := func(in []byte) string {
			var out strings.Builder
			for _, b := range trial.Batches(t, l.with(t, f, in).Must(t)) {
				out.WriteString(trial.Text(b))
			}
			return out.String()
		}
		require.Equal(t, text(a)+text(b), text(append(a, b...)))
	})
}

func TestLawUnknownColumnsSurvive(t *testing.T) {
	eachLaw(t, func(t *testing.T, l law, f fixture) {
		in := f.read(t, l.input)
		var list []*stream.Batch
		n := 0
		for _, b := range trial.Batches(t, in) {
			note := make([]string, b.Len())
			for i := range note {
				note[i] = fmt.Sprintf("%s %d", b.Column("prompt_id").Text(i), n)
			}
			n++
			list = append(list, b.With(stream.Named{Name: "x_note", Column: stream.NewTexts(note, nil)}))
		}
		s := trial.Schema(t, in)
		out := l.with(t, f, trial.Stream(t, s.With(s.RowKind, list[0].Schema().Fields[len(s.Fields)]), list...)).Must(t)
		if !l.rows {
			require.True(t, trial.Complete(out))
			return
		}
		got := trial.Batches(t, out)
		require.NotEmpty(t, got)
		for _, b := range got {
			require.NotNil(t, b.Column("x_note"))
			for i := range b.Len() {
				require.True(t, strings.HasPrefix(b.Column("x_note").Text(i), b.Column("prompt_id").Text(i)+" "))
			}
		}
	})
}

// A reader that has enough is no failure: exit 0, and what was saved is a
// complete stream; with --whole it is all of it.
func TestLawClosedDownstream(t *testing.T) {
	eachLaw(t, func(t *testing.T, l law, f fixture) {
		in := f.read(t, l.input)
		want := l.with(t, f, in).Must(t)
		for _, whole := range []bool{false, true} {
			save := filepath.Join(t.TempDir(), "saved.arrow")
			more := []string{"--save", save}
			if whole {
				more = append(more, "--whole")
			}
			ctx := trial.Within(t, trial.Patience)
			c := l.with(t, f, in, more...).Command(ctx)
			r, w, err := os.Pipe()
			require.NoError(t, err)
			require.NoError(t, r.Close())
			c.Stdout = w
			res := trial.Finish(ctx, t, c)
			w.Close()
			require.Zero(t, res.Status, "%s", res.Voice)
			got := trial.File(t, save)
			require.True(t, trial.Complete(got))
			if whole {
				require.True(t, bytes.Equal(want, got), "--whole saved less than all")
			}
		}
	})
}

func TestLawClosedStdin(t *testing.T) {
	eachLaw(t, func(t *testing.T, l law, f fixture) {
		p := l.with(t, f, nil)
		ctx := trial.Within(t, trial.Patience)
		c := exec.CommandContext(ctx, "sh", append([]string{"-c", `exec "$@" <&-`, "sh"}, p.Args...)...)
		c.Env, c.Dir = trial.Env(p.Env...), p.Dir
		r := trial.Finish(ctx, t, c)
		require.Equal(t, 3, r.Status, "%s", r.Voice)
		require.True(t, trial.Unfinished(r.Out))
	})
}

func TestLawFullDisk(t *testing.T) {
	eachLaw(t, func(t *testing.T, l law, f fixture) {
		dir := t.TempDir()
		p := l.with(t, f, nil, "-o", filepath.Join(dir, "out.arrow"))
		ctx := trial.Within(t, trial.Patience)
		// No file of this process may grow beyond 0 blocks.
		c := exec.CommandContext(ctx, "bash", append([]string{"-c", `ulimit -f 0; exec "$@"`, "bash"}, p.Args...)...)
		c.Env, c.Dir = trial.Env(p.Env...), p.Dir
		c.Stdin = bytes.NewReader(f.read(t, l.input))
		r := trial.Finish(ctx, t, c)
		require.Equal(t, 1, r.Status, "%s", r.Voice)
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left)
		require.Contains(t, r.Voice, "file too large")
	})
}

// Output to a device that is full fails as well, without an end marker.
func TestLawFullDevice(t *testing.T) {
	eachLaw(t, func(t *testing.T, l law, f fixture) {
		ctx := trial.Within(t, trial.Patience)
		c := l.with(t, f, f.read(t, l.input)).Command(ctx)
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		require.NoError(t, err)
		defer full.Close()
		c.Stdout = full
		r := trial.Finish(ctx, t, c)
		require.Equal(t, 1, r.Status, "%s", r.Voice)
	})
}

func TestLawThreadsChangeNothing(t *testing.T) {
	eachLaw(t, func(t *testing.T, l law, f fixture) {
		in := f.read(t, l.input)
		one, two := l.with(t, f, in), l.with(t, f, in)
		one.Env = append(one.Env, "GOMAXPROCS=1")
		two.Env = append(two.Env, "GOMAXPROCS=2")
		require.True(t, bytes.Equal(one.Must(t), two.Must(t)))
	})
}

// Every tier of the CPU that this machine has gives the same bytes; one that it
// lacks, or that does not exist, is refused.
func TestLawTiersChangeNothing(t *testing.T) {
	avx512 := cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL
	tiers := map[string]bool{
		"generic":     true,
		"avx2":        cpu.X86.HasAVX2 && cpu.X86.HasFMA,
		"avx512":      avx512,
		"avx512_bf16": avx512 && cpu.X86.HasAVX512BF16,
		"mmx":         false,
	}
	t.Run("amx_bf16", func(t *testing.T) { // what lib/op has tested, since the kernel decides too
		t.Setenv("SRAR_CPU", "amx_bf16")
		be, err := op.NewCPU(1, op.BF16)
		if tiers["amx_bf16"] = err == nil; err != nil {
			t.Log(err)
			return
		}
		be.Close()
	})
	eachLaw(t, func(t *testing.T, l law, f fixture) {
		if !l.computes() {
			return
		}
		in := f.read(t, l.input)
		want := l.with(t, f, in).Must(t)
		for tier, have := range tiers {
			p := l.with(t, f, in)
			p.Env = append(p.Env, "SRAR_CPU="+tier)
			r := p.Run(t)
			if !have {
				require.Equal(t, 1, r.Status, tier)
				require.Contains(t, r.Voice, tier)
				continue
			}
			require.Zero(t, r.Status, "%s: %s", tier, r.Voice)
			require.True(t, bytes.Equal(want, r.Out), tier)
		}
	})
}
