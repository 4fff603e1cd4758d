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
	// -A·clip(ρ) > -Aρ; both 0 for nll.
	RatioMax, ClipFraction float64
	KL                     float64 // mean over the tokens; 0 without KL
	// LogprobDiffMean and LogprobDiffMax are of |logp - Old|, over the rows that
	// have Old.
	LogprobDiffMean, LogprobDiffMax float64
	Tokens, Rollouts                int64 // response tokens, rows
}

// Trainer moves the weights of a model: any number of calls of Accumulate,
// then Step, and so on. The model may be used between the calls; after a Step
// it has the new weights.
//
// Parameters that the checkpoint stores in 16 bits have float32 masters, which
// are what the optimiser moves; the model computes with the masters rounded to
// the stored type, as a reader of the next checkpoint will.
type Trainer struct {
	m     *Model
	loss  Loss
	opt   Optim
	steps int64
	moved bool // a Step was taken here

	master  op.Buf // the model's own memory where nothing is rounded
	rounded bool
	mean    op.Buf // first moment
	square  op.Buf // second moment
	grad    op.Buf
	tied    op.Buf // [V, D] gradient through the output matrix when it is the embedding

	acts, grads, out, dhidden op.Buf // memory of a micro-batch, see micro

	b               microBatch
	layers          []acts
	logp, entropy   []float32
	dlogp, dentropy []float32
	sum             totals
	fault           error     // of the micro-batch in progress
	host            []float32 // a piece of a parameter, see sync
}

// NewTrainer returns a trainer of m at step 0 with zero moments.
func NewTrainer(m *Model, l Loss, o Optim) (*Trainer, error) {
	if err := errors.Join(l.check(), o.check()); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	be, n := m.be, m.mem.Len()
	t := &Trainer{m: m, loss: l, opt: o, master: m.mem}
	t.mean, t.square, t.grad = be.New(n), be.New(n), be.New(n)
	for _, p := range m.params {
		t.rounded = t.rounded || p.precision != ckpt.F32
	}
	if t.rounded {
		t.master = be.New(n)
		be.Copy(t.master, m.mem)
	}
	if m.head == 0 {
		t.tied = be.New(m.params[0].n)
	}
	return t, nil
}

// Restore goes on from an earlier trainer's state: its number of steps, and
// the moments (and masters, where the checkpoint stores 16 bits) in opt. It
// must come before the first Accumulate.
func (t *Trainer) Restore(step int64, opt *ckpt.File) error {
	if step < 0 {
		return fmt.Errorf("restore optimiser: step is %d", step)
	}
	for i, p := range t.m.params {
		const most = math.MaxFloat32
		parts := []struct {
			name  string
			mem   op.Buf
			least float32
		}{{p.name + ".m", t.mean, -most}, {p.name + ".v", t.square, 0}, {p.name, t.master, -most}}
		if p.precision == ckpt.F32 {
			parts = parts[:2] // the weights are their own master
		}
		for _, s := range parts {
			x, err := opt.Tensor(s.name)
			if err != nil {
				return fmt.Errorf("restore optimiser: %w", err)
			}
			v, err := x.Float32()
			if err != nil {
				return fmt.Errorf("restore optimiser: %w", err)
			}
			if len(v) != p.n {
				return fmt.Errorf("restore optimiser: %s has %d elements, not %d", s.name, len(v), p.n)
			}
			for k, f := range v {
				if !(f >= s.least && f <= most) {
					return fmt.Errorf("restore optimiser: %s: element %d is %v", s.name, k, f)
				}
			}
			t.m.be.Write(t.m.place(s.mem, i), v)
		}
	}
	t.steps = step
	if t.rounded {
		t.sync()
	}
	return nil
}

// Steps returns the number of optimiser steps behind the weights, those
// before Restore included.
func (t *Trainer) Steps() int64 { return t.steps }

// Weights returns a copy of each parameter's float32 master by name; M and V
// of its moments.
func (t *Trainer) Weights() map[string][]float32 { return t.read(t.master) }

// M returns the first moments.
func (t *Trainer) M() map[string][]float32 { return t.read(t.mean) }

// V returns the second moments.
func (t *Trainer) V() map[string][]float32 { return t.read(t.square) }

func (t *Trainer) read(mem op.Buf) map[string][]float32 {
	all := map[string][]float32{}
	for i, p := range t.m.params {
		all[p.name] = make([]float32, p.n)
		t.m.be.Read(all[p.name], t.m.place(mem, i))
	}
	return all
}

