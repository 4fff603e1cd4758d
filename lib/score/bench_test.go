package score

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// BenchmarkDetectLoop reads responses of some 2,000 tokens, 10 steps each.
func BenchmarkDetectLoop(b *testing.B) {
	var text strings.Builder
	for k := range 10 {
		fmt.Fprintf(&text, "### Step %d: Simplify the %d-th term\n\n", k+1, k+1)
		for line := range 6 {
			fmt.Fprintf(&text, "Wait, we actually know that \\(a_{%d} = %d\\), so the difference of both sides is what remains of line %d of step %d.\n", line, k*line, line, k)
		}
	}
	text.WriteString("\n\\boxed{7}")
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if l := DetectLoop(text.String()); l.SelfCorrections != 120 || l.DuplicateParagraphs() {
			b.Fatal(l)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkSet adds and scores 64 prompts with 32 rollouts each, every one
// marked, judged and compared; answers are compared as text.
func BenchmarkSet(b *testing.B) {
	const prompts, n = 64, 32
	rng := rand.New(rand.NewPCG(1, 2))
	list := make([]Rollout, prompts*n)
	for i := range list {
		a := fmt.Sprint(rng.IntN(12))
		list[i] = Rollout{
			Index: int32(i % n), Correct: a == "0", Answer: &a, WellFormed: true, Tokens: 2000,
			Marks: []bool{true, rng.IntN(3) > 0, rng.IntN(2) > 0}, Shares: [3]Share{{rng.IntN(4), 4}, {rng.IntN(2), 1}},
			Against: Agreement{Items: Pairs{5, 4, 3, 2}, Steps: Pairs{3, 2, 2, 1}, Located: true},
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		s := NewSet([]int{1, 8, 32}, func(a, b string) bool { return a == b })
		for i := range list {
			s.Add(fmt.Sprint(i/n), list[i])
		}
		if len(s.Scores()) < 30 {
			b.Fatal("metrics are missing")
		}
	}
	b.ReportMetric(float64(b.N)*prompts*n/b.Elapsed().Seconds(), "rows/s")
}
