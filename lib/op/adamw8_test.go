package op

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// The numbers of the codes are those of the paper: sorted, symmetric where they
// have a sign, 0 and ±1 (without sign: 0 and 1) at their places, half a cell from
// the ends of a decade.
func TestDynamicCodes(t *testing.T) {
	for _, table := range [][256]float32{signed8, unsigned8} {
		for i := range table[1:] {
			require.Less(t, table[i], table[i+1])
		}
		require.Equal(t, float32(1), table[255])
	}
	require.Equal(t, float32(0), unsigned8[0])
	require.Equal(t, float32(0), Decode8(127, true))
	for i := range 127 {
		require.Equal(t, -signed8[126-i], signed8[128+i], i)
	}
	require.InDelta(t, 1-0.9/64/2, signed8[254], 1e-7)
	require.InDelta(t, 1-0.9/128/2, Decode8(254, false), 1e-7)
	require.InDelta(t, 0.55e-6, signed8[128], 1e-12)
	require.InDelta(t, 0.325e-6, unsigned8[1], 1e-12)
	for code, x := range signed8 {
		require.Equal(t, code, signedBorder8().nearest(x))
	}
	for code, x := range unsigned8 {
		require.Equal(t, code, unsignedBorder8().nearest(x))
	}
	for i, x := range signedBorder8().middle {
		require.Equal(t, i, signedBorder8().nearest(x))
		require.Equal(t, i+1, signedBorder8().nearest(math.Nextafter32(x, 2)))
	}
}

func TestEncode8(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 3, 4, 255, 256} {
		x, y := make([]float32, n), make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64() * math.Pow10(-r.IntN(9)))
		}
		codes := make([]float32, Codes8(n))
		scale := encode8(codes, x, signedBorder8(), 0)
		decode8(y, codes, scale, &signed8)
		for i := range x {
			size := math.Abs(float64(x[i])) / float64(scale)
			// Half a cell: the cells of decade e are 0.9·10^-e/2^(6-e) wide.
			e := min(max(math.Ceil(-math.Log10(size))-1, 0), 6)
			cell := 0.9 * math.Pow(10, -e) / math.Pow(2, 6-e)
			require.InDelta(t, x[i], y[i], float64(scale)*(cell/2*1.0001), "%d of %d: %v", i, n, size)
		}
	}
	codes := make([]float32, 1)
	require.Zero(t, encode8(codes, []float32{0, 0}, signedBorder8(), 0))
	y := make([]float32, 2)
	decode8(y, codes, 0, &signed8)
	require.Equal(t, []float32{0, 0}, y)
	scale := encode8(codes, []float32{1, 1e-20, 0}, unsignedBorder8(), 1)
	decode8(y, codes, scale, &unsigned8)
	require.Equal(t, unsigned8[1], y[1])
	require.Zero(t, math.Float32bits(codes[0])>>16&0xff)
}

