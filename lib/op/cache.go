package op

import (
	"fmt"
	"slices"
)

// store is memory for some successive positions of sequences. For each layer and
// head it holds the keys, a right operand with a lane per position, and the
// values, one with a row per position; in BF16 rows of values are padded to 16.
type store struct {
	capacity int
	k, v     []float32
	users    int // caches that hold it
}

// segment is a store and what a cache takes of it: the positions from at on, as
// many as the next segment leaves. Segments begin at multiples of 32.
type segment struct {
	*store
	at int
}

// cache holds keys and values of one sequence: segments that it shares with others,
// then those of its own, another one each time it grows.
type cache struct {
	numerics            Numerics
	layers, heads, size int
	written             []int // positions of each layer
	segments            []segment
}

func (k *cache) Len() int { return k.written[k.layers-1] }

func (k *cache) Cap() int {
	last := k.segments[len(k.segments)-1]
	return last.at + last.capacity
}

// holding returns the segment that position p lies in.
func (k *cache) holding(p int) segment {
	i := len(k.segments) - 1
	for k.segments[i].at > p {
		i--
	}
	return k.segments[i]
}

// end returns the position behind segment i.
func (k *cache) end(i int) int {
	if i+1 < len(k.segments) {
		return k.segments[i+1].at
	}
	return k.Cap()
}

// keysLen and valuesLen return the memory of one head of a layer.
func (k *cache) keysLen(capacity int) int   { return k.numerics.columnsLen(k.size, capacity) }
func (k *cache) valuesLen(capacity int) int { return k.numerics.height(capacity) * k.valueRow() }

// valueRow returns the distance of rows of values.
func (k *cache) valueRow() int {
	if k.numerics == F32 {
		return k.size
	}
	return (k.size + 15) / 16 * 16
}

// keys returns the keys of one head.
func (k *cache) keys(s *store, layer, head int) right {
	n := k.keysLen(s.capacity)
	return right{s.k[(layer*k.heads+head)*n:][:n], k.numerics.height(k.size) * panel, panel}
}

// values returns the values of one head.
func (k *cache) values(s *store, layer, head int) right {
	n := k.valuesLen(s.capacity)
	return right{s.v[(layer*k.heads+head)*n:][:n], panel, k.valueRow()}
}

// shape returns a cache without memory.
func (c *cpu) shape(layers, g, size int) *cache {
	if layers < 1 || g < 1 || size < 1 {
		panic(fmt.Sprintf("op: cache of %d layers, %d heads of %d", layers, g, size))
	}
	return &cache{numerics: c.numerics, layers: layers, heads: g, size: size}
}

func (c *cpu) NewCache(layers, g, size, capacity int) Cache {
	k := c.shape(layers, g, size)
	k.written = make([]int, layers)
	c.grow(k, 0, capacity)
	return k
}

// grow gives k a segment of its own for positions from at to capacity at least, so
// that the next one begins at a multiple of 32.
func (c *cpu) grow(k *cache, at, capacity int) {
	if capacity <= at {
		panic(fmt.Sprintf("op: cache of %d positions, %d of them shared", capacity, at))
	}
	n := panels(capacity-at) * panel
	// Keys beyond the written positions are computed with and then masked, so any
	// content will do.
	k.segments = append(k.segments, segment{at: at, store: &store{
		capacity: n, users: 1,
		k: c.heap.get(k.layers*k.heads*k.keysLen(n), false),
		v: c.heap.get(k.layers*k.heads*k.valuesLen(n), false),
	}})
	c.caches += c.CacheBytes(k.layers, k.heads, k.size, n)
}

func (c *cpu) CacheBytes(layers, g, size, capacity int) int64 {
	k := c.shape(layers, g, size)
	capacity = panels(capacity) * panel
	return 4 * int64(class(layers*g*k.keysLen(capacity))+class(layers*g*k.valuesLen(capacity)))
}

func (c *cpu) CachesHeld() int64 { return c.caches }

func (c *cpu) FreeCache(k Cache) {
	m := k.(*cache)
	for _, s := range m.segments {
		c.drop(m, s)
	}
	m.segments = nil
}

