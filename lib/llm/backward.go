package llm

import "srar/lib/op"

// grads are the buffers of a backward pass through one layer; every layer uses
// the same. Names are those of [acts].
type grads struct {
	x        op.Buf // [N, D] gradient of the residual stream
	h        op.Buf // [N, D] of h2, then of h1
	qr, q    op.Buf // [N, H, C]
	kr, k, v op.Buf // [N, G, C]
	att      op.Buf // [N, H, C]
	act      op.Buf // [N, F]
}

// gradWidth returns the float32 for each token of grads.
func (m *Model) gradWidth() int {
	c := &m.cfg
	return 2*c.Hidden + 3*c.Heads*c.HeadDim + 3*c.KVHeads*c.HeadDim + c.Intermediate
}

// carveGrads lays out grads of n tokens in buf.
func (m *Model) carveGrads(buf op.Buf, n int) grads {
	c := &m.cfg
	t := carver{buf: buf, n: n}
	hc, gc := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	g := grads{
		x: t.take(c.Hidden), h: t.take(c.Hidden),
		qr: t.take(hc), att: t.take(hc), kr: t.take(gc), v: t.take(gc),
		act: t.take(c.Intermediate),
	}
	g.q, g.k = g.qr, g.kr
	if c.QKNorm {
		g.q, g.k = t.take(hc), t.take(gc)
	}
	return g
}

// blockGrad turns g.x, the gradient by what [Model.block] gave for layer i,
// into the gradient by its input, and adds the gradients by the layer's
// parameters to sum, which is laid out as the parameters are; those of frozen
// matrices are left out (nil: none is frozen).
func (m *Model) blockGrad(i int, a *acts, g *grads, b *batch, sum op.Buf, frozen []bool) {
	be, c, l, n := m.be, &m.cfg, &m.layers[i], len(b.ids)
	dw := func(w int, dy, x op.Buf) {
		if frozen != nil && frozen[w] {
			return
		}
		out, in := m.packed[w].Dims()
		be.MatMulGradW(m.place(sum, w), dy, x, b.seq, out, in)
	}
	// out = mid + down · silu(gate)·up
	be.MatMulGradX(g.act, g.x, m.packed[l.down], n, false)
	dw(l.down, g.x, a.act)
	gate, up := a.gate, a.up
	be.SwiGLUGrad(gate, up, g.act) // from now on gradients
	if c.MLPBias {
		be.BiasGrad(m.place(sum, l.downBias), g.x, n, c.Hidden)
		be.BiasGrad(m.place(sum, l.gateBias), gate, n, c.Intermediate)
		be.BiasGrad(m.place(sum, l.upBias), up, n, c.Intermediate)
	}
	be.MatMulGradX(g.h, gate, m.packed[l.gate], n, false)
	be.MatMulGradX(g.h, up, m.packed[l.up], n, true)
	dw(l.gate, gate, a.h2)
	dw(l.up, up, a.h2)
	be.RMSNormGrad(g.x, m.place(sum, l.mlpNorm), g.h, a.mid, m.vec(l.mlpNorm), n, c.Hidden, m.eps)
	// mid = x + o · attention
	be.MatMulGradX(g.att, g.x, m.packed[l.o], n, false)
	dw(l.o, g.x, a.att)
	if c.OBias {
		be.BiasGrad(m.place(sum, l.oBias), g.x, n, c.Hidden)
	}
	be.AttentionGrad(g.qr, g.kr, g.v, g.att, a.qr, a.kr, a.v, a.att, b.seq, c.Heads, c.KVHeads, c.HeadDim)
	be.Rotate(g.qr, b.pos, c.Heads, c.HeadDim, m.rope, true)
	be.Rotate(g.kr, b.pos, c.KVHeads, c.HeadDim, m.rope, true)
	if c.QKNorm {
		be.Zero(g.q)
		be.RMSNormGrad(g.q, m.place(sum, l.qNorm), g.qr, a.q, m.vec(l.qNorm), n*c.Heads, c.HeadDim, m.eps)
		be.Zero(g.k)
		be.RMSNormGrad(g.k, m.place(sum, l.kNorm), g.kr, a.k, m.vec(l.kNorm), n*c.KVHeads, c.HeadDim, m.eps)
	}
	if c.QKVBias {
		be.BiasGrad(m.place(sum, l.qBias), g.q, n, c.Heads*c.HeadDim)
		be.BiasGrad(m.place(sum, l.kBias), g.k, n, c.KVHeads*c.HeadDim)
		be.BiasGrad(m.place(sum, l.vBias), g.v, n, c.KVHeads*c.HeadDim)
	}
	be.MatMulGradX(g.h, g.q, m.packed[l.q], n, false)
	be.MatMulGradX(g.h, g.k, m.packed[l.k], n, true)
	be.MatMulGradX(g.h, g.v, m.packed[l.v], n, true)
	dw(l.q, g.q, a.h1)
	dw(l.k, g.k, a.h1)
	dw(l.v, g.v, a.h1)
	be.RMSNormGrad(g.x, m.place(sum, l.attnNorm), g.h, a.x, m.vec(l.attnNorm), n, c.Hidden, m.eps)
}
