package op

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// both are the numerics.
var both = []Numerics{F32, BF16}

// emulated are tiers for machines that are not here: an interpreter runs the
// instructions of their products in BF16, slowly.
var emulated []*tier

// withEmulated lists the tiers that run here, and those that are emulated.
func withEmulated() []*tier { return append(runnable(), emulated...) }

// everywhere runs f in both numerics on each tier that this machine has or
// emulates, with several numbers of threads, more than there are cores included.
func everywhere(t *testing.T, f func(t *testing.T, c *cpu)) {
	for _, n := range both {
		for _, tier := range withEmulated() {
			for _, threads := range []int{1, 2, 5} {
				if slices.Contains(emulated, tier) && (n == F32 || threads != 2) {
					continue
				}
				if tier == &generic && threads == 2 {
					continue // as 5, and it takes its time
				}
				c := newCPU(tier, threads, n)
				t.Run(fmt.Sprint(c.Name(), "/", threads), func(t *testing.T) { f(t, c) })
				c.Close()
			}
		}
	}
}

// reference returns the definition to judge by: the generic tier on one thread.
func reference(t *testing.T, n Numerics) *cpu {
	c := newCPU(&generic, 1, n)
	t.Cleanup(c.Close)
	return c
}

// noise is a reproducible source of test numbers.
type noise struct{ *rand.Rand }

func newNoise(seed uint64) noise { return noise{rand.New(rand.NewPCG(seed, 1))} }

// floats returns n normally distributed numbers.
func (r noise) floats(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// wild returns n numbers of all magnitudes: zeros of both signs, denormals,
// numbers near the underflow border, huge ones.
func (r noise) wild(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		switch r.IntN(6) {
		case 0:
			x[i] = math.Float32frombits(r.Uint32() & 0x807fffff) // zero or denormal
		case 1:
			x[i] = float32(math.Copysign(0, float64(r.IntN(2))-0.5))
		case 2:
			x[i] = math.Float32frombits(r.Uint32()&0x807fffff | uint32(1+r.IntN(64))<<23) // small
		case 3:
			x[i] = math.Float32frombits(r.Uint32()&0x807fffff | uint32(60+r.IntN(10))<<23) // products underflow
		default:
			x[i] = float32(r.NormFloat64())
		}
	}
	return x
}

// ids returns n numbers below v.
func (r noise) ids(n, v int) []int32 {
	x := make([]int32, n)
	for i := range x {
		x[i] = int32(r.IntN(v))
	}
	return x
}

// buf makes a buffer of the backend that holds x.
func (c *cpu) buf(x []float32) Buf {
	b := c.New(len(x))
	c.Write(b, x)
	return b
}

// floats reads a buffer back.
func (c *cpu) floats(b Buf) []float32 {
	x := make([]float32, b.Len())
	c.Read(x, b)
	return x
}

// sameBits fails unless got and want agree in every bit; a NaN equals any NaN,
// since processors differ in its sign and payload.
func sameBits(t testing.TB, want, got []float32, what ...any) {
	t.Helper()
	require.Len(t, got, len(want), what...)
	for i, w := range want {
		g := got[i]
		if math.Float32bits(w) != math.Float32bits(g) && !(w != w && g != g) {
			require.Failf(t, "bits differ", "element %d of %d: want %g (%08x), got %g (%08x) %v",
				i, len(want), w, math.Float32bits(w), g, math.Float32bits(g), what)
		}
	}
}

// near fails unless got is within tol of want, relative to the largest of want.
func near(t testing.TB, want []float64, got []float32, tol float64, what string) {
	t.Helper()
	require.Len(t, got, len(want), what)
	most := 1e-30
	for _, w := range want {
		most = max(most, math.Abs(w))
	}
	for i, w := range want {
		require.InDeltaf(t, w, float64(got[i]), tol*most, "%s: element %d of %d", what, i, len(want))
	}
}

func f64(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// slope returns the gradient of f at x by central differences in float64.
func slope(x []float64, f func(x []float64) float64) []float64 {
	const h = 1e-5
	g := make([]float64, len(x))
	for i, v := range x {
		x[i] = v + h
		up := f(x)
		x[i] = v - h
		down := f(x)
		x[i] = v
		g[i] = (up - down) / (2 * h)
	}
	return g
}

// inner returns Σ a·b.
func inner(a, b []float64) float64 {
	s := 0.0
	for i, v := range a {
		s += v * b[i]
	}
	return s
}

func TestTiers(t *testing.T) {
	for _, tier := range tiers {
		t.Setenv("SRAR_CPU", tier.name)
		b, err := NewCPU(2, F32)
		if lacks := tier.lacks(); lacks != "" {
			t.Logf("tier %s: not here, the machine lacks %s", tier.name, lacks)
			require.ErrorContains(t, err, "SRAR_CPU="+tier.name+": this machine lacks "+lacks+" and runs generic")
			continue
		}
		t.Log("tier", tier.name)
		require.NoError(t, err)
		require.Equal(t, "cpu/"+tier.name, b.Name())
		b.Close()
	}
	t.Setenv("SRAR_CPU", "")
	b, err := NewCPU(1, F32)
	require.NoError(t, err)
	require.Equal(t, "cpu/"+best().name, b.Name(), "the best tier")
	b.Close()
	t.Setenv("SRAR_CPU", "mmx")
	_, err = NewCPU(1, F32)
	require.ErrorContains(t, err, "SRAR_CPU=mmx: this machine runs generic")
	t.Setenv("SRAR_CPU", "")
	_, err = NewCPU(0, F32)
	require.ErrorContains(t, err, "0 threads")
	_, err = NewCPU(1, 7)
	require.ErrorContains(t, err, "Numerics(7)")
	b, err = NewCPU(1, BF16)
	require.NoError(t, err)
	require.Equal(t, BF16, b.Numerics())
	require.Equal(t, "cpu/"+best().name+"/bf16", b.Name())
	b.Close()
}
