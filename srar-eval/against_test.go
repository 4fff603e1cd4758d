package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/golden"
	"srar/lib/rows"
	"srar/lib/stream"
	"srar/lib/trial"
)

func TestAgainst(t *testing.T) {
	data := stored(t, "one-prompt.arrow")
	path := filepath.Join(t.TempDir(), "same.arrow")
	require.NoError(t, os.WriteFile(path, data, 0o666))
	out, status, voice := command(t, data, nil, "--against", path)
	require.Zero(t, status, voice)
	got := scores(t, out)
	for _, m := range []string{"agreement", "kappa", "step_agreement", "mark_agreement", "first_error_agreement"} {
		require.Equal(t, 1., got[key{metric: m}].Value, m)
	}
	s := trial.Schema(t, out)
	last := s.History[len(s.History)-1]
	require.Equal(t, "srar-eval", last.Command)
	require.Contains(t, last.Inputs["against"], "sha256:")

	twice := append(append([]byte{}, data...), data...)
	require.NoError(t, os.WriteFile(path, twice, 0o666))
	_, status, voice = command(t, data, nil, "--against", path)
	require.Equal(t, 3, status)
	require.Contains(t, voice, "appears twice")

	_, status, voice = command(t, data, nil, "--against", golden.Path(t, "reward", "eval", "ties.arrow"))
	require.Zero(t, status)
	require.Contains(t, voice, "warning: no rollout is judged here and in ")

	bare := rewrite(t, data, func(b *stream.Batch) *stream.Batch { return b.Without("verdicts", "step_correct") })
	require.NoError(t, os.WriteFile(path, bare, 0o666))
	_, status, voice = command(t, data, nil, "--against", path)
	require.Equal(t, 3, status)
	require.Contains(t, voice, "none of the columns verdicts, step_correct and step_labels is there")
}

// labelled is a solution whose steps people marked, as MR-GSM8K, MR-Ben, PRM800K
// and Math-Shepherd have them; testdata/labels.jsonl holds some of each. Most
// name the first wrong step and leave those behind it without a label.
type labelled struct {
	ID         string   `json:"id"`
	Problem    string   `json:"problem"`
	Steps      []string `json:"steps"`
	Labels     []*int64 `json:"step_labels"`
	FirstError *int     `json:"first_error"`
}

// labelRow is what srar-prepare makes of one.
type labelRow struct {
	rows.Prompt
	Labels []*int64 `col:"step_labels"`
}

type markedRollout struct {
	rows.Prompt
	rows.Generation
	rows.StepMarks
}

// solution is the text of steps, each under its heading.
func solution(steps []string) string {
	var b strings.Builder
	for k, s := range steps {
		fmt.Fprintf(&b, "### Step %d: %s\n", k+1, s)
	}
	return b.String()
}

