package gguf

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBlocks holds every type against llama.cpp's own reader (testdata/blocks.py),
// bit for bit.
func TestBlocks(t *testing.T) {
	b, err := os.ReadFile("testdata/blocks.json")
	require.NoError(t, err)
	var golden map[string]struct{ Bytes, Floats string }
	require.NoError(t, json.Unmarshal(b, &golden))
	for typ, f := range formats {
		if typ == F32 {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			g, ok := golden[f.name]
			require.True(t, ok)
			raw, err := hex.DecodeString(g.Bytes)
			require.NoError(t, err)
			want, err := hex.DecodeString(g.Floats)
			require.NoError(t, err)
			x := make([]float32, len(want)/4)
			require.Equal(t, len(raw), len(x)/f.numbers*f.bytes)
			typ.decode(x, raw)
			for i := range x {
				require.Equal(t, binary.LittleEndian.Uint32(want[4*i:]), math.Float32bits(x[i]), "number %d", i)
			}
		})
	}
}

func TestTypes(t *testing.T) {
	require.Equal(t, "Q4_K", Q4_K.String())
	require.Equal(t, "type 99", Type(99).String())
	for typ, name := range unread {
		err := typ.checkRow(256)
		require.EqualError(t, err, name+" is not supported; F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q4_K and Q6_K are")
		require.NotContains(t, formats, typ)
	}
	err := Q4_K.checkRow(128)
	require.EqualError(t, err, "rows of 128 numbers; Q4_K has blocks of 256")
	require.True(t, Q8_0.Quantised())
	require.False(t, BF16.Quantised())
}

func BenchmarkDecode(b *testing.B) {
	for typ, f := range formats {
		b.Run(f.name, func(b *testing.B) {
			x := make([]float32, 1<<14)
			raw := make([]byte, len(x)/f.numbers*f.bytes)
			b.SetBytes(int64(4 * len(x)))
			for b.Loop() {
				typ.decode(x, raw)
			}
		})
	}
}
