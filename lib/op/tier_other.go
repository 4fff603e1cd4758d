//go:build !amd64 || purego

package op

import "runtime"

var tiers = []candidate{{&generic, func() string { return "" }}}

// best returns the fastest tier.
func best() *tier { return &generic }

// pause gives way for a moment in a spin loop.
func pause() { runtime.Gosched() }
