package llm

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"srar/lib/ckpt"
	"srar/lib/op"
)

// Optim holds the settings of AdamW ([op.AdamW]), which moves every parameter,
// and the bound of the gradient's norm.
type Optim struct {
	Beta1, Beta2, Eps, Decay float64
	// Clip scales the gradient by min(1, Clip / (norm + 1e-6)), norm over all
	// parameters (Pascanu et al. 2013, arXiv 1211.5063). 0: no bound.
	Clip float64
	// EightBit keeps the moments of matrices in 8 bits ([op.AdamW8]).
	EightBit bool
}

func (o *Optim) check() error {
	for _, f := range []struct {
		what  string
		value float64
		ok    bool
	}{
		{"beta1", o.Beta1, o.Beta1 >= 0 && o.Beta1 < 1},
		{"beta2", o.Beta2, o.Beta2 >= 0 && o.Beta2 < 1},
		{"adam epsilon", o.Eps, o.Eps > 0},
		{"weight decay", o.Decay, o.Decay >= 0},
		{"gradient clip", o.Clip, o.Clip >= 0},
	} {
		if !f.ok || math.IsInf(f.value, 0) {
			return fmt.Errorf("%s is %v", f.what, f.value)
		}
	}
	return nil
}

// Metrics tells of one optimiser step.
type Metrics struct {
	Loss     float64 // the total that was minimised
	GradNorm float64 // before clipping
	LR       float64
	Entropy  float64 // mean over the response tokens, nats
	// RatioMax is the largest ρ, ClipFraction the share of tokens with
	// -A·clip(ρ) > -Aρ (clip(ρ) ≠ ρ for cispo), DualClipFraction that of tokens cut
	// by the dual clip; 0 for nll.
	RatioMax, ClipFraction, DualClipFraction float64
	KL                                       float64 // mean over the tokens; 0 without KL
	Importance                               float64 // mean weight of importance sampling over the tokens; 1 without
	// Logprobs is between logp and Sampled, or Old in rows without, over the rows
	// that have one of them.
	Logprobs         Difference
	Tokens, Rollouts int64 // response tokens, rows
	Masked           int64 // rows that took no part
}

// Trainer moves the weights of a model: any number of calls of Accumulate,
// then Step, and so on. The model may be used between the calls; after a Step
// it has the new weights.
//
// Parameters that the checkpoint stores in 16 bits have float32 masters, which
// are what the optimiser moves; the model computes with the masters rounded to
// the stored type, as a reader of the next checkpoint will.
type Trainer struct {
	// CheckpointActivations keeps only the input of each layer for the backward
	// pass and computes the rest again (Chen et al. 2016, arXiv 1604.06174): less
	// memory, a third more time, the same bits.
	CheckpointActivations bool
	// MostDifference bounds the distance between a token's log-probability at the
	// weights before the first Step and the one that its row records: what is
	// beyond is an error. [NewTrainer] sets no bound, +Inf.
	MostDifference float64

	m     *Model
	loss  Loss
	opt   Optim
	steps int64
	moved bool // a Step was taken here

	params  []param // what moves: the model's own, or those of an adapter
	master  op.Buf  // laid out by params; the model's own memory where nothing is rounded
	rounded bool
	moments moments
	grad    op.Buf   // of the model's weights, laid out as they are
	tied    op.Buf   // [V, D] gradient through the output matrix when it is the embedding
	low     *lowRank // nil: all weights move
	frozen  []bool   // by parameter of the model: no gradient is asked for; nil: of all

	acts, grads, out, dhidden op.Buf // memory of a micro-batch, see micro

	b               microBatch
	kept            []Row // of the call, those that take part
	index           []int // where they were in the call
	layers          []acts
	seqs            []rowTerms
	logp, entropy   []float32
	dlogp, dentropy []float32
	sum             totals
	host            []float32 // a piece of a parameter, see sync
}

// NewTrainer returns a trainer of all weights of m, at step 0 with zero moments.
func NewTrainer(m *Model, l Loss, o Optim) (*Trainer, error) {
	t, err := bareTrainer(m, l, o)
	if err != nil {
		return nil, err
	}
	be := m.be
	t.params, t.master = m.params, m.mem
	for _, p := range m.params {
		t.rounded = t.rounded || p.precision != ckpt.F32
	}
	if t.rounded {
		t.master = be.New(m.mem.Len())
		be.Copy(t.master, m.mem)
	}
	if m.head == 0 {
		t.tied = be.New(m.params[0].n)
	}
	t.moments = newMoments(be, t.params, o.EightBit)
	return t, nil
}

