package chat

import "strings"

// tokens is a set of tokens to be found in texts.
type tokens struct {
	byFirst [256][]string // longest first
}

func newTokens(texts []string) *tokens {
	t := &tokens{}
	seen := map[string]bool{}
	for _, s := range texts {
		if s == "" || seen[s] {
			continue
		}
		seen[s] = true
		l := t.byFirst[s[0]]
		i := 0
		for i < len(l) && len(l[i]) >= len(s) {
			i++
		}
		t.byFirst[s[0]] = append(l[:i:i], append([]string{s}, l[i:]...)...)
	}
	return t
}

// at returns the longest token that s begins with, among those for which ok.
func (t *tokens) at(s string, ok func(rest string) bool) string {
	for _, tok := range t.byFirst[s[0]] {
		if strings.HasPrefix(s, tok) && ok(s[len(tok):]) {
			return tok
		}
	}
	return ""
}

// The markers of transformers, from a plane of private use.
const (
	markOpen  = "\U000f0000"
	markClose = "\U000f0001"
)

var dropMarks = strings.NewReplacer(markOpen, "", markClose, "")

// mark puts markers around the tokens in s, so that they can be told from
// those that the template writes. Markers that s has already are dropped: they
// could forge one. changed says whether the result may hold markers.
func (t *tokens) mark(s string) (out string, changed bool) {
	s = dropMarks.Replace(s)
	var b strings.Builder
	any := func(string) bool { return true }
	done := 0
	for i := 0; i < len(s); {
		tok := t.at(s[i:], any)
		if tok == "" {
			i++
			continue
		}
		b.WriteString(s[done:i])
		b.WriteString(markOpen + tok + markClose)
		i += len(tok)
		done = i
	}
	if done == 0 {
		return s, false
	}
	b.WriteString(s[done:])
	return b.String(), true
}

// unmark takes the markers out of a rendered text again and returns the ranges
// that they enclosed. A marker that no longer belongs to a whole token leaves
// an empty range.
func (t *tokens) unmark(s string) (text string, guarded [][2]int) {
	var b strings.Builder
	closed := func(rest string) bool { return strings.HasPrefix(rest, markClose) }
	for s != "" {
		i := strings.IndexAny(s, markOpen+markClose)
		if i < 0 {
			break
		}
		b.WriteString(s[:i])
		rest := s[i+len(markOpen):]
		from := b.Len()
		if strings.HasPrefix(s[i:], markOpen) && rest != "" {
			if tok := t.at(rest, closed); tok != "" {
				b.WriteString(tok)
				rest = rest[len(tok)+len(markClose):]
			}
		}
		guarded = append(guarded, [2]int{from, b.Len()})
		s = rest
	}
	b.WriteString(s)
	return b.String(), guarded
}
