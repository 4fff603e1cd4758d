package llm

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWindow: up to a window of 8 everything is as without one; the first row
// or response that goes on beyond it is an error with both numbers.
func TestWindow(t *testing.T) {
	be := newBackend(t, 1)
	c := tiny
	c.EOS = nil
	open := newModel(t, be, c, 3)
	c.Window = 8
	m := newModel(t, be, c, 3)
	fits := Row{Prompt: []int32{1, 2, 3, 4, 5}, Tokens: []int32{6, 7, 8, 9}, Temperature: 1}
	long := fits
	long.Tokens = append(long.Tokens, 10)
	empty := Row{Prompt: make([]int32, 20), Temperature: 1}

	want, _, err := open.Score([]Row{fits})
	require.NoError(t, err)
	got, _, err := m.Score([]Row{fits, empty})
	require.NoError(t, err)
	equalBits(t, want[0], got[0])

	_, _, err = m.Score([]Row{fits, long})
	var row *RowError
	require.ErrorAs(t, err, &row)
	require.Equal(t, 1, row.Row)
	var window *WindowError
	require.ErrorAs(t, err, &window)
	require.Equal(t, WindowError{Positions: 9, Window: 8}, *window)
	require.EqualError(t, err, "score: row 1: 9 positions are more than the model's sliding window of 8")

	tr := newTrainer(t, m, Loss{Kind: "nll", Aggregate: "token-mean"}, adam)
	require.NoError(t, tr.Check([]Row{fits}))
	require.ErrorAs(t, tr.Accumulate([]Row{fits, long}), &window)

	list := []*Request{{Key: "p", Prompt: fits.Prompt, N: 2}}
	wanted := generate(t, open, plain(4), 1, list)
	equalSamples(t, wanted[0], generate(t, m, plain(4), 1, list)[0])
	for _, tc := range []struct {
		prompt []int32
		limit  int
		want   string
	}{
		{fits.Prompt, 5, `generate: prompt "p", rollout 0, after 4 tokens: 9 positions are more than`},
		{make([]int32, 9), 1, `generate: prompt "p": 9 positions are more than`},
	} {
		sent := false
		err := m.Generate(t.Context(), plain(tc.limit), 1, func() (*Request, error) {
			if sent {
				return nil, io.EOF
			}
			sent = true
			return &Request{Key: "p", Prompt: tc.prompt, N: 2}, nil
		}, func(*Request, []Sample) error { return nil })
		require.ErrorContains(t, err, tc.want)
		require.ErrorAs(t, err, &window)
	}
}
