package token

import (
	"strings"
	"unicode/utf8"
)

// Decode returns the text of ids, and for each id the byte of text where the
// character starts that holds the token's first byte. Special tokens and ids
// without a token have no bytes; their offset is that of the character at the
// position reached, len(text) at the end. Each maximal ill-formed part of the
// bytes is one U+FFFD of 3 bytes.
func (t *Tokenizer) Decode(ids []int32) (text string, offsets []int32) { return t.decode(ids, true) }

// decode leaves special tokens out with skip.
func (t *Tokenizer) decode(ids []int32, skip bool) (string, []int32) {
	var b []byte
	offsets := make([]int32, len(ids))
	for i, id := range ids {
		offsets[i] = int32(len(b)) // in b until below
		b = append(b, t.piece(id, skip)...)
	}
	var out strings.Builder
	out.Grow(len(b))
	next := 0 // the first token whose offset is not final
	for at := 0; at < len(b); {
		n, ok := prefix(b[at:])
		for ; next < len(ids) && int(offsets[next]) < at+n; next++ {
			offsets[next] = int32(out.Len())
		}
		if ok {
			out.Write(b[at : at+n])
		} else {
			out.WriteRune(utf8.RuneError)
		}
		at += n
	}
	for ; next < len(ids); next++ {
		offsets[next] = int32(out.Len())
	}
	return out.String(), offsets
}

// piece returns the bytes of a token.
func (t *Tokenizer) piece(id int32, skip bool) string {
	if id < 0 || int(id) >= len(t.bytes) || skip && t.special[id] {
		return ""
	}
	return t.bytes[id]
}

// prefix returns the length of the UTF-8 sequence at the start of b, which
// is not empty: a well-formed one, or a maximal ill-formed part (Unicode 3.9,
// table 3-7 and "U+FFFD substitution of maximal subparts").
func prefix(b []byte) (n int, ok bool) {
	if r, n := utf8.DecodeRune(b); r != utf8.RuneError || n > 1 {
		return n, true
	}
	need, lo, hi := follow(b[0])
	for n = 1; n <= need && n < len(b) && b[n] >= lo && b[n] <= hi; n++ {
		lo, hi = 0x80, 0xbf
	}
	return n, false
}

// follow returns how many bytes follow a first byte, and the range of the
// second.
func follow(c byte) (need int, lo, hi byte) {
	switch {
	case c >= 0xc2 && c <= 0xdf:
		return 1, 0x80, 0xbf
	case c == 0xe0:
		return 2, 0xa0, 0xbf
	case c == 0xed:
		return 2, 0x80, 0x9f
	case c >= 0xe1 && c <= 0xef:
		return 2, 0x80, 0xbf
	case c == 0xf0:
		return 3, 0x90, 0xbf
	case c >= 0xf1 && c <= 0xf3:
		return 3, 0x80, 0xbf
	case c == 0xf4:
		return 3, 0x80, 0x8f
	}
	return 0, 0, 0
}

// Stream decodes token by token. What it returns, joined, is the text that
// [Tokenizer.Decode] gives for all tokens.
type Stream struct {
	t    *Tokenizer
	skip bool
	held []byte // bytes that may still become a character
}

// Stream returns a decoder that leaves special tokens out.
func (t *Tokenizer) Stream() *Stream { return &Stream{t: t, skip: true} }

// Next returns the text that is certain after one more token: all but a last
// part that could still become well-formed, or the first two bytes of a
// surrogate, for which Python's incremental decoder waits too.
func (s *Stream) Next(id int32) string {
	s.held = append(s.held, s.t.piece(id, s.skip)...)
	return s.take(false)
}

// End returns the text of what is left.
func (s *Stream) End() string { return s.take(true) }

func (s *Stream) take(all bool) string {
	var out strings.Builder
	at := 0
	for at < len(s.held) {
		rest := s.held[at:]
		n, ok := prefix(rest)
		if need, _, _ := follow(rest[0]); !ok && !all && (n == len(rest) && n <= need || surrogate(rest)) {
			break
		}
		if ok {
			out.Write(rest[:n])
		} else {
			out.WriteRune(utf8.RuneError)
		}
		at += n
	}
	s.held = append(s.held[:0], s.held[at:]...)
	return out.String()
}

// surrogate reports whether b is the first two bytes of a surrogate.
func surrogate(b []byte) bool { return len(b) == 2 && b[0] == 0xed && b[1] >= 0xa0 && b[1] <= 0xbf }
