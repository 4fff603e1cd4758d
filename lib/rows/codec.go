package rows

import (
	"errors"
	"reflect"

	"srar/lib/stream"
)

// codec converts between a Go type and a column.
type codec struct {
	typ  stream.Type
	null bool // the Go type itself says null (a pointer)
	// read sets v from element i of c, which is not null.
	read func(v reflect.Value, c *stream.Column, i int) error
	// build makes a column of vals; nil slices are null where null is allowed.
	build func(vals []reflect.Value, nullable bool) *stream.Column
}

var errNullElement = errors.New("a list element is null")

func codecOf(t reflect.Type) *codec {
	switch t.Kind() {
	case reflect.Pointer:
		return pointerTo(codecOf(t.Elem()), t)
	case reflect.Slice:
		return listOf(t)
	case reflect.Struct:
		return structOf(t)
	case reflect.Bool:
		return &codec{typ: stream.TBool,
			read:  func(v reflect.Value, c *stream.Column, i int) error { v.SetBool(c.Bool(i)); return nil },
			build: scalar(reflect.Value.Bool, stream.NewBools)}
	case reflect.Int32:
		return &codec{typ: stream.TInt32,
			read:  func(v reflect.Value, c *stream.Column, i int) error { v.SetInt(int64(c.Int32s()[i])); return nil },
			build: scalar(func(v reflect.Value) int32 { return int32(v.Int()) }, stream.NewInt32s)}
	case reflect.Int64:
		return &codec{typ: stream.TInt64,
			read:  func(v reflect.Value, c *stream.Column, i int) error { v.SetInt(c.Int64s()[i]); return nil },
			build: scalar(reflect.Value.Int, stream.NewInt64s)}
	case reflect.Uint64:
		return &codec{typ: stream.TUint64,
			read:  func(v reflect.Value, c *stream.Column, i int) error { v.SetUint(c.Uint64s()[i]); return nil },
			build: scalar(reflect.Value.Uint, stream.NewUint64s)}
	case reflect.Float32:
		return &codec{typ: stream.TFloat32,
			read:  func(v reflect.Value, c *stream.Column, i int) error { v.SetFloat(float64(c.Float32s()[i])); return nil },
			build: scalar(func(v reflect.Value) float32 { return float32(v.Float()) }, stream.NewFloat32s)}
	case reflect.Float64:
		return &codec{typ: stream.TFloat64,
			read:  func(v reflect.Value, c *stream.Column, i int) error { v.SetFloat(c.Float64s()[i]); return nil },
			build: scalar(reflect.Value.Float, stream.NewFloat64s)}
	case reflect.String:
		return &codec{typ: stream.TUtf8,
			read:  func(v reflect.Value, c *stream.Column, i int) error { v.SetString(c.Text(i)); return nil },
			build: scalar(reflect.Value.String, stream.NewTexts)}
	}
	panic("rows: no column type for " + t.String())
}

// scalar builds a column of T from values none of which is null.
func scalar[T any](get func(reflect.Value) T, build func([]T, []bool) *stream.Column) func([]reflect.Value, bool) *stream.Column {
	return func(vals []reflect.Value, _ bool) *stream.Column {
		out := make([]T, len(vals))
		for i, v := range vals {
			if v.IsValid() {
				out[i] = get(v)
			}
		}
		return build(out, nulls(vals))
	}
}

// nulls marks the invalid values; nil where there is none.
func nulls(vals []reflect.Value) []bool {
	for i, v := range vals {
		if !v.IsValid() {
			null := make([]bool, len(vals))
			for j := i; j < len(vals); j++ {
				null[j] = !vals[j].IsValid()
			}
			return null
		}
	}
	return nil
}

func pointerTo(e *codec, t reflect.Type) *codec {
	return &codec{typ: e.typ, null: true,
		read: func(v reflect.Value, c *stream.Column, i int) error {
			p := reflect.New(t.Elem())
			if err := e.read(p.Elem(), c, i); err != nil {
				return err
			}
			v.Set(p)
			return nil
		},
		build: func(vals []reflect.Value, nullable bool) *stream.Column {
			elems := make([]reflect.Value, len(vals))
			for i, v := range vals {
				if v.IsValid() && !v.IsNil() {
					elems[i] = v.Elem()
				}
			}
			return e.build(elems, nullable)
		}}
}

