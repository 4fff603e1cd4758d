package op

import "math"

// Constants of exp32. The polynomial is the minimax fit of (e^r - 1 - r)/r² on
// |r| ≤ ln 2 / 2, made for this package; its error is a twentieth of the
// rounding error. ln2Hi has so few bits that n·ln2Hi is exact.
const (
	expLow  = -87.33 // e^x of what lies below is taken as 0, so that no result is denormal
	expHigh = 88     // what lies above is taken as this
	log2e   = 1.44269504088896341
	ln2Hi   = 0.693359375
	ln2Lo   = -2.12194440054690583e-4
	expC0   = 0.0013814540579915047
	expC1   = 0.00836874544620514
	expC2   = 0.04166838899254799
	expC3   = 0.1666652113199234
	expC4   = 0.4999999403953552
	// shifter moves the integer n nearest to a small number, plus the bias of the
	// exponent, into the low bits.
	shifter = 1.5*(1<<23) + 127
)

// exp32 returns e^x within 2 units in the last place, 0 for x < -87.33 and e^88
// for x > 88. x = n ln 2 + r, e^x = 2^n e^r. Every operation is rounded by itself,
// so that any vector unit gives the same bits.
func exp32(x float32) float32 {
	if x < expLow {
		return 0
	}
	if x > expHigh {
		x = expHigh
	}
	t := float32(x*log2e) + shifter
	n := t - shifter
	r := x - float32(n*ln2Hi)
	r -= float32(n * ln2Lo)
	p := float32(expC0*r) + expC1
	p = float32(p*r) + expC2
	p = float32(p*r) + expC3
	p = float32(p*r) + expC4
	p = float32(p*float32(r*r)) + r
	return (p + 1) * math.Float32frombits(math.Float32bits(t)<<23)
}

// lanes is the accumulator of every float32 reduction along a row: element i
// goes to lane i mod 16, and the lanes are added as a tree.
type lanes [16]float32

// sum adds the lanes in steps of 8, 4, 2 and 1.
func (l *lanes) sum() float32 {
	for s := 8; s > 0; s /= 2 {
		for i := range s {
			l[i] += l[i+s]
		}
	}
	return l[0]
}
