package table

import (
	"bufio"
	"bytes"
	"hash/crc32"
	"io"
	"strings"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// Bounds of one page.
const (
	maxPage       = 1 << 29 // bytes, decompressed
	maxPageValues = 1 << 26
)

// checkPages checks what the library takes on trust in the pages of a row
// group, before it reads any: that they lie within their column chunk and the
// file, that their sizes are no more than a page may have, and their checksums
// where they have one, those of dictionaries among them.
func checkPages(r io.ReaderAt, size int64, g *format.RowGroup) error {
	for _, c := range g.Columns {
		m := &c.MetaData
		start := m.DataPageOffset
		if m.DictionaryPageOffset > 0 && m.DictionaryPageOffset < start {
			start = m.DictionaryPageOffset
		}
		path := strings.Join(m.PathInSchema, ".")
		if start < 0 || m.TotalCompressedSize < 0 || start > size || m.TotalCompressedSize > size-start {
			return faultf(Corrupt, "column %s lies outside of the file", path)
		}
		if err := checkChunk(io.NewSectionReader(r, start, m.TotalCompressedSize), m.NumValues); err != nil {
			return faultf(Corrupt, "column %s: %v", path, err)
		}
	}
	return nil
}

// checkChunk checks the pages of a column chunk of the given number of values.
func checkChunk(chunk *io.SectionReader, values int64) error {
	left := chunk.Size()
	r := bufio.NewReaderSize(chunk, 1<<16)
	for values > 0 {
		head, err := walkThrift(r, left)
		if err != nil {
			return err
		}
		left -= int64(len(head))
		var h format.PageHeader
		if err := thrift.Unmarshal(new(thrift.CompactProtocol), head, &h); err != nil {
			return err
		}
		n := int64(h.DataPageHeader.V.NumValues) + int64(h.DataPageHeaderV2.V.NumValues)
		entries := int64(h.DictionaryPageHeader.V.NumValues)
		body := int64(h.CompressedPageSize)
		switch {
		case body < 0 || body > left:
			return faultf(Corrupt, "a page of %d bytes where %d are left", body, left)
		case h.UncompressedPageSize < 0 || h.UncompressedPageSize > maxPage:
			return faultf(Corrupt, "a page of %d bytes", h.UncompressedPageSize)
		case n < 0 || n > min(values, maxPageValues) || entries < 0 || entries > maxPageValues:
			return faultf(Corrupt, "a page of %d values where %d are left", n+entries, values)
		}
		sum := crc32.NewIEEE()
		if _, err := io.CopyN(sum, r, body); err != nil {
			return err
		}
		if h.CRC != 0 && sum.Sum32() != uint32(h.CRC) {
			return faultf(Corrupt, "the checksum of a page does not match")
		}
		left -= body
		values -= n
	}
	return nil
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
