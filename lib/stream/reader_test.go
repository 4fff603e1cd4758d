package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	flatbuffers "github.com/google/flatbuffers/go"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// inputs returns complete inputs of many forms by name: ours, pyarrow's, the
// Arrow library's file format, and concatenations.
func inputs(t testing.TB) map[string][]byte {
	s, batches := sample()
	in := map[string][]byte{
		"plain": encode(t, s, batches, Options{}),
		"zstd":  encode(t, s, batches[:1], Options{Compress: "zstd"}),
		"lz4":   encode(t, s, batches[:1], Options{Compress: "lz4"}),
		"file":  libraryFile(t, s, batches),
	}
	paths, err := filepath.Glob("testdata/strangers/*.arrow")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, p := range paths {
		b, err := os.ReadFile(p)
		require.NoError(t, err)
		if _, _, err := readAll(b); err == nil {
			in[filepath.Base(p)] = b
		}
	}
	in["two streams"] = bytes.Repeat(in["plain"], 2)
	in["stream, file, stream"] = bytes.Join([][]byte{in["zstd"], in["file"], in["plain"]}, nil)
	in["two files"] = bytes.Repeat(in["file"], 2)
	return in
}

// libraryFile writes the file format as the Arrow library does, which puts no
// end marker before the footer.
func libraryFile(t require.TestingT, s *Schema, batches []*Batch) []byte {
	as, err := s.arrow()
	require.NoError(t, err)
	f, err := os.CreateTemp("", "stream-test")
	require.NoError(t, err)
	defer os.Remove(f.Name())
	defer f.Close()
	w, err := ipc.NewFileWriter(f, ipc.WithSchema(as))
	require.NoError(t, err)
	for _, b := range batches {
		cols := make([]arrow.Array, len(b.cols))
		for i, c := range b.cols {
			cols[i] = array.MakeFromData(c.array(c.typ))
		}
		require.NoError(t, w.Write(array.NewRecord(as, cols, int64(b.n))))
	}
	require.NoError(t, w.Close())
	b, err := os.ReadFile(f.Name())
	require.NoError(t, err)
	return b
}

func requireInputError(t require.TestingT, err error) *InputError {
	var ie *InputError
	require.ErrorAs(t, err, &ie)
	require.Equal(t, 3, ie.ExitCode())
	return ie
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := genBatch(t)
		batches := []*Batch{b}
		if b.Len() > 0 {
			take := rapid.SliceOfN(rapid.IntRange(0, b.Len()-1), 0, 9).Draw(t, "rows")
			batches = append(batches, b.Take(take), b)
		}
		s := b.Schema().With(rapid.StringMatching("[a-z]*").Draw(t, "kind"))
		s.History = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Entry {
			return Entry{
				Command: rapid.String().Draw(t, "command"), Version: "1",
				Args:   append([]string{}, rapid.SliceOf(rapid.String()).Draw(t, "args")...),
				Inputs: rapid.MapOf(rapid.StringN(0, 4, -1), rapid.Just("sha256:00")).Draw(t, "inputs"),
			}
		}), 0, 2).Draw(t, "history")
		compress := rapid.SampledFrom([]string{"", "zstd", "lz4"}).Draw(t, "compress")
		bytes := encode(t, s, batches, Options{Compress: compress})
		require.Equal(t, bytes, encode(t, s, batches, Options{Compress: compress}), "not deterministic")
		s2, got, err := readAll(bytes)
		require.NoError(t, err)
		require.Equal(t, s.Fields, s2.Fields)
		require.Equal(t, s.RowKind, s2.RowKind)
		require.Equal(t, len(s.History), len(s2.History))
		for i := range s.History {
			require.Equal(t, s.History[i], s2.History[i])
		}
		require.Len(t, got, len(batches))
		for i := range got {
			require.Equal(t, rows(batches[i:i+1]), rows(got[i:i+1]))
		}
		require.Equal(t, bytes, encode(t, s2, got, Options{Compress: compress}), "what is read and written changes")
	})
}

// TestRecut: how the bytes of an input arrive changes nothing.
func TestRecut(t *testing.T) {
	for name, in := range inputs(t) {
		s, batches, err := readAll(in)
		require.NoError(t, err)
		for cut, r := range map[string]io.Reader{
			"one byte": iotest.OneByteReader(bytes.NewReader(in)),
			"half":     iotest.HalfReader(bytes.NewReader(in)),
			"data+EOF": iotest.DataErrReader(bytes.NewReader(in)),
		} {
			s2, batches2, err := drain(NewReader(r, name, Limits{}))
			require.NoError(t, err, "%s, %s", name, cut)
			require.Equal(t, describe(s), describe(s2))
			require.Equal(t, rows(batches), rows(batches2))
		}
	}
}

