package pages

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// maxWindow is the largest window that zstd's levels use. A decoder allocates
// what a frame declares.
const maxWindow = 128 << 20

// unpacker unpacks pages, with the same buffers again.
type unpacker struct {
	gzip gzip.Reader
	zstd *zstd.Decoder
}

// unpack unpacks the body of a page that is to have size bytes, at most
// [maxPage]. It allocates no more than what is there.
func (u *unpacker) unpack(codec format.CompressionCodec, body []byte, size int64) ([]byte, error) {
	b, err := u.decode(codec, body, size)
	var e *Error
	if err != nil && !errors.As(err, &e) {
		err = corrupt("%v", err)
	}
	return b, err
}

func (u *unpacker) decode(codec format.CompressionCodec, body []byte, size int64) ([]byte, error) {
	switch codec {
	case format.Uncompressed:
		return body, nil
	case format.Gzip:
		if err := u.gzip.Reset(bytes.NewReader(body)); err != nil {
			return nil, err
		}
		return unpackAll(&u.gzip, size)
	case format.Zstd:
		var err error
		if u.zstd == nil {
			u.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		}
		if err == nil {
			err = u.zstd.Reset(bytes.NewReader(body))
		}
		if err != nil {
			return nil, err
		}
		return unpackAll(u.zstd, size)
	case format.Snappy:
		// A block begins with its size; a copy in it takes three bytes for 64.
		declared, _ := binary.Uvarint(body)
		if declared != uint64(size) || size > 64*int64(len(body)) {
			return nil, errUnpack(size)
		}
		return parquet.Snappy.Decode(nil, body)
	case format.Lz4Raw:
		if lz4Size(body) != size {
			return nil, errUnpack(size)
		}
		return parquet.Lz4Raw.Decode(make([]byte, size), body)
	}
	return nil, unsupported("pages packed with %v; snappy, gzip, zstd and lz4_raw are read", codec)
}

// errUnpack says that a page is not what its header says.
func errUnpack(size int64) error {
	return corrupt("a page does not unpack to its %d bytes", size)
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
