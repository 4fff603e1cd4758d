package op

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// work is one operator call, cut into items that any thread may do in any
// order. The items of one call write different memory.
type work interface {
	// do works on items [lo, hi).
	do(t *thread, lo, hi int)
}

// maxChunks bounds the pieces of one call; they are counted in 16 bits.
const maxChunks = 1 << 15

// pool runs work on the calling goroutine and on threads-1 workers. Waking a
// parked thread takes some 70 µs, longer than most operators, so workers spin
// for a while before they park.
//
// The generation of the call and the chunks that are left share one word: a worker
// that sees a call sees its size, and a worker that comes late finds nothing to
// claim. The caller takes the first chunk left and workers the last one, so that of
// two threads each has the same weights, rows and sequences in its cache in one step
// after another. The caller waits only for chunks that a worker has claimed, never
// for a worker to wake up.
type pool struct {
	state atomic.Uint64 // generation<<32 | end of the chunks left<<16 | first of them
	_     [56]byte
	done  atomic.Int64 // chunks finished
	_     [56]byte

	job           work
	items, chunks int

	threads []*thread // the caller's is first
	workers []*worker
	closed  atomic.Bool
	ended   sync.WaitGroup
}

type worker struct {
	parked atomic.Bool
	wake   chan struct{}
	_      [48]byte
}

// newPool starts one worker for each thread but the first.
func newPool(threads []*thread) *pool {
	p := &pool{threads: threads}
	for _, t := range threads[1:] {
		w := &worker{wake: make(chan struct{}, 1)}
		p.workers = append(p.workers, w)
		p.ended.Add(1)
		go p.serve(w, t)
	}
	return p
}

// run does items [0, items) of w in the given number of chunks and returns when
// all are done.
func (p *pool) run(w work, items, chunks int) {
	chunks = min(chunks, items, maxChunks)
	if chunks <= 1 || len(p.workers) == 0 {
		if items > 0 {
			w.do(p.threads[0], 0, items)
		}
		return
	}
	// All chunks of the call before are done: nobody reads job, items, chunks or done.
	p.job, p.items, p.chunks = w, items, chunks
	p.done.Store(0)
	generation := p.state.Load()>>32 + 1
	p.state.Store(generation<<32 | uint64(chunks)<<16)
	p.wakeAll()
	p.drain(p.threads[0])
	for i := 0; p.done.Load() != int64(chunks); i++ {
		idle(i)
	}
}

// wakeAll wakes the workers that are parked.
func (p *pool) wakeAll() {
	for _, w := range p.workers {
		if w.parked.Load() && w.parked.CompareAndSwap(true, false) {
			w.wake <- struct{}{}
		}
	}
}

// drain claims and does chunks until none is left.
func (p *pool) drain(t *thread) {
	for {
		s := p.state.Load()
		first, end := int(s&0xffff), int(s>>16&0xffff)
		if first >= end {
			return
		}
		claim, left := first, s+1
		if t != p.threads[0] {
			claim, left = end-1, s-1<<16
		}
		if p.state.CompareAndSwap(s, left) {
			lo, hi := part(p.items, p.chunks, claim)
			p.job.do(t, lo, hi)
			p.done.Add(1)
		}
	}
}

// serve is the life of a worker.
func (p *pool) serve(w *worker, t *thread) {
	defer p.ended.Done()
	var seen uint64
	for {
		seen = p.await(w, seen)
		if p.closed.Load() {
			return
		}
		p.drain(t)
	}
}

// spinTime is how long a worker looks for the next call before it parks.
const spinTime = 200 * time.Microsecond

// await returns the generation that follows seen.
func (p *pool) await(w *worker, seen uint64) uint64 {
	var start time.Time
	for i := 0; ; i++ {
		if g := p.state.Load() >> 32; g != seen {
			return g
		}
		pause()
		if i&63 != 63 {
			continue
		}
		if start.IsZero() {
			start = time.Now()
		} else if time.Since(start) > spinTime {
			w.parked.Store(true)
			// A call that came in between either wakes this worker or is seen here.
			if p.state.Load()>>32 == seen || !w.parked.CompareAndSwap(true, false) {
				<-w.wake
			}
			start = time.Time{}
		}
		runtime.Gosched()
	}
}

// idle passes the time of a caller whose last chunks are with the workers: a
// machine with more runnable threads than cores may have taken their core.
func idle(i int) {
	switch {
	case i < 4000:
		pause()
	case i < 4200:
		runtime.Gosched()
	default:
		time.Sleep(20 * time.Microsecond)
	}
}

// close ends the workers and waits for them.
func (p *pool) close() {
	p.closed.Store(true)
	generation := p.state.Load()>>32 + 1
	p.state.Store(generation << 32)
	p.wakeAll()
	p.ended.Wait()
}

// part returns the bounds of part i when n items are cut into parts pieces whose
// sizes differ by at most one, the larger ones first.
func part(n, parts, i int) (lo, hi int) {
	q, r := n/parts, n%parts
	lo = i*q + min(i, r)
	hi = lo + q
	if i < r {
		hi++
	}
	return lo, hi
}
