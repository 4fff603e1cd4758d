package rubric

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestFigures(t *testing.T) {
	var f Figures
	require.Zero(t, f.ItemsPerRubric(All))
	require.Zero(t, f.WordsPerItem(BONUS))
	f.Add([]Item{{1, SUGGEST, "uses  the\tbound"}, {2, SUGGEST, "a"}, {4, ANSWER, "it is 4"}})
	f.Add([]Item{{1, PITFALL, "forgets a case"}})
	require.Equal(t, 2, f.Items(SUGGEST))
	require.Equal(t, 4, f.Items(All))
	require.InDelta(t, 1, f.ItemsPerRubric(SUGGEST), 0)
	require.InDelta(t, 2, f.ItemsPerRubric(All), 0)
	require.InDelta(t, 2, f.WordsPerItem(SUGGEST), 0)
	require.InDelta(t, 2.5, f.WordsPerItem(All), 0)
	require.Zero(t, f.WordsPerItem(BONUS))
	sum := 0.0
	for _, typ := range Types {
		sum += PaperItems[typ]
	}
	require.InDelta(t, PaperItems[All], sum, 1e-9)
}

func TestCheck(t *testing.T) {
	const good = "<SUGGEST> Applies the parity indicator\n<PITFALL> Omits the factor 1/2\n<ANSWER> m+n equals 37"
	for _, c := range []struct {
		name, text, answer string
		want               []Finding
	}{
		{"nothing to find", good, "37", nil},
		{"no rubric", "", "37", nil},
		{"no suggestion, no answer", "<BONUS> a", "37", []Finding{{"no SUGGEST item", 0, "of 1 in all"}, {"no ANSWER item", 0, "of 1 in all"}}},
		{"two answers", good + "\n<ANSWER> 37", "37", []Finding{{"several ANSWER items", 0, "2"}}},
		{"nine items", good + "\n<BONUS> a\n<BONUS> b\n<BONUS> c\n<BONUS> d\n<BONUS> e\n<BONUS> f", "37", []Finding{{"too many items", 0, "9 where 8 are the most"}}},
		{"the same item", good + "\n\n<BONUS> applies the  PARITY indicator", "37", []Finding{{"duplicate item", 5, "that of line 1"}}},
		{"the answer in an item", good + "\n<SUGGEST> Finds that m + n is $37$", "37", []Finding{{"the answer in SUGGEST", 4, `"Finds that m + n is $37$"`}}},
		{"a digit is in many texts", good + "\n<SUGGEST> Divides by 2", "2", nil},
		{"a digit as the answer", good + "\n<PITFALL> Reports another answer than 2", "2", []Finding{{"the answer in PITFALL", 4, `"Reports another answer than 2"`}}},
		{"the format", good + "\n<SUGGEST> Puts it in \\boxed{}", "37", []Finding{{"a check of the format", 4, `"Puts it in \\boxed{}"`}}},
		{"headings", good + "\n<SUGGEST> Every step has a heading", "37", []Finding{{"a check of the format", 4, `"Every step has a heading"`}}},
		{"a sample", good + "\n<PITFALL> Errs as Solution B does", "37", []Finding{{"a mention of a sample", 4, `"Errs as Solution B does"`}}},
		{"no sample", good + "\n<PITFALL> Takes the solution a student would", "37", nil},
		{"an answer may speak of the format", good[:len(good)-2] + "\\boxed{37}", "37", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			items, err := Parse(c.text)
			require.NoError(t, err)
			require.Equal(t, c.want, Check(items, c.answer))
		})
	}
}

func TestMentions(t *testing.T) {
	for _, c := range []struct {
		text, answer string
		want         bool
	}{
		{"m+n equals 37.", "37", true},
		{"m+n equals 37.5", "37", false},
		{"the year 1370", "37", false},
		{"it costs 1,337", "337", false},
		{"it costs $1,337", "1337", true},
		{"the pair 1,2", "1,2", true},
		{`gives $\dfrac{1}{2}$`, `\frac12`, false},
		{`gives $\dfrac{1}{2}$`, `\frac{1}{2}`, true},
		{`the point \left( 3, \frac{\pi}{2} \right)`, `(3,\frac{\pi}{2})`, true},
		{"p - q", "p-q", true},
		{"p - q", "q", true},
		{"pq", "q", false},
		{"x = \u22125", "-5", true},
		{"anything", "", false},
		{"anything", "$ $", false},
		{`ends in \`, `\`, true},
	} {
		require.Equal(t, c.want, Mentions(c.text, c.answer), "%q in %q", c.answer, c.text)
	}
}

// A text mentions itself, and so does one with something around it, whatever the
// blanks.
func TestLawMentions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.TrimRight(rapid.String().Draw(t, "text"), "\\") // with what follows it would be another word
		if len(words(text)) == 0 {
			require.False(t, Mentions("x "+text, text))
			return
		}
		require.True(t, Mentions(text, text))
		require.True(t, Mentions("so, "+text+" !", " "+text+"\n"))
	})
}
