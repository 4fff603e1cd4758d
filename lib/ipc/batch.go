package ipc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unsafe"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Batch is what was not yet taken of a RecordBatch: the field nodes and the
// buffers of its columns, in the order of the columns, depth first.
type Batch struct {
	Rows     int64 // as declared, which is not checked
	limit    int64
	left     int64 // of limit
	body     []byte
	codec    func(io.Reader) (io.Reader, error) // nil: not compressed
	f        *flat
	nodes    vector // FieldNode{length, null_count}
	buffers  vector // Buffer{offset, length}
	variadic vector // number of data buffers of a view column
	end      int64  // of the last buffer in body
}

// vector is what is left of a vector of pairs or single int64s.
type vector struct{ at, n int64 }

// Codecs of a BodyCompression.
const (
	codecLZ4  = 0
	codecZstd = 1
)

// maxWindow is the largest window that zstd's levels use. A decoder allocates
// what a frame declares.
const maxWindow = 128 << 20

// Decoders are the decompressors of buffers, made when first needed and used again
// and again. The zero value is ready.
type Decoders struct {
	zstd *zstd.Decoder
	lz4  *lz4.Reader
}

func (d *Decoders) get(codec int64) (func(io.Reader) (io.Reader, error), error) {
	switch codec {
	case codecLZ4:
		if d.lz4 == nil {
			d.lz4 = lz4.NewReader(nil)
		}
		return func(r io.Reader) (io.Reader, error) { d.lz4.Reset(r); return d.lz4, nil }, nil
	case codecZstd:
		if d.zstd == nil {
			z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
				zstd.WithDecoderMaxWindow(maxWindow))
			if err != nil {
				return nil, err
			}
			d.zstd = z
		}
		return func(r io.Reader) (io.Reader, error) { return d.zstd, d.zstd.Reset(r) }, nil
	}
	return nil, fmt.Errorf("compression %d is not known", codec)
}

// Close frees what the decompressors hold.
func (d *Decoders) Close() {
	if d.zstd != nil {
		d.zstd.Close()
		d.zstd = nil
	}
}

// Batch returns the RecordBatch t with the given body. Decompression, and what
// [Batch.Spend] counts, may take limit bytes.
func (d *Decoders) Batch(t Table, body []byte, limit int64) (*Batch, error) {
	b := &Batch{Rows: t.Int(0, 8, 0), limit: limit, left: limit, f: t.f, body: body}
	b.nodes.at, b.nodes.n = t.vector(1, 16)
	b.buffers.at, b.buffers.n = t.vector(2, 16)
	b.variadic.at, b.variadic.n = t.vector(4, 8)
	if c := t.Table(3); c.Present() {
		if c.Int(1, 1, 0) != 0 {
			return nil, errors.New("compression method is not known")
		}
		var err error
		if b.codec, err = d.get(c.Int(0, 1, 0)); err != nil {
			return nil, err
		}
	}
	return b, t.Err()
}

// End says whether all nodes and buffers were taken.
func (b *Batch) End() error {
	if b.nodes.n != 0 || b.buffers.n != 0 || b.variadic.n != 0 {
		return fmt.Errorf("%d field nodes and %d buffers belong to no column", b.nodes.n, b.buffers.n)
	}
	return b.f.err()
}

// Node takes the next field node: the rows of a column and how many are null.
func (b *Batch) Node() (length, nulls int64, err error) { return b.take(&b.nodes, 2) }

// Variadic takes the number of data buffers of the next column of views.
func (b *Batch) Variadic() (int64, error) {
	n, _, err := b.take(&b.variadic, 1)
	if err == nil && (n < 0 || n > b.buffers.n) {
		err = fmt.Errorf("%d data buffers", n)
	}
	return n, err
}

// take returns the next k int64s of a vector, which counts elements of k.
func (b *Batch) take(v *vector, k int64) (x, y int64, err error) {
	if v.n == 0 {
		return 0, 0, errors.New("field nodes or buffers are missing")
	}
	x = int64(b.f.uint(v.at, 8))
	if k == 2 {
		y = int64(b.f.uint(v.at+8, 8))
	}
	v.at, v.n = v.at+8*k, v.n-1
	return x, y, b.f.err()
}

// Spend takes n bytes of what the batch may still add to what was read.
func (b *Batch) Spend(n int64) error {
	if n < 0 || n > b.left {
		return fmt.Errorf("decoded size passes %d bytes", b.limit)
	}
	b.left -= n
	return nil
}

// Buffer takes the next buffer, at least size bytes and aligned for numbers. It
// shares the memory of the body where it can.
func (b *Batch) Buffer(size int64) ([]byte, error) {
	off, n, err := b.take(&b.buffers, 2)
	if err != nil {
		return nil, err
	}
	var out []byte
	if n != 0 {
		if off < b.end || n < 0 || off > int64(len(b.body)) || n > int64(len(b.body))-off {
			return nil, fmt.Errorf("buffer of %d bytes at %d: body has %d, taken up to %d", n, off, len(b.body), b.end)
		}
		b.end = off + n
		out = b.body[off : off+n : off+n]
		if b.codec != nil {
			if out, err = b.decompress(out); err != nil {
				return nil, err
			}
		}
	}
	if int64(len(out)) < size {
		return nil, fmt.Errorf("buffer of %d bytes, want %d", len(out), size)
	}
	if uintptr(unsafe.Pointer(unsafe.SliceData(out)))%8 != 0 {
		if err := b.Spend(int64(len(out))); err != nil {
			return nil, err
		}
		words := make([]int64, (len(out)+7)/8)
		aligned := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), 8*len(words))
		out = aligned[:copy(aligned, out)]
	}
	return out, nil
}

// decompress returns what packed holds: its size, and the compressed bytes, or as
// they are where the size is -1. Its errors wrap none of the decoder's, so that
// an io.EOF in there is not taken for the end of the input.
func (b *Batch) decompress(packed []byte) ([]byte, error) {
	if len(packed) < 8 {
		return nil, fmt.Errorf("compressed buffer of %d bytes", len(packed))
	}
	size := int64(binary.LittleEndian.Uint64(packed))
	if size == -1 {
		return packed[8:], nil
	}
	if err := b.Spend(size); err != nil {
		return nil, err
	}
	r, err := b.codec(bytes.NewReader(packed[8:]))
	if err != nil {
		return nil, fmt.Errorf("decompress: %v", err)
	}
	out, err := readGrowing(r, size)
	if err != nil {
		return nil, fmt.Errorf("decompress: %d bytes of %d: %v", len(out), size, err)
	}
	if n, err := io.ReadFull(r, make([]byte, 1)); n != 0 || err != io.EOF {
		return nil, fmt.Errorf("decompress: no end after %d bytes: %v", size, err)
	}
	return out, nil
}
