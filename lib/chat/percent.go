package chat

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxWidth bounds widths and precisions in formats.
const maxWidth = 1 << 12

// A layout says how one value is formatted, by a % conversion or by a field of
// str.format.
type layout struct {
	fill      rune
	align     byte // < > = ^
	sign      byte // + space, 0 for negative numbers only
	alt       bool // #
	zero      bool // the fill comes from a 0 before the width
	width     int
	group     byte // , or _ between groups of digits
	precision int  // -1: none
	kind      byte // 0: none
}

// percent is Python's s % v.
func (in *interp) percent(s string, v value) (value, error) {
	args, isTuple := v.(tuple)
	if !isTuple {
		args = tuple{items: []value{v}}
	}
	d, isDict := v.(*dict)
	next := 0
	arg := func() (value, error) {
		if next >= len(args.items) {
			return nil, typeErrf("not enough arguments for format string")
		}
		next++
		return args.items[next-1], nil
	}
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			break
		}
		b.WriteString(s[:i])
		s = s[i+1:]
		l := layout{fill: ' ', align: '>', precision: -1}
		var x value
		var named bool
		if strings.HasPrefix(s, "(") {
			if !isDict {
				return nil, typeErrf("format requires a mapping")
			}
			end := closingParen(s)
			if end < 0 {
				return nil, typeErrf("incomplete format key")
			}
			var ok bool
			if x, ok = d.text(s[1:end]); !ok {
				return nil, typeErrf("no key %s", textRepr(s[1:end]))
			}
			named = true
			s = s[end+1:]
		}
		zero := false
	flags:
		for ; s != ""; s = s[1:] {
			switch s[0] {
			case '-':
				l.align = '<'
			case '+':
				l.sign = '+'
			case ' ':
				if l.sign == 0 {
					l.sign = ' '
				}
			case '#':
				l.alt = true
			case '0':
				zero = true
			default:
				break flags
			}
		}
		size := func() (n int, given bool, err error) {
			if strings.HasPrefix(s, "*") {
				s = s[1:]
				v, err := arg()
				if err != nil {
					return 0, true, err
				}
				w, err := index(v)
				if err == nil && (w > maxWidth || w < -maxWidth) {
					err = typeErrf("width or precision %d is too large", w)
				}
				return int(w), true, err
			}
			digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
			if digits == 0 {
				return 0, false, nil
			}
			n, err = strconv.Atoi(s[:digits])
			if err != nil || n > maxWidth {
				return 0, true, typeErrf("width or precision %.20s is too large", s[:digits])
			}
			s = s[digits:]
			return n, true, nil
		}
		var err error
		if l.width, _, err = size(); err != nil {
			return nil, err
		}
		if l.width < 0 {
			l.align, l.width = '<', -l.width
		}
		if strings.HasPrefix(s, ".") {
			s = s[1:]
			if l.precision, _, err = size(); err != nil {
				return nil, err
			}
			l.precision = max(l.precision, 0)
		}
		s = strings.TrimLeft(s, "hlL")
		if s == "" {
			return nil, typeErrf("incomplete format")
		}
		kind, n := utf8.DecodeRuneInString(s)
		s = s[n:]
		if kind == '%' {
			b.WriteByte('%')
			continue
		}
		if !named {
			if x, err = arg(); err != nil {
				return nil, err
			}
		}
		text, err := in.convert(l, zero, kind, x)
		if err != nil {
			return nil, err
		}
		b.WriteString(text)
		if err := in.made(b.Len()); err != nil {
			return nil, err
		}
	}
	b.WriteString(s)
	if next < len(args.items) && !isDict && (isTuple || !isIterable(v) || isString(v)) {
		return nil, typeErrf("not all arguments converted during string formatting")
	}
	return b.String(), nil
}

func isString(v value) bool { _, ok := asText(v); return ok }

