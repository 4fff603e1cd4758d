// Package reward turns the verdicts of a judge into advantages of tokens, by
// Step-wise Rubrics as Rewards (arXiv 2605.17291, "the paper") and by the
// estimators it is compared with.
//
// Legend: i a rollout of a prompt, n their number; j a rubric item; k a step,
// K the steps of a rollout, k = 0 the whole solution; t a token; d_k,i the sum
// of the item rewards of step k (eq. 3); dbar_k,i the same normalised over G_k,
// the rollouts that have items at step k (eq. 4); A_i the outcome advantage.
//
// A rollout without verdicts belongs to no G_k: it earns and costs nothing by
// the rubric, and is never read as "all unsatisfied".
package reward

import (
	"fmt"

	"srar/lib/rubric"
	"srar/lib/steps"
)

// The judge's statuses. Only OK comes with verdicts.
const (
	OK      = "ok"
	Failed  = "failed"
	TooLong = "too_long"
	Skipped = "skipped"
)

// Verdict says whether a rollout satisfies an item, and at which step.
type Verdict struct {
	ID        int32 // of the item
	Satisfied bool  // for a PITFALL: the mistake was made
	Step      int32 // 1..K a step, 0 the whole solution, -1 none
}

// Rollout is one response of a group and what is known of it.
type Rollout struct {
	Correct    bool // r_acc
	WellFormed bool // r_fmt
	Status     string
	Verdicts   []Verdict // complete where Status is OK, not read otherwise
	Response   string
	Steps      []steps.Step
	Tokens     int     // number of response tokens
	Offsets    []int32 // [Tokens] byte of Response in which each begins, len(Response) for tokens without text
}

// Group is all rollouts of one prompt.
type Group struct {
	Items    []rubric.Item // the prompt's rubric, ANSWER items included
	Rollouts []Rollout
}

// Credit is what one rollout earns.
type Credit struct {
	BaseReward    float64 // r_base
	BaseAdvantage float64 // A_i
	// StepRewards is d_k and StepAdvantages what the estimator adds to the tokens
	// of step k because of the step, both [K]; nil without verdicts.
	StepRewards, StepAdvantages []float64
	TokenSteps                  []int32   // [Tokens] step of each token, 0 = none
	Advantages                  []float32 // [Tokens]
}

// Error says which rollout of a group breaks the method, counted from 0, -1 for
// the group's items.
type Error struct {
	Row  int
	Text string
}

func (e *Error) Error() string {
	if e.Row < 0 {
		return e.Text
	}
	return fmt.Sprintf("rollout %d: %s", e.Row, e.Text)
}

// sheet is a rubric made ready for looking up its items.
type sheet struct {
	kind  map[int32]int // item id -> SUGGEST 0, PITFALL 1, BONUS 2, ANSWER 3, as rubric.Types
	worth [3]float64    // delta of a satisfied item of each type, eq. 3
	due   int           // items that need a verdict
}

const (
	suggest = iota
	pitfall
	bonus
	answer
)

func (c *Config) sheet(items []rubric.Item) (*sheet, error) {
	s := &sheet{kind: make(map[int32]int, len(items))}
	var n [4]float64
	for _, it := range items {
		k := -1
		for i, t := range rubric.Types {
			if it.Type == t {
				k = i
			}
		}
		if k < 0 {
			return nil, &Error{-1, fmt.Sprintf("item %d has the unknown type %q", it.ID, it.Type)}
		}
		if _, twice := s.kind[it.ID]; twice {
			return nil, &Error{-1, fmt.Sprintf("two items have the id %d", it.ID)}
		}
		s.kind[it.ID] = k
		n[k]++
		if k != answer {
			s.due++
		}
	}
	pit := c.Pitfall
	if pit > 0 {
		pit = -pit
	}
	for k, budget := range [3]float64{c.Suggest, pit, c.Bonus} {
		if n[k] > 0 {
			s.worth[k] = budget / n[k]
		}
	}
	return s, nil
}

// check says how rollout i breaks the method. seen is scratch.
func (s *sheet) check(i int, r *Rollout, seen map[int32]bool) error {
	if len(r.Offsets) != r.Tokens {
		return &Error{i, fmt.Sprintf("%d offsets for %d tokens", len(r.Offsets), r.Tokens)}
	}
	for t, o := range r.Offsets {
		if o < 0 || int(o) > len(r.Response) {
			return &Error{i, fmt.Sprintf("offset %d of token %d lies outside the response of %d bytes", o, t, len(r.Response))}
		}
	}
	at := 0
	for k, st := range r.Steps {
		if st.Start < at || st.End < st.Start || st.End > len(r.Response) {
			return &Error{i, fmt.Sprintf("step %d spans bytes %d to %d of a response of %d bytes, from %d on", k+1, st.Start, st.End, len(r.Response), at)}
		}
		at = st.End
	}
	switch r.Status {
	case Failed, TooLong, Skipped:
		return nil
	case OK:
	default:
		return &Error{i, fmt.Sprintf("unknown judge status %q", r.Status)}
	}
	if r.Verdicts == nil {
		return &Error{i, "judge status ok without verdicts"}
	}
	clear(seen)
	for _, v := range r.Verdicts {
		k, known := s.kind[v.ID]
		switch {
		case !known:
			return &Error{i, fmt.Sprintf("verdict of item %d, which the rubric lacks", v.ID)}
		case k == answer:
			return &Error{i, fmt.Sprintf("verdict of item %d, which is an ANSWER item", v.ID)}
		case seen[v.ID]:
			return &Error{i, fmt.Sprintf("two verdicts of item %d", v.ID)}
		case v.Step < -1 || int(v.Step) > len(r.Steps):
			return &Error{i, fmt.Sprintf("item %d is tied to step %d of %d", v.ID, v.Step, len(r.Steps))}
		}
		seen[v.ID] = true
	}
	if len(seen) != s.due {
		return &Error{i, fmt.Sprintf("%d of %d items have a verdict", len(seen), s.due)}
	}
	return nil
}
