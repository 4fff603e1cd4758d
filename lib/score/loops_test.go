package score

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"srar/lib/golden"
)

func TestGoldenLoops(t *testing.T) {
	type verdict struct {
		SelfCorrections     int  `json:"self_corrections"`
		Paragraphs          int  `json:"paragraphs"`
		Duplicates          int  `json:"duplicates"`
		ManySelfCorrections bool `json:"many_self_corrections"`
		StepOneAgain        bool `json:"step_one_again"`
		RepeatedHeading     bool `json:"repeated_heading"`
		DuplicateParagraphs bool `json:"duplicate_paragraphs"`
		Loops               bool `json:"loops"`
	}
	type loopCase struct {
		ID       string
		Response string
		Expected verdict
	}
	for _, c := range golden.Lines[loopCase](t, golden.Path(t, "reward", "eval", "loops.jsonl")) {
		l := DetectLoop(c.Response)
		require.Equal(t, c.Expected, verdict{l.SelfCorrections, l.Paragraphs, l.Duplicates, l.ManySelfCorrections(), l.StepOneAgain(), l.RepeatedHeading(), l.DuplicateParagraphs(), l.Loops()}, c.ID)
	}
}

func TestSelfCorrections(t *testing.T) {
	require.Equal(t, len(phrases), selfCorrections(strings.Join(phrases[:], ". ")))
	for text, want := range map[string]int{
		"":                          0,
		"wait":                      1,
		"Wait, wait":                2,
		"waitwait":                  0,
		"await waits 1wait wait2":   0,
		"éwait waité 等wait wait":    1,
		"_wait_ $wait$ re-wait":     3,
		"wait\u0301":                1, // a combining mark is no letter
		"let me re-check":           1,
		"let me\v\f\r\n\t re-check": 1,
		"let me\u00a0recheck":       0, // whitespace is that of ASCII
		"LET’S TRY AGAIN":           1,
		"let‘s try again":           0,
		"that's not right":          1,
		"İ MADE A MISTAKE":          0, // lower case is that of ASCII
		"\xffwait\xff":              1,
		"on second thoughts":        0,
	} {
		require.Equal(t, want, selfCorrections(text), text)
	}
}

// The first phrase that fits is the longest: none is the beginning of another
// up to a character that may follow a phrase.
func TestPhrasesDoNotNest(t *testing.T) {
	for _, p := range phrases {
		for _, q := range phrases {
			if rest, ok := strings.CutPrefix(q, p); ok && rest != "" {
				require.True(t, wordy(rune(rest[0])), "%q opens with %q", q, p)
			}
		}
	}
}

// The line of a heading ends behind its colon, though the heading itself may
// run over several lines.
func TestRepeatedHeading(t *testing.T) {
	for text, want := range map[string]bool{
		"### Step 2: A\n### Step 2: A":        true,
		"### Step 2: A\n###\tStep 2:  A \r\n": true,
		"### Step 2: A ### Step 2: A":         false, // one line: the first runs on
		"###\nStep 2: A\n###\nStep 3: A":      false,
		"###\nStep 2: A\n### Step 2: A":       true,
		"### Step 2: A\n### Step 2: a":        false,
		"A: b\nA: b":                          false,
	} {
		l := DetectLoop(text)
		require.Equal(t, want, l.RepeatedHeading(), text)
	}
}

// Blank lines more or less, or other whitespace between words, change no count.
func TestLoopIgnoresWhitespace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.SampledFrom([]string{"wait", "a", "Hmm,", "let me redo", "\\boxed{7}", "等", "\n\n"}), 0, 30).Draw(t, "words")
		var b strings.Builder
		for _, w := range words {
			if w == "\n\n" {
				b.WriteString(rapid.SampledFrom([]string{"\n\n", "\n \t\n", "\n\r\n\v\n\n"}).Draw(t, "break"))
				continue
			}
			b.WriteString(strings.ReplaceAll(w, " ", rapid.SampledFrom([]string{" ", "\t", "  "}).Draw(t, "inner")))
			b.WriteString(rapid.SampledFrom([]string{" ", "\t ", "\n", "\r\n"}).Draw(t, "space"))
		}
		require.Equal(t, DetectLoop(strings.Join(words, " ")), DetectLoop(b.String()))
	})
}

func FuzzDetectLoop(f *testing.F) {
	f.Add("### Step 1: a\nWait.\n\n### Step 1: a\n\nWait.")
	f.Add("let me re-\xff\u2019")
	f.Fuzz(func(t *testing.T, text string) {
		l := DetectLoop(text)
		if l.Duplicates < 0 || l.Paragraphs > 0 && l.Duplicates >= l.Paragraphs || l.SelfCorrections*4 > len(text)+1 {
			t.Fatalf("%+v of %q", l, text)
		}
		// Said twice, the text counts twice, and its paragraphs are all there already.
		twice := DetectLoop(text + "\n\n" + text)
		if twice.Paragraphs != 2*l.Paragraphs || twice.Duplicates != l.Duplicates+l.Paragraphs {
			t.Fatalf("%+v twice is %+v of %q", l, twice, text)
		}
	})
}