// TestCut: every prefix is an error, or ends where a stream does and has all of
// its rows.
func TestCut(t *testing.T) {
	for name, in := range inputs(t) {
		if len(in) > 7000 {
			continue // concatenations: below
		}
		step := 1
		if strings.HasSuffix(name, ".arrow") {
			step = 5
		}
		for n := 0; n < len(in); n += step {
			_, _, err := readAll(in[:n])
			require.ErrorIs(t, err, ErrEarly, "%s cut at %d", name, n)
			requireInputError(t, err)
		}
	}
}

func TestCutConcatenated(t *testing.T) {
	b := NewBatch(1, Named{Name: "a", Column: NewBools([]bool{true}, nil)})
	plain, file := encode(t, b.Schema(), []*Batch{b}, Options{}), libraryFile(t, b.Schema(), []*Batch{b, b})
	in := bytes.Join([][]byte{plain, file, file, plain}, nil)
	complete := map[int]int{ // rows by length
		len(plain): 1, len(plain) + len(file): 3, len(plain) + 2*len(file): 5, len(in): 6,
	}
	for n := range len(in) + 1 {
		_, got, err := readAll(in[:n])
		if want, ok := complete[n]; ok {
			require.NoError(t, err)
			require.Len(t, rows(got), want)
		} else {
			require.ErrorIs(t, err, ErrEarly, "cut at %d", n)
		}
	}
}

// TestFlip: no change of a byte makes the reader panic, and what it still
// accepts can be walked and written.
func TestFlip(t *testing.T) {
	for name, in := range inputs(t) {
		if len(in) > 7000 {
			continue // concatenations have nothing new
		}
		step := 5
		if strings.HasSuffix(name, ".arrow") {
			step = 13 // pyarrow's: many, and much the same
		}
		for i := 0; i < len(in); i += step {
			b := bytes.Clone(in)
			b[i] ^= []byte{0x01, 0x80, 0xff, 0x04}[i%4]
			require.NotPanics(t, func() { exercise(t, b) }, "%s byte %d", name, i)
		}
	}
}

func TestConcatenate(t *testing.T) {
	s, batches := sample()
	one := encode(t, s, batches, Options{})
	later := s.With("verdict")
	later.History = append(later.History, Entry{Command: "more"})
	later.Fields[0], later.Fields[3] = later.Fields[3], later.Fields[0]
	foreign := later.With("")
	foreign.History = nil
	for _, two := range []*Schema{s, later, foreign} {
		s2, got, err := readAll(append(bytes.Clone(one), encode(t, two, batches, Options{Compress: "zstd"})...))
		require.NoError(t, err)
		require.Equal(t, s, s2, "schema of the first")
		require.Equal(t, append(rows(batches), rows(batches)...), rows(got))
		for _, b := range got {
			require.Same(t, s2, b.Schema())
		}
	}
	for want, two := range map[string]*Schema{
		"rows are of kind metric, want verdict":                                       s.With("metric"),
		"column seed is missing":                                                      s.Without("seed"),
		"column x is not expected here":                                               s.With("verdict", Field{Name: "x", Type: TBool}),
		"column seed is int64, want uint64":                                           s.With("verdict", Field{Name: "seed", Type: TInt64}),
		"column steps is list<int32>, want list<struct<printed int32?, start int32>>": s.With("verdict", Field{Name: "steps", Type: ListOf(TInt32, false)}),
	} {
		_, got, err := readAll(append(bytes.Clone(one), encode(t, two, nil, Options{})...))
		require.ErrorContains(t, err, want)
		require.Equal(t, len(batches), requireInputError(t, err).Batch)
		require.Equal(t, int64(len(one)), requireInputError(t, err).Offset)
		require.Equal(t, rows(batches), rows(got))
	}
}

