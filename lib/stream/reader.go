package stream

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"srar/lib/ipc"
)

// Reader reads the batches of an input: Arrow IPC streams or files, one after
// another. It reads ahead no further than its buffer. It is not safe for
// concurrent use; what it returns is.
type Reader struct {
	name    string
	src     *ipc.Reader
	lim     Limits
	hash    hash.Hash
	close   io.Closer
	schema  *Schema
	wires   []*wire // columns of the stream being read
	order   []int   // of wires in schema
	dicts   dictionaries
	dec     ipc.Decoders
	batches int
	open    bool  // between a schema and its end
	err     error // what every further call returns
}

// NewReader returns a Reader of r. name is what errors call the input. Limits
// that are zero are the default ones.
func NewReader(r io.Reader, name string, lim Limits) *Reader {
	h := sha256.New()
	lim = lim.withDefaults()
	return &Reader{name: name, hash: h, src: ipc.NewReader(io.TeeReader(r, h), lim.Metadata, lim.Body), lim: lim}
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
	r.dec.Close()
	if r.close == nil {
		return nil
	}
	return r.close.Close()
}

// guard calls f and says where in the input it failed. A panic is a failure
// too: whatever slipped through our checks must not end the process.
func (r *Reader) guard(f func() error) (err error) {
	at := r.src.Offset()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("malformed: %v", p)
		}
		var read *ipc.ReadError
		switch {
		case err == nil || err == io.EOF:
		case errors.As(err, &read):
			err = fmt.Errorf("stream: read %s: %w", r.name, read.Err)
		default:
			err = &InputError{Name: r.name, Batch: r.batches, Offset: at, Err: err}
		}
	}()
	return f()
}

// begin reads the start of a stream or file, up to its schema.
func (r *Reader) begin() error {
	if err := r.src.Begin(); err != nil {
		return err
	}
	m, err := r.src.Next()
	if err != nil {
		return err
	}
	if m == nil || m.Head != ipc.Schema || len(m.Body) != 0 {
		return errors.New("does not start with a schema")
	}
	r.dicts = dictionaries{byID: map[int64]*dictionary{}}
	s, wires, err := (&schemaReader{dicts: r.dicts}).schema(m.Table)
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
	m, err := r.src.Next()
	if err != nil {
		return nil, err
	}
	if m == nil {
		r.open = false
		return nil, r.src.More()
	}
	switch m.Head {
	case ipc.DictionaryBatch:
		return nil, r.dicts.load(m, r.lim, &r.dec)
	case ipc.RecordBatch:
		return r.batch(m)
	}
	return nil, fmt.Errorf("message of type %d among batches", m.Head)
}

func (r *Reader) batch(m *ipc.Message) (*Batch, error) {
	l, err := newLoader(m.Table, m.Body, r.lim, &r.dec)
	if err != nil {
		return nil, err
	}
	cols, err := l.columns(r.wires)
	if err != nil {
		return nil, err
	}
	b := &Batch{schema: r.schema, n: int(l.Rows), cols: make([]*Column, len(cols))}
	for k, c := range cols {
		b.cols[r.order[k]] = c
	}
	return b, nil
}
