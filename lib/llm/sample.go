package llm

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"srar/lib/real"
)

// Sampling says how tokens are drawn. The steps act in the order of the
// fields, each on what the one before left, renormalised.
type Sampling struct {
	// Greedy takes the most likely token by the raw logits, of several the one
	// with the lowest id. Nothing else but MaxTokens acts then, and
	// log-probabilities are those at temperature 1.
	Greedy bool
	// Repetition divides a positive logit z of each token that occurs in prompt
	// or output, and multiplies a negative one (Keskar et al. 2019, arXiv
	// 1909.05858); once, however often it occurs. 1: none.
	Repetition float64
	// Presence is taken from the logit of each token that occurs in the output,
	// Frequency as many times as it occurs there. 0: none.
	Presence, Frequency float64
	// Temperature divides the logits. It acts as the float32 that a row records.
	Temperature float64
	// TopK keeps the most likely tokens, of equal ones the lower id. 0: all.
	TopK int
	// TopP keeps the smallest set of most likely tokens whose probability reaches
	// it (Holtzman et al. 2020, arXiv 1904.09751). 1: all.
	TopP float64
	// MinP keeps tokens with at least this fraction of the best one's probability
	// (Nguyen et al. 2024, arXiv 2407.01082). 0: all.
	MinP float64
	// MaxTokens bounds a response.
	MaxTokens int
}

// check returns an error for settings that mean nothing.
func (s *Sampling) check() error {
	for _, f := range []struct {
		what  string
		value float64
		ok    bool
	}{
		{"repetition penalty", s.Repetition, s.Repetition > 0},
		{"presence penalty", s.Presence, true},
		{"frequency penalty", s.Frequency, true},
		{"temperature", s.Temperature, float32(s.Temperature) > 0},
		{"top-k", float64(s.TopK), s.TopK >= 0},
		{"top-p", s.TopP, s.TopP > 0 && s.TopP <= 1},
		{"min-p", s.MinP, s.MinP >= 0 && s.MinP <= 1},
		{"limit of tokens", float64(s.MaxTokens), s.MaxTokens > 0},
	} {
		if s.Greedy && f.what != "limit of tokens" {
			continue
		}
		if !f.ok || math.IsNaN(f.value) || math.IsInf(float64(float32(f.value)), 0) {
			return fmt.Errorf("%s is %v", f.what, f.value)
		}
	}
	return nil
}

// penalises reports whether tokens that occurred before count.
func (s *Sampling) penalises() bool {
	return !s.Greedy && (s.Repetition != 1 || s.Presence != 0 || s.Frequency != 0)
}

// truncates reports whether tokens are cut off.
func (s *Sampling) truncates() bool {
	return s.TopK > 0 || s.TopP < 1 || s.MinP > 0
}

// plain reports whether nothing but the temperature acts.
func (s *Sampling) plain() bool {
	return !s.Greedy && !s.penalises() && !s.truncates()
}

// temperature returns the temperature of the log-probabilities.
func (s *Sampling) temperature() float32 {
	if s.Greedy {
		return 1
	}
	return float32(s.Temperature)
}

// occurrence counts a token in the output; 0 for one of the prompt only.
type occurrence struct {
	id    int32
	count int32
}

// observe adds a token to seen.
func observe(seen []occurrence, id, count int32) []occurrence {
	for i := range seen {
		if seen[i].id == id {
			seen[i].count += count
			return seen
		}
	}
	return append(seen, occurrence{id, count})
}

// candidate is a token with its scaled logit and its unnormalised probability.
type candidate struct {
	id   int32
	z, w float64
}

// better orders candidates from the most likely; ids part equal ones.
func better(a, b candidate) int {
	if a.z != b.z {
		return cmp.Compare(b.z, a.z)
	}
	return cmp.Compare(a.id, b.id)
}

// sampler draws tokens; it holds the memory for that.
type sampler struct {
	z    []float64
	ids  []int32
	cand []candidate
}

// draw returns the token that u in [0, 1) selects from the distribution that
// p makes of logits [V]: the inverse of its distribution function, ids
// ascending, in float64. From logits that are not all numbers it returns some
// token; its log-probability is not a number either.
func (s *sampler) draw(logits []float32, p *Sampling, seen []occurrence, u float64) int32 {
	if p.Greedy {
		return argmax(logits)
	}
	ids, w := s.weigh(logits, p, seen)
	total := 0.0
	for _, x := range w {
		total += x
	}
	target, sum, at := u*total, 0.0, 0
	for i, x := range w {
		if x > 0 {
			at = i // the last, should u·total round up to the sum
			if sum += x; sum > target {
				break
			}
		}
	}
	if ids == nil {
		return int32(at)
	}
	return ids[at]
}

// argmax returns the lowest id of the largest logit.
func argmax(logits []float32) int32 {
	best := 0
	for i, z := range logits {
		if z > logits[best] {
			best = i
		}
	}
	return int32(best)
}

