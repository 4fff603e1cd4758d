package ckpt

import (
	"encoding/binary"
	"fmt"
	"math"

	"srar/lib/half"
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
			dst[i] = half.Float(binary.LittleEndian.Uint16(raw[2*i:]))
		}
	}
}

// appendFloats appends the little-endian bytes of x.
func appendFloats(raw []byte, x []float32) []byte {
	for _, v := range x {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return raw
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
			u := half.Round(x)
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
			x = half.Float(half.Round(x))
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
