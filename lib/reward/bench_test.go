package reward

import (
	"math/rand/v2"
	"testing"

	"srar/lib/rubric"
	"srar/lib/steps"
)

// BenchmarkAssign is one iteration of the method: 128 prompts, 8 rollouts of
// 2,000 tokens in 10 steps, 12 items.
func BenchmarkAssign(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	items := make([]rubric.Item, 12)
	for j := range items {
		items[j] = rubric.Item{ID: int32(j + 1), Type: rubric.Types[j%3], Text: "x"}
	}
	const n, tokens, width, k = 8, 2000, 4, 10
	text := make([]byte, tokens*width)
	groups := make([]Group, 128)
	for g := range groups {
		groups[g] = Group{Items: items, Rollouts: make([]Rollout, n)}
		for i := range groups[g].Rollouts {
			r := Rollout{Correct: rng.IntN(2) == 0, WellFormed: true, Status: OK, Response: string(text), Tokens: tokens}
			for s := range k {
				r.Steps = append(r.Steps, steps.Step{Printed: int32(s + 1), HasPrinted: true, Start: len(text) / k * s, End: len(text) / k * (s + 1)})
			}
			for t := range tokens {
				r.Offsets = append(r.Offsets, int32(t*width))
			}
			for _, it := range items {
				r.Verdicts = append(r.Verdicts, Verdict{it.ID, rng.IntN(2) == 0, int32(rng.IntN(k+2)) - 1})
			}
			groups[g].Rollouts[i] = r
		}
	}
	c := Paper()
	b.ReportAllocs()
	for b.Loop() {
		for g := range groups {
			if _, _, err := c.Assign(&groups[g]); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.N)*n*float64(len(groups))/b.Elapsed().Seconds(), "rows/s")
}
