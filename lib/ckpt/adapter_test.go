package ckpt

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var someTargets = []string{"q_proj", "down_proj"}

// adapted returns an adapter of c whose B is not zero.
func adapted(t *testing.T, c *Checkpoint) *Adapter {
	a, err := NewAdapter(c, 2, 6, someTargets, 5)
	require.NoError(t, err)
	for _, p := range a.Pairs {
		for i := range p.B {
			p.B[i] = float32(i%5) - 2
		}
	}
	return a
}

// TestNewAdapter: nothing changes yet, and what is drawn depends on seed and name.
func TestNewAdapter(t *testing.T) {
	dir := makeTiny(t, tiny, BF16, nil)
	c := open(t, dir)
	before, err := c.Digest()
	require.NoError(t, err)
	a, err := NewAdapter(c, 2, 6, someTargets, 5)
	require.NoError(t, err)
	require.Len(t, a.Pairs, 2*tiny.Layers)
	require.Equal(t, 3.0, a.Scale())
	for _, p := range a.Pairs {
		bound := 1 / math.Sqrt(float64(p.In))
		most := 0.0
		for _, x := range p.A {
			most = max(most, math.Abs(float64(x)))
		}
		require.LessOrEqual(t, most, bound)
		require.Greater(t, most, bound/2)
		require.Equal(t, make([]float32, p.Out*2), p.B)
	}
	require.NotEqual(t, a.Pairs[0].A[:4], a.Pairs[2].A[:4])
	other, err := NewAdapter(c, 2, 6, someTargets, 6)
	require.NoError(t, err)
	require.NotEqual(t, a.Pairs[0].A, other.Pairs[0].A)
	require.NoError(t, c.Apply(a))
	after, err := c.Digest()
	require.NoError(t, err)
	require.Equal(t, before, after)
	base, err := c.Base()
	require.NoError(t, err)
	require.Equal(t, before, base)
	require.ErrorContains(t, c.Apply(other), "adapter: the model has one already")
	for _, bad := range []struct {
		rank  int
		alpha float64
	}{{0, 1}, {1, 0}, {1, math.NaN()}, {1, math.Inf(1)}} {
		_, err := NewAdapter(c, bad.rank, bad.alpha, someTargets, 1)
		require.ErrorContains(t, err, "adapter: rank is ")
	}
	_, err = NewAdapter(c, 1, 1, []string{"lm_head"}, 1)
	require.ErrorContains(t, err, "the model has no [lm_head]")
}

// TestApply: the merged weights are those of the formula, everywhere that weights
// are asked for; a written adapter gives the same ones on its base.
func TestApply(t *testing.T) {
	for _, d := range []DType{F32, BF16, F16} {
		dir := shard(t, makeTiny(t, tiny, d, nil), 2)
		base, c := open(t, dir), open(t, dir)
		a := adapted(t, base)
		a.Meta.Step = 4
		require.NoError(t, c.Apply(a))
		require.EqualValues(t, 4, c.Step())
		was, is := floats(t, base), floats(t, c)
		changed := map[string]bool{}
		for _, p := range a.Pairs {
			changed[p.Weight] = true
			for i := range p.Out {
				for j := range p.In {
					sum := 0.0
					for k := range a.Rank {
						sum += float64(p.B[i*a.Rank+k]) * float64(p.A[k*p.In+j])
					}
					want := float64(was[p.Weight][i*p.In+j]) + 3*sum
					require.InDelta(t, want, is[p.Weight][i*p.In+j], (1+math.Abs(want))*map[DType]float64{F32: 1e-6, BF16: 1.0 / 256, F16: 1.0 / 2048}[d])
				}
			}
		}
		for name := range was {
			require.Equal(t, changed[name], !equalFloats(was[name], is[name]), name)
		}
		mine, err := c.Digest()
		require.NoError(t, err)
		require.NotEqual(t, a.Meta.Base, mine)

		merged := filepath.Join(t.TempDir(), "merged")
		require.NoError(t, Write(merged, Update{Parent: c}))
		require.Equal(t, is, floats(t, open(t, merged)))
		whole, err := open(t, merged).Digest()
		require.NoError(t, err)
		require.Equal(t, mine, whole)

		out := filepath.Join(t.TempDir(), "A")
		require.NoError(t, WriteAdapter(out, AdapterUpdate{Adapter: a, Meta: a.Meta, Metrics: []byte("m"),
			Optimizer: []Array{{Name: "x", Shape: []int{1}, Floats: func() []float32 { return []float32{7} }}}}))
		require.ElementsMatch(t, []string{"adapter_config.json", "adapter_model.safetensors", metaFile, optimizerFile, MetricsFile}, names(t, out))
		read, err := OpenAdapter(out)
		require.NoError(t, err)
		next := open(t, dir)
		require.NoError(t, next.Apply(read))
		require.Equal(t, is, floats(t, next))
		require.EqualValues(t, 4, next.Step())
		opt, err := next.Optimizer()
		require.NoError(t, err)
		stored(t, opt, "x", []float32{7})
		require.NoError(t, opt.Close())
		none, err := c.Optimizer()
		require.NoError(t, err)
		require.Nil(t, none, "an adapter that was never written has none")
	}
}

