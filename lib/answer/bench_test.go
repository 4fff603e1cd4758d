package answer

import "testing"

// BenchmarkCompare compares ordinary answers; the report is comparisons a second.
func BenchmarkCompare(b *testing.B) {
	pairs := [][2]string{
		{"42", "42.0"}, {`\frac{3}{4}`, "0.75"}, {"1,234", "1234"}, {`12\sqrt{3}`, `\sqrt{432}`}, {"-7", "7"}, {"(1, 2)", "(1,2)"}, {`\text{east}`, "west"}, {"15 cm", "15"}, {`7\pi`, `\frac{14\pi}{2}`}, {"x^2+2x+1", "(x+1)^2"},
	}
	n := 0
	for b.Loop() {
		Compare(pairs[n%len(pairs)][0], pairs[n%len(pairs)][1])
		n++
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "comparisons/s")
}
