package tool

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"syscall"

	"golang.org/x/term"

	"srar/lib/rows"
	"srar/lib/stream"
)

// Input is the stream of rows that a command reads.
type Input struct {
	r      *stream.Reader
	schema *stream.Schema
	stdin  io.Closer // where the input is standard input
	n      int
}

// Input opens -i or standard input and checks that its columns fit the kind;
// nil takes any.
func (t *Tool) Input(kind *rows.Kind) (*Input, error) {
	if t.inPath == "" || t.inPath == "-" {
		if err := t.CheckStdin(); err != nil {
			return nil, err
		}
		in, err := t.input(stream.NewReader(t.Stdin, "stdin", stream.Limits{}), kind)
		if err == nil {
			in.stdin = t.Stdin
		}
		return in, err
	}
	return t.OpenInput(t.inPath, kind)
}

// CheckStdin is the error of a command that is about to wait for what someone
// types: standard input is a terminal.
func (t *Tool) CheckStdin() error {
	if !term.IsTerminal(int(t.Stdin.Fd())) {
		return nil
	}
	return WithHint(Usagef("standard input is a terminal"), "give -i FILE, or connect a pipe")
}

// ToTerminal reports whether the output goes to a terminal.
func (t *Tool) ToTerminal() bool {
	return (t.outPath == "" || t.outPath == "-") && term.IsTerminal(int(t.Stdout.Fd()))
}

// InputPath returns the operand of -i; "" where there is none.
func (t *Tool) InputPath() string { return t.inPath }

// OpenInput opens another file of rows, such as the one to compare with.
func (t *Tool) OpenInput(path string, kind *rows.Kind) (*Input, error) {
	r, err := stream.Open(path)
	if err != nil {
		return nil, err
	}
	return t.input(r, kind)
}

func (t *Tool) input(r *stream.Reader, kind *rows.Kind) (*Input, error) {
	s, err := r.Schema()
	if err != nil {
		return nil, err
	}
	if kind != nil {
		if err := kind.Fits(s); err != nil {
			return nil, Inputf("%w", err)
		}
	}
	return &Input{r: r, schema: s}, nil
}

// Schema returns the schema of the stream.
func (in *Input) Schema() *stream.Schema { return in.schema }

// Next returns the next batch; io.EOF after the proven end.
func (in *Input) Next() (*stream.Batch, error) {
	b, err := in.r.Next()
	if err == nil {
		in.n++
	}
	return b, err
}

// Index returns the number of the batch that Next returned last, from 0.
func (in *Input) Index() int { return in.n - 1 }

// Digest returns the digest of all bytes read so far.
func (in *Input) Digest() string { return in.r.Digest() }

// Close closes the input before its end: the producer upstream stops. It must
// not overlap with Next.
func (in *Input) Close() error {
	err := in.r.Close()
	if in.stdin != nil {
		err = errors.Join(err, in.stdin.Close())
	}
	return err
}

// Output is the stream of rows that a command writes: to -o or standard
// output, and to the file of --save.
type Output struct {
	sinks  []sink
	text   *bufio.Writer // instead of rows
	whole  bool          // files are completed though the reader downstream has gone
	schema *stream.Schema
}

type sink struct {
	w    *stream.Writer
	file *stream.File // nil for standard output
	gone bool         // the reader downstream has enough
}

