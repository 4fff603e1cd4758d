package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner reads JSON in one pass. A tokenizer.json of 11 MB holds 450,000
// strings, for which encoding/json takes several times as long; it reads the
// small parts, which scanner hands out as they stand. The text is valid UTF-8.
type scanner struct {
	b   []byte
	at  int
	tmp []byte
}

var errCut = errors.New("text ends inside a value")

func (s *scanner) fail(what string) error {
	if s.at >= len(s.b) {
		return errCut
	}
	return fmt.Errorf("byte %d: %s", s.at, what)
}

// next skips blanks and returns the byte that follows, 0 at the end.
func (s *scanner) next() byte {
	for ; s.at < len(s.b); s.at++ {
		if c := s.b[s.at]; c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
	}
	return 0
}

// take skips blanks and the byte c.
func (s *scanner) take(c byte) error {
	if s.next() != c {
		return s.fail(fmt.Sprintf("%q is missing", c))
	}
	s.at++
	return nil
}

// each calls visit before every element between open and end.
func (s *scanner) each(open, end byte, visit func() error) error {
	if err := s.take(open); err != nil {
		return err
	}
	if s.next() == end {
		s.at++
		return nil
	}
	for {
		if err := visit(); err != nil {
			return err
		}
		switch s.next() {
		case ',':
			s.at++
		case end:
			s.at++
			return nil
		default:
			return s.fail("a comma is missing")
		}
	}
}

// object calls visit with each key; visit reads the value.
func (s *scanner) object(visit func(key []byte) error) error {
	return s.each('{', '}', func() error {
		key, err := s.text()
		if err != nil {
			return err
		}
		if err := s.take(':'); err != nil {
			return err
		}
		return visit(key)
	})
}

// array calls visit before each element; visit reads it.
func (s *scanner) array(visit func() error) error { return s.each('[', ']', visit) }

// fields reads an object: own has what reads the values of some keys, the rest
// goes to dst as [json.Unmarshal] would put it. A key that comes twice is an
// error.
func (s *scanner) fields(dst any, own map[string]func() error) error {
	seen := map[string]bool{}
	rest := []byte{'{'}
	err := s.object(func(key []byte) error {
		k := string(key)
		if seen[k] {
			return fmt.Errorf("%q comes twice", k)
		}
		seen[k] = true
		if read := own[k]; read != nil {
			return read()
		}
		v, err := s.value()
		if err != nil {
			return err
		}
		if len(rest) > 1 {
			rest = append(rest, ',')
		}
		name, err := json.Marshal(k)
		rest = append(append(append(rest, name...), ':'), v...)
		return err
	})
	if err != nil {
		return err
	}
	return json.Unmarshal(append(rest, '}'), dst)
}

// text reads a string. The result is valid until the next call.
func (s *scanner) text() ([]byte, error) {
	if err := s.take('"'); err != nil {
		return nil, err
	}
	from := s.at
	for ; s.at < len(s.b); s.at++ {
		switch c := s.b[s.at]; {
		case c == '"':
			s.at++
			return s.b[from : s.at-1], nil
		case c == '\\':
			s.tmp = append(s.tmp[:0], s.b[from:s.at]...)
			return s.escaped()
		case c < ' ':
			return nil, s.fail("control character in a string")
		}
	}
	return nil, errCut
}

// escaped reads the rest of a string from its first backslash on.
func (s *scanner) escaped() ([]byte, error) {
	for s.at < len(s.b) {
		c := s.b[s.at]
		switch {
		case c == '"':
			s.at++
			return s.tmp, nil
		case c < ' ':
			return nil, s.fail("control character in a string")
		case c != '\\':
			s.tmp = append(s.tmp, c)
			s.at++
			continue
		}
		if s.at++; s.at == len(s.b) {
			return nil, errCut
		}
		switch c := s.b[s.at]; c {
		case '"', '\\', '/':
			s.tmp = append(s.tmp, c)
		case 'b':
			s.tmp = append(s.tmp, '\b')
		case 'f':
			s.tmp = append(s.tmp, '\f')
		case 'n':
			s.tmp = append(s.tmp, '\n')
		case 'r':
			s.tmp = append(s.tmp, '\r')
		case 't':
			s.tmp = append(s.tmp, '\t')
		case 'u':
			r, err := s.unit()
			if err != nil {
				return nil, err
			}
			if utf16.IsSurrogate(r) {
				var low rune
				if s.at+2 < len(s.b) && s.b[s.at+1] == '\\' && s.b[s.at+2] == 'u' {
					s.at += 2
					if low, err = s.unit(); err != nil {
						return nil, err
					}
				}
				if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
					return nil, s.fail("half of a surrogate pair")
				}
			}
			s.tmp = utf8.AppendRune(s.tmp, r)
		default:
			return nil, s.fail("unknown escape in a string")
		}
		s.at++
	}
	return nil, errCut
}

// unit reads the four digits after \u and stops on the last.
func (s *scanner) unit() (rune, error) {
	if s.at+4 >= len(s.b) {
		return 0, errCut
	}
	n, err := strconv.ParseUint(string(s.b[s.at+1:s.at+5]), 16, 16)
	if err != nil {
		return 0, s.fail("four hexadecimal digits are missing")
	}
	s.at += 4
	return rune(n), nil
}

// integer reads a non-negative integer.
func (s *scanner) integer() (int, error) {
	s.next()
	n, from := 0, s.at
	for ; s.at < len(s.b) && s.b[s.at] >= '0' && s.b[s.at] <= '9' && n < 1<<40; s.at++ {
		n = 10*n + int(s.b[s.at]-'0')
	}
	if s.at == from || n >= 1<<40 {
		return 0, s.fail("a number is missing or too large")
	}
	return n, nil
}

// value skips a value of any kind and returns it as it stands. Brackets are
// counted, no more: whoever uses the value parses it.
func (s *scanner) value() ([]byte, error) {
	c := s.next()
	from := s.at
	switch c {
	case '"':
		if _, err := s.text(); err != nil {
			return nil, err
		}
	case '{', '[':
		for depth := 0; ; {
			if s.at == len(s.b) {
				return nil, errCut
			}
			switch s.b[s.at] {
			case '"':
				if _, err := s.text(); err != nil {
					return nil, err
				}
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			if s.at++; depth == 0 {
				return s.b[from:s.at], nil
			}
		}
	default:
		for s.at < len(s.b) && !strings.ContainsRune(" \n\t\r,]}", rune(s.b[s.at])) {
			s.at++
		}
	}
	if s.at == from {
		return nil, s.fail("a value is missing")
	}
	return s.b[from:s.at], nil
}
