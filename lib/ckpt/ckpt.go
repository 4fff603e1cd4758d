// Package ckpt reads and writes checkpoint directories in the layout of
// Hugging Face: config.json, generation_config.json, model.safetensors (or
// shards with an index), tokenizer and template files.
//
// Weights are mapped, not read: [Open] checks every header and costs
// milliseconds, [Tensor.Float32] converts what is asked for. [Write] makes a
// whole directory appear at once or not at all; files of the parent that this
// package does not interpret are carried over byte for byte. Beside them lie
// three files of our own: srar.json ([Meta]); optimizer.safetensors, which
// holds the moments NAME.m and NAME.v of each parameter NAME, and under NAME
// itself the float32 master of a parameter that is stored in fewer bits; and
// [MetricsFile].
//
// Directories come from elsewhere. A truncated, overlapping, mislabelled or
// hostile file is an error and never a crash, a file cut while it is mapped
// included.
package ckpt

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
)

// MetricsFile is the name of the file that tells of the optimiser steps between
// a checkpoint and its parent. Only its writer knows what it holds, and no
// checkpoint inherits it.
const MetricsFile = "metrics.arrow"

// Names of the files of a checkpoint that this package interprets.
const (
	configFile     = "config.json"
	generationFile = "generation_config.json"
	weightsFile    = "model.safetensors"
	indexFile      = "model.safetensors.index.json"
	optimizerFile  = "optimizer.safetensors"
	metaFile       = "srar.json"
)

// shardFile matches the names that shards of a model have by convention.
var shardFile = regexp.MustCompile(`^model-\d{5,}-of-\d{5,}\.safetensors$`)

// Meta is srar.json: how the weights came about. It holds no clock, path or
// host, so the same work gives the same bytes.
type Meta struct {
	// Step counts the optimiser steps behind the weights, over all commands.
	Step int64 `json:"step"`
	// Parent is the [Checkpoint.Digest] of the checkpoint that was trained on.
	Parent string `json:"parent,omitempty"`
	// Made is a digest of all that went into the weights (parent, flags, input),
	// by which a caller recognises work that is already done.
	Made string `json:"made,omitempty"`
	// History holds one entry for each command, oldest first.
	History []json.RawMessage `json:"history,omitempty"`
}

// Checkpoint is an open checkpoint directory. Its methods may be used by
// several goroutines at once, except Close.
type Checkpoint struct {
	Config Config
	dir    string
	meta   Meta
	files  []*File          // the weights, in order of file name
	at     map[string]*File // tensor name -> its file

	once   sync.Once
	digest string
	err    error
}

// Open opens the checkpoint in dir: it reads the configuration, maps the
// weights, and checks that each tensor the configuration asks for is there in
// the right shape and no other. It does not read the weights themselves.
func Open(dir string) (*Checkpoint, error) {
	c := &Checkpoint{dir: dir, at: map[string]*File{}}
	if err := c.open(); err != nil {
		c.Close()
		return nil, fmt.Errorf("checkpoint %s: %w", dir, err)
	}
	return c, nil
}

func (c *Checkpoint) open() error {
	var err error
	if c.Config, err = readConfig(c.dir); err != nil {
		return err
	}
	if c.meta, err = readMeta(filepath.Join(c.dir, metaFile)); err != nil {
		return err
	}
	if err := c.openWeights(); err != nil {
		return err
	}
	if err := c.checkTensors(); err != nil {
		return err
	}
	if c.Config.DType == "" {
		c.Config.DType = torchNames[c.at[embedName].tensors[embedName].dtype]
	}
	return nil
}

func readMeta(path string) (Meta, error) {
	var m Meta
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("%s: %w", metaFile, err)
	}
	if m.Step < 0 {
		return m, fmt.Errorf("%s: step is %d", metaFile, m.Step)
	}
	return m, nil
}

