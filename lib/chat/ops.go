package chat

import (
	"errors"
	"sort"
	"strings"
	"unicode/utf8"
)

// binaryOp applies + - * / // % ** as Python does.
func (in *interp) binaryOp(op string, a, b value) (value, error) {
	if u, ok := a.(*undefined); ok {
		return nil, u.fail()
	}
	if isNumber(a) && isNumber(b) {
		return arith(op, a, b)
	}
	if s, ok := asText(a); ok && op == "%" {
		return in.percent(s, b)
	}
	if u, ok := b.(*undefined); ok {
		return nil, u.fail()
	}
	switch op {
	case "+":
		return in.add(a, b)
	case "*":
		if isNumber(a) {
			a, b = b, a
		}
		if v, ok, err := in.repeat(a, b); ok || err != nil {
			return v, err
		}
	}
	return nil, typeErrf("unsupported operand type(s) for %s: '%s' and '%s'", op, typeName(a), typeName(b))
}

func (in *interp) add(a, b value) (value, error) {
	switch x := a.(type) {
	case string:
		switch y := b.(type) {
		case string:
			return x + y, in.made(len(x) + len(y))
		case markup:
			return markup(escapeHTML(x)) + y, in.made(len(x) + len(y))
		}
		return nil, typeErrf(`can only concatenate str (not "%s") to str`, typeName(b))
	case markup:
		switch y := b.(type) {
		case string:
			return x + markup(escapeHTML(y)), in.made(len(x) + len(y))
		case markup:
			return x + y, in.made(len(x) + len(y))
		}
	case *list:
		if y, ok := b.(*list); ok {
			return &list{append(x.items[:len(x.items):len(x.items)], y.items...)}, in.charge(len(x.items) + len(y.items))
		}
		return nil, typeErrf(`can only concatenate list (not "%s") to list`, typeName(b))
	case tuple:
		if y, ok := b.(tuple); ok {
			return tuple{items: append(x.items[:len(x.items):len(x.items)], y.items...)}, in.charge(len(x.items) + len(y.items))
		}
		return nil, typeErrf(`can only concatenate tuple (not "%s") to tuple`, typeName(b))
	}
	return nil, typeErrf("unsupported operand type(s) for +: '%s' and '%s'", typeName(a), typeName(b))
}

// repeat is seq * n; ok is false where there is no such operation.
func (in *interp) repeat(seq, n value) (v value, ok bool, err error) {
	if _, isFloat := n.(float64); isFloat || !isNumber(n) {
		return nil, false, nil
	}
	size := 0
	switch s := seq.(type) {
	case string:
		size = len(s)
	case markup:
		size = len(s)
	case *list:
		size = 16 * len(s.items)
	case tuple:
		size = 16 * len(s.items)
	default:
		return nil, false, nil
	}
	count, err := index(n)
	if err != nil {
		return nil, true, err
	}
	count = max(count, 0)
	if size > 0 && count > maxText/int64(size) {
		return nil, true, typeErrf("result of * is too large")
	}
	if err := in.made(size * int(count)); err != nil {
		return nil, true, err
	}
	switch s := seq.(type) {
	case string:
		return strings.Repeat(s, int(count)), true, nil
	case markup:
		return markup(strings.Repeat(string(s), int(count))), true, nil
	case *list:
		return &list{repeatItems(s.items, size, count)}, true, nil
	}
	return tuple{items: repeatItems(seq.(tuple).items, size, count)}, true, nil
}

func repeatItems(items []value, size int, n int64) []value {
	if size == 0 {
		return nil
	}
	out := make([]value, 0, len(items)*int(n))
	for range n {
		out = append(out, items...)
	}
	return out
}

// equal is Python's a == b.
func (in *interp) equal(a, b value) (bool, error) { return in.equalAt(a, b, 0) }

func (in *interp) equalAt(a, b value, depth int) (bool, error) {
	if err := in.charge(1); err != nil {
		return false, err
	}
	if depth > maxNesting {
		return false, typeErrf("maximum recursion depth exceeded in comparison")
	}
	if isNumber(a) && isNumber(b) {
		c, ok := compareNumbers(a, b)
		return ok && c == 0, nil
	}
	if s, ok := asText(a); ok {
		t, ok := asText(b)
		return ok && s == t, nil
	}
	switch x := a.(type) {
	case nil:
		return b == nil, nil
	case *undefined:
		_, ok := b.(*undefined)
		return ok, nil
	case *list:
		if y, ok := b.(*list); ok {
			return in.equalItems(x.items, y.items, depth)
		}
	case tuple:
		if y, ok := b.(tuple); ok {
			return in.equalItems(x.items, y.items, depth)
		}
	case *dict:
		y, ok := b.(*dict)
		if !ok || len(x.keys) != len(y.keys) {
			return false, nil
		}
		for h, i := range x.index {
			j, ok := y.index[h]
			if !ok {
				return false, nil
			}
			if eq, err := in.equalAt(x.vals[i], y.vals[j], depth+1); !eq || err != nil {
				return false, err
			}
		}
		return true, nil
	case intRange:
		y, ok := b.(intRange)
		return ok && x.n == y.n && (x.n == 0 || x.start == y.start && (x.n == 1 || x.step == y.step)), nil
	case view:
		if y, ok := b.(view); ok && x.kind != "values" && x.kind == y.kind {
			return in.equalAt(&list{x.items()}, &list{y.items()}, depth+1)
		}
	case *namespace, *macro, *loop, *cycler, *iterator, *function:
		return a == b, nil // pointers
	}
	return false, nil
}

