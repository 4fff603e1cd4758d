package table

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/bits"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// Pages are decoded here and not by the library, which expands runs, lengths and
// packed pages before it checks them, and gets some wrong: booleans in runs, LZ4,
// pages of version 2 without values.

// Bounds of what is read.
const (
	maxPage      = 1 << 29 // bytes of a page, unpacked
	maxRowValues = 1 << 24 // values of one leaf in one row
	maxLeaves    = 1 << 15
	maxLevel     = 127
)

// oldDictionary is what old writers call PLAIN in a dictionary, and RLE_DICTIONARY
// in a data page.
const oldDictionary format.Encoding = 2

// leafInfo is what the values of a leaf are decoded by.
type leafInfo struct {
	kind   format.Type
	length int // of a value of fixed length, in bytes
	levels
}

// levels are the largest levels of a leaf.
type levels struct{ repetition, definition int }

// levelsOf appends the levels of the leaves below c, in the order of the file.
func levelsOf(out []levels, c *parquet.Column, at levels) []levels {
	if c.Repeated() {
		at.repetition++
	}
	if c.Repeated() || c.Optional() {
		at.definition++
	}
	if c.Leaf() {
		return append(out, at)
	}
	for _, k := range c.Columns() {
		out = levelsOf(out, k, at)
	}
	return out
}

// decoder yields the values of a page that are not null.
type decoder interface {
	next() (parquet.Value, error)
}

// chunkReader reads the values of a column chunk, a page at a time.
type chunkReader struct {
	leaf   leafInfo
	index  int // of the leaf
	path   string
	unpack unpackFunc
	r      *bufio.Reader
	left   int64 // bytes behind r
	values int64 // of the pages to come
	dict   []parquet.Value

	n                      int64 // values left of the page in hand
	repetition, definition runs
	decoder                decoder
	ahead                  bool // value is read but not returned
	value                  parquet.Value
}

// chunk starts to read a column chunk.
func (p *parquetFile) chunk(m *format.ColumnMetaData, index int, codecs map[format.CompressionCodec]unpackFunc) (*chunkReader, error) {
	c := &chunkReader{leaf: p.leaves[index], index: index, path: strings.Join(m.PathInSchema, "."), unpack: codecs[m.Codec], values: m.NumValues}
	start := m.DataPageOffset
	if m.DictionaryPageOffset > 0 && m.DictionaryPageOffset < start {
		start = m.DictionaryPageOffset
	}
	switch {
	case start < 0 || m.TotalCompressedSize < 0 || start > p.size || m.TotalCompressedSize > p.size-start:
		return nil, c.at(faultf(Corrupt, "lies outside of the file"))
	case c.unpack == nil:
		return nil, c.at(faultf(Unsupported, "pages packed with %v; snappy, gzip, zstd and lz4_raw are read", m.Codec))
	}
	c.left = m.TotalCompressedSize
	c.r = bufio.NewReaderSize(io.NewSectionReader(p.r, start, c.left), 1<<16)
	return c, nil
}

// at says in which column something is wrong.
func (c *chunkReader) at(err error) error {
	kind := Corrupt
	if f := (*fault)(nil); errors.As(err, &f) {
		kind = f.kind
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = errors.New("a page ends early")
	}
	return faultf(kind, "column %s: %v", c.path, err)
}

// row appends the values of the next row.
func (c *chunkReader) row(out []parquet.Value) ([]parquet.Value, error) {
	for {
		err := c.peek()
		if err == io.EOF && len(out) > 0 {
			return out, nil
		}
		if err == io.EOF {
			err = faultf(Corrupt, "fewer rows than the row group")
		}
		if err != nil {
			return nil, c.at(err)
		}
		if (c.value.RepetitionLevel() == 0) != (len(out) == 0) {
			if len(out) > 0 {
				return out, nil
			}
			return nil, c.at(faultf(Corrupt, "a row that begins with a repeated value"))
		}
		if len(out) == maxRowValues {
			return nil, c.at(faultf(Unsupported, "a row of more than %d values", maxRowValues))
		}
		out = append(out, c.value)
		c.ahead = false
	}
}

// end is nil if no value is left.
func (c *chunkReader) end() error {
	err := c.peek()
	if err == nil {
		err = faultf(Corrupt, "more rows than the row group")
	}
	if err != io.EOF {
		return c.at(err)
	}
	return nil
}

