package main

import (
	"bytes"
	"fmt"
	"net/http/httptest"
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
	row := rollout(0, 0, string(bytes.Repeat([]byte("2+2=4. "), tokens/2)))
	row.Tokens, row.Offsets, row.Logprobs = make([]int32, tokens), make([]int32, tokens), make([]float32, tokens)
	one := len(trial.Stream(b, rows.Rollouts.Schema(), rows.Batch([]rows.Rollout{row})))
	for _, concurrency := range []int{64, 512} {
		b.Run(fmt.Sprint(concurrency), func(b *testing.B) {
			for range b.N {
				// Slow enough that the window fills.
				s := &sleepy{latency: func() time.Duration { return time.Duration(concurrency) * time.Millisecond }}
				srv := httptest.NewServer(s)
				cmd := command(b, srv.URL, nil, "--concurrency", fmt.Sprint(concurrency), "--quiet")
				feed(b, cmd, groups, size, row)
				srv.Close()
				b.ReportMetric(float64(one)*groups*size/1e9, "GB")
				b.ReportMetric(float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)/1e3, "MB(<=300)")
			}
		})
	}
}
