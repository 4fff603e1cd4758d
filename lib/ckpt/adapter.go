package ckpt

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Names of the files of an adapter, as PEFT has them.
const (
	adapterConfigFile  = "adapter_config.json"
	adapterWeightsFile = "adapter_model.safetensors"
)

// adapterPrefix stands before the name of a module in the names of tensors.
const adapterPrefix = "base_model.model."

// AdapterTargets are the matrices that an adapter can change, by the names that
// flags have for them and those of modules.
var AdapterTargets = []struct{ Short, Module string }{
	{"q", "q_proj"}, {"k", "k_proj"}, {"v", "v_proj"}, {"o", "o_proj"}, {"gate", "gate_proj"}, {"up", "up_proj"}, {"down", "down_proj"},
}

// Adapter is a change of low rank to matrices of a model (Hu et al. 2021, LoRA,
// arXiv 2106.09685): each W [out, in] of a pair becomes W + Alpha/Rank · B·A. It is
// stored in the layout of PEFT, beside which lie srar.json, whose Base names the
// model, and optimizer.safetensors.
type Adapter struct {
	Rank  int
	Alpha float64
	Pairs []Pair // in order of the model's parameters
	Meta  Meta

	path string
}

// Pair is the change of one matrix.
type Pair struct {
	Weight  string    // name of the parameter
	Out, In int       // its shape
	A       []float32 // [Rank, In]
	B       []float32 // [Out, Rank]
}

// Scale returns Alpha/Rank.
func (a *Adapter) Scale() float64 { return a.Alpha / float64(a.Rank) }

// Names returns those of A and B of a pair as stored tensors.
func (p *Pair) Names() (a, b string) {
	module := adapterPrefix + strings.TrimSuffix(p.Weight, ".weight")
	return module + ".lora_A.weight", module + ".lora_B.weight"
}

// Parameters lists the trainable tensors of a: A and B of each pair.
func (a *Adapter) Parameters() []Parameter {
	var list []Parameter
	for _, p := range a.Pairs {
		nameA, nameB := p.Names()
		list = append(list, Parameter{nameA, []int{a.Rank, p.In}}, Parameter{nameB, []int{p.Out, a.Rank}})
	}
	return list
}

// module returns the last part of the name of a parameter's module.
func module(weight string) string {
	name := strings.TrimSuffix(weight, ".weight")
	return name[strings.LastIndexByte(name, '.')+1:]
}

// NewAdapter returns an adapter of c that changes nothing yet: B is 0, A uniform
// in ±1/√in as PEFT draws it, from a generator keyed by seed and name. targets are
// modules of [AdapterTargets], in all layers.
func NewAdapter(c *Checkpoint, rank int, alpha float64, targets []string, seed uint64) (*Adapter, error) {
	if rank < 1 || !(alpha > 0) || math.IsInf(alpha, 0) {
		return nil, fmt.Errorf("adapter: rank is %d, alpha %v", rank, alpha)
	}
	a := &Adapter{Rank: rank, Alpha: alpha}
	var err error
	if a.Meta.Base, err = c.Digest(); err != nil {
		return nil, err
	}
	for _, t := range c.Config.Parameters() {
		if len(t.Shape) != 2 || !slices.Contains(targets, module(t.Name)) {
			continue
		}
		p := Pair{Weight: t.Name, Out: t.Shape[0], In: t.Shape[1]}
		p.A, p.B = make([]float32, rank*p.In), make([]float32, p.Out*rank)
		key := sha256.Sum256(append(binary.LittleEndian.AppendUint64(nil, seed), p.Weight...))
		r := rand.New(rand.NewPCG(binary.LittleEndian.Uint64(key[:]), binary.LittleEndian.Uint64(key[8:])))
		for i := range p.A {
			p.A[i] = float32((2*float64(r.Float64()) - 1) / math.Sqrt(float64(p.In)))
		}
		a.Pairs = append(a.Pairs, p)
	}
	if len(a.Pairs) == 0 {
		return nil, fmt.Errorf("adapter: the model has no %v", targets)
	}
	return a, nil
}

// adapterConfig is what adapter_config.json holds of what concerns us.
type adapterConfig struct {
	Type      string          `json:"peft_type"`
	Task      string          `json:"task_type"`
	Base      *string         `json:"base_model_name_or_path"`
	Rank      int             `json:"r"`
	Alpha     float64         `json:"lora_alpha"`
	Targets   json.RawMessage `json:"target_modules"`
	Dropout   float64         `json:"lora_dropout"`
	Bias      string          `json:"bias"`
	Inference bool            `json:"inference_mode"`
	Ranks     map[string]any  `json:"rank_pattern"` // PEFT wants objects
	Alphas    map[string]any  `json:"alpha_pattern"`
}