// peek makes value the next one; io.EOF after the last.
func (c *chunkReader) peek() error {
	for !c.ahead {
		if c.n == 0 {
			if c.values == 0 {
				return io.EOF
			}
			if err := c.page(); err != nil {
				return noEOF(err)
			}
			continue
		}
		repetition, err := c.repetition.level(c.leaf.repetition)
		if err != nil {
			return noEOF(err)
		}
		definition, err := c.definition.level(c.leaf.definition)
		if err != nil {
			return noEOF(err)
		}
		c.value = parquet.NullValue()
		if definition == c.leaf.definition {
			if c.value, err = c.decoder.next(); err != nil {
				return noEOF(err)
			}
		}
		c.value = c.value.Level(repetition, definition, c.index)
		c.n--
		c.ahead = true
	}
	return nil
}

// noEOF keeps the end of a page from passing as that of the chunk.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// page reads the next page. An index page is passed over.
func (c *chunkReader) page() error {
	head, err := walkThrift(c.r, c.left)
	if err != nil {
		return err
	}
	c.left -= int64(len(head))
	var h format.PageHeader
	if err := thrift.Unmarshal(new(thrift.CompactProtocol), head, &h); err != nil {
		return err
	}
	size := int64(h.CompressedPageSize)
	switch {
	case size < 0 || size > c.left:
		return faultf(Corrupt, "a page of %d bytes where %d are left", size, c.left)
	case h.UncompressedPageSize < 0 || h.UncompressedPageSize > maxPage:
		return faultf(Corrupt, "a page of %d bytes", h.UncompressedPageSize)
	}
	c.left -= size
	body, err := readFull(c.r, size)
	if err != nil {
		return err
	}
	if h.CRC != 0 && crc32.ChecksumIEEE(body) != uint32(h.CRC) {
		return faultf(Corrupt, "the checksum of a page does not match")
	}
	switch h.Type {
	case format.DictionaryPage:
		return c.dictionary(&h, body)
	case format.DataPage:
		return c.dataV1(&h, body)
	case format.DataPageV2:
		return c.dataV2(&h, body)
	}
	return nil
}

// readFull reads n bytes; memory grows with what is there.
func readFull(r io.Reader, n int64) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(min(n, 1<<20)))
	if _, err := io.CopyN(&b, r, n); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func (c *chunkReader) dictionary(h *format.PageHeader, body []byte) error {
	e := h.DictionaryPageHeader.V.Encoding
	if e != format.Plain && e != oldDictionary {
		return faultf(Unsupported, "a dictionary in %v", e)
	}
	body, err := c.unpack(body, int64(h.UncompressedPageSize))
	if err != nil {
		return err
	}
	n := int(h.DictionaryPageHeader.V.NumValues)
	if n < 0 || n > len(body) {
		return faultf(Corrupt, "a dictionary of %d values in %d bytes", n, len(body))
	}
	c.dict = make([]parquet.Value, n)
	p := plainDecoder{leaf: c.leaf, b: body}
	for i := range c.dict {
		if c.dict[i], err = p.next(); err != nil {
			return err
		}
	}
	return nil
}

// dataV1 begins a page of version 1, whose levels are packed with its values.
func (c *chunkReader) dataV1(h *format.PageHeader, body []byte) error {
	p := &h.DataPageHeader.V
	data, err := c.unpack(body, int64(h.UncompressedPageSize))
	if err != nil {
		return err
	}
	for _, l := range []struct {
		to       *runs
		most     int
		encoding format.Encoding
	}{{&c.repetition, c.leaf.repetition, p.RepetitionLevelEncoding}, {&c.definition, c.leaf.definition, p.DefinitionLevelEncoding}} {
		var own []byte
		if l.most > 0 {
			if l.encoding != format.RLE {
				return faultf(Unsupported, "levels in %v", l.encoding)
			}
			if own, data, err = sized(data); err != nil {
				return err
			}
		}
		*l.to = runs{b: own, width: bits.Len(uint(l.most))}
	}
	return c.begin(p.NumValues, p.Encoding, data)
}

