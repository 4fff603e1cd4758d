package op

import (
	"math"
	"time"
)

// Ceiling is what a machine can do at most in one tier: no operator computes or
// reads faster. It is measured, so other work on the machine lowers it.
type Ceiling struct {
	// Name is that of the backend it was measured with, see [Backend.Name].
	Name    string
	Threads int
	// FLOPS is the multiplications and additions a second of all threads together
	// that the instruction by which the tier multiplies does on registers. A step of
	// a product's reduction counts two.
	FLOPS float64
	// Reads is the bandwidth by working set, rising: of the caches first, of memory
	// last.
	Reads []Bandwidth
}

// Bandwidth is how fast a buffer is read again and again, each thread reading a
// part of its own.
type Bandwidth struct {
	Bytes     int     // of the whole buffer
	PerSecond float64 // bytes a second, of all threads together
}

// Read returns the bytes a second at which a working set of that many bytes is
// read: what was measured, between two sizes interpolated by the logarithm.
func (c Ceiling) Read(bytes float64) float64 {
	low := c.Reads[0]
	for _, high := range c.Reads {
		if h := float64(high.Bytes); bytes <= h {
			if low == high {
				return low.PerSecond
			}
			l := float64(low.Bytes)
			return low.PerSecond + (high.PerSecond-low.PerSecond)*math.Log(bytes/l)/math.Log(h/l)
		}
		low = high
	}
	return low.PerSecond
}

// limit is what a tier has for measuring its ceiling.
type limit struct {
	// multiply does n rounds of flops multiplications and additions.
	multiply func(n int)
	flops    int
	// read loads the numbers of x, whose length is a multiple of 128.
	read func(x []float32)
}

// The working sets measured: each four times the one before, the first in the
// first cache of a thread, the last in no cache.
const (
	smallestRead = 16 << 10
	largestRead  = 256 << 20
)

// patience is how long each figure is measured; the best run counts.
const patience = 150 * time.Millisecond

// Measure measures the ceiling of the tier that [NewCPU] takes for the same
// arguments, in about one and a half seconds.
func Measure(threads int, n Numerics) (Ceiling, error) {
	be, err := NewCPU(threads, n)
	if err != nil {
		return Ceiling{}, err
	}
	c := be.(*cpu)
	defer c.Close()
	return c.ceiling(patience), nil
}

// ceiling measures each figure for the time given, in turns, so that a moment in
// which something else runs spoils none.
func (c *cpu) ceiling(patience time.Duration) Ceiling {
	const turns = 3
	top := Ceiling{Name: c.Name(), Threads: len(c.threads)}
	x := mapFloats(largestRead / 4)
	defer unmapFloats(x)
	for i := range x {
		x[i] = 1
	}
	for range turns {
		top.FLOPS = max(top.FLOPS, c.peak(patience/turns))
		reads := c.reads(patience/turns, x)
		for i, r := range top.Reads {
			reads[i].PerSecond = max(reads[i].PerSecond, r.PerSecond)
		}
		top.Reads = reads
	}
	return top
}

// peak measures [Ceiling.FLOPS] for the time given.
func (c *cpu) peak(patience time.Duration) float64 {
	m := multiplying{limit: c.tier.limit(c.numerics), rounds: 1}
	for fastest(0, func() { m.multiply(m.rounds) }) < taskTime {
		m.rounds *= 2
	}
	n := 4 * len(c.threads)
	best := fastest(patience, func() { c.pool.run(&m, n, n) })
	return float64(n*m.rounds*m.flops) / best.Seconds()
}

// reads measures [Ceiling.Reads] up to a working set of x, each for the time given.
func (c *cpu) reads(patience time.Duration, x []float32) (all []Bandwidth) {
	for size := smallestRead; size <= 4*len(x); size *= 4 {
		r := reading{limit: c.tier.limit(c.numerics), x: x[:size/4], parts: len(c.threads), times: max(1, taskBytes*len(c.threads)/size)}
		best := fastest(patience, func() { c.pool.run(&r, r.parts, r.parts) })
		all = append(all, Bandwidth{size, float64(size*r.times) / best.Seconds()})
	}
	return all
}

// About what one item of work takes: long against handing it out, short enough
// for the collector of garbage to wait for it.
const (
	taskTime  = 50 * time.Microsecond
	taskBytes = 2 << 20
)

// fastest runs f again and again and returns the time of the fastest run.
func fastest(patience time.Duration, f func()) time.Duration {
	best := time.Duration(math.MaxInt64)
	for end := time.Now().Add(patience); ; {
		start := time.Now()
		f()
		now := time.Now()
		best = min(best, now.Sub(start))
		if now.After(end) {
			return best
		}
	}
}

// multiplying does rounds of multiplications as one item.
type multiplying struct {
	limit
	rounds int
}

func (m *multiplying) do(_ *thread, lo, hi int) {
	for range hi - lo {
		m.multiply(m.rounds)
	}
}

// reading reads part lo of x several times as one item.
type reading struct {
	limit
	x            []float32
	parts, times int
}

// readPiece is the number of float32 that one call reads, not to hold up the
// collector of garbage.
const readPiece = 1 << 18

func (r *reading) do(_ *thread, lo, hi int) {
	const whole = 128
	for i := lo; i < hi; i++ {
		from, to := part(len(r.x)/whole, r.parts, i)
		x := r.x[from*whole : to*whole]
		for range r.times {
			for at := 0; at < len(x); at += readPiece {
				r.read(x[at:min(at+readPiece, len(x))])
			}
		}
	}
}

// limitGeneric is that of plain Go, whose product is a chain of fma32.
var limitGeneric = limit{func(n int) { multiplyGeneric(n) }, 2 * len(lanes{}), func(x []float32) { readGeneric(x) }}

// multiplyGeneric returns a sum that needs every product, so that none is left out.
func multiplyGeneric(n int) float32 {
	var sums lanes
	for i := range n {
		x := float32(i & 1)
		for j := range sums {
			sums[j] = fma32(x, 1, sums[j])
		}
	}
	return sums.sum()
}

// readGeneric returns a sum that needs every number, so that none is left out.
func readGeneric(x []float32) float32 {
	var a, b, c, d float32
	for ; len(x) >= 4; x = x[4:] {
		a += x[0]
		b += x[1]
		c += x[2]
		d += x[3]
	}
	return a + b + c + d
}
