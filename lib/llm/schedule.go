package llm

import (
	"errors"
	"fmt"
	"slices"

	"srar/lib/op"
)

// stepTokens bounds the tokens of prompts, and of responses computed again, in
// one forward pass, beside the sequences that go on by one token.
const stepTokens = 1024

// group is a request at work.
type group struct {
	req     *Request
	hash    uint64 // of the key
	samples []Sample
	left    int          // sequences that have not ended
	started int          // sequences that have drawn a token
	fed     int          // tokens of the prompt in the cache
	cache   op.Cache     // of the prompt; nil when all sequences have started
	hidden  op.Buf       // [D] what the output matrix reads after the prompt; until all have started
	seen    []occurrence // tokens of the prompt, where penalties ask for them
}

// ready reports whether the prompt is computed.
func (w *group) ready() bool { return w.fed == len(w.req.Prompt) }

// sequence is a response in progress.
type sequence struct {
	g     *group
	index int      // rollout
	cache op.Cache // nil before the first token is drawn, and while parked
	fed   int      // tokens of prompt and response in the cache
	seen  []occurrence
}

// sample returns where the response is written.
func (q *sequence) sample() *Sample { return &q.g.samples[q.index] }

// length returns the number of tokens of prompt and response.
func (q *sequence) length() int { return len(q.g.req.Prompt) + len(q.sample().Tokens) }

// generator is the state of a call of Generate.
//
// Caches grow with their sequences, since most end long before their limit.
// When they no longer fit, the youngest sequences are parked: they give up
// their caches, and are computed again from their tokens when there is room,
// which gives the same bits.
type generator struct {
	m        *Model
	sampling Sampling
	seed     uint64
	requests <-chan fetched
	ended    bool // no more requests

	groups  []*group    // admitted and not emitted, in order
	waiting []*group    // those of them with sequences to start, in order
	live    []*sequence // with a cache, oldest first
	parked  []*sequence
	held    int // sequences of groups
	unborn  int // sequences of waiting that have not started

	b        batch
	rows     []int32     // batch rows whose logits are asked for: of drawing, then of filled
	drawing  []*sequence // those that draw a token in this step
	behind   []*sequence // those that are still being computed again
	filled   []*group    // those whose prompt is computed in this step
	hidden   op.Buf      // [R, D] of drawing
	tokens   []int32     // drawn
	logprobs []float32
	temp     []float32
	u        []float64 // that select the tokens
	host     []float32 // [logitRows, V], of drawing from lo
	lo       int
	crew     crew
}

// room reports whether a further request may enter.
func (g *generator) room() bool {
	// A long response at the head holds back what is finished behind it, but not
	// without end.
	window := 4 * g.m.MaxRows
	return len(g.groups) == 0 ||
		len(g.parked) == 0 && len(g.live)+g.unborn < g.m.MaxRows && g.held < window && g.m.be.CachesHeld() < g.m.CacheBytes
}

// enter makes a request a group.
func (g *generator) enter(r *Request) error {
	switch {
	case len(r.Prompt) == 0:
		return errors.New("it has no tokens")
	case r.N <= 0:
		return fmt.Errorf("%d responses asked for", r.N)
	}
	if err := g.m.checkTokens(r.Prompt); err != nil {
		return err
	}
	if err := g.m.checkWindow(len(r.Prompt)); err != nil {
		return err
	}
	if err := g.checkMemory(len(r.Prompt)); err != nil {
		return err
	}
	w := &group{
		req: r, hash: keyHash(r.Key), samples: make([]Sample, r.N), left: r.N,
		cache: g.m.be.NewCache(g.m.cfg.Layers, g.m.cfg.KVHeads, g.m.cfg.HeadDim, len(r.Prompt)), hidden: g.m.be.New(g.m.cfg.Hidden),
	}
	if g.sampling.penalises() {
		for _, id := range r.Prompt {
			w.seen = observe(w.seen, id, 0)
		}
	}
	g.groups, g.waiting = append(g.groups, w), append(g.waiting, w)
	g.held += r.N
	g.unborn += r.N
	return nil
}

// finished takes out the first group if all its sequences have ended, else it
// returns nil.
func (g *generator) finished() *group {
	if len(g.groups) == 0 || g.groups[0].left > 0 {
		return nil
	}
	head := g.groups[0]
	g.groups = slices.Delete(g.groups, 0, 1)
	g.held -= len(head.samples)
	return head
}

