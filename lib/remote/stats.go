package remote

import (
	"maps"
	"math"
	"time"
)

// Stats is what a pool has done so far.
type Stats struct {
	Requests int64            // exchanges begun
	Retries  map[string]int64 // those of them that had to be followed by another, by class of failure

	// Percentiles of the time that exchanges took which brought a whole
	// response, whatever it said; to 1 percent. 0 where there was none.
	P50, P95, P99 time.Duration

	InFlight     int     // now
	MostInFlight int     // at one time
	MeanInFlight float64 // from the first exchange to the end of the last one
	Limit        int     // that the servers leave of Config.Concurrency now

	// Requests in flight over time: the mean of each span of CourseEvery from the
	// first exchange on, the last one cut by the end of the last exchange. There
	// are at most 20.
	Course      []float64
	CourseEvery time.Duration
}

// Stats returns the counts.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := &p.stats
	m.flow(p.inFlight)
	s := Stats{
		Requests: m.requests, Retries: maps.Clone(m.retries),
		P50: m.quantile(.5), P95: m.quantile(.95), P99: m.quantile(.99),
		InFlight: p.inFlight, MostInFlight: m.most,
	}
	s.Course, s.CourseEvery = m.course.means()
	if m.busy > 0 {
		s.MeanInFlight = float64(m.area) / float64(m.busy)
	}
	limit := 0
	for _, srv := range p.servers {
		if srv.condemned == nil {
			limit += int(srv.limit)
		}
	}
	s.Limit = min(limit, p.cfg.Concurrency)
	return s
}

func (p *Pool) countRetry(class string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.retries[class]++
}

// meter keeps the numbers behind Stats. The board guards it.
type meter struct {
	requests int64
	retries  map[string]int64
	most     int

	at     time.Time     // of the last change of the number in flight
	area   time.Duration // sum of request times so far
	busy   time.Duration // time with at least one request in flight
	course course

	latency [1400]int64 // counts of 1.02^i microseconds and up
	taken   int64
}

// flow accounts for the time since the last change, with n requests in flight.
func (m *meter) flow(n int) {
	now := time.Now()
	if n > 0 {
		d := now.Sub(m.at)
		m.area += time.Duration(n) * d
		m.busy += d
		m.course.add(m.at, now, n)
	}
	m.at = now
}

// sent counts an exchange that makes n in flight.
func (m *meter) sent(n int) {
	m.requests++
	m.most = max(m.most, n)
}

// course is a number over time, kept as sums over spans of equal length, each
// begun at a multiple of it. Spans double when there are too many.
type course struct {
	begun time.Time     // zero: nothing was added
	last  time.Duration // end of what was added, since begun
	span  time.Duration
	sums  []time.Duration // of number times time
}

// mostSpans is even, so that they are joined in pairs.
const mostSpans = 20

// add says that the number was n from one time to another.
func (c *course) add(from, to time.Time, n int) {
	if c.begun.IsZero() {
		c.begun, c.span = from, time.Second
	}
	at := from.Sub(c.begun)
	c.last = to.Sub(c.begun)
	for at < c.last {
		k := int(at / c.span)
		for len(c.sums) <= min(k, mostSpans-1) {
			c.sums = append(c.sums, 0)
		}
		if k >= mostSpans {
			for i := range mostSpans / 2 {
				c.sums[i] = c.sums[2*i] + c.sums[2*i+1]
			}
			c.sums = c.sums[:mostSpans/2]
			c.span *= 2
			continue
		}
		until := min(c.last, time.Duration(k+1)*c.span)
		c.sums[k] += time.Duration(n) * (until - at)
		at = until
	}
}

// means returns the mean of each span.
func (c *course) means() (list []float64, span time.Duration) {
	for k, sum := range c.sums {
		list = append(list, float64(sum)/float64(min(c.span, c.last-time.Duration(k)*c.span)))
	}
	return list, c.span
}

var logStep = math.Log(1.02)

// took counts the time of an exchange.
func (m *meter) took(d time.Duration) {
	i := int(math.Log(float64(max(d, time.Microsecond))/float64(time.Microsecond)) / logStep)
	m.latency[min(i, len(m.latency)-1)]++
	m.taken++
}

// quantile returns the middle of the range in which the share q ends.
func (m *meter) quantile(q float64) time.Duration {
	if m.taken == 0 {
		return 0
	}
	rank, seen := int64(math.Ceil(q*float64(m.taken))), int64(0)
	for i, n := range m.latency {
		if seen += n; seen >= rank {
			return time.Duration(math.Exp((float64(i)+.5)*logStep) * float64(time.Microsecond)).Round(time.Microsecond)
		}
	}
	panic("remote: more times taken than counted")
}
