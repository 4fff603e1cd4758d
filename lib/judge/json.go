package judge

import (
	"iter"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The functions here work on JSON as it was written. encoding/json hides what
// the reading rules ask for: where a value ends, the text of numbers, names
// that appear twice, names in another letter case.

// maxLevels is how deep arrays and objects may nest. It also bounds the work of
// [findJSON]: a byte is looked at from at most this many openings.
const maxLevels = 64

// findJSON yields the JSON values, arrays and objects only, that stand in text
// one after the other, whatever stands between them.
func findJSON(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := 0; i < len(text); {
			p := parser{text, i}
			if (text[i] != '[' && text[i] != '{') || !p.value(0) {
				i++
				continue
			}
			if !yield(text[i:p.at]) {
				return
			}
			i = p.at
		}
	}
}

// elements yields the elements of the valid array v.
func elements(v string) iter.Seq[string] {
	return func(yield func(string) bool) {
		p := parser{v, 1}
		p.space()
		for p.peek() != ']' {
			p.space()
			start := p.at
			p.value(1)
			if !yield(v[start:p.at]) {
				return
			}
			p.space()
			p.take(',')
		}
	}
}

// members yields the names and values of the valid object v.
func members(v string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		p := parser{v, 1}
		p.space()
		for p.peek() != '}' {
			p.space()
			name := p.at
			p.str()
			end := p.at
			p.space()
			p.take(':')
			p.space()
			start := p.at
			p.value(1)
			if !yield(unquote(v[name:end]), v[start:p.at]) {
				return
			}
			p.space()
			p.take(',')
		}
	}
}

// unquote returns the text of the valid string s. Halves of surrogate pairs
// become U+FFFD.
func unquote(s string) string {
	s = s[1 : len(s)-1]
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b = append(b, s[i])
			continue
		}
		i++
		if k := strings.IndexByte(`"\/bfnrt`, s[i]); k >= 0 {
			b = append(b, "\"\\/\b\f\n\r\t"[k])
			continue
		}
		r := hex4(s[i+1:])
		i += 4
		if utf16.IsSurrogate(r) {
			low := rune(0)
			if strings.HasPrefix(s[i+1:], `\u`) {
				low = hex4(s[i+3:])
			}
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				i += 6
			}
		}
		b = utf8.AppendRune(b, r)
	}
	return string(b)
}

// hex4 reads the four hexadecimal digits that s begins with.
func hex4(s string) rune {
	n, _ := strconv.ParseUint(s[:4], 16, 16)
	return rune(n)
}

// parser walks over one value of RFC 8259 and nothing laxer.
type parser struct {
	text string
	at   int
}

func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *parser) take(c byte) bool {
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *parser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\n\r", p.text[p.at]) >= 0 {
		p.at++
	}
}

func (p *parser) word(w string) bool {
	if strings.HasPrefix(p.text[p.at:], w) {
		p.at += len(w)
		return true
	}
	return false
}

// value walks over a value inside of level arrays and objects.
func (p *parser) value(level int) bool {
	switch p.peek() {
	case '[':
		return p.list(level, ']', func() bool { return p.value(level + 1) })
	case '{':
		return p.list(level, '}', func() bool {
			if !p.str() {
				return false
			}
			p.space()
			if !p.take(':') {
				return false
			}
			p.space()
			return p.value(level + 1)
		})
	case '"':
		return p.str()
	case 't':
		return p.word("true")
	case 'f':
		return p.word("false")
	case 'n':
		return p.word("null")
	default:
		return p.number()
	}
}

// list walks over an array or object whose entries are walked over by entry.
func (p *parser) list(level int, end byte, entry func() bool) bool {
	p.at++
	if level == maxLevels {
		return false
	}
	p.space()
	if p.take(end) {
		return true
	}
	for {
		p.space()
		if !entry() {
			return false
		}
		p.space()
		if p.take(end) {
			return true
		}
		if !p.take(',') {
			return false
		}
	}
}

func (p *parser) str() bool {
	if !p.take('"') {
		return false
	}
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == '"':
			return true
		case c < ' ':
			return false
		case c == '\\':
			e := p.peek()
			p.at++
			if e == 'u' {
				for range 4 {
					if !isHex(p.peek()) {
						return false
					}
					p.at++
				}
			} else if e == 0 || strings.IndexByte(`"\/bfnrt`, e) < 0 {
				return false
			}
		}
	}
	return false
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func (p *parser) digits() bool {
	start := p.at
	for p.at < len(p.text) && '0' <= p.text[p.at] && p.text[p.at] <= '9' {
		p.at++
	}
	return p.at > start
}

func (p *parser) number() bool {
	p.take('-')
	if !p.take('0') && !p.digits() {
		return false
	}
	if p.take('.') && !p.digits() {
		return false
	}
	if p.take('e') || p.take('E') {
		if !p.take('+') {
			p.take('-')
		}
		return p.digits()
	}
	return true
}

// int32Of returns the integer that a JSON number stands for: 2, 2.0, 20e-1 and
// -0 are integers; fractions and what int32 does not hold are not.
func int32Of(number string) (int32, bool) {
	neg := strings.HasPrefix(number, "-")
	number = strings.TrimPrefix(number, "-")
	mantissa, exponent := number, ""
	if i := strings.IndexAny(number, "eE"); i >= 0 {
		mantissa, exponent = number[:i], number[i+1:]
	}
	whole, part, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+part, "0")
	if digits == "" {
		return 0, true
	}
	trimmed := strings.TrimRight(digits, "0")
	// The value is trimmed * 10^shift, with trimmed not divisible by 10.
	shift := len(digits) - len(trimmed) - len(part)
	if exponent != "" {
		e, err := strconv.ParseInt(exponent, 10, 32)
		if err != nil {
			return 0, false // no reply is long enough to make up for it
		}
		shift += int(e)
	}
	if shift < 0 || len(trimmed)+shift > 10 {
		return 0, false
	}
	text := trimmed + strings.Repeat("0", shift)
	if neg {
		text = "-" + text
	}
	n, err := strconv.ParseInt(text, 10, 32)
	return int32(n), err == nil
}
