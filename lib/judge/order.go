package judge

import (
	"context"
	"io"
	"sync"
)

// Job is one piece of the work on a group. An error ends the whole run.
type Job func(ctx context.Context) error

// InOrder runs the jobs of many groups, at most workers at a time, and hands
// each group on once its jobs are done, in the order the groups came.
//
// next returns the next group with its jobs, perhaps none, and io.EOF after the
// last; emit takes the finished ones. Each is called by one goroutine, but both
// at the same time. While the jobs of groups that were not emitted amount to
// window or more (a group counts at least 1) next is not called, so memory is
// bounded and a slow judge slows the producer down.
//
// The first error of next, a job, emit or ctx (its cause) cancels the jobs under
// way and is returned once they have ended. A call of next that blocks, on a
// pipe for instance, is not waited for.
func InOrder[G any](ctx context.Context, workers, window int, next func() (G, []Job, error), emit func(G) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &run[G]{ctx: ctx, cancel: cancel, window: window, slots: make(chan struct{}, workers), queue: make(chan *group[G], window+1)}
	r.room.L = &r.mu
	stop := context.AfterFunc(ctx, func() { // wakes a reader that waits for room
		r.mu.Lock()
		defer r.mu.Unlock()
		r.room.Broadcast()
	})
	defer stop()
	go r.read(next)
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
	window int
	slots  chan struct{}
	queue  chan *group[G] // each entry weighs at least 1, so it never fills up
	jobs   sync.WaitGroup

	mu    sync.Mutex
	room  sync.Cond
	load  int // weight of the groups not emitted
	ended bool
}

type group[G any] struct {
	val    G
	weight int
	jobs   sync.WaitGroup
	done   chan struct{}
}

func (r *run[G]) read(next func() (G, []Job, error)) {
	defer close(r.queue)
	for {
		r.mu.Lock()
		for r.load >= r.window && r.ctx.Err() == nil {
			r.room.Wait()
		}
		r.mu.Unlock()
		if r.ctx.Err() != nil {
			return
		}
		val, jobs, err := next()
		if err != nil {
			if err != io.EOF {
				r.cancel(err)
			}
			return
		}
		g := &group[G]{val: val, weight: max(1, len(jobs)), done: make(chan struct{})}
		g.jobs.Add(len(jobs))
		r.mu.Lock()
		r.load += g.weight
		r.mu.Unlock()
		r.queue <- g
		for _, j := range jobs {
			if !r.start(g, j) {
				return
			}
		}
		go func() {
			g.jobs.Wait()
			close(g.done)
		}()
	}
}

// start runs j as soon as a slot is free; false once the run has ended.
func (r *run[G]) start(g *group[G], j Job) bool {
	select {
	case r.slots <- struct{}{}:
	case <-r.ctx.Done():
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended || r.ctx.Err() != nil {
		return false
	}
	r.jobs.Add(1)
	go func() {
		defer r.jobs.Done()
		defer g.jobs.Done()
		defer func() { <-r.slots }()
		if err := j(r.ctx); err != nil {
			r.cancel(err)
		}
	}()
	return true
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
		r.load -= g.weight
		r.room.Broadcast()
		r.mu.Unlock()
	}
}
