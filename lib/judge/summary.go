package judge

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// prices are those of a million tokens, in whatever currency.
type prices struct{ in, out float64 }

// cost is the price of so many tokens, nil without prices.
func (p prices) cost(in, out int64) *float64 {
	if p == (prices{}) {
		return nil
	}
	c := (float64(p.in*float64(in)) + float64(p.out*float64(out))) / 1e6
	return &c
}

// Summary is what a run has asked for: [Summary.Lines] for those who read, its
// JSON for programs. Times are seconds.
type Summary struct {
	Requests         int64            `json:"requests"`
	Retries          map[string]int64 `json:"retries"` // requests that had to be followed by another, by class of failure
	Cached           int64            `json:"cached"`
	Damaged          int64            `json:"damaged"`
	PromptTokens     int64            `json:"prompt_tokens"`
	CompletionTokens int64            `json:"completion_tokens"`
	Cost             *float64         `json:"cost"` // null without prices
	P50              float64          `json:"latency_p50"`
	P95              float64          `json:"latency_p95"`
	P99              float64          `json:"latency_p99"`
	MeanInFlight     float64          `json:"in_flight_mean"`
	MostInFlight     int              `json:"in_flight_max"`
	InFlight         []float64        `json:"in_flight"` // over time: the mean of each InFlightEvery seconds
	InFlightEvery    float64          `json:"in_flight_every"`
	Notes            []string         `json:"notes"` // what servers did not take
	CacheError       string           `json:"cache_error,omitempty"`
}

func (c *Client) summary(p prices) Summary {
	s := c.Stats()
	return Summary{
		Requests: s.Requests, Retries: s.Retries, Cached: s.Cached, Damaged: s.Damaged, PromptTokens: s.PromptTokens, CompletionTokens: s.CompletionTokens,
		P50: s.P50.Seconds(), P95: s.P95.Seconds(), P99: s.P99.Seconds(), MeanInFlight: s.MeanInFlight, MostInFlight: s.MostInFlight,
		InFlight: s.Course, InFlightEvery: s.CourseEvery.Seconds(),
		Notes: s.Notes, CacheError: s.CacheError, Cost: p.cost(s.PromptTokens, s.CompletionTokens),
	}
}

// Lines are the summary in words. Warnings are what the user should act on.
func (s Summary) Lines() (lines, warnings []string) {
	line := fmt.Sprintf("requests: %d, of them followed by another: %s; answers from the cache: %d; tokens: %d in, %d out", s.Requests, List(s.Retries), s.Cached, s.PromptTokens, s.CompletionTokens)
	if s.Cost != nil {
		line += fmt.Sprintf("; cost %.4g", *s.Cost)
	}
	lines = append(lines, line)
	if s.Requests > 0 {
		lines = append(lines, fmt.Sprintf("latency: p50 %s, p95 %s, p99 %s; in flight: mean %.1f, most %d, over time, each %s: %s",
			seconds(s.P50), seconds(s.P95), seconds(s.P99), s.MeanInFlight, s.MostInFlight, seconds(s.InFlightEvery), strings.Trim(fmt.Sprintf("%.1f", s.InFlight), "[]")))
	}
	lines = append(lines, s.Notes...)
	if s.Damaged > 0 {
		warnings = append(warnings, fmt.Sprintf("%d entries of the cache were damaged and asked again", s.Damaged))
	}
	if s.CacheError != "" {
		warnings = append(warnings, "the cache does not keep answers: "+s.CacheError)
	}
	return lines, warnings
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond).String()
}

// List writes counts in order of their names.
func List(m map[string]int64) string {
	if len(m) == 0 {
		return "none"
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s %d", k, m[k]))
	}
	return strings.Join(parts, ", ")
}
