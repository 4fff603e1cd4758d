package pages

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/format"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// record has leaves of all shapes: required, optional, in a dictionary, in a list,
// in a list of lists.
type record struct {
	N      int64     `parquet:"n,delta"`
	Text   *string   `parquet:"text,optional"`
	Source string    `parquet:"source,dict"`
	Floats []float64 `parquet:"floats,list"`
	Chats  []struct {
		Role  string `parquet:"role,dict"`
		Words []string
	} `parquet:"chats,list"`
}

// written is a file of records in groups of groupRows rows, and their values.
func written(t require.TestingT, records []record, groupRows int64, o ...parquet.WriterOption) ([]byte, []parquet.Row) {
	var b bytes.Buffer
	w := parquet.NewGenericWriter[record](&b, append(o, parquet.MaxRowsPerRowGroup(groupRows), parquet.KeyValueMetadata("key", "value"))...)
	_, err := w.Write(records)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	var rows []parquet.Row
	for _, r := range records {
		rows = append(rows, w.Schema().Deconstruct(nil, r))
	}
	return b.Bytes(), rows
}

// all reads the values of all rows, of the leaves that want names.
func all(data []byte, want func(leaf int) bool) ([]parquet.Row, error) {
	f, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	wants := make([]bool, len(f.leaves))
	for i := range wants {
		wants[i] = want(i)
	}
	var out []parquet.Row
	for r := f.Rows(wants); ; {
		leaves, err := r.Next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		var row parquet.Row
		for k, values := range leaves {
			for _, v := range values {
				row = append(row, v.Clone().Level(v.RepetitionLevel(), v.DefinitionLevel(), k))
			}
		}
		out = append(out, row)
	}
}

func every(int) bool { return true }

func requireRows(t require.TestingT, want, got []parquet.Row) {
	require.Len(t, got, len(want))
	for i := range want {
		require.True(t, want[i].Equal(got[i]), "row %d: %+v, want %+v", i, got[i], want[i])
	}
}

func drawRecord(t *rapid.T) (r record) {
	text := rapid.StringN(0, 9, -1)
	r.N = rapid.Int64().Draw(t, "n")
	if rapid.Bool().Draw(t, "has text") {
		s := text.Draw(t, "text")
		r.Text = &s
	}
	source := rapid.SampledFrom([]string{"gsm8k", "math", ""})
	r.Source = source.Draw(t, "source")
	r.Floats = rapid.SliceOfN(rapid.Float64(), 0, 4).Draw(t, "floats")
	for range rapid.IntRange(0, 3).Draw(t, "chats") {
		r.Chats = append(r.Chats, struct {
			Role  string `parquet:"role,dict"`
			Words []string
		}{source.Draw(t, "role"), rapid.SliceOfN(text, 0, 3).Draw(t, "words")})
	}
	return r
}

// What parquet-go writes, in any codec and version, is read the same, and so is a
// choice of its leaves.
func TestLawRows(t *testing.T) {
	codecs := []compress.Codec{&parquet.Uncompressed, &parquet.Snappy, &parquet.Gzip, &parquet.Zstd, &parquet.Lz4Raw}
	rapid.Check(t, func(t *rapid.T) {
		records := rapid.SliceOfN(rapid.Custom(drawRecord), 0, 12).Draw(t, "records")
		data, want := written(t, records, rapid.Int64Range(1, 9).Draw(t, "rows of a group"),
			parquet.Compression(rapid.SampledFrom(codecs).Draw(t, "codec")),
			parquet.DataPageVersion(rapid.IntRange(1, 2).Draw(t, "version")),
			parquet.PageBufferSize(rapid.IntRange(1, 200).Draw(t, "page")))
		got, err := all(data, every)
		require.NoError(t, err)
		requireRows(t, want, got)

		one := rapid.IntRange(0, 5).Draw(t, "leaf")
		for i := range want {
			want[i] = slices.DeleteFunc(want[i], func(v parquet.Value) bool { return v.Column() != one })
		}
		got, err = all(data, func(leaf int) bool { return leaf == one })
		require.NoError(t, err)
		requireRows(t, want, got)
	})
}

// small is a file with nested columns.
func small(t require.TestingT) []byte {
	text := "x"
	data, _ := written(t, []record{{N: 1, Text: &text, Source: "a", Floats: []float64{1, 2}}, {N: -1, Source: "a"}, {Source: "b"}}, 2)
	return data
}

