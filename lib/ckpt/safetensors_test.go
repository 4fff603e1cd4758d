package ckpt

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// file returns a safetensors file with this header.
func file(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

var hostile = []struct {
	header string
	data   int
	want   string // "" for a file that is right
}{
	{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8, ""},
	{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}   `, 8, ""},
	{`{"a":{"dtype":"BF16","shape":[],"data_offsets":[0,2]}}`, 2, ""},
	{`{"a":{"dtype":"F32","shape":[0,5],"data_offsets":[0,0]}}`, 0, ""},
	{`{"__metadata__":{"format":"pt"},"a":{"dtype":"I64","shape":[1],"data_offsets":[8,16]},"b":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}`, 16, ""},
	{`{}`, 0, ""},
	{``, 0, "does not begin with {"},
	{` {}`, 0, "does not begin with {"},
	{`[]`, 0, "does not begin with {"},
	{`{`, 0, "unexpected EOF"},
	{`{}{}`, 0, "follows the closing }"},
	{`{}x`, 0, "follows the closing }"},
	{`{"a":1}`, 0, `tensor "a": 1 where an object should begin`},
	{`{"a":{}}`, 0, `type "" is not supported`},
	{`{"a":{"dtype":"F32"}}`, 0, "missing"},
	{`{"a":{"dtype":"F32","shape":[2]}}`, 0, "missing"},
	{`{"a":{"dtype":"F32","shape":null,"data_offsets":[0,8]}}`, 8, "bytes of data"},
	{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,9]}}`, 8, "data_offsets are [0 8 9]"},
	{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}`, 8, "data_offsets are [8 0]"},
	{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,9]}}`, 9, "9 bytes of data"},
	{`{"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}`, 8, `"2.0" is no size`},
	{`{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}`, 8, `"-2" is no size`},
	{`{"a":{"dtype":"F32","shape":[9223372036854775807,2],"data_offsets":[0,8]}}`, 8, "too large"},
	{`{"a":{"dtype":"F32","shape":[18446744073709551618],"data_offsets":[0,8]}}`, 8, "is no size"},
	{`{"a":{"dtype":"f32","shape":[2],"data_offsets":[0,8]}}`, 8, `type "f32" is not supported`},
	{`{"a":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}`, 2, `type "F8_E4M3" is not supported`},
	{`{"a":{"DTYPE":"F32","shape":[2],"data_offsets":[0,8]}}`, 8, `unknown key "DTYPE"`},
	{`{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8, `"dtype" comes twice`},
	{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8, `"a" comes twice`},
	{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 7, "ends at byte 8 of 7"},
	{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 9, "1 bytes after the last tensor"},
	{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}}`, 9, "leaves a hole"},
	{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, 12, "overlaps"},
	{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8, "overlaps"},
	{`{"__metadata__":{"a":1}}`, 0, "cannot unmarshal number"},
	{"{\"\xff\":{}}", 0, "not valid UTF-8"},
}

func TestHeader(t *testing.T) {
	for _, tc := range hostile {
		_, err := parse(file(tc.header, tc.data))
		if tc.want == "" {
			require.NoError(t, err, tc.header)
		} else {
			require.ErrorContains(t, err, tc.want, tc.header)
		}
	}
	_, err := parse([]byte{1, 2, 3})
	require.ErrorContains(t, err, "no safetensors file")
	_, err = parse(binary.LittleEndian.AppendUint64(nil, maxHeader+1))
	require.ErrorContains(t, err, "at most 100000000")
	_, err = parse(binary.LittleEndian.AppendUint64(nil, 100))
	require.ErrorContains(t, err, "ends in its header")
}

