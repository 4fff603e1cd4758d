package chat

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// format is Python's s.format(...).
func (in *interp) format(s string, a arguments) (value, error) {
	auto := 0
	text, err := in.formatFields(s, a, &auto, 0)
	return text, err
}

// formatFields replaces the fields in braces. auto counts fields without a
// name, -1 once one has a number.
func (in *interp) formatFields(s string, a arguments, auto *int, depth int) (string, error) {
	if depth > 1 {
		return "", typeErrf("max string recursion exceeded")
	}
	var b strings.Builder
	for s != "" {
		i := strings.IndexAny(s, "{}")
		if i < 0 {
			break
		}
		b.WriteString(s[:i])
		c := s[i]
		s = s[i+1:]
		if s != "" && s[0] == c {
			b.WriteByte(c)
			s = s[1:]
			continue
		}
		if c == '}' {
			return "", typeErrf("single '}' encountered in format string")
		}
		level, end := 1, 0
		for ; end < len(s); end++ {
			if s[end] == '{' {
				level++
			} else if s[end] == '}' {
				if level--; level == 0 {
					break
				}
			}
		}
		if level > 0 {
			return "", typeErrf("expected '}' before end of string")
		}
		text, err := in.formatField(s[:end], a, auto, depth)
		if err != nil {
			return "", err
		}
		b.WriteString(text)
		if err := in.made(b.Len()); err != nil {
			return "", err
		}
		s = s[end+1:]
	}
	b.WriteString(s)
	return b.String(), nil
}

// formatField formats what one pair of braces holds: path!conversion:spec.
func (in *interp) formatField(field string, a arguments, auto *int, depth int) (string, error) {
	path, spec, conversion := field, "", byte('s')
	explicit := false
	bracket := 0
	for i := 0; i < len(field); i++ {
		switch field[i] {
		case '[':
			bracket++
		case ']':
			bracket--
		}
		if bracket > 0 || field[i] != '!' && field[i] != ':' {
			continue
		}
		path, spec = field[:i], field[i:]
		break
	}
	if strings.HasPrefix(spec, "!") {
		if len(spec) < 2 || len(spec) > 2 && spec[2] != ':' {
			return "", typeErrf("malformed conversion in format string")
		}
		conversion, explicit, spec = spec[1], true, spec[2:]
	}
	spec = strings.TrimPrefix(spec, ":")
	x, err := in.formatValue(path, a, auto)
	if err != nil {
		return "", err
	}
	if explicit {
		var s string
		switch conversion {
		case 's':
			s, err = in.str(x)
		case 'r', 'a':
			s, err = in.repr(x)
			if conversion == 'a' {
				s = asciiEscape(s)
			}
		default:
			return "", typeErrf("unknown conversion specifier %c", conversion)
		}
		if err != nil {
			return "", err
		}
		x = s
	}
	if strings.Contains(spec, "{") {
		if spec, err = in.formatFields(spec, a, auto, depth+1); err != nil {
			return "", err
		}
	}
	return in.formatSpec(x, spec)
}

// formatValue looks up the value of a field: a number or a name, then
// attributes and items.
func (in *interp) formatValue(path string, a arguments, auto *int) (value, error) {
	end := strings.IndexAny(path, ".[")
	if end < 0 {
		end = len(path)
	}
	first, rest := path[:end], path[end:]
	i, err := strconv.Atoi(first)
	numbered := err == nil && isDigits(first)
	switch {
	case first == "" && *auto < 0, numbered && *auto > 0:
		return nil, typeErrf("cannot switch between manual and automatic field numbering")
	case first == "":
		i, numbered = *auto, true
		*auto++
	case numbered:
		*auto = -1
	}
	var x value
	if numbered {
		if i >= len(a.pos) {
			return nil, typeErrf("replacement index %d out of range for positional args tuple", i)
		}
		x = a.pos[i]
	} else {
		v, ok := a.take(first)
		if !ok {
			return nil, typeErrf("no argument %s", textRepr(first))
		}
		x = v
	}
	for rest != "" {
		if rest[0] == '.' {
			end := strings.IndexAny(rest[1:], ".[")
			if end < 0 {
				end = len(rest) - 1
			}
			if x, err = in.getAttr(x, rest[1:1+end]); err != nil {
				return nil, err
			}
			rest = rest[1+end:]
			continue
		}
		end := strings.IndexByte(rest, ']')
		if rest[0] != '[' || end < 2 {
			return nil, typeErrf("malformed field in format string")
		}
		var key value = rest[1:end]
		if n, err := strconv.ParseInt(rest[1:end], 10, 64); err == nil && isDigits(rest[1:end]) {
			key = n
		}
		if x, err = in.getItem(x, key); err != nil {
			return nil, err
		}
		rest = rest[end+1:]
	}
	return x, nil
}

