package llm

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/ckpt"
	"srar/lib/op"
)

// Weights, M and V return copies of the masters and of the moments by name,
// 8-bit ones as the numbers that they stand for.
func (t *Trainer) Weights() map[string][]float32 {
	return t.each(func(i int) []float32 { return t.read(t.params[i].of(t.master)) })
}

func (t *Trainer) M() map[string][]float32 {
	return t.each(func(i int) []float32 { return t.moment(i, t.moments.mean[i], t.moments.meanScale[i], true) })
}

func (t *Trainer) V() map[string][]float32 {
	return t.each(func(i int) []float32 { return t.moment(i, t.moments.square[i], t.moments.squareScale[i], false) })
}

func (t *Trainer) read(mem op.Buf) []float32 { return slices.Clone(t.borrow(mem)) }

func (t *Trainer) each(get func(i int) []float32) map[string][]float32 {
	all := map[string][]float32{}
	for i, p := range t.params {
		all[p.name] = get(i)
	}
	return all
}

func (t *Trainer) moment(i int, values, scales op.Buf, signed bool) []float32 {
	x := t.read(values)
	if !t.moments.eight(i) {
		return x
	}
	s, out := t.read(scales), make([]float32, t.params[i].n)
	for k, code := range codeBytes(x, len(out)) {
		out[k] = s[k/op.Block8] * op.Decode8(code, signed)
	}
	return out
}

func TestRestoreErrors(t *testing.T) {
	dir := goldenModels(t, "checkpoint/model.safetensors")[0]
	m := loadGolden(t, newBackend(t, 1), dir)
	f, err := ckpt.OpenFile(filepath.Join(dir, "checkpoint", "model.safetensors"))
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	tr := newTrainer(t, m, pg(), adam)
	require.EqualError(t, tr.Restore(-1, f), "restore optimiser: step is -1")
	require.ErrorContains(t, tr.Restore(1, f), "model.embed_tokens.weight.m")
	// One of another model.
	name := filepath.Join(t.TempDir(), "optimizer.safetensors")
	require.NoError(t, os.WriteFile(name, []byte("\x5e\x00\x00\x00\x00\x00\x00\x00"+
		`{"model.embed_tokens.weight.m":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}              `+"\x00\x00\x00\x00"), 0o666))
	short, err := ckpt.OpenFile(name)
	require.NoError(t, err)
	defer func() { require.NoError(t, short.Close()) }()
	require.ErrorContains(t, tr.Restore(1, short), "restore optimiser: model.embed_tokens.weight.m has 1 elements, not ")
	require.Zero(t, tr.Steps())
}

// TestRestoreRefusesNumbers: a second moment that no square can be is refused
// before it spoils the weights.
func TestRestoreRefusesNumbers(t *testing.T) {
	shape := tiny
	shape.Architecture = "Qwen3ForCausalLM"
	dir := filepath.Join(t.TempDir(), "M0")
	require.NoError(t, ckpt.Init(dir, shape, nil, 1, nil))
	c, err := ckpt.Open(dir)
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	m, err := Load(newBackend(t, 1), c, Trained)
	require.NoError(t, err)
	tr := newTrainer(t, m, pg(), adam)
	restore := func(u ckpt.Update) error {
		out := filepath.Join(t.TempDir(), "M1")
		require.NoError(t, ckpt.Write(out, u))
		opt, err := ckpt.OpenFile(filepath.Join(out, "optimizer.safetensors"))
		require.NoError(t, err)
		defer func() { require.NoError(t, opt.Close()) }()
		return tr.Restore(1, opt)
	}
	spoil := func(name string) ckpt.Update {
		u := ckpt.Update{Parent: c, Optimizer: tr.State()}
		for i, a := range u.Optimizer {
			if a.Name == name {
				x := slices.Clone(a.Floats())
				x[1] = -1
				u.Optimizer[i].Floats = func() []float32 { return x }
			}
		}
		return u
	}
	require.NoError(t, restore(spoil("model.norm.weight.m")))
	require.EqualError(t, restore(spoil("model.norm.weight.v")), "restore optimiser: model.norm.weight.v: element 1 is -1")
}

// 8-bit moments go on as if they had never been written; other bits are refused.
func TestEightBitMoments(t *testing.T) {
	shape := tiny
	shape.Architecture, shape.Vocab = "Qwen3ForCausalLM", 500 // an embedding of 5,000
	dir := t.TempDir() + "/M0"
	require.NoError(t, ckpt.Init(dir, shape, nil, 1, nil))
	c, err := ckpt.Open(dir)
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	be := newBackend(t, 2)
	load := func() *Model {
		m, err := Load(be, c, Trained)
		require.NoError(t, err)
		return m
	}
	o := adam
	o.EightBit = true
	step := func(tr *Trainer, seed uint64) Metrics {
		require.NoError(t, tr.Accumulate(randomRows(shape, 5, seed)))
		x, err := tr.Step(1e-2)
		require.NoError(t, err)
		return x
	}
	tr := newTrainer(t, load(), pg(), o)
	require.True(t, tr.moments.eight(0))
	require.False(t, tr.moments.eight(1))
	step(tr, 1)
	step(tr, 2)
	next := t.TempDir() + "/M1"
	require.NoError(t, ckpt.Write(next, ckpt.Update{Parent: c, Weights: tr.Weight, Optimizer: tr.State(), Meta: ckpt.Meta{Step: 2}}))
	d, err := ckpt.Open(next)
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close()) }()
	again, err := Load(be, d, Trained)
	require.NoError(t, err)
	opt, err := d.Optimizer()
	require.NoError(t, err)
	defer func() { require.NoError(t, opt.Close()) }()
	back := newTrainer(t, again, pg(), o)
	require.NoError(t, back.Restore(2, opt))
	equalTrainers(t, tr, back)
	require.Equal(t, step(tr, 3), step(back, 3))
	equalTrainers(t, tr, back)

	var bits *BitsError
	require.ErrorAs(t, newTrainer(t, load(), pg(), adam).Restore(2, opt), &bits)
	require.Equal(t, "model.embed_tokens.weight.m", bits.Name)
}