// idle are the fields of adapter_config.json that change the arithmetic unless
// they are null, false or empty; so does any that begins with use_.
var idle = []string{
	"fan_in_fan_out", "modules_to_save", "rank_pattern", "alpha_pattern", "target_parameters", "layer_replication",
	"trainable_token_indices", "alora_invocation_tokens", "lora_bias",
}

// readAdapterConfig refuses what changes the arithmetic in a way that is not
// computed here.
func readAdapterConfig(b []byte) (c adapterConfig, err error) {
	err = walkObject(b, func(d *json.Decoder, key string) error {
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return err
		}
		if slices.Contains(idle, key) || strings.HasPrefix(key, "use_") {
			if s := string(v); !slices.Contains([]string{"null", "false", "{}", "[]"}, s) {
				return fmt.Errorf("%s is %s, which is not computed", key, s)
			}
		}
		return nil
	})
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	switch {
	case err != nil:
	case c.Type != "LORA":
		err = fmt.Errorf("peft_type is %q, not LORA", c.Type)
	case c.Rank < 1:
		err = fmt.Errorf("r is %d", c.Rank)
	case !(c.Alpha > 0):
		err = fmt.Errorf("lora_alpha is %v", c.Alpha)
	case c.Bias != "none" && c.Bias != "":
		err = fmt.Errorf("bias is %q, not none", c.Bias)
	}
	return c, err
}

// OpenAdapter reads an adapter in the layout of PEFT. [Checkpoint.Apply] holds it
// against a model.
func OpenAdapter(dir string) (*Adapter, error) {
	a := &Adapter{path: dir}
	if err := a.open(dir); err != nil {
		return nil, fmt.Errorf("adapter %s: %w", dir, err)
	}
	return a, nil
}

func (a *Adapter) open(dir string) (err error) {
	files := os.DirFS(dir)
	raw, err := fs.ReadFile(files, adapterConfigFile)
	if err != nil {
		return err
	}
	c, err := readAdapterConfig(raw)
	if err != nil {
		return in(adapterConfigFile, err)
	}
	a.Rank, a.Alpha = c.Rank, c.Alpha
	if a.Meta, err = readMeta(files); err != nil {
		return err
	}
	f, err := OpenFile(filepath.Join(dir, adapterWeightsFile))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for _, nameA := range f.names {
		base, ok := strings.CutSuffix(nameA, ".lora_A.weight")
		if !ok {
			if !strings.HasSuffix(nameA, ".lora_B.weight") {
				return fmt.Errorf("tensor %q is neither lora_A nor lora_B of a matrix", nameA)
			}
			continue
		}
		weight, ok := strings.CutPrefix(base, adapterPrefix)
		if !ok {
			return fmt.Errorf("tensor %q: the name does not begin with %s", nameA, adapterPrefix)
		}
		p := Pair{Weight: weight + ".weight"}
		if p.A, p.In, err = adapterHalf(f, nameA, 0, a.Rank); err != nil {
			return err
		}
		_, nameB := p.Names()
		if p.B, p.Out, err = adapterHalf(f, nameB, 1, a.Rank); err != nil {
			return err
		}
		a.Pairs = append(a.Pairs, p)
	}
	if len(f.names) != 2*len(a.Pairs) || len(a.Pairs) == 0 {
		return fmt.Errorf("%d tensors are not pairs of lora_A and lora_B", len(f.names))
	}
	return nil
}

// adapterHalf reads a matrix whose side at is the rank, and returns its other side.
func adapterHalf(f *File, name string, at, rank int) (x []float32, other int, err error) {
	t, err := f.Tensor(name)
	if err != nil {
		return nil, 0, err
	}
	if len(t.Shape) != 2 || t.Shape[at] != rank {
		return nil, 0, fmt.Errorf("tensor %q has shape %v, the rank is %d", name, t.Shape, rank)
	}
	x, err = t.Float32()
	return x, t.Shape[1-at], err
}

// Apply makes c the model that a changes it into: its tensors, its digest, and
// whatever is made of them are those of the merged weights
//
//	round(W + s·(B·A)), s = Alpha/Rank as float32,
//
// each product and sum rounded to float32, B·A summed in ascending order of the
// rank from 0, and the whole rounded to the type that c stores W in. Step, Meta
// and Optimizer are the adapter's. Later changes of A and B change the tensors too,
// but not a digest that was asked for before. An adapter made for other weights is an error.
func (c *Checkpoint) Apply(a *Adapter) error {
	return in("adapter", c.apply(a))
}

