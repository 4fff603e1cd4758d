package llm

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Request asks for N responses to a prompt.
type Request struct {
	// Key, with the run's seed, the rollout's index and the position, determines
	// the random number of each token. Requests of one run need different keys.
	Key    string
	Prompt []int32
	N      int
	// Data is the caller's own; it comes back with the request, untouched.
	Data any
}

// Sample is one response. Logprobs are natural logarithms under
// softmax(logits / temperature), before penalties and truncation. Finish is
// "stop" when the last token is one of the model's end tokens, else "length".
type Sample struct {
	Tokens   []int32
	Logprobs []float32
	Finish   string
}

// readAhead is the number of requests fetched before they are needed.
const readAhead = 16

// Generate samples responses to the requests that next returns until io.EOF,
// and gives each request with its N samples to emit, in the order of the
// requests, as soon as it and all before it are finished.
//
// Sequences run together, at most MaxRows of them: one that ends leaves at
// once and another takes its place. A prompt is computed once for its N
// sequences. None of this shows in the results: a sample's bits are a function
// of the weights, s, seed, Key, Prompt and its index.
//
// A response that has not ended when it fills a sliding window stops the call
// with a [WindowError] that names its prompt: cut short it would be a response
// that the model does not give. A lower MaxTokens ends it before.
//
// next runs on a goroutine of its own, a little ahead, so that a slow source
// does not hold up what is being sampled. It runs at the same time as emit:
// what emit needs to know of a request travels in Request.Data, not in memory
// that both change. emit runs on the caller's goroutine.
//
// When ctx ends Generate returns ctx's error after the forward pass under way;
// errors of next and emit come back as they are. A call of next may still be under way when
// Generate returns with an error. Memory does not grow with the number of
// requests.
func (m *Model) Generate(ctx context.Context, s Sampling, seed uint64, next func() (*Request, error), emit func(*Request, []Sample) error) error {
	if err := s.check(); err != nil {
		return fmt.Errorf("generate: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g := &generator{m: m, sampling: s, seed: seed, requests: fetch(ctx, next)}
	defer g.free()
	for {
		if err := g.admit(ctx); err != nil {
			return err
		}
		if len(g.groups) == 0 {
			return nil
		}
		if err := g.step(); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		for head := g.finished(); head != nil; head = g.finished() {
			if err := emit(head.req, head.samples); err != nil {
				return err
			}
		}
	}
}

// fetched is what a call of next returned.
type fetched struct {
	req *Request
	err error
}

// fetch calls next until it fails or ctx ends.
func fetch(ctx context.Context, next func() (*Request, error)) <-chan fetched {
	c := make(chan fetched, readAhead)
	go func() {
		for {
			r, err := next()
			select {
			case c <- fetched{r, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return c
}

// admit takes requests in while there is room for them. It waits for one only
// when there is nothing else to do.
func (g *generator) admit(ctx context.Context) error {
	for !g.ended && g.room() {
		var f fetched
		if len(g.groups) == 0 {
			select {
			case f = <-g.requests:
			case <-ctx.Done():
				return ctx.Err()
			}
		} else {
			select {
			case f = <-g.requests:
			default:
				return nil
			}
		}
		if errors.Is(f.err, io.EOF) {
			g.ended = true
			return nil
		}
		if f.err != nil {
			return f.err
		}
		if err := g.enter(f.req); err != nil {
			return fmt.Errorf("generate: prompt %q: %w", f.req.Key, err)
		}
	}
	return nil
}
