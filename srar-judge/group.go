package main

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"srar/lib/answer"
	"srar/lib/judge"
	"srar/lib/remote"
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
	cut       atomic.Bool // the budget did not suffice for all of it
}

// question is the judgement of a row that is to be asked for.
type question struct {
	task judge.Task
	row  *rows.Judgement
}

// work is the state of a run. next runs in one goroutine, emit in another, and
// jobs in many.
type work struct {
	o      *options
	client *judge.Client
	tally  *judge.Tally
	in     *tool.Input
	out    *tool.Output

	kept    int  // groups, of next
	ended   bool // of next
	dropped atomic.Int64
	broke   atomic.Bool // the budget is used up
	short   bool        // of emit: a group was cut, and none is written from there on
	written counts      // of emit
}

// next reads the next group that is not dropped and makes its questions.
func (w *work) next() (remote.Work[*group], error) {
	g, questions, err := w.take()
	if err != nil {
		if err == io.EOF && w.tally != nil {
			if lost := w.tally.Complete(); lost != nil {
				err = lost
			}
		}
		return remote.Work[*group]{}, err
	}
	work := remote.Work[*group]{Group: g, Bytes: size(g.batch)}
	for _, q := range questions {
		work.Jobs = append(work.Jobs, func(ctx context.Context) error { return w.ask(ctx, g, q) })
	}
	if w.tally != nil {
		w.tally.Expect(len(questions))
	}
	return work, nil
}

// take reads up to the next group that belongs to the shard and is not dropped.
func (w *work) take() (*group, []question, error) {
	for {
		if w.ended {
			return nil, nil, io.EOF
		}
		b, err := w.in.Next()
		if err != nil {
			return nil, nil, err
		}
		n := w.in.Index()
		if !w.o.shard.has(n) {
			continue
		}
		g, err := w.group(b, n)
		if err != nil {
			return nil, nil, err
		}
		if w.o.filter == "acc" && sameOutcome(g.judged) {
			w.dropped.Add(1)
			continue
		}
		w.kept++
		if w.kept == w.o.keep || w.broke.Load() && !w.o.retry {
			w.ended = true
			if err := w.in.Close(); err != nil {
				return nil, nil, err
			}
		}
		questions, err := w.questions(g, n)
		return g, questions, err
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

// questions makes one question for each rollout of g that is to be judged.
func (w *work) questions(g *group, n int) ([]question, error) {
	if w.client == nil {
		return nil, nil
	}
	var list []question
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
		if len(task.Items) > 0 {
			list = append(list, question{task, j})
		}
	}
	return list, nil
}

// ask puts one question and writes what came of it into its row. A row that is
// retried keeps count of what it has cost before.
func (w *work) ask(ctx context.Context, g *group, q question) error {
	a, err := judge.Ask(ctx, w.client, w.o.template.Query(q.task), func(reply string) ([]judge.Verdict, *judge.Error) {
		return judge.ReadVerdicts(reply, q.task.Items, len(q.task.Steps))
	})
	if errors.Is(err, judge.ErrBudget) {
		w.broke.Store(true)
		g.cut.Store(true)
		w.tally.Expect(-1)
		return nil
	}
	if err != nil {
		return err
	}
	j := q.row
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
	return w.tally.Add(a.Status, a.Err)
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

// emit writes a finished group. The first one that the budget has cut ends the
// output; rows that are retried can stay as they were.
func (w *work) emit(g *group) error {
	w.short = w.short || g.cut.Load() && !w.o.retry
	if w.short {
		return nil
	}
	w.written.add(g.judged)
	return w.out.Write(g.batch.With(rows.Columns(g.judged)...))
}

// size is roughly how many bytes a batch takes.
func size(b *stream.Batch) int {
	n := 0
	for _, f := range b.Schema().Fields {
		n += sizeOf(b.Column(f.Name))
	}
	return n
}

func sizeOf(c *stream.Column) int {
	n := 0
	switch t := c.Type(); t.Kind {
	case stream.Utf8:
		for i := range c.Len() {
			n += len(c.Text(i))
		}
	case stream.List:
		n = 4*c.Len() + sizeOf(c.Elem())
	case stream.Struct:
		for _, f := range t.Fields {
			n += sizeOf(c.Field(f.Name))
		}
	case stream.Int32, stream.Float32:
		n = 4 * c.Len()
	default:
		n = 8 * c.Len()
	}
	return n
}
