package stream

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
)

// Reader reads the batches of an input: Arrow IPC streams or files, one after
// another. It reads ahead no further than its buffer. It is not safe for
// concurrent use; what it returns is.
type Reader struct {
	name    string
	src     source
	hash    hash.Hash
	close   io.Closer
	schema  *Schema
	wires   []*wire // columns of the stream being read
	order   []int   // of wires in schema
	dicts   dictionaries
	dec     decoders
	batches int
	file    *fileState // nil in a stream
	open    bool       // between a schema and its end
	err     error      // what every further call returns
}

// fileState is what the footer of a file will be compared with.
type fileState struct {
	start          int64
	dicts, batches []block
}

// NewReader returns a Reader of r. name is what errors call the input. Limits
// that are zero are the default ones.
func NewReader(r io.Reader, name string, lim Limits) *Reader {
	h := sha256.New()
	return &Reader{
		name: name, hash: h,
		src: source{r: bufio.NewReaderSize(io.TeeReader(r, h), 64<<10), lim: lim.withDefaults()},
	}
}

// Open returns a Reader of the file at path; "-" and "" are standard input.
func Open(path string) (*Reader, error) {
	if path == "-" || path == "" {
		return NewReader(os.Stdin, "stdin", Limits{}), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("stream: %w", err)
	}
	r := NewReader(f, path, Limits{})
	r.close = f
	return r, nil
}

// Schema reads up to the first schema, if that is still to come, and returns it.
func (r *Reader) Schema() (*Schema, error) {
	if r.schema == nil && r.err == nil {
		r.err = r.guard(r.begin)
	}
	if r.schema == nil {
		return nil, r.err
	}
	return r.schema, nil
}

// Next returns the next batch. It returns io.EOF only after the proven end of
// the last stream. A following stream must have the columns and the kind of the
// first, whose schema all batches carry. Errors are final: each further call
// returns the same. Those that are the input's fault are an [InputError].
func (r *Reader) Next() (*Batch, error) {
	var b *Batch
	for b == nil && r.err == nil {
		r.err = r.guard(func() (err error) {
			if !r.open {
				return r.begin()
			}
			b, err = r.step()
			return err
		})
	}
	if r.err != nil {
		return nil, r.err
	}
	r.batches++
	return b, nil
}

// Digest returns "sha256:<hex>" over the bytes read so far; after io.EOF from
// [Reader.Next], over the whole input.
func (r *Reader) Digest() string { return "sha256:" + hex.EncodeToString(r.hash.Sum(nil)) }

// Close closes the file that [Open] opened and frees what decompression holds.
func (r *Reader) Close() error {
	if r.err == nil {
		r.err = errors.New("stream: read after Close")
	}
	if r.dec.zstd != nil {
		r.dec.zstd.Close()
		r.dec.zstd = nil
	}
	if r.close == nil {
		return nil
	}
	return r.close.Close()
}

// readError is a failure to read, which is not the input's fault.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// guard calls f and says where in the input it failed. A panic is a failure
// too: whatever slipped through our checks must not end the process.
func (r *Reader) guard(f func() error) (err error) {
	at := r.src.off
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("malformed: %v", p)
		}
		var read *readError
		switch {
		case err == nil || err == io.EOF:
		case errors.As(err, &read):
			err = fmt.Errorf("stream: read %s: %w", r.name, read.err)
		default:
			err = &InputError{Name: r.name, Batch: r.batches, Offset: at, Err: err}
		}
	}()
	return f()
}

// begin reads the start of a stream or file, up to its schema.
func (r *Reader) begin() error {
	r.file = nil
	if b, _ := r.src.r.Peek(len(magic)); len(b) > 0 && bytes.HasPrefix(magic, b) {
		r.file = &fileState{start: r.src.off}
		if _, err := r.src.read(8); err != nil {
			return err
		}
	}
	m, err := r.src.next(r.file != nil)
	if err != nil {
		return err
	}
	if m == nil || m.head != headSchema || len(m.body) != 0 {
		return errors.New("does not start with a schema")
	}
	r.dicts = dictionaries{byID: map[int64]*dictionary{}}
	s, wires, err := (&schemaReader{dicts: r.dicts}).schema(m.table)
	if err != nil {
		return fmt.Errorf("schema: %w", err)
	}
	if r.schema == nil {
		r.schema = s
	} else if err := r.schema.sameColumns(s); err != nil {
		return fmt.Errorf("schema of a following stream: %w", err)
	}
	r.wires, r.order = wires, make([]int, len(wires))
	for k, w := range wires {
		i, _ := r.schema.Lookup(w.field.Name)
		r.order[k] = i
		w.adopt(r.schema.Fields[i])
	}
	r.open = true
	return nil
}

// step reads one message. It returns neither batch nor error for one that is
// not a batch, and io.EOF at the proven end of the input.
func (r *Reader) step() (*Batch, error) {
	m, err := r.src.next(r.file != nil)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, r.end()
	}
	switch m.head {
	case headDictionary:
		if r.file != nil {
			r.file.dicts = append(r.file.dicts, m.block)
		}
		return nil, r.dicts.load(m, r.src.lim, &r.dec)
	case headRecordBatch:
		if r.file != nil {
			r.file.batches = append(r.file.batches, m.block)
		}
		return r.batch(m)
	}
	return nil, fmt.Errorf("message of type %d among batches", m.head)
}

func (r *Reader) batch(m *message) (*Batch, error) {
	l := &loader{lim: r.src.lim}
	n, err := l.batch(m.table, m.body, &r.dec)
	if err != nil {
		return nil, err
	}
	cols, err := l.columns(r.wires, n)
	if err != nil {
		return nil, err
	}
	b := &Batch{schema: r.schema, n: n, cols: make([]*Column, len(cols))}
	for k, c := range cols {
		b.cols[r.order[k]] = c
	}
	return b, nil
}

// end is called at the end marker: it reads the footer of a file and looks
// whether another stream follows.
func (r *Reader) end() error {
	if r.file != nil {
		if err := r.src.footer(r.file.start, r.file.dicts, r.file.batches); err != nil {
			return err
		}
	}
	r.open = false
	_, err := r.src.r.Peek(1)
	if err != nil && err != io.EOF {
		return &readError{err}
	}
	return err
}
