// Package op holds the operators of the engine: what a transformer's forward
// pass, backward pass and optimiser are made of, and the memory they run on.
//
// The plain Go form of each operator is its definition. SIMD and GPU forms are
// judged by it, bit for bit on a CPU: every output element of a matrix product
// is ONE reduction in ascending order of k, as [Numerics] spells out, whatever
// the tier, the batch, the number of threads or the split into prefill and
// decode. So the log-probabilities that a rollout reports are those that the
// update computes.
//
// Products take denormal operands and results as zeros of their sign (FTZ and
// DAZ). Everything else is rounded operation by operation, in the order that
// vector.go spells out, and flushes nothing. Reductions along a row have 16 lanes,
// element i in lane i mod 16, added as a tree; reductions over rows go row by row.
//
// Legend of shapes, all row-major: N tokens of a packed batch (sequences one
// after another, no padding), D hidden size, H query heads, G key/value heads,
// C head size, F intermediate size, V vocabulary.
package op

// Buf is a handle to float32 memory that a [Backend] owns. The zero Buf is
// empty. Only the backend that made it looks inside.
type Buf struct {
	data []float32
}

// Len returns the number of float32 in b.
func (b Buf) Len() int { return len(b.data) }

// Slice returns the part [lo, hi) of b; it shares b's memory.
func (b Buf) Slice(lo, hi int) Buf { return Buf{b.data[lo:hi:hi]} }

// Weight is a matrix W [out, in] prepared for products, in layouts of the
// backend's own. The matrix itself stays in the Buf that [Backend.Pack] made it
// from, which the optimiser changes; call [Backend.Repack] after that.
type Weight interface {
	// Dims returns the number of rows (outputs) and columns (inputs) of W.
	Dims() (out, in int)
}

// Linear is a map of rows y = x·Wᵀ. Maps that have x [n, in] in common are computed
// in one call.
type Linear struct {
	W  Weight // [out, in]
	Y  Buf    // [n, out] the outputs or, in a backward pass, the gradient by them
	DW Buf    // [out, in] the gradient by W; only MatMulGradW looks at it
}

// Cache holds the keys and values of one sequence for all layers of a model.
type Cache interface {
	// Len returns the number of positions stored in every layer.
	Len() int
	// Cap returns the number of positions that fit.
	Cap() int
}

// Span says where a sequence lies in a packed batch: rows [Lo, Hi).
type Span struct{ Lo, Hi int }

// Heads are the queries or the keys of n tokens.
type Heads struct {
	Y Buf // [n, N, C]
	N int // heads of a token
	// Where Norm is not empty, Y is made from X by RMSNorm of each head first.
	X    Buf // [n, N, C]
	Norm Buf // [C]
	Eps  float32
}

// Rope is a table of cosines and sines for rotary position embedding
// (Su et al. 2021, arXiv 2104.09864): angle(p, i) = p · inv[i] for
// i < C/2, computed in float64 and rounded once to float32.
type Rope struct {
	// Inv holds the C/2 inverse frequencies.
	Inv []float64
	// Scale multiplies cosines and sines, before they are rounded. 0 stands for 1.
	Scale float64
}

// AdamW holds the scalars of one optimiser step (Loshchilov and Hutter 2019,
// arXiv 1711.05101), in the order torch applies them:
// p ← p(1 - LR·Decay); m ← β1 m + (1-β1)g; v ← β2 v + (1-β2)g²;
// p ← p - LR/(1-β1^Step) · m / (√v/√(1-β2^Step) + Eps), with g scaled by Scale first.
type AdamW struct {
	LR, Beta1, Beta2, Eps, Decay float64
	Scale                        float64 // of the gradient: 1/denominator and clipping in one
	Step                         int64   // 1 for the first
}

