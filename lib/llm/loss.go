package llm

import (
	"fmt"
	"math"
	"slices"

	"srar/lib/real"
)

// Loss says what an update minimises: agg(w·l) - Entropy·agg(H) + KL·agg(KL),
// with one aggregation for the three. The terms belong to response tokens only.
//
// With ρ = exp(clamp(logp - old, ±20)) and A the token's advantage, l is
//
//	pg     max(-Aρ, -A·clip(ρ, 1-ClipLow, 1+ClipHigh)), and for A < 0
//	       min(l, -A·DualClip): PPO's clipped objective (Schulman et al. 2017,
//	       arXiv 1707.06347) with a range of two sides (Yu et al. 2025,
//	       arXiv 2503.14476) and the dual clip (Ye et al. 2020, arXiv 1912.09729)
//	gspo   the same without dual clip, ρ being the sequence's
//	       exp(clamp(mean over its tokens of logp - old, ±20)), whose derivative by
//	       the token's own logp is taken as ρ: GSPO-token (Zheng et al. 2025,
//	       arXiv 2507.18071, equations 7 and 13)
//	cispo  -clip(ρ, 1-ClipLow, 1+ClipHigh)·A·logp, the clipped ratio a constant
//	       (MiniMax 2025, arXiv 2506.13585, equations 4 and 5): every token teaches
//	nll    -logp; advantages are not used
//
// The weight w is 1, or with Importance the ratio between the policy of before
// the first step and the one that sampled, where these differ (another engine):
// truncated importance sampling (Yao et al. 2025, Your Efficient RL Framework
// Secretly Brings You Off-Policy RL Training), a constant for each
//
//	token     min(exp(clamp(old - sampled, ±20)), Cap)
//	sequence  the same of the sum over the row's tokens
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
	Kind              string // one of [LossKinds]
	ClipLow, ClipHigh float64
	DualClip          float64 // 0: none
	Importance        string  // one of [Importances]; "" is none
	Cap               float64 // of the importance; read only with it
	Aggregate         string  // one of [Aggregates]
	KL                float64 // coefficient; 0: no reference needed
	KLKind            string  // one of [KLKinds]; read only with KL
	Entropy           float64 // coefficient of the bonus
}

// What the words of a [Loss] may be.
var (
	LossKinds   = []string{"pg", "gspo", "cispo", "nll"}
	Aggregates  = []string{"token-mean", "seq-mean-token-mean", "seq-mean-token-sum", "seq-mean-token-sum-norm"}
	KLKinds     = []string{"k1", "abs", "k2", "k3"}
	Importances = []string{"none", "token", "sequence"}
)

const (
	maxLogRatio = 20 // bound of a log-ratio before exp
	maxK3       = 10 // bound of the k3 estimate
)

// check returns an error for settings that mean nothing.
func (l *Loss) check() error {
	for _, s := range []struct {
		what, value string
		known       []string
		unread      bool
	}{
		{"loss", l.Kind, LossKinds, false},
		{"aggregation", l.Aggregate, Aggregates, false},
		{"kl kind", l.KLKind, KLKinds, l.KL == 0},
		{"importance", l.Importance, Importances, l.Importance == ""},
	} {
		if !s.unread && !slices.Contains(s.known, s.value) {
			return fmt.Errorf("unknown %s %q", s.what, s.value)
		}
	}
	if l.Kind == "nll" && l.corrects() {
		return fmt.Errorf("importance %q has no meaning for loss nll", l.Importance)
	}
	for _, s := range []struct {
		what  string
		value float64
		ok    bool
	}{
		{"clip low", l.ClipLow, l.ClipLow >= 0 && l.ClipLow <= 1},
		{"clip high", l.ClipHigh, l.ClipHigh >= 0},
		{"dual clip", l.DualClip, l.DualClip == 0 || l.DualClip > 1},
		{"importance cap", l.Cap, !l.corrects() || l.Cap > 0},
		{"kl coefficient", l.KL, l.KL >= 0},
		{"entropy coefficient", l.Entropy, true},
	} {
		if !s.ok || math.IsNaN(s.value) || math.IsInf(s.value, 0) {
			return fmt.Errorf("%s is %v", s.what, s.value)
		}
	}
	return nil
}

// corrects reports whether the terms have a weight.
func (l *Loss) corrects() bool { return l.Importance == "token" || l.Importance == "sequence" }

// bySequence reports whether a token's terms need the log-probabilities of the
// whole row.
func (l *Loss) bySequence() bool { return l.Kind == "gspo" || l.Importance == "sequence" }

// given is what the terms of one token come from.
type given struct {
	logp, ref, adv float64
	// drift is logp - old, or its mean over the row for gspo.
	drift float64
	// weight is that of importance sampling, 1 without.
	weight float64
}

// term is what one token adds to the loss, before aggregation.
type term struct {
	loss, dloss float64 // w·l and its derivative by logp
	kl, dkl     float64 // likewise of the divergence; 0 without KL
	ratio       float64 // ρ; 0 for nll
	clipped     bool    // -A·clip(ρ) > -Aρ; for cispo clip(ρ) ≠ ρ
	cut         bool    // by the dual clip
}

// token computes the terms of one token.
func (l *Loss) token(g given) (t term) {
	if l.Kind == "nll" {
		t.loss, t.dloss = -g.logp, -1
	} else {
		l.ratio(g, &t)
		t.loss, t.dloss = t.loss*g.weight, t.dloss*g.weight
	}
	if l.KL != 0 {
		t.kl, t.dkl = divergence(l.KLKind, g.logp-g.ref)
	}
	return t
}

// ratio computes the terms of the losses that have one.
func (l *Loss) ratio(g given, t *term) {
	d := min(max(g.drift, -maxLogRatio), maxLogRatio)
	t.ratio = real.Exp(d)
	kept := min(max(t.ratio, 1-l.ClipLow), 1+l.ClipHigh)
	if l.Kind == "cispo" {
		t.clipped = kept != t.ratio
		t.loss, t.dloss = -kept*g.adv*g.logp, -kept*g.adv
		return
	}
	free, bound := -g.adv*t.ratio, -g.adv*kept
	t.loss, t.clipped = max(free, bound), bound > free
	if c := -g.adv * l.DualClip; g.adv < 0 && l.DualClip > 0 && c < t.loss {
		t.loss, t.cut = c, true
	}
	if !t.clipped && !t.cut && d == g.drift {
		t.dloss = free
	}
}

// importance returns the weight of importance sampling for the distance between
// the log-probabilities before the first step and those of the sampler.
func (l *Loss) importance(distance float64) float64 {
	return min(real.Exp(min(max(distance, -maxLogRatio), maxLogRatio)), l.Cap)
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
		kl = real.Expm1(x) - x
		if kl > maxK3 {
			return maxK3, 0
		}
		if x == -delta {
			dkl = -real.Expm1(x)
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
