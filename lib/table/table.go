// Package table reads the files that data sets come in, Parquet and JSON
// Lines, as batches of columns, and writes rows as Parquet.
//
// A file is read twice. [Open] finds out what it holds: its digest, its columns
// and their types, which for JSON Lines takes a pass over all lines. [File.Rows]
// then reads the rows, a bounded number of them at a time. JSON Lines may be
// packed with gzip or zstd; they are unpacked as they are read, never as a whole.
//
// Columns get the types that rows are made of. In Parquet, dates, times and
// decimals become text (2026-03-05, 2026-03-05T07:08:09.5Z, 1.50), maps become
// lists of key and value, binary becomes text in base64. In JSON Lines, a column
// of integers within 64 bits is int64; with fractions among them float64 as long
// as every integer is exact there; lists and objects are lists and structs of
// what they hold; and what fits no such type is text, with numbers written out
// in full and other values as JSON.
//
// Nothing that a file holds makes this package panic, or allocate for what it
// only claims; package pages says which Parquet is read. Every error says where
// in the data it is.
package table

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"srar/lib/stream"
)

// Kind says what is wrong with a file.
type Kind string

// Kinds of errors.
const (
	Corrupt       Kind = "corrupt"        // not a file of its format, or damaged
	Unsupported   Kind = "unsupported"    // valid, but not read here
	MissingColumn Kind = "missing_column" // a column, or the key of a line, is not there
	WrongType     Kind = "wrong_type"     // a value or column of another type
	NullValue     Kind = "null_value"     // null where a value must be
	Syntax        Kind = "syntax"         // a line that is not JSON
	NotObject     Kind = "not_an_object"  // a line of JSON that is not an object
	InvalidUTF8   Kind = "invalid_utf8"   // bytes that are not UTF-8
	LoneSurrogate Kind = "lone_surrogate" // half of a surrogate pair in an escape
	DuplicateKey  Kind = "duplicate_key"  // a key twice in one object
	TooDeep       Kind = "too_deep"       // a value nested deeper than is read
)

// Error says where in a file something is wrong.
type Error struct {
	Kind   Kind
	File   string
	Row    int    // counted from 0; -1 where no row is at fault
	Line   int    // of a JSON Lines file, counted from 1; else 0
	Column string // "" where no column is at fault
	Err    error
}

// Error returns "table: FILE: row R, line L, column C: what is wrong", without
// the parts that do not apply.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("table: " + e.File)
	between := ": "
	at := func(format string, v any) {
		fmt.Fprintf(&b, between+format, v)
		between = ", "
	}
	if e.Row >= 0 {
		at("row %d", e.Row)
	}
	if e.Line > 0 {
		at("line %d", e.Line)
	}
	if e.Column != "" {
		at("column %s", e.Column)
	}
	return b.String() + ": " + e.Err.Error()
}

// Unwrap returns what is wrong.
func (e *Error) Unwrap() error { return e.Err }

// ExitCode is 3: the input is not valid.
func (e *Error) ExitCode() int { return 3 }

// fault is an error whose place is not known yet.
type fault struct {
	kind   Kind
	column string // where it is known
	path   string // of the value within its column
	text   string
}

func (f *fault) Error() string {
	if f.path != "" {
		return f.path + ": " + f.text
	}
	return f.text
}

func faultf(k Kind, format string, args ...any) error {
	return &fault{kind: k, text: fmt.Sprintf(format, args...)}
}

// place makes an Error of a fault; other errors are read errors and pass.
func place(err error, file string, row, line int, column string) error {
	var f *fault
	if !errors.As(err, &f) {
		return fmt.Errorf("table: %s: %w", file, err)
	}
	if column == "" {
		column = f.column
	}
	return &Error{Kind: f.kind, File: file, Row: row, Line: line, Column: column, Err: err}
}

// File is an opened file.
type File struct {
	name    string
	f       *os.File
	remove  bool // the file is a temporary copy
	size    int64
	digest  string
	schema  *stream.Schema
	columns []*column
	parquet *parquetFile // nil for JSON Lines
	packing packing      // of JSON Lines
	bad     error        // the first line of JSON Lines that does not read
}

// Open opens a file. It is Parquet if it begins as such or its name ends in
// .parquet, else JSON Lines, packed or not as its first bytes say. A line that
// does not read is an error of [File.Rows], not of Open.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("table: %w", err)
	}
	return open(&File{name: path, f: f})
}

// OpenReader opens what r holds, such as standard input. What is not a regular
// file is copied to a temporary one first.
func OpenReader(r io.Reader, name string) (*File, error) {
	if f, ok := r.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			if at, err := f.Seek(0, io.SeekCurrent); err == nil && at == 0 {
				return open(&File{name: name, f: f})
			}
		}
	}
	f, err := os.CreateTemp("", "srar-table-")
	if err != nil {
		return nil, fmt.Errorf("table: %w", err)
	}
	t := &File{name: name, f: f, remove: true}
	if _, err := io.Copy(f, r); err != nil {
		t.Close()
		return nil, fmt.Errorf("table: %s: %w", name, err)
	}
	return open(t)
}

func open(t *File) (*File, error) {
	if err := t.scan(); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// scan finds out the digest, the format and the columns.
func (t *File) scan() error {
	info, err := t.f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		return fmt.Errorf("table: %s: %w", t.name, err)
	}
	t.size = info.Size()
	magic := make([]byte, 4)
	n, err := t.f.ReadAt(magic, 0)
	if err != nil && err != io.EOF {
		return fmt.Errorf("table: %s: %w", t.name, err)
	}
	h := sha256.New()
	if strings.HasSuffix(t.name, ".parquet") || bytes.Equal(magic[:n], []byte("PAR1")) {
		if _, err := io.Copy(h, io.NewSectionReader(t.f, 0, t.size)); err != nil {
			return fmt.Errorf("table: %s: %w", t.name, err)
		}
		err = t.scanParquet()
	} else {
		t.packing = packingOf(magic[:n])
		err = t.scanJSON(h)
	}
	if err != nil {
		return err
	}
	t.digest = fmt.Sprintf("sha256:%x", h.Sum(nil))
	if t.schema == nil {
		t.schema = &stream.Schema{}
	}
	for _, c := range t.columns {
		t.schema.Fields = append(t.schema.Fields, c.field())
	}
	return nil
}

// Format says what the file is: "Parquet", "JSON Lines", or these in gzip or
// zstd.
func (t *File) Format() string {
	if t.parquet != nil {
		return "Parquet"
	}
	return "JSON Lines" + map[packing]string{gzipped: " in gzip", zstandard: " in zstd"}[t.packing]
}

// Name returns the name that errors call the file.
func (t *File) Name() string { return t.name }

// Digest returns "sha256:<hex>" of all bytes of the file.
func (t *File) Digest() string { return t.digest }

// Schema returns the columns and their types. Row kind and history are those
// of rows that [WriteParquet] wrote.
func (t *File) Schema() *stream.Schema { return t.schema }

// Close closes the file.
func (t *File) Close() error {
	err := t.f.Close()
	if t.remove {
		err = errors.Join(err, os.Remove(t.f.Name()))
	}
	return err
}
