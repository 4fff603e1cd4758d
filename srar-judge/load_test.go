package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"srar/lib/rows"
	"srar/lib/trial"
)

// sleepy answers each request after a time that latency draws. It does as little
// as a server can, since it shares the cores with the command.
type sleepy struct {
	net.Listener
	latency func() time.Duration

	mu    sync.Mutex
	slept time.Duration // in all
	done  []time.Time   // of the answers
}

func serveSleepy(b *testing.B, latency func() time.Duration) *sleepy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	s := &sleepy{Listener: l, latency: latency}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil { // closed
				return
			}
			go s.serve(c)
		}
	}()
	return s
}

func (s *sleepy) serve(c net.Conn) {
	defer c.Close()
	const body = `{"model":"m","choices":[{"message":{"content":"{\"verdicts\":[{\"id\":1,\"satisfied\":true,\"step\":1},{\"id\":2,\"satisfied\":false,\"step\":-1}]}"},"finish_reason":"stop"}],"usage":{"prompt_tokens":900,"completion_tokens":30}}`
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	for in := bufio.NewReaderSize(c, 16<<10); ; {
		r, err := http.ReadRequest(in)
		if err != nil { // closed
			return
		}
		begun := time.Now()
		io.Copy(io.Discard, r.Body)
		s.mu.Lock()
		d := s.latency()
		s.slept += d
		s.mu.Unlock()
		time.Sleep(d - time.Since(begun))
		s.mu.Lock()
		s.done = append(s.done, time.Now())
		s.mu.Unlock()
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

// judge has s judge groups that are all copies of one. The command runs to its
// end, and is returned for what it has taken.
func (s *sleepy) judge(b *testing.B, concurrency, groups int, group []rows.Rollout) *os.ProcessState {
	schema := rows.Rollouts.Schema()
	empty := trial.Stream(b, schema)
	head, end := empty[:len(empty)-8], empty[len(empty)-8:]
	batch := bytes.TrimSuffix(trial.Stream(b, schema, rows.Batch(group))[len(head):], end)

	input := []io.Reader{bytes.NewReader(head)}
	for range groups {
		input = append(input, bytes.NewReader(batch))
	}
	cmd := command(b, "http://"+s.Addr().String(), nil, "--concurrency", fmt.Sprint(concurrency), "--quiet")
	cmd.Stdin = io.MultiReader(append(input, bytes.NewReader(end))...)
	var voice bytes.Buffer
	cmd.Stderr = &voice
	require.NoError(b, cmd.Run(), "%s", &voice)
	return cmd.ProcessState
}

// copies makes a group of n copies of a row.
func copies(row rows.Rollout, n int) []rows.Rollout {
	group := make([]rows.Rollout, n)
	for i := range group {
		group[i] = row
		group[i].Rollout = int32(i)
	}
	return group
}

// Of the requests in flight none is idle: by Little's law throughput is
// concurrency over mean latency. It is taken over the 5,120 answers between the
// first and the last round: whole rounds at every concurrency, since answers of
// equal latencies come in waves, and a part of one takes as long as the whole. The
// bounds are 0.97 of the law, and a millisecond of processor time for each request.
func BenchmarkLoad(b *testing.B) {
	const mean, requests = 200 * time.Millisecond, 5120
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
					s := serveSleepy(b, func() time.Duration { return c.latency(draws) })
					row := rollout(0, 0, "because "+strings.Repeat("2+2 is 4. ", 200))
					state := s.judge(b, concurrency, (requests+2*concurrency)/8, copies(row, 8))
					took := s.done[concurrency+requests-1].Sub(s.done[concurrency-1])
					drawn := s.slept.Seconds() / float64(len(s.done))
					little := requests / (float64(concurrency) / drawn)
					b.ReportMetric(little/took.Seconds(), "of-Little(>=0.97)")
					cpu := state.UserTime() + state.SystemTime()
					b.ReportMetric(cpu.Seconds()*1000/float64(len(s.done)), "cpu-ms/request(<=1)")
				}
			})
		}
	}
}
