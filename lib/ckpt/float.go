package ckpt

import (
	"encoding/binary"
	"fmt"
	"math"
)

// decode widens little-endian elements of type d to float32.
func decode(dst []float32, raw []byte, d DType) {
	switch d {
	case F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	case BF16:
		for i := range dst {
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(raw[2*i:])) << 16)
		}
	case F16:
		for i := range dst {
			dst[i] = halfToFloat(binary.LittleEndian.Uint16(raw[2*i:]))
		}
	}
}

// encode narrows float32 to type d, rounding to nearest even, and appends the
// little-endian bytes. A value that is not finite in d is an error.
func encode(raw []byte, src []float32, d DType) ([]byte, error) {
	for i, x := range src {
		var inf bool
		switch d {
		case F32:
			u := math.Float32bits(x)
			inf = u<<1 >= 0xff<<24
			raw = binary.LittleEndian.AppendUint32(raw, u)
		case BF16:
			u := floatToBF16(x)
			inf = u<<1 >= 0xff<<8
			raw = binary.LittleEndian.AppendUint16(raw, u)
		case F16:
			u := floatToHalf(x)
			inf = u<<1 >= 0x1f<<11
			raw = binary.LittleEndian.AppendUint16(raw, u)
		}
		if inf {
			return raw, fmt.Errorf("element %d: %g is not finite as %s", i, x, d)
		}
	}
	return raw, nil
}

// Round writes to dst the values of src as type d (F32, BF16 or F16) holds
// them, rounded to nearest even: what [Write] stores and [Tensor.Float32] reads
// again. dst and src may be the same.
func (d DType) Round(dst, src []float32) {
	for i, x := range src {
		switch d {
		case BF16:
			x = math.Float32frombits(uint32(floatToBF16(x)) << 16)
		case F16:
			x = halfToFloat(floatToHalf(x))
		}
		dst[i] = x
	}
}

// floatToBF16 returns the upper half of x, rounded to nearest even; a NaN stays one.
func floatToBF16(x float32) uint16 {
	u := math.Float32bits(x)
	if u<<1 > 0xff<<24 {
		return uint16(u>>16) | 0x40
	}
	return uint16((u + 0x7fff + u>>16&1) >> 16)
}

// halfToFloat widens an IEEE 754 binary16.
func halfToFloat(h uint16) float32 {
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

// floatToHalf rounds to IEEE 754 binary16, to nearest even.
func floatToHalf(x float32) uint16 {
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
