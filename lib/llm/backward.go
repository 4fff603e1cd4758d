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
	// back does so for products, of whose outputs it is given the gradients.
	back := func(dx, x op.Buf, matrices ...linear) {
		m.maps = m.maps[:0]
		for _, l := range matrices {
			f := op.Linear{W: m.packed[l.w], Y: l.y}
			if frozen == nil || !frozen[l.w] {
				f.DW = m.place(sum, l.w)
			}
			m.maps = append(m.maps, f)
		}
		be.MatMulGradX(dx, m.maps, n, false)
		be.MatMulGradW(m.maps, x, b.seq)
	}
	// out = mid + down · silu(gate)·up
	back(g.act, a.act, linear{l.down, g.x})
	gate, up := a.gate, a.up
	be.SwiGLUGrad(gate, up, g.act) // from now on gradients
	if c.MLPBias {
		be.BiasGrad(m.place(sum, l.downBias), g.x, n, c.Hidden)
		be.BiasGrad(m.place(sum, l.gateBias), gate, n, c.Intermediate)
		be.BiasGrad(m.place(sum, l.upBias), up, n, c.Intermediate)
	}
	back(g.h, a.h2, linear{l.gate, gate}, linear{l.up, up})
	be.RMSNormGrad(g.x, m.place(sum, l.mlpNorm), g.h, a.mid, m.vec(l.mlpNorm), n, c.Hidden, m.eps)
	// mid = x + o · attention
	back(g.att, a.att, linear{l.o, g.x})
	if c.OBias {
		be.BiasGrad(m.place(sum, l.oBias), g.x, n, c.Hidden)
	}
	be.AttentionGrad(g.qr, g.kr, g.v, g.att, a.qr, a.kr, a.v, a.att, b.seq, c.Heads, c.KVHeads, c.HeadDim)
	be.Rotate(op.Heads{Y: g.qr, N: c.Heads}, op.Heads{Y: g.kr, N: c.KVHeads}, b.pos, c.HeadDim, m.rope, true)
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
	back(g.h, a.h1, linear{l.q, g.q}, linear{l.k, g.k}, linear{l.v, g.v})
	be.RMSNormGrad(g.x, m.place(sum, l.attnNorm), g.h, a.x, m.vec(l.attnNorm), n, c.Hidden, m.eps)
}
