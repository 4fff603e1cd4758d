package arith

import (
	"math/bits"
	"math/rand/v2"
)

// rng is the room's source of random choices: PCG-DXSM with 128 bits of state,
// whose output the documentation of math/rand/v2 fixes, and integers drawn from
// it here (not by rand.Rand, whose ways may change), so that a seed means the
// same problems for ever.
type rng struct{ src *rand.PCG }

// newRNG returns the generator of one index of one stream of a seed. Streams
// and indices are independent: both pass through a mixing function before they
// become the generator's state.
func newRNG(seed, stream, index uint64) *rng {
	return &rng{rand.NewPCG(mix(seed+mix(stream)), mix(index))}
}

// mix is the finaliser of SplitMix64 (Steele, Lea, Flood 2014), a bijection in
// which each bit of x changes about half of the result's bits; the odd constant
// that is added keeps 0 from being its own image.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// intn draws from 0..n-1, without bias: the high word of a 64-bit product,
// drawn again in the rare cases that would favour some results (Lemire, "Fast
// random integer generation in an interval", 2019).
func (r *rng) intn(n int) int {
	bound := uint64(n)
	high, low := bits.Mul64(r.src.Uint64(), bound)
	if low < bound {
		for least := -bound % bound; low < least; {
			high, low = bits.Mul64(r.src.Uint64(), bound)
		}
	}
	return int(high)
}

// between draws from low..high, both included.
func (r *rng) between(low, high int) int { return low + r.intn(high-low+1) }

// percent is true p times in a hundred.
func (r *rng) percent(p int) bool { return r.intn(100) < p }

// pick draws an element of list.
func pick[T any](r *rng, list ...T) T { return list[r.intn(len(list))] }
