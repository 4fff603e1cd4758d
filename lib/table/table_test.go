package table

import (
	"bytes"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"
	"github.com/stretchr/testify/require"

	"srar/lib/golden"
	"srar/lib/stream"
)

func TestErrors(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`{"a": 1`, `table: x: row 0, line 1: byte 7: expected a comma or a brace`},
		{"\n{}\n\n[]", `table: x: row 1, line 4: the line is not an object`},
		{`{"a": 1, "a": 2}`, `table: x: row 0, line 1: the key "a" comes twice`},
		{`{"a": "\ud83d\u0041"}`, `table: x: row 0, line 1: byte 19: half of a surrogate pair`},
		{"{\"a\": \"\xff\"}", `table: x: row 0, line 1: byte 7 is not valid UTF-8`},
		{`{"a": NaN}`, `table: x: row 0, line 1: byte 6: unexpected 'N'`},
		{`{"a": 01}`, `table: x: row 0, line 1: byte 8: malformed number`},
		{`{} {}`, `table: x: row 0, line 1: byte 3: something follows the object`},
		{strings.Repeat(`{"a":`, 200), `table: x: row 0, line 1: nested deeper than 128 levels`},
	} {
		_, err := read([]byte(c.in), "x")
		require.EqualError(t, err, c.want, c.in)
	}
}

// A value fits the type of its column exactly, or is an error.
func TestTypes(t *testing.T) {
	i32, u64, f32, f64 := stream.TInt32, stream.TUint64, stream.TFloat32, stream.TFloat64
	for _, c := range []struct {
		typ      stream.Type
		in, want string // want is an error if it is not JSON
	}{
		{i32, "2147483647", "2147483647"},
		{i32, "2147483648", "2147483648 does not fit int32"},
		{i32, "1.5", "1.5 is not an integer"},
		{i32, "1.50e1", "15"},
		{i32, "-0.0", "0"},
		{i32, `"1"`, "is text, not an integer"},
		{i32, "null", "is null"},
		{stream.TInt64, "9007199254740993.0", "9007199254740993"},
		{stream.TInt64, "9223372036854775808", "9223372036854775808 does not fit int64"},
		{stream.TInt64, "1e999999999999", "1e999999999999 does not fit 64 bits"},
		{stream.TInt64, "1e-999999999999", "1e-999999999999 is not an integer"},
		{stream.TInt64, "0e999999999999", "0"},
		{u64, "18446744073709551615", "18446744073709551615"},
		{u64, "-1", "-1 does not fit uint64"},
		{f32, "0.1", "0.1"},
		{f32, "1e39", "1e39 is out of range"},
		{f64, `"NaN"`, `"NaN"`},
		{f64, `"-Infinity"`, `"-Infinity"`},
		{f64, `"inf"`, "is text, not a number"},
		{stream.TUtf8, "5", "is a number, not utf8"},
		{stream.TBool, "0", "is a number, not bool"},
		{stream.ListOf(i32, false), "[1, null]", "[1]: is null"},
		{stream.ListOf(i32, true), "[1, null]", "[1,null]"},
		{stream.StructOf(stream.Field{Name: "m", Type: i32}), `{"m": true}`, ".m: is a boolean, not an integer"},
		{stream.StructOf(stream.Field{Name: "m", Type: i32}), `{}`, ".m: is not there"},
		{stream.StructOf(stream.Field{Name: "m", Type: i32, Nullable: true}), `{}`, `{"m":null}`},
		{stream.StructOf(stream.Field{Name: "m", Type: i32}), `{"m": 1, "n": 2}`, `member "n" is not expected`},
	} {
		f, err := OpenReader(strings.NewReader(`{"v": `+c.in+`}`), "x")
		require.NoError(t, err)
		b, err := readAll(f, Options{Types: []stream.Field{{Name: "v", Type: c.typ}}})
		require.NoError(t, f.Close())
		if err != nil {
			require.EqualError(t, err, "table: x: row 0, line 1, column v: "+c.want, c.in)
			continue
		}
		require.Equal(t, []string{`{"v":` + c.want + `}`}, rowTexts(b), c.in)
	}
}

