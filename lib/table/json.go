package table

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The values of JSON are nil, bool, number, string, []any and object.

// number is a JSON number as it is written.
type number string

// object is a JSON object in the order of its keys, none of them twice.
type object struct {
	keys   []string
	values []any
}

// maxDepth bounds the nesting of JSON.
const maxDepth = 128

// parseLine parses a line that holds one JSON object and nothing else.
func parseLine(line []byte) (object, error) {
	if !utf8.Valid(line) {
		return object{}, faultf(InvalidUTF8, "byte %d is not valid UTF-8", invalidAt(line))
	}
	p := parser{s: string(line)}
	v, err := p.value(0)
	if err == nil && p.skip() {
		err = p.syntax("something follows the object")
	}
	if err != nil {
		return object{}, err
	}
	o, ok := v.(object)
	if !ok {
		return object{}, faultf(NotObject, "the line is not an object")
	}
	return o, nil
}

func invalidAt(b []byte) int {
	i := 0
	for i < len(b) {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		i += n
	}
	return i
}

// parser reads JSON as RFC 8259 has it.
type parser struct {
	s string
	i int
}

func (p *parser) syntax(text string) error { return faultf(Syntax, "byte %d: %s", p.i, text) }

// skip passes over white space and reports whether something is left.
func (p *parser) skip() bool {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ' ', '\t', '\r', '\n':
			p.i++
		default:
			return true
		}
	}
	return false
}

// take passes over c, if it is next after white space.
func (p *parser) take(c byte) bool {
	if p.skip() && p.s[p.i] == c {
		p.i++
		return true
	}
	return false
}

func (p *parser) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, faultf(TooDeep, "nested deeper than %d levels", maxDepth)
	}
	if !p.skip() {
		return nil, p.syntax("the line ends early")
	}
	switch c := p.s[p.i]; {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		return p.text()
	case c == '-' || '0' <= c && c <= '9':
		return p.number()
	}
	for _, w := range []struct {
		text string
		v    any
	}{{"null", nil}, {"true", true}, {"false", false}} {
		if end := p.i + len(w.text); end <= len(p.s) && p.s[p.i:end] == w.text {
			p.i = end
			return w.v, nil
		}
	}
	return nil, p.syntax("unexpected " + strconv.QuoteRune(p.rune()))
}

// rune is the character at the current place.
func (p *parser) rune() rune {
	r, _ := utf8.DecodeRuneInString(p.s[p.i:])
	return r
}

func (p *parser) object(depth int) (any, error) {
	p.i++
	var o object
	var seen map[string]bool
	if p.take('}') {
		return o, nil
	}
	for {
		if !p.skip() || p.s[p.i] != '"' {
			return nil, p.syntax("expected a key")
		}
		key, err := p.text()
		if err != nil {
			return nil, err
		}
		if seen == nil {
			seen = map[string]bool{}
		}
		if seen[key] {
			return nil, faultf(DuplicateKey, "the key %q comes twice", key)
		}
		seen[key] = true
		if !p.take(':') {
			return nil, p.syntax("expected a colon")
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		o.keys, o.values = append(o.keys, key), append(o.values, v)
		if p.take('}') {
			return o, nil
		}
		if !p.take(',') {
			return nil, p.syntax("expected a comma or a brace")
		}
	}
}

func (p *parser) array(depth int) (any, error) {
	p.i++
	out := []any{}
	if p.take(']') {
		return out, nil
	}
	for {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
		if p.take(']') {
			return out, nil
		}
		if !p.take(',') {
			return nil, p.syntax("expected a comma or a bracket")
		}
	}
}

func (p *parser) digits() bool {
	from := p.i
	for p.i < len(p.s) && '0' <= p.s[p.i] && p.s[p.i] <= '9' {
		p.i++
	}
	return p.i > from
}

func (p *parser) number() (any, error) {
	from := p.i
	if p.s[p.i] == '-' {
		p.i++
	}
	zero := p.i < len(p.s) && p.s[p.i] == '0'
	start := p.i
	if !p.digits() || zero && p.i > start+1 {
		return nil, p.syntax("malformed number")
	}
	if p.i < len(p.s) && p.s[p.i] == '.' {
		p.i++
		if !p.digits() {
			return nil, p.syntax("malformed number")
		}
	}
	if p.i < len(p.s) && (p.s[p.i] == 'e' || p.s[p.i] == 'E') {
		p.i++
		if p.i < len(p.s) && (p.s[p.i] == '+' || p.s[p.i] == '-') {
			p.i++
		}
		if !p.digits() {
			return nil, p.syntax("malformed number")
		}
	}
	return number(p.s[from:p.i]), nil
}

// text reads a string; the current character is its opening quote.
func (p *parser) text() (string, error) {
	p.i++
	from := p.i
	var b []byte // what was read before from, once there are escapes
	for p.i < len(p.s) {
		c := p.s[p.i]
		switch {
		case c == '"':
			p.i++
			if b == nil {
				return p.s[from : p.i-1], nil
			}
			return string(append(b, p.s[from:p.i-1]...)), nil
		case c < 0x20:
			return "", p.syntax("control character in a string")
		case c != '\\':
			p.i++
			continue
		}
		b = append(b, p.s[from:p.i]...)
		r, err := p.escape()
		if err != nil {
			return "", err
		}
		b = utf8.AppendRune(b, r)
		from = p.i
	}
	return "", p.syntax("the line ends within a string")
}

// escape reads an escape; the current character is its backslash.
func (p *parser) escape() (rune, error) {
	if p.i+1 >= len(p.s) {
		return 0, p.syntax("the line ends within a string")
	}
	c := p.s[p.i+1]
	if k := strings.IndexByte(`"\/bfnrt`, c); k >= 0 {
		p.i += 2
		return rune("\"\\/\b\f\n\r\t"[k]), nil
	}
	if c == 'u' {
		r, ok := p.hex()
		if !ok {
			return 0, p.syntax("malformed escape")
		}
		if !utf16.IsSurrogate(r) {
			return r, nil
		}
		low, ok := p.hex()
		if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
			return pair, nil
		}
		return 0, faultf(LoneSurrogate, "byte %d: half of a surrogate pair", p.i)
	}
	return 0, p.syntax("malformed escape")
}

// hex reads the code unit of an escape: a backslash, u and four digits.
func (p *parser) hex() (rune, bool) {
	if p.i+6 > len(p.s) || p.s[p.i:p.i+2] != `\u` {
		return 0, false
	}
	u, err := strconv.ParseUint(p.s[p.i+2:p.i+6], 16, 32)
	if err != nil {
		return 0, false
	}
	p.i += 6
	return rune(u), true
}

// appendJSON writes a value without blanks.
func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case number:
		return append(b, v...)
	case string:
		return appendText(b, v)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, e)
		}
		return append(b, ']')
	case object:
		b = append(b, '{')
		for i, key := range v.keys {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(append(appendText(b, key), ':'), v.values[i])
		}
		return append(b, '}')
	}
	panic("table: not a value of JSON")
}

func appendText(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