func (in *interp) equalItems(x, y []value, depth int) (bool, error) {
	if len(x) != len(y) {
		return false, nil
	}
	for i := range x {
		if eq, err := in.equalAt(x[i], y[i], depth+1); !eq || err != nil {
			return false, err
		}
	}
	return true, nil
}

// ordered compares with < <= > >=.
func (in *interp) ordered(op string, a, b value) (bool, error) {
	for _, v := range []value{a, b} {
		if u, ok := v.(*undefined); ok {
			return false, u.fail()
		}
	}
	c, ok, err := in.cmp(a, b, 0)
	if err != nil {
		if err == errOrder {
			err = typeErrf("'%s' not supported between instances of '%s' and '%s'", op, typeName(a), typeName(b))
		}
		return false, err
	}
	switch op {
	case "<":
		return ok && c < 0, nil
	case "<=":
		return ok && c <= 0, nil
	case ">":
		return ok && c > 0, nil
	}
	return ok && c >= 0, nil
}

// errOrder reports values without an order.
var errOrder = errors.New("values have no order")

// order returns the indices of values in ascending order, descending if
// reverse; equal ones stay in order.
func (in *interp) order(keys []value, reverse bool) ([]int, error) {
	order := make([]int, len(keys))
	for i := range order {
		order[i] = i
	}
	var failed error
	sort.SliceStable(order, func(i, j int) bool {
		if failed != nil {
			return false
		}
		a, b := keys[order[i]], keys[order[j]]
		if reverse {
			a, b = b, a
		}
		var less bool
		less, failed = in.ordered("<", a, b)
		return less
	})
	return order, failed
}

// cmp compares values; ok is false where a NaN is met.
func (in *interp) cmp(a, b value, depth int) (c int, ok bool, err error) {
	if err := in.charge(1); err != nil {
		return 0, false, err
	}
	if depth > maxNesting {
		return 0, false, typeErrf("maximum recursion depth exceeded in comparison")
	}
	if isNumber(a) && isNumber(b) {
		c, ok := compareNumbers(a, b)
		return c, ok, nil
	}
	if s, isText := asText(a); isText {
		if t, isText := asText(b); isText {
			return strings.Compare(s, t), true, nil // UTF-8 keeps the order of code points
		}
		return 0, false, errOrder
	}
	var x, y []value
	switch v := a.(type) {
	case *list:
		w, ok := b.(*list)
		if !ok {
			return 0, false, errOrder
		}
		x, y = v.items, w.items
	case tuple:
		w, ok := b.(tuple)
		if !ok {
			return 0, false, errOrder
		}
		x, y = v.items, w.items
	default:
		return 0, false, errOrder
	}
	for i := range min(len(x), len(y)) {
		eq, err := in.equalAt(x[i], y[i], depth+1)
		if err != nil {
			return 0, false, err
		}
		if !eq {
			return in.cmp(x[i], y[i], depth+1)
		}
	}
	return len(x) - len(y), true, nil
}

// contains is Python's item in container.
func (in *interp) contains(item, container value) (bool, error) {
	if s, ok := asText(container); ok {
		t, ok := asText(item)
		if !ok {
			return false, typeErrf("'in <string>' requires string as left operand, not %s", typeName(item))
		}
		return strings.Contains(s, t), in.charge(len(s) / 64)
	}
	switch c := container.(type) {
	case *dict:
		_, ok, err := c.get(item)
		return ok, err
	case view:
		if c.kind == "keys" {
			_, ok, err := c.d.get(item)
			return ok, err
		}
	}
	it, err := in.iterate(container)
	if err != nil {
		if _, ok := err.(*Error); ok && !isIterable(container) {
			err = typeErrf("argument of type '%s' is not iterable", typeName(container))
		}
		return false, err
	}
	for {
		v, ok, err := it.next()
		if !ok || err != nil {
			return false, err
		}
		if eq, err := in.equal(v, item); eq || err != nil {
			return eq, err
		}
	}
}

func isIterable(v value) bool {
	switch v.(type) {
	case string, markup, *list, tuple, *dict, intRange, view, *iterator, *undefined:
		return true
	}
	return false
}

// iterate is Python's iter(v).
func (in *interp) iterate(v value) (*iterator, error) {
	switch v := v.(type) {
	case *iterator:
		return v, nil
	case *list:
		return newIterator("list_iterator", v.items), nil
	case tuple:
		return newIterator("tuple_iterator", v.items), nil
	case *dict:
		return newIterator("dict_keyiterator", v.keys), nil
	case view:
		return newIterator("dict_"+v.kind+"iterator", v.items()), nil
	case *undefined:
		return newIterator("generator", nil), nil
	case intRange:
		i := int64(-1)
		return &iterator{"range_iterator", func() (value, bool, error) {
			if i++; i >= v.n {
				return nil, false, nil
			}
			return v.at(i), true, nil
		}}, nil
	case string, markup:
		s, _ := asText(v)
		return &iterator{"str_iterator", func() (value, bool, error) {
			if s == "" {
				return nil, false, nil
			}
			_, n := utf8.DecodeRuneInString(s)
			c := s[:n]
			s = s[n:]
			return c, true, nil
		}}, nil
	}
	return nil, typeErrf("'%s' object is not iterable", typeName(v))
}

// items is Python's list(v).
func (in *interp) items(v value) ([]value, error) {
	it, err := in.iterate(v)
	if err != nil {
		return nil, err
	}
	var out []value
	for {
		e, ok, err := it.next()
		if !ok || err != nil {
			return out, err
		}
		if err := in.charge(1); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
}

func escapeHTML(s string) string { return htmlEscapes.Replace(s) }

var htmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "'", "&#39;", `"`, "&#34;")
