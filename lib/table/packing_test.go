package table

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"srar/lib/stream"
)

// pack packs what write writes.
func pack(t testing.TB, p packing, write func(w io.Writer)) []byte {
	var b bytes.Buffer
	var w io.WriteCloser
	switch p {
	case gzipped:
		w = gzip.NewWriter(&b)
	case zstandard:
		var err error
		w, err = zstd.NewWriter(&b)
		require.NoError(t, err)
	default:
		write(&b)
		return b.Bytes()
	}
	write(w)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func packText(t testing.TB, p packing, text string) []byte {
	return pack(t, p, func(w io.Writer) {
		_, err := io.WriteString(w, text)
		require.NoError(t, err)
	})
}

func TestPacked(t *testing.T) {
	const text = "\ufeff{\"a\": 1}\r\n\n{\"a\": 2}"
	for p, format := range map[packing]string{plain: "JSON Lines", gzipped: "JSON Lines in gzip", zstandard: "JSON Lines in zstd"} {
		one := packText(t, p, text)
		two := append(packText(t, p, text[:11]), packText(t, p, text[11:])...) // packed in two parts
		for _, data := range [][]byte{one, two} {
			f, err := OpenReader(bytes.NewReader(data), "x")
			require.NoError(t, err)
			require.Equal(t, format, f.Format())
			b, err := readAll(f, Options{})
			require.NoError(t, err)
			require.Equal(t, []string{`{"a":1}`, `{"a":2}`}, rowTexts(b))
			require.NoError(t, f.Close())
		}
		if p == plain {
			continue
		}
		for n := 4; n < len(one); n++ {
			_, err := read(one[:n], "x")
			var e *Error
			require.ErrorAs(t, err, &e, "%d of %d bytes", n, len(one))
			require.Equal(t, Corrupt, e.Kind)
		}
		flipped := slices.Clone(one)
		flipped[len(flipped)/2] ^= 1
		_, err := read(flipped, "x")
		require.Error(t, err)
	}
	// A frame to be skipped comes first in what some writers of zstd make.
	skipped := append([]byte{0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 'x'}, packText(t, zstandard, text)...)
	b, err := read(skipped, "x")
	require.NoError(t, err)
	require.Len(t, rowTexts(b), 2)
}

// The digest is that of the file as it is.
func TestPackedDigest(t *testing.T) {
	data := packText(t, gzipped, `{"a":1}`)
	f, err := OpenReader(bytes.NewReader(data), "x")
	require.NoError(t, err)
	defer f.Close()
	require.Equal(t, fmt.Sprintf("sha256:%x", sha256.Sum256(data)), f.Digest())
}

// What unpacks to far more than it is takes no memory for it.
func TestPackedBomb(t *testing.T) {
	blank := append(bytes.Repeat([]byte{' '}, 1<<16), '\n')
	for _, p := range []packing{gzipped, zstandard} {
		data := pack(t, p, func(w io.Writer) {
			for range 1 << 10 {
				_, err := w.Write(blank)
				require.NoError(t, err)
			}
			_, err := fmt.Fprintln(w, `{"a":1}`)
			require.NoError(t, err)
		})
		require.Less(t, len(data), 1<<17)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		b, err := read(data, "x")
		require.NoError(t, err)
		runtime.ReadMemStats(&after)
		require.Equal(t, []string{`{"a":1}`}, rowTexts(b))
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(24<<20))
	}
}

