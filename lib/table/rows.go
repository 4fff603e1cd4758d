package table

import (
	"io"
	"reflect"
	"slices"

	"srar/lib/stream"
)

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
	// Bad, where it is not nil, is told of every row that does not read, which is
	// then left out; else such a row is an error. line is its line of JSON, nil in
	// Parquet, and only valid during the call. An error that Bad returns ends the
	// reading. What is wrong with the file and not with a row stays an error.
	Bad func(e *Error, line []byte) error
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
	bad     func(*Error, []byte) error
	ahead   bool // row is read but not returned
	row     row
	group   int   // column that cuts batches; -1 for none
	at      int   // number of row
	numbers []int // of the rows of the last batch
	err     error
}

// row is a row as its source yields it.
type row struct {
	values []any // in the order of the columns, absent ones as missing{}
	line   int   // of JSON Lines, from 1; else 0
	text   []byte
	bad    error // why it does not read, nil where it does
}

// rowSource yields one row after another, io.EOF after the last. Other errors
// are of the file and not of a row; the line of the row in hand is then still
// told.
type rowSource interface {
	next() (row, error)
	close()
}

// missing stands for the value of a key that a line does not have.
type missing struct{}

// Rows starts to read the rows. Several readers of one file may not be used at
// the same time.
func (t *File) Rows(o Options) (*Rows, error) {
	if t.bad != nil && o.Bad == nil {
		return nil, t.bad
	}
	r := &Rows{t: t, columns: slices.Clone(t.columns), group: -1, bad: o.Bad}
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
		return r, nil
	}
	var err error
	r.source, err = t.jsonRows(names)
	return r, err
}

// Schema returns the columns of the batches that Next returns.
func (r *Rows) Schema() *stream.Schema { return r.schema }

// Numbers returns the numbers that the rows of the batch that Next returned last
// have in the file, from 0; rows that do not read are counted too.
func (r *Rows) Numbers() []int { return r.numbers }

// Read returns how many rows of the file were read so far, those that do not read
// among them.
func (r *Rows) Read() int { return r.at }

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
	r.numbers = nil
	var first any // the value of the group
	for r.group >= 0 || len(r.numbers) < batchRows && sizeOf(builders) < batchBytes {
		if err := r.read(); err != nil {
			if err == io.EOF {
				break
			}
			return nil, err
		}
		if r.group >= 0 {
			v := r.row.values[r.group]
			if b, ok := v.([]byte); ok {
				v = string(b) // its bytes are not there for long
			}
			if len(r.numbers) > 0 && !reflect.DeepEqual(v, first) {
				break
			}
			first = v
		}
		err := r.add(builders)
		if err == nil {
			r.numbers = append(r.numbers, r.at)
		} else {
			for _, b := range builders {
				b.truncate(len(r.numbers))
			}
			err = r.setAside(err)
		}
		if err != nil {
			return nil, err
		}
		r.ahead = false
		r.at++
	}
	n := len(r.numbers)
	if n == 0 {
		return nil, io.EOF
	}
	cols := make([]stream.Named, len(builders))
	for i, b := range builders {
		cols[i] = stream.Named{Name: r.columns[i].name, Nullable: r.columns[i].nullable, Column: b.column()}
	}
	return stream.NewBatch(n, cols...), nil
}

// sizeOf is about how many bytes the values of all columns have.
func sizeOf(builders []*builder) (n int) {
	for _, b := range builders {
		n += b.size
	}
	return n
}

// add appends the row in hand.
func (r *Rows) add(builders []*builder) error {
	for i, b := range builders {
		if err := b.add(r.row.values[i]); err != nil {
			return place(err, r.t.name, r.at, r.row.line, r.columns[i].name)
		}
	}
	return nil
}

// read makes row that which is to be returned next. Rows that do not read are
// passed over.
func (r *Rows) read() (err error) {
	for !r.ahead {
		if r.row, err = r.source.next(); err == io.EOF {
			return err
		}
		if err != nil {
			return place(err, r.t.name, r.at, r.row.line, "")
		}
		if r.ahead = r.row.bad == nil; !r.ahead {
			if err := r.setAside(place(r.row.bad, r.t.name, r.at, r.row.line, "")); err != nil {
				return err
			}
			r.at++
		}
	}
	return nil
}

// setAside leaves the row in hand out, for the reason given; without anyone to
// be told of it the reason is the error.
func (r *Rows) setAside(reason error) error {
	e, ok := reason.(*Error)
	if r.bad == nil || !ok {
		return reason
	}
	return r.bad(e, r.row.text)
}