// Output opens the command's output with the schema s; the history of s gets
// the entry of this run. Nothing is final before the run
// returns nil: the frame then ends the stream and names the files.
func (t *Tool) Output(s *stream.Schema) (*Output, error) {
	o := t.output(s)
	if t.outPath == "" || t.outPath == "-" {
		if t.ToTerminal() {
			return nil, WithHint(Usagef("the output is binary and standard output is a terminal"), "give -o FILE, or | srar-cat")
		}
		w, err := stream.NewWriter(t.Stdout, o.schema, stream.Options{})
		if err != nil && !errors.Is(err, stream.ErrClosed) {
			return nil, fmt.Errorf("stdout: %w", err)
		}
		o.sinks = append(o.sinks, sink{w: w, gone: err != nil})
	} else if err := o.file(t.outPath, t.pack); err != nil {
		return nil, err
	}
	if t.save != "" {
		if err := o.file(t.save, t.pack); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// Save opens the file of --save alone, for a command whose output proper is
// text. Without the flag nothing is kept.
func (t *Tool) Save(s *stream.Schema) (*Output, error) {
	o := t.output(s)
	if t.save == "" {
		return o, nil
	}
	return o, o.file(t.save, t.pack)
}

// File opens a further output, the file at path, on the terms of [Tool.Output].
func (t *Tool) File(path string, s *stream.Schema) (*Output, error) {
	o := t.output(s)
	return o, o.file(path, "")
}

// output makes an output of this run that goes nowhere yet.
func (t *Tool) output(s *stream.Schema) *Output {
	own := *s
	own.History = append(append([]stream.Entry{}, s.History...), t.entry)
	o := &Output{schema: &own, whole: t.whole}
	t.outputs = append(t.outputs, o)
	return o
}

func (o *Output) file(path, pack string) error {
	f, err := stream.Create(path)
	if err != nil {
		return err
	}
	o.sinks = append(o.sinks, sink{file: f})
	w, err := stream.NewWriter(f, o.schema, stream.Options{Compress: pack})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	o.sinks[len(o.sinks)-1].w = w
	return nil
}

// Schema returns the schema of the output, with the entry of this run.
func (o *Output) Schema() *stream.Schema { return o.schema }

// Write writes one batch. It returns [stream.ErrClosed] when the reader
// downstream has enough: the command should return it and so stop cleanly,
// and a saved artifact then ends with this batch. With --whole it never does.
func (o *Output) Write(b *stream.Batch) error {
	var closed error
	for i := range o.sinks {
		s := &o.sinks[i]
		if s.gone {
			closed = stream.ErrClosed
			continue
		}
		if err := s.w.Write(b); err != nil {
			if s.file == nil && errors.Is(err, stream.ErrClosed) {
				s.gone, closed = true, err
				continue
			}
			return fmt.Errorf("write: %w", err)
		}
	}
	if o.whole {
		return nil
	}
	return closed
}

// finish ends the stream with its end marker.
func (o *Output) finish() error {
	if o.text != nil {
		if err := o.text.Flush(); err != nil && !errors.Is(err, stream.ErrClosed) {
			return fmt.Errorf("write: %w", err)
		}
	}
	for _, s := range o.sinks {
		if s.gone || s.w == nil {
			continue
		}
		if err := s.w.Close(); err != nil && !(s.file == nil && errors.Is(err, stream.ErrClosed)) {
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}

// commit gives files their final names.
func (o *Output) commit() error {
	for _, s := range o.sinks {
		if s.file == nil {
			continue
		}
		if err := s.file.Commit(); err != nil {
			return err
		}
	}
	return nil
}

func (o *Output) abort() {
	for _, s := range o.sinks {
		if s.file != nil {
			s.file.Abort()
		}
	}
}

// Each reads in to its proven end and calls do with each batch and its number.
func Each(in *Input, do func(b *stream.Batch, n int) error) error {
	for {
		b, err := in.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := do(b, in.Index()); err != nil {
			return err
		}
	}
}

// Text opens the command's output for text: -o or standard output, which may be
// a terminal. A file gets its final name when the run returns nil.
func (t *Tool) Text() (io.Writer, error) {
	o := &Output{}
	t.outputs = append(t.outputs, o)
	if t.outPath == "" || t.outPath == "-" {
		o.text = bufio.NewWriterSize(&closable{w: t.Stdout}, 64<<10)
		return o.text, nil
	}
	f, err := stream.Create(t.outPath)
	if err != nil {
		return nil, err
	}
	o.text = bufio.NewWriterSize(f, 64<<10)
	o.sinks = []sink{{file: f}}
	return o.text, nil
}

// closable turns the write error of a closed downstream into [stream.ErrClosed].
type closable struct{ w io.Writer }

func (c *closable) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	if errors.Is(err, syscall.EPIPE) {
		err = stream.ErrClosed
	}
	return n, err
}
