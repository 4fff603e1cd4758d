package pages

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// of is a leaf of a kind that needs no length.
func of(kind format.Type) leaf { return leaf{kind: kind, size: sizes[kind]} }

func bytesOf(t testing.TB, text string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	require.NoError(t, err)
	return b
}

// The examples of parquet-format's Encodings.md, and runs that end early.
func TestRuns(t *testing.T) {
	for _, c := range []struct {
		in    string
		width int
		n     int
		want  []uint32
	}{
		{"03 88c6fa", 3, 8, []uint32{0, 1, 2, 3, 4, 5, 6, 7}},
		{"0a 07", 3, 5, []uint32{7, 7, 7, 7, 7}},
		{"04 0302 02 0400", 10, 3, []uint32{0x203, 0x203, 4}},
		{"06 04 01 06 01", 1, 6, []uint32{0, 0, 0, 1, 1, 1}},
		{"00 00 02 05", 3, 1, []uint32{5}},
		{"08", 0, 4, []uint32{0, 0, 0, 0}},
		{"02 ffffffff 03 0100000002000000030000000400000005000000060000000700000008000000", 32, 4, []uint32{1<<32 - 1, 1, 2, 3}},
		{"03 88c6", 3, 6, []uint32{0, 1, 2, 3, 4}},           // its last bytes left out
		{"0a", 3, 1, nil},                                    // no value of the run
		{"ffffffffffffffff7f 88", 1, 9, nil},                 // longer than there are bytes
		{"feffffffffffffffff01 01", 1, 3, []uint32{1, 1, 1}}, // as long as runs get
		{"", 1, 1, nil},
	} {
		r := runs{b: bytesOf(t, c.in), width: c.width}
		var got []uint32
		for range c.n {
			v, err := r.next()
			if err != nil {
				require.Equal(t, io.ErrUnexpectedEOF, err)
				break
			}
			got = append(got, v)
		}
		require.Equal(t, c.want, got, c.in)
	}
}

// What parquet-go's encoders write is decoded the same.
func TestLawDecode(t *testing.T) {
	special := []int64{0, 1, -1, 127, -128, 1 << 31, -1 << 31, 1<<31 - 1, 1 << 62, -1 << 63, 1<<63 - 1}
	rapid.Check(t, func(t *rapid.T) {
		ints := rapid.SliceOf(rapid.OneOf(rapid.Int64(), rapid.Int64Range(-9, 9), rapid.SampledFrom(special))).Draw(t, "ints")
		small := make([]int32, len(ints))
		for i, v := range ints {
			small[i] = int32(v)
		}
		texts := rapid.SliceOfN(rapid.StringMatching(`(prefix)?[ab]{0,70}`), len(ints), len(ints)).Draw(t, "texts")
		var joined []byte
		offsets := []uint32{0}
		for _, s := range texts {
			joined = append(joined, s...)
			offsets = append(offsets, uint32(len(joined)))
		}
		for _, c := range []struct {
			kind   format.Type
			e      format.Encoding
			encode func() ([]byte, error)
			value  func(i int) parquet.Value
		}{
			{format.Int64, format.DeltaBinaryPacked, func() ([]byte, error) { return parquet.DeltaBinaryPacked.EncodeInt64(nil, ints) }, func(i int) parquet.Value { return parquet.Int64Value(ints[i]) }},
			{format.Int32, format.DeltaBinaryPacked, func() ([]byte, error) { return parquet.DeltaBinaryPacked.EncodeInt32(nil, small) }, func(i int) parquet.Value { return parquet.Int32Value(small[i]) }},
			{format.Int32, format.Plain, func() ([]byte, error) { return parquet.Plain.EncodeInt32(nil, small) }, func(i int) parquet.Value { return parquet.Int32Value(small[i]) }},
			{format.Int64, format.ByteStreamSplit, func() ([]byte, error) { return parquet.ByteStreamSplit.EncodeInt64(nil, ints) }, func(i int) parquet.Value { return parquet.Int64Value(ints[i]) }},
			{format.ByteArray, format.DeltaLengthByteArray, func() ([]byte, error) { return parquet.DeltaLengthByteArray.EncodeByteArray(nil, joined, offsets) }, func(i int) parquet.Value { return parquet.ByteArrayValue([]byte(texts[i])) }},
			{format.ByteArray, format.DeltaByteArray, func() ([]byte, error) { return parquet.DeltaByteArray.EncodeByteArray(nil, joined, offsets) }, func(i int) parquet.Value { return parquet.ByteArrayValue([]byte(texts[i])) }},
			{format.ByteArray, format.Plain, func() ([]byte, error) { return parquet.Plain.EncodeByteArray(nil, joined, offsets) }, func(i int) parquet.Value { return parquet.ByteArrayValue([]byte(texts[i])) }},
		} {
			data, err := c.encode()
			require.NoError(t, err)
			if len(data) == 0 {
				require.Empty(t, ints)
				continue
			}
			d, err := (&chunk{leaf: of(c.kind)}).newDecoder(c.e, data)
			require.NoError(t, err, "%v of %v", c.e, ints)
			for i := range ints {
				v, err := d.next()
				require.NoError(t, err, "value %d of %v in %v", i, ints, c.e)
				require.True(t, parquet.Equal(c.value(i), v), "value %d of %v in %v is %v", i, ints, c.e, v)
			}
			_, err = d.next()
			require.Equal(t, io.ErrUnexpectedEOF, err)
		}
	})
}

