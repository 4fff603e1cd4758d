package main

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"srar/lib/stream"
	"srar/lib/trial"
)

// drawPrompts draws batches of rows with columns of every kind that tables have;
// what a row holds follows from its id.
func drawPrompts(t *rapid.T) []*stream.Batch {
	ids := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-c]{1,3}`), 0, 20, func(s string) string { return s }).Draw(t, "ids")
	var out []*stream.Batch
	for len(ids) > 0 {
		n := rapid.IntRange(1, len(ids)).Draw(t, "rows")
		out = append(out, promptsOf(ids[:n]))
		ids = ids[n:]
	}
	return out
}

func promptsOf(ids []string) *stream.Batch {
	var texts, parts []string
	var null, even []bool
	var i32 []int32
	var i64 []int64
	var u64 []uint64
	var f32 []float32
	var f64 []float64
	offsets := []int32{0}
	for _, id := range ids {
		n := len(id)
		texts = append(texts, id+id)
		null = append(null, id[0] == 'a')
		even = append(even, n%2 == 0)
		i32, i64, u64 = append(i32, int32(n)), append(i64, int64(-n)), append(u64, uint64(n))
		f32, f64 = append(f32, float32(n)/2), append(f64, float64(n)/4)
		for _, c := range id {
			parts = append(parts, string(c))
		}
		offsets = append(offsets, int32(len(parts)))
	}
	noB := make([]bool, len(parts))
	for i, p := range parts {
		noB[i] = p == "b"
	}
	inner := stream.NewStructs(len(parts), []stream.Named{{Name: "s", Nullable: true, Column: stream.NewTexts(parts, noB)}}, nil)
	return stream.NewBatch(len(ids),
		stream.Named{Name: "prompt_id", Column: stream.NewTexts(slices.Clone(ids), nil)},
		stream.Named{Name: "text", Nullable: true, Column: stream.NewTexts(texts, null)},
		stream.Named{Name: "bool", Nullable: true, Column: stream.NewBools(even, null)},
		stream.Named{Name: "i32", Column: stream.NewInt32s(i32, nil)},
		stream.Named{Name: "i64", Column: stream.NewInt64s(i64, nil)},
		stream.Named{Name: "u64", Column: stream.NewUint64s(u64, nil)},
		stream.Named{Name: "f32", Column: stream.NewFloat32s(f32, nil)},
		stream.Named{Name: "f64", Nullable: true, Column: stream.NewFloat64s(f64, null)},
		stream.Named{Name: "list", Nullable: true, Column: stream.NewLists(offsets, inner, false, null)},
	)
}

// released returns the ids that a holder gives out, and their rows.
func released(t require.TestingT, h *holder, in []*stream.Batch) (ids []string, rows []string) {
	for _, b := range in {
		require.NoError(t, h.hold(b))
	}
	require.NoError(t, h.release(context.Background(), func(b *stream.Batch) error {
		require.LessOrEqual(t, b.Len(), batchRows)
		for i := range b.Len() {
			ids = append(ids, b.Column("prompt_id").Text(i))
			rows = append(rows, trial.Text(b.Take([]int{i}).Without("prompt_id")))
		}
		return nil
	}))
	return ids, rows
}

// Each repetition holds the same prompts under names of its own, rows stay whole,
// and the order of a shuffle is that of the ids, whatever the order of the data.
func TestLawOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawPrompts(t)
		var all []string
		for _, b := range in {
			for i := range b.Len() {
				all = append(all, b.Column("prompt_id").Text(i))
			}
		}
		h := holder{
			repeat: rapid.IntRange(1, 3).Draw(t, "repeat"), shuffle: rapid.Bool().Draw(t, "shuffle"),
			seed: rapid.Uint64Range(0, 3).Draw(t, "seed"), limit: rapid.IntRange(0, 25).Draw(t, "limit"),
		}
		again := h
		ids, rows := released(t, &h, in)
		n := len(all)
		if h.limit > 0 {
			n = min(n, h.limit)
		}
		require.Len(t, ids, n*h.repeat)
		var first []string
		for e := range h.repeat {
			part := slices.Clone(ids[e*n : (e+1)*n])
			for i := range part {
				bare := part[i]
				if e > 0 {
					bare = bare[:len(bare)-2]
					require.Equal(t, fmt.Sprintf("%s#%d", bare, e+1), part[i])
				}
				require.Equal(t, trial.Text(promptsOf([]string{bare}).Without("prompt_id")), rows[e*n+i], bare)
				part[i] = bare
			}
			if !h.shuffle {
				require.True(t, slices.Equal(all[:n], part))
			}
			slices.Sort(part)
			if e == 0 {
				first = part
			}
			require.Equal(t, first, part)
		}
		if h.shuffle && len(all) > 0 {
			slices.Reverse(all)
			same, _ := released(t, &again, []*stream.Batch{promptsOf(all)})
			require.Equal(t, ids, same)
		}
	})
}

// Seeds and repetitions shuffle differently, and every row may come first.
func TestShuffle(t *testing.T) {
	ids := []string{"a", "b", "c", "d"}
	firsts := map[string]int{}
	orders := map[string]bool{}
	for seed := range uint64(200) {
		h := holder{repeat: 2, shuffle: true, seed: seed}
		got, _ := released(t, &h, []*stream.Batch{promptsOf(ids)})
		firsts[got[0]]++
		orders[fmt.Sprint(got[:4])] = true
		orders[fmt.Sprint(got[4:])] = true
	}
	require.Len(t, orders, 48, "24 orders of the first repetition and of the second")
	for _, id := range ids {
		require.InDelta(t, 50, firsts[id], 25, id)
	}
	// The order is part of what a run gives, so it stays: that of SHA-256 of "1 1 a", ...
	h := holder{repeat: 1, shuffle: true, seed: 1}
	got, _ := released(t, &h, []*stream.Batch{promptsOf(ids)})
	require.Equal(t, []string{"d", "c", "b", "a"}, got)
}

// A prompt of the data cannot be called as a repetition of another.
func TestRepeatedNames(t *testing.T) {
	for _, c := range []struct {
		ids    []string
		repeat int
		want   string
	}{
		{[]string{"a", "a#2"}, 2, `prompt_id "a#2" is in the data, and that of repetition 2 of "a"`},
		{[]string{"a#2", "a"}, 3, `prompt_id "a#2" is in the data, and that of repetition 2 of "a"`},
		{[]string{"a", "a#2"}, 1, ""},
		{[]string{"a", "a#3"}, 2, ""},
		{[]string{"a", "a#02", "a#1", "a#x", "b#2"}, 9, ""},
	} {
		h := holder{repeat: c.repeat}
		require.NoError(t, h.hold(promptsOf(c.ids)))
		err := h.release(context.Background(), func(*stream.Batch) error { return nil })
		if c.want == "" {
			require.NoError(t, err)
		} else {
			require.EqualError(t, err, c.want)
		}
	}
}
