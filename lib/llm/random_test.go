package llm

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The known answers are those of the authors' implementation, Random123
// (kat_vectors, philox4x32 with 10 rounds).
func TestPhiloxKnownAnswers(t *testing.T) {
	const f = 0xffffffff
	for _, c := range []struct {
		ctr  [4]uint32
		key  [2]uint32
		want [4]uint32
	}{
		{[4]uint32{}, [2]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[4]uint32{f, f, f, f}, [2]uint32{f, f}, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [2]uint32{0xa4093822, 0x299f31d0}, [4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		require.Equal(t, c.want, philox(c.ctr, c.key))
	}
}

func TestUniform(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed, prompt := rapid.Uint64().Draw(t, "seed"), rapid.Uint64().Draw(t, "prompt")
		rollout, position := rapid.IntRange(0, 1<<20).Draw(t, "rollout"), rapid.IntRange(0, 1<<20).Draw(t, "position")
		u := uniform(seed, prompt, rollout, position)
		require.True(t, u >= 0 && u < 1)
		require.Equal(t, u, uniform(seed, prompt, rollout, position))
		for _, other := range []float64{
			uniform(seed^1<<63, prompt, rollout, position), uniform(seed+1, prompt, rollout, position),
			uniform(seed, prompt^1<<63, rollout, position), uniform(seed, prompt+1, rollout, position),
			uniform(seed, prompt, rollout+1, position), uniform(seed, prompt, rollout, position+1),
		} {
			require.NotEqual(t, u, other)
		}
	})
}

// Numbers along each coordinate fall evenly into 64 cells.
func TestUniformIsEven(t *testing.T) {
	const n, cells = 64000, 64
	for name, at := range map[string]func(i int) float64{
		"seed":     func(i int) float64 { return uniform(uint64(i), 1, 2, 3) },
		"prompt":   func(i int) float64 { return uniform(1, uint64(i), 2, 3) },
		"rollout":  func(i int) float64 { return uniform(1, 2, i, 3) },
		"position": func(i int) float64 { return uniform(1, 2, 3, i) },
	} {
		var count [cells]float64
		for i := range n {
			count[int(at(i)*cells)]++
		}
		x2 := 0.0
		for _, c := range count {
			x2 += (c - n/cells) * (c - n/cells) / (n / cells)
		}
		require.Less(t, x2, 120.0, name) // 63 degrees of freedom: exceeded once in 60,000 draws
	}
}
