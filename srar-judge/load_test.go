package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"srar/lib/rows"
	"srar/lib/stream"
)

// sleepy answers each request after a time that latency draws.
type sleepy struct {
	latency func() time.Duration

	mu    sync.Mutex
	slept time.Duration // in all
	done  []time.Time   // of the answers
}

func (s *sleepy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	io.Copy(io.Discard, r.Body)
	s.mu.Lock()
	d := s.latency()
	s.slept += d
	s.mu.Unlock()
	time.Sleep(d - time.Since(begun))
	io.WriteString(w, `{"model":"m","choices":[{"message":{"content":"{\"verdicts\":[{\"id\":1,\"satisfied\":true,\"step\":1},{\"id\":2,\"satisfied\":false,\"step\":-1}]}"},"finish_reason":"stop"}],"usage":{"prompt_tokens":900,"completion_tokens":30}}`)
	s.mu.Lock()
	s.done = append(s.done, time.Now())
	s.mu.Unlock()
}

// feed writes a stream that ends after n groups of size copies of a row into the
// command, which runs to its end.
func feed(b *testing.B, cmd *exec.Cmd, groups, size int, row rows.Rollout) {
	stdin, err := cmd.StdinPipe()
	require.NoError(b, err)
	var voice bytes.Buffer
	cmd.Stderr = &voice
	require.NoError(b, cmd.Start())
	w, err := stream.NewWriter(stdin, rows.Rollouts.Schema(), stream.Options{})
	require.NoError(b, err)
	for p := range groups {
		list := make([]rows.Rollout, size)
		for n := range list {
			list[n] = row
			list[n].PromptID, list[n].Rollout = fmt.Sprint("p", p), int32(n)
		}
		require.NoError(b, w.Write(rows.Batch(list)))
	}
	require.NoError(b, w.Close())
	require.NoError(b, stdin.Close())
	require.NoError(b, cmd.Wait(), voice.String())
}

// Of the requests in flight none is idle: by Little's law throughput is
// concurrency over mean latency. It is taken over the 5,000 answers between the
// first and the last round. The bounds are 0.97 of it, and a millisecond of
// processor time for each request.
func BenchmarkLoad(b *testing.B) {
	const mean, requests = 200 * time.Millisecond, 5000
	for _, c := range []struct {
		name    string
		latency func(draws *rand.Rand) time.Duration
	}{
		{"constant", func(*rand.Rand) time.Duration { return mean }},
		{"lognormal", func(draws *rand.Rand) time.Duration { // of sigma 1: one in a hundred takes six times the mean
			return time.Duration(float64(mean) * math.Exp(draws.NormFloat64()-.5))
		}},
	} {
		for _, concurrency := range []int{64, 256, 512} {
			b.Run(fmt.Sprintf("%s/%d", c.name, concurrency), func(b *testing.B) {
				for range b.N {
					draws := rand.New(rand.NewPCG(1, 2))
					s := &sleepy{latency: func() time.Duration { return c.latency(draws) }}
					srv := httptest.NewServer(s)
					row := rollout(0, 0, "because "+string(bytes.Repeat([]byte("2+2 is 4. "), 200)))
					cmd := command(b, srv.URL, nil, "--concurrency", fmt.Sprint(concurrency), "--quiet")
					feed(b, cmd, (requests+2*concurrency)/8, 8, row)
					srv.Close()
					took := s.done[concurrency+requests-1].Sub(s.done[concurrency-1])
					drawn := s.slept.Seconds() / float64(len(s.done))
					little := requests / (float64(concurrency) / drawn)
					b.ReportMetric(little/took.Seconds(), "of-Little(>=0.97)")
					cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
					b.ReportMetric(cpu.Seconds()*1000/float64(len(s.done)), "cpu-ms/request(<=1)")
				}
			})
		}
	}
}