// Backend runs operators on memory that it owns. Methods panic on shapes and
// indices that do not fit: that is the caller's mistake. All operators may use
// every thread of the backend; calls on one Backend must not overlap. Outputs
// must not overlap inputs unless an operator says that it works in place. A value
// that is not finite spoils what depends on it, and may spoil other rows of its
// own sequence in attention; nothing traps.
type Backend interface {
	// Name names device, tier and numerics but F32, such as "cpu/avx512" and
	// "cpu/avx512/bf16".
	Name() string
	// Numerics returns how the backend multiplies.
	Numerics() Numerics
	// Close gives the memory and threads back.
	Close()

	// New returns n zeroed float32; Free gives them back at once, and panics unless b
	// is the whole of what New returned.
	New(n int) Buf
	Free(b Buf)
	// Held returns the bytes of all that New, Pack and the caches hold.
	Held() int64
	// Write copies src to the start of dst, Read src to dst.
	Write(dst Buf, src []float32)
	Read(dst []float32, src Buf)
	// Zero clears b; Copy copies src over dst of the same length; Add adds src to dst.
	Zero(b Buf)
	Copy(dst, src Buf)
	Add(dst, src Buf)

	// Pack prepares w [out, in] until Close; Repack does so again after w changed.
	Pack(w Buf, out, in int) Weight
	Repack(w Weight)
	// NewWeight returns a zero W [out, in] that is kept nowhere but as MatMul reads it:
	// Repack and MatMulGradX panic. PackRows sets its rows [lo, lo+n) to rows [n, in];
	// lo is a multiple of 32, and so is n unless these are the last ones.
	NewWeight(out, in int) Weight
	PackRows(w Weight, rows Buf, lo, n int)

	// MatMul computes y [n, out] = x [n, in] · Wᵀ of each map. With add the reduction
	// of each element starts from the stored y instead of +0.
	MatMul(maps []Linear, x Buf, n int, add bool)
	// MatMulGradX computes dx [n, in] = dy [n, out] · W, from the stored dx with add,
	// and goes on from it with those of the other maps, in their order.
	MatMulGradX(dx Buf, maps []Linear, n int, add bool)
	// MatMulGradW adds dyᵀ·x to dw [out, in] of each map whose DW is not empty. Each
	// element's reduction goes over the rows span after span, and continues from the
	// stored value; in BF16 each span begins a new block. So neither micro-batches nor
	// packing change a bit. The spans follow one another from row 0 on.
	MatMulGradW(maps []Linear, x Buf, seq []Span)

	// Embed copies rows of table [V, D]: y[i] = table[ids[i]].
	Embed(y, table Buf, ids []int32, d int)
	// EmbedGrad adds dy [n, D] to the rows ids of dtable, in row order.
	EmbedGrad(dtable, dy Buf, ids []int32, d int)
	// Gather copies rows: y[i] = x[rows[i]]; Scatter adds: x[rows[i]] += y[i] (rows distinct).
	Gather(y, x Buf, rows []int32, d int)
	Scatter(x, y Buf, rows []int32, d int)

	// Bias adds b [d] to each of n rows of y [n, d]; BiasGrad adds dy [n, d] to db [d],
	// in row order.
	Bias(y, b Buf, n, d int)
	BiasGrad(db, dy Buf, n, d int)

	// RMSNorm computes y = x / √(mean(x²) + eps) · w for each of n rows of d
	// (Zhang and Sennrich 2019, arXiv 1910.07467).
	RMSNorm(y, x, w Buf, n, d int, eps float32)
	// RMSNormGrad adds to dx [n, d] and, in row order, to dw [d]. For the norms of
	// heads n counts heads.
	RMSNormGrad(dx, dw, dy, x, w Buf, n, d int, eps float32)

	// Rotate applies rope to queries and keys at positions pos [n], the pairs being
	// (i, i + C/2); with inverse it turns the other way, still times rope.Scale: the
	// transpose, which the backward pass needs.
	Rotate(q, k Heads, pos []int32, c int, rope *Rope, inverse bool)

	// SwiGLU computes y = silu(g)·u (Shazeer 2020, arXiv 2002.05202); SwiGLUGrad
	// writes the gradients by g and u in their places.
	SwiGLU(y, g, u Buf)
	SwiGLUGrad(g, u, dy Buf)

	// NewCache returns an empty cache of capacity positions. In BF16 keys and values
	// are stored rounded.
	NewCache(layers, g, c, capacity int) Cache
	// ShareCache returns a cache of at least capacity positions that begins with what
	// src holds (the prompt of a group). It refers to the positions of src up to the
	// last multiple of 32 and copies the others; src may go on or be freed. Attend
	// reads what sequences share but once, if they follow one another in the batch.
	ShareCache(src Cache, capacity int) Cache
	// GrowCache gives k room for at least capacity positions. What it holds stays where
	// it is; it takes the memory of the positions beyond Cap.
	GrowCache(k Cache, capacity int)
	// FreeCache gives back the memory that no other cache refers to.
	FreeCache(k Cache)
	// CacheBytes returns the memory that NewCache takes. ShareCache takes that of the
	// positions that it does not refer to, capacity - src.Len()/32·32. CachesHeld
	// returns what all caches together hold, what they share counted once.
	CacheBytes(layers, g, c, capacity int) int64
	CachesHeld() int64
	// CacheWrite appends the rows of k and v [N, G, C] to one layer: rows seq[s] of the
	// batch continue caches[s]. Len grows when the last layer is written.
	CacheWrite(caches []Cache, layer int, k, v Buf, seq []Span, g, c int)
	// Attend computes causal softmax attention for the rows seq[s] of q [N, H, C] over
	// the positions of caches[s] in one layer; the last row of a span sees all positions
	// written to that layer, the row before one less, and so on. o [N, H, C]. Scale 1/√C.
	Attend(o, q Buf, caches []Cache, layer int, seq []Span, h, g, c int)

	// Attention is the same without a cache, each span attending within itself:
	// what training uses. Bits equal to Attend's.
	Attention(o, q, k, v Buf, seq []Span, h, g, c int)
	// AttentionGrad writes dq [N, H, C], dk and dv [N, G, C].
	AttentionGrad(dq, dk, dv, do, q, k, v, o Buf, seq []Span, h, g, c int)

	// Draw draws a token from each row of logits [n, V], divided by temp[i] > 0: the
	// one at which the distribution function of softmax, ids ascending, passes u[i]
	// in [0, 1). From a row that holds no numbers it draws some token.
	Draw(ids []int32, logits Buf, temp []float32, u []float64, n, v int)
	// LogProb reads logits [n, V], divides row i by temp[i] > 0 and writes the
	// log-probability of ids[i] and the entropy of the distribution, both natural
	// logarithms (entropy may be nil).
	LogProb(logp, entropy []float32, logits Buf, ids []int32, temp []float32, n, v int)
	// LogProbGrad replaces logits [n, V] by the gradient of
	// Σ_i dlogp[i]·logp[i] + dentropy[i]·entropy[i] (dentropy may be nil).
	LogProbGrad(logits Buf, ids []int32, temp, dlogp, dentropy []float32, n, v int)

	// SumSquares returns Σ b², accumulated in float64 in a fixed order.
	SumSquares(b Buf) float64
	// AdamW updates p, m and v from the gradient g, all of one length.
	AdamW(p, g, m, v Buf, a AdamW)
	// AdamW8 does so with moments in 8 bits: codes m, v [Codes8(n)] of [Decode8] and
	// scales [Scales8(n)] for the n elements of p. Zeros are moments of zero.
	AdamW8(p, g, m, v, mScale, vScale Buf, a AdamW)
}
