package gguf

import (
	"encoding/binary"
	"fmt"
	"math"

	"srar/lib/half"
)

// Type is the type of a stored tensor.
type Type uint32

// The types that are read, with their numbers in the file. A quantised row is a
// sequence of blocks; b is a block's bytes, d and m are binary16 numbers in it,
// q its integers.
const (
	F32  Type = 0
	F16  Type = 1
	Q4_0 Type = 2  // 32 numbers d·(q-8), q of 4 bits
	Q4_1 Type = 3  // 32 numbers d·q + m, q of 4 bits
	Q8_0 Type = 8  // 32 numbers d·q, q of 8 bits
	Q4_K Type = 12 // 256 numbers d·s·q - m·n, q of 4 bits; s and n of 6 bits for each 32
	Q6_K Type = 14 // 256 numbers d·s·q, q of 6 bits; s of 8 bits for each 16
	BF16 Type = 30
)

// formats says how many numbers a block holds, in how many bytes, and how they
// are read.
var formats = map[Type]struct {
	name    string
	numbers int
	bytes   int
	read    func(dst []float32, b []byte)
}{
	F32:  {"F32", 1, 4, readF32},
	F16:  {"F16", 1, 2, readF16},
	BF16: {"BF16", 1, 2, readBF16},
	Q4_0: {"Q4_0", 32, 2 + 16, readQ4_0},
	Q4_1: {"Q4_1", 32, 2 + 2 + 16, readQ4_1},
	Q8_0: {"Q8_0", 32, 2 + 32, readQ8_0},
	Q4_K: {"Q4_K", 256, 2 + 2 + 12 + 128, readQ4_K},
	Q6_K: {"Q6_K", 256, 128 + 64 + 16 + 2, readQ6_K},
}

// unread names the types that are not read.
var unread = map[Type]string{
	6: "Q5_0", 7: "Q5_1", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 13: "Q5_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S",
	20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 34: "TQ1_0",
	35: "TQ2_0", 39: "MXFP4", 40: "NVFP4", 41: "Q1_0", 42: "Q2_0",
}

// String returns the name that ggml has for the type.
func (t Type) String() string {
	if f, ok := formats[t]; ok {
		return f.name
	}
	if name, ok := unread[t]; ok {
		return name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// Quantised reports whether the type holds blocks of numbers with a common
// scale, rather than floating-point numbers one by one.
func (t Type) Quantised() bool { return formats[t].numbers > 1 }

// checkRow refuses types that are not read, and rows of n numbers that are no
// whole blocks.
func (t Type) checkRow(n int) error {
	f, ok := formats[t]
	if !ok {
		return fmt.Errorf("%s is not supported; F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q4_K and Q6_K are", t)
	}
	if n%f.numbers != 0 {
		return fmt.Errorf("rows of %d numbers; %s has blocks of %d", n, t, f.numbers)
	}
	return nil
}

// decode writes to dst the numbers of whole blocks. Each product and each sum is
// rounded to float32 by itself, which the conversions demand: a fused
// multiplication would give other bits on some machines.
func (t Type) decode(dst []float32, b []byte) { formats[t].read(dst, b) }

func readF32(dst []float32, b []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
}

func readF16(dst []float32, b []byte) {
	for i := range dst {
		dst[i] = float16(b[2*i:])
	}
}

func readBF16(dst []float32, b []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16)
	}
}

func float16(b []byte) float32 { return half.Float(binary.LittleEndian.Uint16(b)) }

// readQ4_0: d, then 16 bytes; byte j holds numbers j and j+16.
func readQ4_0(dst []float32, b []byte) {
	for ; len(dst) > 0; dst, b = dst[32:], b[18:] {
		d := float16(b)
		lo, hi := dst[:16], dst[16:32]
		for j, q := range b[2:18] {
			lo[j] = float32(int(q&15)-8) * d
			hi[j] = float32(int(q>>4)-8) * d
		}
	}
}

// readQ4_1: d, m, then as Q4_0.
func readQ4_1(dst []float32, b []byte) {
	for ; len(dst) > 0; dst, b = dst[32:], b[20:] {
		d, m := float16(b), float16(b[2:])
		lo, hi := dst[:16], dst[16:32]
		for j, q := range b[4:20] {
			lo[j] = float32(float32(q&15)*d) + m
			hi[j] = float32(float32(q>>4)*d) + m
		}
	}
}

// readQ8_0: d, then 32 signed bytes.
func readQ8_0(dst []float32, b []byte) {
	for ; len(dst) > 0; dst, b = dst[32:], b[34:] {
		d := float16(b)
		for j, q := range b[2:34] {
			dst[j] = float32(int8(q)) * d
		}
	}
}

// readQ4_K: d, m, 12 bytes with the 6-bit scales and minima of 8 groups, then
// 128 bytes; the 32 bytes from 32·k on hold group 2k low and group 2k+1 high.
func readQ4_K(dst []float32, b []byte) {
	for ; len(dst) > 0; dst, b = dst[256:], b[144:] {
		d, m := float16(b), float16(b[2:])
		for k := range 4 {
			s1, n1 := scaleAndMin(b[4:16], 2*k)
			s2, n2 := scaleAndMin(b[4:16], 2*k+1)
			d1, m1, d2, m2 := d*s1, float32(m*n1), d*s2, float32(m*n2)
			lo, hi := dst[64*k:64*k+32], dst[64*k+32:64*k+64]
			for j, q := range b[16+32*k : 48+32*k] {
				lo[j] = float32(d1*float32(q&15)) - m1
				hi[j] = float32(d2*float32(q>>4)) - m2
			}
		}
	}
}

// scaleAndMin unpacks a group's scale and minimum: the first four groups have
// theirs in the low 6 bits of bytes j and j+4, the others 4 bits in byte j+4 and
// 2 bits on top of those of group j-4.
func scaleAndMin(b []byte, j int) (scale, minimum float32) {
	if j < 4 {
		return float32(b[j] & 63), float32(b[j+4] & 63)
	}
	return float32(b[j+4]&15 | b[j-4]>>6<<4), float32(b[j+4]>>4 | b[j]>>6<<4)
}

// readQ6_K: 128 bytes with the low 4 bits, 64 with the high 2, 16 signed scales,
// d. In each half of 128 numbers, number j of quarter k has its low bits in byte
// j + 32·(k mod 2), the lower half of it for k < 2, and its high bits in byte j
// from bit 2k on.
func readQ6_K(dst []float32, b []byte) {
	for ; len(dst) > 0; dst, b = dst[256:], b[210:] {
		d := float16(b[208:])
		for h := range 2 {
			low, high, scales := b[64*h:64*h+64], b[128+32*h:160+32*h], b[192+8*h:200+8*h]
			for k := range 4 {
				out := dst[128*h+32*k : 128*h+32*k+32]
				for j := range out {
					q := int(low[j+32*(k%2)]>>(4*(k/2))&15|high[j]>>(2*k)&3<<4) - 32
					out[j] = float32(d*float32(int8(scales[2*k+j/16]))) * float32(q)
				}
			}
		}
	}
}
