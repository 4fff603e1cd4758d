package rubric

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, text string
		items      []Item
	}{
		{"empty", "", nil},
		{"blank", " \n\t\r\n", nil},
		{"all types", "<SUGGEST> a\n<PITFALL> b\n<BONUS> c\n<ANSWER> d", []Item{{1, SUGGEST, "a"}, {2, PITFALL, "b"}, {3, BONUS, "c"}, {4, ANSWER, "d"}}},
		{"blank lines count", "\n\n<SUGGEST> a\n \t\r\n<BONUS> b\n", []Item{{3, SUGGEST, "a"}, {5, BONUS, "b"}}},
		{"carriage returns", "<SUGGEST> a\r\n\r\n<PITFALL> b\r\n", []Item{{1, SUGGEST, "a"}, {3, PITFALL, "b"}}},
		{"blanks around", "  <SUGGEST>\t  a b \t\n\t<BONUS>c", []Item{{1, SUGGEST, "a b"}, {2, BONUS, "c"}}},
		{"blanks inside stay", "<SUGGEST> a\tb  c", []Item{{1, SUGGEST, "a\tb  c"}}},
		{"other spaces belong to the text", "<SUGGEST> \u00a0a\u2003b\u3000\n<PITFALL> x\u2028y\u0085z", []Item{{1, SUGGEST, "\u00a0a\u2003b\u3000"}, {2, PITFALL, "x\u2028y\u0085z"}}},
		{"tags in the text", "<SUGGEST> Writes <PITFALL> there\n<PITFALL> <SUGGEST> twice", []Item{{1, SUGGEST, "Writes <PITFALL> there"}, {2, PITFALL, "<SUGGEST> twice"}}},
		{"angle brackets in the text", "<SUGGEST> <3", []Item{{1, SUGGEST, "<3"}}},
		{"twice the same", "<SUGGEST> a\n<SUGGEST> a", []Item{{1, SUGGEST, "a"}, {2, SUGGEST, "a"}}},
		{"several answers", "<ANSWER> 4\n<ANSWER> four", []Item{{1, ANSWER, "4"}, {2, ANSWER, "four"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			items, err := Parse(c.text)
			require.NoError(t, err)
			require.Equal(t, c.items, items)
		})
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct {
		text string
		line int
		says string
	}{
		{"<SUGGEST> x\n<suggest> y", 2, `"<suggest> y" does not open`},
		{"<Suggest> y", 1, "does not open"},
		{"<SUGGESTS> y", 1, "does not open"},
		{"\n\n\n<NOTE> y", 4, "does not open"},
		{"<SUGGEST> x\nand continues here", 2, "does not open"},
		{"<SUGGEST> x\n<PITFALL>", 2, "nothing behind <PITFALL>"},
		{"<SUGGEST> x\n\n<BONUS>  \t\r\n", 3, "nothing behind <BONUS>"},
		{"< SUGGEST > x", 1, "does not open"},
		{"SUGGEST x", 1, "does not open"},
		{"<SUGGEST x", 1, "does not open"},
		{"</SUGGEST> x", 1, "does not open"},
		{"- <SUGGEST> x", 1, "does not open"},
		{"\ufeff<SUGGEST> x", 1, "does not open"},
		{"＜BONUS＞ y", 1, "does not open"},
		{strings.Repeat("é", 100), 1, strings.Repeat("é", 20) + `..."`},
	} {
		items, err := Parse(c.text)
		require.Nil(t, items, c.text)
		var e *Error
		require.ErrorAs(t, err, &e, c.text)
		require.Equal(t, c.line, e.Line, c.text)
		require.ErrorContains(t, err, fmt.Sprintf("line %d: ", c.line))
		require.ErrorContains(t, err, c.says, c.text)
	}
}

// A rubric that is written from items reads as these items.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want []Item
		var b strings.Builder
		for line := range rapid.IntRange(0, 12).Draw(t, "lines") {
			if line > 0 {
				b.WriteByte('\n')
			}
			if rapid.Bool().Draw(t, "blank") {
				b.WriteString(rapid.SampledFrom([]string{"", " ", "\t\r"}).Draw(t, "blanks"))
				continue
			}
			it := Item{int32(line + 1), rapid.SampledFrom(Types[:]).Draw(t, "type"), rapid.StringMatching(`[^ \t\r\n]([^\n]*[^ \t\r\n])?`).Draw(t, "text")}
			fmt.Fprintf(&b, "%s<%s>%s%s", rapid.SampledFrom([]string{"", "  ", "\t"}).Draw(t, "before"), it.Type, rapid.SampledFrom([]string{"", " ", "\t "}).Draw(t, "behind"), it.Text)
			want = append(want, it)
		}
		got, err := Parse(b.String())
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

func FuzzParse(f *testing.F) {
	f.Add("<SUGGEST> a\n\n<PITFALL>b\r\n<BONUS>\tc\n<ANSWER> d")
	f.Add("<SUGGEST>\n")
	f.Add("<PITFALL> \xff\xfe\n<X> y")
	f.Fuzz(func(t *testing.T, text string) {
		items, err := Parse(text)
		lines := strings.Split(text, "\n")
		if err != nil {
			e := err.(*Error)
			if items != nil || e.Line < 1 || e.Line > len(lines) || strings.Trim(lines[e.Line-1], blanks) == "" {
				t.Fatalf("%v with %d items for %q", err, len(items), text)
			}
			return
		}
		id := int32(0)
		for _, it := range items {
			if it.ID <= id || int(it.ID) > len(lines) || it.Text == "" || it.Text != strings.Trim(it.Text, blanks) || !strings.Contains(lines[it.ID-1], "<"+it.Type+">") {
				t.Fatalf("item %+v of %q", it, text)
			}
			id = it.ID
		}
	})
}
