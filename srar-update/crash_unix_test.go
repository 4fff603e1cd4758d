//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"srar/lib/ckpt"
	"srar/lib/golden"
	"srar/lib/trial"
)

// files returns the content of a directory by name.
func files(t *testing.T, dir string) map[string]string {
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all[path[len(dir):]] = string(trial.File(t, path))
		}
		return err
	}))
	return all
}

// TestKilled kills an update of five steps at 50 moments, some of them while it
// writes: what is there then is nothing or the whole, never a part of it; the
// parent is as it was; and the update that follows gives the bytes of one that was
// left in peace, also where rows were on disk.
func TestKilled(t *testing.T) {
	in := advantages(t, varied(40)...)
	model := golden.Model(t)
	parent := files(t, model)
	dir := t.TempDir()
	args := []string{"srar-update", "--model", model, "--lr", "1e-2", "--mini-batch", "8", "--quiet",
		"--memory", fmt.Sprint(totalOf(t, model) + spare + 2000), "--out"}
	update := func(out string) trial.Process {
		return trial.Process{Args: append(args, out), Stdin: in, Env: []string{"TMPDIR=" + dir}}
	}
	calm := filepath.Join(dir, "calm")
	start := time.Now()
	update(calm).Must(t)
	whole := time.Since(start)
	want := files(t, calm)
	rng := rand.New(rand.NewPCG(1, 2))
	killed, done := 0, 0
	for i := range 50 {
		out := filepath.Join(dir, "M1")
		c := update(out).Command(trial.Within(t, trial.Patience))
		require.NoError(t, c.Start())
		// Half of the moments lie in the last quarter, where it writes.
		at := rng.Float64()
		if i%2 == 0 {
			at = 0.75 + at/4
		}
		time.Sleep(time.Duration(at * float64(whole)))
		require.NoError(t, c.Process.Signal(syscall.SIGKILL))
		if c.Wait() == nil {
			done++
		} else {
			killed++
		}
		require.Equal(t, parent, files(t, model))
		if _, err := os.Lstat(out); err == nil {
			require.Equal(t, want, files(t, out))
			require.NoError(t, os.RemoveAll(out))
		}
		left, err := filepath.Glob(filepath.Join(dir, ".srar-update-rows-*"))
		require.NoError(t, err)
		require.LessOrEqual(t, len(left), 1, "a file has its name for a moment only")
		for _, f := range left {
			require.NoError(t, os.Remove(f))
		}
	}
	require.NotZero(t, killed)
	out := filepath.Join(dir, "M1")
	update(out).Must(t)
	require.Equal(t, want, files(t, out))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 2, "what the killed ones left is gone")
	t.Logf("%d killed, %d were done before", killed, done)
}

// TestNoRoom: a file that cannot grow, as on a full disk, is an error with the
// name of what was written; nothing of it is left.
func TestNoRoom(t *testing.T) {
	in := advantages(t, varied(3)...)
	for _, tc := range []struct {
		blocks int // of 512 bytes or 1 KiB
		args   []string
		want   string
	}{
		{4, nil, "writing checkpoint "},
		{0, []string{"--mini-batch", "1", "--memory", fmt.Sprint(totalOf(t, golden.Model(t)) + spare)}, "rows on disk: "},
	} {
		dir := t.TempDir()
		args := append([]string{"sh", "-c", fmt.Sprintf(`ulimit -f %d && exec "$@"`, tc.blocks), "sh", "srar-update", "--quiet",
			"--model", golden.Model(t), "--out", filepath.Join(dir, "M1")}, tc.args...)
		r := trial.Process{Args: args, Stdin: in, Env: []string{"TMPDIR=" + dir}}.Run(t)
		require.Equal(t, 1, r.Status, r.Voice)
		require.Contains(t, r.Voice, tc.want)
		require.Contains(t, r.Voice, "file too large")
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left)
	}
}

