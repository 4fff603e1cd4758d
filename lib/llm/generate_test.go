package llm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"srar/lib/op"
)

// requests returns n prompts with 1 to 4 responses each.
func requests(n int) []*Request {
	var list []*Request
	for i, r := range randomRows(tiny, n, 9) {
		list = append(list, &Request{Key: fmt.Sprint("prompt ", i), Prompt: r.Prompt, N: 1 + i%4, Data: i})
	}
	return list
}

// generate returns the samples of each request, and checks their order.
func generate(t testing.TB, m *Model, s Sampling, seed uint64, list []*Request) [][]Sample {
	var out [][]Sample
	rest := list
	next := func() (*Request, error) {
		if len(rest) == 0 {
			return nil, io.EOF
		}
		r := rest[0]
		rest = rest[1:]
		return r, nil
	}
	require.NoError(t, m.Generate(t.Context(), s, seed, next, func(r *Request, samples []Sample) error {
		require.Same(t, list[len(out)], r)
		require.Len(t, samples, r.N)
		out = append(out, samples)
		return nil
	}))
	require.Len(t, out, len(list))
	return out
}

func equalSamples(t testing.TB, want, got []Sample, what ...any) {
	require.Equal(t, len(want), len(got), what...)
	for i := range want {
		require.Equal(t, want[i].Tokens, got[i].Tokens, what...)
		require.Equal(t, want[i].Finish, got[i].Finish, what...)
		equalBits(t, want[i].Logprobs, got[i].Logprobs, what...)
	}
}

// full is a way of sampling in which everything acts.
var full = Sampling{
	Temperature: 0.9, TopK: 15, TopP: 0.95, MinP: 0.01, Repetition: 1.1, Presence: 0.2, Frequency: 0.1, MaxTokens: 40,
}

// What is sampled depends on the request and the seed alone.
func TestGenerateIsInvariant(t *testing.T) {
	list := requests(14)
	for _, numerics := range both {
		m := newModel(t, backendOf(t, 1, numerics), tiny, 5)
		for name, s := range map[string]Sampling{"plain": plain(40), "full": full, "greedy": {Greedy: true, MaxTokens: 9}} {
			want := generate(t, m, s, 7, list)
			change := func(what string, f func(m *Model)) {
				m := newModel(t, m.be, tiny, 5)
				f(m)
				for i, samples := range generate(t, m, s, 7, list) {
					equalSamples(t, want[i], samples, numerics, name, what, i)
				}
			}
			change("again", func(*Model) {})
			change("one row", func(m *Model) { m.MaxRows = 1 })
			change("three rows", func(m *Model) { m.MaxRows = 3 })
			change("little memory", func(m *Model) { m.CacheBytes = cacheOf(m, 100) })
			change("logits by twos", func(m *Model) { m.logitRows = 2 })
			change("three threads", func(m *Model) { *m = *newModel(t, backendOf(t, 3, numerics), tiny, 5) })
			for i := range list {
				alone := generate(t, m, s, 7, list[i:i+1])
				equalSamples(t, want[i], alone[0], numerics, name, "alone", i)
				fewer := *list[i]
				fewer.N = 1
				alone = generate(t, m, s, 7, []*Request{&fewer})
				equalSamples(t, want[i][:1], alone[0], numerics, name, "only the first", i)
			}
			if !s.Greedy {
				require.NotEqual(t, want, generate(t, m, s, 8, list), "another seed")
			}
		}
	}
}

// Log-probabilities are those that Score and the first step of a Trainer
// compute, bit for bit.
func TestGenerateScoresAsTrainingDoes(t *testing.T) {
	for _, numerics := range both {
		m := newModel(t, backendOf(t, 2, numerics), untied(tiny), 5)
		var rows []Row
		long := &Request{Key: "long", N: 2}
		for i := range stepTokens + 300 {
			long.Prompt = append(long.Prompt, int32(i*i%23))
		}
		list := append(requests(9), long)
		for i, samples := range generate(t, m, full, 1, list) {
			for _, s := range samples {
				require.Equal(t, len(s.Tokens), len(s.Logprobs))
				rows = append(rows, Row{
					Prompt: list[i].Prompt, Tokens: s.Tokens, Temperature: float32(full.Temperature), Old: s.Logprobs,
					Advantages: make([]float32, len(s.Tokens)),
				})
			}
		}
		logp, _, err := m.Score(rows)
		require.NoError(t, err)
		for i := range rows {
			equalBits(t, rows[i].Old, logp[i], numerics, i)
		}
		tr, err := NewTrainer(m, pg(), adam)
		require.NoError(t, err)
		require.NoError(t, tr.Accumulate(rows))
		x, err := tr.Step(0)
		require.NoError(t, err)
		require.Equal(t, 1.0, x.RatioMax)
		require.Zero(t, x.Logprobs.Max)
	}
}

// watched counts what Generate asks of its backend.
type watched struct {
	op.Backend
	peak int64 // of the memory of caches
	held int64 // peak of all memory
	fed  int   // tokens
}

