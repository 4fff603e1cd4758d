package op

import "fmt"

// cache holds keys and values of one sequence. For each layer and head the keys
// are panels [⌈capacity/32⌉][C][32], as right operands with a lane per position,
// and the values rows [capacity][C].
type cache struct {
	layers, heads, size, capacity int
	written                       []int // positions of each layer
	k, v                          []float32
}

func (k *cache) Len() int { return k.written[k.layers-1] }
func (k *cache) Cap() int { return k.capacity }

// keys returns the key panels of one head.
func (k *cache) keys(layer, head int) []float32 {
	n := panels(k.capacity) * panel * k.size
	return k.k[(layer*k.heads+head)*n:][:n]
}

// values returns the value rows of one head.
func (k *cache) values(layer, head int) []float32 {
	n := k.capacity * k.size
	return k.v[(layer*k.heads+head)*n:][:n]
}

func (c *cpu) NewCache(layers, g, size, capacity int) Cache {
	if layers < 1 || g < 1 || size < 1 || capacity < 1 {
		panic(fmt.Sprintf("op: NewCache: %d layers, %d heads of %d, %d positions", layers, g, size, capacity))
	}
	return &cache{
		layers: layers, heads: g, size: size, capacity: capacity,
		written: make([]int, layers),
		// What lies beyond the written positions is computed with and then
		// masked, so any content will do.
		k: c.heap.get(layers*g*panels(capacity)*panel*size, false),
		v: c.heap.get(layers*g*capacity*size, false),
	}
}

func (c *cpu) FreeCache(k Cache) {
	m := k.(*cache)
	c.heap.put(m.k)
	c.heap.put(m.v)
	m.k, m.v = nil, nil
}

func (c *cpu) CopyCache(dst, src Cache) {
	d, s := dst.(*cache), src.(*cache)
	if d.layers != s.layers || d.heads != s.heads || d.size != s.size || d.capacity < s.Len() {
		panic(fmt.Sprintf("op: CopyCache: [%d layers, %d heads of %d, %d positions] from [%d layers, %d heads of %d], %d positions",
			d.layers, d.heads, d.size, d.capacity, s.layers, s.heads, s.size, s.Len()))
	}
	for l := range s.layers {
		n := s.written[l]
		for h := range s.heads {
			copy(d.keys(l, h), s.keys(l, h)[:panels(n)*panel*s.size])
			copy(d.values(l, h), s.values(l, h)[:n*s.size])
		}
		d.written[l] = n
	}
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
		if m.heads != g || m.size != size || m.written[layer]+s.Hi-s.Lo > m.capacity {
			panic(fmt.Sprintf("op: CacheWrite: %d heads of %d, %d positions after %d, into a cache of %d heads of %d, %d positions",
				g, size, s.Hi-s.Lo, m.written[layer], m.heads, m.size, m.capacity))
		}
		rows = max(rows, s.Hi)
	}
	c.jobs.cacheWrite = cacheWrite{caches, layer, need("CacheWrite", k, rows*g*size), need("CacheWrite", v, rows*g*size), seq, g, size}
	c.split(len(seq), rows*g*(10+size)/max(len(seq), 1), &c.jobs.cacheWrite)
}

func (w *cacheWrite) do(_ *thread, lo, hi int) {
	for s := lo; s < hi; s++ {
		m := w.caches[s].(*cache)
		at := m.written[w.layer]
		for h := range w.g {
			keys, values := m.keys(w.layer, h), m.values(w.layer, h)
			for i := w.seq[s].Lo; i < w.seq[s].Hi; i++ {
				p := at + i - w.seq[s].Lo
				row := (i*w.g + h) * w.c
				column := keys[p/panel*panel*w.c+p%panel:]
				for x, v := range w.k[row:][:w.c] {
					column[x*panel] = v
				}
				copy(values[p*w.c:], w.v[row:][:w.c])
			}
		}
		m.written[w.layer] = at + w.seq[s].Hi - w.seq[s].Lo
	}
}
