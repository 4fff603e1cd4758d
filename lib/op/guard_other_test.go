//go:build !unix

package op

import "testing"

// newGuarded returns n float32; this system has no pages to guard them with here.
func newGuarded(_ testing.TB, n int) []float32 { return make([]float32, n) }
