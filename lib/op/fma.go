package op

import "math"

// tiny is 2^-126 - 2^-151. From here up a number rounds, with the 24 bits of a
// normal float32, to the smallest normal number or more; what lies below is
// flushed by hardware that detects underflow after rounding, as x86 does.
const tiny = 0x1.fffffffp-127

// flush replaces a denormal number by a zero of its sign (DAZ).
func flush(x float32) float32 {
	u := math.Float32bits(x)
	if u&0x7f800000 == 0 {
		return math.Float32frombits(u & 0x80000000)
	}
	return x
}

// fma32 is one step of every matrix product: a·b + c rounded once to float32,
// a denormal result being flushed to a zero of its sign (FTZ). a, b and c must
// have been flushed.
//
// The product is exact in float64. The sum may be rounded, and rounding it
// again to float32 differs from rounding once only if it fell on a midpoint of
// two float32: then it is replaced by the sum rounded to odd, which is never a
// midpoint unless exact (Boldo and Melquiond 2008, "Emulation of FMA and
// correctly rounded sums").
func fma32(a, b, c float32) float32 {
	s := float64(float64(a)*float64(b)) + float64(c)
	u := math.Float64bits(s)
	if u&(1<<29-1) == 1<<28 {
		s = sumToOdd(float64(float64(a)*float64(b)), float64(c))
	}
	if s > -tiny && s < tiny {
		return math.Float32frombits(uint32(u>>32) & 0x80000000)
	}
	return float32(s)
}

// sumToOdd returns p + c rounded to odd: exact sums as they are, others to the
// one of the two neighbours whose last bit is 1.
func sumToOdd(p, c float64) float64 {
	s := p + c
	t := s - p
	e := (p - (s - t)) + (c - t) // s + e is the exact sum (Knuth's TwoSum)
	u := math.Float64bits(s)
	if u&1 == 1 || !(e < 0 || e > 0) { // odd, exact, or not a number
		return s
	}
	if (e > 0) == (s > 0) {
		return math.Float64frombits(u + 1)
	}
	return math.Float64frombits(u - 1)
}
