package chat

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// tokenKind is the kind of a token of a template.
type tokenKind uint8

const (
	tokEOF        tokenKind = iota
	tokData                 // text outside of tags
	tokVarBegin             // {{
	tokVarEnd               // }}
	tokBlockBegin           // {%
	tokBlockEnd             // %}
	tokName
	tokString // text is unescaped
	tokInt    // num is an integer value
	tokFloat  // num is a float64
	tokOp     // text is the operator
)

type lexeme struct {
	kind tokenKind
	text string
	num  value
	line int
}

// describe names a token for error messages.
func (t lexeme) describe() string {
	switch t.kind {
	case tokEOF:
		return "end of template"
	case tokData:
		return "template data"
	case tokVarBegin, tokBlockBegin:
		return "begin of a tag"
	case tokVarEnd:
		return "end of print statement"
	case tokBlockEnd:
		return "end of statement block"
	case tokInt, tokFloat:
		return "number"
	}
	return strconv.Quote(t.text)
}

// A lexer cuts a template into tokens. Text goes through the rules of
// trim_blocks (the newline after a block tag is dropped), lstrip_blocks (so are
// blanks before one on its line) and of the signs - and + in tags.
type lexer struct {
	src  string
	pos  int
	line int
	toks []lexeme
}

var (
	newlines = strings.NewReplacer("\r\n", "\n", "\r", "\n")
	floatRe  = regexp.MustCompile(`^(?i:(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+))`)
	intRe    = regexp.MustCompile(`^(?i:0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*)`)
)

// operators, longer ones before those they begin with.
var operators = []string{
	"**", "//", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")",
	"{", "}", ">", "<", "=", ".", ":", "|", ",", ";",
}

func lex(source string) ([]lexeme, error) {
	src := newlines.Replace(source)
	l := &lexer{src: strings.TrimSuffix(src, "\n"), line: 1}
	for l.pos < len(l.src) {
		if err := l.root(); err != nil {
			return nil, at(err, l.line)
		}
	}
	l.emit(tokEOF, "")
	return l.toks, nil
}

func (l *lexer) emit(k tokenKind, text string) {
	l.toks = append(l.toks, lexeme{kind: k, text: text, line: l.line})
}

func (l *lexer) advance(n int) {
	l.line += strings.Count(l.src[l.pos:l.pos+n], "\n")
	l.pos += n
}

// rest is what has not been read yet.
func (l *lexer) rest() string { return l.src[l.pos:] }

// spaces is the length of the white space at the start of s.
func spaces(s string) int { return len(s) - len(strings.TrimLeftFunc(s, isSpace)) }

// root reads text up to a tag, and the tag.
func (l *lexer) root() error {
	i := -1
	for off := 0; ; {
		j := strings.IndexByte(l.rest()[off:], '{')
		if j < 0 || off+j+1 >= len(l.rest()) {
			break
		}
		off += j
		if strings.IndexByte("{%#", l.rest()[off+1]) >= 0 {
			i = off
			break
		}
		off++
	}
	if i < 0 {
		l.emit(tokData, l.rest())
		l.advance(len(l.rest()))
		return nil
	}
	tag := l.rest()[i : i+2]
	sign := signAt(l.rest()[i+2:])
	n := i + 2 + len(sign)
	raw := 0
	if tag == "{%" {
		raw = rawBegin(l.rest()[n:])
	}
	l.data(l.rest()[:i], sign, tag != "{{")
	l.advance(n + raw)
	switch {
	case tag == "{#":
		return l.comment()
	case raw > 0:
		return l.raw()
	case tag == "{{":
		l.emit(tokVarBegin, tag)
		return l.tag(tokVarEnd)
	}
	l.emit(tokBlockBegin, tag)
	return l.tag(tokBlockEnd)
}

func signAt(s string) string {
	if s != "" && (s[0] == '-' || s[0] == '+') {
		return s[:1]
	}
	return ""
}

