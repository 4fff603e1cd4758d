package tool

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"srar/lib/rows"
	"srar/lib/stream"
)

// The test binary is also the command it tests: with this variable set it runs
// the subject.
const subjectEnv = "SRAR_TOOL_SUBJECT"

const subjectUsage = `usage: subject [flags] [WORD...]

  --end HOW   how it ends
  --grace D   how long an interrupted run may take
  --n N       a number
` + StreamUsage

var subject = Command{Name: "subject", Usage: subjectUsage, Streams: InOut, Setup: func(t *Tool) func(context.Context) error {
	end := t.Flags.String("end", "", "")
	t.Flags.Int("n", 0, "")
	t.Flags.DurationVar(&grace, "grace", grace, "")
	t.Unrecorded("end", "grace")
	// interrupted says when the run is under way, waits for a signal, and says
	// that it has heard it.
	interrupted := func(ctx context.Context) {
		fmt.Println("ready")
		<-ctx.Done()
		fmt.Println("heard")
	}
	return func(ctx context.Context) error {
		switch *end {
		case "words":
			w, err := t.Text()
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%q %v\n", t.Args(), t.Entry().Args)
			return nil
		case "fail":
			return errors.New("it did not\nwork")
		case "usage":
			return WithHint(Usagef("that is wrong"), "do %s", "this")
		case "input":
			return fmt.Errorf("reading: %w", WithHint(Inputf("that is broken"), "mend it"))
		case "wait":
			interrupted(ctx)
			return ctx.Err()
		case "deaf":
			interrupted(ctx)
			select {}
		case "through": // its work is done before it notices
			interrupted(ctx)
			return half(t, nil)
		case "naming": // at its last work, which takes longer than a signal grants
			return t.Finish(ctx, func(stop func() error) error {
				interrupted(ctx)
				time.Sleep(100 * grace)
				t.Warnf("taken away")
				return stop()
			})
		case "half": // an output that is begun and then lost
			return half(t, errors.New("lost"))
		case "summary":
			t.Summarize([]string{"one of one", "two of two"}, map[string]int{"n": 1})
			return nil
		case "rows":
			return half(t, nil)
		case "progress":
			t.Progress(func() string { return "busy" })
			t.Logf("done")
			return nil
		}
		return t.NoArgs()
	}
}}

func half(t *Tool, err error) error {
	out, e := t.Output(rows.Metrics.Schema())
	if e != nil {
		return e
	}
	return errors.Join(out.Write(rows.Batch([]rows.Metric{{Step: 1}})), err)
}

func TestMain(m *testing.M) {
	if os.Getenv(subjectEnv) != "" {
		Main(subject)
	}
	os.Exit(m.Run())
}

func command(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), subjectEnv+"=1")
	return c
}

func play(t *testing.T, args ...string) (out, msg string, code int) {
	t.Helper()
	c := command(args...)
	var o, e bytes.Buffer
	c.Stdout, c.Stderr = &o, &e
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return o.String(), e.String(), c.ProcessState.ExitCode()
}

func TestExitCodesAndVoice(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		msg  string
	}{
		{"", 0, ""},
		{"--end fail", 1, "subject: it did not; work\n"},
		{"--end usage", 2, "subject: that is wrong\nhint: do this\n"},
		{"--end input", 3, "subject: reading: that is broken\nhint: mend it\n"},
		{"--nothing", 2, "subject: no such flag: --nothing\n"},
		{"--n x", 2, "subject: invalid value \"x\" for flag -n: parse error\n"},
		{"--n", 2, "subject: flag needs an argument: -n\n"},
		{"word", 2, "subject: unexpected operand \"word\"\n"},
		{"--log loud", 2, "subject: --log is text or json, not \"loud\"\n"},
		{"--compress lz4", 2, "subject: --compress is zstd, not \"lz4\"\n"},
		{"--whole", 2, "subject: --whole completes the file of --save, which is missing\n"},
		{"--quiet --end fail", 1, "subject: it did not; work\n"},
		{"--end progress", 0, "subject: done\n"},
		{"--end progress --quiet", 0, ""},
		{"--end summary", 0, "subject: one of one\nsubject: two of two\n"},
		{"--end summary --quiet", 0, ""},
		{"--end summary --quiet --log json", 0, ""},
	} {
		_, msg, code := play(t, strings.Fields(c.args)...)
		require.Equal(t, c.code, code, "%s: %s", c.args, msg)
		require.Equal(t, c.msg, msg, c.args)
	}
	_, msg, _ := play(t, "--log", "json", "--end", "usage")
	require.Regexp(t, `^\{"time":"[^"]+Z","level":"error","command":"subject","message":"that is wrong"\}\n\{"time":"[^"]+Z","level":"hint","command":"subject","message":"do this"\}\n$`, msg)
	_, msg, _ = play(t, "--log", "json", "--end", "summary")
	require.Regexp(t, `^\{"time":"[^"]+Z","level":"info","command":"subject","message":"one of one; two of two","summary":\{"n":1\}\}\n$`, msg)
}

