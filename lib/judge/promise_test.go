package judge

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A judge that thinks until its budget is used up has said nothing: the row says
// so, and so does the next request.
func TestJ5UsedUpBudgetIsSaid(t *testing.T) {
	half := good[:len(good)/2]
	s := serve(t, saysWith("<think>first", "length"), saysWith(half, "length"))
	a := askTask(t, client(t, s))
	require.Equal(t, Failed, a.Status)
	require.Equal(t, ClassLength, a.Err.Class)
	require.Contains(t, a.Err.Detail, "output budget")
	require.Equal(t, half, *a.Reply)
	require.Contains(t, s.user(1), "output budget")
}

// What a judge cannot tell satisfies nothing: there is no verdict then.
func TestJ8UndeterminedIsNoVerdict(t *testing.T) {
	for _, word := range []string{`"cannot be determined"`, `"unknown"`, `"yes"`, `null`, `""`, `0.5`, `1`, `[true]`} {
		v, err := ReadVerdicts(strings.Replace(good, "true", word, 1), task.Items, len(task.Steps))
		require.Nil(t, v, word)
		require.Equal(t, ClassSchema, err.Class, word)
	}
}
