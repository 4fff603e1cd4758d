package answer

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestExtract(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`so \boxed{42}.`, "42"},
		{`\boxed{\frac{1}{2}}`, `\frac{1}{2}`},
		{`\boxed{\sqrt{\frac{3}{4}}} and more`, `\sqrt{\frac{3}{4}}`},
		{`\boxed{1} then \boxed{2}`, "2"},
		{`\boxed { 7 }`, "7"},
		{`\boxed 7`, "7"},
		{`thus $\boxed 42$.`, "42"},
		{`\fbox{9}`, "9"},
		{`\boxed{}`, ""},
		{`\boxed{4} but \boxed{5`, "4"},            // the last one that closes
		{`\boxed{a \boxed{b} c}`, `a \boxed{b} c`}, // one inside of another
		{`\boxed{a \boxed{b}`, "b"},                // the outer one does not close
		{`\boxed{\{1, 2\}}`, `\{1, 2\}`},           // escaped braces
		{`\boxed{\left\{ 1 \right.}`, `\left\{ 1 \right.`},
		{`} \boxed{1} }`, "1"},
		{`\\boxed{-3}`, "-3"},
		{`a \\ \boxed{3}`, "3"},
		{`\boxed{99}</think>Final: \boxed{42}`, "42"},
		{`$\boxed{1}$ and $\boxed{-2}$`, "1, -2"}, // one answer in two boxes
		{`\boxed{1}, \boxed{2}, \boxed{3}`, "1, 2, 3"},
		{`$x_1 = \boxed{1}$, $x_2 = \boxed{2}$`, "1, 2"},
		{"\\boxed{5}\n\n\\boxed{5}", "5"},
		{`\boxed{1} papers \boxed{2}`, "2"},
		{`\boxed{1} papers and \boxed{2} bins`, "1, 2"},
		{`\boxed{(3, 3)} \text{ for part (a) and } \boxed{(1, 1)}`, "(3, 3), (1, 1)"},
		{`\boxed{1}, so we go on and find \boxed{2}`, "2"},
		{`\boxed{1}. And \boxed{2}`, "2"},
	} {
		got, ok := Extract(c.text)
		require.True(t, ok, c.text)
		require.Equal(t, c.want, got, c.text)
	}
	for _, text := range []string{"", "just 42", `\boxed{never closes`, `\boxedx{1}`, `\boxed`, `\boxed `, `\boxed$`, `\boxed{42} </think> nothing`, `boxed{1}`} {
		_, ok := Extract(text)
		require.False(t, ok, text)
	}
}

// The cases of other extractors. Those whose rule takes what stands behind #### or
// "Answer:", or the last number, have no answer here: an answer is in a box.
func TestExtractOthersCases(t *testing.T) {
	type extraction struct {
		ID, Text, Rule string
		Expected       *string
	}
	boxes := 0
	for _, c := range lines[extraction](t, "testdata/extract.jsonl") {
		got, ok := Extract(c.Text)
		if !strings.Contains(c.Text, `\boxed`) && !strings.Contains(c.Text, `\fbox`) || c.Expected == nil {
			require.False(t, ok, c.ID)
			continue
		}
		boxes++
		require.True(t, ok, c.ID)
		require.Equal(t, Equal, Compare(got, *c.Expected), "%s: %q and %q", c.ID, got, *c.Expected)
	}
	require.Equal(t, 17, boxes)
}

func FuzzExtract(f *testing.F) {
	for _, s := range []string{`\boxed{1}`, `\boxed{\boxed{`, `\boxed 7`, `}{\}\{`, `\\boxed{1}`, `\fbox{a}, \boxed{b}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := Extract(s)
		if !ok {
			require.Empty(t, got)
			return
		}
		require.True(t, strings.Contains(s, `boxed`) || strings.Contains(s, `fbox`))
		for _, part := range strings.Split(got, ", ") {
			require.Contains(t, s, part)
		}
	})
}
