package table

import (
	"bytes"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"srar/lib/stream"
)

var flat = []stream.Type{
	stream.TBool, stream.TInt32, stream.TInt64, stream.TUint64, stream.TFloat32, stream.TFloat64, stream.TUtf8,
}

func drawType(t *rapid.T, depth int) stream.Type {
	k := rapid.IntRange(0, len(flat)+1).Draw(t, "kind")
	switch {
	case k < len(flat):
		return flat[k]
	case depth == 0:
		return stream.TUtf8
	case k == len(flat):
		return stream.ListOf(drawType(t, depth-1), rapid.Bool().Draw(t, "nullable"))
	}
	return stream.StructOf(drawFields(t, depth-1)...)
}

// names of columns, some of which the library could trip over.
var names = []string{"b", "a", "z.x", "a,b", "é", "", "list", "A"}

func drawFields(t *rapid.T, depth int) []stream.Field {
	fields := make([]stream.Field, rapid.IntRange(1, 4).Draw(t, "fields"))
	order := rapid.Permutation(names).Draw(t, "names")
	for i := range fields {
		fields[i] = stream.Field{Name: order[i], Type: drawType(t, depth), Nullable: rapid.Bool().Draw(t, "nullable")}
	}
	return fields
}

func drawColumn(t *rapid.T, f stream.Field, n int) stream.Named {
	var null []bool
	if f.Nullable {
		null = rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "null")
	}
	named := stream.Named{Name: f.Name, Nullable: f.Nullable}
	switch f.Type.Kind {
	case stream.Bool:
		named.Column = stream.NewBools(rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "v"), null)
	case stream.Int32:
		named.Column = stream.NewInt32s(rapid.SliceOfN(rapid.Int32(), n, n).Draw(t, "v"), null)
	case stream.Int64:
		named.Column = stream.NewInt64s(rapid.SliceOfN(rapid.Int64(), n, n).Draw(t, "v"), null)
	case stream.Uint64:
		named.Column = stream.NewUint64s(rapid.SliceOfN(rapid.Uint64(), n, n).Draw(t, "v"), null)
	case stream.Float32:
		special := rapid.SampledFrom([]float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.Copysign(0, -1))})
		named.Column = stream.NewFloat32s(rapid.SliceOfN(rapid.OneOf(rapid.Float32(), special), n, n).Draw(t, "v"), null)
	case stream.Float64:
		special := rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 1e15, 1 << 60})
		named.Column = stream.NewFloat64s(rapid.SliceOfN(rapid.OneOf(rapid.Float64(), special), n, n).Draw(t, "v"), null)
	case stream.Utf8:
		text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "NaN", "null", "\x00", "a\r\nb", "\ufeff", "😀", "\u2028"}))
		named.Column = stream.NewTexts(rapid.SliceOfN(text, n, n).Draw(t, "v"), null)
	case stream.List:
		offsets := make([]int32, n+1)
		for i := range n {
			offsets[i+1] = offsets[i] + rapid.Int32Range(0, 3).Draw(t, "len")
		}
		elem := drawColumn(t, *f.Type.Elem, int(offsets[n]))
		named.Column = stream.NewLists(offsets, elem.Column, f.Type.Elem.Nullable, null)
	case stream.Struct:
		var members []stream.Named
		for _, m := range f.Type.Fields {
			members = append(members, drawColumn(t, m, n))
		}
		named.Column = stream.NewStructs(n, members, null)
	}
	return named
}

func drawBatches(t *rapid.T) (*stream.Schema, []*stream.Batch) {
	s := &stream.Schema{Fields: drawFields(t, 2)}
	if rapid.Bool().Draw(t, "ours") {
		s.RowKind, s.Version = "prompt", 1
		s.History = []stream.Entry{{Command: "srar-x", Version: "1", Args: []string{"--a", "<&>"}, Inputs: map[string]string{"data": "sha256:00"}}}
	}
	batches := make([]*stream.Batch, rapid.IntRange(0, 3).Draw(t, "batches"))
	for k := range batches {
		n := rapid.IntRange(0, 6).Draw(t, "rows")
		var cols []stream.Named
		for _, f := range s.Fields {
			cols = append(cols, drawColumn(t, f, n))
		}
		batches[k] = stream.NewBatch(n, cols...)
	}
	return s, batches
}

func feed(batches []*stream.Batch) func() (*stream.Batch, error) {
	return func() (*stream.Batch, error) {
		if len(batches) == 0 {
			return nil, io.EOF
		}
		b := batches[0]
		batches = batches[1:]
		return b, nil
	}
}