// weigh returns the tokens that can be drawn, ascending (nil: all), and their
// weights relative to the most likely token's. Both are valid until the next
// call.
func (s *sampler) weigh(logits []float32, p *Sampling, seen []occurrence) (ids []int32, w []float64) {
	s.z = slices.Grow(s.z[:0], len(logits))[:len(logits)]
	for i, z := range logits {
		s.z[i] = float64(z)
	}
	if p.penalises() {
		penalise(s.z, p, seen)
	}
	t, top := float64(p.temperature()), math.Inf(-1)
	for i, z := range s.z {
		z /= t
		s.z[i] = z
		if z > top {
			top = z
		}
	}
	if !p.truncates() {
		for i, z := range s.z {
			s.z[i] = real.Exp(z - top)
		}
		return nil, s.z
	}
	s.cand = s.cand[:0]
	for i, z := range s.z {
		s.cand = append(s.cand, candidate{id: int32(i), z: z})
	}
	c := s.cand
	if p.TopK > 0 && p.TopK < len(c) {
		selectTop(c, p.TopK)
		c = c[:p.TopK]
	}
	for i := range c {
		c[i].w = real.Exp(c[i].z - top)
	}
	if p.TopP < 1 {
		c = nucleus(c, p.TopP)
	}
	if p.MinP > 0 {
		c = slices.DeleteFunc(c, func(x candidate) bool { return x.w < p.MinP })
	}
	slices.SortFunc(c, func(a, b candidate) int { return cmp.Compare(a.id, b.id) })
	s.ids, w = s.ids[:0], s.z[:0]
	for _, x := range c {
		s.ids, w = append(s.ids, x.id), append(w, x.w)
	}
	return s.ids, w
}

// penalise changes the logits z of the tokens seen.
func penalise(z []float64, p *Sampling, seen []occurrence) {
	for _, o := range seen {
		x := z[o.id]
		if x < 0 {
			x *= p.Repetition
		} else {
			x /= p.Repetition
		}
		if o.count > 0 {
			x -= p.Presence
			x -= float64(p.Frequency * float64(o.count))
		}
		z[o.id] = x
	}
}

// nucleus returns the smallest set of best candidates that holds the fraction p
// of the weight.
func nucleus(c []candidate, p float64) []candidate {
	total := 0.0
	for i := range c {
		total += c[i].w
	}
	// Candidates below this weight hold less than 1-p together, and the nucleus
	// lies within the others: few are left to sort.
	floor := (1 - p) * total / float64(len(c))
	c = slices.DeleteFunc(c, func(x candidate) bool { return x.w < floor })
	slices.SortFunc(c, better)
	sum := 0.0
	for i := range c {
		if sum += c[i].w; sum >= p*total {
			return c[:i+1]
		}
	}
	return c
}

// selectTop reorders c so that its k best candidates come first, by quickselect
// (Hoare 1961) with the median of three as pivot.
func selectTop(c []candidate, k int) {
	for len(c) > 1 && k > 0 && k < len(c) {
		n := len(c)
		a, m, b := 0, n/2, n-1
		if better(c[m], c[a]) < 0 {
			c[a], c[m] = c[m], c[a]
		}
		if better(c[b], c[m]) < 0 {
			c[m], c[b] = c[b], c[m]
			if better(c[m], c[a]) < 0 {
				c[a], c[m] = c[m], c[a]
			}
		}
		c[m], c[b] = c[b], c[m] // the pivot waits at the end
		at := 0
		for i := range c[:b] {
			if better(c[i], c[b]) < 0 {
				c[i], c[at] = c[at], c[i]
				at++
			}
		}
		c[at], c[b] = c[b], c[at]
		switch {
		case k <= at:
			c = c[:at]
		default:
			c, k = c[at+1:], k-at-1
		}
	}
}

// crew draws tokens from many rows of logits at once.
type crew struct {
	members []sampler
	rows    rowDrawer
	n       int
	at      atomic.Int64
	wait    sync.WaitGroup
}

// rowDrawer draws the token of row i, while others may be at other rows.
type rowDrawer interface {
	drawRow(s *sampler, i int)
}

// each has rows 0..n-1 of v logits each drawn on at most threads goroutines,
// where that is worth their start.
func (c *crew) each(threads, n, v int, rows rowDrawer) {
	const worth = 20000 // logits a goroutine, some 100 µs
	threads = max(1, min(threads, n, n*v/worth))
	for len(c.members) < threads {
		c.members = append(c.members, sampler{})
	}
	c.rows, c.n = rows, n
	c.at.Store(0)
	c.wait.Add(threads - 1)
	for i := 1; i < threads; i++ {
		go func() {
			defer c.wait.Done()
			c.work(i)
		}()
	}
	c.work(0)
	c.wait.Wait()
}

func (c *crew) work(member int) {
	for i := int(c.at.Add(1)) - 1; i < c.n; i = int(c.at.Add(1)) - 1 {
		c.rows.drawRow(&c.members[member], i)
	}
}
