package chat

import (
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A filterFunc is a filter: it is given the value on the left and the
// arguments in brackets.
type filterFunc func(in *interp, v value, a arguments) (value, error)

// filters by name; those of sequences are in sequences.go.
var filters map[string]filterFunc

// params makes a filter of parameters as bind reads them.
func params(name, spec string, f func(in *interp, v value, p []value) (value, error)) filterFunc {
	return func(in *interp, v value, a arguments) (value, error) {
		p, err := bind(name, spec, a)
		if err != nil {
			return nil, err
		}
		return f(in, v, p)
	}
}

// textFilter makes a filter of the text of a value.
func textFilter(name, spec string, f func(in *interp, s string, p []value) (value, error)) filterFunc {
	return params(name, spec, func(in *interp, v value, p []value) (value, error) {
		s, err := in.str(v)
		if err != nil {
			return nil, err
		}
		out, err := f(in, s, p)
		if t, ok := asText(out); ok && err == nil {
			err = in.made(len(t))
		}
		return out, err
	})
}

func init() {
	simple := func(f func(string) string) func(*interp, string, []value) (value, error) {
		return func(_ *interp, s string, _ []value) (value, error) { return f(s), nil }
	}
	filters = map[string]filterFunc{
		"abs":         params("abs", "", filterAbs),
		"attr":        params("attr", "name", filterAttr),
		"capitalize":  textFilter("capitalize", "", simple(capitalize)),
		"center":      textFilter("center", "width=", filterCenter),
		"count":       params("count", "", filterLength),
		"d":           params("default", "default_value=,boolean=", filterDefault),
		"default":     params("default", "default_value=,boolean=", filterDefault),
		"e":           params("escape", "", filterEscape),
		"escape":      params("escape", "", filterEscape),
		"float":       params("float", "default=", filterFloat),
		"forceescape": textFilter("forceescape", "", func(_ *interp, s string, _ []value) (value, error) { return markup(escapeHTML(s)), nil }),
		"format":      filterFormat,
		"indent":      params("indent", "width=,first=,blank=", filterIndent),
		"int":         params("int", "default=,base=", filterInt),
		"length":      params("length", "", filterLength),
		"lower":       textFilter("lower", "", simple(lower)),
		"replace":     textFilter("replace", "old,new,count=", filterReplace),
		"round":       params("round", "precision=,method=", filterRound),
		"safe":        textFilter("safe", "", func(_ *interp, s string, _ []value) (value, error) { return markup(s), nil }),
		"string":      params("string", "", filterString),
		"striptags":   textFilter("striptags", "", simple(stripTags)),
		"title":       textFilter("title", "", simple(titleWords)),
		"tojson":      filterToJSON,
		"trim": textFilter("trim", "chars=", func(_ *interp, s string, p []value) (value, error) {
			return stripText(s, p[0], true, true)
		}),
		"truncate":  params("truncate", "length=,killwords=,end=,leeway=", filterTruncate),
		"upper":     textFilter("upper", "", simple(upper)),
		"urlencode": params("urlencode", "", filterURLEncode),
		"wordcount": textFilter("wordcount", "", func(_ *interp, s string, _ []value) (value, error) {
			return int64(len(wordRe.FindAllStringIndex(s, -1))), nil
		}),
	}
	for name, f := range sequenceFilters() {
		filters[name] = f
	}
	for _, name := range []string{"filesizeformat", "pprint", "random", "urlize", "wordwrap", "xmlattr"} {
		filters[name] = func(*interp, value, arguments) (value, error) {
			return nil, typeErrf("filter '%s' is not supported", name)
		}
	}
}

var wordRe = regexp.MustCompile(`[\p{L}\p{N}_]+`)

func filterAbs(_ *interp, v value, _ []value) (value, error) {
	if f, ok := v.(float64); ok {
		return math.Abs(f), nil
	}
	i, ok := integer(v)
	if !ok {
		return nil, typeErrf("bad operand type for abs(): '%s'", typeName(v))
	}
	return normInt(new(big.Int).Abs(i)), nil
}

// filterAttr looks an attribute up, never an item.
func filterAttr(in *interp, v value, p []value) (value, error) {
	name, err := textArg(p[0])
	if err != nil {
		return nil, err
	}
	if u, ok := v.(*undefined); ok {
		return nil, u.fail()
	}
	a, ok, err := in.attribute(v, name)
	if ok || err != nil {
		return a, err
	}
	return undef("'%s' has no attribute %s", ownerName(v), textRepr(name)), nil
}

func filterCenter(in *interp, s string, p []value) (value, error) {
	if _, none := p[0].(absent); none {
		p[0] = int64(80)
	}
	return textMethods["center"].call(in, s, []value{p[0], absent{}})
}

func filterLength(_ *interp, v value, _ []value) (value, error) { return length(v) }

func filterDefault(_ *interp, v value, p []value) (value, error) {
	if _, ok := v.(*undefined); !ok && (!truth(part(p[1])) || truth(v)) {
		return v, nil
	}
	if _, none := p[0].(absent); none {
		return "", nil
	}
	return p[0], nil
}

func filterEscape(in *interp, v value, _ []value) (value, error) {
	if m, ok := v.(markup); ok {
		return m, nil
	}
	s, err := in.str(v)
	return markup(escapeHTML(s)), err
}

func filterString(in *interp, v value, _ []value) (value, error) {
	if m, ok := v.(markup); ok {
		return m, nil
	}
	return in.str(v)
}

func filterFloat(_ *interp, v value, p []value) (value, error) {
	if u, ok := v.(*undefined); ok {
		return nil, u.fail()
	}
	if s, ok := asText(v); ok {
		if f, ok := parseFloat(s); ok {
			return f, nil
		}
	} else if isNumber(v) {
		return float(v)
	}
	if _, none := p[0].(absent); none {
		return 0.0, nil
	}
	return p[0], nil
}

var floatTextRe = regexp.MustCompile(`^[+-]?(?i:(?:\d+(?:_\d+)*(?:\.(?:\d+(?:_\d+)*)?)?|\.\d+(?:_\d+)*)(?:e[+-]?\d+(?:_\d+)*)?|inf(?:inity)?|nan)$`)

// parseFloat is Python's float(s).
func parseFloat(s string) (float64, bool) {
	s = strings.TrimFunc(s, isSpace)
	if !floatTextRe.MatchString(s) {
		return 0, false
	}
	f, _ := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64) // out of range is inf, as in Python
	return f, true
}

