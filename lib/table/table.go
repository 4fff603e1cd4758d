// Package table reads the files that data sets come in, Parquet and JSON
// Lines, as batches of columns, and writes rows as Parquet.
//
// A file is read twice. [Open] finds out what it holds: its digest, its columns
// and their types, which for JSON Lines takes a pass over all lines. [File.Rows]
// then reads the rows, a bounded number of them at a time.
//
// Columns get the types that rows are made of. In Parquet, dates, times and
// decimals become text (2026-03-05, 2026-03-05T07:08:09.5Z, 1.50), maps become
// lists of key and value, binary becomes text in base64. In JSON Lines, a column
// of integers within 64 bits is int64; with fractions among them float64 as long
// as every integer is exact there; lists and objects are lists and structs of
// what they hold; and what fits no such type is text, with numbers written out
// in full and other values as JSON.
//
// Nothing that a file holds makes this package panic: the Parquet library is
// called with its panics caught, and every error says where in the data it is.
package table

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"reflect"
	"slices"
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
}

// Open opens a file. It is Parquet if it begins as such or its name ends in
// .parquet, else JSON Lines.
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

// Options says how rows are read.
type Options struct {
	// Types are columns whose type is known: their values are read as this
	// type, exactly, whatever the file says, or are an error. Columns that are
	// not nullable must be there in every row; others may be absent and are then
	// null.
	Types []stream.Field
	// Texts are columns that are read as text although they may hold numbers:
	// integers are written out in full, floats in the shortest form that reads
	// back, without exponent and without a trailing ".0", NaN as null. Other
	// values are errors. A file may lack such a column, but no single row.
	Texts []string
	// Group is a column by whose values rows are cut into batches: rows that
	// follow one another with equal values make one batch, and no batch holds two
	// values. "" for batches of a bounded number of rows.
	Group string
}

// Bounds of one batch.
const (
	batchRows  = 256
	batchBytes = 4 << 20
)

// Rows reads the rows of a file.
type Rows struct {
	t       *File
	schema  *stream.Schema
	columns []*column
	source  rowSource
	ahead   bool // values and line are of a row that is read but not returned
	values  []any
	line    int
	group   int // column that cuts batches; -1 for none
	row     int
	err     error
}

// rowSource yields the values of one row after another, in the order of the
// columns, absent ones as missing{}; io.EOF after the last.
type rowSource interface {
	next() (values []any, line int, err error)
	close()
}

// missing stands for the value of a key that a line does not have.
type missing struct{}

// Rows starts to read the rows. Several readers of one file may not be used at
// the same time.
func (t *File) Rows(o Options) (*Rows, error) {
	r := &Rows{t: t, columns: slices.Clone(t.columns), group: -1}
	replace := func(c *column) error {
		i := slices.IndexFunc(r.columns, func(d *column) bool { return d.name == c.name })
		if i < 0 {
			if !c.nullable && t.parquet != nil {
				return place(faultf(MissingColumn, "is not there"), t.name, -1, 0, c.name)
			}
			c.present = false
			r.columns = append(r.columns, c)
			return nil
		}
		if t.parquet != nil && !c.takes(r.columns[i]) {
			return place(faultf(WrongType, "is %v, not %v", r.columns[i].field().Type, c.field().Type), t.name, -1, 0, c.name)
		}
		r.columns[i] = c
		return nil
	}
	for _, f := range o.Types {
		if err := replace(typed(f, strict)); err != nil {
			return nil, err
		}
	}
	for _, name := range o.Texts {
		if err := replace(&column{name: name, typ: stream.TUtf8, nullable: true, present: true, mode: numbers}); err != nil {
			return nil, err
		}
	}
	if o.Group != "" {
		r.group = slices.IndexFunc(r.columns, func(c *column) bool { return c.name == o.Group })
		if r.group < 0 {
			return nil, place(faultf(MissingColumn, "is not there"), t.name, -1, 0, o.Group)
		}
	}
	s := *t.schema
	s.Fields = nil
	for _, c := range r.columns {
		s.Fields = append(s.Fields, c.field())
	}
	r.schema = &s
	names := make([]string, len(r.columns))
	for i, c := range r.columns {
		names[i] = c.name
	}
	if t.parquet != nil {
		r.source = t.parquet.rows(names)
	} else {
		r.source = t.jsonRows(names)
	}
	return r, nil
}

// Schema returns the columns of the batches that Next returns.
func (r *Rows) Schema() *stream.Schema { return r.schema }

// Row returns the number of the first row that Next will return, from 0.
func (r *Rows) Row() int { return r.row }