// rowTexts returns every row as a line of JSON.
func rowTexts(batches []*stream.Batch) []string {
	out := []string{}
	for _, b := range batches {
		for i := range b.Len() {
			line := []byte{'{'}
			for k, f := range b.Schema().Fields {
				if k > 0 {
					line = append(line, ',')
				}
				line = append(appendText(line, f.Name), ':')
				line = b.Column(f.Name).AppendJSON(line, i)
			}
			out = append(out, string(append(line, '}')))
		}
	}
	return out
}

func readAll(f *File, o Options) ([]*stream.Batch, error) {
	r, err := f.Rows(o)
	if err != nil {
		return nil, err
	}
	var out []*stream.Batch
	for {
		b, err := r.Next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
}

func sameFields(a, b []stream.Field) bool {
	return slices.EqualFunc(a, b, func(x, y stream.Field) bool {
		return x.Name == y.Name && x.Nullable == y.Nullable && x.Type.String() == y.Type.String()
	})
}

// What WriteParquet writes is read back the same, row kind and history included.
func TestLawParquet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, batches := drawBatches(t)
		var b bytes.Buffer
		require.NoError(t, WriteParquet(&b, s, feed(batches)))
		f, err := OpenReader(&b, "x")
		require.NoError(t, err)
		defer f.Close()
		require.True(t, sameFields(s.Fields, f.Schema().Fields), "%v", f.Schema().Fields)
		require.Equal(t, s.RowKind, f.Schema().RowKind)
		require.Equal(t, s.Version, f.Schema().Version)
		require.Equal(t, s.History, f.Schema().History)
		got, err := readAll(f, Options{})
		require.NoError(t, err)
		require.Equal(t, rowTexts(batches), rowTexts(got))
		got, err = readAll(f, Options{Types: s.Fields})
		require.NoError(t, err)
		require.Equal(t, rowTexts(batches), rowTexts(got))
	})
}

// Rows printed as JSON and read back with their types are the same.
func TestLawJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, batches := drawBatches(t)
		lines := rowTexts(batches)
		f, err := OpenReader(strings.NewReader(strings.Join(lines, "\n")), "x")
		require.NoError(t, err)
		defer f.Close()
		r, err := f.Rows(Options{Types: s.Fields})
		require.NoError(t, err)
		var got []*stream.Batch
		for {
			b, err := r.Next()
			if err == io.EOF {
				break
			}
			require.NoError(t, err)
			got = append(got, b)
			require.True(t, sameFields(b.Schema().Fields, r.Schema().Fields))
		}
		require.Equal(t, lines, rowTexts(got))
		for _, x := range s.Fields {
			i, _ := r.Schema().Lookup(x.Name)
			require.True(t, sameFields([]stream.Field{x}, r.Schema().Fields[i:i+1]))
		}
		_, err = readAll(f, Options{})
		require.NoError(t, err)
	})
}

// Rows cut by a column come in the same order, a batch for each run of equal
// values.
func TestLawGroup(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOf(rapid.SampledFrom([]string{"a", "b"})).Draw(t, "keys")
		if rapid.Bool().Draw(t, "long") {
			keys = append(keys, slices.Repeat([]string{"c"}, batchRows+1)...)
		}
		want := [][]string{}
		for i, k := range keys {
			if i == 0 || k != keys[i-1] {
				want = append(want, nil)
			}
			want[len(want)-1] = append(want[len(want)-1], k)
		}
		var in []*stream.Batch
		if len(keys) > 0 {
			in = append(in, stream.NewBatch(len(keys), stream.Named{Name: "k", Column: stream.NewTexts(slices.Clone(keys), nil)}))
		}
		var parquet bytes.Buffer
		s := &stream.Schema{Fields: []stream.Field{{Name: "k", Type: stream.TUtf8}}}
		require.NoError(t, WriteParquet(&parquet, s, feed(in)))
		for _, r := range []io.Reader{&parquet, strings.NewReader(strings.Join(rowTexts(in), "\n"))} {
			f, err := OpenReader(r, "x")
			require.NoError(t, err)
			defer f.Close()
			batches, err := readAll(f, Options{Types: s.Fields, Group: "k"})
			require.NoError(t, err)
			got := [][]string{}
			for _, b := range batches {
				var run []string
				for i := range b.Len() {
					run = append(run, b.Column("k").Text(i))
				}
				got = append(got, run)
			}
			require.Equal(t, want, got)
		}
	})
}
