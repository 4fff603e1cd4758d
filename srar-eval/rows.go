package main

import (
	"fmt"
	"slices"
	"strings"

	"srar/lib/answer"
	"srar/lib/rows"
	"srar/lib/rubric"
	"srar/lib/score"
	"srar/lib/steps"
	"srar/lib/stream"
)

// row is what the scores need of a rollout. The columns of later kinds may be
// absent.
type row struct {
	PromptID    string      `col:"prompt_id"`
	Problem     string      `col:"problem"`
	GroundTruth *string     `col:"ground_truth"`
	DataSource  *string     `col:"data_source"`
	Items       []rows.Item `col:"items"`
	Rollout     int32       `col:"rollout"`
	Tokens      []int32     `col:"tokens"`
	Response    string      `col:"response"`
	Finish      string      `col:"finish"`

	Answer       *string            `col:"answer"`
	AnswerStatus *string            `col:"answer_status"`
	Correct      *bool              `col:"correct"`
	WellFormed   *bool              `col:"well_formed"`
	Steps        []rows.Step        `col:"steps" null:"yes"`
	Verdicts     []rows.ItemVerdict `col:"verdicts" null:"yes"`
	StepCorrect  []*bool            `col:"step_correct" null:"yes"`
	StepReplies  []*string          `col:"step_replies" null:"yes"`
}

// spans returns the steps of the response, from the rows or its text.
func (r *row) spans() []steps.Step {
	if r.Steps == nil {
		return steps.Split(r.Response)
	}
	out := make([]steps.Step, len(r.Steps))
	for k, s := range r.Steps {
		out[k] = steps.Step{Start: int(s.Start), End: int(s.End)}
	}
	return out
}

// group is the rows of one batch.
type group struct {
	rows  []row
	spans [][]steps.Step // of each row
}

// read reads and checks the rows of batch n.
func read(b *stream.Batch, n int) (*group, error) {
	in, err := rows.Read[row](b, n)
	if err != nil {
		return nil, err
	}
	g := &group{rows: in, spans: make([][]steps.Step, len(in))}
	for i := range in {
		r := &in[i]
		g.spans[i] = r.spans()
		at := 0
		for _, s := range g.spans[i] {
			if s.Start < at || s.End < s.Start || s.End > len(r.Response) {
				return nil, rows.Errorf(n, i, "a step spans bytes %d to %d of a response of %d bytes, from %d on", s.Start, s.End, len(r.Response), at)
			}
			at = s.End
		}
		if r.StepCorrect != nil && len(r.StepCorrect) != len(g.spans[i]) {
			return nil, rows.Errorf(n, i, "%d marks of %d steps", len(r.StepCorrect), len(g.spans[i]))
		}
	}
	return g, nil
}

// complete returns marks without the pointers; nil unless every step has one.
func complete(marks []*bool) []bool {
	if marks == nil || slices.Contains(marks, nil) {
		return nil
	}
	out := make([]bool, len(marks))
	for k, m := range marks {
		out[k] = *m
	}
	return out
}

// add counts the rows of batch n. Nothing that it keeps holds on to the batch.
func (e *evaluation) add(g *group, n int) error {
	for i := range g.rows {
		in := &g.rows[i]
		set := e.set(in.DataSource)
		if set == nil {
			continue
		}
		e.rollouts++
		r := score.Rollout{
			Index:      in.Rollout,
			WellFormed: in.WellFormed != nil && *in.WellFormed || in.WellFormed == nil && steps.WellFormed(in.Response),
			Truncated:  in.Finish == "length",
			Tokens:     len(in.Tokens),
			Loop:       score.DetectLoop(in.Response),
			Marks:      complete(in.StepCorrect),
		}
		status := e.check(in)
		r.Correct = *in.Correct
		if in.Answer != nil {
			a := strings.Clone(*in.Answer)
			r.Answer = &a
		}
		switch status {
		case answer.Undecided:
			e.undecided++
		case answer.Unknown:
			e.unknown++
		}
		if err := shares(&r, in); err != nil {
			return rows.Errorf(n, i, "%v", err)
		}
		if err := e.compare(&r, in); err != nil {
			return rows.Errorf(n, i, "%v", err)
		}
		set.Add(in.PromptID+"\x00"+in.Problem, r)
	}
	return nil
}

// check fills answer and correct by rule where the rows lack them, and returns
// the status of the answer.
func (e *evaluation) check(r *row) answer.Status {
	if r.Correct != nil {
		if r.AnswerStatus == nil {
			return ""
		}
		return answer.Status(*r.AnswerStatus)
	}
	e.checked++
	a, found, status := answer.Check(r.Response, r.GroundTruth)
	if r.Answer = nil; found {
		r.Answer = &a
	}
	right := status == answer.Equal
	r.Correct = &right
	return status
}

// shares counts the satisfied items of each type.
func shares(r *score.Rollout, in *row) error {
	for _, v := range in.Verdicts {
		j := slices.IndexFunc(in.Items, func(it rows.Item) bool { return it.ID == v.ID })
		typ := -1
		if j >= 0 {
			typ = slices.Index(rubric.Types[:3], in.Items[j].Type)
		}
		if typ < 0 {
			return fmt.Errorf("verdict of item %d, which is no item to judge", v.ID)
		}
		r.Shares[typ].Items++
		if v.Satisfied {
			r.Shares[typ].Satisfied++
		}
	}
	return nil
}