// formatSpec is Python's format(x, spec).
func (in *interp) formatSpec(x value, spec string) (string, error) {
	if spec == "" {
		return in.str(x)
	}
	if _, isBool := x.(bool); !isNumber(x) && !isString(x) || isBool && spec == "" {
		return "", typeErrf("unsupported format string passed to %s.__format__", typeName(x))
	}
	l, err := parseSpec(spec)
	if err != nil {
		return "", err
	}
	if s, ok := asText(x); ok {
		switch {
		case l.kind != 0 && l.kind != 's':
			return "", typeErrf("unknown format code '%c' for object of type 'str'", l.kind)
		case l.sign != 0 || l.alt || l.group != 0 || l.align == '=':
			return "", typeErrf("this format is not allowed for text: %s", spec)
		case l.align == 0:
			l.align = '<'
		}
		if l.precision >= 0 {
			s = sliceText(s, 0, 1, int64(min(l.precision, utf8.RuneCountInString(s))))
		}
		return l.pad(s, 0), nil
	}
	switch {
	case l.align == 0 && l.zero:
		l.align = '='
	case l.align == 0:
		l.align = '>'
	}
	i, isInt := integer(x)
	if isInt && strings.IndexByte("bcdoxXn", l.kind) >= 0 || isInt && l.kind == 0 {
		if l.precision >= 0 {
			return "", typeErrf("precision not allowed in integer format specifier")
		}
		if l.kind == 'c' {
			if !i.IsInt64() || i.Int64() < 0 || i.Int64() > unicode.MaxRune {
				return "", typeErrf("%%c arg not in range")
			}
			return l.pad(string(rune(i.Int64())), 0), nil
		}
		base := map[byte]int{'b': 2, 'o': 8, 'x': 16, 'X': 16}[l.kind]
		if base == 0 {
			base = 10
		}
		digits := new(big.Int).Abs(i).Text(base)
		return l.number(i.Sign() < 0, l.prefix(), l.grouped(digits)), nil
	}
	f, err := float(x)
	if err != nil {
		return "", err
	}
	switch {
	case l.kind == 0:
		return l.number(math.Signbit(f), "", l.grouped(l.plain(math.Abs(f)))), nil
	case l.kind == '%':
		return l.float(f * 100), nil
	case l.kind == 'n':
		l.kind = 'g'
	case strings.IndexByte("eEfFgG", l.kind) < 0:
		return "", typeErrf("unknown format code '%c' for object of type '%s'", l.kind, typeName(x))
	}
	return l.float(f), nil
}

// plain formats a float where a spec names no kind: like repr without
// precision, else like g with at least one digit after the point.
func (l layout) plain(abs float64) string {
	if l.precision < 0 || math.IsInf(abs, 0) || math.IsNaN(abs) {
		return floatRepr(abs)
	}
	precision := max(l.precision, 1)
	e := strconv.FormatFloat(abs, 'e', precision-1, 64)
	exp, _ := strconv.Atoi(e[strings.IndexByte(e, 'e')+1:])
	if exp == precision-1 { // where g would leave no digit after the point
		return general(abs, precision-1, l.alt)
	}
	s := general(abs, precision, l.alt)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}

// parseSpec reads a format specification:
// [[fill]align][sign][#][0][width][group][.precision][kind].
func parseSpec(spec string) (layout, error) {
	l := layout{fill: ' ', precision: -1}
	s := spec
	bad := func() (layout, error) { return l, typeErrf("invalid format specifier %s", textRepr(spec)) }
	r, n := utf8.DecodeRuneInString(s)
	if len(s) > n && strings.IndexByte("<>=^", s[n]) >= 0 {
		l.fill, l.align = r, s[n]
		s = s[n+1:]
	} else if s != "" && strings.IndexByte("<>=^", s[0]) >= 0 {
		l.align = s[0]
		s = s[1:]
	}
	take := func(set string) byte {
		if s != "" && strings.IndexByte(set, s[0]) >= 0 {
			c := s[0]
			s = s[1:]
			return c
		}
		return 0
	}
	number := func(def int) (int, bool) {
		digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
		if digits == 0 {
			return def, def >= 0
		}
		n, err := strconv.Atoi(s[:digits])
		s = s[digits:]
		return n, err == nil && n <= maxWidth
	}
	if l.sign = take("+- "); l.sign == '-' {
		l.sign = 0
	}
	l.alt = take("#") != 0
	if take("0") != 0 && l.align == 0 {
		l.fill, l.zero = '0', true
	}
	var ok bool
	if l.width, ok = number(0); !ok {
		return bad()
	}
	l.group = take(",_")
	if take(".") != 0 {
		if l.precision, ok = number(-1); !ok {
			return bad()
		}
	}
	if s != "" {
		l.kind = s[0]
		s = s[1:]
	}
	if s != "" || l.kind >= utf8.RuneSelf {
		return bad()
	}
	return l, nil
}
