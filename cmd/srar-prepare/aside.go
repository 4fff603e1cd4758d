package main

import (
	"bytes"
	"encoding/json"
	"strings"

	"srar/lib/stream"
	"srar/lib/table"
	"srar/lib/tool"
)

// named is how many of the rows that are set aside are named.
const named = 5

// aside takes the bad rows: names the first few, counts all, and keeps them in
// a file, if there is one.
type aside struct {
	t    *tool.Tool
	file *stream.File
	n    int
}

// record is a line of the file.
type record struct {
	File   string          `json:"file"`
	Row    int             `json:"row"`            // from 0
	Line   int             `json:"line,omitempty"` // of JSON Lines, from 1
	Reason string          `json:"reason"`
	Data   json.RawMessage `json:"data,omitempty"` // the row, or a line that is not JSON as text
}

func newAside(t *tool.Tool, path string) (*aside, error) {
	a := &aside{t: t}
	var err error
	if path != "" {
		a.file, err = stream.Create(path)
	}
	return a, err
}

// unread takes a row that does not read.
func (a *aside) unread(e *table.Error, line []byte) error {
	r := record{File: e.File, Row: e.Row, Line: e.Line, Reason: e.Err.Error()}
	if e.Column != "" {
		r.Reason = "column " + e.Column + ": " + r.Reason
	}
	if json.Valid(line) {
		r.Data = line
	} else if line != nil {
		text, err := json.Marshal(strings.ToValidUTF8(string(line), "\ufffd"))
		if err != nil {
			return err
		}
		r.Data = text
	}
	return a.put(e, r)
}

// refused takes row i of b, which makes no prompt.
func (a *aside) refused(e *rowError, b *stream.Batch, i int) error {
	return a.put(e, record{File: e.file, Row: e.row, Reason: e.err.Error(), Data: object(b, i)})
}

// object is row i of b as JSON.
func object(b *stream.Batch, i int) []byte {
	out := []byte{'{'}
	for k, f := range b.Schema().Fields {
		if k > 0 {
			out = append(out, ',')
		}
		name, err := json.Marshal(f.Name)
		if err != nil {
			panic(err) // a text
		}
		out = append(append(out, name...), ':')
		out = b.Column(f.Name).AppendJSON(out, i)
	}
	return append(out, '}')
}

func (a *aside) put(e error, r record) error {
	if a.n++; a.n <= named {
		a.t.Warnf("set aside: %s", strings.TrimPrefix(e.Error(), "table: "))
	}
	if a.file == nil {
		return nil
	}
	var b bytes.Buffer
	j := json.NewEncoder(&b)
	j.SetEscapeHTML(false)
	if err := j.Encode(r); err != nil {
		return err
	}
	_, err := a.file.Write(b.Bytes())
	return err
}

func (a *aside) commit() error {
	if a.file == nil {
		return nil
	}
	return a.file.Commit()
}

func (a *aside) abort() {
	if a.file != nil {
		a.file.Abort()
	}
}
