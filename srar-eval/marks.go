package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"srar/lib/judge"
	"srar/lib/remote"
	"srar/lib/rows"
	"srar/lib/stream"
	"srar/lib/tool"
)

// stepColumns are the columns that --marks adds.
type stepColumns struct {
	rows.StepMarks
	StepReplies []*string `col:"step_replies" null:"yes" shape:"steps" doc:"raw reply that each mark was read from, null = not asked"`
}

// connect makes the client from flags and environment.
func (e *evaluation) connect() (err error) {
	if e.client, err = e.o.asks.Connect(); err != nil {
		return err
	}
	e.tally = e.o.asks.Tally()
	e.t.Record("prompt "+judge.MarkPrompt.Name, judge.MarkPrompt.Digest)
	return nil
}

// openMarks opens the file of --marks: the input's rows and [stepColumns].
func (e *evaluation) openMarks(in *stream.Schema) (err error) {
	kind := in.RowKind
	if kind == "" {
		kind = rows.Rollouts.Name
	}
	e.marked, err = e.t.File(e.o.marks, in.With(kind, rows.Batch[stepColumns](nil).Schema().Fields...))
	return err
}

// markedGroup is a batch whose steps are being marked.
type markedGroup struct {
	*group
	batch   *stream.Batch
	n       int
	columns []stepColumns
}

// mark asks for the marks that the rows lack, counts the rows in their order
// and writes them to the file of --marks.
func (e *evaluation) mark(ctx context.Context, in *tool.Input) error {
	e.t.Progress(func() string {
		asked, failed, _ := e.tally.Counts()
		return fmt.Sprintf("%d steps marked, %d without a mark", asked, failed)
	})
	next := func() (work remote.Work[*markedGroup], err error) {
		b, err := in.Next()
		if err == io.EOF {
			if lost := e.tally.Complete(); lost != nil {
				err = lost
			}
		}
		if err != nil {
			return work, err
		}
		g := &markedGroup{batch: b, n: in.Index()}
		if g.group, err = read(b, g.n); err != nil {
			return work, err
		}
		work.Group, work.Jobs = g, e.jobs(g)
		e.tally.Expect(len(work.Jobs))
		return work, nil
	}
	emit := func(g *markedGroup) error {
		for i := range g.rows {
			g.rows[i].StepCorrect = g.columns[i].StepCorrect
		}
		if e.marked != nil {
			if err := e.marked.Write(g.batch.With(rows.Columns(g.columns)...)); err != nil {
				return err
			}
		}
		return e.add(g.group, g.n)
	}
	err := remote.InOrder(ctx, e.o.asks.Window(), next, emit)
	e.reportMarks()
	return err
}

// jobs makes one job for each step of g without a mark. What earlier runs wrote
// stays.
func (e *evaluation) jobs(g *markedGroup) []remote.Job {
	var jobs []remote.Job
	g.columns = make([]stepColumns, len(g.rows))
	for i := range g.rows {
		r := &g.rows[i]
		c := &g.columns[i]
		c.StepCorrect = make([]*bool, len(g.spans[i]))
		c.StepReplies = make([]*string, len(g.spans[i]))
		copy(c.StepCorrect, r.StepCorrect)
		if len(r.StepReplies) == len(c.StepReplies) {
			copy(c.StepReplies, r.StepReplies)
		}
		preamble, texts := judge.Parts(r.Response, g.spans[i])
		for k := range texts {
			if c.StepCorrect[k] != nil {
				continue
			}
			task := judge.StepTask{Problem: r.Problem, Preamble: preamble, Steps: texts[:k+1]}
			if r.GroundTruth != nil {
				task.GroundTruth = *r.GroundTruth
			}
			jobs = append(jobs, func(ctx context.Context) error {
				return e.ask(ctx, task, &c.StepCorrect[k], &c.StepReplies[k])
			})
		}
	}
	return jobs
}

func (e *evaluation) ask(ctx context.Context, task judge.StepTask, mark **bool, reply **string) error {
	a, err := judge.Ask(ctx, e.client, task.Query(), judge.ReadMark)
	if err != nil {
		return err
	}
	*reply = a.Reply
	if a.Status == judge.OK {
		*mark = &a.Value
		return e.tally.Add(judge.OK, nil)
	}
	return e.tally.Add(judge.Failed, a.Err) // too long a question leaves no mark either
}

// reportMarks says what the marks cost.
func (e *evaluation) reportMarks() {
	asked, failed, classes := e.tally.Counts()
	e.t.Logf("%d steps asked for: %d without a mark", asked, failed)
	for _, class := range slices.Sorted(maps.Keys(classes)) {
		e.t.Logf("without a mark, %s: %d", class, classes[class])
	}
	sum := e.o.asks.Summary(e.client)
	lines, warnings := sum.Lines()
	e.t.Summarize(lines, sum)
	for _, l := range warnings {
		e.t.Warnf("%s", l)
	}
}
