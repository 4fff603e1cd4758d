package main

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"srar/lib/arith"
	"srar/lib/judge"
	"srar/lib/rubric"
	"srar/lib/steps"
)

// question is a problem with a learner's solution.
type question struct {
	problem  *arith.Problem
	items    []rubric.Item
	response string
}

func draw(t require.TestingT, seed, i uint64) question {
	q := arith.Sequence{Level: arith.Small, Split: arith.Train, Seed: seed}
	for n, p := range q.From(i) {
		items, err := rubric.Parse(p.Rubric())
		require.NoError(t, err)
		return question{p, items, q.Learner(n, p)}
	}
	panic("unreachable: sequences do not end")
}

func (q question) task(t require.TestingT) judge.Task {
	task, err := judge.NewTask(q.problem.Text, q.items, q.response, steps.Split(q.response))
	require.NoError(t, err)
	return task
}

// marks returns the questions about each step.
func (q question) marks() []judge.StepTask {
	preamble, texts := judge.Parts(q.response, steps.Split(q.response))
	var all []judge.StepTask
	for k := range texts {
		all = append(all, judge.StepTask{Problem: q.problem.Text, GroundTruth: q.problem.Answer, Preamble: preamble, Steps: texts[:k+1]})
	}
	return all
}

// What the rule says is what srar-judge and srar-eval read from the reply,
// however talkative; a useless reply they never take for an answer.
func TestRepliesAreReadAsMeant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := draw(t, rapid.Uint64().Draw(t, "seed"), rapid.Uint64().Draw(t, "number"))
		task := q.task(t)
		ruled, err := arith.Judge(q.items, task.Steps)
		require.NoError(t, err)
		var want []judge.Verdict
		for _, v := range ruled {
			want = append(want, judge.Verdict(v))
		}
		r, err := answer(task.Query().User)
		require.NoError(t, err)
		for _, text := range []string{r.text, r.talk(0), r.talk(1), r.talk(2)} {
			got, flaw := judge.ReadVerdicts(text, q.items, len(task.Steps))
			require.Nil(t, flaw, text)
			require.Equal(t, want, got, text)
		}
		for kind := range 7 {
			_, flaw := judge.ReadVerdicts(r.useless(kind), q.items, len(task.Steps))
			require.NotNil(t, flaw, r.useless(kind))
		}
		for k, m := range q.marks() {
			r, err := answer(m.Query().User)
			require.NoError(t, err)
			for _, text := range []string{r.text, r.talk(0), r.talk(1), r.talk(2)} {
				got, flaw := judge.ReadMark(text)
				require.Nil(t, flaw, text)
				require.Equal(t, q.problem.Mark(task.Steps[k]), got, text)
			}
			for kind := range 4 {
				_, flaw := judge.ReadMark(r.useless(kind))
				require.NotNil(t, flaw, r.useless(kind))
			}
		}
	})
}

func TestUselessForOneItem(t *testing.T) {
	task := judge.Task{Problem: "Find 2+3.", Items: []rubric.Item{{ID: 1, Type: rubric.SUGGEST, Text: "Works out 2+3=5."}}, Steps: []string{"2+3=5"}}
	r, err := answer(task.Query().User)
	require.NoError(t, err)
	for kind := range 7 {
		_, flaw := judge.ReadVerdicts(r.useless(kind), task.Items, 1)
		require.NotNil(t, flaw, r.useless(kind))
	}
}

func TestForeignQuestions(t *testing.T) {
	for text, want := range map[string]string{
		"Is 2+2=4?": "this judge works by rule, and the last message is no question of srar-judge or srar-eval",
		judge.StepTask{Problem: "Find 2+3."}.Query().User:                                      "this judge works by rule, and the last message is no question of srar-judge or srar-eval",
		judge.StepTask{Problem: "Prove it.", Steps: []string{"2+3=5"}}.Query().User:            "this judge works by rule: arith: not a problem of this task: byte 0",
		judge.Task{Items: []rubric.Item{{ID: 2, Type: "SUGGEST", Text: "Fine."}}}.Query().User: `this judge works by rule: arith: item 2: "Fine." holds no statement that can be checked`,
	} {
		_, err := answer(text)
		require.EqualError(t, err, want)
	}
}

func TestFaults(t *testing.T) {
	// The same question gets the same luck in the same turn, whatever is asked between.
	f, g := faults{seed: 3, flaky: .5, garbage: .5}, faults{seed: 3, flaky: .5, garbage: .5}
	for i := range 3 {
		g.draw(fmt.Sprint("another ", i))
	}
	var turns []luck
	for range 20 {
		turns = append(turns, f.draw("question"))
		g.draw("between")
		require.Equal(t, turns[len(turns)-1], g.draw("question"))
	}
	other := faults{seed: 4, flaky: .5, garbage: .5}
	var others []luck
	for range 20 {
		others = append(others, other.draw("question"))
	}
	require.NotEqual(t, turns, others)

	// Probabilities are those asked for, and the kinds all come.
	f = faults{flaky: .25, garbage: .1}
	failures, garbage, jitter := map[failure]int{}, 0, 0.
	const n = 20_000
	for i := range n {
		l := f.draw(fmt.Sprint(i))
		failures[l.failure]++
		jitter += l.jitter
		if l.garbage {
			garbage++
		}
	}
	require.InDelta(t, .75*n, failures[none], 300)
	for _, kind := range []failure{status500, status503, cut, closed} {
		require.InDelta(t, .0625*n, failures[kind], 200)
	}
	require.InDelta(t, .1*n, garbage, 200)
	require.InDelta(t, .5*n, jitter, 200)

	// One flag does not change what another one does.
	plain, both := faults{garbage: .5}, faults{garbage: .5, flaky: .5}
	for range 100 {
		require.Equal(t, plain.draw("q").garbage, both.draw("q").garbage)
	}

	f = faults{first: 2}
	require.Equal(t, []failure{status503, status503, none, none},
		[]failure{f.draw("q").failure, f.draw("q").failure, f.draw("q").failure, f.draw("q").failure})
	require.Equal(t, status503, f.draw("r").failure, "each question counts on its own")
}