// TestConcatenateNulls: the schema of the first stream says where nulls may be.
func TestConcatenateNulls(t *testing.T) {
	strict := NewBatch(1, Named{Name: "a", Column: NewLists([]int32{0, 1}, NewInt32s([]int32{1}, nil), false, nil)})
	loose := func(null bool) *Batch {
		return NewBatch(1, Named{Name: "a", Nullable: true, Column: NewLists([]int32{0, 1}, NewInt32s([]int32{1}, []bool{null}), true, nil)})
	}
	first := encode(t, strict.Schema(), []*Batch{strict}, Options{})
	fits := encode(t, loose(false).Schema(), []*Batch{loose(false)}, Options{})
	_, got, err := readAll(append(bytes.Clone(first), fits...))
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, strict.Schema().Fields, got[1].Schema().Fields)
	require.Equal(t, strict.Schema().Fields[0].Type, got[1].Column("a").Type())
	bad := encode(t, loose(true).Schema(), []*Batch{loose(true)}, Options{})
	_, _, err = readAll(append(bytes.Clone(first), bad...))
	require.ErrorContains(t, err, "column a: elements of a: row 0 of item is null")
}

func TestEmptyInput(t *testing.T) {
	r := NewReader(bytes.NewReader(nil), "stdin", Limits{})
	_, err := r.Schema()
	require.EqualError(t, err, "stream: stdin: batch 0, byte 0: input ended early: 0 bytes of 8")
	requireInputError(t, err)
	_, again := r.Next()
	require.Equal(t, err, again)
}

func TestNotAStream(t *testing.T) {
	for _, in := range []string{`{"prompt": 1}`, "PAR1 and so on", "FEA1....", "\x10\x00\x00\x00 an old stream", "\xff\xff\xff\xff\x00\x00\x00\x00"} {
		_, _, err := readAll([]byte(in))
		requireInputError(t, err)
		require.NotErrorIs(t, err, ErrEarly)
	}
}

func TestTrailingBytes(t *testing.T) {
	s, batches := sample()
	for name, in := range map[string][]byte{"stream": encode(t, s, batches, Options{}), "file": libraryFile(t, s, batches)} {
		_, _, err := readAll(append(in, "\x00\x00\x00\x00trailing"...))
		require.ErrorContains(t, err, "not an Arrow stream", name)
	}
}

// TestFooter: a file whose footer does not list what was read is not taken.
func TestFooter(t *testing.T) {
	s, batches := sample()
	three, two := libraryFile(t, s, batches), libraryFile(t, s, batches[:2])
	split := func(file []byte) (messages, footer []byte) {
		n := len(file) - 10
		n -= int(binary.LittleEndian.Uint32(file[n:]))
		return file[:n:n], file[n:]
	}
	m3, f3 := split(three)
	m2, f2 := split(two)
	_, _, err := readAll(append(m3, f3...))
	require.NoError(t, err)
	for _, in := range [][]byte{append(m3, f2...), append(m2, f3...)} {
		_, _, err := readAll(in)
		require.ErrorContains(t, requireInputError(t, err), "footer")
	}
	// A footer that points elsewhere: at the first batch minus 8.
	first := int64(bytes.Index(three[8:], []byte{0xff, 0xff, 0xff, 0xff}))
	first = int64(bytes.Index(three[8+first+4:], []byte{0xff, 0xff, 0xff, 0xff})) + 8 + first + 4
	at := bytes.LastIndex(three, binary.LittleEndian.AppendUint64(nil, uint64(first)))
	require.Positive(t, at)
	moved := bytes.Clone(three)
	binary.LittleEndian.PutUint64(moved[at:], uint64(first-8))
	_, _, err = readAll(moved)
	require.ErrorContains(t, requireInputError(t, err), "the footer has batch 0 at byte")
}

// TestReadError: a failure to read is not the input's fault.
func TestReadError(t *testing.T) {
	broken := errors.New("disk on fire")
	for name, in := range inputs(t) {
		for _, n := range []int{0, 3, 9, len(in) / 2, len(in) - 1, len(in)} {
			_, _, err := drain(NewReader(io.MultiReader(bytes.NewReader(in[:n]), iotest.ErrReader(broken)), name, Limits{}))
			require.ErrorIs(t, err, broken)
			var ie *InputError
			require.NotErrorAs(t, err, &ie, "%s at %d", name, n)
		}
	}
}