// drop gives back a segment that k had, unless another cache holds it.
func (c *cpu) drop(k *cache, s segment) {
	if s.users--; s.users > 0 {
		return
	}
	c.heap.put(s.k)
	c.heap.put(s.v)
	c.caches -= c.CacheBytes(k.layers, k.heads, k.size, s.capacity)
}

func (c *cpu) GrowCache(k Cache, capacity int) {
	m := k.(*cache)
	if at := m.Cap(); capacity > at {
		c.grow(m, at, capacity)
	}
}

func (c *cpu) ShareCache(src Cache, capacity int) Cache {
	s := src.(*cache)
	n := s.Len()
	d := c.shape(s.layers, s.heads, s.size)
	d.written, d.segments = slices.Clone(s.written), make([]segment, 0, len(s.segments)+1)
	for l, w := range s.written {
		if w != n {
			panic(fmt.Sprintf("op: ShareCache: %d positions in layer %d, %d in the last", w, l, n))
		}
	}
	whole := n / reduction * reduction
	for _, g := range s.segments {
		if g.at < whole {
			g.users++
			d.segments = append(d.segments, g)
		}
	}
	c.grow(d, whole, max(capacity, n, whole+1))
	if n == whole {
		return d
	}
	last, own := s.holding(whole), d.holding(whole)
	for l := range s.layers {
		for h := range s.heads {
			from, to := s.keys(last.store, l, h), d.keys(own.store, l, h)
			copy(to.b[:to.bp], from.b[(whole-last.at)/panel*from.bp:])
			from, to = s.values(last.store, l, h), d.values(own.store, l, h)
			rows := s.numerics.height(n - whole)
			copy(to.b[:rows*to.bl], from.b[s.numerics.height(whole-last.at)*from.bl:])
		}
	}
	return d
}

// cacheWrite appends rows of k and v to caches, its items spans.
type cacheWrite struct {
	caches []Cache
	layer  int
	k, v   []float32
	seq    []Span
	g, c   int
}

func (c *cpu) CacheWrite(caches []Cache, layer int, k, v Buf, seq []Span, g, size int) {
	equal("CacheWrite", len(caches), len(seq))
	rows := 0
	for i, s := range seq {
		m := caches[i].(*cache)
		if m.heads != g || m.size != size || m.written[layer]+s.Hi-s.Lo > m.Cap() {
			panic(fmt.Sprintf("op: CacheWrite: %d heads of %d, %d positions after %d, into a cache of %d heads of %d, %d positions",
				g, size, s.Hi-s.Lo, m.written[layer], m.heads, m.size, m.Cap()))
		}
		rows = max(rows, s.Hi)
	}
	c.jobs.cacheWrite = cacheWrite{caches, layer, need("CacheWrite", k, rows*g*size), need("CacheWrite", v, rows*g*size), seq, g, size}
	c.split(len(seq), rows*g*(10+size)/max(len(seq), 1), &c.jobs.cacheWrite)
}

func (w *cacheWrite) do(t *thread, lo, hi int) {
	for s := lo; s < hi; s++ {
		m, span := w.caches[s].(*cache), w.seq[s]
		for i := span.Lo; i < span.Hi; i++ {
			p := m.written[w.layer]
			own := m.holding(p)
			for h := range w.g {
				row := (i*w.g + h) * w.c
				m.write(t, m.keys(own.store, w.layer, h), m.values(own.store, w.layer, h), p-own.at, w.k[row:][:w.c], w.v[row:][:w.c])
			}
			m.written[w.layer]++
		}
	}
}

// write stores the key and the value of position p of a segment.
func (k *cache) write(t *thread, keys, values right, p int, key, value []float32) {
	column := keys.b[p/panel*keys.bp+p%panel:]
	if k.numerics == F32 {
		for i, v := range key {
			column[i*panel] = v
		}
		copy(values.b[p*values.bl:], value)
		return
	}
	words := t.words.take(k.numerics.height(k.size))
	t.tier.pairs(words, key)
	for i, v := range words {
		column[i*panel] = v
	}
	if p%reduction == 0 { // the block is reduced whole
		clear(values.b[p/2*values.bl:][:reduction/2*values.bl])
	}
	word, upper := t.tier.order.place(p)
	t.tier.put(values.b[word*values.bl:][:k.size], value, upper)
}
