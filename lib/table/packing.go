package table

import (
	"bufio"
	"bytes"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// packing is how JSON Lines are packed.
type packing uint8

const (
	plain packing = iota
	gzipped
	zstandard
)

// maxWindow is the largest window that zstd's levels use. A decoder allocates
// what a frame declares.
const maxWindow = 128 << 20

// packingOf tells a packing by the first four bytes. Zstd may begin with a
// frame that is to be skipped.
func packingOf(magic []byte) packing {
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return gzipped
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}),
		len(magic) == 4 && magic[0]&0xf0 == 0x50 && bytes.Equal(magic[1:], []byte{0x2a, 0x4d, 0x18}):
		return zstandard
	}
	return plain
}

// lines reads the lines that raw holds in this packing. Memory is bounded
// whatever they unpack to.
func (p packing) lines(raw io.Reader) (*lineReader, error) {
	source := &watched{r: raw}
	in, closing, err := p.open(source)
	if err != nil {
		if source.err != nil && source.err != io.EOF {
			return nil, source.err
		}
		return nil, faultf(Corrupt, "%v", err)
	}
	return &lineReader{r: bufio.NewReaderSize(&unpacker{in, source}, 1<<16), close: closing}, nil
}

func (p packing) open(raw io.Reader) (io.Reader, func(), error) {
	switch p {
	case gzipped:
		z, err := gzip.NewReader(raw)
		return z, func() {}, err
	case zstandard:
		z, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return raw, func() {}, nil
}

// watched remembers how reading ended.
type watched struct {
	r   io.Reader
	err error
}

func (w *watched) Read(b []byte) (n int, err error) {
	n, err = w.r.Read(b)
	w.err = err
	return n, err
}

// unpacker makes faults of the errors of a decompressor, which are of the
// data unless reading failed.
type unpacker struct {
	r   io.Reader
	raw *watched
}

func (u *unpacker) Read(b []byte) (int, error) {
	n, err := u.r.Read(b)
	if err != nil && err != io.EOF && (u.raw.err == nil || u.raw.err == io.EOF) {
		err = faultf(Corrupt, "%v", err)
	}
	return n, err
}
