package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// added is a token that is found in the text as such, before any word is.
type added struct {
	ID         int
	Content    string
	SingleWord bool `json:"single_word"` // only where no word character touches it
	LStrip     bool // it takes the white space before it
	RStrip     bool // it takes the white space after it
	Normalized bool // found in normalised text, not in the text as it is
	Special    bool // left out of decoded text
}

// parseAdded reads the added tokens, whose ids may lie inside the vocabulary.
func (t *Tokenizer) parseAdded(b []byte) error {
	if b == nil { // the field is absent
		return nil
	}
	var list []added
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	for _, a := range list {
		if a.Content == "" {
			return errors.New("one has no content")
		}
		if a.ID < 0 || a.ID >= maxID {
			return fmt.Errorf("id %d of %q is out of range", a.ID, a.Content)
		}
		id := int32(a.ID)
		text, ok := appendBytes(nil, []byte(a.Content))
		if !ok {
			text = []byte(a.Content)
		}
		known, there := t.names[a.Content]
		if w, inModel := t.words[string(text)]; !there && ok && inModel {
			known, there = w, true
		}
		for len(t.bytes) <= a.ID {
			t.bytes, t.special = append(t.bytes, ""), append(t.special, false)
		}
		if there && known != id || !there && t.bytes[id] != "" {
			return fmt.Errorf("%q and id %d belong to different tokens", a.Content, a.ID)
		}
		t.names[a.Content], t.bytes[id], t.special[id] = id, string(text), a.Special
		if a.Normalized {
			if t.nfc {
				a.Content, _ = compose(a.Content)
			}
			t.normal.add(a)
		} else {
			t.raw.add(a)
		}
	}
	t.raw.sort()
	t.normal.sort()
	return nil
}

// matcher finds added tokens in text.
type matcher struct {
	list  []added // in order of content
	first [256]bool
}

func (m *matcher) add(a added) {
	m.list = append(m.list, a)
	m.first[a.Content[0]] = true
}

func (m *matcher) sort() {
	slices.SortStableFunc(m.list, func(a, b added) int { return strings.Compare(a.Content, b.Content) })
	m.list = slices.CompactFunc(m.list, func(a, b added) bool { return a.Content == b.Content })
}

// longest returns the longest token that text has at lo and that is not
// blocked: the candidates, which are sorted, narrow down byte by byte.
func (m *matcher) longest(text string, lo int, blocked func(lo, hi int) bool) *added {
	var best *added
	list := m.list
	for n := 0; len(list) > 0; n++ {
		if a := &list[0]; len(a.Content) == n { // the shortest of equal prefix comes first
			if blocked == nil || !blocked(lo, lo+n) {
				best = a
			}
			list = list[1:]
		}
		if lo+n == len(text) {
			break
		}
		c := text[lo+n]
		from, _ := slices.BinarySearchFunc(list, c, func(a added, c byte) int { return int(a.Content[n]) - int(c) })
		to := from
		for to < len(list) && list[to].Content[n] == c {
			to++
		}
		list = list[from:to]
	}
	return best
}

// find cuts text into added tokens and what lies between them, from left to
// right, leftmost and longest first; visit gets the text between with id -1.
func (m *matcher) find(text string, blocked func(lo, hi int) bool, visit func(lo, hi int, id int32)) {
	done := 0 // text before is visited
	for at := 0; at < len(text); {
		if !m.first[text[at]] {
			at++
			continue
		}
		a := m.longest(text, at, blocked)
		if a == nil {
			at++
			continue
		}
		lo, hi := at, at+len(a.Content)
		at = hi
		if a.SingleWord && (wordBefore(text[:lo]) || wordAfter(text[hi:])) {
			continue
		}
		if a.LStrip {
			if done < lo { // not what the match before took
				lo = done + len(strings.TrimRightFunc(text[done:lo], unicode.IsSpace))
			}
		}
		if a.RStrip {
			hi = len(text) - len(strings.TrimLeftFunc(text[hi:], unicode.IsSpace))
		}
		if done < lo {
			visit(done, lo, -1)
		}
		visit(lo, hi, int32(a.ID))
		done = hi
	}
	if done < len(text) {
		visit(done, len(text), -1)
	}
}

func wordBefore(s string) bool {
	r, n := utf8.DecodeLastRuneInString(s)
	return n > 0 && wordRune(r)
}

func wordAfter(s string) bool {
	r, n := utf8.DecodeRuneInString(s)
	return n > 0 && wordRune(r)
}

// wordRune is \w of Unicode's regular expressions (UTS 18, annex C).
func wordRune(r rune) bool {
	return classes().of(r) == letter || unicode.In(r, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic, unicode.Join_Control)
}
