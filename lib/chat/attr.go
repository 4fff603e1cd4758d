package chat

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// getAttr is x.name: a Python attribute if there is one, else an item.
func (in *interp) getAttr(x value, name string) (value, error) {
	if u, ok := x.(*undefined); ok {
		return nil, u.fail()
	}
	v, ok, err := in.attribute(x, name)
	if ok || err != nil {
		return v, err
	}
	if d, ok := x.(*dict); ok {
		if v, ok := d.text(name); ok {
			return v, nil
		}
	}
	return undef("'%s' has no attribute %s", ownerName(x), textRepr(name)), nil
}

// getItem is x[i]: an item if there is one, else an attribute.
func (in *interp) getItem(x, i value) (value, error) {
	if u, ok := x.(*undefined); ok {
		return nil, u.fail()
	}
	if s, ok := i.(slice); ok {
		return in.slice(x, s)
	}
	v, ok, err := in.item(x, i)
	if ok || err != nil {
		return v, err
	}
	name, ok := asText(i)
	if !ok {
		r, err := in.repr(i)
		if err != nil {
			r = typeName(i)
		}
		return undef("%s has no element %s", ownerName(x), r), nil
	}
	if v, ok, err := in.attribute(x, name); ok || err != nil {
		return v, err
	}
	return undef("'%s' has no attribute %s", ownerName(x), textRepr(name)), nil
}

// item looks an item up; ok is false where Python raises a TypeError or a
// LookupError.
func (in *interp) item(x, i value) (v value, ok bool, err error) {
	if d, isDict := x.(*dict); isDict {
		v, ok, err := d.get(i)
		return v, ok && err == nil, nil
	}
	if _, isFloat := i.(float64); isFloat || !isNumber(i) {
		return nil, false, nil
	}
	at, err := index(i)
	if err != nil {
		return nil, false, nil // beyond any length
	}
	n, err := length(x)
	if err != nil {
		return nil, false, nil
	}
	if at < 0 {
		at += n
	}
	if at < 0 || at >= n {
		return nil, false, nil
	}
	switch x := x.(type) {
	case string:
		return char(x, at), true, in.charge(len(x) / 16)
	case markup:
		return markup(char(string(x), at)), true, in.charge(len(x) / 16)
	case *list:
		return x.items[at], true, nil
	case tuple:
		return x.items[at], true, nil
	case intRange:
		return x.at(at), true, nil
	}
	return nil, false, nil
}

// char is the character of s at index i.
func char(s string, i int64) string {
	for ; i > 0; i-- {
		_, n := utf8.DecodeRuneInString(s)
		s = s[n:]
	}
	_, n := utf8.DecodeRuneInString(s)
	return s[:n]
}

// slice holds the parts of lo:hi:step, nil where they are left out.
type slice [3]value

// bounds returns the first index, the one before which the slice ends, the step
// and the number of items that it takes of n.
func (s slice) bounds(n int64) (lo, hi, step, count int64, err error) {
	var parts [3]int64
	for i, v := range s {
		if _, isFloat := v.(float64); v != nil && (isFloat || !isNumber(v)) {
			return 0, 0, 0, 0, typeErrf("slice indices must be integers or None or have an __index__ method")
		}
		if x, isInt := integer(v); isInt {
			if !x.IsInt64() || x.Int64() == math.MinInt64 {
				parts[i] = math.MaxInt64 * int64(x.Sign())
			} else {
				parts[i] = x.Int64()
			}
		}
	}
	if s[2] == nil {
		parts[2] = 1
	}
	step = parts[2]
	if step == 0 {
		return 0, 0, 0, 0, typeErrf("slice step cannot be zero")
	}
	lower, upper := int64(0), n
	if step < 0 {
		lower, upper = -1, n-1
	}
	clamp := func(i int64) int64 {
		if i < 0 {
			return max(i+n, lower)
		}
		return min(i, upper)
	}
	lo, hi = clamp(parts[0]), clamp(parts[1])
	if step < 0 {
		if s[0] == nil {
			lo = upper
		}
		if s[1] == nil {
			hi = lower
		}
		if hi < lo {
			count = (lo-hi-1)/-step + 1
		}
		return lo, hi, step, count, nil
	}
	if s[1] == nil {
		hi = upper
	}
	if lo < hi {
		count = (hi-lo-1)/step + 1
	}
	return lo, hi, step, count, nil
}

