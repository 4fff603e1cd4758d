package ckpt

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Update is a checkpoint to be written: what changed since Parent.
type Update struct {
	Parent *Checkpoint
	Meta   Meta
	// Weights returns the float32 master of a parameter of the model, which is
	// rounded to the parent's type in the file. It is asked for one parameter after
	// another, so that the copies never exist all at once. Nil: the parent's weights.
	Weights func(name string) []float32
	// Optimizer lists what optimizer.safetensors holds; where it is empty, the new
	// checkpoint has none.
	Optimizer []Array
	// Metrics is the content of [MetricsFile]. Nil: there is none.
	Metrics []byte
	// Stop, where it is not nil, is asked before each tensor and before the
	// directory gets its name: an error ends the writing and leaves nothing.
	Stop func() error

	as *DType // what [Convert] rounds the weights to
}

// Write makes the directory dir from u, whole or not at all: it is written
// beside dir under a temporary name, synced, and renamed. A dir that exists
// and is not empty is an error that wraps [fs.ErrExist].
//
// The weights keep the parent's names, types, order and division into shards;
// those of a GGUF file become one file, what is quantised F32. A copy of a tied
// output matrix follows the embedding. Files of the parent that this package does
// not write are copied byte for byte. Equal updates of equal parents give equal
// bytes. A parameter without values, of another length, or with a value that
// is not finite in its type is an error.
func Write(dir string, u Update) error {
	source := u.Parent.path
	if u.Parent.model != nil {
		source = ""
	}
	return in("writing checkpoint "+dir, publish(dir, source, u.write))
}

// Convert makes the directory dir as [Write] does, with the weights rounded to
// type d (F32, BF16 or F16) in one file, and dtype in config.json. A weight that is
// not finite in d is an error.
func Convert(dir string, u Update, d DType) error {
	u.as = &d
	return Write(dir, u)
}

func (u Update) write(tmp string) error {
	parent := u.Parent
	shards := map[string]bool{} // whatever the index calls them
	for _, f := range parent.shards {
		shards[filepath.Base(f.path)] = true
	}
	carried := func(name string) bool {
		return !shards[name] && !written(name) && (u.as == nil || name != configFile)
	}
	if err := copyTree(tmp, parent.files, ".", carried, 0); err != nil {
		return err
	}
	if u.as != nil || parent.model != nil {
		if err := u.writeWhole(tmp); err != nil {
			return err
		}
	} else {
		for _, f := range parent.shards {
			if err := u.writeWeights(filepath.Join(tmp, filepath.Base(f.path)), f); err != nil {
				return err
			}
		}
		if filepath.Base(parent.shards[0].path) != weightsFile {
			// Names and sizes are the parent's, so its index still holds.
			if err := copyFile(filepath.Join(tmp, indexFile), parent.files, indexFile); err != nil {
				return err
			}
		}
	}
	return writeOwn(tmp, u.Meta, u.Optimizer, u.Metrics, u.Stop)
}

// writeOwn writes the files beside the weights that are this project's own.
func writeOwn(tmp string, meta Meta, optimizer []Array, metrics []byte, stop func() error) error {
	if err := writeOptimizer(tmp, optimizer, stop); err != nil {
		return err
	}
	if metrics != nil {
		if err := writeBytes(filepath.Join(tmp, MetricsFile), metrics); err != nil {
			return err
		}
	}
	if err := writeMeta(tmp, meta); err != nil {
		return err
	}
	return stopped(stop)
}

