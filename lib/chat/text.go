package chat

import (
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
)

// textMethods are the methods of str: their parameters as bind reads them, and
// what they do.
var textMethods map[string]struct {
	spec string
	call func(in *interp, s string, p []value) (value, error)
}

// textMethod returns a method of a text.
func textMethod(s, name string) (value, bool, error) {
	if name == "format" {
		return &function{name, func(in *interp, a arguments) (value, error) { return in.format(s, a) }}, true, nil
	}
	m, ok := textMethods[name]
	if !ok {
		return nil, false, nil
	}
	return method(name, m.spec, func(in *interp, p []value) (value, error) {
		if err := in.charge(len(s) / 16); err != nil {
			return nil, err
		}
		v, err := m.call(in, s, p)
		if t, ok := v.(string); ok && err == nil {
			err = in.made(len(t))
		}
		return v, err
	}), true, nil
}

// textArg is a text among the arguments of a method.
func textArg(v value) (string, error) {
	if s, ok := asText(v); ok {
		return s, nil
	}
	if u, ok := v.(*undefined); ok {
		return "", typeErrf("must be str, not Undefined (%s)", u.msg)
	}
	return "", typeErrf("must be str, not %s", typeName(v))
}

// optional returns an integer argument, or the default where it is left out.
func optional(v value, def int64) (int64, error) {
	if _, none := v.(absent); none {
		return def, nil
	}
	return index(v)
}

// window restricts s to the characters [start, end) that methods like find
// take, and returns the index of its first character; ok is false where start
// lies beyond the end.
func window(s string, start, end value) (sub string, first int64, ok bool, err error) {
	n := int64(utf8.RuneCountInString(s))
	first, _, _, count, err := slice{part(start), part(end), nil}.bounds(n)
	if err != nil {
		return "", 0, false, err
	}
	if lo, isInt := integer(part(start)); isInt && lo.IsInt64() && lo.Int64() > n {
		return "", 0, false, nil
	}
	return sliceText(s, first, 1, count), first, true, nil
}

