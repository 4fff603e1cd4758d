// Package ckpt reads and writes checkpoint directories in the layout of
// Hugging Face: config.json, generation_config.json, model.safetensors (or
// shards with an index), tokenizer and template files. It reads GGUF files as
// such a directory, as [gguf] presents them.
//
// Weights are mapped, not read: [Open] checks every header and costs
// milliseconds, [Tensor.Float32] converts what is asked for. [Write] makes a
// whole directory appear at once or not at all; files of the parent that this
// package does not interpret are carried over byte for byte. Beside them lie
// three files of our own: srar.json ([Meta]); optimizer.safetensors, the state of
// the optimiser as its owner gives it; and [MetricsFile].
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
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"

	"srar/lib/gguf"
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
	// Base is the [Checkpoint.Digest] of the weights that an adapter changes; ""
	// where there is none.
	Base string `json:"base,omitempty"`
	// Made is a digest of all that went into the weights (parent, flags, input),
	// by which a caller recognises work that is already done.
	Made string `json:"made,omitempty"`
	// History holds one entry for each command, oldest first.
	History []json.RawMessage `json:"history,omitempty"`
}

// Checkpoint is an open checkpoint. Its methods may be used by several
// goroutines at once, except Close.
type Checkpoint struct {
	Config Config
	path   string
	files  fs.FS
	meta   Meta
	shards []*File     // the weights of a directory, in order of file name
	model  *gguf.Model // the weights of a GGUF file
	at     map[string]Tensor

	adapter *Adapter // see [Checkpoint.Apply]
	base    string   // digest without it

	once   sync.Once
	digest string
	err    error
}

// Open opens the checkpoint at path, a directory or a GGUF file: it reads the
// configuration, maps the weights, and checks that each tensor the configuration
// asks for is there in the right shape and no other. It does not read the
// weights themselves.
func Open(path string) (*Checkpoint, error) {
	c := &Checkpoint{path: path, at: map[string]Tensor{}}
	if err := c.open(); err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", path, errors.Join(err, c.Close()))
	}
	return c, nil
}

func (c *Checkpoint) open() error {
	st, err := os.Stat(c.path)
	if err != nil {
		return err
	}
	if st.IsDir() {
		c.files = os.DirFS(c.path)
	} else {
		if c.model, err = gguf.Open(c.path); err != nil {
			return err
		}
		c.files = c.model.Files()
	}
	if c.Config, err = readConfig(c.files); err != nil {
		return err
	}
	if c.meta, err = readMeta(c.files); err != nil {
		return err
	}
	if c.model != nil {
		err = c.addModel()
	} else {
		err = c.openWeights()
	}
	if err != nil {
		return err
	}
	if err := c.checkTensors(); err != nil {
		return err
	}
	if c.Config.DType == "" {
		c.Config.DType = torchNames[c.at[embedName].DType]
	}
	return nil
}

func readMeta(files fs.FS) (Meta, error) {
	var m Meta
	b, err := fs.ReadFile(files, metaFile)
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
	f, err := OpenFile(filepath.Join(c.path, weightsFile))
	if err == nil {
		return c.add(f)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b, err := fs.ReadFile(c.files, indexFile)
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
		f, err := OpenFile(filepath.Join(c.path, s))
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
		if _, ok := c.at[n]; !ok {
			return fmt.Errorf("%s: tensor %q is not in %s", indexFile, n, s)
		}
	}
	return nil
}

func (c *Checkpoint) add(f *File) error {
	c.shards = append(c.shards, f)
	for _, n := range f.names {
		if _, ok := c.at[n]; ok {
			return fmt.Errorf("tensor %q is in two files, %s is the second", n, filepath.Base(f.path))
		}
		c.at[n], _ = f.Tensor(n)
	}
	return nil
}

// addModel takes the tensors of a GGUF file; those that are quantised are F32.
func (c *Checkpoint) addModel() error {
	for _, t := range c.model.Tensors() {
		if _, ok := c.at[t.Name]; ok {
			return fmt.Errorf("tensor %q comes twice", t.Name)
		}
		d := F32
		switch t.Type {
		case gguf.BF16:
			d = BF16
		case gguf.F16:
			d = F16
		}
		c.at[t.Name] = Tensor{Name: t.Name, DType: d, Shape: slices.Clone(t.Shape), rows: &t}
	}
	return nil
}

// checkTensors holds the tensors against those that the configuration asks for.
func (c *Checkpoint) checkTensors() error {
	want := map[string]bool{}
	for _, p := range c.Config.Parameters() {
		want[p.Name] = true
		t, ok := c.at[p.Name]
		if !ok {
			return fmt.Errorf("tensor %q is missing", p.Name)
		}
		if !slices.Equal(t.Shape, p.Shape) {
			return fmt.Errorf("tensor %q has shape %v, the configuration asks for %v", p.Name, t.Shape, p.Shape)
		}
		if !t.DType.float() {
			return fmt.Errorf("tensor %q is %s; weights are read from F32, BF16 and F16", p.Name, t.DType)
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
	return slices.Sorted(maps.Keys(c.at))
}

// Tensor returns a stored tensor; it is valid until Close.
func (c *Checkpoint) Tensor(name string) (Tensor, error) {
	t, ok := c.at[name]
	if !ok {
		return t, fmt.Errorf("checkpoint %s: no tensor %q", c.path, name)
	}
	t.Shape = slices.Clone(t.Shape)
	return t, nil
}

// Path returns what was opened.
func (c *Checkpoint) Path() string { return c.path }

// Files returns the files of the checkpoint by name, of a directory those that
// lie in it, of a GGUF file those that it stands for, without the weights:
// tokenizer and template are read from them.
func (c *Checkpoint) Files() fs.FS { return c.files }

// Meta returns the content of srar.json, or the zero Meta for a checkpoint
// that has none.
func (c *Checkpoint) Meta() Meta { return c.meta }

// Step returns the number of optimiser steps behind the weights, 0 for a
// checkpoint from elsewhere.
func (c *Checkpoint) Step() int64 { return c.meta.Step }

// Digest returns "sha256:" and 64 hexadecimal digits that identify the stored
// weights: names, types, shapes and bytes in order of name, however they are
// spread over files; of quantised tensors the bytes of the numbers that they
// stand for. It reads all weights the first time.
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
			if c.err = t.pieces(func(b []byte) error { _, err := h.Write(b); return err }); c.err != nil {
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
	dir := c.path
	switch {
	case c.adapter != nil && c.adapter.path == "", c.adapter == nil && c.model != nil:
		return nil, nil
	case c.adapter != nil:
		dir = c.adapter.path
	}
	f, err := OpenFile(filepath.Join(dir, optimizerFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", dir, err)
	}
	return f, nil
}

// Close gives the mappings back; tensors must not be used after it.
func (c *Checkpoint) Close() error {
	var err error
	for _, f := range c.shards {
		err = errors.Join(err, f.Close())
	}
	if c.model != nil {
		err = errors.Join(err, c.model.Close())
	}
	c.shards, c.model, c.at = nil, nil, nil
	return err
}
