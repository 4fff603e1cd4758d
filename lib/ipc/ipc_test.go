package ipc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	flatbuffers "github.com/google/flatbuffers/go"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/stretchr/testify/require"
)

// framed is a message with a header that has the number n in slot 0.
func framed(head Head, n int64, body []byte) []byte {
	b := flatbuffers.NewBuilder(0)
	b.StartObject(1)
	b.PrependInt64Slot(0, n, 0)
	header := b.EndObject()
	b.StartObject(5)
	b.PrependInt16Slot(0, 4, 0)
	b.PrependByteSlot(1, byte(head), 0)
	b.PrependUOffsetTSlot(2, header, 0)
	b.PrependInt64Slot(3, int64(len(body)), 0)
	b.Finish(b.EndObject())
	return append(prefixed(b.FinishedBytes()), body...)
}

// prefixed puts the marker and the length before metadata.
func prefixed(meta []byte) []byte {
	out := binary.LittleEndian.AppendUint32([]byte{0xff, 0xff, 0xff, 0xff}, uint32(len(meta)))
	return append(out, meta...)
}

var endMarker = prefixed(nil)

// aStream has a schema, a dictionary and two batches.
func aStream() []byte {
	return slices.Concat(framed(Schema, 1, nil), framed(DictionaryBatch, 2, []byte("words")), framed(RecordBatch, 3, []byte("row")), framed(RecordBatch, 4, nil), endMarker)
}

// aFile is that stream in the file format. at is where its last batch is said to
// be, but for off bytes.
func aFile(off int64) []byte {
	parts := [][]byte{[]byte("ARROW1\x00\x00"), framed(Schema, 1, nil), framed(DictionaryBatch, 2, []byte("words")), framed(RecordBatch, 3, []byte("row")), framed(RecordBatch, 4, nil)}
	var blocks []block
	at := int64(0)
	for i, p := range parts {
		body := []int64{0, 0, 5, 3, 0}[i]
		blocks = append(blocks, block{at, int64(len(p)) - body, body})
		at += int64(len(p))
	}
	blocks[4].offset += off
	b := flatbuffers.NewBuilder(0)
	vector := func(blocks []block) flatbuffers.UOffsetT {
		b.StartVector(24, len(blocks), 8)
		for _, k := range slices.Backward(blocks) {
			b.Prep(8, 24)
			b.PrependInt64(k.body)
			b.PrependInt64(k.meta)
			b.PrependInt64(k.offset)
		}
		return b.EndVector(len(blocks))
	}
	dictionaries, batches := vector(blocks[2:3]), vector(blocks[3:])
	b.StartObject(4)
	b.PrependUOffsetTSlot(2, dictionaries, 0)
	b.PrependUOffsetTSlot(3, batches, 0)
	b.Finish(b.EndObject())
	foot := b.FinishedBytes()
	foot = append(foot, binary.LittleEndian.AppendUint32(nil, uint32(len(foot)))...)
	return slices.Concat(append(parts, foot, []byte("ARROW1"))...)
}

type seen struct {
	head Head
	n    int64
	body string
}

// all reads the messages of all streams and files of an input.
func all(in io.Reader) (out []seen, err error) {
	r := NewReader(in, 1<<16, 1<<16)
	for err == nil {
		if err = r.Begin(); err != nil {
			return out, err
		}
		for {
			m, err := r.Next()
			if err != nil {
				return out, err
			}
			if m == nil {
				break
			}
			out = append(out, seen{m.Head, m.Table.Int(0, 8, 0), string(m.Body)})
			if err := m.Table.Err(); err != nil {
				return out, err
			}
		}
		err = r.More()
	}
	if err == io.EOF {
		err = nil
	}
	return out, err
}

func TestMessages(t *testing.T) {
	want := []seen{{Schema, 1, ""}, {DictionaryBatch, 2, "words"}, {RecordBatch, 3, "row"}, {RecordBatch, 4, ""}}
	for _, in := range [][]byte{aStream(), aFile(0)} {
		got, err := all(bytes.NewReader(in))
		require.NoError(t, err)
		require.Equal(t, want, got)
		got, err = all(iotest.OneByteReader(bytes.NewReader(slices.Concat(in, aFile(0), aStream()))))
		require.NoError(t, err)
		require.Equal(t, slices.Concat(want, want, want), got)
		for n := range in {
			_, err := all(bytes.NewReader(in[:n]))
			require.ErrorIs(t, err, ErrEarly, "%d of %d bytes", n, len(in))
		}
		_, err = all(io.MultiReader(bytes.NewReader(in[:len(in)-1]), iotest.ErrReader(io.ErrClosedPipe)))
		var failed *ReadError
		require.ErrorAs(t, err, &failed)
		require.Equal(t, io.ErrClosedPipe, failed.Err)
	}
	_, err := all(bytes.NewReader(aFile(8)))
	require.ErrorContains(t, err, "the footer has batch 1 at byte")
}

