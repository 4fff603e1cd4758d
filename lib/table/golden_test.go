package table

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/golden"
	"srar/lib/stream"
)

// rows reads all rows of a file, one JSON object each.
func rows(f *File, o Options) ([]map[string]any, error) {
	r, err := f.Rows(o)
	if err != nil {
		return nil, err
	}
	out := []map[string]any{}
	for {
		b, err := r.Next()
		if err == io.EOF {
			if r.Read() != len(out) {
				return nil, errors.New("Read counts wrong")
			}
			return out, nil
		}
		if err != nil {
			return out, err
		}
		if !slices.EqualFunc(b.Schema().Fields, r.Schema().Fields, func(a, b stream.Field) bool {
			return a.Name == b.Name && a.Nullable == b.Nullable && a.Type.String() == b.Type.String()
		}) {
			return nil, errors.New("a batch of another schema")
		}
		for i := range b.Len() {
			row := map[string]any{}
			for _, c := range b.Schema().Fields {
				row[c.Name] = decode(b.Column(c.Name).AppendJSON(nil, i))
			}
			out = append(out, row)
		}
	}
}

func decode(b []byte) any {
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return err
	}
	return v
}

// same compares JSON values, numbers by what they are worth.
func same(a, b any) bool {
	switch x := a.(type) {
	case json.Number:
		y, ok := b.(json.Number)
		p, okP := new(big.Rat).SetString(x.String())
		q, okQ := new(big.Rat).SetString(y.String())
		return ok && okP && okQ && p.Cmp(q) == 0
	case []any:
		y, ok := b.([]any)
		return ok && slices.EqualFunc(x, y, same)
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for k, v := range x {
			if w, ok := y[k]; !ok || !same(v, w) {
				return false
			}
		}
		return true
	}
	return a == b
}

type goldenFile struct {
	File, Expect, Error, Column, Writer string
	Rows                                int
	Row, Line                           *int
	Optional                            bool
}

// columns are what a data set has to have.
func columns(f *File) Options {
	o := Options{Types: []stream.Field{
		{Name: "problem", Type: stream.TUtf8}, {Name: "rubric", Type: stream.TUtf8, Nullable: true},
	}, Texts: []string{"ground_truth"}}
	if _, ok := f.Schema().Lookup("reward_model"); ok {
		o.Types, o.Texts = nil, nil
	}
	return o
}

func TestGoldenTables(t *testing.T) {
	dir := golden.Path(t, "text", "tables")
	good, bad := 0, 0
	for _, g := range golden.Lines[goldenFile](t, filepath.Join(dir, "manifest.jsonl")) {
		t.Run(g.File, func(t *testing.T) {
			if g.Error == "" {
				good++
				goldenGood(t, dir, g)
			} else {
				bad++
				goldenBad(t, dir, g)
			}
		})
	}
	require.NotZero(t, good)
	require.NotZero(t, bad)
}

func goldenGood(t *testing.T, dir string, g goldenFile) {
	f, err := Open(filepath.Join(dir, g.File))
	require.NoError(t, err)
	defer f.Close()
	got, err := rows(f, Options{})
	if g.Optional && err != nil {
		require.Equal(t, Unsupported, kindOfError(t, err), "%v", err)
		return
	}
	require.NoError(t, err)
	texts, err := rows(f, columns(f))
	require.NoError(t, err)
	expect, err := os.ReadFile(filepath.Join(dir, g.Expect)) // empty where there are no rows
	require.NoError(t, err)
	i := 0
	for line := range bytes.Lines(expect) {
		require.Less(t, i, len(got))
		want := decode(line).(map[string]any)
		text := want["ground_truth_text"]
		delete(want, "ground_truth_text")
		delete(want, "rubric_items")
		if _, ok := texts[i]["ground_truth"]; ok {
			require.Equal(t, text, texts[i]["ground_truth"], "row %d", i)
		}
		for name, v := range want {
			have, ok := got[i][name]
			if _, isNumber := v.(json.Number); isNumber && isText(f, name) {
				require.Equal(t, text, have, "row %d: %s", i, name) // numbers and texts in one column
				continue
			}
			if !ok {
				require.Nil(t, v, "row %d: %s", i, name)
				continue
			}
			require.True(t, same(v, have), "row %d: %s is %v, not %v", i, name, have, v)
		}
		i++
	}
	require.Equal(t, i, len(got))
	require.Equal(t, g.Rows, len(got))
}

func isText(f *File, name string) bool {
	i, ok := f.Schema().Lookup(name)
	return ok && f.Schema().Fields[i].Type.Kind == stream.Utf8
}

func kindOfError(t *testing.T, err error) Kind {
	var e *Error
	require.True(t, errors.As(err, &e), "%v", err)
	require.Equal(t, 3, e.ExitCode())
	return e.Kind
}

func goldenBad(t *testing.T, dir string, g goldenFile) {
	f, err := Open(filepath.Join(dir, g.File))
	if err == nil {
		defer f.Close()
		_, err = rows(f, columns(f))
	}
	if strings.HasPrefix(g.Error, "rubric_") {
		require.NoError(t, err) // a file is right though its rubrics are not
		return
	}
	if err == nil && g.Error == "missing_column" && g.Line == nil {
		_, ok := f.Schema().Lookup(g.Column)
		require.False(t, ok)
		return
	}
	var e *Error
	require.True(t, errors.As(err, &e), "%v", err)
	require.Contains(t, err.Error(), g.File)
	switch g.Error {
	case "truncated", "empty", "magic", "footer", "page_checksum":
		require.Contains(t, []Kind{Corrupt, Unsupported}, e.Kind, "%v", err)
	default:
		require.Equal(t, Kind(g.Error), e.Kind, "%v", err)
	}
	if g.Row != nil {
		require.Equal(t, *g.Row, e.Row, "%v", err)
	}
	if g.Line != nil {
		require.Equal(t, *g.Line, e.Line, "%v", err)
	}
	if g.Column != "" {
		require.Equal(t, g.Column, e.Column, "%v", err)
	}
}
