package main

import (
	"context"
	"io"
	"sync/atomic"

	"srar/lib/answer"
	"srar/lib/judge"
	"srar/lib/rows"
	"srar/lib/rubric"
	"srar/lib/steps"
	"srar/lib/stream"
	"srar/lib/tool"
)

// solution is what a judgement needs of a rollout.
type solution struct {
	Problem     string      `col:"problem"`
	GroundTruth *string     `col:"ground_truth"`
	Items       []rows.Item `col:"items"`
	Response    string      `col:"response"`
}

// stale lists the columns that a new verdict makes wrong: those that srar-reward
// computed from the old one.
func stale() []string {
	var names []string
	for _, f := range rows.Advantages.Fields() {
		names = append(names, f.Name)
	}
	return names
}

// group is a batch on its way through the judge.
type group struct {
	batch     *stream.Batch
	solutions []solution
	judged    []rows.Judgement
}

// work is the state of a run. next runs in one goroutine, emit in another, and
// jobs in many.
type work struct {
	o      *options
	client *judge.Client
	in     *tool.Input
	out    *tool.Output

	kept          int // groups, of next
	ended         bool
	dropped       atomic.Int64 // groups
	written       counts       // of emit
	asked, failed atomic.Int64 // rollouts
}

// next reads the next group that is not dropped and makes its questions.
func (w *work) next() (*group, []judge.Job, error) {
	for {
		if w.ended {
			return nil, nil, io.EOF
		}
		b, err := w.in.Next()
		if err != nil {
			return nil, nil, err
		}
		g, err := w.group(b, w.in.Index())
		if err != nil {
			return nil, nil, err
		}
		if w.o.filter == "acc" && sameOutcome(g.judged) {
			w.dropped.Add(1)
			continue
		}
		if w.kept++; w.kept == w.o.keep {
			w.ended = true
			if err := w.in.Close(); err != nil {
				return nil, nil, err
			}
		}
		jobs, err := w.jobs(g, w.in.Index())
		return g, jobs, err
	}
}

// group reads a batch and, unless it is retried, checks its answers.
func (w *work) group(b *stream.Batch, n int) (*group, error) {
	if err := rows.OneGroup(b, n); err != nil {
		return nil, err
	}
	g := &group{batch: b.Without(stale()...)}
	var err error
	if g.solutions, err = rows.Read[solution](b, n); err != nil {
		return nil, err
	}
	if w.o.retry {
		g.judged, err = rows.Read[rows.Judgement](b, n)
		return g, err
	}
	g.judged = make([]rows.Judgement, len(g.solutions))
	for i, s := range g.solutions {
		g.judged[i] = check(s)
	}
	return g, nil
}

// check fills the columns that need no judge.
func check(s solution) rows.Judgement {
	j := rows.Judgement{WellFormed: steps.WellFormed(s.Response), JudgeStatus: string(judge.Skipped)}
	text, found, status := answer.Check(s.Response, s.GroundTruth)
	if found {
		j.Answer = &text
	}
	j.AnswerStatus = string(status)
	j.Correct = status == answer.Equal
	for _, sp := range steps.Split(s.Response) {
		step := rows.Step{Start: int32(sp.Start), End: int32(sp.End)}
		if sp.HasPrinted {
			step.Printed = &sp.Printed
		}
		j.Steps = append(j.Steps, step)
	}
	return j
}

// sameOutcome says whether all rollouts are equally correct: such a group
// carries no outcome signal (DAPO, arXiv 2503.14476).
func sameOutcome(rollouts []rows.Judgement) bool {
	for _, r := range rollouts {
		if r.Correct != rollouts[0].Correct {
			return false
		}
	}
	return true
}

// jobs makes one question for each rollout of g that is to be judged.
func (w *work) jobs(g *group, n int) ([]judge.Job, error) {
	if w.client == nil {
		return nil, nil
	}
	var jobs []judge.Job
	for i := range g.judged {
		s, j := &g.solutions[i], &g.judged[i]
		if w.o.retry && j.JudgeStatus != string(judge.Failed) {
			continue
		}
		items := make([]rubric.Item, len(s.Items))
		for k, it := range s.Items {
			items[k] = rubric.Item(it)
		}
		spans := make([]steps.Step, len(j.Steps))
		for k, st := range j.Steps {
			if st.Start < 0 || st.End < st.Start || int(st.End) > len(s.Response) {
				return nil, rows.Errorf(n, i, "column steps: step %d is not inside of the response", k+1)
			}
			spans[k] = steps.Step{Start: int(st.Start), End: int(st.End)}
		}
		task, err := judge.NewTask(s.Problem, items, s.Response, spans)
		if err != nil {
			return nil, rows.Errorf(n, i, "column items: %v", err)
		}
		if len(task.Items) == 0 {
			continue
		}
		jobs = append(jobs, func(ctx context.Context) error { return w.ask(ctx, task, j) })
	}
	return jobs, nil
}

// ask puts one question and writes what came of it into j. A row that is
// retried keeps count of what it has cost before.
func (w *work) ask(ctx context.Context, task judge.Task, j *rows.Judgement) error {
	a, err := judge.Ask(ctx, w.client, task.Query(), func(reply string) ([]judge.Verdict, *judge.Error) {
		return judge.ReadVerdicts(reply, task.Items, len(task.Steps))
	})
	if err != nil {
		return err
	}
	w.asked.Add(1)
	if a.Status == judge.Failed {
		w.failed.Add(1)
	}
	j.JudgeStatus = string(a.Status)
	j.JudgeError = nil
	if a.Err != nil {
		text := a.Err.Error()
		j.JudgeError = &text
	}
	j.Verdicts = nil
	for _, v := range a.Value {
		j.Verdicts = append(j.Verdicts, rows.ItemVerdict(v))
	}
	if a.Reply != nil || !w.o.retry {
		j.JudgeReply, j.JudgeModel = a.Reply, a.Model
	}
	j.JudgeTries += a.Tries
	j.JudgePromptTokens = sum(j.JudgePromptTokens, a.PromptTokens)
	j.JudgeCompletionTokens = sum(j.JudgeCompletionTokens, a.CompletionTokens)
	return nil
}

// sum adds counts of which either may be unknown.
func sum(a, b *int64) *int64 {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	n := *a + *b
	return &n
}

// emit writes a finished group.
func (w *work) emit(g *group) error {
	w.written.add(g.judged)
	return w.out.Write(g.batch.With(rows.Columns(g.judged)...))
}
