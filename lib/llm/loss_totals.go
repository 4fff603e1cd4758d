package llm

import (
	"math"

	"srar/lib/real"
)

// totals are the sums over the rows of a mini-batch. They are taken in stream
// order, so that the cut into micro-batches does not show.
type totals struct {
	rows, tokens, longest int64
	masked                int64   // rows that take no part
	loss, entropy, kl     float64 // weighted, for the loss
	entropyTokens         float64 // one each, for the metrics
	klTokens              float64
	importance            float64 // one each
	ratioMax              float64
	clipped, cut          int64
	diff                  Comparison
}

// add takes in one token's terms with its entropy, the aggregation's weight and
// that of importance sampling.
func (s *totals) add(t term, entropy, w, importance float64) {
	s.loss += float64(w * t.loss)
	s.entropy += float64(w * entropy)
	s.kl += float64(w * t.kl)
	s.entropyTokens += entropy
	s.klTokens += t.kl
	s.importance += importance
	s.ratioMax = max(s.ratioMax, t.ratio)
	if t.clipped {
		s.clipped++
	}
	if t.cut {
		s.cut++
	}
}

// Difference compares log-probabilities of the same tokens from two sources.
type Difference struct {
	Tokens    int64
	Mean, Max float64 // of the distance between the log-probabilities
	// Pearson is the correlation of the probabilities; NaN where they do not vary.
	Pearson float64
}

// Comparison sums up a [Difference], a row after another.
type Comparison struct {
	n                int64
	sum, max         float64
	x, y, xx, yy, xy float64 // of probabilities, which lie in [0, 1]
}

// Add takes in the log-probabilities of a row from both sources; a row that is
// empty in one of them does not count.
func (s *Comparison) Add(a, b []float32) {
	if len(a) == 0 || len(b) == 0 {
		return
	}
	for t := range a {
		s.add(float64(a[t]), float64(b[t]))
	}
}

func (s *Comparison) add(logp, recorded float64) {
	d := math.Abs(logp - recorded)
	s.n++
	s.sum += d
	s.max = max(s.max, d)
	x, y := real.Exp(logp), real.Exp(recorded)
	s.x += x
	s.y += y
	s.xx += float64(x * x)
	s.yy += float64(y * y)
	s.xy += float64(x * y)
}

// Result returns the difference over all that was added.
func (s *Comparison) Result() Difference {
	n := max(float64(s.n), 1)
	mx, my := s.x/n, s.y/n
	vx, vy, cov := s.xx/n-float64(mx*mx), s.yy/n-float64(my*my), s.xy/n-float64(mx*my)
	r := math.NaN()
	if vx > 0 && vy > 0 {
		r = cov / math.Sqrt(vx*vy)
	}
	return Difference{Tokens: s.n, Mean: s.sum / n, Max: s.max, Pearson: r}
}
