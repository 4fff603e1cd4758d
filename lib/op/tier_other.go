//go:build !amd64 || purego

package op

import "runtime"

// runnable lists the tiers that run here.
func runnable() []*tier { return []*tier{&generic} }

// best returns the fastest of tiers.
func best(tiers []*tier) *tier { return tiers[len(tiers)-1] }

// pause gives way for a moment in a spin loop.
func pause() { runtime.Gosched() }
