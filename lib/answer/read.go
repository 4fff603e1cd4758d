package answer

import (
	"errors"
	"regexp"
	"strings"

	"srar/lib/expr"
)

// tidy takes off an answer what is around it: boxes, the words of a sentence that
// states it, points at the end.
func tidy(s string) string {
	s = strings.TrimSpace(s)
	for _, is := range [...]string{`=`, `\approx `} {
		s = strings.TrimPrefix(s, is)
	}
	if strings.Contains(s, "boxed") || strings.Contains(s, `\fbox`) {
		if inner, ok := Extract(s); ok {
			return tidy(inner)
		}
		if i := strings.LastIndex(s, `\boxed{`); i == 0 || i == 1 && s[0] == '\\' { // one that does not close
			s = s[i+len(`\boxed{`):]
		}
	}
	if strings.IndexByte(s, ' ') >= 0 {
		s = stated(s)
	}
	if t := strings.TrimRight(s, " .,;:\n\t"); t != "" && !strings.HasSuffix(t, `\`) {
		s = t
	}
	return strings.TrimSpace(s)
}

var (
	// answerIs is the beginning of a sentence that states an answer.
	answerIs = regexp.MustCompile(`(?i)\banswer(?:\s+is:?|:)\s+`)
	// proseMath is a sentence that ends in the only formula that it holds.
	proseMath = regexp.MustCompile(`^[A-Za-z ,']*\b(?:that|is|are|get|find|have|obtain|so|thus|therefore|hence),? \$([^$]+)\$\s*\.?$`)
	// formula is one at the beginning.
	formula = regexp.MustCompile(`^(?:\$([^$]+)\$|\\\((.+?)\\\))`)
)

// stated returns what a sentence states as the answer; s itself if it is none.
func stated(s string) string {
	if at := answerIs.FindAllStringIndex(s, -1); at != nil {
		rest := s[at[len(at)-1][1]:]
		if f := formula.FindStringSubmatch(rest); f != nil {
			return f[1] + f[2]
		}
		if sentence, _, ok := strings.Cut(rest, ". "); ok {
			return sentence
		}
		return rest
	}
	if f := proseMath.FindStringSubmatch(s); f != nil {
		return f[1]
	}
	return s
}

// readings returns what s may mean, which is more than one thing where a comma
// may separate, group digits, or stand for the decimal point.
func (c *comparer) readings(s string) []*expr.Node {
	var out []*expr.Node
	add := func(s string, o expr.Options) {
		n, err := expr.Parse(c.w, s, o)
		if err == nil {
			out = append(out, n)
		}
		c.limited = c.limited || errors.Is(err, expr.ErrLimit)
	}
	add(s, expr.Options{})
	if mayGroup(s) {
		add(s, expr.Options{Grouped: true})
	}
	if t, ok := decimalComma(s); ok {
		add(t, expr.Options{})
	}
	if len(out) == 0 { // the name of what is given may be unreadable
		const longest = 80
		if i := strings.LastIndexByte(s, '='); i > 0 && i < longest && strings.IndexByte(`<>!:\`, s[i-1]) < 0 && !strings.ContainsAny(s[:i], ",;") {
			add(s[i+1:], expr.Options{})
		}
	}
	return out
}

// mayGroup says whether a separator stands between a digit and three more.
func mayGroup(s string) bool {
	for i := 1; i+3 < len(s); i++ {
		if (s[i] == ',' || s[i] == ' ' || s[i] >= 0x80) && isDigit(s[i+1]) && isDigit(s[i+2]) && isDigit(s[i+3]) {
			return true
		}
	}
	return false
}

// decimalComma replaces the only comma of a number by a point: where other than
// three digits follow, or a zero is before it.
func decimalComma(s string) (string, bool) {
	whole, part, ok := strings.Cut(strings.Trim(s, "$ "), ",")
	digits := strings.TrimPrefix(whole, "-")
	if !ok || !isDigits(digits) || !isDigits(part) || len(part) < 2 || len(part) == 3 && digits != "0" {
		return "", false
	}
	return whole + "." + part, true
}

// sameSpelling compares answers as texts.
func (c *comparer) sameSpelling(a, b string) bool {
	x, err1 := expr.Spelling(c.w, a)
	y, err2 := expr.Spelling(c.w, b)
	return err1 == nil && err2 == nil && x == y
}

// option is an answer of multiple choice that repeats what is chosen.
var option = regexp.MustCompile(`^(?:\\text(?:bf)?\{)?\(?([A-E])[).:]\}?[ ~]*\S`)

// sameChoice compares the letter of a choice with the letter and its text.
func sameChoice(a, b string) bool {
	x, y := option.FindStringSubmatch(a), option.FindStringSubmatch(b)
	switch {
	case x != nil && y == nil:
		return letter(b) == x[1]
	case y != nil && x == nil:
		return letter(a) == y[1]
	}
	return false
}

// letter returns the letter that s consists of, in brackets or a text command;
// empty if it is something else.
func letter(s string) string {
	s = strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(s, `\text{`), `\textbf{`), "}")
	s = strings.Trim(s, "() .$")
	if len(s) == 1 {
		return s
	}
	return ""
}
