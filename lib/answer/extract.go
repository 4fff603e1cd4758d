package answer

import (
	"regexp"
	"strings"
)

// Extract returns the final answer of a response: what the last closed \boxed{}
// or \fbox{} holds, braces inside respected, blanks around it dropped. A box
// inside of another is part of it. `\boxed 7` counts as well. Boxes that only
// commas, "and", "or", names with an equals sign or mathematical delimiters
// separate are one answer that lists them. What comes before a </think> is no
// answer.
func Extract(response string) (string, bool) {
	if i := strings.LastIndex(response, "</think>"); i >= 0 {
		response = response[i:]
	}
	boxes := boxesIn(response)
	if len(boxes) == 0 {
		return "", false
	}
	first := len(boxes) - 1
	for first > 0 && connects(response[boxes[first-1].end:boxes[first].start]) {
		first--
	}
	var parts []string
	for _, b := range boxes[first:] {
		text := strings.TrimSpace(response[b.from:b.to])
		if len(parts) == 0 || parts[len(parts)-1] != text { // an answer said twice is one answer
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, ", "), true
}

// box is a box in a text: bytes start..end, its content from..to.
type box struct{ start, from, to, end int }

// boxesIn returns the closed boxes of text, outermost ones only, in one pass.
// Escaped braces do not count.
func boxesIn(text string) []box {
	var out []box
	var open []box // for each open brace, the box it belongs to; start -1: none
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{':
			open = append(open, box{start: -1})
		case '}':
			n := len(open) - 1
			if n < 0 {
				continue
			}
			b := open[n]
			open = open[:n]
			if b.start >= 0 {
				b.to, b.end = i, i+1
				for len(out) > 0 && out[len(out)-1].start > b.start { // it holds those
					out = out[:len(out)-1]
				}
				out = append(out, b)
			}
		case '\\':
			if strings.HasPrefix(text[i:], `\\boxed`) || strings.HasPrefix(text[i:], `\\fbox`) {
				continue // a backslash that was escaped once too often
			}
			name := commandAt(text, i)
			arg := i + len(name)
			if name == `\boxed` || name == `\fbox` {
				for arg < len(text) && strings.IndexByte(" \t\r\n", text[arg]) >= 0 {
					arg++
				}
				if arg < len(text) && text[arg] == '{' {
					open = append(open, box{start: i, from: arg + 1})
					arg++
				} else if end := arg + bareLen(text[arg:]); end > arg && arg > i+len(name) {
					out = append(out, box{i, arg, end, end})
				}
			}
			i = arg - 1
		}
	}
	return out
}

// commandAt returns the command that begins with the backslash at i: with its
// letters, or with the one character behind it.
func commandAt(text string, i int) string {
	end := i + 1
	for end < len(text) && isLetter(text[end]) {
		end++
	}
	if end == i+1 && end < len(text) {
		end++
	}
	return text[i:end]
}

// bareLen is the length of an answer that stands in a box without braces.
func bareLen(s string) int {
	n := strings.IndexAny(s, " \t\r\n$\\{}")
	if n < 0 {
		n = len(s)
	}
	return len(strings.TrimRight(s[:n], ".,;:"))
}

// givenName is the left side of an equation whose right side is in a box.
var givenName = regexp.MustCompile(`\b[A-Za-z](?:_\{?\w\}?)?\s*=`)

var connectors = strings.NewReplacer(
	`\text{and}`, "", `\text{ and }`, "", `\text{or}`, "", `\text{ or }`, "", `\quad`, "", `\qquad`, "",
	`\(`, "", `\)`, "", `\[`, "", `\]`, "", `\,`, "", `\;`, "", `\ `, "", "$", "", ",", "", ";", "", "and", "", "or", "",
)

// connects says whether text between two boxes makes them one list: nothing but
// connectors and the names of what is given, or a few words that end in one.
func connects(text string) bool {
	const longest = 60
	if len(text) > longest {
		return false
	}
	if strings.TrimSpace(connectors.Replace(givenName.ReplaceAllString(text, ""))) == "" {
		return true
	}
	return labels.MatchString(text)
}

// labels are the words of one answer with the connector to the next: "papers and".
var labels = regexp.MustCompile(`^[ $]*(?:\\text\{ *)?(?:(?:for|of|in) )?(?:[a-z()]+ ){1,3}and[ }$]*$`)

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
