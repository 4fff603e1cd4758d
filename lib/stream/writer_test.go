package stream

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/stretchr/testify/require"
)

// failing takes n bytes, then fails.
type failing struct {
	bytes.Buffer
	n   int
	err error
}

func (f *failing) Write(b []byte) (int, error) {
	if len(b) > f.n {
		n, _ := f.Buffer.Write(b[:f.n])
		f.n = 0
		return n, f.err
	}
	f.n -= len(b)
	return f.Buffer.Write(b)
}

// TestWriteFails: wherever the output fails, no step after it succeeds and what
// was written never reads as complete.
func TestWriteFails(t *testing.T) {
	s, batches := sample()
	full := encode(t, s, batches, Options{})
	broken := errors.New("disk full")
	for n := 0; n < len(full); n += 3 {
		out := &failing{n: n, err: broken}
		w, err := NewWriter(out, s, Options{})
		for _, b := range batches {
			if err == nil {
				err = w.Write(b)
			}
		}
		if err != nil {
			require.ErrorIs(t, err, broken)
			require.Equal(t, err, w.Write(batches[0]))
		}
		require.ErrorIs(t, w.Close(), broken)
		require.Equal(t, string(full[:n]), out.String())
		_, _, err = readAll(out.Bytes())
		require.ErrorIs(t, err, ErrEarly)
	}
}

// TestWriteAtOnce: schema and batches are on their way when the call returns.
func TestWriteAtOnce(t *testing.T) {
	s, batches := sample()
	var out bytes.Buffer
	w, err := NewWriter(&out, s, Options{})
	require.NoError(t, err)
	r := NewReader(&out, "pipe", Limits{})
	s2, err := r.Schema()
	require.NoError(t, err)
	require.Equal(t, describe(s), describe(s2))
	for i, b := range batches {
		require.NoError(t, w.Write(b))
		got, err := r.Next()
		require.NoError(t, err)
		require.Equal(t, rows(batches[i:i+1]), rows([]*Batch{got}))
		require.Zero(t, out.Len())
	}
	require.NoError(t, w.Close())
	_, err = r.Next()
	require.Equal(t, io.EOF, err)
	require.Error(t, w.Close())
	require.Error(t, w.Write(batches[0]))
	require.Zero(t, out.Len())
}

func TestWriteClosedPipe(t *testing.T) {
	s, batches := sample()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer w.Close()
	sw, err := NewWriter(w, s, Options{})
	require.NoError(t, err)
	require.NoError(t, sw.Write(batches[0]))
	require.NoError(t, r.Close())
	require.ErrorIs(t, sw.Write(batches[0]), ErrClosed)
	require.ErrorIs(t, sw.Close(), ErrClosed)
	_, err = NewWriter(w, s, Options{})
	require.ErrorIs(t, err, ErrClosed)

	pr, pw := io.Pipe()
	require.NoError(t, pr.Close())
	_, err = NewWriter(pw, s, Options{})
	require.ErrorIs(t, err, ErrClosed)
}

func TestWriteMismatch(t *testing.T) {
	s, batches := sample()
	b := batches[0]
	null := []bool{false, true, false}
	for want, bad := range map[string]*Batch{
		"column seed is missing":             b.Without("seed"),
		"column x is not expected here":      b.With(Named{Name: "x", Column: NewBools(make([]bool, 3), nil)}),
		"column correct is int32, want bool": b.With(Named{Name: "correct", Column: NewInt32s(make([]int32, 3), nil)}),
		"row 1 of seed is null":              b.With(Named{Name: "seed", Nullable: true, Column: NewUint64s(make([]uint64, 3), null)}),
		"elements of tokens: row 0 of item is null": b.With(Named{
			Name: "tokens", Column: NewLists([]int32{0, 1, 1, 1}, NewInt32s([]int32{0}, []bool{true}), true, nil)}),
	} {
		var out bytes.Buffer
		w, err := NewWriter(&out, s, Options{})
		require.NoError(t, err)
		err = w.Write(bad)
		require.ErrorContains(t, err, "stream: write batch: ")
		require.ErrorContains(t, err, want)
		require.Equal(t, err, w.Close())
		_, _, err = readAll(out.Bytes())
		require.ErrorIs(t, err, ErrEarly)
	}
	_, err := NewWriter(io.Discard, s, Options{Compress: "gzip"})
	require.EqualError(t, err, `stream: compression "gzip" is neither zstd nor lz4`)
	_, err = NewWriter(io.Discard, &Schema{Fields: []Field{{Name: "a", Type: TBool}, {Name: "a", Type: TBool}}}, Options{})
	require.EqualError(t, err, `stream: schema: two columns are named "a"`)
}

// TestWriteOrder: columns may come in any order and with narrower nullability.
func TestWriteOrder(t *testing.T) {
	s := NewBatch(0, Named{Name: "a", Nullable: true, Column: NewBools(nil, nil)},
		Named{Name: "b", Nullable: true, Column: NewLists([]int32{0}, NewInt32s(nil, nil), true, nil)}).Schema()
	b := NewBatch(1, Named{Name: "b", Column: NewLists([]int32{0, 1}, NewInt32s([]int32{7}, nil), false, nil)},
		Named{Name: "a", Column: NewBools([]bool{true}, nil)})
	_, got, err := readAll(encode(t, s, []*Batch{b}, Options{}))
	require.NoError(t, err)
	require.Equal(t, []string{`{"a":true,"b":[7]}`}, rows(got))
}

// TestWriteProcs: neither the number of processors nor compression's threads
// change a byte.
func TestWriteProcs(t *testing.T) {
	v := make([]int64, 1<<18)
	for i := range v {
		v[i] = int64(i*i) >> (i % 13)
	}
	b := NewBatch(len(v), Named{Name: "v", Column: NewInt64s(v, nil)})
	for _, compress := range []string{"zstd", "lz4"} {
		many := encode(t, b.Schema(), []*Batch{b}, Options{Compress: compress})
		procs := runtime.GOMAXPROCS(1)
		one := encode(t, b.Schema(), []*Batch{b}, Options{Compress: compress})
		runtime.GOMAXPROCS(procs)
		require.True(t, bytes.Equal(one, many), compress)
		require.Less(t, len(one), 8*len(v))
	}
}

// TestLibraryReads: the Arrow library reads what is written.
func TestLibraryReads(t *testing.T) {
	s, batches := sample()
	for _, compress := range []string{"", "zstd", "lz4"} {
		r, err := ipc.NewReader(bytes.NewReader(encode(t, s, batches, Options{Compress: compress})))
		require.NoError(t, err)
		as, err := s.arrow()
		require.NoError(t, err)
		require.True(t, as.Equal(r.Schema()))
		meta := r.Schema().Metadata()
		require.Equal(t, []string{keyKind, keyVersion, keyHistory}, meta.Keys())
		require.Equal(t, []string{"verdict", "1",
			`[{"command":"srar-judge","version":"1.0","args":["--filter","acc"],"inputs":{"cache":"sha256:00"}}]`}, meta.Values())
		for _, b := range batches {
			require.True(t, r.Next())
			require.Equal(t, int64(b.Len()), r.Record().NumRows())
		}
		require.False(t, r.Next())
		require.NoError(t, r.Err())
	}
}
