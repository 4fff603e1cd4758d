package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

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
	failures     map[string]int64 // by class
}

func (c *counts) add(rollouts []rows.Judgement) {
	if c.answers == nil {
		c.answers, c.judged, c.right, c.failures = map[string]int64{}, map[string]int64{}, map[string]int64{}, map[string]int64{}
	}
	c.groups++
	c.rows += len(rollouts)
	for _, j := range rollouts {
		c.answers[j.AnswerStatus]++
		c.judged[j.JudgeStatus]++
		if j.Correct {
			c.right[j.JudgeStatus]++
		}
		if j.JudgeStatus == string(judge.Failed) && j.JudgeError != nil {
			class, _, _ := strings.Cut(*j.JudgeError, ":")
			c.failures[class]++
		}
	}
}

func (w *work) progress() string {
	s := fmt.Sprintf("%d asked, %d failed", w.asked.Load(), w.failed.Load())
	if w.client != nil {
		st := w.client.Stats()
		s += fmt.Sprintf(", %d requests, %d from the cache", st.Requests, st.Cached)
	}
	return s
}

// report says what the run did. Work under way has ended when it is called,
// but for a read that blocks.
func (w *work) report(t *tool.Tool) {
	c := &w.written
	t.Logf("%d groups written, %d dropped, %d rollouts, accuracy %s", c.groups, w.dropped.Load(), c.rows, share(c.answers[string(answer.Equal)], int64(c.rows)))
	t.Logf("answers: %s", list(c.answers))
	if n := c.answers[string(answer.Undecided)]; n > 0 {
		t.Warnf("%d answers could not be compared within the limits and count as wrong", n)
	}
	if w.client == nil {
		return
	}
	t.Logf("judgements: %s", list(c.judged))
	if n := c.judged[string(judge.Failed)]; n > 0 {
		t.Warnf("failed judgements: %s; accuracy of their rollouts %s", list(c.failures), share(c.right[string(judge.Failed)], n))
	}
	s := w.client.Stats()
	t.Logf("requests: %d, of them followed by another: %s; answers from the cache: %d; tokens: %d in, %d out", s.Requests, list(s.Repeats), s.Cached, s.PromptTokens, s.CompletionTokens)
	if s.Damaged > 0 {
		t.Warnf("%d entries of the cache were damaged and asked again", s.Damaged)
	}
	if s.CacheError != "" {
		t.Warnf("the cache does not keep answers: %s", s.CacheError)
	}
}

func share(n, of int64) string {
	if of == 0 {
		return "unknown"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(of))
}

// list writes counts in order of their names.
func list(m map[string]int64) string {
	if len(m) == 0 {
		return "none"
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s %d", k, m[k]))
	}
	return strings.Join(parts, ", ")
}
