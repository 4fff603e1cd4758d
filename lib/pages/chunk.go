package pages

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/bits"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// oldDictionary is what old writers call PLAIN in a dictionary, and RLE_DICTIONARY
// in a data page.
const oldDictionary format.Encoding = 2

// chunk reads the values of a column chunk, a page at a time.
type chunk struct {
	leaf     leaf
	meta     *format.ColumnMetaData
	unpacker *unpacker
	r        *bufio.Reader
	left     int64 // bytes behind r
	values   int64 // of the pages to come
	dict     []parquet.Value

	n                      int64 // values left of the page in hand
	repetition, definition runs
	decoder                decoder
	ahead                  bool // value is read but not returned
	value                  parquet.Value
}

// open starts to read the chunk.
func (c *chunk) open(r io.ReaderAt, size int64) error {
	start := c.meta.DataPageOffset
	if first := c.meta.DictionaryPageOffset; first > 0 && first < start {
		start = first
	}
	c.left, c.values = c.meta.TotalCompressedSize, c.meta.NumValues
	if start < 0 || c.left < 0 || start > size || c.left > size-start {
		return corrupt("lies outside of the file")
	}
	c.r = bufio.NewReaderSize(io.NewSectionReader(r, start, c.left), int(min(c.left, 1<<16)))
	return nil
}

// name is what errors call the chunk.
func (c *chunk) name() string { return "column " + strings.Join(c.meta.PathInSchema, ".") }

// row appends the values of the next row.
func (c *chunk) row(out []parquet.Value) ([]parquet.Value, error) {
	for {
		switch err := c.peek(); {
		case err == io.EOF && len(out) > 0:
			return out, nil
		case err == io.EOF:
			return nil, corrupt("fewer rows than the row group")
		case err != nil:
			return nil, err
		}
		switch first := c.value.RepetitionLevel() == 0; {
		case first && len(out) > 0:
			return out, nil
		case !first && len(out) == 0:
			return nil, corrupt("a row that begins with a repeated value")
		case len(out) == maxRowValues:
			return nil, unsupported("a row of more than %d values", maxRowValues)
		}
		out = append(out, c.value)
		c.ahead = false
	}
}

// end is nil if no value is left.
func (c *chunk) end() error {
	err := c.peek()
	if err == nil {
		err = corrupt("more rows than the row group")
	}
	if err != io.EOF {
		return err
	}
	return nil
}

// peek makes value the next one; io.EOF after the last.
func (c *chunk) peek() error {
	for !c.ahead {
		if c.n == 0 {
			if c.values == 0 {
				return io.EOF
			}
			if err := c.page(); err == io.EOF {
				return io.ErrUnexpectedEOF // the end of the page, not of the chunk
			} else if err != nil {
				return err
			}
			continue
		}
		repetition, err := c.repetition.level(c.leaf.repetition)
		if err != nil {
			return err
		}
		definition, err := c.definition.level(c.leaf.definition)
		if err != nil {
			return err
		}
		c.value = parquet.NullValue()
		if definition == c.leaf.definition {
			if c.value, err = c.decoder.next(); err != nil {
				return err
			}
		}
		c.value = c.value.Level(repetition, definition, 0)
		c.n--
		c.ahead = true
	}
	return nil
}

// page reads the next page. An index page is passed over.
func (c *chunk) page() error {
	head, err := walkThrift(c.r, c.left)
	if err != nil {
		return err
	}
	c.left -= int64(len(head))
	var h format.PageHeader
	if err := decodeThrift(head, &h); err != nil {
		return err
	}
	size := int64(h.CompressedPageSize)
	switch {
	case size < 0 || size > c.left:
		return corrupt("a page of %d bytes where %d are left", size, c.left)
	case h.UncompressedPageSize < 0 || h.UncompressedPageSize > maxPage:
		return corrupt("a page of %d bytes", h.UncompressedPageSize)
	}
	c.left -= size
	body, err := readFull(c.r, size)
	if err != nil {
		return err
	}
	if h.CRC != 0 && crc32.ChecksumIEEE(body) != uint32(h.CRC) {
		return corrupt("the checksum of a page does not match")
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

func (c *chunk) dictionary(h *format.PageHeader, body []byte) error {
	e := h.DictionaryPageHeader.V.Encoding
	if e != format.Plain && e != oldDictionary {
		return unsupported("a dictionary in %v", e)
	}
	body, err := c.unpacker.unpack(c.meta.Codec, body, int64(h.UncompressedPageSize))
	if err != nil {
		return err
	}
	n := int(h.DictionaryPageHeader.V.NumValues)
	if n < 0 || n > len(body) {
		return corrupt("a dictionary of %d values in %d bytes", n, len(body))
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
func (c *chunk) dataV1(h *format.PageHeader, body []byte) error {
	p := &h.DataPageHeader.V
	data, err := c.unpacker.unpack(c.meta.Codec, body, int64(h.UncompressedPageSize))
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
				return unsupported("levels in %v", l.encoding)
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
func (c *chunk) dataV2(h *format.PageHeader, body []byte) error {
	p := &h.DataPageHeaderV2.V
	repetition, definition := int64(p.RepetitionLevelsByteLength), int64(p.DefinitionLevelsByteLength)
	size := int64(h.UncompressedPageSize) - repetition - definition
	if repetition < 0 || definition < 0 || repetition+definition > int64(len(body)) || size < 0 {
		return corrupt("levels of %d and %d bytes in a page of %d", repetition, definition, len(body))
	}
	c.repetition = runs{b: body[:repetition], width: bits.Len(uint(c.leaf.repetition))}
	c.definition = runs{b: body[repetition:][:definition], width: bits.Len(uint(c.leaf.definition))}
	data := body[repetition+definition:]
	if len(data) > 0 && (!p.IsCompressed.Valid || p.IsCompressed.V) {
		var err error
		if data, err = c.unpacker.unpack(c.meta.Codec, data, size); err != nil {
			return err
		}
	}
	return c.begin(p.NumValues, p.Encoding, data)
}

// begin makes the page in hand one of n values, nulls included.
func (c *chunk) begin(n int32, e format.Encoding, data []byte) error {
	if n < 0 || int64(n) > c.values {
		return corrupt("a page of %d values where %d are left", n, c.values)
	}
	c.n = int64(n)
	c.values -= c.n
	var err error
	c.decoder, err = c.newDecoder(e, data)
	return err
}

// newDecoder returns what decodes the values of a data page.
func (c *chunk) newDecoder(e format.Encoding, data []byte) (decoder, error) {
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
			return nil, corrupt("a dictionary of indices of %d bits", data[0])
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
	return nil, unsupported("%v in %v", k, e)
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
