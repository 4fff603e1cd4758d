// Package rubric reads rubrics: lists of items, each checked against a solution
// by a judge.
//
// A rubric is a text of lines "<TYPE> text" where TYPE is one of SUGGEST (a key
// step done right), PITFALL (a known mistake), BONUS (an elegant extra) and
// ANSWER (the final answer). The format is that of Step-wise Rubrics as Rewards
// (arXiv 2605.17291).
package rubric

import (
	"fmt"
	"strings"
)

// The types of items.
const (
	SUGGEST = "SUGGEST" // a key step done right: earns
	PITFALL = "PITFALL" // a known mistake: costs when it was made
	BONUS   = "BONUS"   // an elegant extra: earns
	ANSWER  = "ANSWER"  // the final answer: checked by rule, never judged, earns nothing
)

// Types lists the types of items in the order rubrics give them.
var Types = [...]string{SUGGEST, PITFALL, BONUS, ANSWER}

// Item is one line of a rubric.
type Item struct {
	ID   int32  // 1-based number of the line in the rubric, blank lines counted
	Type string // SUGGEST, PITFALL, BONUS or ANSWER
	Text string // never empty, no blanks around it
}

// Error says which line of a rubric does not read.
type Error struct {
	Line int // 1-based
	Text string
}

func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Text) }

// blanks are what may stand around a line and behind a tag. Other Unicode
// spaces belong to the text.
const blanks = " \t\r"

// Parse reads a rubric. Lines end with LF; blank lines are skipped but counted.
// A line without a known tag, or with nothing behind it, is an [*Error]. A text
// of blank lines has no items.
func Parse(text string) ([]Item, error) {
	var items []Item
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		line = strings.Trim(line, blanks)
		if line == "" {
			continue
		}
		typ, rest, ok := cutTag(line)
		if !ok {
			return nil, &Error{n, fmt.Sprintf("%q does not open with <SUGGEST>, <PITFALL>, <BONUS> or <ANSWER>", shorten(line))}
		}
		rest = strings.TrimLeft(rest, blanks)
		if rest == "" {
			return nil, &Error{n, fmt.Sprintf("nothing behind <%s>", typ)}
		}
		items = append(items, Item{ID: int32(n), Type: typ, Text: rest})
	}
	return items, nil
}

func cutTag(line string) (typ, rest string, ok bool) {
	if !strings.HasPrefix(line, "<") {
		return "", "", false
	}
	for _, t := range Types {
		if rest, ok := strings.CutPrefix(line[1:], t+">"); ok {
			return t, rest, true
		}
	}
	return "", "", false
}

// shorten keeps an error on one line of a terminal.
func shorten(s string) string {
	const most = 40
	for i := range s {
		if i >= most {
			return s[:i] + "..."
		}
	}
	return s
}