func init() {
	type entry = struct {
		spec string
		call func(in *interp, s string, p []value) (value, error)
	}
	plain := func(f func(string) string) entry {
		return entry{"", func(_ *interp, s string, _ []value) (value, error) { return f(s), nil }}
	}
	is := func(f func(string) bool) entry {
		return entry{"", func(_ *interp, s string, _ []value) (value, error) { return f(s), nil }}
	}
	strip := func(left, right bool) entry {
		return entry{"/chars=", func(_ *interp, s string, p []value) (value, error) {
			return stripText(s, p[0], left, right)
		}}
	}
	affix := func(has func(s, affix string) bool) entry {
		return entry{"/affix,start=,end=", func(_ *interp, s string, p []value) (value, error) {
			sub, _, ok, err := window(s, p[1], p[2])
			if err != nil {
				return nil, err
			}
			any := []value{p[0]}
			if t, isTuple := p[0].(tuple); isTuple {
				any = t.items
			}
			for _, v := range any {
				a, err := textArg(v)
				if err != nil {
					return nil, err
				}
				if ok && has(sub, a) {
					return true, nil
				}
			}
			return false, nil
		}}
	}
	find := func(index func(s, sub string) int, must bool) entry {
		return entry{"/sub,start=,end=", func(_ *interp, s string, p []value) (value, error) {
			sub, err := textArg(p[0])
			if err != nil {
				return nil, err
			}
			w, first, ok, err := window(s, p[1], p[2])
			if err != nil {
				return nil, err
			}
			if i := index(w, sub); ok && i >= 0 {
				return first + int64(utf8.RuneCountInString(w[:i])), nil
			}
			if must {
				return nil, typeErrf("substring not found")
			}
			return int64(-1), nil
		}}
	}
	trimAffix := func(cut func(s, affix string) string) entry {
		return entry{"/affix", func(_ *interp, s string, p []value) (value, error) {
			a, err := textArg(p[0])
			return cut(s, a), err
		}}
	}
	cut := func(last bool) entry {
		return entry{"/sep", func(_ *interp, s string, p []value) (value, error) {
			sep, err := textArg(p[0])
			if err != nil {
				return nil, err
			}
			if sep == "" {
				return nil, typeErrf("empty separator")
			}
			i := strings.Index(s, sep)
			if last {
				i = strings.LastIndex(s, sep)
			}
			switch {
			case i >= 0:
				return tuple{items: []value{s[:i], sep, s[i+len(sep):]}}, nil
			case last:
				return tuple{items: []value{"", "", s}}, nil
			}
			return tuple{items: []value{s, "", ""}}, nil
		}}
	}
	justify := func(pad func(n, width int) (left int)) entry {
		return entry{"/width,fill=", func(_ *interp, s string, p []value) (value, error) {
			fill := " "
			if part(p[1]) != nil {
				var err error
				if fill, err = textArg(p[1]); err != nil || utf8.RuneCountInString(fill) != 1 {
					return nil, typeErrf("the fill character must be exactly one character long")
				}
			}
			n, err := missing(s, p[0])
			if err != nil {
				return nil, err
			}
			left := pad(n, n+utf8.RuneCountInString(s))
			return strings.Repeat(fill, left) + s + strings.Repeat(fill, n-left), nil
		}}
	}
	textMethods = map[string]entry{
		"capitalize": plain(capitalize),
		"casefold":   plain(cases.Fold().String),
		"lower":      plain(lower),
		"swapcase":   plain(swapCase),
		"title":      plain(title),
		"upper":      plain(upper),

		"isalnum": is(allRunes(func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) })),
		"isalpha": is(allRunes(unicode.IsLetter)),
		"isascii": is(func(s string) bool {
			return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
		}),
		"isdecimal":   is(allRunes(unicode.IsDigit)),
		"isdigit":     is(isDigits),
		"islower":     is(func(s string) bool { return hasCase(s, unicode.IsLower, unicode.IsUpper) }),
		"isnumeric":   is(allRunes(unicode.IsNumber)),
		"isprintable": is(func(s string) bool { return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) }),
		"isspace":     is(allRunes(isSpace)),
		"istitle":     is(func(s string) bool { return s == title(s) && strings.ContainsFunc(s, isCased) }),
		"isupper":     is(func(s string) bool { return hasCase(s, unicode.IsUpper, unicode.IsLower) }),

		"strip":  strip(true, true),
		"lstrip": strip(true, false),
		"rstrip": strip(false, true),

		"startswith": affix(strings.HasPrefix),
		"endswith":   affix(strings.HasSuffix),

		"find":   find(strings.Index, false),
		"rfind":  find(strings.LastIndex, false),
		"index":  find(strings.Index, true),
		"rindex": find(strings.LastIndex, true),
		"count": {"/sub,start=,end=", func(_ *interp, s string, p []value) (value, error) {
			sub, err := textArg(p[0])
			if err != nil {
				return nil, err
			}
			w, _, ok, err := window(s, p[1], p[2])
			if !ok || err != nil {
				return int64(0), err
			}
			return int64(strings.Count(w, sub)), nil
		}},

		"removeprefix": trimAffix(strings.TrimPrefix),
		"removesuffix": trimAffix(strings.TrimSuffix),
		"partition":    cut(false),
		"rpartition":   cut(true),

		"ljust": justify(func(int, int) int { return 0 }),
		"rjust": justify(func(n, _ int) int { return n }),
		// Of an odd number of blanks the one more goes left where the width is odd.
		"center": justify(func(n, width int) int { return n/2 + n&width&1 }),
		"zfill": {"/width", func(_ *interp, s string, p []value) (value, error) {
			n, err := missing(s, p[0])
			if err != nil {
				return nil, err
			}
			sign := signAt(s)
			return sign + strings.Repeat("0", n) + s[len(sign):], nil
		}},
		"expandtabs": {"tabsize=", expandTabs},

		"replace": {"/old,new,count=", func(in *interp, s string, p []value) (value, error) {
			old, err := textArg(p[0])
			if err != nil {
				return nil, err
			}
			with, err := textArg(p[1])
			if err != nil {
				return nil, err
			}
			n, err := optional(p[2], -1)
			if err != nil {
				return nil, err
			}
			return in.replace(s, old, with, n)
		}},
		"join": {"/items", func(in *interp, s string, p []value) (value, error) {
			items, err := in.items(p[0])
			if err != nil {
				return nil, err
			}
			texts := make([]string, len(items))
			for i, v := range items {
				t, ok := asText(v)
				if !ok {
					return nil, typeErrf("sequence item %d: expected str instance, %s found", i, typeName(v))
				}
				texts[i] = t
			}
			return in.join(texts, s)
		}},
		"split": {"sep=,maxsplit=", func(in *interp, s string, p []value) (value, error) {
			return in.split(s, p, false)
		}},
		"rsplit": {"sep=,maxsplit=", func(in *interp, s string, p []value) (value, error) {
			return in.split(s, p, true)
		}},
		"splitlines": {"keepends=", func(in *interp, s string, p []value) (value, error) {
			_, none := p[0].(absent)
			lines := splitLines(s, !none && truth(p[0]))
			return textList(lines), in.charge(len(lines))
		}},
	}
}

func textList(texts []string) *list {
	l := &list{make([]value, len(texts))}
	for i, t := range texts {
		l.items[i] = t
	}
	return l
}

// replace replaces the first n occurrences of old, all if n is negative.
func (in *interp) replace(s, old, with string, n int64) (string, error) {
	count := strings.Count(s, old) // characters + 1 for an empty old, as in Python
	if n >= 0 && n < int64(count) {
		count = int(n)
	}
	if err := in.grown(len(s), count, len(with)); err != nil {
		return "", err
	}
	return strings.Replace(s, old, with, count), nil
}