// openWeights maps model.safetensors or, where that is absent, the shards that
// the index names.
func (c *Checkpoint) openWeights() error {
	f, err := OpenFile(filepath.Join(c.dir, weightsFile))
	if err == nil {
		return c.add(f)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b, err := os.ReadFile(filepath.Join(c.dir, indexFile))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("neither %s nor %s: %w", weightsFile, indexFile, err)
	}
	if err != nil {
		return err
	}
	place, err := parseIndex(b)
	if err != nil {
		return fmt.Errorf("%s: %w", indexFile, err)
	}
	var shards []string
	for _, s := range place {
		shards = append(shards, s)
	}
	slices.Sort(shards)
	for _, s := range slices.Compact(shards) {
		f, err := OpenFile(filepath.Join(c.dir, s))
		if err != nil {
			return err
		}
		if err := c.add(f); err != nil {
			return err
		}
		for _, n := range f.names {
			if place[n] != s {
				return fmt.Errorf("%s: tensor %q lies in %s, not where the index says", indexFile, n, s)
			}
		}
	}
	for n, s := range place {
		if c.at[n] == nil {
			return fmt.Errorf("%s: tensor %q is not in %s", indexFile, n, s)
		}
	}
	return nil
}

func (c *Checkpoint) add(f *File) error {
	c.files = append(c.files, f)
	for _, n := range f.names {
		if c.at[n] != nil {
			return fmt.Errorf("tensor %q is in two files, %s and %s", n, filepath.Base(c.at[n].path), filepath.Base(f.path))
		}
		c.at[n] = f
	}
	return nil
}

// checkTensors holds the tensors against those that the configuration asks for.
func (c *Checkpoint) checkTensors() error {
	want := map[string]bool{}
	for _, p := range c.Config.Parameters() {
		want[p.Name] = true
		f := c.at[p.Name]
		if f == nil {
			return fmt.Errorf("tensor %q is missing", p.Name)
		}
		t := f.tensors[p.Name]
		if !slices.Equal(t.shape, p.Shape) {
			return fmt.Errorf("tensor %q has shape %v, the configuration asks for %v", p.Name, t.shape, p.Shape)
		}
		if !t.dtype.float() {
			return fmt.Errorf("tensor %q is %s; weights are read from F32, BF16 and F16", p.Name, t.dtype)
		}
	}
	for _, n := range c.Names() {
		if !want[n] && !c.Config.passive(n) {
			return fmt.Errorf("tensor %q is no part of a %s model", n, c.Config.ModelType)
		}
	}
	return nil
}

// Names returns the names of all stored tensors, sorted.
func (c *Checkpoint) Names() []string {
	var names []string
	for _, f := range c.files {
		names = append(names, f.names...)
	}
	slices.Sort(names)
	return names
}

// Tensor returns a stored tensor; it is valid until Close.
func (c *Checkpoint) Tensor(name string) (Tensor, error) {
	f := c.at[name]
	if f == nil {
		return Tensor{}, fmt.Errorf("checkpoint %s: no tensor %q", c.dir, name)
	}
	return f.Tensor(name)
}

// Dir returns the directory that was opened.
func (c *Checkpoint) Dir() string { return c.dir }

// Meta returns the content of srar.json, or the zero Meta for a checkpoint
// that has none.
func (c *Checkpoint) Meta() Meta { return c.meta }

// Step returns the number of optimiser steps behind the weights, 0 for a
// checkpoint from elsewhere.
func (c *Checkpoint) Step() int64 { return c.meta.Step }

// Digest returns "sha256:" and 64 hexadecimal digits that identify the stored
// weights: names, types, shapes and bytes in order of name, however they are
// spread over files. It reads all weights the first time.
func (c *Checkpoint) Digest() (string, error) {
	c.once.Do(func() {
		h := sha256.New()
		text := func(s string) {
			h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(s))))
			h.Write([]byte(s))
		}
		for _, n := range c.Names() {
			t, err := c.Tensor(n)
			if err != nil {
				c.err = err
				return
			}
			text(n)
			text(t.DType.String())
			h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(t.Shape))))
			for _, d := range t.Shape {
				h.Write(binary.LittleEndian.AppendUint64(nil, uint64(d)))
			}
			if c.err = t.guard(func() { h.Write(t.raw) }); c.err != nil {
				return
			}
		}
		c.digest = "sha256:" + hex.EncodeToString(h.Sum(nil))
	})
	return c.digest, c.err
}

// Optimizer opens optimizer.safetensors, the moments and masters of the last
// update; nil without an error when the checkpoint has none. The caller closes it.
func (c *Checkpoint) Optimizer() (*File, error) {
	f, err := OpenFile(filepath.Join(c.dir, optimizerFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", c.dir, err)
	}
	return f, nil
}

// Close gives the mappings back; tensors must not be used after it.
func (c *Checkpoint) Close() error {
	var err error
	for _, f := range c.files {
		err = errors.Join(err, f.Close())
	}
	c.files, c.at = nil, nil
	return err
}
