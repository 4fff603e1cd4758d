package steps

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"srar/lib/golden"
)

type spanCase struct {
	ID       string  `json:"id"`
	Response string  `json:"response"`
	Offsets  []int32 `json:"offsets"`
	Steps    []struct {
		Printed    *int32
		Start, End int
	} `json:"steps"`
	TokenSteps   []int32 `json:"token_steps"`
	Proportional []int32 `json:"token_steps_proportional"`
}

func TestGoldenSpans(t *testing.T) {
	for _, c := range golden.Lines[spanCase](t, golden.Path(t, "reward", "spans", "cases.jsonl")) {
		t.Run(c.ID, func(t *testing.T) {
			var want []Step
			for _, s := range c.Steps {
				w := Step{Start: s.Start, End: s.End}
				if s.Printed != nil {
					w.Printed, w.HasPrinted = *s.Printed, true
				}
				want = append(want, w)
			}
			got := Split(c.Response)
			require.Equal(t, want, got)
			require.Equal(t, c.TokenSteps, OfTokens(got, c.Offsets, len(c.Response)))
			require.Equal(t, c.Proportional, Proportional(c.Response, got, len(c.Offsets)))
		})
	}
}

// A token that straddles a border belongs to the step in which it starts, one
// without text to none, and the order of the offsets does not matter.
func TestOfTokens(t *testing.T) {
	s := []Step{{Start: 4, End: 10}, {Start: 10, End: 10}, {Start: 10, End: 20}}
	require.Equal(t, []int32{0, 0, 1, 1, 3, 3, 0}, OfTokens(s, []int32{0, 3, 4, 9, 10, 19, 20}, 20))
	require.Equal(t, []int32{3, 1, 0, 0, 3}, OfTokens(s, []int32{19, 5, 20, 0, 10}, 20))
	require.Equal(t, []int32{0, 0}, OfTokens(Split(""), []int32{0, 0}, 0))
	require.Equal(t, []int32{0}, OfTokens(nil, []int32{0}, 1))
	require.Empty(t, OfTokens(s, nil, 20))
}

// Borders scale by characters, whatever the order of the steps.
func TestProportional(t *testing.T) {
	require.Equal(t, []int32{1, 1, 1}, Proportional("", Split(""), 3))
	require.Equal(t, []int32{0, 1, 2, 2}, Proportional("abcdefgh", []Step{{Start: 2, End: 5}, {Start: 5, End: 8}}, 4))
	// Characters, not bytes.
	require.Equal(t, []int32{1, 2, 2, 2}, Proportional("🙂abc", []Step{{Start: 0, End: 4}, {Start: 4, End: 7}}, 4))
	require.Equal(t, []int32{2, 2, 2, 1}, Proportional("abc🙂", []Step{{Start: 3, End: 7}, {Start: 0, End: 3}}, 4))
}

func TestWellFormed(t *testing.T) {
	const h = "### Step 1: x\n"
	for _, c := range []struct {
		text string
		want bool
	}{
		{h + `\boxed{7}`, true},
		{`\boxed{7}` + h, true},
		{h + `\boxed{\frac{1}{2}}`, true},
		{h + `\boxed {7}`, true},
		{h + `\boxed{}`, true},
		{h + `\boxed{never \boxed{7}`, true},
		{h + `{ \boxed{7}`, true},
		{h + `} \boxed{7}`, true},
		{h + `\boxed{\{1, 2\}}`, true},
		{h + `\boxed{[0, 1\}}`, true},
		{h + `a \\\boxed{7}`, true},
		{h + `a \\boxed{7}`, false}, // a line break and a word
		{h + `\boxedx{7}`, false},
		{h + `\boxed{a \\}`, true},
		{`\boxed{7}`, false},
		{"### Step 1 x " + `\boxed{7}`, false},
		{h, false},
		{h + `\boxed 7`, false},
		{h + `\boxed`, false},
		{h + `boxed{7}`, false},
		{h + `\fbox{7}`, false},
		{h + `\boxed{7`, false},
		{h + `\boxed{\frac{1}{2}`, false},
		{h + `\boxed{1\}`, false},
		{h + `\boxed{7\`, false},
		{"", false},
	} {
		require.Equal(t, c.want, WellFormed(c.text), c.text)
	}
	// Boxes that never close do not make the check quadratic.
	require.False(t, WellFormed(h+strings.Repeat(`\boxed{`, 1<<20)))
}

// Whatever the tokens, the exact spans are those of the bytes.
func TestOfTokensFollowsBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"### Step 1:", "###Step 22 :", "#", "é🙂", "word ", "\n"}), 0, 20).Draw(t, "parts"), "")
		s := Split(text)
		of := make([]int32, len(text)+1)
		for k, st := range s {
			for b := st.Start; b < st.End; b++ {
				of[b] = int32(k + 1)
			}
		}
		offsets := rapid.SliceOfN(rapid.Int32Range(0, int32(len(text))), 0, 30).Draw(t, "offsets")
		got := OfTokens(s, offsets, len(text))
		for i, o := range offsets {
			require.Equal(t, of[o], got[i])
		}
	})
}

func FuzzSplit(f *testing.F) {
	f.Add("### Step 1: a\n### Step 2: b")
	f.Add("#### Step\n007\f:x###Step99999999999:")
	f.Add("no heading\xff")
	f.Fuzz(func(t *testing.T, text string) {
		s := Split(text)
		if len(s) == 0 || s[len(s)-1].End != len(text) {
			t.Fatalf("%q: %v", text, s)
		}
		if !heading.MatchString(text) && (len(s) != 1 || s[0] != Step{End: len(text)}) {
			t.Fatalf("%q without a heading: %v", text, s)
		}
		for k := range s {
			if s[k].Start > s[k].End || k > 0 && s[k].Start != s[k-1].End {
				t.Fatalf("%q: %v", text, s)
			}
			// A step alone is one step, with the same number.
			if own := Split(text[s[k].Start:s[k].End]); len(own) != 1 || own[0].HasPrinted != s[k].HasPrinted || own[0].Printed != s[k].Printed || own[0].Start != 0 {
				t.Fatalf("step %d of %q: %v", k+1, text, own)
			}
		}
		n := len(text)/3 + 1
		for _, k := range Proportional(text, s, n) {
			if k < 0 || int(k) > len(s) {
				t.Fatalf("%q: token of step %d", text, k)
			}
		}
		WellFormed(text)
	})
}
