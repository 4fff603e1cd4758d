package half

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// value is what the bits of a finite, positive number say (IEEE 754, 3.4).
func value(u uint16) float64 {
	e, m := int(u>>10), float64(u&0x3ff)
	if e == 0 {
		return math.Ldexp(m, -24)
	}
	return math.Ldexp(m+1024, e-25)
}

func TestEveryNumber(t *testing.T) {
	const inf = 0x7c00
	for u := uint16(0); u < inf; u++ {
		x := value(u)
		require.Equal(t, x, float64(Float(u)))
		require.Equal(t, math.Copysign(x, -1), float64(Float(u|0x8000)))
		require.Equal(t, u, Round(float32(x)))
		require.Equal(t, u|0x8000, Round(float32(math.Copysign(x, -1))))
		tie := float32((x + value(u+1)) / 2) // above the largest: where infinity begins
		require.Equal(t, u+u&1, Round(tie), "a tie goes to the even one")
		require.Equal(t, u, Round(math.Nextafter32(tie, 0)))
		require.Equal(t, u+1, Round(math.Nextafter32(tie, math.MaxFloat32)))
	}
	require.True(t, math.IsInf(float64(Float(inf)), 1))
	require.True(t, math.IsInf(float64(Float(inf|0x8000)), -1))
	require.Equal(t, uint16(inf), Round(math.MaxFloat32))
	for _, nan := range []uint16{inf | 1, inf | 0x200, 0xffff} {
		require.True(t, math.IsNaN(float64(Float(nan))))
	}
	require.NotZero(t, Round(math.Float32frombits(0x7f800001))&0x3ff, "a NaN stays one")
}
