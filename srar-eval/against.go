package main

import (
	"fmt"
	"strings"

	"srar/lib/rows"
	"srar/lib/score"
	"srar/lib/stream"
	"srar/lib/tool"
)

// rolloutID joins the rows of two files.
type rolloutID struct {
	prompt  string
	rollout int32
}

// otherRow is a row of the file of --against, which may hold these columns only.
type otherRow struct {
	PromptID    string             `col:"prompt_id"`
	Rollout     int32              `col:"rollout"`
	Verdicts    []rows.ItemVerdict `col:"verdicts" null:"yes"`
	StepCorrect []*bool            `col:"step_correct" null:"yes"`
}

// loadOther reads the file of --against and notes its digest.
func (e *evaluation) loadOther(path string) error {
	in, err := e.t.OpenInput(path, nil)
	if err != nil {
		return err
	}
	_, verdicts := in.Schema().Lookup("verdicts")
	_, marks := in.Schema().Lookup("step_correct")
	if !verdicts && !marks {
		return tool.Inputf("%s: neither column verdicts nor column step_correct is there", path)
	}
	e.other = map[rolloutID]*otherRow{}
	err = tool.Each(in, func(b *stream.Batch, n int) error {
		list, err := rows.Read[otherRow](b, n)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for i := range list {
			// A copy that does not hold on to the batch.
			r := &otherRow{PromptID: strings.Clone(list[i].PromptID), Rollout: list[i].Rollout, Verdicts: list[i].Verdicts, StepCorrect: list[i].StepCorrect}
			id := rolloutID{r.PromptID, r.Rollout}
			if e.other[id] != nil {
				return fmt.Errorf("%s: %w", path, rows.Errorf(n, i, "rollout %d of prompt %q appears twice", r.Rollout, r.PromptID))
			}
			e.other[id] = r
		}
		return nil
	})
	e.t.Record("against", in.Digest())
	return err
}

// compare counts the agreement of a row with that of --against.
func (e *evaluation) compare(r *score.Rollout, in *row) error {
	o := e.other[rolloutID{in.PromptID, in.Rollout}]
	if o == nil {
		return nil
	}
	if in.Verdicts != nil && o.Verdicts != nil {
		r.Against.AgreeItems(scoreVerdicts(in.Verdicts), scoreVerdicts(o.Verdicts))
	}
	if theirs := complete(o.StepCorrect); r.Marks != nil && theirs != nil {
		if len(theirs) != len(r.Marks) {
			return fmt.Errorf("%d steps are marked, %d in the file of --against", len(r.Marks), len(theirs))
		}
		r.Against.AgreeMarks(r.Marks, theirs)
	}
	if r.Against.Items > 0 || r.Against.Compared {
		e.joined++
	}
	return nil
}

func scoreVerdicts(in []rows.ItemVerdict) []score.Verdict {
	out := make([]score.Verdict, len(in))
	for i, v := range in {
		out[i] = score.Verdict(v)
	}
	return out
}