func TestFile(t *testing.T) {
	data := small(t)
	f, err := Open(bytes.NewReader(data), int64(len(data)))
	require.NoError(t, err)
	var names []string
	for _, c := range f.Columns() {
		names = append(names, c.Name)
	}
	require.Equal(t, []string{"n", "text", "source", "floats", "chats"}, names)
	text, floats, chats := f.Columns()[1], f.Columns()[3], f.Columns()[4]
	require.True(t, text.Leaf() && text.Optional() && !text.Repeated())
	require.False(t, floats.Leaf())
	require.True(t, floats.Children[0].Repeated())
	require.Equal(t, []int{3, 1, 4, 2}, []int{floats.First, floats.Leaves, chats.First, chats.Leaves})
	v, ok := f.Lookup("key")
	require.True(t, ok)
	require.Equal(t, "value", v)
	_, ok = f.Lookup("no key")
	require.False(t, ok)
}

// A file cut anywhere is an error, never a shorter table.
func TestPrefixes(t *testing.T) {
	data := small(t)
	for n := range data {
		_, err := all(data[:n], every)
		var e *Error
		require.ErrorAs(t, err, &e, "%d of %d bytes", n, len(data))
	}
}

// A flipped bit before the footer, where the values are, is an error or changes
// nothing: pages have checksums.
func TestFlips(t *testing.T) {
	data := small(t)
	want, err := all(data, every)
	require.NoError(t, err)
	found := 0
	footer := len(data) - 8 - int(binary.LittleEndian.Uint32(data[len(data)-8:]))
	for i := range footer {
		for bit := range 8 {
			flipped := slices.Clone(data)
			flipped[i] ^= 1 << bit
			got, err := all(flipped, every)
			if err != nil {
				found++
				continue
			}
			requireRows(t, want, got)
		}
	}
	require.NotZero(t, found)
}

// failing fails to read behind the first bytes.
type failing struct {
	io.ReaderAt
	good int64
}

var errDisk = errors.New("the disk is on fire")

func (f failing) ReadAt(b []byte, at int64) (int, error) {
	if at >= f.good {
		return f.ReaderAt.ReadAt(b, at)
	}
	return 0, errDisk
}

// What cannot be read is not called damaged.
func TestReadError(t *testing.T) {
	data := small(t)
	_, err := Open(failing{bytes.NewReader(data), 1}, int64(len(data)))
	require.ErrorIs(t, err, errDisk)
	f, err := Open(bytes.NewReader(data), int64(len(data)))
	require.NoError(t, err)
	f.r = failing{f.r, 1000000}
	_, err = f.Rows([]bool{true, false, false, false, false, false}).Next()
	require.ErrorIs(t, err, errDisk)
	require.EqualError(t, err, "row group 0: column n: the disk is on fire")
}

// A schema that claims what it does not have, or too much.
func TestSchema(t *testing.T) {
	element := func(children int32) (e format.SchemaElement) {
		e.NumChildren.V, e.NumChildren.Valid = children, true
		return e
	}
	leaf := func(kind format.Type, length int32) (e format.SchemaElement) {
		e.Type.V, e.Type.Valid, e.TypeLength.V = kind, true, length
		return e
	}
	deep := slices.Repeat([]format.SchemaElement{element(1)}, 1<<16)
	wide := slices.Repeat([]format.SchemaElement{leaf(format.Int32, 0)}, maxLeaves+1)
	for _, c := range []struct {
		elements    []format.SchemaElement
		want        string
		unsupported bool
	}{
		{nil, "the file has no schema", false},
		{[]format.SchemaElement{element(1<<31 - 1)}, "the schema ends early", false},
		{[]format.SchemaElement{element(1), leaf(format.FixedLenByteArray, -1)}, "values of -1 bytes", false},
		{[]format.SchemaElement{element(1), leaf(8, 0)}, "physical type Type(?)", true},
		{deep, "columns nested or numerous beyond reason", true},
		{append([]format.SchemaElement{element(maxLeaves + 1)}, wide...), "columns nested or numerous beyond reason", true},
	} {
		_, _, err := columns(c.elements)
		require.Equal(t, &Error{c.unsupported, c.want}, err)
	}
}

func FuzzFile(f *testing.F) {
	f.Add(small(f))
	for _, version := range []int{1, 2} {
		data, _ := written(f, []record{{N: 5, Source: "s"}, {}}, 9, parquet.DataPageVersion(version), parquet.Compression(&parquet.Snappy))
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := all(data, every)
		var e *Error
		require.True(t, err == nil || errors.As(err, &e), "%v", err) // nothing else: reading does not fail
	})
}