func listOf(t reflect.Type) *codec {
	e := codecOf(t.Elem())
	c := &codec{typ: stream.ListOf(e.typ, e.null)}
	c.read = func(v reflect.Value, col *stream.Column, i int) error {
		lo, hi := col.Bounds(i)
		elem := col.Elem()
		if elem.HasNulls() && !e.null {
			for j := lo; j < hi; j++ {
				if elem.Null(j) {
					return errNullElement
				}
			}
		}
		if lo < hi && alias(v, elem, lo, hi) {
			return nil
		}
		s := reflect.MakeSlice(t, hi-lo, hi-lo)
		for j := lo; j < hi; j++ {
			if elem.Null(j) {
				continue
			}
			if err := e.read(s.Index(j-lo), elem, j); err != nil {
				return err
			}
		}
		v.Set(s)
		return nil
	}
	c.build = func(vals []reflect.Value, nullable bool) *stream.Column {
		offsets := make([]int32, len(vals)+1)
		var null []bool
		for i, v := range vals {
			n := 0
			if v.IsValid() {
				n = v.Len()
			}
			if nullable && (!v.IsValid() || v.IsNil()) {
				if null == nil {
					null = make([]bool, len(vals))
				}
				null[i] = true
			}
			offsets[i+1] = offsets[i] + int32(n)
		}
		return stream.NewLists(offsets, flatten(t.Elem(), vals, int(offsets[len(vals)]), e), e.null, null)
	}
	return c
}

// alias points v at the batch's own memory where the element type allows it.
func alias(v reflect.Value, elem *stream.Column, lo, hi int) bool {
	switch p := v.Addr().Interface().(type) {
	case *[]int32:
		*p = elem.Int32s()[lo:hi:hi]
	case *[]float32:
		*p = elem.Float32s()[lo:hi:hi]
	case *[]float64:
		*p = elem.Float64s()[lo:hi:hi]
	default:
		return false
	}
	return true
}

// flatten joins the lists in vals into one column of n elements.
func flatten(t reflect.Type, vals []reflect.Value, n int, e *codec) *stream.Column {
	switch t.Kind() {
	case reflect.Int32:
		return stream.NewInt32s(join[int32](vals, n), nil)
	case reflect.Float32:
		return stream.NewFloat32s(join[float32](vals, n), nil)
	case reflect.Float64:
		return stream.NewFloat64s(join[float64](vals, n), nil)
	}
	elems := make([]reflect.Value, 0, n)
	for _, v := range vals {
		if v.IsValid() {
			for j := range v.Len() {
				elems = append(elems, v.Index(j))
			}
		}
	}
	return e.build(elems, e.null)
}

func join[T any](vals []reflect.Value, n int) []T {
	out := make([]T, 0, n)
	for _, v := range vals {
		if v.IsValid() {
			out = append(out, v.Interface().([]T)...)
		}
	}
	return out
}

func structOf(t reflect.Type) *codec {
	p := planOf(t)
	fields := make([]stream.Field, len(p.fields))
	for i, f := range p.fields {
		fields[i] = f.Field
	}
	return &codec{typ: stream.StructOf(fields...),
		read: func(v reflect.Value, c *stream.Column, i int) error {
			for _, f := range p.fields {
				fc := c.Field(f.Name)
				if fc.Null(i) {
					if !f.Nullable {
						return errors.New("member " + f.Name + " is null")
					}
					continue
				}
				if err := f.conv.read(v.FieldByIndex(f.index), fc, i); err != nil {
					return err
				}
			}
			return nil
		},
		build: func(vals []reflect.Value, _ bool) *stream.Column {
			named := make([]stream.Named, len(p.fields))
			for k, f := range p.fields {
				part := make([]reflect.Value, len(vals))
				for i, v := range vals {
					if v.IsValid() {
						part[i] = v.FieldByIndex(f.index)
					}
				}
				named[k] = stream.Named{Name: f.Name, Nullable: f.Nullable, Column: f.conv.build(part, f.Nullable)}
			}
			return stream.NewStructs(len(vals), named, nulls(vals))
		}}
}