func TestInferred(t *testing.T) {
	for _, c := range []struct{ in, typ, want string }{
		{"1 2", "int64", "1 2"},
		{"1 2.5", "double?", "1 2.5"},
		{"9007199254740993 0.5", "text", `"9007199254740993" "0.5"`},
		{"18446744073709551616 1", "text", `"18446744073709551616" "1"`},
		{`1 "x"`, "text", `"1" "x"`},
		{`[1] {"a":null}`, "text", `"[1]" "{\"a\":null}"`},
		{"null null", "utf8?", "null null"},
		{"[] [null,1]", "list<int64?>", "[] [null,1]"},
		{`{"a":1} {"b":"x"}`, "struct<a int64?, b utf8?>", `{"a":1,"b":null} {"a":null,"b":"x"}`},
	} {
		in, want := strings.Fields(c.in), strings.Fields(c.want)
		f, err := OpenReader(strings.NewReader(`{"v":`+in[0]+"}\n{\"v\":"+in[1]+"}"), "x")
		require.NoError(t, err)
		typ := map[string]string{"text": "utf8", "double?": "float64"}[c.typ]
		if typ == "" {
			typ = strings.TrimSuffix(c.typ, "?")
		}
		require.Equal(t, typ, f.Schema().Fields[0].Type.String(), c.in)
		b, err := readAll(f, Options{})
		require.NoError(t, err)
		require.NoError(t, f.Close())
		require.Equal(t, []string{`{"v":` + want[0] + "}", `{"v":` + want[1] + "}"}, rowTexts(b), c.in)
	}
}

// Texts of numbers, as ground truths need them.
func TestTexts(t *testing.T) {
	f64 := func(v float64) string { return numberText(v) }
	for want, have := range map[string]string{
		"9007199254740993": numberText(number("9007199254740993")), "4": numberText(number("4.0")), "0.5": f64(0.5),
		"1000000000000000000000": f64(1e21), "0.1": numberText(float32(0.1)), "0": f64(math.Copysign(0, -1)),
		"18446744073709551615": numberText(uint64(math.MaxUint64)), "-Infinity": f64(math.Inf(-1)),
	} {
		require.Equal(t, want, have)
	}
}