func equalFloats(a, b []float32) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// TestBadAdapters: what is computed otherwise than here, or belongs elsewhere, is
// refused.
func TestBadAdapters(t *testing.T) {
	c := open(t, makeTiny(t, tiny, F32, nil))
	a := adapted(t, c)
	dir := filepath.Join(t.TempDir(), "A")
	require.NoError(t, WriteAdapter(dir, AdapterUpdate{Adapter: a}))
	path := filepath.Join(dir, adapterConfigFile)
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, tc := range []struct {
		key  string
		v    any
		want string
	}{
		{"peft_type", "IA3", `peft_type is "IA3", not LORA`},
		{"r", 0, "r is 0"},
		{"r", 3, "has shape [2 10], the rank is 3"},
		{"lora_alpha", -1, "lora_alpha is -1"},
		{"bias", "all", `bias is "all", not none`},
		{"use_dora", true, "use_dora is true, which is not computed"},
		{"use_rslora", true, "use_rslora is true"},
		{"rank_pattern", map[string]int{"x": 1}, `rank_pattern is {`},
		{"modules_to_save", []string{"lm_head"}, "modules_to_save is ["},
		{"alora_invocation_tokens", []int{1}, "alora_invocation_tokens is ["},
	} {
		fields := map[string]any{}
		require.NoError(t, json.Unmarshal(good, &fields))
		fields[tc.key] = tc.v
		b, err := json.Marshal(fields)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, b, 0o666))
		_, err = OpenAdapter(dir)
		require.ErrorContains(t, err, "adapter "+dir+": ", tc.key)
		require.ErrorContains(t, err, tc.want, tc.key)
	}
	require.NoError(t, os.WriteFile(path, good[:len(good)/2], 0o666))
	_, err = OpenAdapter(dir)
	require.ErrorContains(t, err, "adapter_config.json: ")
	require.NoError(t, os.WriteFile(path, good, 0o666))

	nameA, nameB := a.Pairs[0].Names()
	one := func(name string, shape ...int) array {
		return array{name, F32, shape, make([]float32, shape[0]*shape[1])}
	}
	for _, tc := range []struct {
		list []array
		want string
	}{
		{[]array{one(nameA, 2, 6)}, "lora_B.weight"},
		{[]array{one(nameB, 8, 2)}, "1 tensors are not pairs"},
		{[]array{one("x", 2, 2)}, `tensor "x" is neither lora_A nor lora_B`},
		{[]array{one("x.lora_A.weight", 2, 2), one("x.lora_B.weight", 2, 2)}, "does not begin with base_model.model."},
	} {
		weights := filepath.Join(dir, adapterWeightsFile)
		require.NoError(t, os.Remove(weights))
		require.NoError(t, writeTensors(weights, tc.list))
		_, err := OpenAdapter(dir)
		require.ErrorContains(t, err, tc.want)
	}

	for _, tc := range []struct {
		change func(p *Adapter)
		want   string
	}{
		{func(p *Adapter) { p.Meta.Base = "sha256:other" }, "adapter: it was made for the weights sha256:other, these are "},
		{func(p *Adapter) { p.Pairs[0].Weight = "model.layers.9.self_attn.q_proj.weight" }, "the model has no matrix"},
		{func(p *Adapter) { p.Pairs[0].Out++ }, "has shape"},
		{func(p *Adapter) { p.Pairs[0] = Pair{Weight: embedName, Out: tiny.Vocab, In: tiny.Hidden} }, "is not changed by an adapter here"},
	} {
		x := adapted(t, c)
		tc.change(x)
		require.ErrorContains(t, c.Apply(x), tc.want)
	}
	_, err = OpenAdapted(c.Path(), filepath.Join(dir, "none"))
	require.ErrorContains(t, err, "adapter ")
	require.NoError(t, c.Apply(a), "a refusal changes nothing")
}

// TestAdapterNames are those of PEFT.
func TestAdapterNames(t *testing.T) {
	p := Pair{Weight: "model.layers.3.self_attn.q_proj.weight"}
	a, b := p.Names()
	require.Equal(t, "base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight", a)
	require.Equal(t, strings.Replace(a, "lora_A", "lora_B", 1), b)
}

// TestProbe: a place where nothing can be made is found before the work.
func TestProbe(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, Probe(filepath.Join(dir, "a", "b", "M1")))
	require.Empty(t, names(t, dir))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o666))
	require.ErrorContains(t, Probe(filepath.Join(dir, "file", "M1")), "not a directory")
	require.Equal(t, []string{"file"}, names(t, dir))
}

// FuzzAdapterConfig: no text crashes, and what is taken computes as here.
func FuzzAdapterConfig(f *testing.F) {
	f.Add([]byte(`{"peft_type":"LORA","r":8,"lora_alpha":16,"target_modules":["q_proj"],"bias":"none","rank_pattern":{},"use_dora":false}`))
	f.Add([]byte(`{"peft_type":"LORA","r":8,"lora_alpha":16,"use_dora":true}`))
	f.Add([]byte(`{"peft_type":"LORA","r":1e99}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := readAdapterConfig(b)
		if err != nil {
			return
		}
		require.Equal(t, "LORA", c.Type)
		require.Positive(t, c.Rank)
		require.Positive(t, c.Alpha)
		require.Empty(t, c.Ranks)
		require.Empty(t, c.Alphas)
	})
}
