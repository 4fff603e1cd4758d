package srar_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"srar/lib/stream"
)

// law is a command that reads a stream of rows, as the laws see it.
type law struct {
	name  string
	args  string // OUT stands for a path that does not exist yet
	input string // artifact of the fixture that it reads
	rows  bool   // f(A+B) = f(A)+f(B), and unknown columns pass through
}

var laws = []law{
	{"rollout", "srar-rollout --model M0 -n 2 --max-tokens 8", "prompts.arrow", true},
	{"encode", "srar-encode --model M0", "prompts.arrow", true},
	{"logprob", "srar-logprob --model M0 --column ref_logprobs", "rollouts.arrow", true},
	{"judge", "srar-judge", "rollouts.arrow", true},
	{"judge without judge", "srar-judge --no-judge", "rollouts.arrow", true},
	{"retry", "srar-judge --retry-failed", "verdicts.arrow", true},
	{"reward", "srar-reward", "verdicts.arrow", true},
	{"reward rar", "srar-reward --estimator rar", "verdicts.arrow", true},
	{"cat", "srar-cat --to arrow", "advantages.arrow", true},
	{"update", "srar-update --model M0 --out OUT", "advantages.arrow", false},
	{"update nll", "srar-update --loss nll --model M0 --out OUT --mini-batch 2", "encoded.arrow", false},
	{"eval", "srar-eval --k 1,2", "verdicts.arrow", false},
	{"eval judge", "srar-eval --judge", "verdicts.arrow", false},
}

// with returns the command as a process on input, writing what it makes to a
// fresh directory.
func (l law) with(t testing.TB, f fixture, in []byte, more ...string) process {
	args := words(strings.ReplaceAll(l.args, "OUT", filepath.Join(t.TempDir(), "out")))
	return process{args: append(args, more...), in: in, dir: f.dir, env: f.env()}
}

func eachLaw(t *testing.T, test func(t *testing.T, l law, f fixture)) {
	f := small(t)
	for _, l := range laws {
		t.Run(l.name, func(t *testing.T) { test(t, l, f) })
	}
}

// batches reads a complete stream.
func batches(t testing.TB, b []byte) []*stream.Batch {
	t.Helper()
	r := stream.NewReader(bytes.NewReader(b), "stream", stream.Limits{})
	var out []*stream.Batch
	for {
		b, err := r.Next()
		if err == io.EOF {
			return out
		}
		require.NoError(t, err)
		out = append(out, b)
	}
}

// complete reports whether b is one complete stream or several.
func complete(b []byte) bool {
	r := stream.NewReader(bytes.NewReader(b), "stream", stream.Limits{})
	for {
		if _, err := r.Next(); err != nil {
			return err == io.EOF
		}
	}
}

// written makes a stream of the batches under the schema.
func written(t testing.TB, s *stream.Schema, list ...*stream.Batch) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := stream.NewWriter(&buf, s, stream.Options{})
	require.NoError(t, err)
	for _, b := range list {
		require.NoError(t, w.Write(b))
	}
	require.NoError(t, w.Close())
	return buf.Bytes()
}

func schemaOf(t testing.TB, b []byte) *stream.Schema {
	t.Helper()
	s, err := stream.NewReader(bytes.NewReader(b), "stream", stream.Limits{}).Schema()
	require.NoError(t, err)
	return s
}

// json renders rows for comparison; the order of columns counts.
func asJSON(b *stream.Batch) string {
	var out []byte
	for i := range b.Len() {
		for _, f := range b.Schema().Fields {
			out = append(out, f.Name...)
			out = append(out, '=')
			out = b.Column(f.Name).AppendJSON(out, i)
			out = append(out, ' ')
		}
		out = append(out, '\n')
	}
	return string(out)
}

func TestLawCuttingTheInputChangesNothing(t *testing.T) {
	eachLaw(t, func(t *testing.T, l law, f fixture) {
		in := f.read(t, l.input)
		want := l.with(t, f, in).must(t)
		for _, size := range []int{1, 7, 4093} {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			c := l.with(t, f, nil).command(ctx)
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
			r := finish(t, ctx, c)
			require.Zero(t, r.code, "%s", r.err)
			require.True(t, bytes.Equal(want, r.out), "pieces of %d bytes change the output", size)
		}
	})
}

