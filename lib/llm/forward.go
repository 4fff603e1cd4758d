package llm

import "srar/lib/op"

// batch is a packed batch of N tokens.
type batch struct {
	ids, pos []int32    // of each token: id, and position in its sequence
	seq      []op.Span  // the rows of each sequence
	caches   []op.Cache // of each sequence: what comes before; nil to attend within the batch
}

func (b *batch) reset() {
	b.ids, b.pos, b.seq, b.caches = b.ids[:0], b.pos[:0], b.seq[:0], b.caches[:0]
}

// add appends a sequence, or the continuation of one, given in parts, whose
// first token is at position first.
func (b *batch) add(first int, parts ...[]int32) {
	lo := len(b.ids)
	for _, ids := range parts {
		for range ids {
			b.pos = append(b.pos, int32(first))
			first++
		}
		b.ids = append(b.ids, ids...)
	}
	b.seq = append(b.seq, op.Span{Lo: lo, Hi: len(b.ids)})
}

// acts are the activations of one layer.
type acts struct {
	x        op.Buf // [N, D] the residual stream at the layer's input
	h1       op.Buf // [N, D] normalised
	q, k     op.Buf // [N, H, C], [N, G, C] as projected
	qr, kr   op.Buf // likewise, normalised and rotated
	v        op.Buf // [N, G, C]
	att      op.Buf // [N, H, C] what attention gives
	mid      op.Buf // [N, D] the residual stream after attention
	h2       op.Buf // [N, D] normalised
	gate, up op.Buf // [N, F]
	act      op.Buf // [N, F] silu(gate)·up
}

// actWidth returns the float32 for each token of acts. Those kept for a
// backward pass have buffers of their own for every value; else mid takes the
// place of x.
func (m *Model) actWidth(keep bool) int {
	c := &m.cfg
	w := 3 * (c.Hidden + (c.Heads+c.KVHeads)*c.HeadDim + c.Intermediate)
	if keep {
		w += c.Hidden
	}
	return w
}

// carver cuts buffers of n rows off a larger one.
type carver struct {
	buf op.Buf
	n   int
	at  int
}

// take returns the next [n, width].
func (c *carver) take(width int) op.Buf {
	b := c.buf.Slice(c.at, c.at+c.n*width)
	c.at += roundUp(c.n) * width
	return b
}

// roundUp keeps the buffers of a carver on cache lines.
func roundUp(n int) int { return (n + align - 1) / align * align }

// carve lays out a layer's activations of n tokens in buf.
func (m *Model) carve(buf op.Buf, n int, keep bool) acts {
	c := &m.cfg
	t := carver{buf: buf, n: n}
	hc, gc := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	a := acts{
		x: t.take(c.Hidden), h1: t.take(c.Hidden), h2: t.take(c.Hidden),
		q: t.take(hc), att: t.take(hc), k: t.take(gc), v: t.take(gc),
		gate: t.take(c.Intermediate), up: t.take(c.Intermediate), act: t.take(c.Intermediate),
	}
	a.qr, a.kr, a.mid = a.q, a.k, a.x
	if c.QKNorm {
		a.qr, a.kr = t.take(hc), t.take(gc)
	}
	if keep {
		a.mid = t.take(c.Hidden)
	}
	return a
}

// grow makes b hold at least n float32; what it held is lost.
func (m *Model) grow(b *op.Buf, n int) {
	if b.Len() >= n {
		return
	}
	if b.Len() > 0 {
		m.be.Free(*b)
	}
	*b = m.be.New(n + n/4)
}

// linear is a matrix, a parameter, and the place of its outputs.
type linear struct {
	w int
	y op.Buf
}

// multiply computes the outputs of matrices for x, n rows, or adds to them.
func (m *Model) multiply(x op.Buf, n int, add bool, matrices ...linear) {
	m.maps = m.maps[:0]
	for _, l := range matrices {
		m.maps = append(m.maps, op.Linear{W: m.packed[l.w], Y: l.y})
	}
	m.be.MatMul(m.maps, x, n, add)
}

