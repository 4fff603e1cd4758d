package judge

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	openai "github.com/sashabaranov/go-openai"
)

// Config says how to reach a judge.
type Config struct {
	URL         string        // base address; requests go to URL/chat/completions
	Model       string        // to ask for
	Key         string        // bearer token; empty: none is sent
	Tries       int           // most requests for one question, at least 1
	Timeout     time.Duration // of one exchange, from the first byte sent to the last one read
	Concurrency int           // connections to keep open
	Cache       *Cache        // nil: none
}

// Client asks one judge. It may be used by many goroutines.
type Client struct {
	cfg   Config
	api   *openai.Client
	scrub *strings.Replacer

	mu    sync.Mutex
	stats Stats
}

// Stats counts what a client has done.
type Stats struct {
	Requests         int64            // sent
	Repeats          map[string]int64 // requests that had to be followed by another, by class of failure
	PromptTokens     int64            // as stated by the judge
	CompletionTokens int64
	Cached           int64  // answers taken from the cache
	Damaged          int64  // cache entries that were damaged, and asked again
	CacheError       string // the first error of writing to the cache
}

// NewClient checks cfg and makes a client. Nothing is sent.
func NewClient(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.URL)
	switch {
	case cfg.URL == "":
		return nil, fmt.Errorf("judge: no address")
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("judge: the address is no http or https URL")
	case cfg.Model == "":
		return nil, fmt.Errorf("judge: no model")
	case cfg.Tries < 1 || cfg.Concurrency < 1 || cfg.Timeout <= 0:
		return nil, fmt.Errorf("judge: tries, concurrency and timeout must be positive")
	}
	c := &Client{cfg: cfg, scrub: scrubber(cfg.Key)}
	c.stats.Repeats = map[string]int64{}
	api := openai.DefaultConfig(cfg.Key)
	api.BaseURL = cfg.URL
	api.HTTPClient = doer{
		client: &http.Client{
			Transport:     newTransport(cfg.Concurrency),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		scrub: c.scrub,
	}
	c.api = openai.NewClientWithConfig(api)
	return c, nil
}

// Stats returns the counts so far.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Repeats = map[string]int64{}
	for k, n := range c.stats.Repeats {
		s.Repeats[k] = n
	}
	return s
}

func (c *Client) count(f func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.stats)
}

// Status says what became of a question.
type Status string

const (
	OK      Status = "ok"
	Failed  Status = "failed"
	TooLong Status = "too_long" // the judge's context does not hold the question
	Skipped Status = "skipped"  // not asked
)

// Answer is what became of a question.
type Answer[T any] struct {
	Status           Status
	Value            T       // the zero value unless OK
	Err              *Error  // of the last request; nil if OK
	Reply            *string // text of the last reply; nil if there was none
	Model            *string // that gave it, as the server names it; nil where it does not
	Tries            int32   // requests sent; those of an earlier run where the answer comes from the cache
	PromptTokens     *int64  // summed over the replies that state them; nil where none does
	CompletionTokens *int64
}

// longestWait is the longest pause that a server may ask for.
const longestWait = 15 * time.Minute

// Ask puts a question and reads the reply with read. A reply that read refuses
// is asked for again with the reason, as are requests that failed for a cause
// that may pass; up to Config.Tries requests are sent. Complete answers are kept
// in the cache, and equal questions that come at the same time wait for the
// first one.
//
// The error is not nil only where going on is of no use for any question: ctx
// is done (its cause), the judge refuses us ([*Unauthorized]), or no request can
// be sent.
func Ask[T any](ctx context.Context, c *Client, q Query, read func(reply string) (T, *Error)) (Answer[T], error) {
	if c.cfg.Cache == nil {
		return ask(ctx, c, q, read)
	}
	key := cacheKey(c.cfg.Model, q)
	unlock, err := c.cfg.Cache.lock(ctx, key)
	if err != nil {
		return Answer[T]{}, err
	}
	defer unlock()
	e, err := c.cfg.Cache.get(key)
	if err == nil && e != nil {
		v, bad := read(e.Reply)
		if bad == nil {
			c.count(func(s *Stats) { s.Cached++ })
			return Answer[T]{Status: OK, Value: v, Reply: &e.Reply, Model: e.Model, Tries: e.Tries, PromptTokens: e.PromptTokens, CompletionTokens: e.CompletionTokens}, nil
		}
		err = bad
	}
	if err != nil {
		c.count(func(s *Stats) { s.Damaged++ })
	}
	a, err := ask(ctx, c, q, read)
	if err == nil && a.Status == OK {
		err := c.cfg.Cache.put(key, &entry{Reply: *a.Reply, Model: a.Model, Tries: a.Tries, PromptTokens: a.PromptTokens, CompletionTokens: a.CompletionTokens})
		if err != nil {
			c.count(func(s *Stats) {
				if s.CacheError == "" {
					s.CacheError = err.Error()
				}
			})
		}
	}
	return a, err
}

func ask[T any](ctx context.Context, c *Client, q Query, read func(string) (T, *Error)) (Answer[T], error) {
	a := Answer[T]{Status: Failed}
	note := ""
	for {
		a.Tries++
		c.count(func(s *Stats) { s.Requests++ })
		r, f, err := c.send(ctx, Query{q.System, q.User + note})
		if err != nil {
			return a, err
		}
		if r != nil {
			a.Reply = &r.text
			if a.Model = nil; r.model != "" {
				a.Model = &r.model
			}
			add(&a.PromptTokens, r.prompt)
			add(&a.CompletionTokens, r.completion)
			c.count(func(s *Stats) {
				s.PromptTokens += orZero(r.prompt)
				s.CompletionTokens += orZero(r.completion)
			})
			v, bad := read(r.text)
			if bad == nil {
				a.Status, a.Value, a.Err = OK, v, nil
				return a, nil
			}
			if r.finish == string(openai.FinishReasonLength) && bad.Class != ClassAmbiguous {
				bad = &Error{ClassLength, "the output budget ended before a complete answer (" + bad.Error() + ")"}
			}
			f = &failure{err: bad, again: true}
			note = repair(bad)
		}
		a.Err = f.err
		if f.tooLong {
			a.Status = TooLong
		}
		if !f.again || int(a.Tries) == c.cfg.Tries {
			return a, nil
		}
		pause := f.after
		if pause < 0 {
			pause = backoff(int(a.Tries))
		}
		if pause > longestWait {
			a.Err = &Error{f.err.Class, f.err.Detail + " (asks to wait for " + pause.String() + ")"}
			return a, nil
		}
		c.count(func(s *Stats) { s.Repeats[f.err.Class]++ })
		select {
		case <-ctx.Done():
			return a, context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

// backoff is the pause after the n-th failed request: 0.25 s doubled each time,
// 30 s at most, spread by half, so that many waiting questions do not come back
// at once.
func backoff(n int) time.Duration {
	d := min(250*time.Millisecond<<min(n-1, 20), 30*time.Second)
	return d/2 + rand.N(d)
}

func add(sum **int64, n *int64) {
	if n != nil {
		total := orZero(*sum) + *n
		*sum = &total
	}
}

func orZero(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}
