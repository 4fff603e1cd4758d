package rows

import (
	"fmt"
	"reflect"

	"srar/lib/stream"
)

// Error says where rows do not fit: batch and row counted from 0, row -1 for
// the whole batch.
type Error struct {
	Batch, Row int
	Text       string
}

func (e *Error) Error() string {
	if e.Row < 0 {
		return fmt.Sprintf("rows: batch %d: %s", e.Batch, e.Text)
	}
	return fmt.Sprintf("rows: batch %d, row %d: %s", e.Batch, e.Row, e.Text)
}

// ExitCode is 3: the input is not valid.
func (e *Error) ExitCode() int { return 3 }

// Errorf makes an [Error] for row of batch.
func Errorf(batch, row int, format string, a ...any) error {
	return &Error{Batch: batch, Row: row, Text: fmt.Sprintf(format, a...)}
}

// Read reads the columns that T names from b, the batch'th of its stream.
// T is a struct whose fields have col tags, such as [Verdict] or a struct of a
// command that needs a few columns. Strings and numeric slices alias the batch.
// A null pointer or nil slice stands for null; lists that may not be null are
// never nil. Nullable columns that b lacks are read as null.
func Read[T any](b *stream.Batch, batch int) ([]T, error) {
	out := make([]T, b.Len())
	v := reflect.ValueOf(out)
	for _, f := range planOf(v.Type().Elem()).fields {
		c := b.Column(f.Name)
		if c == nil {
			if f.Nullable {
				continue
			}
			return nil, Errorf(batch, -1, "column %s is missing", f.Name)
		}
		if !c.Type().Equal(f.Type) {
			return nil, Errorf(batch, -1, "column %s is %s, not %s", f.Name, c.Type(), f.Type)
		}
		for i := range out {
			if c.Null(i) {
				if !f.Nullable {
					return nil, Errorf(batch, i, "column %s is null", f.Name)
				}
				continue
			}
			if err := f.conv.read(v.Index(i).FieldByIndex(f.index), c, i); err != nil {
				return nil, Errorf(batch, i, "column %s: %v", f.Name, err)
			}
		}
	}
	return out, nil
}

// Columns builds the columns that T names from rows.
func Columns[T any](rows []T) []stream.Named {
	v := reflect.ValueOf(rows)
	p := planOf(v.Type().Elem())
	out := make([]stream.Named, len(p.fields))
	for k, f := range p.fields {
		vals := make([]reflect.Value, len(rows))
		for i := range vals {
			vals[i] = v.Index(i).FieldByIndex(f.index)
		}
		out[k] = stream.Named{Name: f.Name, Nullable: f.Nullable, Column: f.conv.build(vals, f.Nullable)}
	}
	return out
}

// Batch builds a batch with the columns of T and nothing else.
func Batch[T any](rows []T) *stream.Batch { return stream.NewBatch(len(rows), Columns(rows)...) }

// OneGroup says whether the rows of b, the batch'th of its stream, belong to
// one prompt.
func OneGroup(b *stream.Batch, batch int) error {
	c := b.Column("prompt_id")
	if c == nil {
		return Errorf(batch, -1, "column prompt_id is missing")
	}
	for i := 1; i < b.Len(); i++ {
		if c.Text(i) != c.Text(0) {
			return Errorf(batch, i, "prompt %q in a batch of prompt %q: one record batch holds one prompt group", c.Text(i), c.Text(0))
		}
	}
	return nil
}
