//go:build !purego

package op

// limit returns what the ceiling of t in n is measured with.
func (t *tier) limit(n Numerics) limit {
	switch {
	case t == &generic:
		return limitGeneric
	case t == &avx2:
		return limit{peak256, 12 * 16, readBy(read256)}
	case t == &amxBF16 && n == BF16:
		whole := configure(2*tileSize, 2*tileSize)
		const flops = 8 * 2 * tileSize * tileSize * reduction
		return limit{func(n int) { peakTiles(&whole, n) }, flops, readBy(read512)}
	case t.leftWords && n == BF16:
		return limit{peakWords512, 24 * 64, readBy(read512)}
	}
	return limit{peak512, 24 * 32, readBy(read512)}
}

// readBy makes the function from a kernel that reads 512 bytes at once.
func readBy(kernel func(x *float32, n int)) func(x []float32) {
	return func(x []float32) { kernel(at(x, len(x)), len(x)/128) }
}
