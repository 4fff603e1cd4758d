package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/answer"
	"srar/lib/golden"
)

// disagreements are the labelled responses whose verdict is not the label, by
// the last digits of their ids, and why.
var disagreements = []struct {
	why    string
	ids    string
	status answer.Status
	box    bool // the response has a \boxed{}
}{
	{"GSM8K's own solutions close with a line A: 90; the method asks for a \\boxed{}", `
			0621 0629 0642 0645 0649 0659 0666 0667 0671 0683 0684 0685 0691 0693 0704 0705 0724 0725 0741
			0742 0743 0753 0756 0757 0768 0769 0772 0773 0775 0785 0795 0801 0803 0812 0815 0817 0818 0819
			0823 0827 0828 0841`, answer.Absent, false},
	{"PRM800K's solutions close with # Answer and a line; the method asks for a \\boxed{}", `
			0434 0476 0494 0497 0499 0509 0516 0517 0539 0541 0544 0548 0565 0566 0569 0586 0598`, answer.Absent, false},
	{"the grader that gave the label took 1320 km and 1320 for different; the problem asks for the distance in km", "1344", answer.Equal, true},
}

// Verdicts on responses of other systems agree with their labels, from graders
// and people, but where the table above says why not.
func TestResponsesAgreeWithLabels(t *testing.T) {
	type response struct {
		ID          string  `json:"id"`
		GroundTruth *string `json:"ground_truth"`
		Response    string  `json:"response"`
		Correct     bool    `json:"is_correct"`
	}
	list := golden.Lines[response](t, filepath.Join("testdata", "responses.jsonl"))
	verdicts := map[string]*row{}
	statuses := map[string]answer.Status{}
	for _, l := range list {
		id := strings.TrimPrefix(l.ID, "resp-")
		verdicts[id] = &row{GroundTruth: l.GroundTruth, Response: l.Response}
		statuses[id] = new(evaluation).check(verdicts[id])
	}
	explained := map[string]bool{}
	for _, d := range disagreements {
		for id := range strings.FieldsSeq(d.ids) {
			r := verdicts[id]
			require.NotNil(t, r, id)
			explained[id] = true
			require.Equal(t, d.status, statuses[id], "%s: %s", id, d.why)
			require.Equal(t, d.box, strings.Contains(r.Response, `\boxed{`), "%s: %s", id, d.why)
		}
	}
	agreed := map[bool]int{}
	for _, l := range list {
		id := strings.TrimPrefix(l.ID, "resp-")
		r := verdicts[id]
		require.Equal(t, !explained[id], l.Correct == *r.Correct, "%s: %v is the answer to %q", l.ID, r.Answer, *r.GroundTruth)
		if !explained[id] {
			agreed[l.Correct]++
		}
	}
	require.Greater(t, agreed[true], 15)
	require.Greater(t, agreed[false], 10)
}
