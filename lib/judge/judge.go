// Package judge asks a language model about solutions and reads what it says.
//
// Two questions are asked. [Task]: which items of a rubric does the solution
// satisfy, and in which step? [StepTask]: is the last of these steps correct?
// Each makes a [Query], whose text quotes everything untrusted between marks
// that the quoted text cannot imitate; [ReadPrompt] and [ReadStepPrompt] are
// the exact inverse, for judges that work by rule. [ReadVerdicts] and
// [ReadMark] read replies strictly: a reply that is not complete is an error
// with a class, never a default.
//
// [Ask] sends a query through a [Client] to an OpenAI-compatible server, asks
// again where that helps, and keeps complete answers in a [Cache]. [Tally]
// ends a run that cannot succeed any more. [Flags] are the flags of the commands
// that ask. What a server does not understand of a request, such as a JSON
// schema, is left out from then on. How requests travel is the matter of
// srar/lib/remote.
//
// A failed judgement is a state of the row, not an error of the program: it is
// told by [Answer.Status] and [Answer.Err]. Source: arXiv 2605.17291, section
// on rubric judging; the reading rules are this project's own.
package judge

import (
	"fmt"

	"srar/lib/remote"
	"srar/lib/rubric"
	"srar/lib/steps"
)

// The environment variables that name a judge.
const (
	EnvURL   = "JUDGE_URL"     // base address, such as http://127.0.0.1:8000/v1
	EnvModel = "JUDGE_MODEL"   // the model to ask for
	EnvKey   = "JUDGE_API_KEY" // sent as bearer token; the only way to give it
)

// Steps of a verdict that name no single step.
const (
	WholeSolution = 0  // the item concerns the solution as a whole
	NoStep        = -1 // no step is relevant to the item
)

// Verdict says whether a solution satisfies one rubric item, and where.
type Verdict struct {
	ID        int32 // of the item
	Satisfied bool  // for a PITFALL: the mistake was made
	Step      int32 // 1..K, [WholeSolution] or [NoStep]
}

// Task is a solution and the items to judge it by.
type Task struct {
	Problem  string
	Items    []rubric.Item // without ANSWER items, which tell the reference answer
	Preamble string        // what the solution says before its first step
	Steps    []string      // texts of the steps 1..K without their headings
}

// StepTask asks whether the last of Steps is correct.
type StepTask struct {
	Problem     string
	GroundTruth string // reference answer; empty: not known
	Preamble    string
	Steps       []string // the steps before the one in question, and last that one
}

// NewTask makes the task of judging a response whose steps are given. ANSWER
// items are left out. An item of unknown type or with an id that appears twice
// is an error.
func NewTask(problem string, items []rubric.Item, response string, spans []steps.Step) (Task, error) {
	t := Task{Problem: problem}
	seen := map[int32]bool{}
	for _, it := range items {
		switch it.Type {
		case rubric.ANSWER:
			continue
		case rubric.SUGGEST, rubric.PITFALL, rubric.BONUS:
		default:
			return Task{}, fmt.Errorf("rubric item %d has the unknown type %q", it.ID, it.Type)
		}
		if seen[it.ID] {
			return Task{}, fmt.Errorf("rubric item %d appears twice", it.ID)
		}
		seen[it.ID] = true
		t.Items = append(t.Items, it)
	}
	t.Preamble, t.Steps = Parts(response, spans)
	return t, nil
}

// Parts cuts a response into the text before its first step and the texts of
// its steps, headings removed: the numbers printed there may restart or skip,
// and the judge is to go by the order of appearance.
func Parts(response string, spans []steps.Step) (preamble string, texts []string) {
	texts = make([]string, len(spans))
	for i, s := range spans {
		texts[i] = response[s.Start+steps.HeadingLen(response[s.Start:s.End]) : s.End]
	}
	if len(spans) > 0 {
		preamble = response[:spans[0].Start]
	}
	return preamble, texts
}

// Error says why a question has no answer.
type Error struct {
	Class  string // "no json", "http 503", "timeout", ...
	Detail string
}

func (e *Error) Error() string { return e.Class + ": " + e.Detail }

// The classes of failure. Those of HTTP are "http NNN".
const (
	ClassEmpty     = "empty"     // null or blank content
	ClassNoJSON    = "no json"   // nothing in the reply looks like verdicts
	ClassSchema    = "schema"    // verdicts, but not a complete set
	ClassAmbiguous = "ambiguous" // different complete answers in one reply
	ClassNoMark    = "no mark"   // neither CORRECT nor INCORRECT
	ClassLength    = "length"    // the output budget ended before the answer
	ClassTimeout   = remote.ClassTimeout
	ClassNetwork   = remote.ClassNetwork
	ClassResponse  = remote.ClassResponse // status 200, but no chat completion
)
