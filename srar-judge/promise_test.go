package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/rows"
)

// A failed judgement is a state of its row: no verdicts, not even unsatisfied
// ones, and the reply that could not be read beside the reason.
func TestJ1FailedJudgementIsAState(t *testing.T) {
	s := answering(t, func(m string) bool { return m == "mkown0r1x" })
	got := flat(must(t, s.URL, mixed(t, 1), "--tries", "2", "--max-failure-rate", "1"))
	require.Equal(t, "ok", got[0].JudgeStatus)
	require.NotNil(t, got[0].Verdicts)
	require.Equal(t, "failed", got[1].JudgeStatus)
	require.Nil(t, got[1].Verdicts)
	require.Regexp(t, "^no json: ", *got[1].JudgeError)
	require.Equal(t, "no", *got[1].JudgeReply)
	require.EqualValues(t, 2, got[1].JudgeTries)
	require.EqualValues(t, 200, *got[1].JudgePromptTokens)
}

// One error that passes costs a request and nothing else.
func TestJ3PassingErrorsAreMended(t *testing.T) {
	s := serve(t, func(_ string, n int) action {
		if n == 0 {
			return action{Status: 500}
		}
		return says(`[{"id": 1, "satisfied": true, "step": 1}, {"id": 2, "satisfied": false, "step": -1}]`)
	})
	for _, r := range flat(must(t, s.URL, mixed(t, 2), "--max-failure-rate", "0")) {
		require.Equal(t, "ok", r.JudgeStatus)
		require.EqualValues(t, 2, r.JudgeTries)
	}
}

// At the end failures are counted by class, and the accuracy of their rollouts
// is shown apart.
func TestJ4FailuresAreCountedByClass(t *testing.T) {
	s := serve(t, func(m string, _ int) action {
		switch m {
		case "mkown0r0x":
			return action{Status: 404}
		case "mkown1r0x", "mkown1r1x":
			return says("[]")
		}
		return says(`[{"id": 1, "satisfied": true, "step": 1}, {"id": 2, "satisfied": false, "step": -1}]`)
	})
	r := run(t, s.URL, mixed(t, 2), "--tries", "1", "--max-failure-rate", "1")
	require.Zero(t, r.Status, r.Voice)
	require.Contains(t, r.Voice, "accuracy 50.0 %")
	require.Contains(t, r.Voice, "failed judgements: http 404 1, schema 2; accuracy of their rollouts 66.7 %")
}

// alike are two groups: one of equal correctness whose rollouts differ in all
// that is not raw accuracy, and one that has both outcomes.
func alike(t testing.TB) []byte {
	long := rollout(0, 1, "a long way round to 2+2, which is "+`\boxed{4}`)
	long.Finish = "length"
	bare := rollout(0, 2, `\boxed{4}`)
	bare.Response = `mkown0r2x \boxed{4}` // no step heading: another format reward
	return streamOf(t, &rows.Rollouts,
		[]rows.Rollout{rollout(0, 0, `\boxed{4}`), long, bare},
		[]rows.Rollout{rollout(1, 0, `\boxed{4}`), rollout(1, 1, `\boxed{5}`)})
}

func TestFilter(t *testing.T) {
	s := answering(t, never)
	r := run(t, s.URL, alike(t), "--filter", "acc")
	require.Zero(t, r.Status, r.Voice)
	t.Run("F1 by raw accuracy only", func(t *testing.T) {
		got := groups(t, r.Out)
		require.Len(t, got, 1)
		require.Equal(t, "p1", got[0][0].PromptID)
	})
	t.Run("F2 before the judge is asked", func(t *testing.T) {
		require.Equal(t, map[string]int{"mkown1r0x": 1, "mkown1r1x": 1}, s.count)
	})
	t.Run("F3 discards are counted", func(t *testing.T) {
		require.Contains(t, r.Voice, "1 groups written, 1 dropped")
	})
	t.Run("F4 keeping them is a choice", func(t *testing.T) {
		all := answering(t, never)
		got := flat(must(t, all.URL, alike(t)))
		require.Len(t, got, 5)
		for _, row := range got {
			require.Equal(t, "ok", row.JudgeStatus)
		}
	})
}