func TestBounds(t *testing.T) {
	in := framed(RecordBatch, 1, make([]byte, 100))
	for _, c := range []struct {
		metadata, body int64
		want           string
	}{{8, 100, "metadata of"}, {1 << 10, 99, "body of 100 bytes, limit is 99"}} {
		_, err := NewReader(bytes.NewReader(in), c.metadata, c.body).Next()
		require.ErrorContains(t, err, c.want)
	}
	_, err := NewReader(bytes.NewReader([]byte("GET / HTTP/1.1")), 1, 1).Next()
	require.EqualError(t, err, `not an Arrow stream: a message starts with "GET "`)
	_, err = NewReader(bytes.NewReader(prefixed(bytes.Repeat([]byte{0xff}, 32))), 1<<10, 1).Next()
	require.Equal(t, errFlat, err)
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// What is larger than the first allocation arrives whole, and what ends early
// takes memory as far as it goes.
func TestReadGrowing(t *testing.T) {
	const n = 40 << 20
	b, err := readGrowing(zeros{}, n)
	require.NoError(t, err)
	require.Len(t, b, n)
	b, err = readGrowing(io.LimitReader(zeros{}, 20<<20), n)
	require.Equal(t, io.ErrUnexpectedEOF, err)
	require.Len(t, b, 20<<20)
	require.LessOrEqual(t, cap(b), n)
	b, err = readGrowing(io.LimitReader(zeros{}, 16<<20), 1<<40)
	require.Equal(t, io.EOF, err)
	require.Len(t, b, 16<<20)
}

// packed is a batch of buffers with the codec given, of which any may take limit
// bytes.
func packed(t testing.TB, codec, limit int64) *Batch {
	get, err := new(Decoders).get(codec)
	require.NoError(t, err)
	return &Batch{limit: limit, left: limit, codec: get}
}

func sized(n int64, frame []byte) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, uint64(n)), frame...)
}

func TestDecompress(t *testing.T) {
	text := bytes.Repeat([]byte("step "), 100)
	z, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	var l bytes.Buffer
	lw := lz4.NewWriter(&l)
	_, err = lw.Write(text)
	require.NoError(t, err)
	require.NoError(t, lw.Close())
	for codec, frame := range map[int64][]byte{codecZstd: z.EncodeAll(text, nil), codecLZ4: l.Bytes()} {
		got, err := packed(t, codec, 500).decompress(sized(500, frame))
		require.NoError(t, err)
		require.Equal(t, text, got)
		got, err = packed(t, codec, 0).decompress(sized(-1, text))
		require.NoError(t, err)
		require.Equal(t, text, got)
		for _, size := range []int64{-2, 0, 499, 501, 1 << 40} {
			_, err := packed(t, codec, 1000).decompress(sized(size, frame))
			require.Error(t, err, "%d bytes", size)
		}
	}
	_, err = new(Decoders).get(2)
	require.EqualError(t, err, "compression 2 is not known")
	// A bomb: a frame that says nothing of its size and never ends.
	_, err = packed(t, codecZstd, 1<<20).decompress(sized(1<<20, z.EncodeAll(make([]byte, 64<<20), nil)))
	require.ErrorContains(t, err, "no end after 1048576 bytes")
}

// The largest window that zstd's levels use is taken, no larger one.
func TestWindow(t *testing.T) {
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 17 << 3, 1<<3 | 1, 0, 0, 'x'} // 128 MiB; one last, raw block
	b := packed(t, codecZstd, 100)
	got, err := b.decompress(sized(1, frame))
	require.NoError(t, err)
	require.Equal(t, "x", string(got))
	frame[5]++
	_, err = b.decompress(sized(1, frame))
	require.ErrorContains(t, err, "window size exceeded")
}

// FuzzMessages reads any bytes, and every table that can be reached, as a schema
// or a batch: what comes out is bounded by what went in.
func FuzzMessages(f *testing.F) {
	f.Add(aStream())
	f.Add(aFile(0))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(bytes.NewReader(in), 1<<16, 1<<16)
		if r.Begin() != nil {
			return
		}
		var d Decoders
		defer d.Close()
		for {
			m, err := r.Next()
			var failed *ReadError
			require.False(t, errors.As(err, &failed))
			if m == nil {
				return
			}
			walk(m.Table, 3)
			b, err := d.Batch(m.Table, m.Body, 1<<16)
			for err == nil {
				if _, _, err = b.Node(); err == nil {
					var buffer []byte
					buffer, err = b.Buffer(0)
					require.LessOrEqual(t, len(buffer), 1<<17)
				}
			}
		}
	})
}

func walk(t Table, depth int) {
	for i := range int64(8) {
		t.Int(i, 8, 0)
		t.Text(i)
		if t.Table(i).Present() && depth > 0 {
			for _, u := range append(t.Tables(i), t.Table(i)) {
				walk(u, depth-1)
			}
		}
		if t.Err() != nil {
			return
		}
	}
}
