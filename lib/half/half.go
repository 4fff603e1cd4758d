// Package half converts between float32 and IEEE 754 binary16, which is passed
// as its bits.
package half

import "math"

// Float widens h, which float32 holds exactly.
func Float(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	e, m := uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch e {
	case 0: // zero and subnormal: m · 2^-24
		x := float32(m) / (1 << 24)
		return math.Float32frombits(math.Float32bits(x) | sign)
	case 0x1f:
		return math.Float32frombits(sign | 0xff<<23 | m<<13)
	}
	return math.Float32frombits(sign | (e+127-15)<<23 | m<<13)
}

// Round rounds x to nearest even; what is too large becomes an infinity.
func Round(x float32) uint16 {
	u := math.Float32bits(x)
	sign := uint16(u >> 16 & 0x8000)
	u &= 1<<31 - 1
	switch {
	case u > 0xff<<23: // NaN
		return sign | 0x7e00 | uint16(u>>13&0x3ff)
	case u >= (127+16)<<23: // 65536 and more
		return sign | 0x7c00
	case u >= (127-14)<<23: // normal; a carry out of the mantissa is right, also into infinity
		return sign | uint16((u-(127-15)<<23+0xfff+u>>13&1)>>13)
	}
	// Subnormal: the multiple of 2^-24. Adding 1/2 puts its last bit on a
	// float32's, so the addition rounds.
	y := math.Float32frombits(u) + 0.5
	return sign | uint16(math.Float32bits(y)-math.Float32bits(0.5))
}