// Accumulate adds the loss of whole rows and its gradient to the mini-batch
// that the next Step applies. Both stay sums until then, when the numbers of
// tokens and rows are known, so neither the cut into calls nor that into
// micro-batches changes a bit.
//
// A row without Old stands on the weights before the first Step, so after it
// such a row is an error: ask [Model.Score] beforehand. What a row holds is
// checked, see [Trainer.Check], before anything is computed; an error about the
// numbers that come of it (not finite) discards the mini-batch.
func (t *Trainer) Accumulate(rows []Row) error {
	if err := t.Check(rows); err != nil {
		return err
	}
	for lo := 0; lo < len(rows); {
		hi := t.b.fill(rows, lo, t.m.MicroTokens)
		if len(t.b.target) > 0 {
			if err := t.micro(rows[lo:hi]); err != nil {
				t.discard()
				return fmt.Errorf("train: %w", err)
			}
		}
		for i := lo; i < hi; i++ {
			n := int64(len(rows[i].Tokens))
			t.sum.rows, t.sum.tokens, t.sum.longest = t.sum.rows+1, t.sum.tokens+n, max(t.sum.longest, n)
		}
		lo = hi
	}
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
	pg := t.loss.Kind == "pg"
	for _, f := range []struct {
		what   string
		v      []float32
		needed bool
	}{
		{"advantage", r.Advantages, pg},
		{"old log-probability", r.Old, pg && t.moved},
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

// micro computes forward and backward of the rows that t.b holds.
func (t *Trainer) micro(rows []Row) error {
	m, b := t.m, &t.b
	be, d, n, r := m.be, m.cfg.Hidden, len(b.ids), len(b.target)

	// Forward, all activations kept.
	size := roundUp(n) * m.actWidth(true)
	m.grow(&t.acts, size*len(m.layers))
	m.grow(&t.out, n*d)
	m.grow(&t.grads, roundUp(n)*m.gradWidth())
	m.grow(&t.dhidden, r*d)
	t.layers = t.layers[:0]
	for i := range m.layers {
		t.layers = append(t.layers, m.carve(t.acts.Slice(i*size, (i+1)*size), n, true))
	}
	out := t.out.Slice(0, n*d)
	be.Embed(t.layers[0].x, m.vec(0), b.ids, d)
	for i := range m.layers {
		to := out
		if i+1 < len(m.layers) {
			to = t.layers[i+1].x
		}
		m.block(i, &t.layers[i], to, &b.batch, true)
	}

	// Logits, loss and the gradient by the rows that the output matrix reads.
	raw, hidden := m.last(out, b.at)
	dhidden, dhead := t.dhidden.Slice(0, r*d), t.tied
	if m.head != 0 {
		dhead = m.place(t.grad, m.head)
	}
	t.room(r)
	t.fault = nil
	row := 0
	m.eachLogits(hidden, r, func(z op.Buf, lo, hi int) {
		if t.fault != nil {
			return
		}
		v, ids, temp := m.cfg.Vocab, b.target[lo:hi], b.temp[lo:hi]
		be.LogProb(t.logp[lo:hi], t.entropy[lo:hi], z, ids, temp, hi-lo, v)
		if t.fault = t.terms(rows, &row, lo, hi); t.fault != nil {
			return
		}
		var dentropy []float32
		if t.loss.Entropy != 0 {
			dentropy = t.dentropy[lo:hi]
		}
		be.LogProbGrad(z, ids, temp, t.dlogp[lo:hi], dentropy, hi-lo, v)
		be.MatMulGradX(dhidden.Slice(lo*d, hi*d), z, m.packed[m.head], hi-lo, false)
		be.MatMulGradW(dhead, z, hidden.Slice(lo*d, hi*d), hi-lo, v, d)
	})
	if t.fault != nil {
		return t.fault
	}

	// Backward.
	g := m.carveGrads(t.grads, n)
	draw := m.work.hidden.Slice(0, r*d) // hidden has been read
	be.Zero(draw)
	be.RMSNormGrad(draw, m.place(t.grad, m.norm), dhidden, raw, m.vec(m.norm), r, d, m.eps)
	be.Zero(g.x)
	be.Scatter(g.x, draw, b.at, d)
	for i := len(m.layers) - 1; i >= 0; i-- {
		m.blockGrad(i, &t.layers[i], &g, &b.batch, t.grad)
	}
	if err := t.checkGrad(rows, g.x); err != nil {
		return err
	}
	be.EmbedGrad(m.place(t.grad, 0), g.x, b.ids, d)
	return nil
}

// room makes the lists of a micro-batch's r response tokens.
func (t *Trainer) room(r int) {
	for _, s := range []*[]float32{&t.logp, &t.entropy, &t.dlogp, &t.dentropy} {
		*s = slices.Grow((*s)[:0], r)[:r]
	}
}

// terms computes the loss of response tokens [lo, hi) of the micro-batch from
// their log-probabilities and entropies, and the derivatives by both. row is
// the row that token lo belongs to, and comes back as that of token hi.
func (t *Trainer) terms(rows []Row, row *int, lo, hi int) error {
	for k := lo; k < hi; k++ {
		for t.b.first[*row+1] <= k {
			*row++
		}
		r, i := &rows[*row], k-t.b.first[*row]
		logp, entropy := float64(t.logp[k]), float64(t.entropy[k])
		old, ref, adv := logp, 0.0, 0.0
		if len(r.Old) > 0 {
			old = float64(r.Old[i])
			t.sum.compare(logp, old)
		}
		if t.loss.KL != 0 {
			ref = float64(r.Ref[i])
		}
		if len(r.Advantages) > 0 {
			adv = float64(r.Advantages[i])
		}
		x, w := t.loss.token(logp, old, ref, adv), t.loss.weight(len(r.Tokens))
		t.dlogp[k] = float32(w * (x.dloss + t.loss.KL*x.dkl))
		t.dentropy[k] = float32(-w * t.loss.Entropy)
		if !finite(t.logp[k]) || !finite(t.entropy[k]) {
			return fmt.Errorf("row %d: token %d: log-probability is %v, entropy %v", t.b.lo+*row, i, logp, entropy)
		}
		if !finite(float32(x.loss)) || !finite(float32(x.kl)) || !finite(t.dlogp[k]) {
			return fmt.Errorf("row %d: token %d: loss is %v, kl %v, derivative %v", t.b.lo+*row, i, x.loss, x.kl, t.dlogp[k])
		}
		t.sum.add(x, entropy, w)
	}
	return nil
}

// checkGrad finds the row whose gradient by the embeddings dx [N, D] is not
// finite: any fault on the way down ends there.
func (t *Trainer) checkGrad(rows []Row, dx op.Buf) error {
	d, k := t.m.cfg.Hidden, 0
	for i := range rows {
		if len(rows[i].Tokens) == 0 {
			continue
		}
		s := t.b.seq[k]
		k++
		if q := t.m.be.SumSquares(dx.Slice(s.Lo*d, s.Hi*d)); q-q != 0 {
			return fmt.Errorf("row %d: gradient is not finite", t.b.lo+i)
		}
	}
	return nil
}

// discard forgets the mini-batch.
func (t *Trainer) discard() {
	t.sum = totals{}
	t.m.be.Zero(t.grad)
	t.m.be.Zero(t.tied)
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
	scale, n := t.loss.scale(s.tokens, s.rows, s.longest), float64(s.tokens)
	x := Metrics{
		Loss:    scale * (s.loss - t.loss.Entropy*s.entropy + t.loss.KL*s.kl),
		LR:      lr,
		Entropy: s.entropyTokens / n, RatioMax: s.ratioMax, ClipFraction: float64(s.clipped) / n, KL: s.klTokens / n,
		LogprobDiffMean: s.diffSum / max(float64(s.diffTokens), 1), LogprobDiffMax: s.diffMax,
		Tokens: s.tokens, Rollouts: s.rows,
		GradNorm: scale * math.Sqrt(be.SumSquares(t.grad)),
	}
	factor := 1.0
	if t.opt.Clip > 0 {
		factor = min(1, t.opt.Clip/(x.GradNorm+1e-6))
	}
	// The second moment is a square in float32.
	if !(x.GradNorm*factor < 1e19) {
		return Metrics{}, fmt.Errorf("optimiser step %d: gradient of %s has norm %v", t.steps+1, t.worst(), x.GradNorm)
	}
	t.steps++
	t.moved = true
	be.AdamW(t.master, t.grad, t.mean, t.square, op.AdamW{
		LR: lr, Beta1: t.opt.Beta1, Beta2: t.opt.Beta2, Eps: t.opt.Eps, Decay: t.opt.Decay,
		Scale: scale * factor, Step: t.steps,
	})
	t.sync()
	return x, nil
}

// worst names the parameter with the largest gradient, the first that is not
// finite if any.
func (t *Trainer) worst() string {
	name, most := "", -1.0
	for i, p := range t.m.params {
		s := t.m.be.SumSquares(t.m.place(t.grad, i))
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
func (t *Trainer) sync() {
	if t.rounded {
		t.round()
	}
	t.m.pack()
}

// round writes the masters to the model, rounded to the types that the
// checkpoint stores.
func (t *Trainer) round() {
	const piece = 1 << 20
	for i, p := range t.m.params {
		from, to := t.m.place(t.master, i), t.m.vec(i)
		for lo := 0; lo < p.n; lo += piece {
			hi := min(lo+piece, p.n)
			t.host = slices.Grow(t.host[:0], hi-lo)[:hi-lo]
			t.m.be.Read(t.host, from.Slice(lo, hi))
			p.precision.Round(t.host, t.host)
			t.m.be.Write(to.Slice(lo, hi), t.host)
		}
	}
}