// slice applies a slice to a sequence.
func (in *interp) slice(x value, s slice) (value, error) {
	switch x.(type) {
	case string, markup, *list, tuple, intRange:
	default:
		return nil, typeErrf("'%s' object cannot be sliced", typeName(x))
	}
	n, err := length(x)
	if err != nil {
		return nil, err
	}
	lo, hi, step, count, err := s.bounds(n)
	if err != nil {
		return nil, err
	}
	if err := in.charge(int(count) + int(n)/16); err != nil {
		return nil, err
	}
	switch x := x.(type) {
	case string:
		return sliceText(x, lo, step, count), nil
	case markup:
		return markup(sliceText(string(x), lo, step, count)), nil
	case *list:
		return &list{pick(x.items, lo, step, count)}, nil
	case tuple:
		return tuple{items: pick(x.items, lo, step, count)}, nil
	}
	r := x.(intRange)
	return intRange{r.start + lo*r.step, r.start + hi*r.step, r.step * step, count}, nil
}

// pick takes count items from lo on at the step.
func pick(items []value, lo, step, count int64) []value {
	out := make([]value, count)
	for i := range out {
		out[i] = items[lo+int64(i)*step]
	}
	return out
}

// sliceText is pick for the characters of a text.
func sliceText(s string, lo, step, count int64) string {
	if count == 0 {
		return ""
	}
	if step == 1 {
		from := byteOffset(s, lo)
		return s[from : from+byteOffset(s[from:], count)]
	}
	runes := []rune(s)
	out := make([]rune, count)
	for i := range out {
		out[i] = runes[lo+int64(i)*step]
	}
	return string(out)
}

// byteOffset is where the character of index i begins.
func byteOffset(s string, i int64) int {
	off := 0
	for ; i > 0; i-- {
		_, n := utf8.DecodeRuneInString(s[off:])
		off += n
	}
	return off
}

// attributes that the sandbox takes for dangerous, and those of Python that
// are not supported here, by type.
var (
	mutators = map[string][]string{
		"list": {"append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"},
		"dict": {"clear", "pop", "popitem", "setdefault", "update"},
	}
	unsupported = map[string][]string{
		"str":   {"encode", "format_map", "isidentifier", "maketrans", "translate"},
		"int":   {"as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator", "from_bytes", "imag", "is_integer", "numerator", "real", "to_bytes"},
		"float": {"as_integer_ratio", "conjugate", "fromhex", "hex", "imag", "is_integer", "real"},
		"range": {"count", "index", "start", "step", "stop"},
	}
)

// attribute looks a Python attribute of x up.
func (in *interp) attribute(x value, name string) (v value, ok bool, err error) {
	kind := typeName(x)
	switch kind {
	case "Markup":
		kind = "str"
	case "bool":
		kind = "int"
	}
	if ns, isNamespace := x.(*namespace); isNamespace {
		v, ok := ns.d.text(name)
		return v, ok, nil
	}
	if len(name) > 4 && strings.HasPrefix(name, "__") && strings.HasSuffix(name, "__") || slices.Contains(mutators[kind], name) {
		return &undefined{Security, "access to attribute " + textRepr(name) + " of '" + typeName(x) + "' object is unsafe."}, true, nil
	}
	if slices.Contains(unsupported[kind], name) {
		return nil, false, typeErrf("%s.%s is not supported", kind, name)
	}
	switch x := x.(type) {
	case string:
		return textMethod(x, name)
	case markup:
		return textMethod(string(x), name)
	case *list:
		return sequenceMethod(x.items, kind, name)
	case tuple:
		if x.grouped && (name == "grouper" || name == "list") {
			return x.items[strings.Index("gl", name[:1])], true, nil
		}
		return sequenceMethod(x.items, kind, name)
	case *dict:
		return dictMethod(x, name)
	case *function:
		if x.name == "dict" && name == "fromkeys" {
			return dictMethod(nil, name)
		}
	case *loop:
		v, ok := x.attribute(name)
		return v, ok, nil
	case *macro:
		switch name {
		case "name":
			return x.def.name, true, nil
		case "arguments":
			names := make([]value, len(x.def.params))
			for i, p := range x.def.params {
				names[i] = p
			}
			return tuple{items: names}, true, nil
		}
	case *cycler:
		switch name {
		case "current":
			return x.items[x.at], true, nil
		case "next":
			return method("next", "", func(*interp, []value) (value, error) { return x.advance(), nil }), true, nil
		case "reset":
			return method("reset", "", func(*interp, []value) (value, error) { x.at = 0; return nil, nil }), true, nil
		}
	}
	return nil, false, nil
}