// Rows that do not read are set aside with their numbers and lines; the others
// keep theirs.
func TestBad(t *testing.T) {
	const text = `{"a":1,"l":[{"s":"x"}]}

{"a":
{"a":"2","l":[]}
{"a":3,"l":[{"s":"y"},{"s":7}]}
[1]
{"a":4,"l":[{"s":"z"}]}
{"l":[]}
`
	f, err := OpenReader(strings.NewReader(text), "x")
	require.NoError(t, err)
	defer f.Close()
	_, err = f.Rows(Options{})
	require.EqualError(t, err, "table: x: row 1, line 3: byte 5: the line ends early")

	var bad []string
	o := Options{Types: slices.Clone(f.Schema().Fields), Bad: func(e *Error, line []byte) error {
		bad = append(bad, fmt.Sprintf("%v <- %s", e, line))
		return nil
	}}
	texts := stream.ListOf(stream.StructOf(stream.Field{Name: "s", Type: stream.TUtf8}), false)
	o.Types[0].Type, o.Types[0].Nullable = stream.TInt64, false
	o.Types[1].Type = texts
	r, err := f.Rows(o)
	require.NoError(t, err)
	b, err := r.Next()
	require.NoError(t, err)
	require.Equal(t, []int{0, 5}, r.Numbers())
	require.Equal(t, `{"a":1,"l":[{"s":"x"}]}`+"\n"+`{"a":4,"l":[{"s":"z"}]}`, strings.Join(rowTexts([]*stream.Batch{b}), "\n"))
	_, err = r.Next()
	require.Equal(t, io.EOF, err)
	require.Equal(t, 7, r.Read())
	require.Equal(t, []string{
		`table: x: row 1, line 3: byte 5: the line ends early <- {"a":`,
		`table: x: row 2, line 4, column a: is text, not an integer <- {"a":"2","l":[]}`,
		`table: x: row 3, line 5, column l: [1].s: is a number, not utf8 <- {"a":3,"l":[{"s":"y"},{"s":7}]}`,
		`table: x: row 4, line 6: the line is not an object <- [1]`,
		`table: x: row 6, line 8, column a: is not there <- {"l":[]}`,
	}, bad)

	o.Bad = func(*Error, []byte) error { return io.ErrClosedPipe }
	_, err = readAll(f, o)
	require.Equal(t, io.ErrClosedPipe, err)

	// With all rows bad there is no batch.
	o.Bad = func(*Error, []byte) error { return nil }
	o.Types[0].Type = texts
	all, err := readAll(f, o)
	require.NoError(t, err)
	require.Empty(t, all)
}

// Damage to a file is not a bad row.
func TestBadFile(t *testing.T) {
	o := Options{Bad: func(*Error, []byte) error { t.Fatal("told of a row"); return nil }}
	data := packText(t, gzipped, strings.Repeat(`{"a":1}`+"\n", 1000))
	_, err := OpenReader(bytes.NewReader(data[:len(data)-9]), "x")
	require.ErrorContains(t, err, "unexpected EOF")
	parquet := small(t)
	parquet[len(parquet)/4] ^= 1
	f, err := OpenReader(bytes.NewReader(parquet), "x")
	require.NoError(t, err)
	defer f.Close()
	_, err = readAll(f, o)
	require.ErrorContains(t, err, "checksum")
}

// Bad rows of Parquet are set aside too, wherever they are in a batch.
func TestBadParquet(t *testing.T) {
	rows := `{"a":"x"}` + "\n" + `{"a":null}` + "\n" + `{"a":"y"}`
	f, err := OpenReader(strings.NewReader(rows), "x")
	require.NoError(t, err)
	b, err := readAll(f, Options{})
	require.NoError(t, err)
	require.NoError(t, f.Close())
	var out bytes.Buffer
	require.NoError(t, WriteParquet(&out, b[0].Schema(), feed(b)))
	f, err = OpenReader(&out, "x")
	require.NoError(t, err)
	defer f.Close()
	var bad []string
	o := Options{Types: slices.Clone(f.Schema().Fields), Bad: func(e *Error, line []byte) error {
		require.Nil(t, line)
		bad = append(bad, e.Error())
		return nil
	}}
	o.Types[0].Nullable = false
	got, err := readAll(f, o)
	require.NoError(t, err)
	require.Equal(t, []string{`{"a":"x"}`, `{"a":"y"}`}, rowTexts(got))
	require.Equal(t, []string{"table: x: row 1, column a: is null"}, bad)
}

func TestTooManyColumns(t *testing.T) {
	var line strings.Builder
	for i := range maxMembers + 1 {
		fmt.Fprintf(&line, `,"c%d":1`, i)
	}
	_, err := read([]byte("{"+line.String()[1:]+"}"), "x")
	require.EqualError(t, err, "table: x: more than 1000 columns")
}