// bareTrainer returns a trainer that has nothing to move yet.
func bareTrainer(m *Model, l Loss, o Optim) (*Trainer, error) {
	if err := errors.Join(l.check(), o.check()); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	if m.use == Frozen {
		panic("llm: a trainer of a frozen model")
	}
	return &Trainer{m: m, loss: l, opt: o, MostDifference: math.Inf(1), grad: m.be.New(m.mem.Len())}, nil
}

// Steps returns the number of optimiser steps behind the weights, those
// before Restore included.
func (t *Trainer) Steps() int64 { return t.steps }

// Accumulate adds the loss of whole rows and its gradient to the mini-batch
// that the next Step applies. Both stay sums until then, when the numbers of
// tokens and rows are known, so neither the cut into calls nor that into
// micro-batches changes a bit.
//
// A row without Old stands on the weights before the first Step, so after it
// such a row is an error: ask [Model.Score] beforehand. What a row holds is
// checked, see [Trainer.Check], before anything is computed; an error about the
// numbers that come of it (not finite, or not what the row records) discards the
// mini-batch.
func (t *Trainer) Accumulate(rows []Row) error {
	if err := t.Check(rows); err != nil {
		return err
	}
	t.kept, t.index = t.kept[:0], t.index[:0]
	for i := range rows {
		if rows[i].Masked {
			t.sum.masked++
			continue
		}
		t.kept, t.index = append(t.kept, rows[i]), append(t.index, i)
	}
	for lo := 0; lo < len(t.kept); {
		hi := t.b.fill(t.kept, lo, t.m.MicroTokens)
		if len(t.b.target) > 0 {
			if err := t.micro(t.kept[lo:hi]); err != nil {
				t.discard()
				return fmt.Errorf("train: %w", err)
			}
		}
		for i := lo; i < hi; i++ {
			n := int64(len(t.kept[i].Tokens))
			t.sum.rows, t.sum.tokens, t.sum.longest = t.sum.rows+1, t.sum.tokens+n, max(t.sum.longest, n)
		}
		lo = hi
	}
	clear(t.kept)
	return nil
}

// Check returns a [RowError] for the first of rows that Accumulate would refuse
// for what it holds.
func (t *Trainer) Check(rows []Row) error {
	for i := range rows {
		if err := t.checkRow(&rows[i]); err != nil {
			return fmt.Errorf("train: %w", &RowError{i, err})
		}
	}
	return nil
}

func (t *Trainer) checkRow(r *Row) error {
	if err := t.m.checkRow(r); err != nil {
		return err
	}
	ratio := t.loss.Kind != "nll"
	for _, f := range []struct {
		what   string
		v      []float32
		needed bool
	}{
		{"advantage", r.Advantages, ratio},
		{"recorded log-probability", r.Old, ratio && t.moved},
		{"recorded log-probability", r.Sampled, t.loss.corrects()},
		{"reference log-probability", r.Ref, t.loss.KL != 0},
	} {
		if len(f.v) != len(r.Tokens) && (f.needed || len(f.v) > 0) {
			return fmt.Errorf("%s: %d values for %d tokens", f.what, len(f.v), len(r.Tokens))
		}
		for k, x := range f.v {
			if !finite(x) {
				return fmt.Errorf("token %d: %s is %v", k, f.what, x)
			}
		}
	}
	return nil
}

// Agree holds the log-probabilities that [Model.Score] gave for rows at the
// weights before the first Step against those that the rows record: see
// [Row.Exact] and [Trainer.MostDifference].
func (t *Trainer) Agree(rows []Row, logp [][]float32) error {
	for i := range rows {
		for k, x := range logp[i] {
			if err := t.agree(&rows[i], k, x); err != nil {
				return fmt.Errorf("train: row %d: token %d: %w", i, k, err)
			}
		}
	}
	return nil
}

// DisagreeError is the error of a token whose log-probability is not what its
// row records.
type DisagreeError struct {
	Computed, Recorded float32
	Exact              bool // equal bits were due
	Most               float64
}

func (e *DisagreeError) Error() string {
	if e.Exact {
		return fmt.Sprintf("log-probability is %v, recorded as %v by the same weights and arithmetic", e.Computed, e.Recorded)
	}
	return fmt.Sprintf("log-probability is %v, recorded as %v: more than %v apart", e.Computed, e.Recorded, e.Most)
}

func (t *Trainer) agree(r *Row, k int, logp float32) error {
	if r.Exact && len(r.Old) > 0 && r.Old[k] != logp {
		return &DisagreeError{Computed: logp, Recorded: r.Old[k], Exact: true}
	}
	if was := r.recorded(); len(was) > 0 && math.Abs(float64(logp)-float64(was[k])) > t.MostDifference {
		return &DisagreeError{Computed: logp, Recorded: was[k], Most: t.MostDifference}
	}
	return nil
}

