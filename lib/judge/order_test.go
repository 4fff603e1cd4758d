package judge

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// counted yields groups 0, 1, ... with the given numbers of jobs.
func counted(sizes []int, job func(g, j int) Job) func() (int, []Job, error) {
	g := -1
	return func() (int, []Job, error) {
		g++
		if g == len(sizes) {
			return 0, nil, io.EOF
		}
		var jobs []Job
		for j := range sizes[g] {
			jobs = append(jobs, job(g, j))
		}
		return g, jobs, nil
	}
}

func TestJ7ConcurrencyIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(0, 4), 0, 20).Draw(t, "sizes")
		workers := rapid.IntRange(1, 5).Draw(t, "workers")
		window := rapid.IntRange(1, 8).Draw(t, "window")
		var running, most, ran, read, emitted atomic.Int64
		source := counted(sizes, func(g, j int) Job {
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
		next := func() (int, []Job, error) {
			if n := read.Add(1) - emitted.Load(); n > int64(window)+1 {
				t.Errorf("%d groups are held in a window of %d", n, window)
			}
			return source()
		}
		var got []int
		err := InOrder(context.Background(), workers, window, next, func(g int) error {
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

// A group is handed on while later ones are still being worked on.
func TestInOrderOverlaps(t *testing.T) {
	first := make(chan struct{})
	source := counted([]int{1, 1}, func(g, _ int) Job {
		return func(ctx context.Context) error {
			if g == 1 {
				select {
				case <-first: // only possible if group 0 is emitted meanwhile
				case <-time.After(10 * time.Second):
					return errors.New("group 0 was held back")
				}
			}
			return nil
		}
	})
	require.NoError(t, InOrder(context.Background(), 2, 8, source, func(g int) error {
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
			return InOrder(ctx, 2, 2, counted([]int{2, 1, 1, 1}, func(g, j int) Job {
				if j == 1 {
					return func(context.Context) error { return boom }
				}
				return forever
			}), func(int) error { return nil })
		},
		"next": func(ctx context.Context, _ context.CancelCauseFunc) error {
			n := 0
			return InOrder(ctx, 2, 4, func() (int, []Job, error) {
				if n++; n == 2 {
					return 0, nil, boom
				}
				return n, []Job{forever}, nil
			}, func(int) error { return nil })
		},
		"emit": func(ctx context.Context, _ context.CancelCauseFunc) error {
			return InOrder(ctx, 2, 4, counted([]int{0, 1, 1}, func(int, int) Job { return forever }), func(int) error { return boom })
		},
		"context": func(ctx context.Context, cancel context.CancelCauseFunc) error {
			time.AfterFunc(10*time.Millisecond, func() { cancel(boom) })
			return InOrder(ctx, 1, 2, counted([]int{3, 3, 3}, func(int, int) Job { return forever }), func(int) error { return nil })
		},
		"emit while next blocks": func(ctx context.Context, _ context.CancelCauseFunc) error {
			n := 0
			return InOrder(ctx, 2, 4, func() (int, []Job, error) {
				if n++; n == 2 {
					select {} // a pipe on which nothing comes
				}
				return n, nil, nil
			}, func(int) error { return boom })
		},
	} {
		ctx, cancel := context.WithCancelCause(context.Background())
		require.ErrorIs(t, run(ctx, cancel), boom, name)
		cancel(nil)
	}
}
