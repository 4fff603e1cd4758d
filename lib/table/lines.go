package table

import (
	"bufio"
	"bytes"
	"fmt"
	"hash"
	"io"
)

// maxLine bounds one line of JSON.
const maxLine = 256 << 20

// lineReader reads lines of any length up to maxLine, without their end, and
// skips blank ones.
type lineReader struct {
	r     *bufio.Reader
	line  int // number of the line that next returned last, from 1
	buf   []byte
	close func()
}

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
	raw := io.TeeReader(io.NewSectionReader(t.f, 0, t.size), h)
	lines, err := t.packing.lines(raw)
	if err != nil {
		return place(err, t.name, -1, 0, "")
	}
	defer lines.close()
	var all shape
	for row := 0; ; row++ {
		line, err := lines.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return place(err, t.name, row, lines.line, "")
		}
		o, err := parseLine(line)
		if err == nil {
			all.see(o)
		} else if t.bad == nil {
			t.bad = place(err, t.name, row, lines.line, "")
		}
	}
	if len(all.names) > maxMembers {
		return place(faultf(Unsupported, "more than %d columns", maxMembers), t.name, -1, 0, "")
	}
	t.columns = all.columns()
	// The digest is of all bytes, those behind packed data included.
	if _, err := io.Copy(io.Discard, raw); err != nil {
		return fmt.Errorf("table: %s: %w", t.name, err)
	}
	return nil
}

// jsonSource reads the rows of JSON Lines.
type jsonSource struct {
	lines  *lineReader
	index  map[string]int
	values []any
}

func (t *File) jsonRows(names []string) (rowSource, error) {
	lines, err := t.packing.lines(io.NewSectionReader(t.f, 0, t.size))
	if err != nil {
		return nil, place(err, t.name, -1, 0, "")
	}
	s := &jsonSource{lines: lines, index: make(map[string]int, len(names)), values: make([]any, len(names))}
	for i, n := range names {
		s.index[n] = i
	}
	return s, nil
}

func (s *jsonSource) next() (row, error) {
	line, err := s.lines.next()
	r := row{values: s.values, line: s.lines.line, text: line}
	if err != nil {
		return r, err
	}
	var o object
	if o, r.bad = parseLine(line); r.bad != nil {
		return r, nil
	}
	for i := range s.values {
		s.values[i] = missing{}
	}
	for i, key := range o.keys {
		if k, ok := s.index[key]; ok {
			s.values[k] = o.values[i]
		}
	}
	return r, nil
}

func (s *jsonSource) close() { s.lines.close() }
