package main

import (
	"time"

	"srar/lib/op"
)

// spent is the time of the calls of an operator.
type spent struct {
	calls int
	time  time.Duration
}

// meter is a backend that notes how long its operators take, those that
// [decoding] and [training] count and some that only move data. It also watches
// the passes of a model, each of which begins with Embed: see onPass.
type meter struct {
	op.Backend
	detail bool // note operators, which costs the shortest some of their speed
	times  map[operator]spent

	// onPass, if set, is called at the end of each pass with what it took and how
	// many sequences went on by one token in it, 0 if some went on by more. The pass
	// under way when sampling ends has no end.
	onPass func(sequences int, took time.Duration)
	began  time.Time // the pass
	single int
}

func (m *meter) note(name string, out, in int, start time.Time) {
	if m.detail {
		o := operator{name, out, in}
		s := m.times[o]
		m.times[o] = spent{s.calls + 1, s.time + time.Since(start)}
	}
}

func (m *meter) Embed(y, table op.Buf, ids []int32, d int) {
	now := time.Now()
	if m.onPass != nil {
		if !m.began.IsZero() {
			m.onPass(m.single, now.Sub(m.began))
		}
		m.began, m.single = now, 0
	}
	defer m.note("Embed", 0, 0, now)
	m.Backend.Embed(y, table, ids, d)
}

func (m *meter) Attend(o, q op.Buf, caches []op.Cache, layer int, seq []op.Span, h, g, c int) {
	defer m.note("Attend", 0, 0, time.Now())
	if layer == 0 && seq[len(seq)-1].Hi == len(seq) {
		m.single = len(seq)
	}
	m.Backend.Attend(o, q, caches, layer, seq, h, g, c)
}

// product notes a product of the matrices of maps, as if they were one.
func (m *meter) product(name string, maps []op.Linear, start time.Time) {
	outs, in := 0, 0
	for _, l := range maps {
		var out int
		out, in = l.W.Dims()
		outs += out
	}
	m.note(name, outs, in, start)
}

func (m *meter) MatMul(maps []op.Linear, x op.Buf, n int, add bool) {
	defer m.product("MatMul", maps, time.Now())
	m.Backend.MatMul(maps, x, n, add)
}

func (m *meter) MatMulGradX(dx op.Buf, maps []op.Linear, n int, add bool) {
	defer m.product("MatMulGradX", maps, time.Now())
	m.Backend.MatMulGradX(dx, maps, n, add)
}

func (m *meter) MatMulGradW(maps []op.Linear, x op.Buf, seq []op.Span) {
	defer m.product("MatMulGradW", maps, time.Now())
	m.Backend.MatMulGradW(maps, x, seq)
}

func (m *meter) EmbedGrad(dtable, dy op.Buf, ids []int32, d int) {
	defer m.note("EmbedGrad", 0, 0, time.Now())
	m.Backend.EmbedGrad(dtable, dy, ids, d)
}

func (m *meter) RMSNorm(y, x, w op.Buf, n, d int, eps float32) {
	defer m.note("RMSNorm", 0, 0, time.Now())
	m.Backend.RMSNorm(y, x, w, n, d, eps)
}

func (m *meter) RMSNormGrad(dx, dw, dy, x, w op.Buf, n, d int, eps float32) {
	defer m.note("RMSNormGrad", 0, 0, time.Now())
	m.Backend.RMSNormGrad(dx, dw, dy, x, w, n, d, eps)
}

func (m *meter) Rotate(q, k op.Heads, pos []int32, c int, rope *op.Rope, inverse bool) {
	defer m.note("Rotate", 0, 0, time.Now())
	m.Backend.Rotate(q, k, pos, c, rope, inverse)
}

func (m *meter) SwiGLU(y, g, u op.Buf) {
	defer m.note("SwiGLU", 0, 0, time.Now())
	m.Backend.SwiGLU(y, g, u)
}

func (m *meter) SwiGLUGrad(g, u, dy op.Buf) {
	defer m.note("SwiGLUGrad", 0, 0, time.Now())
	m.Backend.SwiGLUGrad(g, u, dy)
}

func (m *meter) CacheWrite(caches []op.Cache, layer int, k, v op.Buf, seq []op.Span, g, c int) {
	defer m.note("CacheWrite", 0, 0, time.Now())
	m.Backend.CacheWrite(caches, layer, k, v, seq, g, c)
}

func (m *meter) Attention(o, q, k, v op.Buf, seq []op.Span, h, g, c int) {
	defer m.note("Attention", 0, 0, time.Now())
	m.Backend.Attention(o, q, k, v, seq, h, g, c)
}

func (m *meter) AttentionGrad(dq, dk, dv, do, q, k, v, o op.Buf, seq []op.Span, h, g, c int) {
	defer m.note("AttentionGrad", 0, 0, time.Now())
	m.Backend.AttentionGrad(dq, dk, dv, do, q, k, v, o, seq, h, g, c)
}

func (m *meter) Draw(ids []int32, logits op.Buf, temp []float32, u []float64, n, v int) {
	defer m.note("Draw", 0, 0, time.Now())
	m.Backend.Draw(ids, logits, temp, u, n, v)
}

func (m *meter) LogProb(logp, entropy []float32, logits op.Buf, ids []int32, temp []float32, n, v int) {
	defer m.note("LogProb", 0, 0, time.Now())
	m.Backend.LogProb(logp, entropy, logits, ids, temp, n, v)
}

func (m *meter) LogProbGrad(logits op.Buf, ids []int32, temp, dlogp, dentropy []float32, n, v int) {
	defer m.note("LogProbGrad", 0, 0, time.Now())
	m.Backend.LogProbGrad(logits, ids, temp, dlogp, dentropy, n, v)
}

func (m *meter) SumSquares(b op.Buf) float64 {
	defer m.note("SumSquares", 0, 0, time.Now())
	return m.Backend.SumSquares(b)
}

func (m *meter) AdamW(p, g, mean, square op.Buf, a op.AdamW) {
	defer m.note("AdamW", 0, 0, time.Now())
	m.Backend.AdamW(p, g, mean, square, a)
}

func (m *meter) Repack(w op.Weight) {
	defer m.note("Repack", 0, 0, time.Now())
	m.Backend.Repack(w)
}

func (m *meter) Zero(b op.Buf) {
	defer m.note("Zero", 0, 0, time.Now())
	m.Backend.Zero(b)
}

func (m *meter) Copy(dst, src op.Buf) {
	defer m.note("Copy", 0, 0, time.Now())
	m.Backend.Copy(dst, src)
}

func (m *meter) Add(dst, src op.Buf) {
	defer m.note("Add", 0, 0, time.Now())
	m.Backend.Add(dst, src)
}
