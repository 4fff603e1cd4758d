package op

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestCeiling: no product is faster than what was measured as the ceiling of its
// tier. Other work on the machine disturbs either, so there are several attempts.
func TestCeiling(t *testing.T) {
	const tolerance, attempts = 1.1, 50
	const n, in, out = 56, 256, 256
	for _, tier := range runnable() {
		for _, numerics := range both {
			c := newCPU(tier, 1, numerics)
			defer c.Close()
			r := newNoise(1)
			x, y, w := c.buf(r.floats(n*in)), c.New(n*out), c.Pack(c.buf(r.floats(out*in)), out, in)
			flops, top := 0.0, 0.0
			for range attempts {
				best := fastest(time.Millisecond, func() { c.MatMul([]Linear{{W: w, Y: y}}, x, n, false) })
				flops, top = max(flops, 2*n*in*out/best.Seconds()), max(top, c.peak(time.Millisecond))
				if flops < tolerance*top {
					break
				}
			}
			require.Less(t, flops, tolerance*top, c.Name())
			for _, r := range c.reads(time.Millisecond, make([]float32, smallestRead)) {
				require.Greater(t, r.PerSecond, 1e7, "%s: %d bytes", c.Name(), r.Bytes)
			}
		}
	}
}

func TestCeilingRead(t *testing.T) {
	c := Ceiling{Reads: []Bandwidth{{1 << 10, 100}, {1 << 12, 60}, {1 << 14, 20}}}
	for bytes, want := range map[float64]float64{0: 100, 1: 100, 1 << 10: 100, 1 << 11: 80, 1 << 12: 60, 1 << 13: 40, 1 << 14: 20, 1 << 30: 20} {
		require.InDelta(t, want, c.Read(bytes), 1e-9, "%v bytes", bytes)
	}
}

func TestMeasure(t *testing.T) {
	_, err := Measure(0, F32)
	require.ErrorContains(t, err, "0 threads")
	start := time.Now()
	c, err := Measure(2, BF16)
	require.NoError(t, err)
	require.Greater(t, c.FLOPS, 1e8)
	require.Equal(t, 2, c.Threads)
	require.Len(t, c.Reads, 8)
	require.Less(t, time.Since(start), 10*time.Second)
	t.Logf("%+v", c)
}
