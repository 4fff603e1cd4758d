package judge

import (
	"context"
	"errors"
	"fmt"
	"sync"

	openai "github.com/sashabaranov/go-openai"

	"srar/lib/remote"
)

// Config says how to ask a judge.
type Config struct {
	Remote    remote.Config // where it is; Tries is the most requests for one question
	Model     string        // to ask for
	MaxTokens int           // budget of a reply, its reasoning included; 0: the server's own limit
	NoSchema  bool          // leave the form of the reply to the prompt alone
	Budget    int64         // tokens, after which nothing more is asked; 0: any
	Cache     *Cache        // nil: none
}

// Client asks one judge, on one server or on several. It may be used by many
// goroutines.
type Client struct {
	cfg     Config
	pool    *remote.Pool
	servers []server

	mu       sync.Mutex
	stats    Stats
	reserved int64 // tokens that requests under way may use
	answered int64 // questions that used some
}

// Stats counts what a client has done.
type Stats struct {
	remote.Stats           // Retries are also those after replies that were of no use
	PromptTokens     int64 // as stated by the judge
	CompletionTokens int64
	Cached           int64    // answers taken from the cache
	Damaged          int64    // cache entries that were damaged, and asked again
	CacheError       string   // the first error of writing to the cache
	Notes            []string // what servers were asked without
}

// NewClient checks cfg and makes a client. Nothing is sent.
func NewClient(cfg Config) (*Client, error) {
	if cfg.Model == "" {
		return nil, errors.New("judge: no model")
	}
	if cfg.Remote.Tries == 0 {
		cfg.Remote.Tries = 3
	}
	pool, err := remote.New(cfg.Remote)
	if err != nil {
		return nil, fmt.Errorf("judge: %w", err)
	}
	c := &Client{cfg: cfg, pool: pool, servers: make([]server, len(cfg.Remote.URLs))}
	c.stats.Retries = map[string]int64{}
	return c, nil
}

// Stats returns the counts so far.
func (c *Client) Stats() Stats {
	s := c.pool.Stats()
	c.mu.Lock()
	defer c.mu.Unlock()
	for class, n := range c.stats.Retries {
		s.Retries[class] += n
	}
	all := c.stats
	all.Stats = s
	for i := range c.servers {
		all.Notes = append(all.Notes, c.servers[i].notes(i+1)...)
	}
	return all
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

// ErrBudget is the error of a question that Config.Budget leaves no tokens for.
var ErrBudget = errors.New("judge: the budget of tokens is used up")

// Ask puts a question and reads the reply with read. A reply that read refuses
// is asked for again with the reason, as are requests that failed for a cause
// that may pass; up to Config.Remote.Tries requests are sent. One more is sent
// where a server refuses not the question but the form of the request, such as
// a JSON schema; the server is remembered. Complete answers are kept in the
// cache, and equal questions that come at the same time wait for the first one.
//
// The error is not nil only where going on is of no use for any question: ctx
// is done (its cause), the judge refuses us ([*remote.Refused]), or the budget
// is used up ([ErrBudget]), which leaves those under way in peace.
func Ask[T any](ctx context.Context, c *Client, q Query, read func(reply string) (T, *Error)) (Answer[T], error) {
	if c.cfg.Cache == nil {
		return ask(ctx, c, q, read)
	}
	key := c.key(q)
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

func ask[T any](ctx context.Context, c *Client, q Query, read func(string) (T, *Error)) (a Answer[T], err error) {
	free, err := c.reserve(q)
	if err != nil {
		return a, err
	}
	defer func() { free(orZero(a.PromptTokens) + orZero(a.CompletionTokens)) }()
	a.Status = Failed
	t := c.turn(q)
	for left := c.cfg.Remote.Tries; ; {
		r, again, err := c.send(ctx, t, left)
		if err != nil {
			e := asFailure(err)
			if e == nil {
				return a, err
			}
			a.Tries += int32(e.Tries)
			if again {
				left -= e.Tries - 1 // the one that was refused is free
				c.count(func(s *Stats) { s.Retries[e.Class]++ })
				continue
			}
			a.Err = &Error{e.Class, e.Detail}
			if tooLong(e) {
				a.Status = TooLong
			}
			return a, nil
		}
		a.Tries += int32(r.tries)
		left -= r.tries
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
		a.Err = r.reason(bad)
		if left < 1 {
			return a, nil
		}
		if a.Err.Class == ClassLength {
			t.maxTokens *= 2
		}
		t.User = q.User + repair(a.Err)
		c.count(func(s *Stats) { s.Retries[a.Err.Class]++ })
	}
}

// turn is the first request of a question.
func (c *Client) turn(q Query) *turn {
	return &turn{Query: q, maxTokens: c.cfg.MaxTokens, plain: c.cfg.NoSchema}
}

// reason adds to what is wrong with a reply what the reply itself does not show.
func (r *reply) reason(bad *Error) *Error {
	switch {
	case r.finish == openai.FinishReasonLength && bad.Class != ClassAmbiguous:
		return &Error{ClassLength, "the output budget ended before a complete answer (" + bad.Error() + ")"}
	case r.reasoned && bad.Class == ClassEmpty:
		return &Error{ClassEmpty, "there is reasoning, but no reply"}
	}
	return bad
}

// reserve sets tokens of the budget aside for q: as many as questions took on
// average, at first a quarter of its bytes. free tells how many it took.
func (c *Client) reserve(q Query) (free func(took int64), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	spent := c.stats.PromptTokens + c.stats.CompletionTokens
	guess := q.Tokens() + int64(c.cfg.MaxTokens)
	if c.answered > 0 {
		guess = spent / c.answered
	}
	if c.cfg.Budget > 0 && spent+c.reserved+guess > c.cfg.Budget {
		return nil, ErrBudget
	}
	c.reserved += guess
	return func(took int64) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.reserved -= guess
		if took > 0 {
			c.answered++
		}
	}, nil
}

// Tokens estimates the tokens of a question: a quarter of its bytes.
func (q Query) Tokens() int64 { return int64(len(q.System)+len(q.User)) / 4 }

// Known says whether the answer to q is in the cache, and Body returns the
// request that would be sent first. Both are for those who only look.
func (c *Client) Known(q Query) bool {
	if c.cfg.Cache == nil {
		return false
	}
	e, err := c.cfg.Cache.get(c.key(q))
	return err == nil && e != nil
}

// Body returns the JSON of the first request for q.
func (c *Client) Body(q Query) []byte {
	t := c.turn(q)
	return c.body(t, new(server).speaks(t))
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
