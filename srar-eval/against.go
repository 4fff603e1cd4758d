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
	Rollout     *int32             `col:"rollout"` // null, or no such column: 0
	Verdicts    []rows.ItemVerdict `col:"verdicts" null:"yes"`
	StepCorrect []*bool            `col:"step_correct" null:"yes"`
}

// labelColumn holds people's labels of steps, where there are no marks.
const labelColumn = "step_labels"

// loadOther reads the file of --against and notes its digest.
func (e *evaluation) loadOther(path string) error {
	in, err := e.t.OpenInput(path, nil)
	if err != nil {
		return err
	}
	_, verdicts := in.Schema().Lookup("verdicts")
	_, marks := in.Schema().Lookup("step_correct")
	_, labels := in.Schema().Lookup(labelColumn)
	if !verdicts && !marks && !labels {
		return tool.Inputf("%s: none of the columns verdicts, step_correct and %s is there", path, labelColumn)
	}
	e.other = map[rolloutID]*otherRow{}
	err = tool.Each(in, func(b *stream.Batch, n int) error {
		list, err := rows.Read[otherRow](b, n)
		if err == nil && !marks && labels {
			err = readLabels(list, b, n)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for i := range list {
			r := &list[i]
			id := rolloutID{prompt: strings.Clone(r.PromptID)} // nothing that is kept holds on to the batch
			if r.Rollout != nil {
				id.rollout = *r.Rollout
			}
			if e.other[id] != nil {
				return fmt.Errorf("%s: %w", path, rows.Errorf(n, i, "rollout %d of prompt %q appears twice", id.rollout, id.prompt))
			}
			e.other[id] = &otherRow{Verdicts: r.Verdicts, StepCorrect: r.StepCorrect}
		}
		return nil
	})
	e.t.Record("against", in.Digest())
	return err
}

// readLabels fills the marks of batch n from its labels: integers, 1 right, -1
// wrong, null not labelled. 0 is PRM800K's neutral, which counts as right as in
// the paper of that data set (arXiv 2305.20050).
func readLabels(list []otherRow, b *stream.Batch, n int) error {
	c := b.Column(labelColumn)
	var at func(j int) int64
	if t := c.Type(); t.Kind == stream.List {
		switch t.Elem.Type.Kind {
		case stream.Int32:
			at = func(j int) int64 { return int64(c.Elem().Int32s()[j]) }
		case stream.Int64:
			at = func(j int) int64 { return c.Elem().Int64s()[j] }
		}
	}
	if at == nil {
		return rows.Errorf(n, -1, "column %s is %s, not list<int64?>", labelColumn, c.Type())
	}
	for i := range list {
		if c.Null(i) {
			continue
		}
		from, to := c.Bounds(i)
		marks := make([]*bool, to-from)
		for k := range marks {
			if c.Elem().Null(from + k) {
				continue
			}
			label := at(from + k)
			if label < -1 || label > 1 {
				return rows.Errorf(n, i, "column %s: label %d of step %d is none of 1, 0, -1", labelColumn, label, k+1)
			}
			right := label >= 0
			marks[k] = &right
		}
		list[i].StepCorrect = marks
	}
	return nil
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
	if in.StepCorrect != nil && o.StepCorrect != nil {
		if len(o.StepCorrect) != len(in.StepCorrect) {
			return fmt.Errorf("%d steps here, %d in the file of --against", len(in.StepCorrect), len(o.StepCorrect))
		}
		r.Against.AgreeMarks(in.StepCorrect, o.StepCorrect)
	}
	if r.Against.Items.N+r.Against.Steps.N > 0 {
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
