package main

import (
	"fmt"

	"srar/lib/answer"
	"srar/lib/judge"
	"srar/lib/rows"
	"srar/lib/tool"
)

// counts sums up the rows that were written.
type counts struct {
	groups, rows int
	answers      map[string]int64 // by answer_status
	judged       map[string]int64 // by judge_status
	right        map[string]int64 // correct ones, by judge_status
}

func (c *counts) add(rollouts []rows.Judgement) {
	if c.answers == nil {
		c.answers, c.judged, c.right = map[string]int64{}, map[string]int64{}, map[string]int64{}
	}
	c.groups++
	c.rows += len(rollouts)
	for _, j := range rollouts {
		c.answers[j.AnswerStatus]++
		c.judged[j.JudgeStatus]++
		if j.Correct {
			c.right[j.JudgeStatus]++
		}
	}
}

func (w *work) progress() string {
	if w.client == nil {
		return fmt.Sprintf("%d groups dropped", w.dropped.Load())
	}
	asked, failed, _ := w.tally.Counts()
	s := w.client.Stats()
	return fmt.Sprintf("%d asked, %d failed, %d requests, %d in flight of %d, %d from the cache", asked, failed, s.Requests, s.InFlight, s.Limit, s.Cached)
}

// report says what the run did. Work under way has ended when it is called,
// but for a read that blocks.
func (w *work) report(t *tool.Tool) {
	c := &w.written
	t.Logf("%d groups written, %d dropped, %d rollouts, accuracy %s", c.groups, w.dropped.Load(), c.rows, share(c.answers[string(answer.Equal)], int64(c.rows)))
	t.Logf("answers: %s", judge.List(c.answers))
	if n := c.answers[string(answer.Undecided)]; n > 0 {
		t.Warnf("%d answers could not be compared within the limits and count as wrong", n)
	}
	if w.client == nil {
		return
	}
	t.Logf("judgements: %s", judge.List(c.judged))
	if _, failed, classes := w.tally.Counts(); failed > 0 {
		t.Warnf("failed judgements: %s; accuracy of their rollouts %s", judge.List(classes), share(c.right[string(judge.Failed)], c.judged[string(judge.Failed)]))
	}
	if w.broke.Load() {
		t.Warnf("the budget of %d tokens is used up; what it did not suffice for is not judged", w.o.judge.Budget)
	}
	s := w.o.judge.Summary(w.client)
	lines, warnings := s.Lines()
	t.Summarize(lines, s)
	for _, l := range warnings {
		t.Warnf("%s", l)
	}
}

func share(n, of int64) string {
	if of == 0 {
		return "unknown"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(of))
}