func TestDigest(t *testing.T) {
	in := inputs(t)["two files"]
	r := NewReader(bytes.NewReader(in), "x", Limits{})
	require.Equal(t, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", r.Digest())
	_, _, err := drain(r)
	require.NoError(t, err)
	require.Equal(t, digest(in), r.Digest())
}

func TestOpen(t *testing.T) {
	_, err := Open(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
	r, err := Open("testdata/strangers/file.arrow")
	require.NoError(t, err)
	b, err := r.Next()
	require.NoError(t, err)
	require.NoError(t, r.Close())
	_, err = r.Next()
	require.EqualError(t, err, "stream: read after Close")
	require.Equal(t, 7, b.Len(), "a batch outlives its reader")
	require.Contains(t, row(b, 0), "1 + 1 = ?")
}

func TestLimits(t *testing.T) {
	s, batches := sample()
	plain, packed := encode(t, s, batches, Options{}), encode(t, s, batches, Options{Compress: "zstd"})
	large, err := os.ReadFile("testdata/strangers/dictionary.arrow")
	require.NoError(t, err)
	for _, c := range []struct {
		in   []byte
		lim  Limits
		want string
	}{
		{plain, Limits{Metadata: 100}, "metadata of "},
		{plain, Limits{Body: 100}, "body of "},
		{plain, Limits{Rows: 2}, "batch of 3 rows, limit is 2"},
		{plain, Limits{Rows: 5}, "column tokens: elements: 6 rows with 0 nulls, limit is 5"},
		{packed, Limits{Decoded: 100}, "decoded size passes 100 bytes"},
		{large, Limits{Decoded: 50}, "dictionaries pass 50 bytes"},
		{large, Limits{Decoded: 95}, "decoded size passes 95 bytes"},
	} {
		_, _, err := drain(NewReader(bytes.NewReader(c.in), "x", c.lim))
		require.ErrorContains(t, err, c.want)
		requireInputError(t, err)
	}
}

// TestDeclaredSizes: what an input only declares costs no memory to speak of.
func TestDeclaredSizes(t *testing.T) {
	forge := func(text string, at, size int, n uint64) []byte {
		in := encode(t, NewBatch(1, Named{Name: "a", Column: NewTexts([]string{text}, nil)}).Schema(),
			[]*Batch{NewBatch(1, Named{Name: "a", Column: NewTexts([]string{text}, nil)})}, Options{Compress: "zstd"})
		binary.LittleEndian.PutUint32(in[at:], uint32(n))
		if size == 8 {
			binary.LittleEndian.PutUint64(in[at:], n)
		}
		return in
	}
	honest := forge("x", 0, 4, 1<<32-1)
	_, _, err := readAll(honest)
	require.NoError(t, err)
	body := bytes.Index(honest, []byte{0x28, 0xb5, 0x2f, 0xfd}) - 8 // before the magic of the first zstd frame
	require.Positive(t, body)
	for name, in := range map[string][]byte{
		"metadata":     forge("x", 4, 4, 63<<20),
		"decompressed": forge("x", body, 8, 1<<31),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := readAll(in)
		runtime.ReadMemStats(&after)
		requireInputError(t, err)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(40<<20), name)
	}
}

// TestSharedTables: a schema in which every struct has twice the same member is
// small and would be 2^50 columns.
func TestSharedTables(t *testing.T) {
	b := flatbuffers.NewBuilder(0)
	vector := func(of ...flatbuffers.UOffsetT) flatbuffers.UOffsetT {
		b.StartVector(4, len(of), 4)
		for _, o := range of {
			b.PrependUOffsetT(o)
		}
		return b.EndVector(len(of))
	}
	table := func(slots int, fill func()) flatbuffers.UOffsetT {
		b.StartObject(slots)
		fill()
		return b.EndObject()
	}
	structType := table(0, func() {})
	kids := vector()
	for range 50 {
		field := table(7, func() {
			b.PrependByteSlot(2, typeStruct, 0)
			b.PrependUOffsetTSlot(3, structType, 0)
			b.PrependUOffsetTSlot(5, kids, 0)
		})
		kids = vector(field, field)
	}
	schema := table(4, func() { b.PrependUOffsetTSlot(1, kids, 0) })
	b.Finish(table(5, func() {
		b.PrependInt16Slot(0, 4, 0)
		b.PrependByteSlot(1, 1, 0)
		b.PrependUOffsetTSlot(2, schema, 0)
	}))
	meta := b.FinishedBytes()
	in := binary.LittleEndian.AppendUint32([]byte{0xff, 0xff, 0xff, 0xff}, uint32(len(meta)))
	_, _, err := readAll(append(in, meta...))
	requireInputError(t, err)
	require.ErrorContains(t, err, "schema: ")
	require.Less(t, len(err.Error()), 2000)
}
