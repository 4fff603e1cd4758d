package remote

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"
)

// board knows which servers are well and who may send when.
type board struct {
	mu       sync.Mutex
	servers  []*server
	most     int // requests in flight
	inFlight int
	queue    []*waiter
	refused  *Refused // no server is left
	pass     pass     // for what refused says
	stats    meter
}

// server is one of the servers. Its fields are guarded by the board.
type server struct {
	base, host string
	index      int

	inFlight  int
	limit     float64   // of requests in flight, adapted
	halved    time.Time // when limit was last halved
	served    bool      // it has answered with 2xx
	silent    int       // timeouts in a row
	suspects  int       // requests that wait to know whether it refuses all
	condemned *Error    // it refuses all

	broken int       // failures in a row
	ill    time.Time // when the last of them was counted
	rest   time.Time // until then it is spared where another one is well
}

// waiter is a request that waits for a place.
type waiter struct {
	avoid *server
	ready chan *server // gets nil when no server is left
}

// acquire waits for a place at a server, not at avoid where that can be chosen.
// Requests are served in the order they came.
func (b *board) acquire(ctx context.Context, avoid *server) (*server, error) {
	b.mu.Lock()
	if err := b.gone(ctx); err != nil {
		b.mu.Unlock()
		return nil, err
	}
	w := &waiter{avoid: avoid, ready: make(chan *server, 1)}
	b.queue = append(b.queue, w)
	b.dispatch()
	b.mu.Unlock()
	select {
	case s := <-w.ready:
		if s == nil {
			return nil, b.refused
		}
		return s, nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.queue, w); i >= 0 {
		b.queue = slices.Delete(b.queue, i, i+1)
	} else if s := <-w.ready; s != nil {
		b.free(s)
	}
	return nil, context.Cause(ctx)
}

// gone is why nothing may be sent any more.
func (b *board) gone(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if b.refused != nil {
		return b.refused
	}
	return nil
}

// dispatch gives free places to those that wait.
func (b *board) dispatch() {
	for len(b.queue) > 0 {
		s := b.pick(b.queue[0].avoid)
		if s == nil {
			return
		}
		b.stats.flow(b.inFlight)
		b.inFlight++
		s.inFlight++
		b.stats.sent(b.inFlight)
		b.queue[0].ready <- s
		b.queue[0] = nil
		b.queue = b.queue[1:]
	}
}

// pick returns the server with the most room, nil where none has any.
func (b *board) pick(avoid *server) *server {
	if b.inFlight >= b.most {
		return nil
	}
	now := time.Now()
	allRest := !slices.ContainsFunc(b.servers, func(s *server) bool { return s.well(now) })
	var best *server
	for _, s := range b.servers {
		switch {
		case s.condemned != nil || s.inFlight >= int(s.limit) || s.suspects >= enoughSuspects:
		case !allRest && (!s.well(now) || s.broken > 0 && s.inFlight > 0):
			// It rests, or one request tries whether it is well again.
		case s == avoid && s.broken > 0 && b.another(s, now):
			// One request does not try it twice.
		case best == nil, best == avoid, s != avoid && s.load() < best.load():
			best = s
		}
	}
	return best
}

// well says whether s may be asked while others are well.
func (s *server) well(now time.Time) bool { return s.condemned == nil && now.After(s.rest) }

func (s *server) load() float64 { return float64(s.inFlight+1) / s.limit }

// another says whether another server than s is well.
func (b *board) another(s *server, now time.Time) bool {
	return slices.ContainsFunc(b.servers, func(o *server) bool { return o != s && o.well(now) })
}

// elsewhere is another for those who do not hold the lock.
func (b *board) elsewhere(s *server) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.another(s, time.Now())
}

func (b *board) free(s *server) {
	b.stats.flow(b.inFlight)
	b.inFlight--
	s.inFlight--
	b.dispatch()
}

// errGone marks an exchange that was given up on: it says nothing of the server.
var errGone = &Error{}

// release gives the place at s back and learns from what came of the exchange
// that was begun then; fail is nil where it succeeded.
func (b *board) release(s *server, begun time.Time, fail *Error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	switch {
	case fail == errGone:
	case fail == nil:
		b.stats.took(now.Sub(begun))
		s.served = true
		s.broken, s.silent = 0, 0
		s.grow(float64(b.most))
	default:
		if fail.Status != 0 {
			b.stats.took(now.Sub(begun))
		}
		if fail.Class == ClassTimeout {
			s.silent++
		}
		if s.overloaded(fail) && begun.After(s.halved) {
			s.halved = now
			s.limit = max(s.limit/2, float64(b.most)/16, 1)
		}
		s.suffer(now, begun, fail)
		if fail.final() {
			s.condemned = fail
		}
		if fail.refuses() {
			s.suspects++
		}
	}
	b.free(s)
}

// overloaded says whether s has more to do than it can: it says so, or lets not
// one request wait until its timeout, but one after the other.
func (s *server) overloaded(fail *Error) bool {
	return fail.Status == http.StatusTooManyRequests || fail.Status == http.StatusServiceUnavailable || s.silent > 1
}

// grow adds four places for each round of successes.
func (s *server) grow(most float64) { s.limit = min(most, s.limit+4/s.limit) }

// suffer lets s rest after a failure: as long as it asked for, or 0.5 s doubled
// with each failure in a row, 30 s at most. Of the requests that were in flight
// at one time the first to fail counts.
func (s *server) suffer(now, begun time.Time, fail *Error) {
	switch {
	case fail.after > 0:
		s.rest = now.Add(fail.after)
	case fail.passes() && begun.After(s.ill):
		s.ill = now
		s.rest = now.Add(min(500*time.Millisecond<<min(s.broken, 10), 30*time.Second))
		s.broken++
	}
}

// A server that says "forbidden" or "not found" and has never served anything
// refuses everything when so many requests have met that, or when nothing else
// was asked of it for that long.
const (
	enoughSuspects = 3
	suspicion      = 250 * time.Millisecond
)

// believe decides, after release, whether the refusal that fail tells of is meant
// for every request; where it is, s is asked nothing more. One that may be meant
// for this request alone waits for what becomes of others.
func (b *board) believe(ctx context.Context, s *server, fail *Error) (condemned bool, err error) {
	begun := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	defer func() {
		s.suspects--
		b.dispatch()
	}()
	for {
		switch {
		case s.condemned != nil || !s.served && s.inFlight == 0 && (s.suspects >= enoughSuspects || time.Since(begun) > suspicion):
			return true, b.condemn(s, fail)
		case s.served:
			return false, nil
		case ctx.Err() != nil:
			return false, context.Cause(ctx)
		}
		b.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
		b.mu.Lock()
	}
}

// condemn takes s out for good. The error is not nil where it was the last one.
func (b *board) condemn(s *server, fail *Error) error {
	if s.condemned == nil {
		s.condemned = fail
	}
	if slices.ContainsFunc(b.servers, func(s *server) bool { return s.condemned == nil }) {
		return nil
	}
	if b.refused == nil {
		b.refused = &Refused{Cause: fail, Host: s.host, pass: b.pass}
		for _, w := range b.queue {
			w.ready <- nil
		}
		b.queue = nil
	}
	return b.refused
}
