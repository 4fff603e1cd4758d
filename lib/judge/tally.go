package judge

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"
)

// Tally counts what becomes of questions and says when the run is lost: when
// more of them have failed than may fail even if all others succeed, or when the
// judge is dead. It may be used by many goroutines.
type Tally struct {
	rate   float64 // of failures that is tolerated
	deadly int64   // failures in a row that only a dead judge explains
	cached bool

	mu       sync.Mutex
	expected int64
	complete bool // no more are to be expected
	asked    int64
	failed   int64
	row      int64         // failures in a row for causes that are not in the replies
	since    time.Time     // when the row began
	patience time.Duration // with a row, however short it is
	classes  map[string]int64
}

// Expect says that n more questions are coming.
func (t *Tally) Expect(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expected += int64(n)
}

// Complete says that no more questions are coming, and returns an error if the
// run is lost already.
func (t *Tally) Complete() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.complete = true
	return t.verdict()
}

// Add counts a question of which this became, and returns an error once the run
// is lost.
func (t *Tally) Add(s Status, e *Error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked++
	if s != Failed {
		t.row = 0
		return nil
	}
	t.failed++
	t.classes[e.Class]++
	switch {
	case !e.ofTheJudge():
		t.row = 0
	case t.row == 0:
		t.since = time.Now()
		fallthrough
	default:
		t.row++
	}
	return t.verdict()
}

// ofTheJudge says whether the failure tells of a judge that does not work, and
// nothing of the question.
func (e *Error) ofTheJudge() bool {
	switch e.Class {
	case ClassTimeout, ClassNetwork, ClassResponse, "http 408", "http 429":
		return true
	}
	return strings.HasPrefix(e.Class, "http 5")
}

// verdict says whether the run is lost.
func (t *Tally) verdict() error {
	switch {
	case t.complete && float64(t.failed) > t.rate*float64(t.expected):
		return t.lost(fmt.Sprintf("%d of %d judgements failed, more than --max-failure-rate %v allows", t.failed, t.expected, t.rate))
	case t.rate < 1 && t.row >= t.deadly:
		return t.lost(fmt.Sprintf("the judge does not work: the last %d judgements failed (%s)", t.row, List(t.classes)))
	case t.rate < 1 && t.row > 1 && time.Since(t.since) > t.patience:
		return t.lost(fmt.Sprintf("the judge does not work: nothing succeeded in the last %v (%s)", time.Since(t.since).Round(time.Second), List(t.classes)))
	}
	return nil
}

func (t *Tally) lost(text string) error {
	e := &lost{text: text}
	if !t.cached {
		e.hint = "with --cache DIR a second run pays only for what failed"
	}
	return e
}

// Counts returns how many questions were asked and how many failed, and those by
// class.
func (t *Tally) Counts() (asked, failed int64, classes map[string]int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.asked, t.failed, maps.Clone(t.classes)
}

// lost is the error of a run with too many failures.
type lost struct{ text, hint string }

func (e *lost) Error() string { return e.text }
func (e *lost) Hint() string  { return e.hint }
