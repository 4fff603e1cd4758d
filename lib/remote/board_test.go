package remote

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// many sends n requests at once and returns their errors.
func many(p *Pool, n int) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { _, errs[i] = post(p) })
	}
	wg.Wait()
	return errs
}

// gauge counts the requests that a server answers at one time.
type gauge struct{ now, most atomic.Int64 }

func (g *gauge) around(then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n := g.now.Add(1)
		defer g.now.Add(-1)
		for m := g.most.Load(); n > m && !g.most.CompareAndSwap(m, n); m = g.most.Load() {
		}
		then(w, r)
	}
}

func TestJ7ConcurrencyIsBounded(t *testing.T) {
	timeless(t, func(t *testing.T) {
		var g gauge
		s := serve(t, g.around(after(5*time.Millisecond, fine)))
		p := pool(t, func(c *Config) { c.Concurrency = 3 }, s)
		for _, err := range many(p, 60) {
			require.NoError(t, err)
		}
		require.EqualValues(t, 3, g.most.Load())
		st := p.Stats()
		require.Equal(t, 3, st.MostInFlight)
		require.EqualValues(t, 3, st.MeanInFlight)
	})
}

// A server that says it is overloaded gets half as much at once, and more again
// once it answers.
func TestConcurrencyAdapts(t *testing.T) {
	timeless(t, func(t *testing.T) {
		var overloaded atomic.Bool
		overloaded.Store(true)
		var g gauge
		s := serve(t, g.around(func(w http.ResponseWriter, r *http.Request) {
			if overloaded.Load() {
				after(time.Millisecond, status(429, "", "Retry-After", "0"))(w, r)
				return
			}
			after(2*time.Millisecond, fine)(w, r)
		}))
		p := pool(t, func(c *Config) { c.Concurrency, c.Tries = 32, 1 }, s)
		for range 10 {
			for _, err := range many(p, 8) {
				require.ErrorContains(t, err, "http 429")
			}
		}
		require.Equal(t, 2, p.Stats().Limit, "a sixteenth is left in any case")
		overloaded.Store(false)
		g.most.Store(0)
		for _, err := range many(p, 400) {
			require.NoError(t, err)
		}
		require.Equal(t, 32, p.Stats().Limit)
		require.Greater(t, g.most.Load(), int64(16))
	})
}

// Of requests that were in flight together, overload halves the places once.
func TestOverloadCountsOnceARound(t *testing.T) {
	timeless(t, func(t *testing.T) {
		s := serve(t, after(50*time.Millisecond, status(503, "")))
		p := pool(t, func(c *Config) { c.Concurrency, c.Tries = 16, 1 }, s)
		many(p, 16)
		require.Equal(t, 8, p.Stats().Limit)
	})
}

// One request that times out tells nothing of the others; several in a row do.
func TestTimeoutsAreOverload(t *testing.T) {
	timeless(t, func(t *testing.T) {
		stuck := after(time.Hour, fine)
		s := serve(t, stuck, fine, stuck, fine, stuck, stuck, fine)
		p := pool(t, func(c *Config) { c.Concurrency, c.Tries, c.Total = 16, 1, 100*time.Millisecond }, s)
		for _, want := range []int{16, 16, 16, 16, 16, 8, 8} {
			post(p)
			require.Equal(t, want, p.Stats().Limit)
		}
	})
}

// Requests go where there is room, and a broken server rests.
func TestBrokenServerRests(t *testing.T) {
	for name, broken := range map[string]http.HandlerFunc{"503": status(503, ""), "reset": reset, "500": status(500, ""), "silent": after(time.Hour, fine)} {
		t.Run(name, func(t *testing.T) {
			timeless(t, func(t *testing.T) {
				bad, good := serve(t, broken), serve(t, after(time.Millisecond, fine))
				p := pool(t, func(c *Config) {
					if c.Tries, c.Total = 2, 10*time.Second; name == "silent" {
						c.Total = 500 * time.Millisecond
					}
				}, bad, good)
				begun := time.Now()
				for _, err := range many(p, 200) {
					require.NoError(t, err)
				}
				require.Less(t, time.Since(begun), 5*time.Second, "nobody waits for the broken one")
				require.LessOrEqual(t, bad.arrived(), 8, "once for each place, and now and then to see")
				require.Positive(t, bad.arrived())
			})
		})
	}
}

func TestServersShareTheWork(t *testing.T) {
	timeless(t, func(t *testing.T) {
		one, two := serve(t, after(5*time.Millisecond, fine)), serve(t, after(5*time.Millisecond, fine))
		p := pool(t, nil, one, two)
		many(p, 100)
		require.InDelta(t, one.arrived(), two.arrived(), 30)
		require.Equal(t, 100, one.arrived()+two.arrived())
	})
}