// TestPlaces: a place where no checkpoint can be is an error before any row is
// read; a model that may only be read is enough.
func TestPlaces(t *testing.T) {
	in := advantages(t, varied(1)...)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o666))
	r := run(t, in[:8], "--model", golden.Model(t), "--out", filepath.Join(file, "M1"))
	require.NotZero(t, r.Status)
	r = run(t, in, "--model", golden.Model(t), "--out", filepath.Join(file, "M1"))
	require.Equal(t, 1, r.Status)
	require.Contains(t, r.Voice, "not a directory")
	r = run(t, in, "--model", golden.Model(t), "--out", file)
	require.Equal(t, 1, r.Status)
	require.Contains(t, r.Voice, "--out exists and is no checkpoint")

	model := filepath.Join(dir, "M0")
	require.NoError(t, os.CopyFS(model, os.DirFS(golden.Model(t))))
	for name := range files(t, model) {
		require.NoError(t, os.Chmod(filepath.Join(model, name), 0o444))
	}
	require.NoError(t, os.Chmod(model, 0o555))
	t.Cleanup(func() { os.Chmod(model, 0o777) })
	out := filepath.Join(dir, "M1")
	require.Zero(t, run(t, in, "--model", model, "--out", out).Status)
	require.Zero(t, run(t, in, "--model", out, "--out", filepath.Join(dir, "M2")).Status)
	if os.Getuid() != 0 { // whom permissions do not bind
		r = run(t, in, "--model", out, "--out", filepath.Join(model, "M1"))
		require.Equal(t, 1, r.Status)
		require.Contains(t, r.Voice, "permission denied")
	}
}

// TestTwoUpdates into one --out: one makes it, the other finds it there.
func TestTwoUpdates(t *testing.T) {
	in := advantages(t, varied(20)...)
	for _, same := range []bool{true, false} {
		out := filepath.Join(t.TempDir(), "M1")
		voices := make([]trial.Result, 2)
		ready := make(chan int)
		for i := range voices {
			go func() {
				args := []string{"srar-update", "--quiet", "--model", golden.Model(t), "--out", out, "--lr", "1e-2"}
				if i == 1 && !same {
					args = append(args, "--entropy", "0.5")
				}
				voices[i] = trial.Process{Args: args, Stdin: in}.Run(t)
				ready <- i
			}()
		}
		<-ready
		<-ready
		require.Zero(t, min(voices[0].Status, voices[1].Status))
		if lost := max(voices[0].Status, voices[1].Status); lost != 0 || !same {
			require.Equal(t, 1, lost)
			require.Regexp(t, "it is there already|file exists|directory not empty|made from another", voices[0].Voice+voices[1].Voice)
		}
		c, err := ckpt.Open(out)
		require.NoError(t, err)
		require.NoError(t, c.Close())
		left, err := os.ReadDir(filepath.Dir(out))
		require.NoError(t, err)
		require.Len(t, left, 1)
	}
}

// TestTerminated: SIGTERM at any moment leaves nothing, or came too late.
func TestTerminated(t *testing.T) {
	in := advantages(t, varied(40)...)
	dir := t.TempDir()
	for i := range 12 {
		out := filepath.Join(dir, "M1")
		c := trial.Process{Args: []string{"srar-update", "--quiet", "--model", golden.Model(t), "--out", out, "--mini-batch", "8", "--epochs", "4"}, Stdin: in}.
			Command(trial.Within(t, trial.Patience))
		var voice strings.Builder
		c.Stderr = &voice
		require.NoError(t, c.Start())
		time.Sleep(time.Duration(20+15*i) * time.Millisecond)
		require.NoError(t, c.Process.Signal(syscall.SIGTERM))
		err := c.Wait()
		left, dirErr := os.ReadDir(dir)
		require.NoError(t, dirErr)
		switch {
		case err == nil:
			require.Len(t, left, 1)
			require.NoError(t, os.RemoveAll(out))
		case c.ProcessState.ExitCode() == -1: // before the command could listen
			require.Empty(t, left)
		default:
			require.Equal(t, 143, c.ProcessState.ExitCode())
			require.True(t, strings.HasSuffix(voice.String(), "srar-update: terminated\n"), voice.String())
			require.Empty(t, left)
		}
	}
}
