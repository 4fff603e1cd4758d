package main

import (
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/rows"
	"srar/lib/stream"
	"srar/lib/trial"
)

// Each group of the long stream: rollouts of 2,000 tokens in 10 steps, 12 items.
const (
	longRollouts = 8
	longTokens   = 2000
	longSteps    = 10
	longItems    = 12
)

// longGroup makes a group as rows of kind verdict.
func longGroup() *stream.Batch {
	const width = 4 // bytes a token
	var p rows.Prompt
	p.PromptID, p.Problem = "p", strings.Repeat("Find x. ", 40)
	for j := range longItems {
		p.Items = append(p.Items, rows.Item{ID: int32(j + 1), Type: [...]string{"SUGGEST", "PITFALL", "BONUS"}[j%3], Text: "is named"})
	}
	list := make([]rows.Verdict, longRollouts)
	for i := range list {
		var g rows.Generation
		g.Rollout, g.Response, g.Finish = int32(i), strings.Repeat("abc ", longTokens), "stop"
		for t := range longTokens {
			g.Tokens = append(g.Tokens, int32(t))
			g.Offsets = append(g.Offsets, int32(t*width))
			g.Logprobs = append(g.Logprobs, -1)
		}
		var v rows.Judgement
		v.Correct, v.WellFormed, v.AnswerStatus, v.JudgeStatus = i%2 == 0, true, "equal", "ok"
		const bytes = longTokens * width / longSteps // of a step
		for k := range int32(longSteps) {
			n := k + 1
			v.Steps = append(v.Steps, rows.Step{Printed: &n, Start: k * bytes, End: n * bytes})
		}
		for j := range int32(longItems) {
			v.Verdicts = append(v.Verdicts, rows.ItemVerdict{ID: j + 1, Satisfied: (int(j)+i)%3 > 0, Step: j % (longSteps + 1)})
		}
		list[i] = rows.Verdict{Prompt: p, Generation: g, Judgement: v}
	}
	return rows.Batch(list)
}

// flow sends n groups through srar-reward. It returns the process, which has
// ended, and the bytes that it read and wrote.
func flow(t testing.TB, n int, flags ...string) (c *exec.Cmd, read, wrote int64) {
	t.Helper()
	c = trial.Process{Args: append([]string{"srar-reward"}, flags...)}.Command(trial.Within(t, trial.Patience))
	in, err := c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	var voice strings.Builder
	c.Stderr = &voice
	require.NoError(t, c.Start())
	sent := make(chan error, 1)
	go func() {
		defer in.Close()
		b := longGroup()
		s := b.Schema()
		s.RowKind = rows.Verdicts.Name
		w, err := stream.NewWriter(io.MultiWriter(in, count{&read}), s, stream.Options{})
		for range n {
			if err == nil {
				err = w.Write(b)
			}
		}
		if err == nil {
			err = w.Close()
		}
		sent <- err
	}()
	wrote, err = io.Copy(io.Discard, out)
	require.NoError(t, err)
	require.NoError(t, <-sent)
	require.NoError(t, c.Wait(), &voice)
	require.Contains(t, voice.String(), fmt.Sprintf("%d groups of %d rollouts", n, n*longRollouts))
	return c, read, wrote
}

// count counts bytes.
type count struct{ n *int64 }

func (c count) Write(p []byte) (int, error) {
	*c.n += int64(len(p))
	return len(p), nil
}

// BenchmarkCommand is the whole command, from stream to stream.
func BenchmarkCommand(b *testing.B) {
	const n = 200
	var read, wrote int64
	for b.Loop() {
		_, read, wrote = flow(b, n)
	}
	b.SetBytes(read + wrote)
	b.ReportMetric(float64(b.N)*n*longRollouts/b.Elapsed().Seconds(), "rows/s")
}
