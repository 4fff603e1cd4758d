package main

import (
	"fmt"
	"net/http"
	"strings"

	"srar/lib/arith"
	"srar/lib/judge"
)

// reply is the answer to a question about a solution.
type reply struct {
	task     *judge.Task // the question, where it asks for verdicts; else it asks for a mark
	verdicts []verdict
	right    bool   // the mark
	text     string // what a judge of few words says
}

// verdict is one object of the list that is asked for.
type verdict struct {
	ID        int32 `json:"id"`
	Satisfied bool  `json:"satisfied"`
	Step      int32 `json:"step"`
}

// answer answers the question in a user message, if it is one that srar-judge or
// srar-eval asks about the embedded task.
func answer(text string) (*reply, error) {
	if t, err := judge.ReadPrompt(text); err == nil {
		found, err := arith.Judge(t.Items, t.Steps)
		if err != nil {
			return nil, refuse(http.StatusBadRequest, "this judge works by rule: %v", err)
		}
		r := &reply{task: &t, verdicts: make([]verdict, len(found))}
		for i, v := range found {
			r.verdicts[i] = verdict(v)
		}
		r.text = verdictsText(r.verdicts)
		return r, nil
	}
	t, err := judge.ReadStepPrompt(text)
	if err != nil || len(t.Steps) == 0 {
		return nil, refuse(http.StatusBadRequest, "this judge works by rule, and the last message is no question of srar-judge or srar-eval")
	}
	p, err := arith.Parse(t.Problem)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "this judge works by rule: %v", err)
	}
	r := &reply{right: p.Mark(t.Steps[len(t.Steps)-1])}
	r.text = mark(r.right)
	return r, nil
}

// verdictsText writes verdicts in the form that is asked for.
func verdictsText(list []verdict) string {
	return string(encode(map[string][]verdict{"verdicts": list}))
}

func mark(right bool) string {
	if right {
		return "CORRECT"
	}
	return "INCORRECT"
}

// talk says the same as r.text with much around it that a careful reader sees
// through: thinking that weighs the opposite, drafts, fences, explanations.
func (r *reply) talk(kind int) string {
	if r.task == nil {
		return []string{
			fmt.Sprintf("<think>\nIs it %s? Let me work it out. No, that was too quick.\n</think>\n\n%s", mark(!r.right), r.text),
			fmt.Sprintf("I have worked the last step out for myself. My verdict on it is **%s**.", r.text),
			fmt.Sprintf("%s\n\nThe steps before it (there may be errors in them) are only context.", strings.ToLower(r.text)),
		}[kind%3]
	}
	opposite := make([]verdict, len(r.verdicts))
	for i, v := range r.verdicts {
		opposite[i] = verdict{v.ID, !v.Satisfied, v.Step}
	}
	why := &strings.Builder{}
	for _, v := range r.verdicts {
		fmt.Fprintf(why, "- item %d: ", v.ID)
		switch {
		case v.Step < 1:
			why.WriteString("no step shows it.\n")
		case v.Satisfied:
			fmt.Fprintf(why, "step %d shows it.\n", v.Step)
		default:
			fmt.Fprintf(why, "missed in step %d.\n", v.Step)
		}
	}
	return []string{
		fmt.Sprintf("<think>\nAt first sight %s. But then:\n%s</think>\n%s", verdictsText(opposite), why, r.text),
		fmt.Sprintf("Let me go through the criteria [one by one].\n%s\nSo:\n\n```json\n%s\n```\n\nI hope that this helps.", why, r.text),
		fmt.Sprintf("A draft: {\"id\": 0, \"satisfied\": [{\"unsure\": true}]}. Now the verdicts.\n%s\n%s", encode(r.verdicts), why),
	}[kind%3]
}

// useless returns a reply that cannot be used for an answer.
func (r *reply) useless(kind int) string {
	if r.task == nil {
		return []string{"", "I cannot say.", r.text[:4], "It may be CORRECT or INCORRECT."}[kind%4]
	}
	if len(r.verdicts) == 0 {
		return "I cannot say."
	}
	other := append([]verdict{}, r.verdicts...)
	last := &other[len(other)-1]
	switch kind % 7 {
	case 0:
		return ""
	case 1:
		return "I cannot say."
	case 2: // ends early
		return r.text[:len(r.text)/2]
	case 3: // an item is missing
		return verdictsText(other[:len(other)-1])
	case 4: // an item that was not asked for
		last.ID++
	case 5: // a step that there is not
		last.Step = int32(len(r.task.Steps)) + 1
	case 6: // two opinions
		last.Satisfied = !last.Satisfied
		return r.text + "\n\nOr rather:\n\n" + verdictsText(other)
	}
	return verdictsText(other)
}
