package chat

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode"
)

// printer writes the str or repr of values, within the limits of a run.
type printer struct {
	in *interp
	b  strings.Builder
}

// str is Python's str(v).
func (in *interp) str(v value) (string, error) {
	if s, ok := asText(v); ok {
		return s, nil
	}
	if _, ok := v.(*undefined); ok {
		return "", nil
	}
	return in.repr(v)
}

// repr is Python's repr(v).
func (in *interp) repr(v value) (string, error) {
	p := printer{in: in}
	if err := p.repr(v, 0); err != nil {
		return "", err
	}
	return p.b.String(), nil
}

func (p *printer) write(s string) error {
	p.b.WriteString(s)
	return p.in.made(len(s))
}

func (p *printer) repr(v value, depth int) error {
	if depth > maxNesting {
		return typeErrf("maximum recursion depth exceeded")
	}
	switch v := v.(type) {
	case nil:
		return p.write("None")
	case bool:
		if v {
			return p.write("True")
		}
		return p.write("False")
	case int64:
		return p.write(strconv.FormatInt(v, 10))
	case *big.Int:
		return p.write(v.String())
	case float64:
		return p.write(floatRepr(v))
	case string:
		return p.write(textRepr(v))
	case markup:
		return p.write("Markup(" + textRepr(string(v)) + ")")
	case *list:
		return p.sequence("[", v.items, "]", depth)
	case tuple:
		if len(v.items) == 1 {
			return p.sequence("(", v.items, ",)", depth)
		}
		return p.sequence("(", v.items, ")", depth)
	case *dict:
		return p.mapping(v, depth)
	case view:
		return p.sequence("dict_"+v.kind+"([", v.items(), "])", depth)
	case intRange:
		s := "range(" + strconv.FormatInt(v.start, 10) + ", " + strconv.FormatInt(v.stop, 10)
		if v.step != 1 {
			s += ", " + strconv.FormatInt(v.step, 10)
		}
		return p.write(s + ")")
	case *undefined:
		return p.write("Undefined")
	case *namespace:
		if err := p.write("<Namespace "); err != nil {
			return err
		}
		if err := p.mapping(v.d, depth); err != nil {
			return err
		}
		return p.write(">")
	case *macro:
		return p.write("<Macro " + textRepr(v.def.name) + ">")
	case *loop:
		return p.write("<LoopContext " + strconv.Itoa(v.i+1) + "/" + strconv.Itoa(len(v.items)) + ">")
	}
	// Python prints an address here, which no template can mean.
	return typeErrf("a %s cannot be printed", typeName(v))
}

func (p *printer) sequence(open string, items []value, close string, depth int) error {
	if err := p.write(open); err != nil {
		return err
	}
	for i, e := range items {
		if i > 0 {
			if err := p.write(", "); err != nil {
				return err
			}
		}
		if err := p.repr(e, depth+1); err != nil {
			return err
		}
	}
	return p.write(close)
}

func (p *printer) mapping(d *dict, depth int) error {
	if err := p.write("{"); err != nil {
		return err
	}
	for i, k := range d.keys {
		if i > 0 {
			if err := p.write(", "); err != nil {
				return err
			}
		}
		if err := p.repr(k, depth+1); err != nil {
			return err
		}
		if err := p.write(": "); err != nil {
			return err
		}
		if err := p.repr(d.vals[i], depth+1); err != nil {
			return err
		}
	}
	return p.write("}")
}

// floatRepr is Python's repr of a float: the shortest digits that read back,
// with an exponent below 1e-4 and from 1e16 on.
func floatRepr(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case math.IsNaN(f):
		return "nan"
	}
	s := strconv.FormatFloat(f, 'e', -1, 64)
	if exp, _ := strconv.Atoi(s[strings.IndexByte(s, 'e')+1:]); exp < -4 || exp >= 16 {
		return s
	}
	s = strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// textRepr is Python's repr of a str.
func textRepr(s string) string {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	var b strings.Builder
	b.WriteByte(quote)
	for _, r := range s {
		switch {
		case r == rune(quote), r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(escapeRune(r))
		}
	}
	b.WriteByte(quote)
	return b.String()
}

// escapeRune is the escape of a character in a Python literal.
func escapeRune(r rune) string {
	h := strconv.FormatInt(int64(r), 16)
	switch {
	case r < 0x100:
		return `\x` + strings.Repeat("0", 2-len(h)) + h
	case r < 0x10000:
		return `\u` + strings.Repeat("0", 4-len(h)) + h
	}
	return `\U` + strings.Repeat("0", 8-len(h)) + h
}
