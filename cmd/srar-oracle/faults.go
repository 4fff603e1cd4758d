package main

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"sync"
)

// faults draws what goes wrong. What becomes of a question depends on the seed,
// the question, and how often it was asked before.
type faults struct {
	seed    uint64
	first   uint64  // so many times each question fails
	flaky   float64 // probability of a failure
	garbage float64 // probability of a useless reply

	mu    sync.Mutex
	asked map[[16]byte]uint64
}

// luck is what becomes of one request.
type luck struct {
	id      []byte  // of the question
	jitter  float64 // 0 <= jitter < 1
	failure failure
	garbage bool
	kind    int // which of the useless or talkative replies
}

type failure int

const (
	none failure = iota
	status500
	status503
	cut    // the body ends in the middle
	closed // the connection closes before the reply
)

// draw draws what becomes of a question that is asked now.
func (f *faults) draw(question string) luck {
	digest := sha256.Sum256([]byte(question))
	before := f.count([16]byte(digest[:]))
	high, low := binary.LittleEndian.Uint64(digest[16:]), binary.LittleEndian.Uint64(digest[24:])
	r := rand.New(rand.NewPCG(high^f.seed*0x9e3779b97f4a7c15, low^before*0xbf58476d1ce4e5b9))
	// Every draw is made, so that one flag does not change what another one does.
	l := luck{id: digest[:8], jitter: r.Float64()}
	flaky, which := r.Float64() < f.flaky, failure(r.IntN(4))
	l.garbage, l.kind = r.Float64() < f.garbage, r.IntN(1<<16)
	switch {
	case before < f.first:
		l.failure = status503
	case flaky:
		l.failure = status500 + which
	}
	return l
}

// count counts a question and returns how often it was asked before. Nobody
// needs to know where nothing goes wrong.
func (f *faults) count(question [16]byte) uint64 {
	if f.first == 0 && f.flaky == 0 && f.garbage == 0 {
		return 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked == nil {
		f.asked = map[[16]byte]uint64{}
	}
	n := f.asked[question]
	f.asked[question] = n + 1
	return n
}
