package token

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/golden"
)

// names lists the golden tokenizers that have cases.
func names(b *testing.B) (list []string) {
	for _, p := range golden.Glob(b, "text/tokenizers/*.cases.jsonl") {
		list = append(list, strings.TrimSuffix(filepath.Base(p), ".cases.jsonl"))
	}
	return list
}

func BenchmarkParse(b *testing.B) {
	for _, name := range names(b) {
		b.Run(name, func(b *testing.B) {
			text := readGolden(b, name)
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				_, err := Parse(text)
				require.NoError(b, err)
			}
		})
	}
}

// BenchmarkEncode encodes the texts of the tokenizer's own golden cases.
func BenchmarkEncode(b *testing.B) {
	for _, name := range names(b) {
		b.Run(name, func(b *testing.B) {
			tok := loadGolden(b, name)
			texts, size := caseTexts(b, name)
			b.SetBytes(int64(size))
			n := 0
			for b.Loop() {
				for _, s := range texts {
					n += len(encode(tok, s))
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "Mtok/s")
		})
	}
}
