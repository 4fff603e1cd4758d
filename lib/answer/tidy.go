package answer

import (
	"regexp"
	"strings"
)

// tidy brings an answer into one spelling: boxes, dollar signs and spacing
// commands go, characters become commands.
func tidy(s string) string {
	s = spelling.Replace(s)
	if !strings.Contains(s, `\begin`) { // where lines cannot break, two backslashes are one that was escaped
		s = escapedTwice.ReplaceAllString(s, `\$1`)
	}
	if strings.Contains(s, `\boxed`) || strings.Contains(s, `\fbox`) {
		if inner, ok := Extract(s); ok {
			s = inner
		}
	}
	s = sized.ReplaceAllString(s, " ")
	s = dropped.Replace(s)
	s = inlineText(s)
	s = strings.Join(strings.Fields(s), " ")
	return strings.TrimSpace(strings.TrimRight(s, " .,;:"))
}

// inlineText takes the text commands off what is no text: letters, numbers and
// connecting words. Behind something a single letter may be a unit, and stays.
func inlineText(s string) string {
	var b strings.Builder
	done := 0
	for _, at := range textCommand.FindAllStringIndex(s, -1) {
		t := s[at[0]:at[1]]
		w := strings.TrimSpace(t[strings.IndexByte(t, '{')+1 : len(t)-1])
		_, unit := units[w]
		if w == "and" || w == "or" || !anyWord.MatchString(w) && !(unit && at[0] > 0) {
			t = " " + w + " "
		}
		b.WriteString(s[done:at[0]])
		b.WriteString(t)
		done = at[1]
	}
	b.WriteString(s[done:])
	return b.String()
}

// spelling turns characters into the commands and ASCII that mean the same.
var spelling = strings.NewReplacer(
	"−", "-", "–", "-", "－", "-", "×", `\times `, "·", `\cdot `, "⋅", `\cdot `, "÷", "/", "∕", "/", "π", `\pi `, "√", `\sqrt `, "∞", `\infty `,
	"≤", `\le `, "≥", `\ge `, "≠", `\ne `, "∪", `\cup `, "∈", `\in `, "±", `\pm `, "∓", `\mp `, "∅", `\emptyset `, "°", "",
	"½", `\frac{1}{2}`, "⅓", `\frac{1}{3}`, "⅔", `\frac{2}{3}`, "¼", `\frac{1}{4}`, "¾", `\frac{3}{4}`,
	"⁰", "^0", "¹", "^1", "²", "^2", "³", "^3", "⁴", "^4", "⁵", "^5", "⁶", "^6", "⁷", "^7", "⁸", "^8", "⁹", "^9",
	"（", "(", "）", ")", "，", ",", "；", ";", "：", ":", "％", "%", "＝", "=", "＋", "+", "\u00a0", " ", "\u2009", " ", "\u202f", " ",
	"€", "", "£", "", "¥", "",
	// a comma that only groups digits
	`,\!`, "", `,\! `, "", "{,}", "",
)

// sized are commands that change the size or style of what follows.
var sized = regexp.MustCompile(`\\(left|right|big|Big|bigg|Bigg|bigl|bigr|Bigl|Bigr|displaystyle|textstyle|limits|mathstrut)(\.|\b)|\\q?quad`)

var escapedTwice = regexp.MustCompile(`\\\\([A-Za-z!,;{}%$])`)

var dropped = strings.NewReplacer(
	`\$`, "", "$", "", `\(`, "", `\)`, "", `\[`, "", `\]`, "", `\!`, "", `\,`, " ", `\;`, " ", `\:`, " ", `\ `, " ", `~`, " ",
	`\dfrac`, `\frac`, `\tfrac`, `\frac`, `\cfrac`, `\frac`, `\lbrace`, `\{`, `\rbrace`, `\}`, `\%`, "%", `\degree`, "",
	`^\circ`, "", `^{\circ}`, "", `^ \circ`, "", `^{ \circ }`, "",
	"<=", `\le `, ">=", `\ge `, "!=", `\ne `, `\leqslant`, `\le `, `\geqslant`, `\ge `, `\lt`, "<", `\gt`, ">",
	`\\`, `\\`, // a line break of a matrix: the backslashes belong together
)

// textCommand is a command that sets its argument as text.
var textCommand = regexp.MustCompile(`\\(?:text|mbox|textbf|textit|textrm|textnormal|texttt|mathrm|mathbf|mathit|mathsf|operatorname|hbox|rm)\s*\{[^{}]*\}`)

// anyWord is two letters together.
var anyWord = regexp.MustCompile(`[A-Za-z]{2}`)

// unwrapText takes the text commands off s. words says whether only words are left.
func unwrapText(s string) (plain string, words bool) {
	plain = textCommand.ReplaceAllStringFunc(s, func(t string) string {
		return t[strings.IndexByte(t, '{')+1 : len(t)-1]
	})
	return plain, onlyWords.MatchString(plain) && longWord.MatchString(plain)
}

var (
	onlyWords = regexp.MustCompile(`^[\pL '’\-.()!]+$`)
	longWord  = regexp.MustCompile(`\pL{3}|[^\x00-\x7f]`)
)
