package llm

import (
	"fmt"
	"slices"

	"srar/lib/op"
)

// micro computes forward and backward of the rows that t.b holds.
func (t *Trainer) micro(rows []Row) error {
	m, b := t.m, &t.b
	be, d, n, r := m.be, m.cfg.Hidden, len(b.ids), len(b.target)
	m.grow(&t.out, n*d)
	m.grow(&t.grads, roundUp(n)*m.gradWidth())
	m.grow(&t.dhidden, r*d)
	out := t.forward()

	// Logits, loss and the gradient by the rows that the output matrix reads.
	raw, hidden := m.last(out, b.at)
	dhidden, dhead := t.dhidden.Slice(0, r*d), t.tied
	if m.head != 0 {
		dhead = m.place(t.grad, m.head)
	}
	t.room(r)
	if t.loss.bySequence() {
		m.eachLogits(hidden, r, func(z op.Buf, lo, hi int) {
			be.LogProb(t.logp[lo:hi], t.entropy[lo:hi], z, b.target[lo:hi], b.temp[lo:hi], hi-lo, m.cfg.Vocab)
		})
		t.sequences(rows)
	}
	row := 0
	for p := range b.runs(m.logitRows) {
		lo, hi := p.lo, p.hi
		z := m.logits(hidden, lo, hi)
		v, ids, temp := m.cfg.Vocab, b.target[lo:hi], b.temp[lo:hi]
		be.LogProb(t.logp[lo:hi], t.entropy[lo:hi], z, ids, temp, hi-lo, v)
		if err := t.terms(rows, &row, lo, hi); err != nil {
			return err
		}
		var dentropy []float32
		if t.loss.Entropy != 0 {
			dentropy = t.dentropy[lo:hi]
		}
		be.LogProbGrad(z, ids, temp, t.dlogp[lo:hi], dentropy, hi-lo, v)
		m.maps = append(m.maps[:0], op.Linear{W: m.packed[m.head], Y: z, DW: dhead})
		be.MatMulGradX(dhidden.Slice(lo*d, hi*d), m.maps, hi-lo, false)
		if t.low == nil {
			be.MatMulGradW(m.maps, hidden.Slice(lo*d, hi*d), p.parts)
		}
	}

	// Backward.
	g := m.carveGrads(t.grads, n)
	draw := m.work.hidden.Slice(0, r*d) // hidden has been read
	be.Zero(draw)
	be.RMSNormGrad(draw, m.place(t.grad, m.norm), dhidden, raw, m.vec(m.norm), r, d, m.eps)
	be.Zero(g.x)
	be.Scatter(g.x, draw, b.at, d)
	for i := len(m.layers) - 1; i >= 0; i-- {
		if t.CheckpointActivations {
			m.block(i, &t.layers[i], t.out.Slice(0, n*d), &b.batch, true)
		}
		m.blockGrad(i, &t.layers[i], &g, &b.batch, t.grad, t.frozen)
	}
	if err := t.checkGrad(rows, g.x); err != nil {
		return err
	}
	if t.low == nil {
		be.EmbedGrad(m.place(t.grad, 0), g.x, b.ids, d)
	}
	return nil
}

// forward runs the micro-batch through all layers and returns the residual
// stream [N, D]. The activations stay, or with CheckpointActivations the input of
// each layer, all layers then using the same memory for the rest.
func (t *Trainer) forward() (out op.Buf) {
	m, n, d := t.m, len(t.b.ids), t.m.cfg.Hidden
	layers := len(m.layers)
	size, input := roundUp(n)*m.actWidth(true), 0
	if t.CheckpointActivations {
		input = roundUp(n) * d
		m.grow(&t.acts, size+input*layers)
	} else {
		m.grow(&t.acts, size*layers)
	}
	t.layers = t.layers[:0]
	for i := range layers {
		at := i * size
		if input > 0 {
			at = 0
		}
		a := m.carve(t.acts.Slice(at, at+size), n, true)
		if input > 0 {
			a.x = t.acts.Slice(size+i*input, size+i*input+n*d)
		}
		t.layers = append(t.layers, a)
	}
	out = t.out.Slice(0, n*d)
	m.be.Embed(t.layers[0].x, m.vec(0), t.b.ids, d)
	for i := range layers {
		to := out
		if i+1 < layers {
			to = t.layers[i+1].x
		}
		m.block(i, &t.layers[i], to, &t.b.batch, true)
	}
	return out
}

