//go:build !amd64 || purego

package op

import "runtime"

// runnable lists the tiers that run here.
func runnable() []*tier { return []*tier{&generic} }

// pause gives way for a moment in a spin loop.
func pause() { runtime.Gosched() }
