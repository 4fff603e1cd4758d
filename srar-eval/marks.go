package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"srar/lib/judge"
	"srar/lib/rows"
	"srar/lib/stream"
	"srar/lib/tool"
)

// marking counts what was asked.
type marking struct {
	steps, failed atomic.Int64
	mu            sync.Mutex
	classes       map[string]int // of the failures
}

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
	e.asked.classes = map[string]int{}
	e.t.Record("judge", judge.PromptDigest())
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
		return fmt.Sprintf("%d steps marked, %d without a mark", e.asked.steps.Load(), e.asked.failed.Load())
	})
	next := func() (*markedGroup, []judge.Job, error) {
		b, err := in.Next()
		if err != nil {
			return nil, nil, err
		}
		g := &markedGroup{batch: b, n: in.Index()}
		if g.group, err = read(b, g.n); err != nil {
			return nil, nil, err
		}
		return g, e.jobs(g), nil
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
	n := e.o.asks.Concurrency
	if err := judge.InOrder(ctx, n, 4*n, next, emit); err != nil {
		return err
	}
	e.reportMarks()
	return e.o.asks.Tolerate(e.asked.steps.Load(), e.asked.failed.Load())
}

// jobs makes one job for each step of g without a mark. What earlier runs wrote
// stays.
func (e *evaluation) jobs(g *markedGroup) []judge.Job {
	var jobs []judge.Job
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
	e.asked.steps.Add(1)
	*reply = a.Reply
	if a.Status == judge.OK {
		*mark = &a.Value
		return nil
	}
	e.asked.failed.Add(1)
	class := string(a.Status)
	if a.Err != nil {
		class = a.Err.Class
	}
	e.asked.mu.Lock()
	e.asked.classes[class]++
	e.asked.mu.Unlock()
	return nil
}

// reportMarks says what the marks cost.
func (e *evaluation) reportMarks() {
	asked, failed := e.asked.steps.Load(), e.asked.failed.Load()
	s := e.client.Stats()
	e.t.Logf("%d steps asked for: %d without a mark; %d requests, %d answers from the cache, %d prompt and %d completion tokens",
		asked, failed, s.Requests, s.Cached, s.PromptTokens, s.CompletionTokens)
	if s.Damaged > 0 {
		e.t.Warnf("%d damaged cache entries were asked for again", s.Damaged)
	}
	if s.CacheError != "" {
		e.t.Warnf("the cache keeps nothing: %s", s.CacheError)
	}
	for _, class := range slices.Sorted(maps.Keys(e.asked.classes)) {
		e.t.Logf("without a mark, %s: %d", class, e.asked.classes[class])
	}
}