// Next returns the next rows; io.EOF after the last.
func (r *Rows) Next() (*stream.Batch, error) {
	if r.err != nil {
		return nil, r.err
	}
	b, err := r.next()
	if err != nil {
		r.err = err
		r.source.close()
	}
	return b, err
}

func (r *Rows) next() (*stream.Batch, error) {
	builders := make([]*builder, len(r.columns))
	for i, c := range r.columns {
		builders[i] = newBuilder(c)
	}
	n, size := 0, 0
	var first any // the value of the group
	for r.group >= 0 || n < batchRows && size < batchBytes {
		if err := r.read(); err != nil {
			if err == io.EOF {
				break
			}
			return nil, place(err, r.t.name, r.row+n, r.line, "")
		}
		if r.group >= 0 {
			v := r.values[r.group]
			if b, ok := v.([]byte); ok {
				v = string(b) // its bytes are not there for long
			}
			if n > 0 && !reflect.DeepEqual(v, first) {
				break
			}
			first = v
		}
		for i, b := range builders {
			before := b.size
			if err := b.add(r.values[i]); err != nil {
				return nil, place(err, r.t.name, r.row+n, r.line, r.columns[i].name)
			}
			size += b.size - before
		}
		r.ahead = false
		n++
	}
	if n == 0 {
		return nil, io.EOF
	}
	r.row += n
	cols := make([]stream.Named, len(builders))
	for i, b := range builders {
		cols[i] = stream.Named{Name: r.columns[i].name, Nullable: r.columns[i].nullable, Column: b.column()}
	}
	return stream.NewBatch(n, cols...), nil
}

// read makes values and line those of the next row to return.
func (r *Rows) read() (err error) {
	if !r.ahead {
		r.values, r.line, err = r.source.next()
		r.ahead = err == nil
	}
	return err
}

// maxLine bounds one line of JSON.
const maxLine = 256 << 20

// lineReader reads lines of any length up to maxLine, without their end, and
// skips blank ones.
type lineReader struct {
	r    *bufio.Reader
	line int // number of the line that next returned last, from 1
	buf  []byte
}

func newLineReader(r io.Reader) *lineReader { return &lineReader{r: bufio.NewReaderSize(r, 1<<16)} }

// next returns a line that is not blank, valid until the following call;
// io.EOF after the last.
func (l *lineReader) next() ([]byte, error) {
	for {
		l.buf = l.buf[:0]
		var err error
		for {
			var part []byte
			part, err = l.r.ReadSlice('\n')
			if len(l.buf)+len(part) > maxLine {
				l.line++
				return nil, faultf(Unsupported, "a line of more than %d bytes", maxLine)
			}
			l.buf = append(l.buf, part...)
			if err != bufio.ErrBufferFull {
				break
			}
		}
		if err != nil && (err != io.EOF || len(l.buf) == 0) {
			return nil, err
		}
		l.line++
		line := l.buf
		if l.line == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if line = bytes.Trim(line, " \t\r\n"); len(line) > 0 {
			return line, nil
		}
	}
}

// scanJSON reads all lines once to find the columns.
func (t *File) scanJSON(h hash.Hash) error {
	lines := newLineReader(io.TeeReader(io.NewSectionReader(t.f, 0, t.size), h))
	var all shape
	for row := 0; ; row++ {
		line, err := lines.next()
		if err == io.EOF {
			break
		}
		if err == nil {
			var o object
			if o, err = parseLine(line); err == nil {
				all.see(o)
			}
		}
		if err != nil {
			return place(err, t.name, row, lines.line, "")
		}
	}
	t.columns = all.columns()
	return nil
}

// jsonSource reads the rows of JSON Lines.
type jsonSource struct {
	lines  *lineReader
	index  map[string]int
	values []any
}

func (t *File) jsonRows(names []string) rowSource {
	s := &jsonSource{
		lines:  newLineReader(io.NewSectionReader(t.f, 0, t.size)),
		index:  make(map[string]int, len(names)),
		values: make([]any, len(names)),
	}
	for i, n := range names {
		s.index[n] = i
	}
	return s
}

func (s *jsonSource) next() ([]any, int, error) {
	line, err := s.lines.next()
	if err != nil {
		return nil, s.lines.line, err
	}
	o, err := parseLine(line)
	if err != nil {
		return nil, s.lines.line, err
	}
	for i := range s.values {
		s.values[i] = missing{}
	}
	for i, key := range o.keys {
		if k, ok := s.index[key]; ok {
			s.values[k] = o.values[i]
		}
	}
	return s.values, s.lines.line, nil
}

func (s *jsonSource) close() {}
