// Package steps divides a response into its steps and says which step each
// token belongs to.
//
// A step starts at a heading "### Step N:" and ends where the next heading
// starts or the response ends. Steps count in order of appearance from 1,
// whatever number is printed; text before the first heading belongs to no step.
package steps

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Step is the span of one step: bytes Start up to End of the response.
type Step struct {
	Printed    int32 // the number in the heading
	HasPrinted bool  // false without a heading, or where the number exceeds int32
	Start, End int
}

// The classes are ASCII: \s is space, tab, LF, FF, CR and \d is 0-9.
var heading = regexp.MustCompile(`###\s*Step\s*(\d+)\s*:`)

// HeadingLen returns the length of the heading that a step opens with, 0 for a
// step without.
func HeadingLen(step string) int {
	if m := heading.FindStringIndex(step); m != nil && m[0] == 0 {
		return m[1]
	}
	return 0
}

// Split returns the steps of a response, at least one: without a heading the
// whole response is step 1.
func Split(response string) []Step {
	found := heading.FindAllStringSubmatchIndex(response, -1)
	if found == nil {
		return []Step{{End: len(response)}}
	}
	out := make([]Step, len(found))
	for i, m := range found {
		s := Step{Start: m[0], End: len(response)}
		if i+1 < len(found) {
			s.End = found[i+1][0]
		}
		if n, err := strconv.ParseInt(response[m[2]:m[3]], 10, 32); err == nil {
			s.Printed, s.HasPrinted = int32(n), true
		}
		out[i] = s
	}
	return out
}

// OfTokens returns the step (1-based) of each token, 0 for a token of no step.
// offsets[t] is the byte in which token t begins: a token that straddles a
// border belongs to the step in which it starts. A token without text has the
// offset textLen, the length of the response, and belongs to no step.
func OfTokens(steps []Step, offsets []int32, textLen int) []int32 {
	out := make([]int32, len(offsets))
	k := 0
	for t, o := range offsets {
		at := int(o)
		// Offsets rise but for decoders that reorder: the search goes both ways.
		for k > 0 && at < steps[k].Start {
			k--
		}
		for k+1 < len(steps) && at >= steps[k+1].Start {
			k++
		}
		if at < textLen && len(steps) > 0 && at >= steps[k].Start && at < steps[k].End {
			out[t] = int32(k + 1)
		}
	}
	return out
}

// Proportional returns the step of each of n tokens as the public recipe of
// arXiv 2605.17291 has it: borders in characters are scaled by n over the
// number of characters and cut to whole tokens. That is wrong for uneven
// tokens; [OfTokens] is exact.
func Proportional(response string, steps []Step, n int) []int32 {
	out := make([]int32, n)
	chars := utf8.RuneCountInString(response)
	if chars == 0 {
		for t := range out {
			out[t] = 1
		}
		return out
	}
	at, before := 0, 0 // a byte and the characters before it
	scale := func(b int) int {
		if b < at {
			at, before = 0, 0
		}
		before += utf8.RuneCountInString(response[at:b])
		at = b
		return int(float64(before) / float64(chars) * float64(n))
	}
	for k, s := range steps {
		t, end := scale(s.Start), scale(s.End)
		for ; t < end; t++ {
			out[t] = int32(k + 1)
		}
	}
	return out
}

// WellFormed reports whether a response keeps the form that the prompt asks
// for: a step heading, and a \boxed{} whose braces close.
func WellFormed(response string) bool {
	return heading.MatchString(response) && boxed(response)
}

// boxed reports whether text holds a \boxed{...} that closes, in one pass. An
// escaped brace does not count.
func boxed(text string) bool {
	const command = `\boxed`
	var open []bool // for each open brace: it is that of a box
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			if !strings.HasPrefix(text[i:], command) {
				i++ // whatever is escaped is no brace
				continue
			}
			arg := strings.TrimLeft(text[i+len(command):], " \t\r\n")
			if strings.HasPrefix(arg, "{") {
				i = len(text) - len(arg)
				open = append(open, true)
			}
		case '{':
			open = append(open, false)
		case '}':
			if n := len(open) - 1; n >= 0 {
				if open[n] {
					return true
				}
				open = open[:n]
			}
		}
	}
	return false
}
