//go:build !unix

package op

// mapFloats returns n zeroed float32.
func mapFloats(n int) []float32 { return aligned(n) }

// unmapFloats leaves b, which mapFloats returned, to the collector.
func unmapFloats([]float32) {}
