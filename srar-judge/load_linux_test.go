package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"srar/lib/rows"
	"srar/lib/trial"
)

// An artifact of 2 GB, rollouts of 8,192 tokens, passes through memory that it
// does not fill.
func BenchmarkMemory(b *testing.B) {
	const groups, size, tokens = 1900, 8, 8192
	row := rollout(0, 0, strings.Repeat("2+2=4. ", tokens/2))
	row.Tokens, row.Offsets, row.Logprobs = make([]int32, tokens), make([]int32, tokens), make([]float32, tokens)
	one := len(trial.Stream(b, rows.Rollouts.Schema(), rows.Batch([]rows.Rollout{row})))
	for _, concurrency := range []int{64, 512} {
		b.Run(fmt.Sprint(concurrency), func(b *testing.B) {
			for range b.N {
				// Slow enough that the window fills.
				s := serveSleepy(b, func() time.Duration { return time.Duration(concurrency) * time.Millisecond })
				state := s.judge(b, concurrency, groups, copies(row, size))
				b.ReportMetric(float64(one)*groups*size/1e9, "GB")
				b.ReportMetric(float64(state.SysUsage().(*syscall.Rusage).Maxrss)/1e3, "MB(<=300)")
			}
		})
	}
}
