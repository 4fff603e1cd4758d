package stream

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
)

// Options choose how a [Writer] writes.
type Options struct {
	Compress string // buffers: "" (not), "zstd" or "lz4"
}

// Writer writes a stream: its schema, batches, and the end marker. The bytes
// are a function of schema, batches and options.
type Writer struct {
	schema *Schema
	arrow  *arrow.Schema
	enc    *ipc.Writer
	out    *bufio.Writer
	err    error // what every further call returns
}

var errWriterClosed = errors.New("stream: write after Close")

// NewWriter writes the schema to w at once and returns a Writer of batches.
// Where that write fails, the Writer is there too and repeats the error.
func NewWriter(w io.Writer, s *Schema, o Options) (*Writer, error) {
	as, err := s.arrow()
	if err != nil {
		return nil, fmt.Errorf("stream: schema: %w", err)
	}
	opts := []ipc.Option{ipc.WithSchema(as)}
	switch o.Compress {
	case "":
	case "zstd":
		opts = append(opts, ipc.WithZstd())
	case "lz4":
		opts = append(opts, ipc.WithLZ4())
	default:
		return nil, fmt.Errorf("stream: compression %q is neither zstd nor lz4", o.Compress)
	}
	// The library writes a schema only before a batch or an end marker, so
	// it writes an empty stream of which we send all but the marker.
	var head bytes.Buffer
	if err := ipc.NewWriter(&head, opts...).Close(); err != nil {
		return nil, fmt.Errorf("stream: schema: %w", err)
	}
	wr := &Writer{schema: s, arrow: as, out: bufio.NewWriterSize(w, 64<<10)}
	wr.enc = ipc.NewWriterWithPayloadWriter(&payloads{out: wr.out}, opts...)
	_, err = wr.out.Write(head.Bytes()[:head.Len()-len(endMarker)])
	return wr, wr.flush(err)
}

// Write writes b as one record batch and flushes it. b must have the schema's
// columns, in any order, without nulls where the schema allows none. It returns
// an error that wraps [ErrClosed] where the reader has gone.
func (w *Writer) Write(b *Batch) error {
	if w.err != nil {
		return w.err
	}
	cols := make([]arrow.Array, len(w.schema.Fields))
	err := w.schema.sameColumns(&Schema{Fields: b.schema.Fields})
	for i, f := range w.schema.Fields {
		if err == nil {
			c := b.Column(f.Name)
			err = checkNulls(c, f, nil)
			cols[i] = array.MakeFromData(c.array(f.Type))
		}
	}
	if err != nil {
		// Nothing was sent, but the stream is not what it promised.
		w.err = fmt.Errorf("stream: write batch: %w", err)
		return w.err
	}
	return w.flush(w.enc.Write(array.NewRecord(w.arrow, cols, int64(b.n))))
}

// Close writes the end marker: the promise that the stream is complete. After a
// failed write it only returns that error, and whoever reads the stream takes
// it for what it is. It does not close the underlying writer.
func (w *Writer) Close() error {
	if w.err != nil {
		return w.err
	}
	_, err := w.out.Write(endMarker)
	if err = w.flush(err); err == nil {
		w.err = errWriterClosed
	}
	return err
}

var endMarker = []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}

// flush sends what is buffered, after a step that ended with err.
func (w *Writer) flush(err error) error {
	if err == nil {
		err = w.out.Flush()
	}
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) {
		err = ErrClosed
	}
	if err != nil {
		w.err = fmt.Errorf("stream: write: %w", err)
	}
	return w.err
}

// payloads frames the messages of the library's writer, but for the first: the
// schema, which was written before.
type payloads struct {
	out     *bufio.Writer
	started bool
}

func (p *payloads) Start() error { return nil }
func (p *payloads) Close() error { return nil }

func (p *payloads) WritePayload(m ipc.Payload) error {
	if !p.started {
		p.started = true
		return nil
	}
	meta := m.Meta().Bytes()
	pad := -len(meta) & 7
	h := slices.Clone(endMarker[:4])
	h = binary.LittleEndian.AppendUint32(h, uint32(len(meta)+pad))
	if _, err := p.out.Write(h); err != nil {
		return err
	}
	if _, err := p.out.Write(append(meta[:len(meta):len(meta)], make([]byte, pad)...)); err != nil {
		return err
	}
	return m.SerializeBody(p.out)
}
