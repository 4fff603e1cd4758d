package judge

import (
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/golden"
	"srar/lib/rubric"
)

type replyCase struct {
	ID       string
	Items    []rubric.Item
	Steps    int
	Reply    string
	Expected struct {
		Status, Class string
		Classes       []string
		Verdicts      []Verdict
	}
}

func TestGoldenReplies(t *testing.T) {
	for _, c := range golden.Lines[replyCase](t, golden.Path(t, "reward", "judge", "replies.jsonl")) {
		t.Run(c.ID, func(t *testing.T) {
			got, err := ReadVerdicts(c.Reply, c.Items, c.Steps)
			if c.Expected.Status == "ok" {
				require.Nil(t, err)
				require.Equal(t, c.Expected.Verdicts, got)
				return
			}
			require.NotNil(t, err)
			require.Nil(t, got)
			require.Contains(t, c.Expected.Classes, err.Class)
			require.NotEmpty(t, err.Detail)
		})
	}
}

func TestGoldenStepReplies(t *testing.T) {
	type mark struct {
		Reply    string
		Expected *bool
	}
	for _, c := range golden.Lines[mark](t, golden.Path(t, "reward", "eval", "step-replies.jsonl")) {
		got, err := ReadMark(c.Reply)
		if c.Expected == nil {
			require.NotNil(t, err, "%q", c.Reply)
			continue
		}
		require.Nil(t, err, "%q", c.Reply)
		require.Equal(t, *c.Expected, got, "%q", c.Reply)
	}
}
