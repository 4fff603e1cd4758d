package llm

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"srar/lib/ckpt"
)

func plainNorms(c ckpt.Config) ckpt.Config { c.QKNorm = false; return c }

func TestScoreAgainstReference(t *testing.T) {
	be := newBackend(t, 2)
	for i, c := range []ckpt.Config{
		tiny, untied(tiny), plainNorms(tiny), scaled(tiny), biased(tiny), allBiased(tiny), yarned(tiny), truncated(yarned(tiny)), stretched(tiny),
	} {
		m := newModel(t, be, c, uint64(i))
		ref := newReference(c, weights(m))
		rows := randomRows(c, 7, 1)
		logp, entropy, err := m.Score(rows)
		require.NoError(t, err)
		require.Len(t, logp, len(rows))
		for i := range rows {
			l, e := ref.score(&rows[i])
			require.Len(t, logp[i], len(l))
			for k := range l {
				require.InDelta(t, l[k], logp[i][k], 1e-5) // float32 through two layers
				require.InDelta(t, e[k], entropy[i][k], 1e-5)
			}
		}
	}
}

// A row's bits depend on neither the rows beside it nor threads nor how the
// work is cut.
func TestScoreIsInvariant(t *testing.T) {
	for _, numerics := range both {
		m := newModel(t, backendOf(t, 1, numerics), tiny, 3)
		rows := randomRows(tiny, 13, 2)
		logp, entropy, err := m.Score(rows)
		require.NoError(t, err)
		same := func(what string, m *Model) {
			for _, micro := range []int{1, 20, 1000} {
				m.MicroTokens = micro
				l, e, err := m.Score(rows)
				require.NoError(t, err)
				for i := range rows {
					equalBits(t, logp[i], l[i], numerics, what, micro, i)
					equalBits(t, entropy[i], e[i], numerics, what, micro, i)
				}
			}
		}
		same("one thread", m)
		m.logitRows = 3
		same("logits by threes", m)
		m = newModel(t, backendOf(t, 3, numerics), tiny, 3)
		same("three threads", m)
		for i := range rows {
			l, _, err := m.Score(rows[i : i+1])
			require.NoError(t, err)
			equalBits(t, logp[i], l[0], numerics, "alone", i)
		}
	}
}

func TestScoreNamesTheRow(t *testing.T) {
	m := newModel(t, newBackend(t, 1), untied(tiny), 3)
	good := Row{Prompt: []int32{1, 2}, Tokens: []int32{3}, Temperature: 1}
	for _, c := range []struct {
		change func(r *Row)
		err    string
	}{
		{func(r *Row) { r.Prompt = nil }, "score: row 1: the prompt has no tokens"},
		{func(r *Row) { r.Prompt = []int32{23} }, "score: row 1: token 23 is not in the model's vocabulary of 23"},
		{func(r *Row) { r.Tokens = []int32{-1} }, "score: row 1: token -1 is not in the model's vocabulary of 23"},
		{func(r *Row) { r.Temperature = 0 }, "score: row 1: temperature is 0"},
		{func(r *Row) { r.Temperature = float32(math.NaN()) }, "score: row 1: temperature is NaN"},
	} {
		bad := good
		c.change(&bad)
		_, _, err := m.Score([]Row{good, bad})
		require.EqualError(t, err, c.err)
	}
	poison(m, 2) // which only the second row holds
	other := good
	other.Prompt = []int32{1}
	_, _, err := m.Score([]Row{other, good})
	require.ErrorContains(t, err, "score: row 1: token 0: log-probability is NaN")
}

// Runs hold every token once, in order, and cut a response only after a multiple
// of 32 of its tokens.
func TestRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := microBatch{first: []int{0}}
		for _, n := range rapid.SliceOf(rapid.IntRange(0, 150)).Draw(t, "lengths") {
			b.first = append(b.first, b.first[len(b.first)-1]+n)
		}
		most := 32 * rapid.IntRange(1, 4).Draw(t, "most")
		next, row := 0, 0
		for r := range b.runs(most) {
			require.Equal(t, next, r.lo)
			require.LessOrEqual(t, r.hi-r.lo, most)
			for _, p := range r.parts {
				require.Equal(t, next, r.lo+p.Lo)
				for next >= b.first[row+1] {
					row++
				}
				require.Less(t, p.Lo, p.Hi)
				require.Zero(t, (next-b.first[row])%32)
				require.LessOrEqual(t, r.lo+p.Hi, b.first[row+1])
				next = r.lo + p.Hi
			}
			require.Equal(t, next, r.hi)
		}
		require.Equal(t, b.first[len(b.first)-1], next)
	})
}
