package steps

import (
	"math"
	"math/big"
	"slices"
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

// scan is the definition of [Split], character by character: "###", spaces,
// "Step", spaces, digits, spaces, ":" wherever they stand, from the left.
func scan(text string) (out []Step) {
	const space, digits = " \t\n\f\r", "0123456789"
	for i := 0; i < len(text); i++ {
		rest, ok := strings.CutPrefix(text[i:], "###")
		if !ok {
			continue
		}
		if rest, ok = strings.CutPrefix(strings.TrimLeft(rest, space), "Step"); !ok {
			continue
		}
		number := strings.TrimLeft(rest, space)
		rest = strings.TrimLeft(number, digits)
		number = number[:len(number)-len(rest)]
		if rest, ok = strings.CutPrefix(strings.TrimLeft(rest, space), ":"); !ok || number == "" {
			continue
		}
		s := Step{Start: i}
		if n, ok := new(big.Int).SetString(number, 10); ok && n.Cmp(big.NewInt(math.MaxInt32)) <= 0 {
			s.Printed, s.HasPrinted = int32(n.Int64()), true
		}
		if n := len(out); n > 0 {
			out[n-1].End = i
		}
		out = append(out, s)
		i = len(text) - len(rest) - 1
	}
	if out == nil {
		out = []Step{{}}
	}
	out[len(out)-1].End = len(text)
	return out
}

func FuzzSplit(f *testing.F) {
	f.Add("### Step 1: a\n### Step 2: b")
	f.Add("#### Step\n007\f:x###Step99999999999:###Step2147483647:###Step2147483648:")
	f.Add("### Step 1\v: ###Step\u00a02: ### Step ٣: ### step 4: ### Step 5. ### Step:")
	f.Add("no heading\xff")
	f.Fuzz(func(t *testing.T, text string) {
		s := Split(text)
		if want := scan(text); !slices.Equal(s, want) {
			t.Fatalf("%q: %v, want %v", text, s, want)
		}
		headings := 0
		for k := range s {
			// A step alone is one step, with the same number.
			own := text[s[k].Start:s[k].End]
			if HeadingLen(own) > 0 {
				headings++
			}
			if alone := Split(own); !slices.Equal(alone, []Step{{s[k].Printed, s[k].HasPrinted, 0, len(own)}}) {
				t.Fatalf("step %d of %q: %v", k+1, text, alone)
			}
		}
		if headings != len(s) && (headings != 0 || len(s) != 1) {
			t.Fatalf("%d of %d steps of %q open with a heading", headings, len(s), text)
		}
		if WellFormed(text+`\boxed{}`) && headings == 0 {
			t.Fatalf("%q is of the form without a heading", text)
		}
		// A token of each byte is in the step of its byte.
		offsets := make([]int32, len(text))
		for i := range offsets {
			offsets[i] = int32(i)
		}
		for i, k := range OfTokens(s, offsets, len(text)) {
			if k == 0 && i >= s[0].Start || k > 0 && (i < s[k-1].Start || i >= s[k-1].End) {
				t.Fatalf("byte %d of %q is in step %d of %v", i, text, k, s)
			}
		}
		for _, k := range Proportional(text, s, len(text)/3+1) {
			if k < 0 || int(k) > len(s) {
				t.Fatalf("%q: token of step %d", text, k)
			}
		}
	})
}
