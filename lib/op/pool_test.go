package op

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tally counts how often each item is done, and can take its time.
type tally struct {
	done  []int32
	delay time.Duration
}

func (w *tally) do(_ *thread, lo, hi int) {
	for i := lo; i < hi; i++ {
		w.done[i]++ // a race if an item is done twice, or not before run returns
	}
	if w.delay > 0 {
		time.Sleep(w.delay)
	}
}

// TestPool: every item is done once, for any number of items, chunks and threads,
// and when the workers had time to park in between.
func TestPool(t *testing.T) {
	for _, threads := range []int{1, 2, 3, 2*runtime.NumCPU() + 1} {
		c := newCPU(&generic, threads, F32)
		r := newNoise(uint64(threads))
		for i := range 2000 {
			w := &tally{done: make([]int32, r.IntN(100))}
			if i%200 == 0 {
				w.delay = 50 * time.Microsecond
				time.Sleep(2 * spinTime)
			}
			c.pool.run(w, len(w.done), r.IntN(40))
			for _, n := range w.done {
				require.EqualValues(t, 1, n)
			}
		}
		c.Close()
	}
}

// TestPoolCollects: a collection of garbage does not wait for workers that spin
// nor for kernels, which cannot be preempted.
func TestPoolCollects(t *testing.T) {
	for _, tier := range runnable() {
		c := newCPU(tier, 2, F32)
		const n = 300
		r := newNoise(1)
		x := c.buf(r.floats(n * n))
		m, y := c.Pack(x, n, n), c.New(n*n)
		var stop atomic.Bool
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for !stop.Load() {
				c.MatMul([]Linear{{W: m, Y: y}}, x, n, false)
			}
		}()
		start := time.Now()
		for range 5 {
			runtime.GC()
		}
		spent := time.Since(start)
		stop.Store(true)
		<-ended
		c.Close()
		t.Logf("%s: %v a collection", tier.name, spent/5)
		require.Less(t, spent, 5*time.Second) // a lock-up, not a busy machine
	}
}

func TestPart(t *testing.T) {
	for n := range 40 {
		for parts := 1; parts < 10; parts++ {
			at := 0
			for i := range parts {
				lo, hi := part(n, parts, i)
				require.Equal(t, at, lo)
				require.Contains(t, []int{n / parts, n/parts + 1}, hi-lo)
				at = hi
			}
			require.Equal(t, n, at)
		}
	}
}

// TestScoreSteps: the work that attention is cut by grows with the size of heads.
func TestScoreSteps(t *testing.T) {
	require.InDelta(t, 4, (scoreSteps(256)-0.3)/(scoreSteps(64)-0.3), 1e-9)
}