// grown checks, before it is made, the size of a text with n pieces of a size
// added to it.
func (in *interp) grown(base, n, size int) error {
	if n > 0 && size > maxText/n {
		return in.made(math.MaxInt)
	}
	return in.made(base + n*size)
}

func (in *interp) join(texts []string, sep string) (string, error) {
	n := 0
	for _, t := range texts {
		n += len(t)
	}
	if err := in.grown(n, len(texts), len(sep)); err != nil {
		return "", err
	}
	return strings.Join(texts, sep), nil
}

// split splits at a separator, or at runs of white space where there is none.
func (in *interp) split(s string, p []value, fromRight bool) (value, error) {
	limit, err := optional(p[1], -1)
	if err != nil {
		return nil, err
	}
	if limit < 0 {
		limit = math.MaxInt64
	}
	var out []string
	if part(p[0]) == nil {
		out = splitSpace(s, limit, fromRight)
	} else {
		sep, err := textArg(p[0])
		if err != nil {
			return nil, err
		}
		if sep == "" {
			return nil, typeErrf("empty separator")
		}
		for ; limit > 0; limit-- {
			i := strings.Index(s, sep)
			if fromRight {
				i = strings.LastIndex(s, sep)
			}
			if i < 0 {
				break
			}
			if fromRight {
				out, s = append(out, s[i+len(sep):]), s[:i]
			} else {
				out, s = append(out, s[:i]), s[i+len(sep):]
			}
		}
		out = append(out, s)
		if fromRight {
			slices.Reverse(out)
		}
	}
	return textList(out), in.charge(len(out))
}

func splitSpace(s string, limit int64, fromRight bool) []string {
	var out []string
	if fromRight {
		s = strings.TrimRightFunc(s, isSpace)
		for ; limit > 0 && s != ""; limit-- {
			i := strings.LastIndexFunc(s, isSpace)
			_, n := utf8.DecodeRuneInString(s[max(i, 0):])
			if i < 0 {
				n = 1
			}
			out = append(out, s[i+n:])
			s = strings.TrimRightFunc(s[:max(i, 0)], isSpace)
		}
	} else {
		s = strings.TrimLeftFunc(s, isSpace)
		for ; limit > 0 && s != ""; limit-- {
			i := strings.IndexFunc(s, isSpace)
			if i < 0 {
				i = len(s)
			}
			out = append(out, s[:i])
			s = strings.TrimLeftFunc(s[i:], isSpace)
		}
	}
	if s != "" {
		out = append(out, s)
	}
	if fromRight {
		slices.Reverse(out)
	}
	return out
}

// splitLines splits at the line boundaries of Python.
func splitLines(s string, keep bool) []string {
	var out []string
	for s != "" {
		i := strings.IndexFunc(s, isLineEnd)
		if i < 0 {
			return append(out, s)
		}
		_, n := utf8.DecodeRuneInString(s[i:])
		if strings.HasPrefix(s[i:], "\r\n") {
			n = 2
		}
		if keep {
			out = append(out, s[:i+n])
		} else {
			out = append(out, s[:i])
		}
		s = s[i+n:]
	}
	return out
}

func isLineEnd(r rune) bool {
	switch r {
	case '\n', '\r', '\v', '\f', 0x1c, 0x1d, 0x1e, 0x85, 0x2028, 0x2029:
		return true
	}
	return false
}

// stripText is strip, lstrip and rstrip; chars may be absent or none.
func stripText(s string, chars value, left, right bool) (string, error) {
	drop := isSpace
	if part(chars) != nil {
		set, err := textArg(chars)
		if err != nil {
			return "", err
		}
		drop = func(r rune) bool { return strings.ContainsRune(set, r) }
	}
	if left {
		s = strings.TrimLeftFunc(s, drop)
	}
	if right {
		s = strings.TrimRightFunc(s, drop)
	}
	return s, nil
}

// missing is how many characters s is short of a width.
func missing(s string, width value) (int, error) {
	w, err := index(width)
	if err != nil {
		return 0, err
	}
	if w > maxText {
		return 0, typeErrf("width %d is too large", w)
	}
	return int(max(w-int64(utf8.RuneCountInString(s)), 0)), nil
}

func expandTabs(in *interp, s string, p []value) (value, error) {
	size, err := optional(p[0], 8)
	if err != nil {
		return nil, err
	}
	if size > 1<<10 {
		return nil, typeErrf("tab size %d is too large", size)
	}
	if err := in.grown(len(s), strings.Count(s, "\t"), int(max(size, 0))); err != nil {
		return nil, err
	}
	var b strings.Builder
	col := int64(0)
	for _, r := range s {
		switch r {
		case '\t':
			if size > 0 {
				n := size - col%size
				b.WriteString(strings.Repeat(" ", int(n)))
				col += n
			}
			continue
		case '\n', '\r':
			col = -1
		}
		b.WriteRune(r)
		col++
	}
	return b.String(), nil
}