// parseInt is Python's int(s, base).
func parseInt(s string, base int64) (value, bool) {
	s = strings.TrimFunc(s, isSpace)
	sign := signAt(s)
	digits := strings.ToLower(s[len(sign):])
	for b, prefix := range map[int64]string{2: "0b", 8: "0o", 16: "0x"} {
		if rest, ok := strings.CutPrefix(digits, prefix); ok && (base == b || base == 0) {
			digits, base = strings.TrimPrefix(rest, "_"), b
		}
	}
	if base == 0 {
		base = 10
		if strings.HasPrefix(digits, "0") && strings.Trim(digits, "0_") != "" {
			return nil, false
		}
	}
	if digits == "" || digits[0] == '_' || digits[len(digits)-1] == '_' || strings.Contains(digits, "__") ||
		strings.ContainsAny(digits, "+-") || len(digits) > maxIntBits/3 {
		return nil, false
	}
	i, ok := new(big.Int).SetString(sign+strings.ReplaceAll(digits, "_", ""), int(base))
	if !ok {
		return nil, false
	}
	return normInt(i), true
}

func filterInt(_ *interp, v value, p []value) (value, error) {
	if u, ok := v.(*undefined); ok {
		return nil, u.fail()
	}
	base, err := optional(p[1], 10)
	if err != nil {
		return nil, err
	}
	var f float64
	ok := false
	if s, isText := asText(v); isText {
		if base == 0 || 2 <= base && base <= 36 {
			if i, ok := parseInt(s, base); ok {
				return i, nil
			}
		}
		f, ok = parseFloat(s)
	} else if i, isInt := integer(v); isInt {
		return normInt(i), nil
	} else if f, ok = v.(float64); ok && math.IsInf(f, 0) {
		return nil, typeErrf("cannot convert float infinity to integer")
	}
	if ok && !math.IsInf(f, 0) && !math.IsNaN(f) {
		i, _ := big.NewFloat(f).Int(nil)
		return normInt(i), nil
	}
	if _, none := p[0].(absent); none {
		return int64(0), nil
	}
	return p[0], nil
}

func filterFormat(in *interp, v value, a arguments) (value, error) {
	s, err := in.str(v)
	if err != nil {
		return nil, err
	}
	if len(a.names) == 0 {
		return in.percent(s, tuple{items: a.pos})
	}
	if len(a.pos) > 0 {
		return nil, typeErrf("can't handle positional and keyword arguments at the same time")
	}
	d := newDict(len(a.names))
	for i, name := range a.names {
		d.setText(name, a.named[i])
	}
	return in.percent(s, d)
}

func filterIndent(in *interp, v value, p []value) (value, error) {
	s, ok := asText(v)
	if !ok {
		if u, isUndef := v.(*undefined); isUndef {
			return nil, u.fail()
		}
		return nil, typeErrf("indent: unsupported operand of type '%s'", typeName(v))
	}
	by, ok := asText(p[0])
	if !ok {
		n, err := optional(p[0], 4)
		if err != nil {
			return nil, err
		}
		by = strings.Repeat(" ", int(min(max(n, 0), 1<<16)))
	}
	lines := splitLines(s+"\n", false)
	if err := in.grown(len(s), len(lines), len(by)); err != nil {
		return nil, err
	}
	blank := truth(part(p[2]))
	for i, line := range lines {
		if i > 0 && (blank || line != "") || i == 0 && truth(part(p[1])) {
			lines[i] = by + line
		}
	}
	return strings.Join(lines, "\n"), nil
}

func filterReplace(in *interp, s string, p []value) (value, error) {
	old, err := in.str(p[0])
	if err != nil {
		return nil, err
	}
	with, err := in.str(p[1])
	if err != nil {
		return nil, err
	}
	n := int64(-1)
	if part(p[2]) != nil {
		if n, err = index(p[2]); err != nil {
			return nil, err
		}
	}
	return in.replace(s, old, with, n)
}

