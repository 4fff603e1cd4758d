package ckpt

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Update is a checkpoint to be written: what changed since Parent.
type Update struct {
	Parent *Checkpoint
	Meta   Meta
	// Weights holds the float32 master of every parameter of the model,
	// rounded to the parent's type in the file. Nil: the parent's weights.
	Weights map[string][]float32
	// M and V hold the first and second moments of every parameter. Nil: the
	// new checkpoint has no optimizer.safetensors.
	M, V map[string][]float32
	// Metrics is the content of [MetricsFile]. Nil: there is none.
	Metrics []byte
}

// Write makes the directory dir from u, whole or not at all: it is written
// beside dir under a temporary name, synced, and renamed. A dir that exists
// and is not empty is an error that wraps [fs.ErrExist].
//
// The weights keep the parent's names, types, order and division into shards;
// a copy of a tied output matrix follows the embedding. Files of the parent that
// this package does not write are copied byte for byte. Equal updates of equal parents give equal
// bytes. A parameter without values, of another length, or with a value that
// is not finite in its type is an error.
func Write(dir string, u Update) error {
	return in("writing checkpoint "+dir, publish(dir, u.Parent.dir, u.write))
}

func (u Update) write(tmp string) error {
	shards := map[string]bool{} // whatever the index calls them
	for _, f := range u.Parent.files {
		shards[filepath.Base(f.path)] = true
	}
	carried := func(name string) bool { return !shards[name] && !written(name) }
	if err := copyTree(tmp, u.Parent.dir, carried, 0); err != nil {
		return err
	}
	for _, f := range u.Parent.files {
		if err := u.writeWeights(filepath.Join(tmp, filepath.Base(f.path)), f); err != nil {
			return err
		}
	}
	if filepath.Base(u.Parent.files[0].path) != weightsFile {
		// Names and sizes are the parent's, so its index still holds.
		if err := copyFile(filepath.Join(tmp, indexFile), filepath.Join(u.Parent.dir, indexFile)); err != nil {
			return err
		}
	}
	if u.M != nil || u.V != nil {
		if err := u.writeOptimizer(filepath.Join(tmp, optimizerFile)); err != nil {
			return err
		}
	}
	if u.Metrics != nil {
		if err := writeBytes(filepath.Join(tmp, MetricsFile), u.Metrics); err != nil {
			return err
		}
	}
	return writeMeta(tmp, u.Meta)
}

// written reports whether this package alone writes files of that name.
func written(name string) bool {
	switch name {
	case weightsFile, indexFile, optimizerFile, metaFile, MetricsFile:
		return true
	}
	return shardFile.MatchString(name)
}

func writeMeta(dir string, m Meta) error {
	b, err := indent(m)
	if err != nil {
		return err
	}
	return writeBytes(filepath.Join(dir, metaFile), b)
}

// writeWeights writes a file of the parent's anew: its header, then new data.
func (u Update) writeWeights(path string, f *File) error {
	return writeFile(path, func(w *bufio.Writer) error {
		if _, err := w.Write(f.header); err != nil {
			return err
		}
		order := slices.Clone(f.names)
		slices.SortFunc(order, func(a, b string) int {
			x, y := f.tensors[a], f.tensors[b]
			return cmp.Or(cmp.Compare(x.lo, y.lo), cmp.Compare(x.hi, y.hi), cmp.Compare(a, b))
		})
		for _, name := range order {
			t, err := f.Tensor(name)
			if err != nil {
				return err
			}
			x, err := u.weight(t)
			if err != nil {
				return err
			}
			if x == nil {
				err = t.copyTo(w)
			} else {
				err = writeFloats(w, x, t.DType)
			}
			if err != nil {
				return in(fmt.Sprintf("tensor %q", name), err)
			}
		}
		return nil
	})
}

// weight returns the new values of a tensor, nil where the parent's stand.
func (u Update) weight(t Tensor) ([]float32, error) {
	c := u.Parent.Config
	name := t.Name
	if c.Tied && name == headName {
		name = embedName
	}
	if u.Weights == nil || c.passive(name) {
		return nil, nil
	}
	x, ok := u.Weights[name]
	if !ok || len(x) != t.Len() {
		return nil, fmt.Errorf("tensor %q: %d new values for %d", t.Name, len(x), t.Len())
	}
	return x, nil
}

// writeOptimizer writes optimizer.safetensors, all of it F32 in order of name.
func (u Update) writeOptimizer(path string) error {
	var list []array
	for _, p := range u.Parent.Config.Parameters() {
		t, err := u.Parent.Tensor(p.Name)
		if err != nil {
			return err
		}
		list = append(list, array{p.Name + ".m", F32, p.Shape, u.M[p.Name]}, array{p.Name + ".v", F32, p.Shape, u.V[p.Name]})
		if t.DType != F32 && u.Weights != nil {
			list = append(list, array{p.Name, F32, p.Shape, u.Weights[p.Name]})
		}
	}
	return writeTensors(path, list)
}

// array is a tensor to be written: float32 values, stored as DType.
type array struct {
	Name  string
	DType DType
	Shape []int
	Data  []float32
}

// writeTensors writes a safetensors file, its tensors in order of name.
func writeTensors(path string, list []array) error {
	list = slices.SortedFunc(slices.Values(list), func(a, b array) int { return strings.Compare(a.Name, b.Name) })
	var h bytes.Buffer
	h.WriteString(`{"__metadata__":{"format":"pt"}`)
	at := 0
	for _, t := range list {
		n := 1
		for _, d := range t.Shape {
			n *= d
		}
		if n != len(t.Data) {
			return fmt.Errorf("tensor %q: %d values for shape %v", t.Name, len(t.Data), t.Shape)
		}
		name, err := json.Marshal(t.Name)
		if err != nil {
			return err
		}
		shape, err := json.Marshal(t.Shape)
		if err != nil {
			return err
		}
		size := n * t.DType.Size()
		fmt.Fprintf(&h, `,%s:{"dtype":"%s","shape":%s,"data_offsets":[%d,%d]}`, name, t.DType, shape, at, at+size)
		at += size
	}
	h.WriteByte('}')
	for h.Len()%8 != 0 {
		h.WriteByte(' ')
	}
	return writeFile(path, func(w *bufio.Writer) error {
		w.Write(binary.LittleEndian.AppendUint64(nil, uint64(h.Len())))
		w.Write(h.Bytes())
		for _, t := range list {
			if err := writeFloats(w, t.Data, t.DType); err != nil {
				return in(fmt.Sprintf("tensor %q", t.Name), err)
			}
		}
		return nil
	})
}

// chunk is the number of bytes or elements that are converted at a time.
const chunk = 1 << 16

func writeFloats(w *bufio.Writer, x []float32, d DType) error {
	buf := make([]byte, 0, chunk*d.Size())
	for at := 0; at < len(x); at += chunk {
		raw, err := encode(buf, x[at:min(at+chunk, len(x))], d)
		if err != nil {
			return fmt.Errorf("from element %d: %w", at, err)
		}
		if _, err := w.Write(raw); err != nil {
			return err
		}
	}
	return nil
}

// copyTo copies the stored bytes in pieces, so that a fault is caught here.
func (t Tensor) copyTo(w *bufio.Writer) error {
	buf := make([]byte, chunk)
	for raw := t.raw; len(raw) > 0; {
		n := 0
		if err := guard(func() { n = copy(buf, raw) }); err != nil {
			return err
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		raw = raw[n:]
	}
	return nil
}
