package remote

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
)

// Job is one piece of the work on a group. An error ends the whole run.
type Job func(ctx context.Context) error

// Work is a group with its jobs.
type Work[G any] struct {
	Group G
	Jobs  []Job // perhaps none
	Bytes int   // that the group takes in memory, roughly
}

// Window is how much work may be under way.
type Window struct {
	Workers int // jobs at a time
	Bytes   int // of the groups that were not emitted; nothing is read while they take more and have Workers jobs
}

// crowd is how many jobs of groups that were not emitted there may be for each
// worker, whatever little they take. Groups behind a slow answer must wait, and
// one in some thousands takes as long as twenty or more others.
const crowd = 64

// InOrder runs the jobs of many groups and hands each group on once its jobs are
// done, in the order the groups came.
//
// next returns the next group, and io.EOF after the last; emit takes the
// finished ones. Each is called by one goroutine, but both at the same time.
// While the window is full next is not called, so memory is bounded and a slow
// server slows the producer down.
//
// The first error of next, a job, emit or ctx (its cause) cancels the jobs under
// way and is returned once they have ended. A call of next that blocks, on a
// pipe for instance, is not waited for.
func InOrder[G any](ctx context.Context, window Window, next func() (Work[G], error), emit func(G) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &run[G]{ctx: ctx, cancel: cancel, window: window, slots: make(chan struct{}, window.Workers), queue: make(chan *group[G], crowd*window.Workers+1)}
	r.change.L = &r.mu
	stop := context.AfterFunc(ctx, func() { // wakes those who wait
		r.mu.Lock()
		defer r.mu.Unlock()
		r.change.Broadcast()
	})
	defer stop()
	go r.readAll(next)
	go r.startAll()
	err := r.write(emit)
	if err != nil {
		cancel(err)
	}
	r.mu.Lock()
	r.ended = true // no job starts from here on
	r.mu.Unlock()
	r.jobs.Wait()
	return err
}

type run[G any] struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	window Window
	slots  chan struct{}
	queue  chan *group[G] // each entry counts as a job at least, so it never fills up
	jobs   sync.WaitGroup

	mu      sync.Mutex
	change  sync.Cond  // of what follows, or the end of ctx
	load    int        // jobs of the groups not emitted, a group counting at least 1
	bytes   int        // that these groups take
	waiting []ready[G] // jobs that were not started
	read    bool       // all groups have been read
	ended   bool
}

type ready[G any] struct {
	group *group[G]
	job   Job
}

type group[G any] struct {
	val         G
	load, bytes int
	left        atomic.Int64 // jobs not done
	done        chan struct{}
}

// full says whether the window has no room for another group.
func (r *run[G]) full() bool {
	return r.load >= crowd*r.window.Workers || r.load >= r.window.Workers && r.bytes > r.window.Bytes
}

// await blocks until met holds or ctx is done, and returns with the lock held;
// false where ctx is done.
func (r *run[G]) await(met func() bool) bool {
	r.mu.Lock()
	for !met() && r.ctx.Err() == nil {
		r.change.Wait()
	}
	return r.ctx.Err() == nil
}

// readAll reads groups ahead of the jobs.
func (r *run[G]) readAll(next func() (Work[G], error)) {
	defer close(r.queue)
	for {
		ok := r.await(func() bool { return !r.full() })
		r.mu.Unlock()
		if !ok {
			return
		}
		work, err := next()
		if err != nil {
			if err != io.EOF {
				r.cancel(err)
			}
			r.mu.Lock()
			r.read = true
			r.change.Broadcast()
			r.mu.Unlock()
			return
		}
		g := &group[G]{val: work.Group, load: max(1, len(work.Jobs)), bytes: work.Bytes, done: make(chan struct{})}
		g.left.Store(int64(len(work.Jobs)))
		if len(work.Jobs) == 0 {
			close(g.done)
		}
		r.mu.Lock()
		r.load += g.load
		r.bytes += g.bytes
		for _, j := range work.Jobs {
			r.waiting = append(r.waiting, ready[G]{g, j})
		}
		r.change.Broadcast()
		r.mu.Unlock()
		r.queue <- g
	}
}

// startAll starts jobs in their order, each as soon as a slot is free.
func (r *run[G]) startAll() {
	for {
		select {
		case r.slots <- struct{}{}:
		case <-r.ctx.Done():
			return
		}
		ok := r.await(func() bool { return len(r.waiting) > 0 || r.read })
		if !ok || r.ended || len(r.waiting) == 0 {
			r.mu.Unlock()
			return
		}
		t := r.waiting[0]
		r.waiting[0] = ready[G]{}
		r.waiting = r.waiting[1:]
		r.jobs.Add(1)
		r.mu.Unlock()
		go r.do(t)
	}
}

func (r *run[G]) do(t ready[G]) {
	defer r.jobs.Done()
	if err := t.job(r.ctx); err != nil {
		r.cancel(err) // before another job takes the place
	}
	<-r.slots
	if t.group.left.Add(-1) == 0 {
		close(t.group.done)
	}
}

func (r *run[G]) write(emit func(G) error) error {
	for {
		var g *group[G]
		var ok bool
		select {
		case g, ok = <-r.queue:
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		}
		if !ok { // the end, or the reader's error
			return context.Cause(r.ctx)
		}
		select {
		case <-g.done:
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		}
		// A job that failed is done too: its error is the cause.
		if err := context.Cause(r.ctx); err != nil {
			return err
		}
		if err := emit(g.val); err != nil {
			return err
		}
		r.mu.Lock()
		r.load -= g.load
		r.bytes -= g.bytes
		r.change.Broadcast()
		r.mu.Unlock()
	}
}