func (w *watched) NewCache(layers, g, c, n int) op.Cache {
	k := w.Backend.NewCache(layers, g, c, n)
	w.peak = max(w.peak, w.CachesHeld())
	return k
}

func (w *watched) ShareCache(src op.Cache, n int) op.Cache {
	k := w.Backend.ShareCache(src, n)
	w.peak = max(w.peak, w.CachesHeld())
	return k
}

func (w *watched) GrowCache(k op.Cache, n int) {
	w.Backend.GrowCache(k, n)
	w.peak = max(w.peak, w.CachesHeld())
}

func (w *watched) Embed(y, table op.Buf, ids []int32, d int) {
	w.fed += len(ids)
	w.held = max(w.held, w.Held())
	w.Backend.Embed(y, table, ids, d)
}

// cacheOf returns the memory of the keys and values of n positions.
func cacheOf(m *Model, n int) int64 {
	return m.be.CacheBytes(m.cfg.Layers, m.cfg.KVHeads, m.cfg.HeadDim, capacity(n))
}

// A sequence that cannot fit is an error with its name and the numbers; memory
// that suffices for it is enough.
func TestGenerateNeedsMemory(t *testing.T) {
	endless := tiny
	endless.EOS = nil
	m := newModel(t, newBackend(t, 1), endless, 5)
	run := func() error {
		list := []*Request{{Key: "p", Prompt: make([]int32, 40), N: 2}}
		return m.Generate(t.Context(), plain(100), 1, func() (*Request, error) {
			if len(list) == 0 {
				return nil, io.EOF
			}
			r := list[0]
			list = nil
			return r, nil
		}, func(*Request, []Sample) error { return nil })
	}
	m.CacheBytes = cacheOf(m, 139)
	require.NoError(t, run())
	require.Zero(t, m.be.CachesHeld())
	var e *MemoryError
	m.CacheBytes = cacheOf(m, 64)
	err := run()
	require.ErrorAs(t, err, &e)
	require.ErrorContains(t, err, `prompt "p", rollout 0`)
	require.Greater(t, e.Positions, 64)
	m.CacheBytes = cacheOf(m, 64) / 2
	require.ErrorAs(t, run(), &e)
	require.Equal(t, 40, e.Positions)
	require.Zero(t, m.be.CachesHeld())
}

// Bound leaves what Generate takes within the bound.
func TestBound(t *testing.T) {
	be := &watched{Backend: newBackend(t, 1)}
	m := newModel(t, be, tiny, 5)
	weights := be.Held()
	require.ErrorContains(t, m.Bound(weights), "weights and activations take")
	most := weights + m.stepBytes(64) + m.stepBytes(64)/8
	require.NoError(t, m.Bound(most))
	require.Less(t, m.MaxRows, 256)
	generate(t, m, full, 7, requests(20))
	require.LessOrEqual(t, be.held, most)
	m.MaxRows = 256
	require.NoError(t, m.Bound(1<<30))
	require.Equal(t, 256, m.MaxRows)
}

// Sequences whose caches do not fit are computed again, with the same result.
func TestGenerateParksSequences(t *testing.T) {
	endless := tiny
	endless.EOS = nil
	be := &watched{Backend: newBackend(t, 1)}
	m := newModel(t, be, endless, 5)
	long := &Request{Key: "long", N: 3}
	for i := range capacity(stepTokens) - 4 { // its cache must grow
		long.Prompt = append(long.Prompt, int32(i*i%23))
	}
	list := append([]*Request{long}, requests(10)...)
	want := generate(t, m, full, 7, list)
	needed, largest := be.fed, be.peak
	require.Zero(t, be.CachesHeld())
	one := be.CacheBytes(tiny.Layers, tiny.KVHeads, tiny.HeadDim, capacity(len(long.Prompt)+full.MaxTokens))
	again := 0
	for _, budget := range []int64{largest * 2 / 3, largest / 2, largest / 3, largest / 9} {
		budget = max(budget, one)
		m.CacheBytes = budget
		be.fed, be.peak = 0, 0
		for i, samples := range generate(t, m, full, 7, list) {
			equalSamples(t, want[i], samples, budget, i)
		}
		require.Zero(t, be.CachesHeld())
		require.LessOrEqual(t, be.peak, budget+2*one) // one that enters, one that grows
		again = max(again, be.fed-needed)
	}
	require.Greater(t, again, stepTokens, "no long sequence was computed again")
	err := m.Generate(t.Context(), full, 1, func() (*Request, error) { return list[4], nil }, func(*Request, []Sample) error { return io.ErrShortWrite })
	require.ErrorIs(t, err, io.ErrShortWrite)
	require.Zero(t, be.CachesHeld(), "caches are given back after an error")
}

