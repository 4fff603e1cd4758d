package llm

import (
	"errors"
	"fmt"
	"iter"

	"srar/lib/op"
)

// Row is a prompt with a response and what an update needs to know of it. The
// slices are only read. Score takes notice of the first three alone.
type Row struct {
	Prompt, Tokens []int32
	// Temperature divides the logits of all its log-probabilities.
	Temperature float32
	// Old holds the log-probability of each token under the policy that the ratio
	// of the loss is to; empty: those at the weights before a Trainer's first step.
	Old []float32
	// Sampled holds those that the sampler reported, where they are not Old; needed
	// for a loss with importance sampling.
	Sampled []float32
	// Exact says that Old was computed from the weights before the first step by
	// the same arithmetic, so that the first step computes the same bits.
	Exact bool
	// Masked rows take no part: neither in the loss nor in its denominators.
	Masked bool
	// Ref holds the log-probabilities under a reference policy; needed only for a
	// loss with KL.
	Ref []float32
	// Advantages holds the advantage of each token; not needed for nll.
	Advantages []float32
}

// RowError is the error of a row whose content cannot be computed with. What
// comes of the numbers of a good row, infinity for one, is an error of another
// type that names the row too.
type RowError struct {
	Row int // index in the rows of the call
	Err error
}

func (e *RowError) Error() string { return fmt.Sprintf("row %d: %v", e.Row, e.Err) }
func (e *RowError) Unwrap() error { return e.Err }

// checkRow returns an error for a row that cannot be scored.
func (m *Model) checkRow(r *Row) error {
	if len(r.Prompt) == 0 {
		return errors.New("the prompt has no tokens")
	}
	for _, list := range [][]int32{r.Prompt, r.Tokens} {
		if err := m.checkTokens(list); err != nil {
			return err
		}
	}
	if !(r.Temperature > 0) || !finite(r.Temperature) {
		return fmt.Errorf("temperature is %v", r.Temperature)
	}
	if len(r.Tokens) == 0 { // nothing is computed
		return nil
	}
	return m.checkWindow(len(r.Prompt) + len(r.Tokens) - 1)
}

// checkTokens returns an error unless the model has a row for every id.
func (m *Model) checkTokens(ids []int32) error {
	for _, id := range ids {
		if id < 0 || int(id) >= m.cfg.Vocab {
			return fmt.Errorf("token %d is not in the model's vocabulary of %d", id, m.cfg.Vocab)
		}
	}
	return nil
}

// microBatch is a run of rows in packed form. Response token k of all rows
// together has id target[k] and is told by the logits after batch row at[k].
type microBatch struct {
	batch
	lo     int     // index of the first row
	first  []int   // of each row: its first response token; and the number of all
	at     []int32 // [R]
	target []int32
	temp   []float32
}

// fill packs rows[lo:], as many as fit in limit tokens but at least one, and
// returns the index after the last. The last token of a response is never fed:
// nothing follows it.
func (b *microBatch) fill(rows []Row, lo, limit int) int {
	b.reset()
	b.lo, b.first, b.at, b.target, b.temp = lo, append(b.first[:0], 0), b.at[:0], b.target[:0], b.temp[:0]
	hi := lo
	for ; hi < len(rows); hi++ {
		r := &rows[hi]
		n := max(len(r.Tokens)-1, 0)
		if hi > lo && len(b.ids)+len(r.Prompt)+n > limit {
			break
		}
		if len(r.Tokens) > 0 {
			start := len(b.ids) + len(r.Prompt) - 1
			b.add(0, r.Prompt, r.Tokens[:n])
			for i := range r.Tokens {
				b.at = append(b.at, int32(start+i))
				b.temp = append(b.temp, r.Temperature)
			}
			b.target = append(b.target, r.Tokens...)
		}
		b.first = append(b.first, len(b.target))
	}
	return hi
}

// run is a number of successive response tokens [lo, hi) of a micro-batch; parts
// are those of one response each, counted from lo.
type run struct {
	lo, hi int
	parts  []op.Span
}

// runs cuts the response tokens into runs of at most most of them, a multiple of
// 32. A response is cut only where a multiple of 32 of its tokens lies before the
// cut, so that a reduction over its rows is the same in any company (see
// [op.BF16]). A run is valid until the next.
func (b *microBatch) runs(most int) iter.Seq[run] {
	return func(yield func(run) bool) {
		var r run
		for i, at := range b.first[:len(b.first)-1] {
			for end := b.first[i+1]; at < end; {
				n := min(end-at, most-(at-r.lo))
				if at+n < end {
					n = n / 32 * 32
				}
				if n == 0 {
					if !yield(r) {
						return
					}
					r = run{lo: at, parts: r.parts[:0]}
					continue
				}
				r.parts = append(r.parts, op.Span{Lo: at - r.lo, Hi: at + n - r.lo})
				at += n
				r.hi = at
			}
		}
		if r.hi > r.lo {
			yield(r)
		}
	}
}

// Score returns for each token of each response its log-probability under
// softmax(logits / Temperature), given all that precedes it, and the entropy of
// that distribution in nats. The bits of a row do not depend on its company.
// What a row holds is checked before anything is computed: see [RowError].
func (m *Model) Score(rows []Row) (logp, entropy [][]float32, err error) {
	for i := range rows {
		if err := m.checkRow(&rows[i]); err != nil {
			return nil, nil, fmt.Errorf("score: %w", &RowError{i, err})
		}
	}
	total := 0
	for i := range rows {
		total += len(rows[i].Tokens)
	}
	l, e := make([]float32, total), make([]float32, total)
	var b microBatch
	for lo := 0; lo < len(rows); {
		hi := b.fill(rows, lo, m.MicroTokens)
		n := len(b.target)
		if n > 0 {
			m.scoreBatch(&b, l[:n], e[:n])
		}
		for i := lo; i < hi; i++ {
			n := len(rows[i].Tokens)
			for t := range n {
				if !finite(l[t]) || !finite(e[t]) {
					return nil, nil, fmt.Errorf("score: row %d: token %d: log-probability is %v, entropy %v", i, t, l[t], e[t])
				}
			}
			logp, entropy = append(logp, l[:n:n]), append(entropy, e[:n:n])
			l, e = l[n:], e[n:]
		}
		lo = hi
	}
	return logp, entropy, nil
}

// scoreBatch writes the log-probabilities and entropies [R] of a micro-batch.
func (m *Model) scoreBatch(b *microBatch, logp, entropy []float32) {
	_, hidden := m.last(m.forward(&b.batch), b.at)
	m.eachLogits(hidden, len(b.at), func(z op.Buf, lo, hi int) {
		m.be.LogProb(logp[lo:hi], entropy[lo:hi], z, b.target[lo:hi], b.temp[lo:hi], hi-lo, m.cfg.Vocab)
	})
}

func finite(x float32) bool { return x-x == 0 }
