package llm

import (
	"fmt"
	"testing"

	"srar/lib/ckpt"
)

// small is the policy of the arithmetic task: 172,576 parameters.
var small = ckpt.Config{
	ModelType: "qwen3", Vocab: 384, Hidden: 64, Intermediate: 192, Layers: 3, Heads: 4, KVHeads: 2, HeadDim: 16,
	MaxPositions: 512, RopeTheta: 10000, RMSNormEps: 1e-6, Tied: true, QKNorm: true, DType: "float32",
}

// BenchmarkGenerate samples 256 prompts of 26 tokens, 8 responses each of 47.
func BenchmarkGenerate(b *testing.B) {
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			m := newModel(b, newBackend(b, threads), small, 1)
			m.Threads = threads
			var list []*Request
			for i := range 256 {
				r := &Request{Key: fmt.Sprint(i), N: 8}
				for k := range 26 {
					r.Prompt = append(r.Prompt, int32((i*31+k*7)%384))
				}
				list = append(list, r)
			}
			b.ReportAllocs()
			for b.Loop() {
				generate(b, m, plain(47), 1, list)
			}
			b.ReportMetric(float64(b.N)*256*8*47/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}

// trainingRows returns n rows of 26 + 47 tokens.
func trainingRows(n int) []Row {
	rows := make([]Row, n)
	for i := range rows {
		r := Row{Temperature: 1}
		for k := range 26 + 47 {
			id := int32((i*31 + k*7) % 384)
			if k < 26 {
				r.Prompt = append(r.Prompt, id)
			} else {
				r.Tokens = append(r.Tokens, id)
			}
		}
		rows[i] = r
	}
	return rows
}

// BenchmarkTrain takes optimiser steps on 6 rows and on 256.
func BenchmarkTrain(b *testing.B) {
	for _, threads := range []int{1, 2} {
		for _, n := range []int{6, 256} {
			b.Run(fmt.Sprintf("rows=%d/threads=%d", n, threads), func(b *testing.B) {
				tr := newTrainer(b, newModel(b, newBackend(b, threads), small, 1), Loss{Kind: "nll", Aggregate: "token-mean"}, adam)
				rows := trainingRows(n)
				b.ReportAllocs()
				for b.Loop() {
					if err := tr.Accumulate(rows); err != nil {
						b.Fatal(err)
					}
					if _, err := tr.Step(1e-3); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.N)*float64(n)*73/b.Elapsed().Seconds(), "tokens/s")
			})
		}
	}
}
