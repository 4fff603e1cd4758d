package main

import (
	"srar/lib/ckpt"
	"srar/lib/op"
)

// The roofline of a step of a model (Williams, Waterman and Patterson 2009, "Roofline:
// An insightful visual performance model"): each operator takes at least as long as
// its multiplications take at the peak, and as its bytes take at the bandwidth, the
// longer of the two; a step takes the sum. What is written goes beside what is read
// and does not count. Biases, vectors and the gathering of rows
// count as nothing.

// operator names operators of one kind and shape: a method of [op.Backend] and, of
// products, the columns and all rows of the matrices of a call.
type operator struct {
	Name    string
	Out, In int
}

// load is what operators have to do in one step at least. Multiplications and
// additions count one each.
type load struct {
	flops float64 // of products
	// far are the bytes read of what lies apart from one step to the next: weights, their
	// gradients and moments, keys and values.
	far float64
	// near are the bytes read of activations.
	near float64
}

// step is the work of one step by operator.
type step struct {
	loads map[operator]load
	order []operator // as they are first met
	rows  int        // of activations
}

func newStep(rows int) *step { return &step{loads: map[operator]load{}, rows: rows} }

func (s *step) add(name string, out, in int, l load) {
	o := operator{name, out, in}
	sum, ok := s.loads[o]
	if !ok {
		s.order = append(s.order, o)
	}
	s.loads[o] = load{sum.flops + l.flops, sum.far + l.far, sum.near + l.near}
}

// far returns the bytes of all far memory.
func (s *step) far() (sum float64) {
	for _, l := range s.loads {
		sum += l.far
	}
	return sum
}

// together is how many rows of activations go from operator to operator while a
// cache holds them: more need not pass at once.
const together = 128

// seconds returns how long operator o takes at least: far memory is as fast as a
// working set of all of it, activations as a working set of rows together.
func (s *step) seconds(o operator, c op.Ceiling) float64 {
	l := s.loads[o]
	set := l.near * min(1, together/float64(s.rows))
	return max(l.flops/c.FLOPS, l.far/c.Read(s.far())+l.near/c.Read(set))
}

// total returns how long the step takes at least.
func (s *step) total(c op.Ceiling) (sum float64) {
	for _, o := range s.order {
		sum += s.seconds(o, c)
	}
	return sum
}

const float = 4 // bytes of an activation

// width returns the bytes of a packed weight, and of what a cache holds.
func width(n op.Numerics) float64 {
	if n == op.BF16 {
		return 2
	}
	return float
}

// matrix is a product of a layer.
type matrix struct{ out, in int }

// matrices returns those of a layer: that of q, k and v, of o, of gate and up, of down.
func matrices(c ckpt.Config) []matrix {
	hc, gc := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	return []matrix{{hc + 2*gc, c.Hidden}, {c.Hidden, hc}, {2 * c.Intermediate, c.Hidden}, {c.Hidden, c.Intermediate}}
}

// product adds one with so many rows of activations, which reads far bytes for each
// weight and near numbers for each row.
func (s *step) product(name string, m matrix, rows, far float64, near int) {
	size := float64(m.out) * float64(m.in)
	s.add(name, m.out, m.in, load{2 * rows * size, far * size, float * rows * float64(near)})
}

// decoding is the step of a token of each of rows sequences, the last of
// positions each, sampling included.
func decoding(c ckpt.Config, n op.Numerics, rows, positions int) *step {
	s := newStep(rows)
	r, w := float64(rows), width(n)
	s.forward(c, r, w)
	kv := float64(c.Layers * c.KVHeads * c.HeadDim)
	q := float64(c.Layers * c.Heads * c.HeadDim)
	s.add("CacheWrite", 0, 0, load{near: 2 * float * r * kv})
	s.add("Attend", 0, 0, load{4 * r * q * float64(positions), 2 * w * r * kv * float64(positions), float * r * q})
	s.product("MatMul", matrix{c.Vocab, c.Hidden}, r, w, c.Hidden)
	s.add("Draw", 0, 0, load{near: float * r * float64(c.Vocab)})
	return s
}

// forward adds what every pass over rows does but for attention and logits.
func (s *step) forward(c ckpt.Config, rows, width float64) {
	d, f := float64(c.Hidden), float64(c.Intermediate)
	heads := float64((c.Heads + c.KVHeads) * c.HeadDim)
	s.add("Embed", 0, 0, load{near: float * rows * d})
	for range c.Layers {
		for _, m := range matrices(c) {
			s.product("MatMul", m, rows, width, m.in)
		}
		s.add("RMSNorm", 0, 0, load{near: float * rows * 2 * d})
		s.add("Rotate", 0, 0, load{near: float * rows * heads})
		s.add("SwiGLU", 0, 0, load{near: 2 * float * rows * f})
	}
	s.add("RMSNorm", 0, 0, load{near: float * rows * d})
}

// training is the step of AdamW on batch sequences of length tokens, logits of
// all of them.
func training(c ckpt.Config, n op.Numerics, batch, length int) *step {
	rows := batch * length
	s := newStep(rows)
	r, w := float64(rows), width(n)
	d, f, v := float64(c.Hidden), float64(c.Intermediate), float64(c.Vocab)
	q, kv := float64(c.Heads*c.HeadDim), float64(c.KVHeads*c.HeadDim)
	s.forward(c, r, w)
	head := matrix{c.Vocab, c.Hidden}
	s.product("MatMul", head, r, w, c.Hidden)
	s.add("LogProb", 0, 0, load{near: float * r * v})
	s.add("LogProbGrad", 0, 0, load{near: float * r * v})
	s.backward(head, r, w)
	// A token sees itself and those before it.
	scores := float64(batch) * float64(length) * float64(length+1) / 2
	for range c.Layers {
		s.add("Attention", 0, 0, load{flops: 4 * q * scores, near: float * r * (q + 2*kv)})
		// Scores again, and the gradients by v, p, q and k.
		s.add("AttentionGrad", 0, 0, load{flops: 10 * q * scores, near: float * r * (3*q + 2*kv)})
		for _, m := range matrices(c) {
			s.backward(m, r, w)
		}
		norm := 2 * d
		if c.QKNorm {
			norm += q + kv
		}
		s.add("RMSNormGrad", 0, 0, load{near: 3 * float * r * norm})
		s.add("Rotate", 0, 0, load{near: float * r * (q + kv)})
		s.add("SwiGLUGrad", 0, 0, load{near: 3 * float * r * f})
	}
	s.add("RMSNormGrad", 0, 0, load{near: 3 * float * r * d})
	s.add("EmbedGrad", 0, 0, load{near: 2 * float * r * d})
	all, packed := 0.0, 0.0
	for _, p := range c.Parameters() {
		size := 1.0
		for _, d := range p.Shape {
			size *= float64(d)
		}
		all += size
		if len(p.Shape) == 2 {
			packed += size
		}
	}
	if !c.Tied {
		packed -= v * d // the embedding is only a table
	}
	s.add("SumSquares", 0, 0, load{far: float * all})
	s.add("AdamW", 0, 0, load{far: 4 * float * all})
	s.add("Repack", 0, 0, load{far: float * packed})
	return s
}

// backward adds the gradients by input and weights of a product.
func (s *step) backward(m matrix, rows, width float64) {
	s.product("MatMulGradX", m, rows, width, m.out)
	s.product("MatMulGradW", m, rows, float, m.out+m.in)
}
