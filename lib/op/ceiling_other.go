//go:build !amd64 || purego

package op

// limit returns what the ceiling of t is measured with.
func (t *tier) limit(Numerics) limit { return limitGeneric }