func TestHelpAndVersion(t *testing.T) {
	out, msg, code := play(t, "--n", "3", "--help")
	require.Equal(t, subjectUsage, out)
	require.Empty(t, msg)
	require.Zero(t, code)
	out, _, code = play(t, "--version")
	require.True(t, strings.HasPrefix(out, "subject "+Version+" "), out)
	require.Zero(t, code)
}

// Operands and flags come in any order; the history knows the flags that say
// what was computed, sorted, and no others.
func TestArguments(t *testing.T) {
	for args, want := range map[string]string{
		"a b --end words":                  `["a" "b"] []`,
		"a --end words b --n 3":            `["a" "b"] [-n=3]`,
		"--end words -- --n 3":             `["--n" "3"] []`,
		"--end=words -n=4 --quiet c --n=5": `["c"] [-n=5]`,
	} {
		out, msg, code := play(t, strings.Fields(args)...)
		require.Zero(t, code, msg)
		require.Equal(t, want+"\n", out, args)
	}
}

func TestSignals(t *testing.T) {
	const short, never = "--grace=10ms", "--grace=1h"
	usual := "--grace=" + grace.String()
	for _, c := range []struct {
		end, grace string
		sigs       []syscall.Signal
		code       int
		said       string
	}{
		{"wait", never, []syscall.Signal{syscall.SIGINT}, 130, "subject: interrupted\n"},
		{"wait", never, []syscall.Signal{syscall.SIGTERM}, 143, "subject: terminated\n"},
		{"deaf", usual, []syscall.Signal{syscall.SIGTERM}, 143, "subject: terminated\n"},
		{"deaf", never, []syscall.Signal{syscall.SIGINT, syscall.SIGINT}, 130, "subject: interrupted\n"},
		{"through", never, []syscall.Signal{syscall.SIGTERM}, 0, ""},
		{"naming", short, []syscall.Signal{syscall.SIGTERM}, 143, "subject: warning: taken away\nsubject: terminated\n"},
		{"naming", never, []syscall.Signal{syscall.SIGINT, syscall.SIGINT}, 130, "subject: interrupted\n"},
	} {
		saved := filepath.Join(t.TempDir(), "saved.arrow")
		cmd := command("--end", c.end, c.grace, "-o", saved)
		var voice strings.Builder
		cmd.Stderr = &voice
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		said := bufio.NewScanner(out)
		for _, s := range c.sigs { // each when the one before has arrived
			require.True(t, said.Scan(), "%s: %v", c.end, said.Err())
			require.NoError(t, cmd.Process.Signal(s))
		}
		for said.Scan() {
		}
		err = cmd.Wait()
		require.Equal(t, c.code == 0, err == nil)
		require.Equal(t, c.code, cmd.ProcessState.ExitCode())
		require.Equal(t, c.said, voice.String())
		if c.code == 0 {
			require.FileExists(t, saved)
		} else {
			require.NoFileExists(t, saved)
		}
	}
}

// Files of a run that fails do not appear; those of one that works do, whole.
func TestOutputsAreWholeOrAbsent(t *testing.T) {
	dir := t.TempDir()
	out, save := filepath.Join(dir, "out.arrow"), filepath.Join(dir, "save.arrow")
	_, _, code := play(t, "--end", "half", "-o", out, "--save", save)
	require.Equal(t, 1, code)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)

	std, _, code := play(t, "--end", "half")
	require.Equal(t, 1, code)
	_, err = readAll(stream.NewReader(strings.NewReader(std), "stdout", stream.Limits{}))
	require.ErrorIs(t, err, stream.ErrEarly)

	_, _, code = play(t, "--end", "rows", "-o", out, "--save", save, "--compress", "zstd")
	require.Zero(t, code)
	for _, path := range []string{out, save} {
		r, err := stream.Open(path)
		require.NoError(t, err)
		n, err := readAll(r)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		s, err := r.Schema()
		require.NoError(t, err)
		require.Equal(t, []stream.Entry{{Command: "subject", Version: Version, Args: []string{}, Inputs: map[string]string{}}}, s.History)
		require.NoError(t, r.Close())
	}
}

func readAll(r *stream.Reader) (rows int, err error) {
	for {
		b, err := r.Next()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		rows += b.Len()
	}
}

// A flag that the usage text does not name is our own mistake.
func TestUsageNamesEveryFlag(t *testing.T) {
	require.PanicsWithValue(t, "tool: usage of bad does not name --secret", func() {
		run(Command{Name: "bad", Usage: subjectUsage, Setup: func(t *Tool) func(context.Context) error {
			t.Flags.Bool("secret", false, "")
			return nil
		}}, nil)
	})
}
