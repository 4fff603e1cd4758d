// Package gguf presents a model in a GGUF file, the format of llama.cpp, as a
// checkpoint in the layout of Hugging Face: files such as config.json and
// tokenizer.json, made from the metadata, and tensors under their names there.
//
// Read are versions 2 and 3, little-endian, in one file; the architectures
// llama (Mistral among them), qwen2 and qwen3; tensors of type F32, F16 and
// BF16, and those quantised as Q8_0, Q4_0, Q4_1, Q4_K and Q6_K, which become
// float32 as ggml's reference defines it, bit for bit; byte-level BPE
// tokenizers. What is not supported, and any value that would change the
// arithmetic and is not known, is an error that names it.
//
// The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Files
// come from elsewhere: one that is cut, contradicts itself or is hostile is an
// error, never a crash, and asks for no more memory than a small multiple of
// its size.
package gguf

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"srar/lib/mapped"
)

// Model is an open GGUF file. Its methods may be used by several goroutines at
// once, except Close.
type Model struct {
	files   memory
	tensors []Tensor
	release func() error
}

// Open maps the file at path and reads its header, not the tensors.
func Open(path string) (*Model, error) {
	b, release, err := mapped.Open(path)
	if err != nil {
		return nil, err
	}
	var m *Model
	if e := mapped.Guard(func() { m, err = read(b) }); e != nil {
		err = e
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", filepath.Base(path), err), release())
	}
	m.release = release
	return m, nil
}

// read reads a GGUF file that lies in b.
func read(b []byte) (*Model, error) {
	f, err := parse(b)
	if err != nil {
		return nil, err
	}
	v := &view{values: f.values, known: map[string]bool{}}
	s, err := v.shape()
	if err != nil {
		return nil, err
	}
	tensors, freqs, err := v.tensors(f, s)
	if err != nil {
		return nil, err
	}
	config, rows, err := v.config(s, tensors, freqs)
	if err != nil {
		return nil, err
	}
	t, err := v.tokenizer(rows)
	if err != nil {
		return nil, err
	}
	files := memory{"config.json": config}
	if err := t.files(files); err != nil {
		return nil, err
	}
	return &Model{files: files, tensors: tensors}, nil
}

// Files returns config.json, generation_config.json, tokenizer.json,
// tokenizer_config.json and, where the model has a chat template,
// chat_template.jinja.
func (m *Model) Files() fs.FS { return m.files }

// Tensors returns the weights, in the order of the file; they are valid until
// Close.
func (m *Model) Tensors() []Tensor { return m.tensors }

// Close gives the mapping back.
func (m *Model) Close() error {
	m.tensors = nil
	return m.release()
}

// Tensor is a weight under its name in the layout of Hugging Face, row-major.
type Tensor struct {
	Name  string
	Type  Type
	Shape []int
	data  []byte
	pairs int // rows that are stored interleaved with the next ones; 0: as they are
}

// Rows returns how many rows the tensor is read in, and the numbers of a row.
func (t *Tensor) Rows() (n, width int) {
	width = t.Shape[len(t.Shape)-1]
	if t.pairs > 0 && len(t.Shape) == 1 {
		width = 1
	}
	n = 1
	for _, d := range t.Shape {
		n *= d
	}
	return n / width, width
}

// Row returns the stored bytes of row i. They lie in the mapping: read them
// inside [mapped.Guard].
//
// llama.cpp turns neighbours by the rotary embedding where Hugging Face's Llama
// turns numbers half a head apart; so its files have the rows of a head's second
// half between those of the first in q and k.
func (t *Tensor) Row(i int) []byte {
	n, _ := t.Rows()
	if t.pairs > 0 {
		head, at := i/(2*t.pairs), i%(2*t.pairs)
		i = 2*t.pairs*head + 2*(at%t.pairs) + at/t.pairs
	}
	size := len(t.data) / n
	return t.data[i*size : (i+1)*size]
}

// Float32 writes row i to dst, which has its length. It reads the mapping, as
// Row does.
func (t *Tensor) Float32(dst []float32, i int) { t.Type.decode(dst, t.Row(i)) }
