// Package srar_test holds the tests of the whole: the commands as processes,
// the pipes between them, and the order of the rooms.
package srar_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// commands are the main packages, as `make` builds them.
var commands = []string{"./srar-rollout", "./srar-judge", "./srar-reward", "./srar-update", "./srar-eval", "./cmd/..."}

// bin builds the commands once a test run and returns their directory.
// SRAR_RACE=1 builds them with the race detector.
var bin = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "srar-bin-")
	if err != nil {
		panic(err)
	}
	args := []string{"build", "-o", dir + "/"}
	if os.Getenv("SRAR_RACE") == "1" {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, commands...)...).CombinedOutput()
	if err != nil {
		panic("go build: " + string(out))
	}
	return dir
})

func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(bin())
	if shared.dir != "" {
		shared.hold.Close()
		os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// result is how a process ended.
type result struct {
	out, err []byte
	code     int
}

// process is a command to be run: arguments, input, environment, directory.
type process struct {
	args []string
	in   []byte
	env  []string
	dir  string
}

func (p process) command(ctx context.Context) *exec.Cmd {
	c := exec.CommandContext(ctx, filepath.Join(bin(), p.args[0]), p.args[1:]...)
	c.Env = append(append(os.Environ(), "PATH="+bin()+":"+os.Getenv("PATH")), p.env...)
	c.Dir = p.dir
	return c
}

// run runs p to its end; a process that hangs fails the test.
func (p process) run(t testing.TB) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c := p.command(ctx)
	c.Stdin = bytes.NewReader(p.in)
	return finish(t, ctx, c)
}

func finish(t testing.TB, ctx context.Context, c *exec.Cmd) result {
	t.Helper()
	var out, msg bytes.Buffer
	if c.Stdout == nil {
		c.Stdout = &out
	}
	c.Stderr = &msg
	err := c.Run()
	require.NoError(t, ctx.Err(), "%v hangs: %s", c.Args, msg.String())
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return result{out: out.Bytes(), err: msg.Bytes(), code: c.ProcessState.ExitCode()}
}

// must runs p, which has to succeed, and returns what it wrote.
func (p process) must(t testing.TB) []byte {
	t.Helper()
	r := p.run(t)
	require.Zero(t, r.code, "%v: %s", p.args, r.err)
	return r.out
}

func words(s string) []string { return strings.Fields(s) }

// fixture is a directory with a small policy and one artifact of each kind.
type fixture struct {
	dir  string
	url  string    // of the oracle
	hold io.Closer // the oracle's standard input: it ends when that is closed
}

var (
	fixtureOnce sync.Once
	shared      fixture
)

// small returns the fixture, which tests share and do not change.
func small(t testing.TB) fixture {
	t.Helper()
	fixtureOnce.Do(func() {
		dir, err := os.MkdirTemp("", "srar-fixture-")
		require.NoError(t, err)
		shared = fixture{dir: dir}
		shared.url, shared.hold = oracle(t, dir)
		run := func(args string, in []byte) []byte {
			return process{args: words(args), in: in, dir: dir, env: shared.env()}.must(t)
		}
		run("srar-model init --out M0 --seed 1 --hidden 16 --layers 2 --heads 2 --kv-heads 1 --head-dim 8 --intermediate 32", nil)
		problems := run("srar-arith --split train --level small --count 6 --solutions", nil)
		prompts := run("srar-prepare --instruction /dev/null - --save prompts.arrow", problems)
		run("srar-encode --model M0 --save encoded.arrow", prompts)
		rollouts := run("srar-rollout --model M0 -n 3 --max-tokens 24 --save rollouts.arrow", prompts)
		verdicts := run("srar-judge --save verdicts.arrow", rollouts)
		advantages := run("srar-reward --save advantages.arrow", verdicts)
		run("srar-update --model M0 --out M1 --lr 1e-3 --save metrics.arrow", advantages)
		run("srar-eval --save scores.arrow", verdicts)
	})
	require.NotEmpty(t, shared.dir, "the fixture could not be made")
	return shared
}

func (f fixture) env() []string {
	return []string{"JUDGE_URL=" + f.url, "JUDGE_MODEL=oracle"}
}

func (f fixture) read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(f.dir, name))
	require.NoError(t, err)
	return b
}

// oracle starts srar-oracle for as long as the test process lives.
func oracle(t testing.TB, dir string) (url string, hold io.Closer) {
	t.Helper()
	c := process{args: words("srar-oracle --listen 127.0.0.1:0 --until-eof --quiet --url-file url"), dir: dir}.command(context.Background())
	hold, err := c.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	for range 500 {
		if b, err := os.ReadFile(filepath.Join(dir, "url")); err == nil && len(b) > 0 {
			return strings.TrimSpace(string(b)), hold
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("srar-oracle does not say where it listens")
	return "", nil
}