// step runs one forward pass: a token of every live sequence, and a piece of
// the prompts that wait. Then it draws a token for each live sequence and for
// those that can start.
func (g *generator) step() error {
	g.resume()
	if err := g.fit(); err != nil {
		return err
	}
	g.fill()
	m, d := g.m, g.m.cfg.Hidden
	old := len(g.drawing)
	if len(g.b.ids) > 0 {
		x := m.forward(&g.b)
		if len(g.rows) > 0 {
			_, hidden := m.last(x, g.rows)
			for i, w := range g.filled {
				k := old + i
				m.be.Copy(w.hidden, hidden.Slice(k*d, (k+1)*d))
			}
		}
	}
	g.start()
	n := len(g.drawing)
	if n == 0 {
		return nil
	}
	m.grow(&g.hidden, n*d)
	if old > 0 {
		m.be.Copy(g.hidden.Slice(0, old*d), m.work.hidden.Slice(0, old*d))
	}
	for i := old; i < n; i++ {
		m.be.Copy(g.hidden.Slice(i*d, (i+1)*d), g.drawing[i].g.hidden)
	}
	if err := g.draw(); err != nil {
		return err
	}
	return g.settle()
}

// resume gives parked sequences a cache again while there is room for that and
// for some growth, or when nothing else runs.
func (g *generator) resume() {
	for len(g.parked) > 0 {
		q := g.parked[0]
		if len(g.live) > 0 && (len(g.live) >= g.m.MaxRows || g.m.be.CachesHeld()+2*g.cacheBytes(capacity(q.length())) > g.m.CacheBytes) {
			return
		}
		g.parked = slices.Delete(g.parked, 0, 1)
		q.cache = g.newCache(q.length())
		g.live = append(g.live, q)
	}
}

// fit makes each live sequence's cache large enough for its next token. The
// youngest are parked for the older.
func (g *generator) fit() error {
	for i := 0; i < len(g.live); i++ {
		q := g.live[i]
		n := q.length()
		if q.cache.Cap() >= n {
			continue
		}
		if err := g.checkMemory(n); err != nil {
			return fmt.Errorf("generate: prompt %q, rollout %d: %w", q.g.req.Key, q.index, err)
		}
		more := g.sharedBytes(q.cache, n)
		for g.m.be.CachesHeld()+more > g.m.CacheBytes && len(g.live) > max(i, 1) {
			last := g.live[len(g.live)-1]
			g.live = g.live[:len(g.live)-1]
			g.m.be.FreeCache(last.cache)
			last.cache, last.fed = nil, 0
			g.parked = append(g.parked, last)
		}
		if i < len(g.live) {
			g.m.be.GrowCache(q.cache, capacity(n))
		}
	}
	return nil
}

// fill makes the batch of a step.
func (g *generator) fill() {
	g.b.reset()
	g.rows, g.drawing, g.behind, g.filled = g.rows[:0], g.drawing[:0], g.behind[:0], g.filled[:0]
	budget := stepTokens
	for _, q := range g.live {
		prompt, tokens := q.g.req.Prompt, q.sample().Tokens
		n := q.length() - q.fed
		if n > 1 { // computed again
			n = min(n, budget)
			budget -= n
		}
		if n > 0 {
			at := q.fed
			q.fed += n
			g.feed(q.cache, at, piece(prompt, at, q.fed), piece(tokens, at-len(prompt), q.fed-len(prompt)))
		}
		if q.fed < q.length() {
			g.behind = append(g.behind, q)
			continue
		}
		g.rows = append(g.rows, int32(len(g.b.ids)-1))
		g.drawing = append(g.drawing, q)
	}
	for _, w := range g.waiting {
		n := min(budget, len(w.req.Prompt)-w.fed)
		if n == 0 {
			continue
		}
		g.feed(w.cache, w.fed, w.req.Prompt[w.fed:w.fed+n])
		w.fed += n
		budget -= n
		if w.ready() {
			g.rows = append(g.rows, int32(len(g.b.ids)-1))
			g.filled = append(g.filled, w)
		}
	}
}

// piece returns what of s lies within [lo, hi).
func piece(s []int32, lo, hi int) []int32 {
	lo, hi = min(max(lo, 0), len(s)), min(max(hi, 0), len(s))
	return s[lo:hi]
}

// feed adds tokens to the batch, to follow the `first` that cache holds.
func (g *generator) feed(cache op.Cache, first int, parts ...[]int32) {
	g.b.add(first, parts...)
	g.b.caches = append(g.b.caches, cache)
}

// start adds sequences of waiting groups to those that draw, in order, as rows
// and memory allow.
func (g *generator) start() {
	for len(g.waiting) > 0 && g.waiting[0].ready() {
		w := g.waiting[0]
		for w.started < w.req.N {
			next := len(w.req.Prompt) + 1
			more := g.sharedBytes(w.cache, next)
			if n := len(g.live); n > 0 && (n >= g.m.MaxRows || len(g.parked) > 0 || g.m.be.CachesHeld()+more > g.m.CacheBytes) {
				return
			}
			q := &sequence{g: w, index: w.started, fed: w.fed, seen: slices.Clone(w.seen)}
			q.cache = g.m.be.ShareCache(w.cache, capacity(next))
			g.live, g.drawing = append(g.live, q), append(g.drawing, q)
			w.started++
			g.unborn--
		}
		g.m.be.FreeCache(w.cache)
		w.cache = nil
		g.waiting = slices.Delete(g.waiting, 0, 1)
	}
}

