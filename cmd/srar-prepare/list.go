package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"srar/lib/stream"
	"srar/lib/table"
	"srar/lib/tool"
)

// contents is what a file holds.
type contents struct {
	rows    int
	nulls   map[string]int // by column, or path of a chosen member
	sources map[string]int // rows by the name of their data set
	bad     int
	reasons []string // of the first bad rows
}

// list writes what the files hold.
func list(ctx context.Context, t *tool.Tool, sources []*source) error {
	out, err := t.Text()
	if err != nil {
		return err
	}
	for i, s := range sources {
		c, err := s.contents(ctx)
		if err != nil {
			return err
		}
		if i > 0 {
			fmt.Fprintln(out)
		}
		if err := s.describe(out, c); err != nil {
			return err
		}
	}
	return nil
}

// uses are the columns that prompts are made of, by what they are taken for.
func (s *source) uses() [][2]string {
	return [][2]string{{s.problem, "problem"}, {s.truth, "ground truth"}, {s.rubric, "rubric"}, {s.source, "source"}, {s.id, "id"}}
}

// contents reads all rows.
func (s *source) contents(ctx context.Context) (*contents, error) {
	c := &contents{nulls: map[string]int{}, sources: map[string]int{}}
	r, err := s.file.Rows(table.Options{Bad: func(e *table.Error, _ []byte) error {
		if c.bad++; c.bad <= named {
			c.reasons = append(c.reasons, strings.TrimPrefix(e.Error(), "table: "+s.file.Name()+": "))
		}
		return nil
	}})
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, f := range r.Schema().Fields {
		names = append(names, f.Name)
	}
	for _, u := range s.uses() {
		if u[0] != "" && !slices.Contains(names, u[0]) {
			names = append(names, u[0])
		}
	}
	for {
		b, err := r.Next()
		if err == io.EOF {
			c.rows = r.Read()
			return c, nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			column := s.column(b, name)
			for i := range b.Len() {
				if column.null(i) {
					c.nulls[name]++
				}
				if name == s.source {
					c.sources[column.label(i)]++
				}
			}
		}
	}
}

// describe writes what a file holds.
func (s *source) describe(out io.Writer, c *contents) error {
	fmt.Fprintf(out, "%s: %s, %d rows", s.file.Name(), s.file.Format(), c.rows)
	if c.bad > 0 {
		fmt.Fprintf(out, ", %d of them bad", c.bad)
	}
	fmt.Fprintln(out)
	for _, reason := range c.reasons {
		fmt.Fprintf(out, "  %s\n", reason)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  COLUMN\tNULLS\tTAKEN FOR\tTYPE")
	taken := map[string]string{}
	for _, u := range s.uses() {
		taken[u[0]] = u[1]
	}
	line := func(name string, f stream.Field) {
		nullable := ""
		if f.Nullable {
			nullable = "?"
		}
		fmt.Fprintf(w, "  %s\t%d\t%s\t%v%s\n", name, c.nulls[name], taken[name], f.Type, nullable)
	}
	for _, f := range s.file.Schema().Fields {
		line(f.Name, f)
		for _, u := range s.uses() {
			if parts := path(s.file.Schema().Fields, u[0]); len(parts) > 1 && parts[0] == f.Name {
				line(u[0], member(f, parts[1:]))
			}
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if s.problem == "" {
		fmt.Fprintln(out, "  no column for the problem: --problem names it")
	}
	if len(c.sources) > 0 {
		fmt.Fprintf(out, "  data sources: %s\n", strings.Join(shares(c.sources), ", "))
	}
	return nil
}

// member is the field that a path of members leads to.
func member(f stream.Field, parts []string) stream.Field {
	for _, part := range parts {
		outer := f.Nullable
		i := slices.IndexFunc(f.Type.Fields, func(m stream.Field) bool { return m.Name == part })
		f = f.Type.Fields[i]
		f.Nullable = f.Nullable || outer
	}
	return f
}

// shares are names with their counts, the most frequent first; the rarest of
// many are summed up.
func shares(counts map[string]int) []string {
	const most = 20
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(counts[b]-counts[a], strings.Compare(a, b))
	})
	var out []string
	rest := 0
	for i, name := range names {
		if i >= most {
			rest += counts[name]
			continue
		}
		if name == "" {
			name = "(none)"
		}
		out = append(out, fmt.Sprintf("%s %d", name, counts[names[i]]))
	}
	if rest > 0 {
		out = append(out, fmt.Sprintf("%d others %d", len(names)-most, rest))
	}
	return out
}