func TestLawEmptyStreamInEmptyStreamOut(t *testing.T) {
	eachLaw(t, func(t *testing.T, l law, f fixture) {
		s := schemaOf(t, f.read(t, l.input))
		out := l.with(t, f, written(t, s)).must(t)
		for _, b := range batches(t, out) {
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
			r := l.with(t, f, in[:n], "--save", save).run(t)
			require.Equal(t, 3, r.code, "cut at %d of %d: %s", n, len(in), r.err)
			require.False(t, complete(r.out), "cut at %d: the output has its end marker", n)
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
			require.Zero(t, l.with(t, f, append(bytes.Clone(in), in...)).run(t).code)
			return
		}
		s, all := schemaOf(t, in), batches(t, in)
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
		a, b := written(t, s, all[:half]...), written(t, s, all[half:]...)
		text := func(in []byte) string {
			var out strings.Builder
			for _, b := range batches(t, l.with(t, f, in).must(t)) {
				out.WriteString(asJSON(b))
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
		for _, b := range batches(t, in) {
			note := make([]string, b.Len())
			for i := range note {
				note[i] = fmt.Sprintf("%s %d", b.Column("prompt_id").Text(i), n)
			}
			n++
			list = append(list, b.With(stream.Named{Name: "x_note", Column: stream.NewTexts(note, nil)}))
		}
		s := schemaOf(t, in)
		out := l.with(t, f, written(t, s.With(s.RowKind, list[0].Schema().Fields[len(s.Fields)]), list...)).must(t)
		if !l.rows {
			require.True(t, complete(out))
			return
		}
		got := batches(t, out)
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
		want := l.with(t, f, in).must(t)
		for _, whole := range []bool{false, true} {
			save := filepath.Join(t.TempDir(), "saved.arrow")
			more := []string{"--save", save}
			if whole {
				more = append(more, "--whole")
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			p := l.with(t, f, nil, more...)
			c := p.command(ctx)
			c.Stdin = bytes.NewReader(in)
			r, w, err := os.Pipe()
			require.NoError(t, err)
			require.NoError(t, r.Close())
			c.Stdout = w
			res := finish(t, ctx, c)
			w.Close()
			require.Zero(t, res.code, "%s", res.err)
			got, err := os.ReadFile(save)
			require.NoError(t, err)
			require.True(t, complete(got))
			if whole {
				require.True(t, bytes.Equal(want, got), "--whole saved less than all")
			}
		}
	})
}

func TestLawClosedStdin(t *testing.T) {
	eachLaw(t, func(t *testing.T, l law, f fixture) {
		p := l.with(t, f, nil)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		c := exec.CommandContext(ctx, "sh", append([]string{"-c", `exec "$@" <&-`, "sh"}, p.command(ctx).Args...)...)
		c.Env, c.Dir = p.command(ctx).Env, p.dir
		r := finish(t, ctx, c)
		require.Equal(t, 3, r.code, "%s", r.err)
		require.False(t, complete(r.out))
	})
}

func TestLawFullDisk(t *testing.T) {
	eachLaw(t, func(t *testing.T, l law, f fixture) {
		dir := t.TempDir()
		p := l.with(t, f, nil, "-o", filepath.Join(dir, "out.arrow"))
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		// No file of this process may grow beyond 0 blocks.
		c := exec.CommandContext(ctx, "bash", append([]string{"-c", `ulimit -f 0; exec "$@"`, "bash"}, p.command(ctx).Args...)...)
		c.Env, c.Dir = p.command(ctx).Env, p.dir
		c.Stdin = bytes.NewReader(f.read(t, l.input))
		r := finish(t, ctx, c)
		require.Equal(t, 1, r.code, "%s", r.err)
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left)
		require.Contains(t, string(r.err), "file too large")
	})
}

// Output to a device that is full fails as well, without an end marker.
func TestLawFullDevice(t *testing.T) {
	eachLaw(t, func(t *testing.T, l law, f fixture) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		c := l.with(t, f, nil).command(ctx)
		c.Stdin = bytes.NewReader(f.read(t, l.input))
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		require.NoError(t, err)
		defer full.Close()
		c.Stdout = full
		r := finish(t, ctx, c)
		require.Equal(t, 1, r.code, "%s", r.err)
	})
}

func TestLawThreadsChangeNothing(t *testing.T) {
	eachLaw(t, func(t *testing.T, l law, f fixture) {
		in := f.read(t, l.input)
		one, two := l.with(t, f, in), l.with(t, f, in)
		one.env = append(one.env, "GOMAXPROCS=1")
		two.env = append(two.env, "GOMAXPROCS=2")
		require.True(t, bytes.Equal(one.must(t), two.must(t)))
	})
}
