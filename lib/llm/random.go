package llm

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// philox is Philox4x32-10, the counter-based generator of Salmon et al. 2011
// (Parallel Random Numbers: As Easy as 1, 2, 3; SC'11): ten rounds of a keyed
// bijection of 128-bit counters. Equal counter and key give equal bits, with
// no state in between.
func philox(ctr [4]uint32, key [2]uint32) [4]uint32 {
	const (
		m0, m1 = 0xD2511F53, 0xCD9E8D57 // multipliers
		w0, w1 = 0x9E3779B9, 0xBB67AE85 // key schedule
	)
	for range 10 {
		h0, l0 := bits.Mul32(m0, ctr[0])
		h1, l1 := bits.Mul32(m1, ctr[2])
		ctr = [4]uint32{h1 ^ ctr[1] ^ key[0], l1, h0 ^ ctr[3] ^ key[1], l0}
		key[0] += w0
		key[1] += w1
	}
	return ctr
}

// keyHash maps a prompt's key to the half of the counter that names it: the
// first 64 bits of its SHA-256.
func keyHash(key string) uint64 {
	h := sha256.Sum256([]byte(key))
	return binary.LittleEndian.Uint64(h[:])
}

// uniform returns the random number in [0, 1), a multiple of 2^-53, with which
// rollout `rollout` of the prompt with hash prompt draws its token at `position`
// (0 for the first of the response) in a run with this seed. The seed is the
// generator's key, the rest its counter.
func uniform(seed, prompt uint64, rollout, position int) float64 {
	r := philox(
		[4]uint32{uint32(position), uint32(rollout), uint32(prompt), uint32(prompt >> 32)},
		[2]uint32{uint32(seed), uint32(seed >> 32)})
	return float64((uint64(r[1])<<32|uint64(r[0]))>>11) * 0x1p-53
}
