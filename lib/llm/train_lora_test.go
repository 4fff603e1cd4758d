package llm

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/ckpt"
	"srar/lib/op"
)

// lora is a checkpoint with an adapter applied whose B is not zero, and its model.
type lora struct {
	base, c *ckpt.Checkpoint
	a       *ckpt.Adapter
	m       *Model
}

func newLora(t *testing.T, be op.Backend, dtype string, targets ...string) *lora {
	shape := tiny
	shape.Architecture, shape.DType = "Qwen3ForCausalLM", dtype
	dir := t.TempDir() + "/M0"
	require.NoError(t, ckpt.Init(dir, shape, nil, 1, nil))
	x := &lora{base: openAt(t, dir), c: openAt(t, dir)}
	var err error
	x.a, err = ckpt.NewAdapter(x.base, 3, 6, targets, 9)
	require.NoError(t, err)
	require.NoError(t, x.c.Apply(x.a))
	for _, p := range x.a.Pairs {
		for i := range p.B {
			p.B[i] = float32(i%7-3) / 16
		}
	}
	x.m, err = Load(be, x.c, Trained)
	require.NoError(t, err)
	return x
}

func openAt(t *testing.T, dir string) *ckpt.Checkpoint {
	c, err := ckpt.Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// The gradients of A and B against differences of the model in float64.
func TestAdapterGradient(t *testing.T) {
	x := newLora(t, newBackend(t, 2), "float32", "q_proj", "o_proj", "up_proj", "down_proj")
	l := pg()
	rows := randomRows(tiny, 5, 5)
	rows = append(rows[:3], rows[4])
	tr, err := NewAdapterTrainer(x.m, x.c, x.a, l, Optim{Eps: 1})
	require.NoError(t, err)
	ref := newReference(tiny, weights(x.m))
	want := ref.loss(&l, rows)
	// The derivative by A[k, j] and B[i, k] through W' = W + s·B·A.
	s, rank := x.a.Scale(), x.a.Rank
	require.Equal(t, 2.0, s)
	slope := func(p *ckpt.Pair, change func(w []float64, by float64)) float64 {
		const h = 1e-4
		w := ref.w[p.Weight]
		change(w, h)
		up := ref.loss(&l, rows)
		change(w, -2*h)
		down := ref.loss(&l, rows)
		change(w, h)
		return (up - down) / (2 * h)
	}
	type check struct {
		name  string
		at    int
		slope float64
	}
	var checks []check
	for n := range x.a.Pairs {
		p := &x.a.Pairs[n]
		for _, at := range []int{0, len(p.A) / 2, len(p.A) - 1} {
			k, j := at/p.In, at%p.In
			checks = append(checks, check{tr.params[2*n].name, at, slope(p, func(w []float64, by float64) {
				for i := range p.Out {
					w[i*p.In+j] += by * s * float64(p.B[i*rank+k])
				}
			})})
		}
		for _, at := range []int{0, len(p.B) / 2, len(p.B) - 1} {
			i, k := at/rank, at%rank
			checks = append(checks, check{tr.params[2*n+1].name, at, slope(p, func(w []float64, by float64) {
				for j := range p.In {
					w[i*p.In+j] += by * s * float64(p.A[k*p.In+j])
				}
			})})
		}
	}
	start := weights(x.m)
	require.NoError(t, tr.Accumulate(rows))
	y, err := tr.Step(0)
	require.NoError(t, err)
	require.InDelta(t, want, y.Loss, 1e-5)
	got := tr.M()
	require.Len(t, got, 2*len(x.a.Pairs))
	for _, c := range checks {
		top := 0.0
		for _, g := range got[c.name] {
			top = max(top, math.Abs(float64(g)))
		}
		require.NotZero(t, top, c.name)
		require.InDelta(t, c.slope, float64(got[c.name][c.at]), 1e-4*top, c.name)
	}
	require.Equal(t, start, weights(x.m), "a rate of 0 moves nothing")
}

// The plan of an adapter counts the gradients of what it changes and of itself.
func TestAdapterFootprint(t *testing.T) {
	x := newLora(t, newBackend(t, 1), "float32", "q_proj")
	f, err := Plan{Adapter: x.a}.Footprint(x.base)
	require.NoError(t, err)
	q := tiny.Heads * tiny.HeadDim
	trained := tiny.Layers * 3 * (q + tiny.Hidden)
	require.EqualValues(t, trained, f.Trained)
	require.EqualValues(t, 4*trained, f.Masters)
	require.EqualValues(t, 8*trained, f.Moments)
	require.EqualValues(t, 4*(tiny.Layers*q*tiny.Hidden+trained), f.Gradients)
}

// After steps the model computes with the bits that the written adapter gives on
// its base, and that the merged checkpoint holds; only the targets have moved; the
// steps go on as if nothing had been written. In 16 bits too.
func TestAdapterGoesOn(t *testing.T) {
	for _, dtype := range []string{"float32", "bfloat16"} {
		be := newBackend(t, 2)
		x := newLora(t, be, dtype, "q_proj", "v_proj")
		start := weights(x.m)
		tr, err := NewAdapterTrainer(x.m, x.c, x.a, pg(), adam)
		require.NoError(t, err)
		step := func(tr *Trainer, seed uint64) Metrics {
			require.NoError(t, tr.Accumulate(randomRows(tiny, 5, seed)))
			y, err := tr.Step(3e-2)
			require.NoError(t, err)
			return y
		}
		step(tr, 1)
		step(tr, 2)
		rows := randomRows(tiny, 4, 9)
		want, _, err := x.m.Score(rows)
		require.NoError(t, err)
		for name, w := range weights(x.m) {
			moved := module(name) == "q_proj" || module(name) == "v_proj"
			require.Equal(t, moved, !equal(start[name], w), name)
		}

		dir := t.TempDir()
		require.NoError(t, ckpt.WriteAdapter(dir+"/A", ckpt.AdapterUpdate{Adapter: x.a, Meta: ckpt.Meta{Step: 2, Base: x.a.Meta.Base}, Optimizer: tr.State()}))
		a, err := ckpt.OpenAdapter(dir + "/A")
		require.NoError(t, err)
		c := openAt(t, x.base.Path())
		require.NoError(t, c.Apply(a))
		m, err := Load(be, c, Trained)
		require.NoError(t, err)
		require.NoError(t, ckpt.Write(dir+"/merged", ckpt.Update{Parent: c}))
		merged, err := Load(be, openAt(t, dir+"/merged"), Trained)
		require.NoError(t, err)
		for _, other := range []*Model{m, merged} {
			got, _, err := other.Score(rows)
			require.NoError(t, err)
			for i := range rows {
				equalBits(t, want[i], got[i], dtype)
			}
		}

		back, err := NewAdapterTrainer(m, c, a, pg(), adam)
		require.NoError(t, err)
		require.EqualValues(t, 2, c.Step())
		opt, err := c.Optimizer()
		require.NoError(t, err)
		require.NoError(t, back.Restore(c.Step(), opt))
		require.NoError(t, opt.Close())
		require.Equal(t, step(tr, 3), step(back, 3))
		equalTrainers(t, tr, back)
	}
}

func equal(a, b []float32) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func module(name string) string {
	for _, t := range ckpt.AdapterTargets {
		if n := len(name) - len(".weight"); n > len(t.Module) && name[n-len(t.Module):n] == t.Module {
			return t.Module
		}
	}
	return ""
}