// Forget drops what was accumulated for the next Step.
func (t *Trainer) Forget() { t.discard() }

// discard forgets the mini-batch.
func (t *Trainer) discard() {
	t.sum = totals{}
	if t.frozen == nil {
		t.m.be.Zero(t.grad)
		t.m.be.Zero(t.tied)
		return
	}
	// What is never written takes no memory unless it is zeroed.
	for i, p := range t.m.params {
		if !t.frozen[i] || p.out == 0 {
			t.m.be.Zero(p.of(t.grad))
		}
	}
}

// Step divides the accumulated gradient by what the aggregation asks for,
// clips it and moves the weights at rate lr. The mini-batch is gone afterwards,
// also after an error, which leaves weights and moments as they were.
func (t *Trainer) Step(lr float64) (Metrics, error) {
	defer t.discard()
	s, be := &t.sum, t.m.be
	switch {
	case s.tokens == 0:
		return Metrics{}, fmt.Errorf("optimiser step %d: no response tokens in %d rows", t.steps+1, s.rows)
	case !(lr >= 0) || math.IsInf(lr, 0):
		return Metrics{}, fmt.Errorf("optimiser step %d: learning rate is %v", t.steps+1, lr)
	}
	if t.tied.Len() > 0 {
		be.Add(t.m.place(t.grad, 0), t.tied)
	}
	grad, scale, n := t.grad, t.loss.scale(s.tokens, s.rows, s.longest), float64(s.tokens)
	x := Metrics{
		Loss:    scale * (s.loss - float64(t.loss.Entropy*s.entropy) + float64(t.loss.KL*s.kl)),
		LR:      lr,
		Entropy: s.entropyTokens / n, RatioMax: s.ratioMax, KL: s.klTokens / n,
		ClipFraction: float64(s.clipped) / n, DualClipFraction: float64(s.cut) / n, Importance: s.importance / n,
		Logprobs: s.diff.Result(),
		Tokens:   s.tokens, Rollouts: s.rows, Masked: s.masked,
	}
	if t.low != nil {
		grad, scale = t.low.gradient(t), scale*t.low.adapter.Scale()
	}
	x.GradNorm = float64(scale * math.Sqrt(be.SumSquares(grad)))
	factor := 1.0
	if t.opt.Clip > 0 {
		factor = min(1, t.opt.Clip/(x.GradNorm+1e-6))
	}
	// The second moment is a square in float32.
	if !(x.GradNorm*factor < 1e19) {
		return Metrics{}, fmt.Errorf("optimiser step %d: gradient of %s has norm %v", t.steps+1, t.worst(grad), x.GradNorm)
	}
	t.steps++
	t.moved = true
	t.moments.step(t.master, grad, op.AdamW{
		LR: lr, Beta1: t.opt.Beta1, Beta2: t.opt.Beta2, Eps: t.opt.Eps, Decay: t.opt.Decay,
		Scale: scale * factor, Step: t.steps,
	})
	return x, t.sync()
}

// worst names the parameter with the largest gradient, the first that is not
// finite if any.
func (t *Trainer) worst(grad op.Buf) string {
	name, most := "", -1.0
	for _, p := range t.params {
		s := t.m.be.SumSquares(p.of(grad))
		if s-s != 0 {
			return p.name
		}
		if s > most {
			name, most = p.name, s
		}
	}
	return name
}

// sync makes the model compute with the masters.
func (t *Trainer) sync() error {
	if t.low != nil {
		return t.low.merge(t)
	}
	if t.rounded {
		t.round()
	}
	t.m.pack()
	return nil
}

// round writes the masters to the model, rounded to the types that the
// checkpoint stores.
func (t *Trainer) round() {
	const piece = 1 << 20
	for i, p := range t.m.params {
		from, to := p.of(t.master), t.m.vec(i)
		for lo := 0; lo < p.n; lo += piece {
			hi := min(lo+piece, p.n)
			t.host = slices.Grow(t.host[:0], hi-lo)[:hi-lo]
			t.m.be.Read(t.host, from.Slice(lo, hi))
			p.precision.Round(t.host, t.host)
			t.m.be.Write(to.Slice(lo, hi), t.host)
		}
	}
}

// of returns the part of a memory laid out by parameters that belongs to p.
func (p *param) of(mem op.Buf) op.Buf { return mem.Slice(p.at, p.at+p.n) }