// rawBegin is the length of what is left of a tag that opens a raw block, 0
// when s, what follows {% and its sign, is of another tag.
func rawBegin(s string) int {
	t := strings.TrimLeftFunc(s, isSpace)
	t, ok := strings.CutPrefix(t, "raw")
	t = strings.TrimLeftFunc(t, isSpace)
	if !ok {
		return 0
	}
	if u, ok := strings.CutPrefix(t, "-%}"); ok {
		return len(s) - len(u) + spaces(u)
	}
	if u, ok := strings.CutPrefix(t, "%}"); ok {
		return len(s) - len(u)
	}
	return 0
}

// data emits the text before a tag that has the sign. lstrip says whether the
// tag takes blanks before it on its line away.
func (l *lexer) data(text, sign string, lstrip bool) {
	switch {
	case sign == "-":
		text = strings.TrimRightFunc(text, isSpace)
	case sign == "" && lstrip:
		nl := strings.LastIndexByte(text, '\n') + 1
		atLineStart := l.pos == 0 || l.src[l.pos-1] == '\n'
		if (nl > 0 || atLineStart) && spaces(text[nl:]) == len(text[nl:]) {
			text = text[:nl]
		}
	}
	if text != "" {
		l.emit(tokData, text)
	}
}

// closing is the length of the end of a tag (close with its sign and what it
// takes away after it) at the start of s, 0 when s does not begin with one.
func closing(s, close string) int {
	if u, ok := strings.CutPrefix(s, "-"+close); ok {
		return len("-"+close) + spaces(u)
	}
	if close == "}}" {
		if strings.HasPrefix(s, close) {
			return len(close)
		}
		return 0
	}
	if strings.HasPrefix(s, "+"+close) {
		return len("+" + close)
	}
	if u, ok := strings.CutPrefix(s, close); ok {
		if strings.HasPrefix(u, "\n") {
			return len(close) + 1
		}
		return len(close)
	}
	return 0
}

func (l *lexer) comment() error {
	i := strings.Index(l.rest(), "#}")
	if l.rest() == "" {
		return nil // taken for closed, as Jinja does
	}
	if i < 0 {
		return errf(Syntax, "missing end of comment tag")
	}
	if i > 0 && signAt(l.rest()[i-1:]) != "" {
		i--
	}
	l.advance(i + closing(l.rest()[i:], "#}"))
	return nil
}

func (l *lexer) raw() error {
	for off := 0; l.rest() != ""; {
		i := strings.Index(l.rest()[off:], "{%")
		if i < 0 {
			return errf(Syntax, "missing end of raw directive")
		}
		i += off
		s := l.rest()[i+2:]
		sign := signAt(s)
		s = strings.TrimLeftFunc(s[len(sign):], isSpace)
		s, ok := strings.CutPrefix(s, "endraw")
		s = strings.TrimLeftFunc(s, isSpace)
		if n := closing(s, "%}"); ok && n > 0 {
			l.data(l.rest()[:i], sign, true)
			l.advance(len(l.rest()) - len(s) + n)
			return nil
		}
		off = i + 2
	}
	return nil // taken for closed, as Jinja does
}

// tag reads the tokens of a tag up to its end.
func (l *lexer) tag(end tokenKind) error {
	close := "%}"
	if end == tokVarEnd {
		close = "}}"
	}
	var open []byte // brackets to be closed
	for l.pos < len(l.src) {
		s := l.rest()
		if len(open) == 0 {
			if n := closing(s, close); n > 0 {
				l.emit(end, close)
				l.advance(n)
				return nil
			}
		}
		if n := spaces(s); n > 0 {
			l.advance(n)
			continue
		}
		n, err := l.token(s)
		if err != nil {
			return err
		}
		if n == 0 {
			r, _ := utf8.DecodeRuneInString(s)
			return errf(Syntax, "unexpected char %q", r)
		}
		if t := l.toks[len(l.toks)-1]; t.kind == tokOp {
			switch t.text {
			case "(", "[", "{":
				open = append(open, ")]}"[strings.Index("([{", t.text)])
			case ")", "]", "}":
				if len(open) == 0 {
					return errf(Syntax, "unexpected '%s'", t.text)
				}
				if want := open[len(open)-1]; want != t.text[0] {
					return errf(Syntax, "unexpected '%s', expected '%c'", t.text, want)
				}
				open = open[:len(open)-1]
			}
		}
		l.advance(n)
	}
	return nil // the parser meets the end of the template
}

