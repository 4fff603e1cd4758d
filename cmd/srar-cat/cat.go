package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"srar/lib/rows"
	"srar/lib/stream"
	"srar/lib/table"
	"srar/lib/tool"
)

// options are the flags of the command.
type options struct {
	to      string
	kind    string
	columns string
	head    int64
}

var formats = []string{"json", "arrow", "parquet", "tsv", "table", "schema"}

func setup(t *tool.Tool) func(context.Context) error {
	var o options
	t.Flags.StringVar(&o.to, "to", "", "")
	t.Flags.StringVar(&o.kind, "kind", "", "")
	t.Flags.StringVar(&o.columns, "columns", "", "")
	t.Flags.Int64Var(&o.head, "head", -1, "")
	return func(context.Context) error { return o.run(t) }
}

func (o *options) run(t *tool.Tool) error {
	if o.to == "" {
		o.to = "json"
		if t.ToTerminal() {
			o.to = "table"
		}
	}
	switch {
	case !slices.Contains(formats, o.to):
		return tool.Usagef("--to is one of %s, not %q", strings.Join(formats, ", "), o.to)
	case t.IsSet("head") && o.head < 0:
		return tool.Usagef("--head is 0 or more, not %d", o.head)
	case o.to != "arrow" && (t.IsSet("save") || t.IsSet("compress")):
		return tool.Usagef("--save and --compress go with --to arrow")
	}
	src, err := open(t, o.kind)
	if err != nil {
		return err
	}
	defer src.Close()
	if src, err = choose(src, o.columns, o.head); err != nil {
		return err
	}
	switch o.to {
	case "arrow":
		return writeArrow(t, src)
	}
	w, err := t.Text()
	if err != nil {
		return err
	}
	switch o.to {
	case "parquet":
		return table.WriteParquet(w, src.Schema(), src.Next)
	case "json":
		return writeJSON(w, src)
	case "tsv":
		return writeTSV(w, src)
	case "table":
		return writeTable(w, src)
	}
	return writeSchema(w, src)
}

// each calls do with every batch.
func each(src source, do func(*stream.Batch) error) error {
	for {
		b, err := src.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := do(b); err != nil {
			return err
		}
	}
}

func writeArrow(t *tool.Tool, src source) error {
	out, err := t.Output(src.Schema())
	if err != nil {
		return err
	}
	return each(src, out.Write)
}

// writeJSON writes one object a row, its members in the order of the columns.
func writeJSON(w io.Writer, src source) error {
	fields := src.Schema().Fields
	keys := make([][]byte, len(fields))
	for i, f := range fields {
		k, err := json.Marshal(f.Name)
		if err != nil {
			return err
		}
		keys[i] = append(k, ':', ' ')
	}
	var line []byte
	return each(src, func(b *stream.Batch) error {
		for i := range b.Len() {
			line = append(line[:0], '{')
			for k, f := range fields {
				if k > 0 {
					line = append(line, ", "...)
				}
				line = b.Column(f.Name).AppendJSON(append(line, keys[k]...), i)
			}
			if _, err := w.Write(append(line, "}\n"...)); err != nil {
				return err
			}
		}
		return nil
	})
}

// cell is a value for people and for tab-separated files: text as it is but for
// tabs, line ends and backslashes, null as nothing, all else as JSON.
func cell(c *stream.Column, i int) string {
	if c.Null(i) {
		return ""
	}
	if c.Type().Kind == stream.Utf8 {
		return escape.Replace(c.Text(i))
	}
	return string(c.AppendJSON(nil, i))
}

var escape = strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`)

func writeTSV(w io.Writer, src source) error {
	fields := src.Schema().Fields
	return each(src, func(b *stream.Batch) error {
		line := make([]string, len(fields))
		for i := range b.Len() {
			for k, f := range fields {
				line[k] = cell(b.Column(f.Name), i)
			}
			if _, err := fmt.Fprintln(w, strings.Join(line, "\t")); err != nil {
				return err
			}
		}
		return nil
	})
}

// widest is how much of a value a table shows, in characters.
const widest = 40

func writeTable(w io.Writer, src source) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fields := src.Schema().Fields
	for _, f := range fields {
		fmt.Fprintf(tw, "%s\t", f.Name)
	}
	fmt.Fprintln(tw)
	err := each(src, func(b *stream.Batch) error {
		for i := range b.Len() {
			for _, f := range fields {
				v := []rune(cell(b.Column(f.Name), i))
				if len(v) > widest {
					v = append(v[:widest-1], '…')
				}
				fmt.Fprintf(tw, "%s\t", string(v))
			}
			fmt.Fprintln(tw)
		}
		return nil
	})
	return errors.Join(err, tw.Flush())
}

// writeSchema shows the columns, who adds them, and the history.
func writeSchema(w io.Writer, src source) error {
	s := src.Schema()
	if s.RowKind != "" {
		fmt.Fprintf(w, "kind %s, version %d\n\n", s.RowKind, s.Version)
	}
	known := map[string]rows.Column{}
	for _, k := range rows.Kinds {
		for _, c := range k.Columns {
			known[c.Name] = c
		}
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range s.Fields {
		typ := f.Type.String()
		if f.Nullable {
			typ += "?"
		}
		c := known[f.Name]
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", f.Name, typ, c.Owner, c.Doc)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for i, e := range s.History {
		if i == 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s %s %s", e.Command, e.Version, strings.Join(e.Args, " "))
		for _, n := range slices.Sorted(maps.Keys(e.Inputs)) {
			fmt.Fprintf(w, " %s=%s", n, e.Inputs[n])
		}
		fmt.Fprintln(w)
	}
	// The rows are read all the same: a schema is no proof of a stream.
	return each(src, func(*stream.Batch) error { return nil })
}