// FuzzSafetensors: a file that is taken holds exactly what its header says.
func FuzzSafetensors(f *testing.F) {
	for _, tc := range hostile {
		f.Add(file(tc.header, tc.data))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := parse(b)
		if err != nil {
			return
		}
		sum := 0
		for _, name := range x.names {
			y, err := x.Tensor(name)
			require.NoError(t, err)
			n := 1
			for _, d := range y.Shape {
				n *= d
			}
			require.Equal(t, n, y.Len())
			raw, err := y.Bytes()
			require.NoError(t, err)
			sum += len(raw)
			_, err = y.Float32()
			require.Equal(t, y.DType.float(), err == nil)
		}
		require.Equal(t, len(x.data), sum)
		require.Len(t, b, len(x.header)+sum)
	})
}

// TestHalf holds the two 16-bit types to their definition on all values and on
// what lies between two neighbours.
func TestHalf(t *testing.T) {
	for _, tc := range []struct {
		d        DType
		mantissa int
		bias     int
	}{{F16, 10, 15}, {BF16, 7, 127}} {
		value := func(u uint16) float64 { // from the definition of the format
			e := int(u>>tc.mantissa) & (1<<(15-tc.mantissa) - 1)
			m := float64(u & (1<<tc.mantissa - 1))
			if e == 0 {
				return math.Ldexp(m, 1-tc.bias-tc.mantissa)
			}
			return math.Ldexp(m+float64(int(1)<<tc.mantissa), e-tc.bias-tc.mantissa)
		}
		inf := uint16(1<<(15-tc.mantissa)-1) << tc.mantissa
		one := make([]float32, 1)
		narrow := func(x float64) uint16 {
			raw, _ := encode(nil, []float32{float32(x)}, tc.d)
			return binary.LittleEndian.Uint16(raw)
		}
		for u := uint16(0); u < inf; u++ {
			decode(one, []byte{byte(u), byte(u >> 8)}, tc.d)
			require.Equal(t, value(u), float64(one[0]))
			decode(one, []byte{byte(u), byte(u>>8) | 0x80}, tc.d)
			require.Equal(t, math.Copysign(value(u), -1), float64(one[0]))
			require.Equal(t, u, narrow(value(u)))
			require.Equal(t, u|0x8000, narrow(math.Copysign(value(u), -1)))
			if u+1 == inf {
				break
			}
			mid := (value(u) + value(u+1)) / 2
			if float64(float32(mid)) != mid {
				continue // below the smallest float32
			}
			require.Equal(t, u+u&1, narrow(mid), "a tie goes to the even one")
			require.Equal(t, u, narrow(float64(math.Nextafter32(float32(mid), 0))))
			require.Equal(t, u+1, narrow(float64(math.Nextafter32(float32(mid), math.MaxFloat32))))
		}
		decode(one, []byte{byte(inf), byte(inf >> 8)}, tc.d)
		require.True(t, math.IsInf(float64(one[0]), 1))
		decode(one, []byte{byte(inf) | 1, byte(inf >> 8)}, tc.d)
		require.True(t, math.IsNaN(float64(one[0])))
		for _, x := range []float64{math.Inf(1), math.Inf(-1), math.NaN(), -math.MaxFloat32} {
			_, err := encode(nil, []float32{1, float32(x)}, tc.d)
			require.ErrorContains(t, err, "element 1")
		}
	}
	require.NotZero(t, floatToBF16(math.Float32frombits(0x7f800001))&0x7f, "a NaN stays one")
	_, err := encode(nil, []float32{float32(math.Inf(1))}, F32)
	require.Error(t, err)
}

// TestEncodeDecode: what fits a type comes back as it is, and F32 always does.
func TestEncodeDecode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.SliceOf(rapid.Float32()).Draw(t, "x")
		d := rapid.SampledFrom([]DType{F32, BF16, F16}).Draw(t, "type")
		raw, err := encode(nil, x, d)
		if err != nil {
			return
		}
		y := make([]float32, len(x))
		decode(y, raw, d)
		z := make([]float32, len(x))
		d.Round(z, x)
		require.Equal(t, y, z)
		again, err := encode(nil, y, d)
		require.NoError(t, err)
		require.Equal(t, raw, again)
		if d == F32 {
			require.Equal(t, x, append(x[:0:0], y...))
		}
	})
}