// draw computes the logits of g.hidden and draws a token for each of
// g.drawing: g.tokens, and their log-probabilities, which are finite.
func (g *generator) draw() error {
	m, n, v := g.m, len(g.drawing), g.m.cfg.Vocab
	g.tokens = slices.Grow(g.tokens[:0], n)[:n]
	g.logprobs = slices.Grow(g.logprobs[:0], n)[:n]
	for len(g.temp) < n {
		g.temp = append(g.temp, g.sampling.temperature())
	}
	m.eachLogits(g.hidden, n, func(z op.Buf, lo, hi int) {
		ids, temp := g.tokens[lo:hi], g.temp[lo:hi]
		if g.sampling.plain() {
			g.u = g.u[:0]
			for _, q := range g.drawing[lo:hi] {
				g.u = append(g.u, g.uniform(q))
			}
			m.be.Draw(ids, z, temp, g.u, hi-lo, v)
		} else {
			g.host = slices.Grow(g.host[:0], (hi-lo)*v)[:(hi-lo)*v]
			m.be.Read(g.host, z)
			g.lo = lo
			g.crew.each(m.Threads, hi-lo, v, g)
		}
		m.be.LogProb(g.logprobs[lo:hi], nil, z, ids, temp, hi-lo, v)
	})
	for i, x := range g.logprobs {
		if q := g.drawing[i]; !finite(x) {
			return fmt.Errorf("generate: prompt %q, rollout %d, token %d: log-probability is %v", q.g.req.Key, q.index, len(q.sample().Tokens), x)
		}
	}
	return nil
}

// uniform returns the number in [0, 1) that selects q's next token.
func (g *generator) uniform(q *sequence) float64 {
	return uniform(g.seed, q.g.hash, q.index, len(q.sample().Tokens))
}

// drawRow draws from row i of g.host.
func (g *generator) drawRow(s *sampler, i int) {
	v, q := g.m.cfg.Vocab, g.drawing[g.lo+i]
	g.tokens[g.lo+i] = s.draw(g.host[i*v:(i+1)*v], &g.sampling, q.seen, g.uniform(q))
}

// settle writes the tokens drawn, and keeps the sequences that go on.
func (g *generator) settle() (err error) {
	g.live = g.live[:0]
	for i, q := range g.drawing {
		s, id := q.sample(), g.tokens[i]
		s.Tokens, s.Logprobs = append(s.Tokens, id), append(s.Logprobs, g.logprobs[i])
		switch {
		case slices.Contains(g.m.cfg.EOS, id):
			s.Finish = "stop"
		case len(s.Tokens) == g.sampling.MaxTokens:
			s.Finish = "length"
		}
		if q.g.cache == nil && q.g.hidden.Len() > 0 { // all have started
			g.m.be.Free(q.g.hidden)
			q.g.hidden = op.Buf{}
		}
		if s.Finish != "" {
			g.m.be.FreeCache(q.cache)
			q.g.left--
			continue
		}
		if e := g.m.checkWindow(q.length()); e != nil && err == nil {
			err = fmt.Errorf("generate: prompt %q, rollout %d, after %d tokens: %w", q.g.req.Key, q.index, len(s.Tokens), e)
		}
		if g.sampling.penalises() {
			q.seen = observe(q.seen, id, 1)
		}
		g.live = append(g.live, q)
	}
	g.live = append(g.live, g.behind...)
	return err
}

// capacity returns the positions of a cache that shall hold n and may grow. It grows
// by few pieces, which attention reads one after another, and by whole pairs of
// panels.
func capacity(n int) int {
	const step = 64
	c := step
	for c < n {
		c += max(c/2/step, 2) * step
	}
	return c
}

// cacheBytes returns the size of a cache of n positions.
func (g *generator) cacheBytes(n int) int64 {
	c := &g.m.cfg
	return g.m.be.CacheBytes(c.Layers, c.KVHeads, c.HeadDim, n)
}

// sharedBytes returns what a cache for n positions that begins as k takes.
func (g *generator) sharedBytes(k op.Cache, n int) int64 {
	return g.cacheBytes(capacity(n) - k.Len()/32*32)
}

// newCache returns an empty cache for n positions.
func (g *generator) newCache(n int) op.Cache {
	c := &g.m.cfg
	return g.m.be.NewCache(c.Layers, c.KVHeads, c.HeadDim, capacity(n))
}

// free gives back what is still held.
func (g *generator) free() {
	for _, q := range g.live {
		g.m.be.FreeCache(q.cache)
	}
	for _, w := range g.groups {
		if w.cache != nil {
			g.m.be.FreeCache(w.cache)
		}
		if w.hidden.Len() > 0 {
			g.m.be.Free(w.hidden)
		}
	}
	if g.hidden.Len() > 0 {
		g.m.be.Free(g.hidden)
	}
}
