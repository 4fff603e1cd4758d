package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"srar/lib/arith"
	"srar/lib/trial"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"srar-arith": main})
}

// command is srar-arith before it starts.
func command(t *testing.T, args ...string) *exec.Cmd {
	return process(args...).Command(trial.Within(t, trial.Patience))
}

func process(args ...string) trial.Process {
	return trial.Process{Args: append([]string{"srar-arith"}, args...)}
}

func lines(t *testing.T, args ...string) []string {
	t.Helper()
	r := process(args...).Run(t)
	require.Zero(t, r.Status, r.Voice)
	require.Empty(t, r.Voice)
	return strings.Split(strings.TrimSuffix(string(r.Out), "\n"), "\n")
}

func TestRows(t *testing.T) {
	for _, c := range []struct {
		args       []string
		q          arith.Sequence
		write      func(uint64, *arith.Problem) string
		skip, want int
	}{
		{[]string{}, arith.Sequence{Level: "small", Split: "train", Seed: 0}, nil, 0, 1000},
		{[]string{"--split", "test", "--level=medium", "--seed", "9", "--skip", "7", "--count", "20"},
			arith.Sequence{Level: "medium", Split: "test", Seed: 9}, nil, 7, 20},
		{[]string{"--level", "large", "--count", "20"}, arith.Sequence{Level: "large", Split: "train"}, nil, 0, 20},
		{[]string{"--solutions", "--count", "20"}, arith.Sequence{Level: "small", Split: "train"}, arith.Sequence{Level: "small", Split: "train"}.Learner, 0, 20},
		{[]string{"--solutions", "--right", "--count", "20"}, arith.Sequence{Level: "small", Split: "train"}, arith.Sequence{Level: "small", Split: "train"}.Right, 0, 20},
		{[]string{"--skip", "18446744073709551615", "--count", "1"}, arith.Sequence{Level: "small", Split: "train"}, nil, -1, 1},
	} {
		got := lines(t, c.args...)
		require.Len(t, got, c.want)
		n := 0
		for i, p := range c.q.From(uint64(c.skip)) {
			want := map[string]any{
				"id":           fmt.Sprintf("%s-%s-%d-%06d", c.q.Level, c.q.Split, c.q.Seed, i),
				"problem":      p.Text,
				"ground_truth": p.Answer,
				"data_source":  "arith-" + string(p.Family),
				"rubric":       p.Rubric(),
			}
			if c.write != nil {
				want["response"] = c.write(i, p)
			}
			var row map[string]any
			require.NoError(t, json.Unmarshal([]byte(got[n]), &row))
			require.Equal(t, want, row)
			if n++; n == c.want {
				break
			}
		}
	}
}

func TestSlices(t *testing.T) {
	for _, split := range []string{"train", "test"} {
		all := lines(t, "--split", split, "--count", "30")
		var parts []string
		for _, skip := range []string{"0", "10", "20"} {
			parts = append(parts, lines(t, "--split", split, "--skip", skip, "--count", "10")...)
		}
		require.Equal(t, all, parts)
	}
	require.Equal(t, trial.Result{}, process("--count", "0").Run(t))
}

func TestFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rows.jsonl")
	require.Equal(t, trial.Result{}, process("-o", file, "--count", "3").Run(t))
	require.Equal(t, strings.Join(lines(t, "--count", "3"), "\n")+"\n", string(trial.File(t, file)))
}

func TestMisuse(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--level huge", `arith: level "huge" is not small, medium or large`},
		{"--split both", `arith: split "both" is neither train nor test`},
		{"--right", "--right says what --solutions are like, and these were not asked for"},
		{"--count -1", `invalid value "-1" for flag -count: parse error`},
		{"operand", `unexpected operand "operand"`},
		{"--lvel small", "no such flag: --lvel"},
	} {
		require.Equal(t, trial.Result{Voice: "srar-arith: " + c.want + "\n", Status: 2}, process(strings.Fields(c.args)...).Run(t))
	}
}

func TestReaderThatHasEnough(t *testing.T) {
	c := command(t, "--count", "1000000000")
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "small-train-0-000000")
	require.NoError(t, out.Close())
	require.NoError(t, c.Wait())
	require.Empty(t, errs.String())
}

func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	defer full.Close()
	ctx := trial.Within(t, trial.Patience)
	c := process().Command(ctx)
	c.Stdout = full
	r := trial.Finish(ctx, t, c)
	require.Equal(t, 1, r.Status)
	require.Regexp(t, "^srar-arith: write: .*no space left on device\n$", r.Voice)
}

func TestInterrupted(t *testing.T) {
	for sig, code := range map[os.Signal]int{os.Interrupt: 130, syscall.SIGTERM: 143} {
		dir := t.TempDir()
		c := command(t, "--count", "1000000000", "-o", filepath.Join(dir, "rows.jsonl"))
		require.NoError(t, c.Start())
		require.Eventually(t, func() bool { // it writes
			files, err := os.ReadDir(dir)
			return err == nil && len(files) == 1
		}, trial.Patience, time.Millisecond)
		require.NoError(t, c.Process.Signal(sig))
		require.Error(t, c.Wait())
		require.Equal(t, code, c.ProcessState.ExitCode())
		files, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, files)
	}
}
