package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"srar/lib/stream"
	"srar/lib/tool"
)

// condition is one --where: column name has, or does not have, the value.
type condition struct {
	name, value string
	not         bool
}

// conditions are all of them, a value of the flag.
type conditions []condition

// Set takes one NAME=VALUE or NAME!=VALUE.
func (w *conditions) Set(text string) error {
	name, value, ok := strings.Cut(text, "=")
	c := condition{value: value}
	c.name, c.not = strings.CutSuffix(name, "!")
	if !ok || c.name == "" {
		return fmt.Errorf("%q is neither NAME=VALUE nor NAME!=VALUE", text)
	}
	*w = append(*w, c)
	return nil
}

// String returns the conditions as they were given.
func (w *conditions) String() string {
	var all []string
	for _, c := range *w {
		is := "="
		if c.not {
			is = "!="
		}
		all = append(all, c.name+is+c.value)
	}
	return strings.Join(all, " ")
}

// column is the name in the data of s that a condition means.
func (c condition) column(s *source) string {
	if c.name == "source" && s.source != "" {
		return s.source
	}
	return c.name
}

// resolve is an error where s lacks a column that a condition names. A file
// without any column has no rows.
func (w conditions) resolve(s *source) error {
	for _, c := range w {
		if name := c.column(s); !s.has(name) && len(s.file.Schema().Fields) > 0 {
			return tool.WithHint(tool.Inputf("%s: no column %s, which --where names", s.file.Name(), name), "the columns are %s", s.columns())
		}
	}
	return nil
}

// on returns what says whether row i of b meets the conditions: for each column
// one of the values that it may have, and none of those that it may not.
func (w conditions) on(s *source, b *stream.Batch) (func(i int) bool, error) {
	type test struct {
		column    column
		any, none []string
	}
	var tests []test
	for _, c := range w {
		name := c.column(s)
		k := slices.IndexFunc(tests, func(t test) bool { return t.column.name == name })
		if k < 0 {
			k = len(tests)
			tests = append(tests, test{column: s.column(b, name)})
			if typ := tests[k].column.c.Type(); typ.Kind == stream.List || typ.Kind == stream.Struct {
				return nil, tool.Inputf("%s: column %s is %v, which --where does not compare", s.file.Name(), name, typ)
			}
		}
		if c.not {
			tests[k].none = append(tests[k].none, c.value)
		} else {
			tests[k].any = append(tests[k].any, c.value)
		}
	}
	return func(i int) bool {
		for _, t := range tests {
			have := t.column.label(i)
			if len(t.any) > 0 && !slices.Contains(t.any, have) || slices.Contains(t.none, have) {
				return false
			}
		}
		return true
	}, nil
}

// label is row i of a column without parts as text, "" for null.
func (c column) label(i int) string {
	if !c.null(i) && c.c.Type().Kind == stream.Bool {
		return strconv.FormatBool(c.c.Bool(i))
	}
	text, err := c.text(i)
	if err != nil || text == nil {
		return ""
	}
	return *text
}