func TestGenerateFinishes(t *testing.T) {
	m := newModel(t, newBackend(t, 1), tiny, 5)
	stops := 0
	for _, samples := range generate(t, m, plain(12), 3, requests(20)) {
		for _, s := range samples {
			last := len(s.Tokens) - 1
			for _, id := range s.Tokens[:last] {
				require.NotContains(t, tiny.EOS, id)
			}
			if slices.Contains(tiny.EOS, s.Tokens[last]) {
				require.Equal(t, "stop", s.Finish)
				stops++
			} else {
				require.Equal(t, "length", s.Finish)
				require.Len(t, s.Tokens, 12)
			}
		}
	}
	require.NotZero(t, stops)
}

func TestGenerateOfNothing(t *testing.T) {
	m := newModel(t, newBackend(t, 1), tiny, 5)
	require.Empty(t, generate(t, m, plain(5), 0, nil))
}

// However many requests there are, few are held at a time.
func TestGenerateReadsLittleAhead(t *testing.T) {
	m := newModel(t, newBackend(t, 1), tiny, 5)
	m.MaxRows = 2
	var fetched atomic.Int64
	emitted := int64(0)
	next := func() (*Request, error) {
		if n := fetched.Add(1); n <= 300 {
			return &Request{Key: fmt.Sprint(n), Prompt: []int32{1, 2}, N: 2}, nil
		}
		return nil, io.EOF
	}
	err := m.Generate(t.Context(), plain(30), 1, next, func(*Request, []Sample) error {
		emitted++
		require.LessOrEqual(t, fetched.Load()-emitted, int64(4*m.MaxRows+readAhead+2))
		return nil
	})
	require.NoError(t, err)
	require.EqualValues(t, 300, emitted)
}

// A request that is there is answered while the next is still awaited.
func TestGenerateEmitsAtOnce(t *testing.T) {
	m := newModel(t, newBackend(t, 1), tiny, 5)
	answered := make(chan struct{})
	first := true
	next := func() (*Request, error) {
		if first {
			first = false
			return &Request{Key: "a", Prompt: []int32{1}, N: 1}, nil
		}
		<-answered
		return nil, io.EOF
	}
	require.NoError(t, m.Generate(t.Context(), plain(5), 1, next, func(*Request, []Sample) error { close(answered); return nil }))
}

func TestGenerateEndsWithItsContext(t *testing.T) {
	endless := tiny
	endless.EOS = nil
	m := newModel(t, newBackend(t, 1), endless, 5)
	for name, next := range map[string]func() (*Request, error){
		"while it samples": func() (*Request, error) { return &Request{Key: "a", Prompt: []int32{1}, N: 1}, nil },
		"while it waits":   func() (*Request, error) { select {} },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		start := time.Now()
		err := m.Generate(ctx, plain(1<<20), 1, next, func(*Request, []Sample) error { return errors.New("nothing ends") })
		require.ErrorIs(t, err, context.DeadlineExceeded, name)
		require.Less(t, time.Since(start), 5*time.Second, name)
		cancel()
	}
	generate(t, m, plain(3), 1, requests(3)) // the model is still good
}

func TestGenerateErrors(t *testing.T) {
	m := newModel(t, newBackend(t, 1), untied(tiny), 5)
	run := func(s Sampling, r *Request, fetch, put error) error {
		next := func() (*Request, error) { return r, fetch }
		return m.Generate(t.Context(), s, 1, next, func(*Request, []Sample) error { return put })
	}
	good := &Request{Key: "a", Prompt: []int32{1}, N: 1}
	fetch, put := errors.New("fetch"), errors.New("put")
	require.Equal(t, fetch, run(plain(3), nil, fetch, nil))
	require.Equal(t, put, run(plain(3), good, nil, put))
	for _, c := range []struct {
		s   Sampling
		r   *Request
		err string
	}{
		{plain(0), good, "generate: limit of tokens is 0"},
		{plain(3), &Request{Key: "a", N: 1}, `generate: prompt "a": it has no tokens`},
		{plain(3), &Request{Key: "a", Prompt: []int32{1}}, `generate: prompt "a": 0 responses asked for`},
		{plain(3), &Request{Key: "a", Prompt: []int32{23}, N: 1}, `generate: prompt "a": token 23 is not in the model's vocabulary of 23`},
	} {
		require.EqualError(t, run(c.s, c.r, nil, nil), c.err)
	}
	poison(m, 1)
	for _, s := range []Sampling{plain(3), full, {Greedy: true, MaxTokens: 3}} {
		require.EqualError(t, run(s, good, nil, nil), `generate: prompt "a", rollout 0, token 0: log-probability is NaN`)
	}
}

// Tokens cost no allocations beyond the growth of what holds them.
func TestGenerateAllocatesNothingPerToken(t *testing.T) {
	endless := tiny
	endless.EOS = nil
	m := newModel(t, newBackend(t, 1), endless, 5)
	m.Threads = 1
	count := func(limit int) float64 {
		var a, b runtime.MemStats
		generate(t, m, plain(limit), 1, requests(8))
		runtime.ReadMemStats(&a)
		generate(t, m, plain(limit), 1, requests(8))
		runtime.ReadMemStats(&b)
		return float64(b.Mallocs - a.Mallocs)
	}
	const sequences = 20
	require.Less(t, (count(400)-count(100))/(300*sequences), 0.1)
}