// uvarints writes numbers as ULEB128.
func uvarints(v ...uint64) (b []byte) {
	for _, x := range v {
		b = binary.AppendUvarint(b, x)
	}
	return b
}

// Pages that claim far more than they hold: values are decoded one by one, so
// nothing is allocated for a claim.
func TestDecodeBombs(t *testing.T) {
	huge := uint64(1) << 62
	require.Less(t, testing.AllocsPerRun(5, func() {
		for _, c := range []struct {
			kind format.Type
			e    format.Encoding
			data []byte
		}{
			{format.Int64, format.DeltaBinaryPacked, uvarints(128, 4, huge, 0)},
			{format.ByteArray, format.DeltaLengthByteArray, uvarints(128, 4, huge, 0)},
			{format.ByteArray, format.DeltaByteArray, append(uvarints(128, 4, 1, 2*huge-2), uvarints(128, 4, 1, 0)...)},
			{format.ByteArray, format.RLEDictionary, append([]byte{32}, uvarints(2*huge, 7)...)},
			{format.Boolean, format.RLE, append([]byte{9, 0, 0, 0}, uvarints(2*huge+1)...)},
		} {
			d, err := (&chunk{leaf: of(c.kind)}).newDecoder(c.e, c.data)
			if err == nil {
				_, err = d.next()
			}
			if err == nil {
				panic("a claim was believed")
			}
		}
	}), 200.0)
}

// Every prefix of DELTA_BYTE_ARRAY refers to what is there.
func TestDeltaPrefix(t *testing.T) {
	data, err := parquet.DeltaByteArray.EncodeByteArray(nil, []byte("abcabd"), []uint32{0, 3, 6})
	require.NoError(t, err)
	for i := range data {
		for bit := range 8 {
			flipped := slices.Clone(data)
			flipped[i] ^= 1 << bit
			d, err := (&chunk{leaf: of(format.ByteArray)}).newDecoder(format.DeltaByteArray, flipped)
			for err == nil {
				var v parquet.Value
				v, err = d.next()
				require.LessOrEqual(t, len(v.ByteArray()), 6)
			}
			var e *Error
			require.True(t, err == io.ErrUnexpectedEOF || errors.As(err, &e), "%v", err)
		}
	}
}

// unpackPage unpacks a body that is to have size bytes.
func unpackPage(codec format.CompressionCodec, body []byte, size int64) ([]byte, error) {
	return new(unpacker).unpack(codec, body, size)
}

// A page that does not unpack to its size is an error, whichever way it differs.
func TestUnpack(t *testing.T) {
	text := []byte(strings.Repeat("step ", 1000))
	for _, codec := range []format.CompressionCodec{format.Snappy, format.Gzip, format.Zstd, format.Lz4Raw} {
		packed, err := parquet.LookupCompressionCodec(codec).Encode(nil, text)
		require.NoError(t, err)
		got, err := unpackPage(codec, packed, int64(len(text)))
		require.NoError(t, err, codec)
		require.Equal(t, text, got)
		for _, size := range []int64{0, 1, int64(len(text)) - 1, int64(len(text)) + 1, maxPage} {
			_, err := unpackPage(codec, packed, size)
			require.EqualError(t, err, errUnpack(size).Error(), "%v", codec)
		}
		for n := range len(packed) {
			_, err := unpackPage(codec, packed[:n], int64(len(text)))
			require.Error(t, err, "%v: %d of %d bytes", codec, n, len(packed))
		}
	}
}

// A block of LZ4 has the size that it says, and the library unpacks it: on one
// that it cannot unpack it would not end.
func FuzzLZ4(f *testing.F) {
	for _, text := range []string{"", "a", strings.Repeat("ab", 400), strings.Repeat("x", 70000)} {
		packed, err := parquet.Lz4Raw.Encode(nil, []byte(text))
		require.NoError(f, err)
		f.Add(packed)
	}
	f.Fuzz(func(t *testing.T, block []byte) {
		if size := lz4Size(block); size >= 0 && size < maxPage {
			b, err := unpackPage(format.Lz4Raw, block, size)
			require.NoError(t, err)
			require.Len(t, b, int(size))
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(uint8(format.DeltaByteArray), uint8(format.ByteArray), uvarints(128, 4, 2, 0, 0))
	f.Add(uint8(format.DeltaBinaryPacked), uint8(format.Int32), uvarints(128, 1, 129, 3, 1, 64))
	f.Add(uint8(format.RLEDictionary), uint8(format.Double), []byte{1, 3, 0x55})
	f.Add(uint8(format.RLE), uint8(format.Boolean), []byte{2, 0, 0, 0, 3, 1})
	f.Add(uint8(format.ByteStreamSplit), uint8(format.FixedLenByteArray), []byte("abcdef"))
	f.Add(uint8(format.Plain), uint8(format.Int96), []byte("abcdefabcdef"))
	f.Fuzz(func(t *testing.T, e, kind uint8, data []byte) {
		l, err := newLeaf(format.Type(kind), 3, levels{})
		if err != nil {
			return
		}
		c := &chunk{leaf: l, dict: []parquet.Value{{}, {}}}
		d, err := c.newDecoder(format.Encoding(e), data)
		size := 0
		for range 1000 {
			if err != nil {
				return
			}
			var v parquet.Value
			if v, err = d.next(); v.Kind() == parquet.ByteArray {
				size = len(v.ByteArray())
			}
			require.LessOrEqual(t, size, len(data)) // every byte is from the page
		}
	})
}