func (c *Checkpoint) apply(a *Adapter) error {
	if c.adapter != nil {
		return errors.New("the model has one already")
	}
	digest, err := c.Digest()
	if err != nil {
		return err
	}
	if a.Meta.Base != "" && a.Meta.Base != digest {
		return fmt.Errorf("it was made for the weights %s, these are %s", a.Meta.Base, digest)
	}
	order := map[string]int{}
	for i, p := range c.Config.Parameters() {
		order[p.Name] = i
	}
	slices.SortFunc(a.Pairs, func(x, y Pair) int { return order[x.Weight] - order[y.Weight] })
	merged := map[string]Tensor{}
	for i := range a.Pairs {
		p := &a.Pairs[i]
		t, ok := c.at[p.Weight]
		if _, known := order[p.Weight]; !ok || !known {
			return fmt.Errorf("the model has no matrix %q", p.Weight)
		}
		if !slices.Equal(t.Shape, []int{p.Out, p.In}) {
			return fmt.Errorf("matrix %q has shape %v, the adapter's is %v", p.Weight, t.Shape, []int{p.Out, p.In})
		}
		if p.Weight == embedName || p.Weight == headName {
			return fmt.Errorf("%q is not changed by an adapter here", p.Weight)
		}
		t.merged = &lowRank{base: t, pair: p, rank: a.Rank, scale: float32(a.Scale())}
		merged[p.Weight] = t
	}
	for name, t := range merged {
		c.at[name] = t
	}
	c.adapter, c.base, c.meta = a, digest, a.Meta
	c.once, c.digest, c.err = sync.Once{}, "", nil
	return nil
}

// OpenAdapted opens the checkpoint at path and applies the adapter in the
// directory adapter, if any is named.
func OpenAdapted(path, adapter string) (*Checkpoint, error) {
	c, err := Open(path)
	if err != nil || adapter == "" {
		return c, err
	}
	a, err := OpenAdapter(adapter)
	if err == nil {
		err = c.Apply(a)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Base returns the digest of the weights without the adapter; that of the weights
// where there is none.
func (c *Checkpoint) Base() (string, error) {
	if c.adapter != nil {
		return c.base, nil
	}
	return c.Digest()
}

// lowRank is a matrix with its change.
type lowRank struct {
	base  Tensor
	pair  *Pair
	rank  int
	scale float32
}

// float32 returns the merged values, as the base's type holds them.
func (m *lowRank) float32() ([]float32, error) {
	w, err := m.base.Float32()
	if err != nil {
		return nil, err
	}
	out, width := m.pair.Out, m.pair.In
	const rows = 64 // of a piece of work
	var all sync.WaitGroup
	for lo := 0; lo < out; lo += rows {
		all.Go(func() {
			sum := make([]float32, width)
			for i := lo; i < min(lo+rows, out); i++ {
				m.add(w[i*width:(i+1)*width], sum, i)
			}
		})
	}
	all.Wait()
	m.base.DType.Round(w, w)
	return w, nil
}

// add adds the change of row i to w.
func (m *lowRank) add(w, sum []float32, i int) {
	clear(sum)
	for k := range m.rank {
		b := m.pair.B[i*m.rank+k]
		for j, a := range m.pair.A[k*len(w) : (k+1)*len(w)] {
			sum[j] += float32(b * a)
		}
	}
	for j, d := range sum {
		w[j] += float32(m.scale * d)
	}
}

// AdapterUpdate is an adapter to be written.
type AdapterUpdate struct {
	Adapter   *Adapter
	Meta      Meta
	Optimizer []Array // see [Update]
	Metrics   []byte
	Stop      func() error
}

// WriteAdapter makes the directory dir from u, whole or not at all, as [Write]
// does. It opens in PEFT.
func WriteAdapter(dir string, u AdapterUpdate) error {
	return in("writing adapter "+dir, publish(dir, "", u.write))
}

func (u AdapterUpdate) write(tmp string) error {
	a := u.Adapter
	var targets []string
	var list []Array
	for i := range a.Pairs {
		p := &a.Pairs[i]
		if m := module(p.Weight); !slices.Contains(targets, m) {
			targets = append(targets, m)
		}
		nameA, nameB := p.Names()
		list = append(list,
			Array{Name: nameA, DType: F32, Shape: []int{a.Rank, p.In}, Floats: func() []float32 { return p.A }},
			Array{Name: nameB, DType: F32, Shape: []int{p.Out, a.Rank}, Floats: func() []float32 { return p.B }})
	}
	slices.Sort(targets)
	names, err := json.Marshal(targets)
	if err != nil {
		return err
	}
	// The base has no name that would be the same everywhere; srar.json has its digest.
	config, err := indent(adapterConfig{
		Type: "LORA", Task: "CAUSAL_LM", Rank: a.Rank, Alpha: a.Alpha, Targets: names, Bias: "none", Inference: true,
		Ranks: map[string]any{}, Alphas: map[string]any{},
	})
	if err != nil {
		return err
	}
	if err := writeBytes(filepath.Join(tmp, adapterConfigFile), config); err != nil {
		return err
	}
	if err := writeArrays(filepath.Join(tmp, adapterWeightsFile), list, u.Stop); err != nil {
		return err
	}
	return writeOwn(tmp, u.Meta, u.Optimizer, u.Metrics, u.Stop)
}
