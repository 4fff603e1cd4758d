// Package trial runs the commands as processes and reads and writes their
// streams, for tests.
package trial

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Build builds the commands of the packages, with the race detector where
// SRAR_RACE is 1, into a new directory, puts that first in PATH and returns it.
// It is for TestMain, and panics when the commands cannot be built.
func Build(packages ...string) (dir string) {
	dir, err := os.MkdirTemp("", "srar-bin-")
	if err != nil {
		panic(err)
	}
	args := []string{"build", "-o", dir + "/"}
	if os.Getenv("SRAR_RACE") == "1" {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, packages...)...).CombinedOutput(); err != nil {
		panic("go build: " + string(out))
	}
	if err := os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH")); err != nil {
		panic(err)
	}
	return dir
}

// Process is a command to be run.
type Process struct {
	Args  []string // the name, which PATH leads to, and the arguments
	Stdin []byte
	Env   []string // see Env
	Dir   string   // "" for that of the test
}

// Result is how a process ended.
type Result struct {
	Out    []byte // standard output; nil when empty
	Voice  string // standard error
	Status int    // exit status; -1 when a signal ended it
}

// Env returns the environment of a process: the test's, in which nobody names a
// judge, and more.
func Env(more ...string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "JUDGE_") {
			env = append(env, v)
		}
	}
	return append(env, more...)
}

// Patience is how long a test waits for a process before it takes it to hang. Busy
// machines are slow, and go test has a limit of its own.
const Patience = 5 * time.Minute

// Within returns a context that ends after d, or with the test.
func Within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// Command returns the process before it starts. It is killed when ctx ends. Its
// standard input is open to change where Stdin is nil.
func (p Process) Command(ctx context.Context) *exec.Cmd {
	c := exec.CommandContext(ctx, p.Args[0], p.Args[1:]...)
	c.Env, c.Dir = Env(p.Env...), p.Dir
	if p.Stdin != nil {
		c.Stdin = bytes.NewReader(p.Stdin)
	}
	return c
}

// Run runs the process to its end; one that hangs fails the test.
func (p Process) Run(t testing.TB) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	c := p.Command(ctx)
	c.Stdin = bytes.NewReader(p.Stdin) // a pipe even when empty
	return Finish(ctx, t, c)
}

// Must runs the process, which has to succeed, and returns what it wrote.
func (p Process) Must(t testing.TB) []byte {
	t.Helper()
	r := p.Run(t)
	require.Zero(t, r.Status, "%v: %s", p.Args, r.Voice)
	return r.Out
}

// Finish runs a command of ctx to its end; one that hangs, until ctx ends, fails
// the test. The output is collected where the command has no place for it yet.
func Finish(ctx context.Context, t testing.TB, c *exec.Cmd) Result {
	t.Helper()
	var out, voice bytes.Buffer
	if c.Stdout == nil {
		c.Stdout = &out
	}
	c.Stderr = &voice
	err := c.Run()
	require.NoError(t, ctx.Err(), "%v hangs: %s", c.Args, &voice)
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	r := Result{Voice: voice.String(), Status: c.ProcessState.ExitCode()}
	if out.Len() > 0 {
		r.Out = out.Bytes()
	}
	return r
}

// File reads a file.
func File(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}