// closingParen is the index of the bracket that closes the one s begins with.
func closingParen(s string) int {
	depth := 0
	for i, r := range s {
		switch r {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// convert formats one value for a % conversion.
func (in *interp) convert(l layout, zero bool, kind rune, x value) (string, error) {
	switch kind {
	case 's', 'r', 'a':
		s, err := in.str(x)
		if kind != 's' {
			s, err = in.repr(x)
		}
		if kind == 'a' {
			s = asciiEscape(s)
		}
		if l.precision >= 0 {
			s = sliceText(s, 0, 1, int64(min(l.precision, utf8.RuneCountInString(s))))
		}
		return l.pad(s, 0), err
	case 'c':
		if s, ok := asText(x); ok && utf8.RuneCountInString(s) == 1 {
			return l.pad(s, 0), nil
		}
		if i, ok := x.(int64); ok && 0 <= i && i <= unicode.MaxRune {
			return l.pad(string(rune(i)), 0), nil
		}
		return "", typeErrf("%%c requires int or char")
	}
	if zero && l.align != '<' {
		l.fill, l.align = '0', '='
	}
	if u, ok := x.(*undefined); ok {
		return "", u.fail()
	}
	if !isNumber(x) {
		return "", typeErrf("%%%c format: a real number is required, not %s", kind, typeName(x))
	}
	switch kind {
	case 'd', 'i', 'u', 'x', 'X', 'o':
		f, isFloat := x.(float64)
		if isFloat && strings.ContainsRune("xXo", kind) {
			return "", typeErrf("%%%c format: an integer is required, not float", kind)
		}
		if isFloat {
			if math.IsInf(f, 0) || math.IsNaN(f) {
				return "", typeErrf("cannot convert float to integer")
			}
			i, _ := big.NewFloat(f).Int(nil)
			x = normInt(i)
		}
		l.kind = byte(kind)
		if strings.ContainsRune("iu", kind) {
			l.kind = 'd'
		}
		i, _ := integer(x)
		digits := i.Text(map[byte]int{'d': 10, 'x': 16, 'X': 16, 'o': 8}[l.kind])
		minus := strings.HasPrefix(digits, "-")
		digits = strings.TrimPrefix(digits, "-")
		if n := l.precision - len(digits); n > 0 {
			digits = strings.Repeat("0", n) + digits
		}
		return l.number(minus, l.prefix(), digits), nil
	case 'e', 'E', 'f', 'F', 'g', 'G':
		f, err := float(x)
		if err != nil {
			return "", err
		}
		l.kind = byte(kind)
		return l.float(f), nil
	}
	return "", typeErrf("unsupported format character '%c'", kind)
}

// prefix is what # puts before the digits of an integer.
func (l layout) prefix() string {
	if l.alt && strings.IndexByte("xXob", l.kind) >= 0 {
		return "0" + string(l.kind)
	}
	return ""
}

// number puts sign, prefix and padding around the digits of a number.
func (l layout) number(minus bool, prefix, digits string) string {
	if l.kind == 'X' {
		digits = strings.ToUpper(digits)
	}
	sign := prefix
	switch {
	case minus:
		sign = "-" + prefix
	case l.sign != 0:
		sign = string(l.sign) + prefix
	}
	return l.pad(sign+digits, len(sign))
}

// float formats a float by its kind, as in C.
func (l layout) float(f float64) string {
	minus := math.Signbit(f) && !math.IsNaN(f)
	s := ""
	switch abs := math.Abs(f); {
	case math.IsNaN(f):
		s = "nan"
	case math.IsInf(f, 0):
		s = "inf"
	default:
		precision := l.precision
		if precision < 0 {
			precision = 6
		}
		switch l.kind {
		case 'e', 'E':
			s = strconv.FormatFloat(abs, 'e', precision, 64)
		case 'f', 'F', '%':
			s = strconv.FormatFloat(abs, 'f', precision, 64)
		default:
			s = general(abs, precision, l.alt)
		}
		if l.alt && !strings.Contains(s, ".") {
			mantissa, exp, found := strings.Cut(s, "e")
			s = mantissa + "."
			if found {
				s += "e" + exp
			}
		}
	}
	if l.kind == 'E' || l.kind == 'F' || l.kind == 'G' {
		s = strings.ToUpper(s)
	}
	if l.kind == '%' {
		s += "%"
	}
	return l.number(minus, "", l.grouped(s))
}

// general is the conversion g: the shorter of e and f for the precision.
func general(abs float64, precision int, keepZeros bool) string {
	precision = max(precision, 1)
	e := strconv.FormatFloat(abs, 'e', precision-1, 64)
	exp, _ := strconv.Atoi(e[strings.IndexByte(e, 'e')+1:])
	if exp >= -4 && exp < precision {
		s := strconv.FormatFloat(abs, 'f', precision-1-exp, 64)
		if !keepZeros && strings.Contains(s, ".") {
			s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
		}
		return s
	}
	mantissa, rest, _ := strings.Cut(e, "e")
	if !keepZeros && strings.Contains(mantissa, ".") {
		mantissa = strings.TrimRight(strings.TrimRight(mantissa, "0"), ".")
	}
	return mantissa + "e" + rest
}

// grouped puts separators between groups of the digits before the point.
func (l layout) grouped(s string) string {
	if l.group == 0 {
		return s
	}
	size := 3
	if strings.IndexByte("xXob", l.kind) >= 0 && l.kind != 0 {
		size = 4
	}
	end := len(s) - len(strings.TrimLeft(s, "0123456789abcdef"))
	for i := end - size; i > 0; i -= size {
		s = s[:i] + string(l.group) + s[i:]
	}
	return s
}

// pad fills s up to the width; signed is the length of the sign before which
// no zeros may come.
func (l layout) pad(s string, signed int) string {
	n := l.width - utf8.RuneCountInString(s)
	if n <= 0 {
		return s
	}
	fill := func(n int) string { return strings.Repeat(string(l.fill), n) }
	switch l.align {
	case '<':
		return s + fill(n)
	case '^':
		return fill(n/2) + s + fill(n-n/2)
	case '=':
		return s[:signed] + fill(n) + s[signed:]
	}
	return fill(n) + s
}

// asciiEscape escapes what is not ASCII, as Python's ascii().
func asciiEscape(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
		} else {
			b.WriteString(escapeRune(r))
		}
	}
	return b.String()
}
