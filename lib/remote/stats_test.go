package remote

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Percentiles are those of the sorted times, to the width of a bucket.
func TestQuantiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &meter{}
		times := rapid.SliceOfN(rapid.Int64Range(int64(time.Microsecond), int64(time.Hour)), 1, 200).Draw(t, "times")
		for _, d := range times {
			m.took(time.Duration(d))
		}
		for _, q := range []float64{.01, .5, .95, .99, 1} {
			got := float64(m.quantile(q))
			atMost, below := 0, 0
			for _, d := range times {
				if float64(d) <= got*1.011+1000 {
					atMost++
				}
				if float64(d) < got/1.011-1000 {
					below++
				}
			}
			rank := int(math.Ceil(q * float64(len(times))))
			if below >= rank || atMost < rank {
				t.Fatalf("quantile %v of %v is %v", q, times, time.Duration(got))
			}
		}
	})
	require.Zero(t, (&meter{}).quantile(.5))
}

// However time passes, each span has the mean over its part of it.
func TestCourse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type part struct{ seconds, n int }
		parts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) part {
			return part{rapid.SampledFrom([]int{0, 1, 2, 5, 100}).Draw(t, "seconds"), rapid.IntRange(0, 9).Draw(t, "n")}
		}), 0, 30).Draw(t, "parts")
		var c course
		var numbers []float64 // of each second
		now := time.Now()
		for _, p := range parts {
			next := now.Add(time.Duration(p.seconds) * time.Second)
			c.add(now, next, p.n)
			now = next
			for range p.seconds {
				numbers = append(numbers, float64(p.n))
			}
		}
		means, span := c.means()
		if len(means) > mostSpans {
			t.Fatalf("%d spans", len(means))
		}
		for _, mean := range means {
			part := numbers[:min(len(numbers), int(span/time.Second))]
			numbers = numbers[len(part):]
			want := 0.
			for _, n := range part {
				want += n / float64(len(part))
			}
			if math.Abs(mean-want) > 1e-9 {
				t.Fatalf("%v each %v of %v", means, span, parts)
			}
		}
		if len(numbers) > 0 {
			t.Fatalf("the course ends %d s early", len(numbers))
		}
	})
}