// block runs layer i over a batch: a.x in, out [N, D] the residual stream
// after it. Where a.mid and out have memory of their own (keep) all of a stays
// for the backward pass; else all three are one buffer.
func (m *Model) block(i int, a *acts, out op.Buf, b *batch, keep bool) {
	be, c, l, n := m.be, &m.cfg, &m.layers[i], len(b.ids)
	be.RMSNorm(a.h1, a.x, m.vec(l.attnNorm), n, c.Hidden, m.eps)
	m.multiply(a.h1, n, false, linear{l.q, a.q}, linear{l.k, a.k}, linear{l.v, a.v})
	if c.QKVBias {
		be.Bias(a.q, m.vec(l.qBias), n, c.Heads*c.HeadDim)
		be.Bias(a.k, m.vec(l.kBias), n, c.KVHeads*c.HeadDim)
		be.Bias(a.v, m.vec(l.vBias), n, c.KVHeads*c.HeadDim)
	}
	q, k := op.Heads{Y: a.qr, N: c.Heads}, op.Heads{Y: a.kr, N: c.KVHeads}
	if c.QKNorm {
		q.X, q.Norm, q.Eps = a.q, m.vec(l.qNorm), m.eps
		k.X, k.Norm, k.Eps = a.k, m.vec(l.kNorm), m.eps
	}
	be.Rotate(q, k, b.pos, c.HeadDim, m.rope, false)
	if len(b.caches) > 0 {
		be.CacheWrite(b.caches, i, a.kr, a.v, b.seq, c.KVHeads, c.HeadDim)
		be.Attend(a.att, a.qr, b.caches, i, b.seq, c.Heads, c.KVHeads, c.HeadDim)
	} else {
		be.Attention(a.att, a.qr, a.kr, a.v, b.seq, c.Heads, c.KVHeads, c.HeadDim)
	}
	if keep {
		be.Copy(a.mid, a.x)
	}
	m.multiply(a.att, n, true, linear{l.o, a.mid})
	if c.OBias {
		be.Bias(a.mid, m.vec(l.oBias), n, c.Hidden)
	}
	be.RMSNorm(a.h2, a.mid, m.vec(l.mlpNorm), n, c.Hidden, m.eps)
	m.multiply(a.h2, n, false, linear{l.gate, a.gate}, linear{l.up, a.up})
	if c.MLPBias {
		be.Bias(a.gate, m.vec(l.gateBias), n, c.Intermediate)
		be.Bias(a.up, m.vec(l.upBias), n, c.Intermediate)
	}
	be.SwiGLU(a.act, a.gate, a.up)
	if keep {
		be.Copy(out, a.mid)
	}
	m.multiply(a.act, n, true, linear{l.down, out})
	if c.MLPBias {
		be.Bias(out, m.vec(l.downBias), n, c.Hidden)
	}
}

// workspace is the memory of forward passes whose activations are not kept,
// and of rows of logits. It grows to the largest need.
type workspace struct {
	acts   op.Buf // of one layer
	rows   op.Buf // [R, D] rows of the residual stream that logits are asked of
	hidden op.Buf // [R, D] the same normalised
	logits op.Buf // [logitRows, V]
}

// forward runs a batch through all layers and returns the residual stream
// [N, D], valid until the next call.
func (m *Model) forward(b *batch) op.Buf {
	n := len(b.ids)
	m.grow(&m.work.acts, roundUp(n)*m.actWidth(false))
	a := m.carve(m.work.acts, n, false)
	m.be.Embed(a.x, m.vec(0), b.ids, m.cfg.Hidden)
	for i := range m.layers {
		m.block(i, &a, a.x, b, false)
	}
	return a.x
}

// last gathers rows of the residual stream x: the rows themselves [R, D] and
// the same after the last norm, which the output matrix reads. Both are valid
// until the next call.
func (m *Model) last(x op.Buf, rows []int32) (raw, hidden op.Buf) {
	n, d := len(rows), m.cfg.Hidden
	m.grow(&m.work.rows, n*d)
	m.grow(&m.work.hidden, n*d)
	raw, hidden = m.work.rows.Slice(0, n*d), m.work.hidden.Slice(0, n*d)
	m.be.Gather(raw, x, rows, d)
	m.be.RMSNorm(hidden, raw, m.vec(m.norm), n, d, m.eps)
	return raw, hidden
}

// eachLogits computes the logits of hidden [R, D] in pieces, so that [R, V]
// never exists whole, and calls visit with the rows [lo, hi) of each, in order.
func (m *Model) eachLogits(hidden op.Buf, n int, visit func(logits op.Buf, lo, hi int)) {
	for lo := 0; lo < n; lo += m.logitRows {
		hi := min(lo+m.logitRows, n)
		visit(m.logits(hidden, lo, hi), lo, hi)
	}
}

// logits computes those of the rows [lo, hi) of hidden, logitRows at most. They
// are valid until the next call.
func (m *Model) logits(hidden op.Buf, lo, hi int) op.Buf {
	d, v := m.cfg.Hidden, m.cfg.Vocab
	m.grow(&m.work.logits, min(roundUp(hi-lo), m.logitRows)*v)
	z := m.work.logits.Slice(0, (hi-lo)*v)
	m.multiply(hidden.Slice(lo*d, hi*d), hi-lo, false, linear{m.head, z})
	return z
}
