package table

import (
	"bytes"
	"encoding/binary"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// unpackFunc unpacks the body of a page that is to have size bytes, at most
// [maxPage]. It allocates no more than what is there.
type unpackFunc func(body []byte, size int64) ([]byte, error)

// pageCodecs returns what unpacks pages. Brotli is not among it: the library
// does not bound it.
func pageCodecs() map[format.CompressionCodec]unpackFunc {
	var g gzip.Reader
	var z *zstd.Decoder
	return map[format.CompressionCodec]unpackFunc{
		format.Uncompressed: func(body []byte, _ int64) ([]byte, error) { return body, nil },
		format.Gzip: func(body []byte, size int64) ([]byte, error) {
			if err := g.Reset(bytes.NewReader(body)); err != nil {
				return nil, err
			}
			return unpackAll(&g, size)
		},
		format.Zstd: func(body []byte, size int64) (_ []byte, err error) {
			if z == nil {
				z, err = newZstd(nil)
			}
			if err == nil {
				err = z.Reset(bytes.NewReader(body))
			}
			if err != nil {
				return nil, err
			}
			return unpackAll(z, size)
		},
		format.Snappy: func(body []byte, size int64) ([]byte, error) {
			// A block begins with its size; a copy in it takes three bytes for 64.
			declared, _ := binary.Uvarint(body)
			if declared != uint64(size) || size > 64*int64(len(body)) {
				return nil, errUnpack(size)
			}
			return parquet.Snappy.Decode(nil, body)
		},
		format.Lz4Raw: func(body []byte, size int64) ([]byte, error) {
			if lz4Size(body) != size {
				return nil, errUnpack(size)
			}
			return parquet.Lz4Raw.Decode(make([]byte, size), body)
		},
	}
}

// unpackAll reads what has to be size bytes.
func unpackAll(r io.Reader, size int64) ([]byte, error) {
	b, err := readFull(r, size)
	if err == io.EOF {
		return nil, errUnpack(size)
	}
	if err != nil {
		return nil, err
	}
	if n, err := io.CopyN(io.Discard, r, 1); n > 0 {
		return nil, errUnpack(size)
	} else if err != io.EOF {
		return nil, err // a checksum, perhaps
	}
	return b, nil
}

// lz4Size returns the size that a block of LZ4 unpacks to, -1 where it is not
// one. The library tries ever larger buffers on a block that is not.
func lz4Size(b []byte) int64 {
	const extended = 15 // a length that goes on in the following bytes
	length := func(n byte) (int64, bool) {
		total := int64(n)
		for more := n == extended; more; {
			if len(b) == 0 {
				return 0, false
			}
			total += int64(b[0])
			more = b[0] == 255
			b = b[1:]
		}
		return total, true
	}
	size := int64(0)
	for len(b) > 0 {
		token := b[0]
		b = b[1:]
		literals, ok := length(token >> 4)
		if !ok || literals > int64(len(b)) {
			return -1
		}
		size += literals
		if b = b[literals:]; len(b) == 0 && token&15 == 0 {
			return size
		}
		if len(b) < 2 {
			return -1
		}
		if back := int64(binary.LittleEndian.Uint16(b)); back == 0 || back > size {
			return -1
		}
		b = b[2:]
		match, ok := length(token & 15)
		if !ok {
			return -1
		}
		size += match + 4
	}
	return -1 // a block ends with literals
}
