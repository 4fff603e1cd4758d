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

	"github.com/stretchr/testify/require"

	"srar/lib/arith"
)

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "srar-arith")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "srar-arith")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		panic(string(out))
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// command runs the command and returns what it wrote and its exit code.
func command(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	c := exec.Command(binary, args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		require.IsType(t, &exec.ExitError{}, err)
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

func lines(t *testing.T, args ...string) []string {
	t.Helper()
	stdout, stderr, code := command(t, args...)
	require.Zero(t, code, stderr)
	require.Empty(t, stderr)
	return strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
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
	stdout, stderr, code := command(t, "--count", "0")
	require.Equal(t, []any{"", "", 0}, []any{stdout, stderr, code})
}

func TestFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rows.jsonl")
	stdout, stderr, code := command(t, "-o", file, "--count", "3")
	require.Equal(t, []any{"", "", 0}, []any{stdout, stderr, code})
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, strings.Join(lines(t, "--count", "3"), "\n")+"\n", string(got))
}

func TestMisuse(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--level large", `arith: level "large" is neither small nor medium`},
		{"--split both", `arith: split "both" is neither train nor test`},
		{"--right", "--right says what --solutions are like, and these were not asked for"},
		{"--count -1", `invalid value "-1" for flag -count: parse error`},
		{"operand", `unexpected operand "operand"`},
		{"--lvel small", "no such flag: --lvel"},
	} {
		stdout, stderr, code := command(t, strings.Fields(c.args)...)
		require.Equal(t, []any{"", "srar-arith: " + c.want + "\n", 2}, []any{stdout, stderr, code})
	}
}

func TestReaderThatHasEnough(t *testing.T) {
	c := exec.Command(binary, "--count", "1000000000")
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
	c := exec.Command(binary)
	var errs bytes.Buffer
	c.Stdout, c.Stderr = full, &errs
	require.Error(t, c.Run())
	require.Equal(t, 1, c.ProcessState.ExitCode())
	require.Regexp(t, "^srar-arith: write: .*no space left on device\n$", errs.String())
}

func TestInterrupted(t *testing.T) {
	for sig, code := range map[os.Signal]int{os.Interrupt: 130, syscall.SIGTERM: 143} {
		dir := t.TempDir()
		c := exec.Command(binary, "--count", "1000000000", "-o", filepath.Join(dir, "rows.jsonl"))
		require.NoError(t, c.Start())
		require.Eventually(t, func() bool { // it writes
			files, err := os.ReadDir(dir)
			return err == nil && len(files) == 1
		}, 10*time.Second, time.Millisecond)
		require.NoError(t, c.Process.Signal(sig))
		require.Error(t, c.Wait())
		require.Equal(t, code, c.ProcessState.ExitCode())
		files, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, files)
	}
}