// method makes a function of parameters as bind reads them.
func method(name, spec string, call func(in *interp, p []value) (value, error)) *function {
	return &function{name, func(in *interp, a arguments) (value, error) {
		p, err := bind(name, spec, a)
		if err != nil {
			return nil, err
		}
		return call(in, p)
	}}
}

func (c *cycler) advance() value {
	v := c.items[c.at]
	c.at = (c.at + 1) % len(c.items)
	return v
}

func dictMethod(d *dict, name string) (value, bool, error) {
	switch name {
	case "items", "keys", "values":
		return method(name, "", func(*interp, []value) (value, error) { return view{name, d}, nil }), true, nil
	case "copy":
		return method(name, "", func(*interp, []value) (value, error) { return d.clone(), nil }), true, nil
	case "get":
		return method(name, "/key,default=", func(_ *interp, p []value) (value, error) {
			v, ok, err := d.get(p[0])
			if ok || err != nil {
				return v, err
			}
			if _, none := p[1].(absent); none {
				return nil, nil
			}
			return p[1], nil
		}), true, nil
	case "fromkeys":
		return method(name, "/keys,value=", dictFromKeys), true, nil
	}
	return nil, false, nil
}

// sequenceMethod is a method of a list or tuple.
func sequenceMethod(items []value, kind, name string) (value, bool, error) {
	switch {
	case name == "count":
		return method(name, "/value", func(in *interp, p []value) (value, error) {
			n := int64(0)
			for _, v := range items {
				eq, err := in.equal(v, p[0])
				if err != nil {
					return nil, err
				}
				if eq {
					n++
				}
			}
			return n, nil
		}), true, nil
	case name == "index":
		return method(name, "/value,start=,stop=", func(in *interp, p []value) (value, error) {
			s := slice{part(p[1]), part(p[2]), nil}
			lo, _, _, count, err := s.bounds(int64(len(items)))
			if err != nil {
				return nil, err
			}
			for i := lo; i < lo+count; i++ {
				if eq, err := in.equal(items[i], p[0]); eq || err != nil {
					return i, err
				}
			}
			return nil, typeErrf("the value is not in the %s", kind)
		}), true, nil
	case name == "copy" && kind == "list":
		return method(name, "", func(*interp, []value) (value, error) {
			return &list{slices.Clone(items)}, nil
		}), true, nil
	}
	return nil, false, nil
}

// part is an optional bound of a slice.
func part(v value) value {
	if _, none := v.(absent); none {
		return nil
	}
	return v
}

// attribute of the variable loop.
func (l *loop) attribute(name string) (value, bool) {
	i, n := int64(l.i), int64(len(l.items))
	switch name {
	case "index":
		return i + 1, true
	case "index0":
		return i, true
	case "revindex":
		return n - i, true
	case "revindex0":
		return n - i - 1, true
	case "first":
		return i == 0, true
	case "last":
		return i == n-1, true
	case "length":
		return n, true
	case "depth":
		return l.depth + 1, true
	case "depth0":
		return l.depth, true
	case "previtem":
		if i == 0 {
			return undef("there is no previous item"), true
		}
		return l.items[i-1], true
	case "nextitem":
		if i == n-1 {
			return undef("there is no next item"), true
		}
		return l.items[i+1], true
	case "cycle":
		return &function{name, func(_ *interp, a arguments) (value, error) {
			if len(a.pos) == 0 || len(a.names) > 0 {
				return nil, typeErrf("no items for cycling given")
			}
			return a.pos[l.i%len(a.pos)], nil
		}}, true
	case "changed":
		return &function{name, func(in *interp, a arguments) (value, error) {
			if len(a.names) > 0 {
				return nil, typeErrf("changed() takes no keyword arguments")
			}
			if l.changed != nil {
				if eq, err := in.equal(tuple{items: *l.changed}, tuple{items: a.pos}); eq || err != nil {
					return false, err
				}
			}
			l.changed = &a.pos
			return true, nil
		}}, true
	}
	return nil, false
}