func filterRound(_ *interp, v value, p []value) (value, error) {
	n, err := optional(p[0], 0)
	if err != nil {
		return nil, err
	}
	how := "common"
	if part(p[1]) != nil {
		how, _ = asText(p[1])
	}
	if !isNumber(v) {
		return nil, typeErrf("type %s doesn't define __round__ method", typeName(v))
	}
	i, isInt := integer(v)
	switch {
	case n > 400 || n < -400:
		return nil, typeErrf("round: precision %d is out of range", n)
	case how == "common" && isInt && n >= 0:
		return normInt(i), nil
	case how == "common" && isInt:
		scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(-n), nil)
		return normInt(new(big.Int).Mul(roundRat(new(big.Rat).SetFrac(i, scale)), scale)), nil
	case how == "common":
		return roundFloat(v.(float64), n), nil
	case how != "ceil" && how != "floor":
		return nil, typeErrf("method must be common, ceil or floor")
	}
	scale, err := arith("**", int64(10), n)
	if err != nil {
		return nil, err
	}
	scaled, err := arith("*", v, scale)
	if err != nil {
		return nil, err
	}
	if f, ok := scaled.(float64); ok {
		if how == "ceil" {
			f = math.Ceil(f)
		} else {
			f = math.Floor(f)
		}
		if math.IsInf(f, 0) || math.IsNaN(f) {
			return nil, typeErrf("cannot convert float to integer")
		}
		whole, _ := big.NewFloat(f).Int(nil)
		scaled = normInt(whole)
	}
	return arith("/", scaled, scale)
}

var (
	commentRe = regexp.MustCompile(`(?s)<!--.*?-->`)
	tagRe     = regexp.MustCompile(`(?s)<.*?>`)
	entities  = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&#34;", `"`, "&quot;", `"`, "&#39;", "'", "&amp;", "&")
)

// stripTags drops markup and joins what is left by single blanks.
func stripTags(s string) string {
	s = tagRe.ReplaceAllString(commentRe.ReplaceAllString(s, ""), "")
	return entities.Replace(strings.Join(strings.FieldsFunc(s, isSpace), " "))
}

var wordStartRe = regexp.MustCompile(`[-\s\v\x1c-\x1f\x{85}\x{a0}\p{Z}({\[<]+`)

// titleWords makes the first character of each word upper case and the rest
// lower case.
func titleWords(s string) string {
	var b strings.Builder
	word := func(w string) {
		if w != "" {
			_, n := utf8.DecodeRuneInString(w)
			b.WriteString(upper(w[:n]) + lower(w[n:]))
		}
	}
	at := 0
	for _, m := range wordStartRe.FindAllStringIndex(s, -1) {
		word(s[at:m[0]])
		word(s[m[0]:m[1]])
		at = m[1]
	}
	word(s[at:])
	return b.String()
}

func filterTruncate(in *interp, v value, p []value) (value, error) {
	limit, err := optional(p[0], 255)
	if err != nil {
		return nil, err
	}
	end := "..."
	if _, none := p[2].(absent); !none {
		if end, err = textArg(p[2]); err != nil {
			return nil, err
		}
	}
	leeway := int64(5)
	if part(p[3]) != nil {
		if leeway, err = index(p[3]); err != nil {
			return nil, err
		}
	}
	keep := limit - int64(utf8.RuneCountInString(end))
	if keep < 0 || leeway < 0 {
		return nil, typeErrf("truncate: length %d or leeway %d is too small", limit, leeway)
	}
	n, err := length(v)
	if err != nil {
		return nil, err
	}
	if n <= limit+leeway {
		return v, nil
	}
	s, ok := asText(v)
	if !ok {
		return nil, typeErrf("truncate: a %s cannot be truncated", typeName(v))
	}
	s = sliceText(s, 0, 1, keep)
	if !truth(part(p[1])) {
		if i := strings.LastIndexByte(s, ' '); i >= 0 {
			s = s[:i]
		}
	}
	return s + end, in.made(len(s))
}

// quoteURL percent-encodes what is neither unreserved nor in safe.
func quoteURL(s, safe string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("_.-~"+safe, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func filterURLEncode(in *interp, v value, _ []value) (value, error) {
	if _, isText := asText(v); isText || !isIterable(v) {
		s, err := in.str(v)
		return quoteURL(s, "/"), err
	}
	if d, ok := v.(*dict); ok {
		v = view{"items", d}
	}
	items, err := in.items(v)
	if err != nil {
		return nil, err
	}
	var pairs []string
	for _, item := range items {
		kv, err := in.items(item)
		if err != nil || len(kv) != 2 {
			return nil, typeErrf("urlencode: the items must be pairs")
		}
		var q [2]string
		for i, e := range kv {
			s, err := in.str(e)
			if err != nil {
				return nil, err
			}
			q[i] = strings.ReplaceAll(quoteURL(s, ""), "%20", "+")
		}
		pairs = append(pairs, q[0]+"="+q[1])
	}
	return in.join(pairs, "&")
}
