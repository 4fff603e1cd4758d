package table

import (
	"bytes"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/golden"
	"srar/lib/stream"
)

// read reads all of a file of the given bytes, as Parquet or JSON Lines.
func read(data []byte, name string) ([]*stream.Batch, error) {
	f, err := OpenReader(bytes.NewReader(data), name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, Options{})
}

// small is a Parquet file with nested columns.
func small(t testing.TB) []byte {
	b := stream.NewBatch(3,
		stream.Named{Name: "text", Nullable: true, Column: stream.NewTexts([]string{"x", "", "zz"}, []bool{false, true, false})},
		stream.Named{Name: "n", Column: stream.NewInt64s([]int64{1, math.MinInt64, 3}, nil)},
		stream.Named{Name: "list", Column: stream.NewLists([]int32{0, 2, 2, 3}, stream.NewFloat32s([]float32{1, 2, 3}, nil), false, nil)},
	)
	var out bytes.Buffer
	require.NoError(t, WriteParquet(&out, b.Schema(), feed([]*stream.Batch{b, b})))
	return out.Bytes()
}

func FuzzParquet(f *testing.F) {
	f.Add(small(f))
	for _, name := range []string{"py_verl_item_names.parquet", "duck_zstd_v2.parquet", "py_extra_columns.parquet", "bad_footer_len.parquet"} {
		data, err := os.ReadFile(golden.Path(f, "text", "tables", name))
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := read(data, "x.parquet")
		if err != nil {
			return
		}
		rowTexts(b) // no value makes a panic
	})
}

func FuzzJSONLines(f *testing.F) {
	for _, s := range []string{
		"", "\ufeff{\"a\": [1, 2.5, null]}\r\n\r\n{\"a\": []}", `{"a": {"b": "\ud83d\ude00", "c": -0.5e-3}}`,
		"{\"a\": 1}\n{\"a\": \"x\"}\n{\"a\": {\"b\": [[]]}}", `{"a":1,"a":2}`, `{"a":18446744073709551615}`, `{"a":1e999}`, "[1]", `{"a":"\ud800"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := read(data, "x.jsonl")
		if err != nil {
			return
		}
		// What was read is read again as the same table.
		lines := rowTexts(b)
		again, err := read([]byte(strings.Join(lines, "\n")), "x.jsonl")
		require.NoError(t, err)
		require.Equal(t, lines, rowTexts(again))
	})
}
