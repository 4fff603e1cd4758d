package real

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// closeTo requires got to be within ulps units in the last place of want.
func closeTo(t *testing.T, want, got, ulps, x float64) {
	t.Helper()
	unit := math.Nextafter(math.Abs(want), math.Inf(1)) - math.Abs(want)
	require.LessOrEqual(t, math.Abs(got-want), ulps*unit, "%v: %v, want %v", x, got, want)
}

// Those of package math are within one unit too.
func TestAccuracy(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		x := 1400*r.Float64() - 700
		closeTo(t, math.Exp(x), Exp(x), 2, x)
		x = math.Exp(-40*r.Float64()) * float64(1-2*r.IntN(2))
		closeTo(t, math.Exp(x), Exp(x), 2, x)
		closeTo(t, math.Expm1(x), Expm1(x), 5, x)
		x = 3 * x
		closeTo(t, math.Expm1(x), Expm1(x), 5, x)
		x = math.Exp(80*r.Float64() - 40)
		require.InDelta(t, math.Log(x), Log(x), 4e-16*max(1, math.Abs(math.Log(x))))
		y := 4*r.Float64() - 2
		require.InEpsilon(t, math.Pow(x, y), Pow(x, y), 4e-16*(2+math.Abs(y*math.Log(x))))
		for _, x := range []float64{7 * r.Float64(), 1 << 25 * (2*r.Float64() - 1), float64(r.IntN(1000)) * math.Pi / 4} {
			sin, cos := Sincos(x)
			s, c := math.Sincos(x)
			require.InDelta(t, s, sin, 4e-16, x)
			require.InDelta(t, c, cos, 4e-16, x)
		}
	}
}

func TestEnds(t *testing.T) {
	require.Equal(t, 1.0, Exp(0))
	require.Equal(t, 0.0, Exp(-746))
	require.Equal(t, 5e-324, Exp(-745))
	require.Equal(t, 0.0, Exp(math.Inf(-1)))
	require.Equal(t, math.Inf(1), Exp(709.8))
	require.Equal(t, math.Inf(1), Exp(math.Inf(1)))
	require.True(t, math.IsNaN(Exp(math.NaN())))
	require.Zero(t, Expm1(0))
	require.Zero(t, Log(1))
	require.InDelta(t, -744.4400719213812, Log(5e-324), 1e-12)
	require.Equal(t, math.Inf(-1), Log(0))
	require.Equal(t, math.Inf(1), Log(math.Inf(1)))
	require.True(t, math.IsNaN(Log(-1)))
	require.Equal(t, 1.0, Pow(10000, 0))
	sin, cos := Sincos(0)
	require.Equal(t, [2]float64{0, 1}, [2]float64{sin, cos})
}

// TestBits: these bits on every machine.
func TestBits(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var out []byte
	for range 20000 {
		x, y := float64(40*r.Float64())-20, 1e5*r.Float64()
		sin, cos := Sincos(y)
		for _, v := range []float64{Exp(x), Expm1(x), Expm1(x / 64), Log(y), Pow(y, x/20), sin, cos} {
			out = binary.LittleEndian.AppendUint64(out, math.Float64bits(v))
		}
	}
	require.Equal(t, "9b87f522f34b8849c33daeac0df821135433c68a074007275b39a8f163df30a9", fmt.Sprintf("%x", sha256.Sum256(out)))
}