// room makes the lists of a micro-batch's r response tokens.
func (t *Trainer) room(r int) {
	for _, s := range []*[]float32{&t.logp, &t.entropy, &t.dlogp, &t.dentropy} {
		*s = slices.Grow((*s)[:0], r)[:r]
	}
}

// rowTerms is what the tokens of a row have in common.
type rowTerms struct {
	drift      float64 // mean of logp - old
	importance float64
}

// sequences fills t.seqs from the log-probabilities of all tokens of the
// micro-batch.
func (t *Trainer) sequences(rows []Row) {
	t.seqs = t.seqs[:0]
	for i := range rows {
		r, drift, distance := &rows[i], 0.0, 0.0
		for k, logp := range t.logp[t.b.first[i]:t.b.first[i+1]] {
			old := r.old(k, logp)
			drift += float64(logp) - old
			if t.loss.corrects() {
				distance += old - float64(r.Sampled[k])
			}
		}
		t.seqs = append(t.seqs, rowTerms{drift / max(float64(len(r.Tokens)), 1), t.loss.importance(distance)})
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
		if err := t.term(r, *row, i, k); err != nil {
			return fmt.Errorf("row %d: token %d: %w", t.index[t.b.lo+*row], i, err)
		}
	}
	return nil
}

// term does so for token i of row r, the row'th of the micro-batch; it is the
// k'th response token there.
func (t *Trainer) term(r *Row, row, i, k int) error {
	if !finite(t.logp[k]) || !finite(t.entropy[k]) {
		return fmt.Errorf("log-probability is %v, entropy %v", t.logp[k], t.entropy[k])
	}
	logp, entropy := float64(t.logp[k]), float64(t.entropy[k])
	old := r.old(i, t.logp[k])
	g := given{logp: logp, drift: logp - old, weight: 1}
	if was := r.recorded(); len(was) > 0 {
		t.sum.diff.add(logp, float64(was[i]))
	}
	if !t.moved {
		if err := t.agree(r, i, t.logp[k]); err != nil {
			return err
		}
	}
	if t.loss.Importance == "token" {
		g.weight = t.loss.importance(old - float64(r.Sampled[i]))
	}
	if t.loss.bySequence() {
		if t.loss.Kind == "gspo" {
			g.drift = t.seqs[row].drift
		}
		if t.loss.Importance == "sequence" {
			g.weight = t.seqs[row].importance
		}
	}
	if t.loss.KL != 0 {
		g.ref = float64(r.Ref[i])
	}
	if len(r.Advantages) > 0 {
		g.adv = float64(r.Advantages[i])
	}
	x, w := t.loss.token(g), t.loss.weight(len(r.Tokens))
	t.dlogp[k] = float32(w * (x.dloss + float64(t.loss.KL*x.dkl)))
	t.dentropy[k] = float32(-w * t.loss.Entropy)
	if !finite(float32(x.loss)) || !finite(float32(x.kl)) || !finite(t.dlogp[k]) {
		return fmt.Errorf("loss is %v, kl %v, derivative %v", x.loss, x.kl, t.dlogp[k])
	}
	t.sum.add(x, entropy, w, g.weight)
	return nil
}

// old returns the log-probability that the ratio of token k is to; logp is that
// of now.
func (r *Row) old(k int, logp float32) float64 {
	if len(r.Old) == 0 {
		return float64(logp)
	}
	return float64(r.Old[k])
}

// recorded returns the log-probabilities that the row came with.
func (r *Row) recorded() []float32 {
	if len(r.Sampled) > 0 {
		return r.Sampled
	}
	return r.Old
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
			return fmt.Errorf("row %d: gradient is not finite", t.index[t.b.lo+i])
		}
	}
	return nil
}
