package arith

import (
	"fmt"
	"slices"

	"srar/lib/rubric"
)

// Verdict is what the rule says of one item.
type Verdict struct {
	ID        int32
	Satisfied bool  // of a PITFALL: the mistake was made
	Step      int32 // 1..K, or -1 where no step shows it
}

// NoStep is the step of a verdict that no step shows.
const NoStep = -1

// Judge judges a solution's steps by the items of a problem's rubric, and
// returns one verdict for each item that is no ANSWER, in their order. It knows
// nothing but the items' texts and the steps':
//
//   - SUGGEST and BONUS are satisfied where a step states one of the item's
//     equations; the first such step counts.
//   - A SUGGEST that is not is laid at the first step that works on the same
//     operands with another result, else at the first step that leaves the
//     plan, that is, states something that no SUGGEST or BONUS names. So the
//     root cause collects the misses, what precedes it keeps its credit, and
//     what follows is neutral.
//   - A PITFALL is satisfied where its equation is stated, or, for "States a
//     false equation.", where any statement is false; the first such step counts.
//
// An item that is not of this task, which nothing in its text lets the rule
// check, is an error.
func Judge(items []rubric.Item, steps []string) ([]Verdict, error) {
	plan := map[Statement]bool{}
	wanted := make([][]Statement, len(items))
	for i, item := range items {
		var err error
		if wanted[i], err = wants(item); err != nil {
			return nil, err
		}
		if item.Type == rubric.SUGGEST || item.Type == rubric.BONUS {
			for _, s := range wanted[i] {
				plan[s] = true
			}
		}
	}
	w := watch(steps, plan)
	var verdicts []Verdict
	for i, item := range items {
		if item.Type == rubric.ANSWER {
			continue
		}
		step := w.first(wanted[i])
		if checksTruth(item) {
			step = w.untrue
		}
		v := Verdict{ID: item.ID, Satisfied: step != NoStep, Step: step}
		if item.Type == rubric.SUGGEST && !v.Satisfied {
			if v.Step = w.first(tasks(wanted[i])); v.Step == NoStep {
				v.Step = w.left
			}
		}
		verdicts = append(verdicts, v)
	}
	return verdicts, nil
}

// checksTruth reports whether an item is the one on false equations.
func checksTruth(item rubric.Item) bool {
	return item.Type == rubric.PITFALL && item.Text == falseEquation
}

// wants returns the statements that satisfy an item; there are none for ANSWER
// and the item on false equations.
func wants(item rubric.Item) ([]Statement, error) {
	switch item.Type {
	case rubric.ANSWER:
		return nil, nil
	case rubric.SUGGEST, rubric.PITFALL, rubric.BONUS:
		if checksTruth(item) {
			return nil, nil
		}
		if s := Statements(item.Text); len(s) > 0 && !slices.Contains(s, Statement{}) {
			return s, nil
		}
		return nil, fmt.Errorf("arith: item %d: %q holds no statement that can be checked", item.ID, item.Text)
	}
	return nil, fmt.Errorf("arith: item %d: unknown type %q", item.ID, item.Type)
}

// course is what happens in a solution, and at which step (from 1) it first
// does.
type course struct {
	at     map[Statement]int32 // a statement is made, or its task tried, whatever the result
	untrue int32               // a false statement is made, or NoStep
	left   int32               // the plan is left, or NoStep
}

func watch(steps []string, plan map[Statement]bool) course {
	w := course{map[Statement]int32{}, NoStep, NoStep}
	for k := len(steps); k > 0; k-- { // backwards: the first step has the last word
		for _, s := range Statements(steps[k-1]) {
			w.at[s], w.at[s.task()] = int32(k), int32(k)
			if !s.True() {
				w.untrue = int32(k)
			}
			if !plan[s] {
				w.left = int32(k)
			}
		}
	}
	return w
}

// first returns the first step at which one of the statements is made, or
// NoStep.
func (w course) first(statements []Statement) int32 {
	first := int32(NoStep)
	for _, s := range statements {
		if k, ok := w.at[s]; ok && (first == NoStep || k < first) {
			first = k
		}
	}
	return first
}
