package llm

import (
	"fmt"
	"math"
)

// Loss says what an update minimises: agg(l) - Entropy·agg(H) + KL·agg(KL),
// with one aggregation for the three. The terms belong to response tokens only.
//
// With ρ = exp(clamp(logp - old, ±20)) and A the token's advantage:
//
//	pg   l = max(-Aρ, -A·clip(ρ, 1-ClipLow, 1+ClipHigh)), and for A < 0
//	     min(l, -A·DualClip): PPO's clipped objective (Schulman et al. 2017,
//	     arXiv 1707.06347) with a range of two sides (Yu et al. 2025,
//	     arXiv 2503.14476) and the dual clip (Ye et al. 2020, arXiv 1912.09729)
//	nll  l = -logp; advantages are not used
//
// With δ = logp - ref the divergence from a reference policy is estimated as
//
//	k1   δ
//	abs  |δ|
//	k2   δ²/2
//	k3   e^x - x - 1 with x = clamp(-δ, ±20), then clamped to ±10
//	     (Schulman 2020, Approximating KL Divergence)
//
// Over a mini-batch of N response tokens in B rows, n_i in row i, L in the
// longest, Aggregate is one of
//
//	token-mean              Σ l / N
//	seq-mean-token-mean     Σ_i (Σ_t l / (n_i + 1e-8)) / B
//	seq-mean-token-sum      Σ l / B
//	seq-mean-token-sum-norm Σ l / (B·L)
type Loss struct {
	Kind              string // pg or nll
	ClipLow, ClipHigh float64
	DualClip          float64 // 0: none
	Aggregate         string
	KL                float64 // coefficient; 0: no reference needed
	KLKind            string  // k1, abs, k2 or k3; read only with KL
	Entropy           float64 // coefficient of the bonus
}

const (
	maxLogRatio = 20 // bound of a log-ratio before exp
	maxK3       = 10 // bound of the k3 estimate
)

// check returns an error for settings that mean nothing.
func (l *Loss) check() error {
	for _, s := range []struct {
		what, value string
		known       []string
	}{
		{"loss", l.Kind, []string{"pg", "nll"}},
		{"aggregation", l.Aggregate, []string{"token-mean", "seq-mean-token-mean", "seq-mean-token-sum", "seq-mean-token-sum-norm"}},
		{"kl kind", l.KLKind, []string{"k1", "abs", "k2", "k3"}},
	} {
		ok := s.what == "kl kind" && l.KL == 0
		for _, k := range s.known {
			ok = ok || k == s.value
		}
		if !ok {
			return fmt.Errorf("unknown %s %q", s.what, s.value)
		}
	}
	for _, s := range []struct {
		what  string
		value float64
		ok    bool
	}{
		{"clip low", l.ClipLow, l.ClipLow >= 0 && l.ClipLow <= 1},
		{"clip high", l.ClipHigh, l.ClipHigh >= 0},
		{"dual clip", l.DualClip, l.DualClip == 0 || l.DualClip > 1},
		{"kl coefficient", l.KL, l.KL >= 0},
		{"entropy coefficient", l.Entropy, true},
	} {
		if !s.ok || math.IsNaN(s.value) || math.IsInf(s.value, 0) {
			return fmt.Errorf("%s is %v", s.what, s.value)
		}
	}
	return nil
}

// term is what one token adds to the loss, before aggregation.
type term struct {
	loss, dloss float64 // l and its derivative by logp
	kl, dkl     float64 // likewise of the divergence; 0 without KL
	ratio       float64 // ρ; 0 for nll
	clipped     bool    // -A·clip(ρ) > -Aρ
}

// token computes the terms of one token from its log-probabilities under the
// policy, the old policy and the reference, and its advantage.
func (l *Loss) token(logp, old, ref, adv float64) (t term) {
	if l.Kind == "nll" {
		t.loss, t.dloss = -logp, -1
	} else {
		d := min(max(logp-old, -maxLogRatio), maxLogRatio)
		t.ratio = math.Exp(d)
		free := -adv * t.ratio
		bound := -adv * min(max(t.ratio, 1-l.ClipLow), 1+l.ClipHigh)
		t.loss, t.clipped = max(free, bound), bound > free
		cut := false
		if c := -adv * l.DualClip; adv < 0 && l.DualClip > 0 && c < t.loss {
			t.loss, cut = c, true
		}
		if !t.clipped && !cut && d == logp-old {
			t.dloss = free
		}
	}
	if l.KL != 0 {
		t.kl, t.dkl = divergence(l.KLKind, logp-ref)
	}
	return t
}

// divergence returns an estimate of the KL divergence from δ = logp - ref, and
// its derivative by logp.
func divergence(kind string, delta float64) (kl, dkl float64) {
	switch kind {
	case "k1":
		return delta, 1
	case "abs":
		switch {
		case delta > 0:
			return delta, 1
		case delta < 0:
			return -delta, -1
		}
		return 0, 0
	case "k2":
		return delta * delta / 2, delta
	default: // k3
		x := min(max(-delta, -maxLogRatio), maxLogRatio)
		kl = math.Expm1(x) - x
		if kl > maxK3 {
			return maxK3, 0
		}
		if x == -delta {
			dkl = -math.Expm1(x)
		}
		return kl, dkl
	}
}

// weight returns the factor of each term in a row of n response tokens; the
// rest of the aggregation is [Loss.scale], known only at the end.
func (l *Loss) weight(n int) float64 {
	if l.Aggregate == "seq-mean-token-mean" {
		return 1 / (float64(n) + 1e-8)
	}
	return 1
}

// scale returns the factor that remains after weight, for a mini-batch of
// tokens response tokens in rows rows, the longest of length longest.
func (l *Loss) scale(tokens, rows, longest int64) float64 {
	switch l.Aggregate {
	case "token-mean":
		return 1 / float64(tokens)
	case "seq-mean-token-sum-norm":
		return 1 / (float64(rows) * float64(longest))
	default:
		return 1 / float64(rows)
	}
}

// totals are the sums over the rows of a mini-batch. They are taken in stream
// order, so that the cut into micro-batches does not show.
type totals struct {
	rows, tokens, longest int64
	loss, entropy, kl     float64 // weighted, for the loss
	entropyTokens         float64 // one each, for the metrics
	klTokens              float64
	ratioMax              float64
	clipped               int64
	diffTokens            int64 // tokens with a log-probability to compare with
	diffSum, diffMax      float64
}

// add takes in one token's terms with its entropy and weight.
func (s *totals) add(t term, entropy, w float64) {
	s.loss += w * t.loss
	s.entropy += w * entropy
	s.kl += w * t.kl
	s.entropyTokens += entropy
	s.klTokens += t.kl
	s.ratioMax = max(s.ratioMax, t.ratio)
	if t.clipped {
		s.clipped++
	}
}

// compare takes in the distance between a log-probability and the recorded one.
func (s *totals) compare(logp, recorded float64) {
	d := math.Abs(logp - recorded)
	s.diffTokens++
	s.diffSum += d
	s.diffMax = max(s.diffMax, d)
}