// A server that has rested is tried by one request, and works again.
func TestBrokenServerComesBack(t *testing.T) {
	timeless(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		sick := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if down.Load() {
				reset(w, r)
				return
			}
			after(time.Millisecond, fine)(w, r)
		})
		other := serve(t, after(time.Millisecond, fine))
		p := pool(t, nil, sick, other)
		many(p, 50)
		down.Store(false)
		before := sick.arrived()
		time.Sleep(600 * time.Millisecond)
		many(p, 50)
		require.Greater(t, sick.arrived(), before+10)
	})
}

// While the server asks to wait, the other one is asked.
func TestRetryAfterOfOneServer(t *testing.T) {
	timeless(t, func(t *testing.T) {
		busy, idle := serve(t, status(429, "", "Retry-After", "30")), serve(t, fine)
		p := pool(t, nil, busy, idle)
		for range 20 {
			_, err := post(p)
			require.NoError(t, err)
		}
		require.Equal(t, 1, busy.arrived())
	})
}

func TestRefusedByAll(t *testing.T) {
	timeless(t, func(t *testing.T) {
		for code, hint := range map[int]string{401: "check the key in $SOME_KEY", 403: "check the key in $SOME_KEY", 404: "name of the model"} {
			s := serve(t, status(code, `{"error":{"message":"no way"}}`))
			p := pool(t, func(c *Config) { c.Concurrency = 2 }, s)
			for _, err := range many(p, 50) {
				var r *Refused
				require.ErrorAs(t, err, &r)
				require.Contains(t, r.Error(), "no way")
				require.Contains(t, r.Hint(), hint)
			}
			require.LessOrEqual(t, s.arrived(), enoughSuspects+1, "it ends at once")
		}
		s := serve(t, status(401, ""))
		_, err := post(pool(t, func(c *Config) { c.Key = "" }, s))
		var r *Refused
		require.ErrorAs(t, err, &r)
		require.Equal(t, "set $SOME_KEY", r.Hint())
	})
}

// One request that is forbidden or finds nothing is not all of them: that shows
// when the server answers others.
func TestRefusedAlone(t *testing.T) {
	timeless(t, func(t *testing.T) {
		for _, code := range []int{403, 404} {
			s := serve(t, status(code, ""), after(50*time.Millisecond, fine), fine, status(code, ""), fine)
			p := pool(t, nil, s)
			failed := 0
			for _, err := range many(p, 3) {
				if err != nil {
					failed++
					require.IsType(t, &Error{}, err)
				}
			}
			require.Equal(t, 1, failed)
			_, err := post(p)
			require.IsType(t, &Error{}, err)
			_, err = post(p)
			require.NoError(t, err)
		}
	})
}

// A server that refuses us leaves the work to the others, at the cost of no try.
func TestRefusedByOne(t *testing.T) {
	timeless(t, func(t *testing.T) {
		no, yes := serve(t, status(401, "")), serve(t, fine)
		p := pool(t, func(c *Config) { c.Tries = 1 }, no, yes)
		for _, err := range many(p, 30) {
			require.NoError(t, err)
		}
		require.LessOrEqual(t, no.arrived(), 8)
	})
}

// Whatever becomes of requests and whoever gives up, places come back.
func TestPlacesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &board{most: rapid.IntRange(1, 4).Draw(t, "most")}
		b.stats.retries = map[string]int64{}
		for i := range rapid.IntRange(1, 3).Draw(t, "servers") {
			b.servers = append(b.servers, &server{index: i, limit: float64(b.most)})
		}
		fates := rapid.SliceOfN(rapid.IntRange(0, 5), 1, 30).Draw(t, "fates")
		var wg sync.WaitGroup
		for _, fate := range fates {
			wg.Go(func() {
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				if fate == 0 {
					cancel()
				}
				s, err := b.acquire(ctx, nil)
				if err != nil {
					return
				}
				b.release(s, time.Now(), []*Error{nil, nil, errGone, {Status: 503, Class: "http 503", after: -1}, {Class: ClassNetwork, after: -1}, {Class: ClassTimeout, after: -1}}[fate])
			})
		}
		wg.Wait()
		if b.inFlight != 0 || len(b.queue) != 0 {
			t.Fatalf("%d in flight, %d wait", b.inFlight, len(b.queue))
		}
		for _, s := range b.servers {
			if s.inFlight != 0 || s.limit < 1 || s.limit > float64(b.most) {
				t.Fatalf("server %+v", s)
			}
		}
	})
}
