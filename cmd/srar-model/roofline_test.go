package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/ckpt"
	"srar/lib/op"
)

// hand is a model small enough to count by hand: q [4, 3], k and v [2, 3], o [3, 4],
// gate and up [5, 3], down [3, 5], embedding [7, 3], norms of 3, 2 and 2.
var hand = ckpt.Config{
	ModelType: "qwen3", Vocab: 7, Hidden: 3, Intermediate: 5, Layers: 1, Heads: 2, KVHeads: 1, HeadDim: 2, Tied: true, QKNorm: true,
}

func TestDecoding(t *testing.T) {
	s := decoding(hand, op.F32, 2, 10)
	require.Equal(t, map[operator]load{
		{"Embed", 0, 0}:   {near: 2 * 3 * 4},
		{"MatMul", 8, 3}:  {flops: 2 * 2 * 24, far: 24 * 4, near: 2 * 3 * 4},
		{"MatMul", 3, 4}:  {flops: 2 * 2 * 12, far: 12 * 4, near: 2 * 4 * 4},
		{"MatMul", 10, 3}: {flops: 2 * 2 * 30, far: 30 * 4, near: 2 * 3 * 4},
		{"MatMul", 3, 5}:  {flops: 2 * 2 * 15, far: 15 * 4, near: 2 * 5 * 4},
		{"MatMul", 7, 3}:  {flops: 2 * 2 * 21, far: 21 * 4, near: 2 * 3 * 4},
		{"RMSNorm", 0, 0}: {near: 2 * 3 * 3 * 4},
		{"Rotate", 0, 0}:  {near: 2 * (4 + 2) * 4},
		{"SwiGLU", 0, 0}:  {near: 2 * (5 + 5) * 4},
		// The key and the value of a new position.
		{"CacheWrite", 0, 0}: {near: 2 * (2 + 2) * 4},
		// Ten scores of two heads in a sequence, of two products each.
		{"Attend", 0, 0}: {flops: 2 * 2 * 10 * 2 * 2 * 2, far: 2 * 2 * 10 * 2 * 4, near: 2 * 4 * 4},
		{"Draw", 0, 0}:   {near: 2 * 7 * 4},
	}, s.loads)

	// BF16 halves what lies apart, and nothing else.
	half := decoding(hand, op.BF16, 2, 10)
	require.Equal(t, s.far()/2, half.far())
	require.Equal(t, s.loads[operator{"SwiGLU", 0, 0}], half.loads[operator{"SwiGLU", 0, 0}])
}

func TestTraining(t *testing.T) {
	s := training(hand, op.F32, 2, 3)
	const rows, scores = 6, 2 * (1 + 2 + 3)
	for o, want := range map[operator]load{
		{"MatMul", 10, 3}:       {flops: 2 * rows * 30, far: 30 * 4, near: rows * 3 * 4},
		{"MatMulGradX", 10, 3}:  {flops: 2 * rows * 30, far: 30 * 4, near: rows * 10 * 4},
		{"MatMulGradW", 10, 3}:  {flops: 2 * rows * 30, far: 30 * 4, near: rows * (10 + 3) * 4},
		{"MatMulGradW", 7, 3}:   {flops: 2 * rows * 21, far: 21 * 4, near: rows * (7 + 3) * 4},
		{"LogProb", 0, 0}:       {near: rows * 7 * 4},
		{"LogProbGrad", 0, 0}:   {near: rows * 7 * 4},
		{"Attention", 0, 0}:     {flops: scores * 2 * 2 * 2 * 2, near: rows * (4 + 2 + 2) * 4},
		{"AttentionGrad", 0, 0}: {flops: 5 * scores * 2 * 2 * 2, near: rows * (4 + 4 + 4 + 2 + 2) * 4},
		{"Rotate", 0, 0}:        {near: 2 * rows * (4 + 2) * 4},
		{"SwiGLUGrad", 0, 0}:    {near: rows * 3 * 5 * 4},
		{"RMSNormGrad", 0, 0}:   {near: rows * 3 * (3*3 + 4 + 2) * 4},
		{"EmbedGrad", 0, 0}:     {near: rows * 2 * 3 * 4},
		// 12 + 6 + 6 + 12 + 15 + 15 + 15 and the embedding's 21; norms 3 + 3 + 3 + 2 + 2.
		{"SumSquares", 0, 0}: {far: 115 * 4},
		{"AdamW", 0, 0}:      {far: 4 * 115 * 4},
		{"Repack", 0, 0}:     {far: 102 * 4},
	} {
		require.Equal(t, want, s.loads[o], "%v", o)
	}

	// An output matrix of its own is one more of the same size to move.
	untied := hand
	untied.Tied = false
	u := training(untied, op.F32, 2, 3)
	require.Equal(t, load{far: 4 * (115 + 21) * 4}, u.loads[operator{"AdamW", 0, 0}])
	require.Equal(t, s.loads[operator{"Repack", 0, 0}], u.loads[operator{"Repack", 0, 0}])
}

// TestSixFlops: a step costs six multiplications and additions for each weight in
// a product and token.
func TestSixFlops(t *testing.T) {
	s, sum := training(hand, op.F32, 1, 8), 0.0
	for o, l := range s.loads {
		if o.In > 0 {
			sum += l.flops
		}
	}
	require.Equal(t, 6.0*102*8, sum)
}

func TestRoofline(t *testing.T) {
	c := op.Ceiling{FLOPS: 1000, Reads: []op.Bandwidth{{Bytes: 100, PerSecond: 400}, {Bytes: 10000, PerSecond: 100}}}
	s := newStep(256)
	s.add("MatMul", 1, 2, load{flops: 5000, far: 100})
	s.add("MatMul", 3, 4, load{flops: 100, far: 9900, near: 200})
	s.add("SwiGLU", 0, 0, load{near: 100})
	require.Equal(t, 5.0, s.seconds(operator{"MatMul", 1, 2}, c), "bound by flops")
	require.Equal(t, 99.5, s.seconds(operator{"MatMul", 3, 4}, c), "bound by bytes: half of 200 at once")
	require.Equal(t, 0.25, s.seconds(operator{"SwiGLU", 0, 0}, c))
	require.Equal(t, 104.75, s.total(c))
}
