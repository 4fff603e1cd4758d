// Package pages reads the values in the pages of Parquet files, row by row.
//
// Of the library it takes the structures of the metadata and what unpacks a block
// of Snappy or LZ4. Pages are decoded here and not by the library, which expands
// runs, lengths and packed pages before it checks them, and gets some wrong:
// booleans in runs, LZ4, pages of version 2 without values.
//
// Nothing that a file holds makes this package panic, or allocate for what it
// only claims. Read are pages of both versions in all encodings of values that
// the format has (parquet-format, Encodings.md), not packed or packed with
// snappy, gzip, zstd or LZ4. Brotli is not: its decoder in the library has no
// bound.
package pages

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// Bounds of what is read.
const (
	maxPage      = 1 << 29 // bytes of a page, unpacked
	maxRowValues = 1 << 24 // values of one leaf in one row
	maxLeaves    = 1 << 15
	maxDepth     = 127 // nodes within one another; no level is higher
)

// Error says what is wrong with a file. Errors that are no Error are of reading
// it.
type Error struct {
	Unsupported bool // the file is valid, but not read here; else it is damaged
	text        string
}

// Error returns what is wrong, after the row group and the column where they are
// known: "row group 0: column a.b: what is wrong".
func (e *Error) Error() string { return e.text }

func corrupt(format string, args ...any) error {
	return &Error{text: fmt.Sprintf(format, args...)}
}

func unsupported(format string, args ...any) error {
	return &Error{Unsupported: true, text: fmt.Sprintf(format, args...)}
}

// within says in which part of the file something is wrong. What ends within it
// is damaged.
func within(part string, err error) error {
	switch e, ok := err.(*Error); {
	case ok:
		return &Error{Unsupported: e.Unsupported, text: part + ": " + e.text}
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return corrupt("%s: a page ends early", part)
	}
	return fmt.Errorf("%s: %w", part, err)
}

// File is a Parquet file whose metadata was read.
type File struct {
	r        io.ReaderAt
	size     int64
	metadata format.FileMetaData
	columns  []*Node
	leaves   []leaf
}

// Open reads the metadata of the file of size bytes that r holds.
func Open(r io.ReaderAt, size int64) (*File, error) {
	f := &File{r: r, size: size}
	n, err := footer(r, size)
	if err != nil {
		return nil, err
	}
	b, err := walkThrift(bufio.NewReader(io.NewSectionReader(r, size-8-n, n)), n)
	if err == nil {
		err = decodeThrift(b, &f.metadata)
	}
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return nil, errThrift
	case err != nil:
		return nil, err
	case f.metadata.EncryptionAlgorithm.Value != nil:
		return nil, unsupported("the file is encrypted")
	case int64(len(b)) != n:
		return nil, corrupt("%d bytes behind the metadata", n-int64(len(b)))
	}
	if f.columns, f.leaves, err = columns(f.metadata.Schema); err != nil {
		return nil, err
	}
	for i, g := range f.metadata.RowGroups {
		if g.NumRows < 0 || len(g.Columns) != len(f.leaves) {
			return nil, corrupt("row group %d: %d rows of %d columns in a file of %d", i, g.NumRows, len(g.Columns), len(f.leaves))
		}
	}
	return f, nil
}

// footer returns the length of the metadata, which the file ends with.
func footer(r io.ReaderAt, size int64) (int64, error) {
	if size == 0 {
		return 0, corrupt("the file is empty")
	}
	var b [12]byte
	if size < int64(len(b)) {
		return 0, corrupt("%d bytes are no Parquet file", size)
	}
	if _, err := r.ReadAt(b[:4], 0); err != nil {
		return 0, err
	}
	if _, err := r.ReadAt(b[4:], size-8); err != nil && err != io.EOF {
		return 0, err
	}
	n := int64(binary.LittleEndian.Uint32(b[4:]))
	switch {
	case string(b[:4]) == "PARE" || string(b[8:]) == "PARE":
		return 0, unsupported("the file is encrypted")
	case string(b[:4]) != "PAR1":
		return 0, corrupt("the file does not begin as Parquet")
	case string(b[8:]) != "PAR1":
		return 0, corrupt("the file does not end as Parquet: cut short?")
	case n > size-12 || n > maxThrift:
		return 0, corrupt("a footer of %d bytes in a file of %d", n, size)
	}
	return n, nil
}

// Columns returns the columns in the order of the file.
func (f *File) Columns() []*Node { return f.columns }

// Lookup returns the text that the file has for a key.
func (f *File) Lookup(key string) (string, bool) {
	i := slices.IndexFunc(f.metadata.KeyValueMetadata, func(kv format.KeyValue) bool { return kv.Key == key })
	if i < 0 {
		return "", false
	}
	return f.metadata.KeyValueMetadata[i].Value, true
}

// Rows reads the rows of a file, one row group after another.
type Rows struct {
	f        *File
	want     []bool
	unpacker unpacker
	group    int      // row groups opened
	left     int64    // rows of the group to come
	chunks   []*chunk // of the leaves, nil where nobody wants them
	values   [][]parquet.Value
}

// Rows starts to read the rows. want says for each leaf whether its values are
// wanted; others are not read.
func (f *File) Rows(want []bool) *Rows {
	return &Rows{f: f, want: want, chunks: make([]*chunk, len(f.leaves)), values: make([][]parquet.Value, len(f.leaves))}
}

// Next returns the values of the next row, those of each leaf with their
// repetition and definition levels, and at least one; none of a leaf that is not
// wanted. They are valid until the following call. io.EOF follows the last row.
func (r *Rows) Next() ([][]parquet.Value, error) {
	for r.left == 0 {
		if r.group == len(r.f.metadata.RowGroups) {
			return nil, io.EOF
		}
		r.group++
		if err := r.open(&r.f.metadata.RowGroups[r.group-1]); err != nil {
			return nil, r.at(err)
		}
	}
	r.left--
	for k, c := range r.chunks {
		if c == nil {
			continue
		}
		var err error
		if r.values[k], err = c.row(r.values[k][:0]); err == nil && r.left == 0 {
			err = c.end()
		}
		if err != nil {
			return nil, r.at(within(c.name(), err))
		}
	}
	return r.values, nil
}

// open starts to read a row group.
func (r *Rows) open(g *format.RowGroup) error {
	r.left = g.NumRows
	for k, want := range r.want {
		if !want || g.NumRows == 0 {
			continue
		}
		r.chunks[k] = &chunk{leaf: r.f.leaves[k], meta: &g.Columns[k].MetaData, unpacker: &r.unpacker}
		if err := r.chunks[k].open(r.f.r, r.f.size); err != nil {
			return within(r.chunks[k].name(), err)
		}
	}
	return nil
}

func (r *Rows) at(err error) error {
	return within(fmt.Sprintf("row group %d", r.group-1), err)
}