// token emits the token at the start of s and returns its length, 0 if there
// is none.
func (l *lexer) token(s string) (int, error) {
	if m := floatRe.FindString(s); m != "" && (l.pos == 0 || l.src[l.pos-1] != '.') {
		f, err := strconv.ParseFloat(strings.ReplaceAll(m, "_", ""), 64)
		if err != nil && f == 0 {
			return 0, errf(Syntax, "malformed number %s", m)
		}
		l.toks = append(l.toks, lexeme{kind: tokFloat, text: m, num: f, line: l.line})
		return len(m), nil
	}
	if m := intRe.FindString(s); m != "" {
		i, ok := new(big.Int).SetString(strings.ReplaceAll(m, "_", ""), 0)
		if !ok || i.BitLen() > maxIntBits {
			return 0, errf(Syntax, "malformed number %.40s", m)
		}
		l.toks = append(l.toks, lexeme{kind: tokInt, text: m, num: normInt(i), line: l.line})
		return len(m), nil
	}
	if n := strings.IndexFunc(s, func(r rune) bool { return !isNameRune(r) }); n != 0 {
		if n < 0 {
			n = len(s)
		}
		if r, _ := utf8.DecodeRuneInString(s); r != '_' && !unicode.IsLetter(r) {
			return 0, errf(Syntax, "invalid character in identifier")
		}
		l.emit(tokName, s[:n])
		return n, nil
	}
	if s[0] == '\'' || s[0] == '"' {
		for i := 1; i < len(s); i++ {
			switch s[i] {
			case '\\':
				i++
			case s[0]:
				text, err := unescape(s[1:i])
				if err != nil {
					return 0, err
				}
				l.emit(tokString, text)
				return i + 1, nil
			}
		}
		return 0, nil
	}
	for _, op := range operators {
		if strings.HasPrefix(s, op) {
			l.emit(tokOp, op)
			return len(op), nil
		}
	}
	return 0, nil
}

func isNameRune(r rune) bool {
	return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Mc, r)
}

// isSpace reports what Python takes for white space.
func isSpace(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f }

var escapes = map[byte]string{
	'\\': `\`, '\'': "'", '"': `"`, 'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v", '\n': "",
}

// unescape decodes the escapes of a string literal as Python does: unknown
// ones stay as they are.
func unescape(s string) (string, error) {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			b.WriteString(s)
			return b.String(), nil
		}
		b.WriteString(s[:i])
		s = s[i+1:]
		c := s[0] // a backslash is never last in a literal
		if e, ok := escapes[c]; ok {
			b.WriteString(e)
			s = s[1:]
			continue
		}
		var r rune
		var err error
		switch {
		case '0' <= c && c <= '7':
			n := 1
			for n < 3 && n < len(s) && '0' <= s[n] && s[n] <= '7' {
				n++
			}
			r, s, err = codePoint(s, n, 8)
		case c == 'x':
			r, s, err = codePoint(s[1:], 2, 16)
		case c == 'u':
			r, s, err = codePoint(s[1:], 4, 16)
			if low, rest, lowErr := codePoint(strings.TrimPrefix(s, `\u`), 4, 16); err == nil && utf16.IsSurrogate(r) &&
				strings.HasPrefix(s, `\u`) && lowErr == nil {
				if pair := utf16.DecodeRune(r, low); pair != unicode.ReplacementChar {
					r, s = pair, rest
				}
			}
		case c == 'U':
			r, s, err = codePoint(s[1:], 8, 16)
		case c == 'N':
			err = errf(Syntax, `escape \N is not supported`)
		default:
			b.WriteByte('\\')
			continue
		}
		if err == nil && utf16.IsSurrogate(r) {
			err = errf(Syntax, "lone surrogate in string")
		}
		if err != nil {
			return "", err
		}
		b.WriteRune(r)
	}
}

// codePoint reads n digits of a base.
func codePoint(s string, n, base int) (rune, string, error) {
	if len(s) >= n {
		if u, err := strconv.ParseUint(s[:n], base, 32); err == nil && u <= unicode.MaxRune {
			return rune(u), s[n:], nil
		}
	}
	return 0, s, errf(Syntax, "malformed escape in string")
}
