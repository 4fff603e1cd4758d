package score

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"srar/lib/steps"
)

// Loop is what a response shows of going round in circles.
type Loop struct {
	SelfCorrections int // phrases such as "wait" and "let me re-check"
	Paragraphs      int // runs of lines that are not blank
	Duplicates      int // paragraphs less distinct ones, whitespace aside
	StepOnes        int // step headings with the printed number 1
	SameHeading     bool
}

// The rules, any of which makes a loop.
func (l *Loop) ManySelfCorrections() bool { return l.SelfCorrections > 20 }
func (l *Loop) StepOneAgain() bool        { return l.StepOnes > 1 }
func (l *Loop) RepeatedHeading() bool     { return l.SameHeading }
func (l *Loop) DuplicateParagraphs() bool { return 10*l.Duplicates > l.Paragraphs }

// Loops reports whether any of the rules holds.
func (l *Loop) Loops() bool {
	return l.ManySelfCorrections() || l.StepOneAgain() || l.RepeatedHeading() || l.DuplicateParagraphs()
}

// DetectLoop reads a response. Whitespace is that of ASCII, lines end with LF.
// The rules are those of arXiv 2605.17291, which prints no list of phrases.
func DetectLoop(response string) Loop {
	l := Loop{SelfCorrections: selfCorrections(response)}
	lines := map[string]bool{}
	for _, s := range steps.Split(response) {
		if s.HasPrinted && s.Printed == 1 {
			l.StepOnes++
		}
		if line, ok := headingLine(response[s.Start:]); ok {
			l.SameHeading = l.SameHeading || lines[line]
			lines[line] = true
		}
	}
	distinct := map[string]bool{}
	for p := range paragraphs(response) {
		l.Paragraphs++
		if distinct[p] {
			l.Duplicates++
		}
		distinct[p] = true
	}
	return l
}

// headingLine returns the heading that a step opens with, up to the line end.
func headingLine(step string) (string, bool) {
	n := steps.HeadingLen(step)
	if n == 0 {
		return "", false // the one step of a response without headings
	}
	rest, _, _ := strings.Cut(step[n:], "\n")
	return collapse(step[:n+len(rest)]), true
}

// paragraphs yields the paragraphs of a text with whitespace collapsed.
func paragraphs(text string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		start := -1 // of the paragraph that is open
		at := 0
		for line := range strings.SplitAfterSeq(text, "\n") {
			if strings.Trim(line, whitespace) == "" {
				if start >= 0 && !yield(collapse(text[start:at])) {
					return
				}
				start = -1
			} else if start < 0 {
				start = at
			}
			at += len(line)
		}
		if start >= 0 {
			yield(collapse(text[start:]))
		}
	}
}

const whitespace = " \t\n\v\f\r"

func isSpace(c byte) bool { return c == ' ' || c-'\t' < 5 }

// collapse makes one space of each run of whitespace and drops it at the ends.
func collapse(s string) string {
	return string(appendCollapsed(make([]byte, 0, len(s)), strings.Trim(s, whitespace)))
}

func appendCollapsed(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if !isSpace(s[i]) {
			b = append(b, s[i])
		} else if i == 0 || !isSpace(s[i-1]) {
			b = append(b, ' ')
		}
	}
	return b
}

var phrases = [...]string{
	"wait", "hold on", "hmm", "actually", "on second thought", "scratch that",
	"let me reconsider", "let me rethink", "let me re-examine", "let me reexamine",
	"let me recheck", "let me re-check", "let me double-check", "let me double check",
	"let me try again", "let me start over", "let me redo", "let me correct",
	"let's reconsider", "let's try again", "let's start over",
	"i made a mistake", "i made an error", "that's not right", "that is not right",
	"that's wrong", "that is wrong", "that can't be right", "that cannot be right",
}

// byLetter holds the phrases by their first letter. None opens with another one
// and a space, so the first that fits is the longest.
var byLetter = func() (t [256][][]byte) {
	for _, p := range phrases {
		t[p[0]] = append(t[p[0]], []byte(p))
	}
	return t
}()

// selfCorrections counts the phrases in a text, from the left, without overlap,
// the longest first, with no letter or digit directly before or after. Case,
// the shape of the apostrophe and of whitespace do not matter.
func selfCorrections(text string) int {
	b := appendCollapsed(make([]byte, 0, len(text)), strings.ReplaceAll(text, "\u2019", "'"))
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	n := 0
	for i := 0; i < len(b); {
		if l := phraseAt(b, i); l > 0 {
			n++
			i += l
		} else {
			i++
		}
	}
	return n
}

// phraseAt returns the length of the phrase that starts at byte i, or 0.
func phraseAt(b []byte, i int) int {
	for _, p := range byLetter[b[i]] {
		if !bytes.HasPrefix(b[i+1:], p[1:]) {
			continue
		}
		before, _ := utf8.DecodeLastRune(b[:i])
		after, size := utf8.DecodeRune(b[i+len(p):])
		if !wordy(before) && (size == 0 || !wordy(after)) {
			return len(p)
		}
	}
	return 0
}

func wordy(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