// one writes a Parquet file of one column and one row.
func one(t *testing.T, n parquet.Node, v parquet.Value) []byte {
	var b bytes.Buffer
	w := parquet.NewWriter(&b, parquet.NewSchema("rows", parquet.Group{"v": parquet.Required(n)}))
	_, err := w.WriteRows([]parquet.Row{{v}})
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func TestParquetTypes(t *testing.T) {
	for _, c := range []struct {
		node parquet.Node
		v    parquet.Value
		want string
	}{
		{parquet.Date(), parquet.Int32Value(20517), `"2026-03-05"`},
		{parquet.Date(), parquet.Int32Value(-1), `"1969-12-31"`},
		{parquet.Timestamp(parquet.Millisecond), parquet.Int64Value(-1), `"1969-12-31T23:59:59.999Z"`},
		{parquet.TimestampAdjusted(parquet.Nanosecond, false), parquet.Int64Value(1), `"1970-01-01T00:00:00.000000001"`},
		{parquet.Time(parquet.Microsecond), parquet.Int64Value(3_600_000_000), `"01:00:00"`},
		{parquet.Decimal(2, 9, parquet.Int32Type), parquet.Int32Value(-5), `"-0.05"`},
		{parquet.Decimal(1, 18, parquet.Int64Type), parquet.Int64Value(120), `"12.0"`},
		{parquet.UUID(), parquet.FixedLenByteArrayValue([]byte("0123456789abcdef")), `"30313233-3435-3637-3839-616263646566"`},
		{parquet.Uint(32), parquet.Int32Value(-1), "4294967295"},
		{parquet.Uint(64), parquet.Int64Value(-1), "18446744073709551615"},
		{parquet.Int(8), parquet.Int32Value(-7), "-7"},
		{parquet.Leaf(parquet.ByteArrayType), parquet.ByteArrayValue([]byte{0, 255}), `"AP8="`},
		{parquet.JSON(), parquet.ByteArrayValue([]byte(`{"a":1}`)), `"{\"a\":1}"`},
	} {
		b, err := read(one(t, c.node, c.v), "x")
		require.NoError(t, err, c.node)
		require.Equal(t, []string{`{"v":` + c.want + `}`}, rowTexts(b), c.node)
	}
	_, err := read(one(t, parquet.String(), parquet.ByteArrayValue([]byte{0xff})), "x")
	require.EqualError(t, err, "table: x: row 0, column v: is not valid UTF-8")
}

// Old writers say by a converted type alone what the values mean.
func TestConvertedTypes(t *testing.T) {
	for _, c := range []struct {
		converted deprecated.ConvertedType
		kind      format.Type
		v         parquet.Value
		typ       stream.Type
		want      any
	}{
		{deprecated.UTF8, format.ByteArray, parquet.ByteArrayValue([]byte("é")), stream.TUtf8, "é"},
		{deprecated.Enum, format.ByteArray, parquet.ByteArrayValue([]byte("é")), stream.TUtf8, "é"},
		{deprecated.Json, format.ByteArray, parquet.ByteArrayValue([]byte("{}")), stream.TUtf8, "{}"},
		{deprecated.Decimal, format.FixedLenByteArray, parquet.FixedLenByteArrayValue([]byte{255, 251}), stream.TUtf8, "-0.05"},
		{deprecated.Date, format.Int32, parquet.Int32Value(1), stream.TUtf8, "1970-01-02"},
		{deprecated.TimeMillis, format.Int32, parquet.Int32Value(1), stream.TUtf8, "00:00:00.001"},
		{deprecated.TimeMicros, format.Int64, parquet.Int64Value(1), stream.TUtf8, "00:00:00.000001"},
		{deprecated.TimestampMillis, format.Int64, parquet.Int64Value(1), stream.TUtf8, "1970-01-01T00:00:00.001Z"},
		{deprecated.TimestampMicros, format.Int64, parquet.Int64Value(1), stream.TUtf8, "1970-01-01T00:00:00.000001Z"},
		{deprecated.Uint64, format.Int64, parquet.Int64Value(-1), stream.TUint64, uint64(math.MaxUint64)},
		{deprecated.Uint32, format.Int32, parquet.Int32Value(-1), stream.TInt64, int64(math.MaxUint32)},
		{deprecated.Int64, format.Int64, parquet.Int64Value(-1), stream.TInt64, int64(-1)},
		{deprecated.UTF8, format.Int32, parquet.Int32Value(5), stream.TInt32, int64(5)}, // means nothing there
	} {
		var e format.SchemaElement
		e.Type.V, e.Scale.V = c.kind, 2
		e.ConvertedType.V, e.ConvertedType.Valid = c.converted, true
		var col column
		got, err := leaf(&col, e)(c.v)
		require.NoError(t, err)
		require.Equal(t, c.want, got, "%v", c.converted)
		require.Equal(t, c.typ, col.typ, "%v", c.converted)
	}
}

// Lists of two levels are what the library reads wrongly without a word.
func TestLegacyLists(t *testing.T) {
	old := list{group{fields: []parquet.Field{field{parquet.Repeated(parquet.Leaf(parquet.Int32Type)), "array"}}}}
	_, err := read(one(t, old, parquet.Int32Value(1).Level(0, 1, 0)), "x")
	require.EqualError(t, err, "table: x: column v: a list in the legacy form of two levels")
}

func TestWriteParquetErrors(t *testing.T) {
	nulls := stream.NewBatch(1, stream.Named{Name: "a", Nullable: true, Column: stream.NewInt32s([]int32{0}, []bool{true})})
	plain := stream.NewBatch(1, stream.Named{Name: "a", Column: stream.NewInt32s([]int32{0}, nil)})
	for _, c := range []struct {
		s    *stream.Schema
		b    *stream.Batch
		want string
	}{
		{&stream.Schema{}, plain, "table: Parquet has no tables without columns"},
		{plain.Schema(), nulls, "table: parquet: row 0 of a batch: null in a, which has none"},
		{&stream.Schema{Fields: []stream.Field{{Name: "b", Type: stream.TInt32}}}, plain, "table: parquet: a batch without column b of int32"},
		{&stream.Schema{Fields: []stream.Field{{Name: "a", Type: stream.StructOf()}}}, plain, "table: column a: struct<>: Parquet has no structs without members"},
	} {
		require.EqualError(t, WriteParquet(io.Discard, c.s, feed([]*stream.Batch{c.b})), c.want)
	}
	err := WriteParquet(io.Discard, plain.Schema(), func() (*stream.Batch, error) { return nil, io.ErrUnexpectedEOF })
	require.Equal(t, io.ErrUnexpectedEOF, err)
}

func TestDigest(t *testing.T) {
	f, err := OpenReader(strings.NewReader("{}\n\n"), "x")
	require.NoError(t, err)
	defer f.Close()
	require.Equal(t, "sha256:c5c24f7ca1c946fa4dfd44407409c8e11ec6e41f0e1c7c45bf8381b42afb31f1", f.Digest())
	require.Equal(t, "x", f.Name())
}

// Files that pyarrow wrote, with every codec and both versions of pages, hold the
// rows that it wrote (testdata/interop/tables.py small).
func TestWriters(t *testing.T) {
	want := golden.Lines[map[string]any](t, filepath.Join("testdata", "rows.json"))
	names, err := filepath.Glob(filepath.Join("testdata", "*.parquet"))
	require.NoError(t, err)
	require.Len(t, names, 12)
	for _, name := range names {
		f, err := Open(name)
		require.NoError(t, err, name)
		got, err := rows(f, Options{})
		require.NoError(t, f.Close())
		if filepath.Base(name) == "brotli.parquet" {
			require.EqualError(t, err, "table: "+name+": row 0: row group 0: column problem: pages packed with BROTLI; snappy, gzip, zstd and lz4_raw are read")
			continue
		}
		require.NoError(t, err, name)
		require.Len(t, got, len(want), name)
		lines, err := os.ReadFile(filepath.Join("testdata", "rows.json"))
		require.NoError(t, err)
		for i, line := range strings.Split(strings.TrimSpace(string(lines)), "\n") {
			require.True(t, same(decode([]byte(line)), any(got[i])), "%s: row %d: %v", name, i, got[i])
		}
	}
}