// A judge's marks against people's labels: the first wrong step counts where the
// labels say where it is.
func TestAgainstLabels(t *testing.T) {
	data := golden.Lines[labelled](t, filepath.Join("testdata", "labels.jsonl"))
	rng := rand.New(rand.NewPCG(3, 4))
	var labels []labelRow
	var judged []markedRollout
	var both, same, mine, theirs, located, sameFirst, wrong, found float64
	for _, d := range data {
		p := rows.Prompt{PromptID: d.ID, Problem: d.Problem}
		labels = append(labels, labelRow{p, d.Labels})
		r := markedRollout{Prompt: p, Generation: rows.Generation{Response: solution(d.Steps), Finish: "stop"}}
		first := -1 // wrong step of the judge, who is right four times of five
		for k, l := range d.Labels {
			right := (l == nil || *l >= 0) == (rng.IntN(5) > 0)
			if first < 0 && !right {
				first = k
			}
			r.StepCorrect = append(r.StepCorrect, &right)
			if l == nil {
				continue
			}
			both++
			mine += one(right)
			theirs += one(*l >= 0)
			same += one(right == (*l >= 0))
		}
		judged = append(judged, r)
		if d.FirstError != nil {
			wrong++
			found += one(first == *d.FirstError)
		}
		if d.FirstError != nil || !slices.Contains(d.Labels, nil) {
			located++
			sameFirst += one(d.FirstError == nil && first < 0 || d.FirstError != nil && first == *d.FirstError)
		}
	}
	require.Greater(t, found, 10.)
	require.Greater(t, located-wrong, 10.) // solutions without a wrong step
	require.Less(t, located, float64(len(data)))

	path := filepath.Join(t.TempDir(), "labels.arrow")
	require.NoError(t, os.WriteFile(path, trial.Rows(t, "prompt", labels...), 0o666))
	out, status, voice := command(t, trial.Rows(t, "rollout", judged...), nil, "--against", path)
	require.Zero(t, status, voice)
	require.Contains(t, voice, fmt.Sprintf("%d of them are judged here and in ", len(data)))
	got := scores(t, out)
	chance := (mine*theirs + (both-mine)*(both-theirs)) / (both * both)
	for m, want := range map[string][2]float64{
		"mark_agreement":        {same / both, both},
		"mark_kappa":            {(same/both - chance) / (1 - chance), both},
		"first_error_agreement": {sameFirst / located, located},
		"first_error_accuracy":  {found / wrong, wrong},
	} {
		s, ok := got[key{metric: m}]
		require.True(t, ok, m)
		require.InDelta(t, want[0], s.Value, 1e-12, m)
		require.Equal(t, int64(want[1]), s.N, m)
	}
	require.NotContains(t, got, key{metric: "agreement"})
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Labels are integers without nulls too, of any width; marks go before them.
func TestLabelColumns(t *testing.T) {
	right, wrong := true, false
	p := rows.Prompt{PromptID: "p", Problem: "x"}
	judged := trial.Rows(t, "rollout", markedRollout{p, rows.Generation{Response: solution([]string{"a", "b"})}, rows.StepMarks{StepCorrect: []*bool{&right, &wrong}}})
	path := filepath.Join(t.TempDir(), "labels.arrow")
	against := func(data []byte) (map[key]rows.Score, int, string) {
		require.NoError(t, os.WriteFile(path, data, 0o666))
		out, status, voice := command(t, judged, nil, "--against", path)
		if status != 0 {
			return nil, status, voice
		}
		return scores(t, out), status, voice
	}
	type plain[T any] struct {
		PromptID string `col:"prompt_id"`
		Labels   []T    `col:"step_labels"`
	}
	agreed := key{metric: "mark_agreement"}
	got, _, _ := against(trial.Rows(t, "", plain[int64]{"p", []int64{1, -1}}))
	require.Equal(t, 1., got[agreed].Value)
	got, _, _ = against(trial.Rows(t, "", plain[int32]{"p", []int32{0, 0}})) // neutral is right
	require.Equal(t, .5, got[agreed].Value)
	got, _, _ = against(trial.Rows(t, "", struct {
		plain[int64]
		rows.StepMarks
	}{plain[int64]{"p", []int64{-1, 1}}, rows.StepMarks{StepCorrect: []*bool{&right, &wrong}}}))
	require.Equal(t, 1., got[agreed].Value)

	for says, data := range map[string][]byte{
		"batch 0, row 1: column step_labels: label 2 of step 1 is none of 1, 0, -1": trial.Rows(t, "", plain[int64]{"p", []int64{1, 1}}, plain[int64]{"q", []int64{2}}),
		"column step_labels is list<utf8>, not list<int64?>":                        trial.Rows(t, "", plain[string]{"p", []string{"right"}}),
		"batch 0, row 0: 2 steps here, 3 in the file of --against":                  trial.Rows(t, "", plain[int64]{"p", []int64{1, 1, 1}}),
		"rollout 0 of prompt \"p\" appears twice":                                   trial.Rows(t, "", plain[int64]{"p", []int64{1, 1}}, plain[int64]{"p", []int64{1, 1}}),
	} {
		_, status, voice := against(data)
		require.Equal(t, 3, status, voice)
		require.Contains(t, voice, says)
	}
}
