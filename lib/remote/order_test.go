package remote

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// counted yields groups 0, 1, ... with the given numbers of jobs, each group of so
// many bytes.
func counted(sizes []int, bytes int, job func(g, j int) Job) func() (Work[int], error) {
	g := -1
	return func() (Work[int], error) {
		g++
		if g == len(sizes) {
			return Work[int]{}, io.EOF
		}
		w := Work[int]{Group: g, Bytes: bytes}
		for j := range sizes[g] {
			w.Jobs = append(w.Jobs, job(g, j))
		}
		return w, nil
	}
}

// Every job runs once, groups leave in order, and neither the jobs at a time nor
// what is held passes the window.
func TestInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(0, 4), 0, 60).Draw(t, "sizes")
		workers := rapid.IntRange(1, 3).Draw(t, "workers")
		bytes := rapid.SampledFrom([]int{0, 10}).Draw(t, "bytes")
		var running, most, ran, read, emitted atomic.Int64
		source := counted(sizes, bytes, func(g, j int) Job {
			pause := time.Duration(rapid.IntRange(0, 200).Draw(t, "pause")) * time.Microsecond
			return func(context.Context) error {
				n := running.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				time.Sleep(pause)
				running.Add(-1)
				ran.Add(1)
				return nil
			}
		})
		limit := int64(crowd*workers + 1)
		if bytes > 0 { // three groups are more than the window takes
			limit = int64(max(3, workers) + 1)
		}
		next := func() (Work[int], error) {
			if n := read.Add(1) - emitted.Load(); n > limit {
				t.Errorf("%d groups are held, which may be %d", n, limit)
			}
			return source()
		}
		var got []int
		err := InOrder(context.Background(), Window{Workers: workers, Bytes: 20}, next, func(g int) error {
			got = append(got, g)
			emitted.Add(1)
			return nil
		})
		require.NoError(t, err)
		require.Len(t, got, len(sizes))
		total := 0
		for i, g := range got {
			require.Equal(t, i, g)
			total += sizes[i]
		}
		require.EqualValues(t, total, ran.Load(), "every job runs once")
		require.LessOrEqual(t, most.Load(), int64(workers))
	})
}

// A group that takes long does not keep others from being worked on, and those
// wait for it.
func TestInOrderWorksBehindASlowGroup(t *testing.T) {
	var done atomic.Int64
	slow := make(chan struct{})
	sizes := make([]int, 10)
	for i := range sizes {
		sizes[i] = 1
	}
	source := counted(sizes, 1, func(g, _ int) Job {
		return func(context.Context) error {
			if g == 0 {
				<-slow
			} else if done.Add(1) == 9 {
				close(slow)
			}
			return nil
		}
	})
	require.NoError(t, InOrder(context.Background(), Window{Workers: 2, Bytes: 100}, source, func(g int) error {
		require.EqualValues(t, 9, done.Load())
		return nil
	}))
}

// As long as there is work no place is idle: where the processor takes no time,
// 640 requests of 200 ms, 64 at once, take ten times that.
func TestNoPlaceIsIdle(t *testing.T) {
	timeless(t, func(t *testing.T) {
		p := pool(t, func(c *Config) { c.Concurrency = 64 }, serve(t, after(200*time.Millisecond, fine)))
		source := counted(slices.Repeat([]int{8}, 80), 1, func(int, int) Job {
			return func(ctx context.Context) error {
				_, err := p.Post(ctx, hello)
				return err
			}
		})
		begun := time.Now()
		require.NoError(t, InOrder(context.Background(), Window{Workers: 81, Bytes: 1000}, source, func(int) error { return nil }))
		require.Equal(t, 2*time.Second, time.Since(begun))
	})
}

// A group is handed on while later ones are still being worked on.
func TestInOrderOverlaps(t *testing.T) {
	first := make(chan struct{})
	source := counted([]int{1, 1}, 1, func(g, _ int) Job {
		return func(ctx context.Context) error {
			if g == 1 {
				select {
				case <-first: // only possible if group 0 is emitted meanwhile
				case <-time.After(time.Minute):
					return errors.New("group 0 was held back")
				}
			}
			return nil
		}
	})
	require.NoError(t, InOrder(context.Background(), Window{Workers: 2, Bytes: 8}, source, func(g int) error {
		if g == 0 {
			close(first)
		}
		return nil
	}))
}

func TestInOrderEndsWithTheFirstError(t *testing.T) {
	boom := errors.New("boom")
	forever := func(ctx context.Context) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	for name, run := range map[string]func(ctx context.Context, cancel context.CancelCauseFunc) error{
		"job": func(ctx context.Context, _ context.CancelCauseFunc) error {
			return InOrder(ctx, Window{Workers: 2, Bytes: 2}, counted([]int{2, 1, 1, 1}, 1, func(g, j int) Job {
				if j == 1 {
					return func(context.Context) error { return boom }
				}
				return forever
			}), func(int) error { return nil })
		},
		"next": func(ctx context.Context, _ context.CancelCauseFunc) error {
			n := 0
			return InOrder(ctx, Window{Workers: 2, Bytes: 4}, func() (Work[int], error) {
				if n++; n == 2 {
					return Work[int]{}, boom
				}
				return Work[int]{Group: n, Jobs: []Job{forever}}, nil
			}, func(int) error { return nil })
		},
		"emit": func(ctx context.Context, _ context.CancelCauseFunc) error {
			return InOrder(ctx, Window{Workers: 2, Bytes: 4}, counted([]int{0, 1, 1}, 1, func(int, int) Job { return forever }), func(int) error { return boom })
		},
		"context": func(ctx context.Context, cancel context.CancelCauseFunc) error {
			time.AfterFunc(10*time.Millisecond, func() { cancel(boom) })
			return InOrder(ctx, Window{Workers: 1, Bytes: 2}, counted([]int{3, 3, 3}, 1, func(int, int) Job { return forever }), func(int) error { return nil })
		},
		"emit while next blocks": func(ctx context.Context, _ context.CancelCauseFunc) error {
			n := 0
			return InOrder(ctx, Window{Workers: 2, Bytes: 4}, func() (Work[int], error) {
				if n++; n == 2 {
					select {} // a pipe on which nothing comes
				}
				return Work[int]{Group: n}, nil
			}, func(int) error { return boom })
		},
	} {
		ctx, cancel := context.WithCancelCause(context.Background())
		require.ErrorIs(t, run(ctx, cancel), boom, name)
		cancel(nil)
	}
}
