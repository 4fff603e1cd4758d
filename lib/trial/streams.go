package trial

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/rows"
	"srar/lib/stream"
)

func reader(data []byte) *stream.Reader {
	return stream.NewReader(bytes.NewReader(data), "test", stream.Limits{})
}

// Schema returns the schema that a stream begins with.
func Schema(t testing.TB, data []byte) *stream.Schema {
	t.Helper()
	s, err := reader(data).Schema()
	require.NoError(t, err)
	return s
}

// Batches reads a stream, or several, to the proven end.
func Batches(t testing.TB, data []byte) (out []*stream.Batch) {
	t.Helper()
	for r := reader(data); ; {
		b, err := r.Next()
		if err == io.EOF {
			return out
		}
		require.NoError(t, err)
		out = append(out, b)
	}
}

// Groups reads a stream to its proven end and returns the rows of each batch.
func Groups[T any](t testing.TB, data []byte) (out [][]T) {
	t.Helper()
	for n, b := range Batches(t, data) {
		g, err := rows.Read[T](b, n)
		require.NoError(t, err)
		out = append(out, g)
	}
	return out
}

// Complete reports whether data is one complete stream or several.
func Complete(data []byte) bool {
	for r := reader(data); ; {
		if _, err := r.Next(); err != nil {
			return err == io.EOF
		}
	}
}

// Unfinished reports whether nobody can take data for complete: its last bytes
// are no end marker, and reading it fails.
func Unfinished(data []byte) bool {
	return !bytes.HasSuffix(data, []byte("\xff\xff\xff\xff\x00\x00\x00\x00")) && !Complete(data)
}

// Stream writes the batches as one stream with the schema.
func Stream(t testing.TB, s *stream.Schema, list ...*stream.Batch) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := stream.NewWriter(&out, s, stream.Options{})
	require.NoError(t, err)
	for _, b := range list {
		require.NoError(t, w.Write(b))
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

// Rows writes one batch of rows of any struct as a stream of the kind.
func Rows[T any](t testing.TB, kind string, list ...T) []byte {
	t.Helper()
	b := rows.Batch(list)
	return Stream(t, b.Schema().With(kind), b)
}

// Text renders the rows of a batch for comparison, a line each; the order of
// the columns counts.
func Text(b *stream.Batch) string {
	var out []byte
	for i := range b.Len() {
		for _, f := range b.Schema().Fields {
			out = append(append(out, f.Name...), '=')
			out = append(b.Column(f.Name).AppendJSON(out, i), ' ')
		}
		out = append(out, '\n')
	}
	return string(out)
}