// sized cuts off what follows its size in bytes.
func sized(b []byte) (own, rest []byte, err error) {
	if len(b) < 4 || uint64(binary.LittleEndian.Uint32(b)) > uint64(len(b)-4) {
		return nil, nil, io.ErrUnexpectedEOF
	}
	n := 4 + int(binary.LittleEndian.Uint32(b))
	return b[4:n], b[n:], nil
}

// dataV2 begins a page of version 2, whose levels are not packed.
func (c *chunkReader) dataV2(h *format.PageHeader, body []byte) error {
	p := &h.DataPageHeaderV2.V
	repetition, definition := int64(p.RepetitionLevelsByteLength), int64(p.DefinitionLevelsByteLength)
	size := int64(h.UncompressedPageSize) - repetition - definition
	if repetition < 0 || definition < 0 || repetition+definition > int64(len(body)) || size < 0 {
		return faultf(Corrupt, "levels of %d and %d bytes in a page of %d", repetition, definition, len(body))
	}
	c.repetition = runs{b: body[:repetition], width: bits.Len(uint(c.leaf.repetition))}
	c.definition = runs{b: body[repetition:][:definition], width: bits.Len(uint(c.leaf.definition))}
	data := body[repetition+definition:]
	if len(data) > 0 && (!p.IsCompressed.Valid || p.IsCompressed.V) {
		var err error
		if data, err = c.unpack(data, size); err != nil {
			return err
		}
	}
	return c.begin(p.NumValues, p.Encoding, data)
}

// begin makes the page in hand one of n values, nulls included.
func (c *chunkReader) begin(n int32, e format.Encoding, data []byte) error {
	if n < 0 || int64(n) > c.values {
		return faultf(Corrupt, "a page of %d values where %d are left", n, c.values)
	}
	c.n = int64(n)
	c.values -= c.n
	var err error
	c.decoder, err = c.newDecoder(e, data)
	return err
}

// newDecoder returns what decodes the values of a data page.
func (c *chunkReader) newDecoder(e format.Encoding, data []byte) (decoder, error) {
	k := c.leaf.kind
	texts := k == format.ByteArray || k == format.FixedLenByteArray
	switch {
	case e == format.Plain:
		return &plainDecoder{leaf: c.leaf, b: data}, nil
	case e == oldDictionary || e == format.RLEDictionary:
		if len(data) == 0 {
			return &dictDecoder{}, nil // nulls only
		}
		if data[0] > 32 {
			return nil, faultf(Corrupt, "a dictionary of indices of %d bits", data[0])
		}
		return &dictDecoder{dict: c.dict, runs: runs{b: data[1:], width: int(data[0])}}, nil
	case e == format.RLE && k == format.Boolean:
		if len(data) == 0 {
			return &boolDecoder{}, nil
		}
		own, _, err := sized(data)
		return &boolDecoder{runs{b: own, width: 1}}, err
	case e == format.DeltaBinaryPacked && (k == format.Int32 || k == format.Int64):
		d, _, err := newDeltas(data)
		return &intDecoder{kind: k, deltas: d}, err
	case e == format.DeltaLengthByteArray && k == format.ByteArray:
		lengths, rest, err := newDeltas(data)
		return &textDecoder{kind: k, suffix: lengths, b: rest}, err
	case e == format.DeltaByteArray && texts:
		prefix, rest, err := newDeltas(data)
		if err != nil {
			return nil, err
		}
		suffix, rest, err := newDeltas(rest)
		return &textDecoder{kind: k, prefix: prefix, suffix: suffix, b: rest}, err
	case e == format.ByteStreamSplit && k != format.Boolean && k != format.ByteArray:
		return newSplit(c.leaf, data)
	}
	return nil, faultf(Unsupported, "%v in %v", k, e)
}

// checkMetadata checks the lengths in the metadata of a file.
func checkMetadata(r io.ReaderAt, size, n int64) error {
	b := make([]byte, n)
	if _, err := r.ReadAt(b, size-8-n); err != nil {
		return err
	}
	if _, err := walkThrift(bufio.NewReader(bytes.NewReader(b)), n); err != nil {
		return faultf(Corrupt, "%v", err)
	}
	return nil
}

// errUnpack says that a page is not what its header says.
func errUnpack(size int64) error {
	return faultf(Corrupt, "a page does not unpack to its %d bytes", size)
}