// stopped asks an [Update.Stop].
func stopped(stop func() error) error {
	if stop == nil {
		return nil
	}
	return stop()
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

// writeWhole writes all weights to one file, in the type that they are rounded to.
func (u Update) writeWhole(tmp string) error {
	if u.as != nil {
		b, err := fs.ReadFile(u.Parent.files, configFile)
		if err == nil {
			b, err = retype(b, *u.as)
		}
		if err != nil {
			return in(configFile, err)
		}
		if err := writeBytes(filepath.Join(tmp, configFile), b); err != nil {
			return err
		}
	}
	var list []output
	for _, name := range u.Parent.Names() {
		t, err := u.Parent.Tensor(name)
		if err != nil {
			return err
		}
		d := t.DType
		if u.as != nil && d.float() {
			d = *u.as
		}
		list = append(list, output{name, d, t.Shape, func(w *bufio.Writer) error { return u.put(w, t, d) }})
	}
	return writeContents(filepath.Join(tmp, weightsFile), list)
}

// retype returns config.json with another type of the weights.
func retype(config []byte, d DType) ([]byte, error) {
	fields := map[string]json.RawMessage{}
	err := walkObject(config, func(dec *json.Decoder, key string) error {
		var v json.RawMessage
		err := dec.Decode(&v)
		fields[key] = v
		return err
	})
	if err != nil {
		return nil, err
	}
	field := "torch_dtype"
	if fields["dtype"] != nil {
		field = "dtype" // the newer name
	}
	fields[field] = json.RawMessage(strconv.Quote(torchNames[d]))
	return indent(fields)
}

// put writes the new values of a tensor as type d.
func (u Update) put(w *bufio.Writer, t Tensor, d DType) error {
	if err := stopped(u.Stop); err != nil {
		return err
	}
	x, err := u.weight(t)
	if err == nil && x == nil && d != t.DType {
		x, err = t.Float32()
	}
	if err != nil {
		return err
	}
	if x == nil {
		return t.pieces(func(b []byte) error {
			_, err := w.Write(b)
			return err
		})
	}
	return in(fmt.Sprintf("tensor %q", t.Name), writeFloats(w, x, d))
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
			t, err := u.Parent.Tensor(name)
			if err != nil {
				return err
			}
			if err := u.put(w, t, t.DType); err != nil {
				return err
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
	x := u.Weights(name)
	if len(x) != t.Len() {
		return nil, fmt.Errorf("tensor %q: %d new values for %d", t.Name, len(x), t.Len())
	}
	return x, nil
}

// Array is a tensor to be written: float32 values that are rounded to DType, or
// the bytes of another type. The values are asked for when their turn comes.
type Array struct {
	Name   string
	DType  DType
	Shape  []int
	Floats func() []float32
	Bytes  func() []byte // where Floats is nil
}

func (a Array) output() output {
	n := 1
	for _, d := range a.Shape {
		n *= d
	}
	return output{a.Name, a.DType, a.Shape, func(w *bufio.Writer) error {
		if a.Floats == nil {
			b := a.Bytes()
			if len(b) != n*a.DType.Size() {
				return fmt.Errorf("tensor %q: %d bytes of %s for shape %v", a.Name, len(b), a.DType, a.Shape)
			}
			_, err := w.Write(b)
			return err
		}
		x := a.Floats()
		if len(x) != n {
			return fmt.Errorf("tensor %q: %d values for shape %v", a.Name, len(x), a.Shape)
		}
		return in(fmt.Sprintf("tensor %q", a.Name), writeFloats(w, x, a.DType))
	}}
}

// writeOptimizer writes optimizer.safetensors in order of name, if there is
// anything to write.
func writeOptimizer(dir string, list []Array, stop func() error) error {
	if len(list) == 0 {
		return nil
	}
	return writeArrays(filepath.Join(dir, optimizerFile), list, stop)
}

// writeArrays writes a safetensors file of arrays.
func writeArrays(path string, list []Array, stop func() error) error {
	all := make([]output, len(list))
	for i, a := range list {
		x := a.output()
		put := x.put
		x.put = func(w *bufio.Writer) error {
			if err := stopped(stop); err != nil {
				return err
			}
			return put(w)
		}
		all[i] = x
	}
	return writeContents(path, all)
}

// output is a tensor to be written: put writes its bytes.
type output struct {
	Name  string
	DType DType
	Shape []int
	put   func(w *bufio.Writer) error
}

// writeContents writes a safetensors file, its tensors in order of name.
func writeContents(path string, list []output) error {
	list = slices.SortedFunc(slices.Values(list), func(a, b output) int { return strings.Compare(a.Name, b.Name) })
	var h bytes.Buffer
	h.WriteString(`{"__metadata__":{"format":"pt"}`)
	at := 0
	for _, t := range list {
		name, err := json.Marshal(t.Name)
		if err != nil {
			return err
		}
		shape, err := json.Marshal(t.Shape)
		if err != nil {
			return err
		}
		size := t.DType.Size()
		for _, d := range t.Shape {
			size *= d
		}
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
			if err := t.put(w); err != nil {
				return err
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