// A step with 8-bit moments is AdamW on what the codes stand for; threads and
// tiers change no bit; over steps it stays near AdamW.
func TestAdamW8(t *testing.T) {
	const n = 3*Block8 + 7
	r := rand.New(rand.NewPCG(3, 4))
	grads := make([][]float32, 20)
	for s := range grads {
		grads[s] = make([]float32, n)
		for i := range grads[s] {
			grads[s][i] = float32((1 + r.NormFloat64()) * math.Pow10(-i/Block8-i%2))
		}
	}
	start := make([]float32, n)
	for i := range start {
		start[i] = float32(r.NormFloat64())
	}
	a := AdamW{LR: 1e-3, Beta1: 0.9, Beta2: 0.99, Eps: 1e-10, Decay: 0.1, Scale: 0.5}
	full := func(c Backend) []float32 {
		p, g, m, v := c.New(n), c.New(n), c.New(n), c.New(n)
		c.Write(p, start)
		for s := range grads {
			c.Write(g, grads[s])
			a.Step = int64(s + 1)
			c.AdamW(p, g, m, v, a)
		}
		out := make([]float32, n)
		c.Read(out, p)
		return out
	}
	eight := func(c Backend) (p, m, v []float32) {
		bufs := []Buf{c.New(n), c.New(n), c.New(Codes8(n)), c.New(Codes8(n)), c.New(Scales8(n)), c.New(Scales8(n))}
		c.Write(bufs[0], start)
		for s := range grads {
			c.Write(bufs[1], grads[s])
			a.Step = int64(s + 1)
			c.AdamW8(bufs[0], bufs[1], bufs[2], bufs[3], bufs[4], bufs[5], a)
		}
		for _, out := range []struct {
			to   *[]float32
			from Buf
		}{{&p, bufs[0]}, {&m, bufs[2]}, {&v, bufs[3]}} {
			*out.to = make([]float32, out.from.Len())
			c.Read(*out.to, out.from)
		}
		return p, m, v
	}
	backend := func(threads int) Backend {
		c, err := NewCPU(threads, F32)
		require.NoError(t, err)
		t.Cleanup(c.Close)
		return c
	}
	p, m, v := eight(backend(1))
	p2, m2, v2 := eight(backend(3))
	require.Equal(t, p, p2)
	for i := range m {
		require.Equal(t, math.Float32bits(m[i]), math.Float32bits(m2[i]))
		require.Equal(t, math.Float32bits(v[i]), math.Float32bits(v2[i]))
	}
	var moved, apart float64
	for i, want := range full(backend(1)) {
		moved += math.Abs(float64(want - start[i]))
		apart += math.Abs(float64(want - p[i]))
	}
	require.Less(t, apart, 0.05*moved)
	require.NotZero(t, apart)
}

// The first step from zero moments is AdamW's own.
func TestAdamW8FirstStep(t *testing.T) {
	c, err := NewCPU(2, F32)
	require.NoError(t, err)
	defer c.Close()
	const n = 300
	a := AdamW{LR: 1e-2, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Scale: 1, Step: 1}
	p, q, g := c.New(n), c.New(n), c.New(n)
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(i%7) - 3
	}
	c.Write(p, x)
	c.Write(q, x)
	c.Write(g, x)
	c.AdamW(p, g, c.New(n), c.New(n), a)
	c.AdamW8(q, g, c.New(Codes8(n)), c.New(Codes8(n)), c.New(Scales8(n)), c.New(Scales8(n)), a)
	want, got := make([]float32, n), make([]float32, n)
	c.Read(want, p)
	c.Read(got, q)
	require.Equal(t, want, got)
	require.Panics(t, func() { c.AdamW8(q, g, c.New(n), c.New(n), c.New(1), c.New(1), a) })
}

// A second moment far below its block's largest is not taken for zero: the next
// step, whose gradient is zero, would divide by epsilon.
func TestAdamW8SmallSecondMoment(t *testing.T) {
	c, err := NewCPU(1, F32)
	require.NoError(t, err)
	defer c.Close()
	const n = 4
	p, g, m, v, ms, vs := c.New(n), c.New(n), c.New(1), c.New(1), c.New(1), c.New(1)
	a := AdamW{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-12, Scale: 1}
	for a.Step = 1; a.Step <= 2; a.Step++ {
		c.Write(g, []float32{1, 1e-4, -1e-4, 0})
		if a.Step == 2 {
			c.Zero(g)
		}
		c.AdamW8(p, g, m, v, ms, vs, a)
	}
	x := make([]float32, n)
	c.Read(x, p)
	for i, y := range x {
		require.InDelta(t, 0, y, 2.1*a.LR, i)
	}
	require.Zero(t, x[3])
}

// BenchmarkAdamW8 steps a million parameters.
func BenchmarkAdamW8(b *testing.B) {
	c, err := NewCPU(1, F32)
	require.NoError(b, err)
	defer c.Close()
	const n = 1 << 20
	r := rand.New(rand.NewPCG(1, 2))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	p, g := c.New(n), c.New(n)
	c.Write(g, x)
	m, v, ms, vs := c.New(Codes8(n)), c.New(Codes8(n)), c.New(Scales8(n)), c.New(Scales8(n))
	for step := int64(1); b.Loop(); step++ {
		c.AdamW8(p, g, m, v, ms, vs, AdamW{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Scale: 1, Step: step})
	}
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds()/1e6, "Mparam/s")
}
