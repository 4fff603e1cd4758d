//go:build !linux && !purego

package op

// requestTiles says what is lacking for tiles.
func requestTiles() string { return "Linux, for tiles" }
