package judge

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"srar/lib/rubric"
)

// ReadVerdicts reads the reply to a [Task] with these items and that many
// steps: one verdict for each item that is no ANSWER, in ascending order of id.
//
// Everything up to the last </think> is dropped, and of the rest everything
// from a <think> on. In what is left every JSON array or object that stands
// anywhere is looked at, so prose and code fences need no rules. A candidate is
// an array that is empty or holds an object, or an object with exactly one such
// array among its members. The reply counts when its candidates that are
// complete sets all say the same. Otherwise the error has the class empty, no
// json, schema or ambiguous; no verdict is ever filled in.
func ReadVerdicts(reply string, items []rubric.Item, steps int) ([]Verdict, *Error) {
	if strings.TrimSpace(reply) == "" {
		return nil, &Error{ClassEmpty, "the reply is blank"}
	}
	want := map[int32]bool{}
	for _, it := range items {
		if it.Type != rubric.ANSWER {
			want[it.ID] = true
		}
	}
	var set []Verdict
	var flaw *Error
	for v := range findJSON(conclusion(reply)) {
		list, ok := candidate(v)
		if !ok {
			continue
		}
		got, err := complete(list, want, steps)
		switch {
		case err != nil:
			flaw = err // the last one is most likely what was meant
		case set != nil && !slices.Equal(set, got):
			return nil, &Error{ClassAmbiguous, "the reply holds different complete sets"}
		default:
			set = got
		}
	}
	switch {
	case set != nil:
		return set, nil
	case flaw != nil:
		return nil, flaw
	}
	return nil, &Error{ClassNoJSON, "the reply holds no JSON array of verdicts"}
}

// conclusion cuts the thinking off a reply.
func conclusion(reply string) string {
	if i := strings.LastIndex(reply, "</think>"); i >= 0 {
		reply = reply[i+len("</think>"):]
	}
	reply, _, _ = strings.Cut(reply, "<think>")
	return reply
}

// candidate returns the list in v that may be a set of verdicts.
func candidate(v string) (list string, ok bool) {
	if v[0] == '[' {
		return v, verdictList(v)
	}
	n := 0
	for _, m := range members(v) {
		if verdictList(m) {
			list = m
			n++
		}
	}
	return list, n == 1
}

// verdictList says whether v is an array that is empty or holds an object.
func verdictList(v string) bool {
	if v[0] != '[' {
		return false
	}
	empty := true
	for e := range elements(v) {
		if e[0] == '{' {
			return true
		}
		empty = false
	}
	return empty
}

// complete reads list as exactly one verdict for each id in want.
func complete(list string, want map[int32]bool, steps int) ([]Verdict, *Error) {
	flaw := func(format string, a ...any) ([]Verdict, *Error) {
		return nil, &Error{ClassSchema, fmt.Sprintf(format, a...)}
	}
	set := make([]Verdict, 0, len(want))
	have := map[int32]bool{}
	n := 0
	for e := range elements(list) {
		n++
		v, err := verdict(e)
		switch {
		case err != "":
			return flaw("element %d: %s", n, err)
		case !want[v.ID]:
			return flaw("unknown item %d", v.ID)
		case have[v.ID]:
			return flaw("item %d twice", v.ID)
		case v.Step < NoStep || int(v.Step) > steps:
			return flaw("item %d: step %d is not in -1..%d", v.ID, v.Step, steps)
		}
		have[v.ID] = true
		set = append(set, v)
	}
	missing := []int32{}
	for id := range want {
		if !have[id] {
			missing = append(missing, id)
		}
	}
	if len(missing) > 0 {
		return flaw("item %d missing", slices.Min(missing))
	}
	slices.SortFunc(set, func(a, b Verdict) int { return cmp.Compare(a.ID, b.ID) })
	return set, nil
}

// verdict reads one element; err says what is wrong with it.
func verdict(e string) (v Verdict, err string) {
	if e[0] != '{' {
		return v, "not an object"
	}
	var id, satisfied, step string
	for name, val := range members(e) {
		var slot *string
		switch name {
		case "id":
			slot = &id
		case "satisfied":
			slot = &satisfied
		case "step":
			slot = &step
		default:
			continue
		}
		if *slot != "" {
			return v, name + " twice"
		}
		*slot = val
	}
	switch {
	case id == "":
		return v, "no id"
	case satisfied == "":
		return v, "no satisfied"
	case step == "":
		return v, "no step"
	}
	var ok bool
	if v.ID, ok = integer(id); !ok {
		return v, "id is not an integer"
	}
	if v.Satisfied, ok = boolean(satisfied); !ok {
		return v, "satisfied is not a boolean"
	}
	if v.Step, ok = integer(step); !ok {
		return v, "step is not an integer"
	}
	return v, ""
}

// integer reads a number with an integral value, or a string of a plain integer.
func integer(v string) (int32, bool) {
	switch c := v[0]; {
	case c == '-' || '0' <= c && c <= '9':
		return int32Of(v)
	case c == '"':
		p := parser{text: unquote(v)}
		p.take('-')
		if !p.digits() || p.at != len(p.text) {
			return 0, false
		}
		n, err := strconv.ParseInt(p.text, 10, 32)
		return int32(n), err == nil
	}
	return 0, false
}

// boolean reads true, false, or a string of either in any letter case.
func boolean(v string) (val, ok bool) {
	if v[0] == '"' {
		v = unquote(v)
	}
	switch { // as a bare word only the lower-case forms are JSON
	case asciiFold(v, "true"):
		return true, true
	case asciiFold(v, "false"):
		return false, true
	}
	return false, false
}

// asciiFold says whether s is the lower-case ASCII word w in some letter case.
func asciiFold(s, w string) bool {
	return len(s) == len(w) && strings.EqualFold(s, w)
}

// ReadMark reads the reply to a [StepTask]: true for CORRECT, false for
// INCORRECT, in any letter case, as a word that letters bound. Thinking is cut
// off as in [ReadVerdicts]. Without one of the words, or with both, it fails.
func ReadMark(reply string) (bool, *Error) {
	if strings.TrimSpace(reply) == "" {
		return false, &Error{ClassEmpty, "the reply is blank"}
	}
	text := conclusion(reply)
	right, wrong := hasWord(text, "correct"), hasWord(text, "incorrect")
	switch {
	case right && wrong:
		return false, &Error{ClassAmbiguous, "the reply says both CORRECT and INCORRECT"}
	case !right && !wrong:
		return false, &Error{ClassNoMark, "the reply says neither CORRECT nor INCORRECT"}
	}
	return right, nil
}

// hasWord looks for the lower-case ASCII word w in any letter case with no
// letter beside it.
func hasWord(text, w string) bool {
	for i := 0; i+len(w) <= len(text); i++ {
		if !asciiFold(text[i:i+len(w)], w) {
			continue
		}
		before, _ := utf8.DecodeLastRuneInString(text[:i])
		after, _ := utf8.DecodeRuneInString(text[i+len(w):])
		if !unicode.IsLetter(before) && !unicode.IsLetter(after) {
			return true
		}
	}
	return false
}
