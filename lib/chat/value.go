package chat

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// value is a value of the template language, one of
//
//	nil                  None
//	bool
//	int64, *big.Int      int: big where it does not fit
//	float64
//	string
//	markup               text that was escaped
//	*list, tuple, *dict
//	intRange             range(...)
//	view                 the keys, values or items of a dict
//	*iterator            generators and other things to be run through once
//	*undefined
//	*function            what can be called and is not a macro
//	*macro, *loop, *namespace, *cycler
type value any

type (
	markup string

	list struct{ items []value }

	// tuple is grouped where its two items are attributes too, grouper and
	// list, as the filter groupby yields them.
	tuple struct {
		items   []value
		grouped bool
	}

	intRange struct{ start, stop, step, n int64 } // n values

	view struct {
		kind string // keys, values, items
		d    *dict
	}

	// iterator yields values until ok is false.
	iterator struct {
		name string // Python's type
		next func() (v value, ok bool, err error)
	}

	// undefined is what a name or attribute that does not exist gives. It
	// prints as nothing and fails with kind and msg in most operations.
	undefined struct {
		kind Kind
		msg  string
	}

	function struct {
		name string
		call func(in *interp, a arguments) (value, error)
	}

	namespace struct{ d *dict }

	cycler struct {
		items []value
		at    int
	}
)

func undef(format string, args ...any) *undefined {
	e := errf(Undefined, format, args...)
	return &undefined{e.Kind, e.Message}
}

func (u *undefined) fail() error { return &Error{Kind: u.kind, Message: u.msg} }

// dict is a mapping in order of insertion.
type dict struct {
	keys, vals []value
	index      map[any]int // by hash
}

func newDict(n int) *dict { return &dict{index: make(map[any]int, n)} }

// The keys of dict.index: text as string, integers as int64 (equal floats and
// bools too, as in Python), other values as one of these.
type (
	noneKey  struct{}
	undefKey struct{}
	otherKey string // type and text
)

// hash returns the map key of a value, an error for what is not hashable.
func hash(v value) (any, error) {
	switch v := v.(type) {
	case nil:
		return noneKey{}, nil
	case bool:
		if v {
			return int64(1), nil
		}
		return int64(0), nil
	case int64:
		return v, nil
	case float64:
		if f := math.Trunc(v); f == v && math.Abs(v) < 1<<62 {
			return int64(v), nil
		}
		return otherKey("float " + strconv.FormatFloat(v, 'g', -1, 64)), nil
	case *big.Int:
		return otherKey("int " + v.String()), nil
	case string:
		return v, nil
	case markup:
		return string(v), nil
	case *undefined:
		return undefKey{}, nil
	case tuple:
		var b strings.Builder
		for _, e := range v.items {
			k, err := hash(e)
			if err != nil {
				return nil, err
			}
			switch k := k.(type) {
			case string:
				b.WriteString("s" + strconv.Quote(k))
			case int64:
				b.WriteString("i" + strconv.FormatInt(k, 10))
			case otherKey:
				b.WriteString("o" + strconv.Quote(string(k)))
			case noneKey:
				b.WriteByte('n')
			default:
				b.WriteByte('u')
			}
		}
		return otherKey("tuple " + b.String()), nil
	}
	return nil, typeErrf("unhashable type: '%s'", typeName(v))
}

func (d *dict) get(key value) (value, bool, error) {
	h, err := hash(key)
	if err != nil {
		return nil, false, err
	}
	i, ok := d.index[h]
	if !ok {
		return nil, false, nil
	}
	return d.vals[i], true, nil
}

func (d *dict) text(key string) (value, bool) {
	if i, ok := d.index[key]; ok {
		return d.vals[i], true
	}
	return nil, false
}

func (d *dict) set(key, v value) error {
	h, err := hash(key)
	if err != nil {
		return err
	}
	if i, ok := d.index[h]; ok {
		d.vals[i] = v
		return nil
	}
	d.index[h] = len(d.keys)
	d.keys = append(d.keys, key)
	d.vals = append(d.vals, v)
	return nil
}

func (d *dict) setText(key string, v value) {
	if err := d.set(key, v); err != nil {
		panic("chat: text does not hash: " + err.Error())
	}
}

func (d *dict) clone() *dict {
	c := newDict(len(d.keys))
	for i, k := range d.keys {
		h, _ := hash(k) // a key that is there hashes
		c.index[h] = i
	}
	c.keys = append(c.keys, d.keys...)
	c.vals = append(c.vals, d.vals...)
	return c
}

// items are the values of a view in order.
func (v view) items() []value {
	switch v.kind {
	case "keys":
		return v.d.keys
	case "values":
		return v.d.vals
	}
	out := make([]value, len(v.d.keys))
	for i, k := range v.d.keys {
		out[i] = pair(k, v.d.vals[i])
	}
	return out
}

func pair(a, b value) tuple { return tuple{items: []value{a, b}} }

func (r intRange) at(i int64) value { return r.start + i*r.step }

// newIterator runs through values.
func newIterator(name string, items []value) *iterator {
	i := -1
	return &iterator{name, func() (value, bool, error) {
		if i++; i >= len(items) {
			return nil, false, nil
		}
		return items[i], true, nil
	}}
}

// asText returns the text of a string, escaped or not.
func asText(v value) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case markup:
		return string(v), true
	}
	return "", false
}

// typeName is the name of the Python type of a value.
func typeName(v value) string {
	switch v := v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case int64, *big.Int:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case markup:
		return "Markup"
	case *list:
		return "list"
	case tuple:
		return "tuple"
	case *dict:
		return "dict"
	case intRange:
		return "range"
	case view:
		return "dict_" + v.kind
	case *iterator:
		return v.name
	case *undefined:
		return "Undefined"
	case *namespace:
		return "Namespace"
	case *macro:
		return "Macro"
	case *loop:
		return "LoopContext"
	case *cycler:
		return "Cycler"
	case slice:
		return "slice"
	}
	return "function"
}

// ownerName names a value in messages about its attributes.
func ownerName(v value) string {
	switch v.(type) {
	case nil:
		return "None"
	case markup:
		return "markupsafe.Markup object"
	case *namespace, *cycler:
		return "jinja2.utils." + typeName(v) + " object"
	case *macro, *loop:
		return "jinja2.runtime." + typeName(v) + " object"
	}
	return typeName(v) + " object"
}

// isNumber reports whether v takes part in arithmetic.
func isNumber(v value) bool {
	switch v.(type) {
	case bool, int64, *big.Int, float64:
		return true
	}
	return false
}

// truth is Python's bool(v).
func truth(v value) bool {
	switch v := v.(type) {
	case nil, *undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case markup:
		return v != ""
	case *list:
		return len(v.items) > 0
	case tuple:
		return len(v.items) > 0
	case *dict:
		return len(v.keys) > 0
	case intRange:
		return v.n > 0
	case view:
		return len(v.d.keys) > 0
	case *loop:
		return len(v.items) > 0
	}
	return true // big integers are never 0
}

// length is Python's len(v).
func length(v value) (int64, error) {
	switch v := v.(type) {
	case string:
		return int64(utf8.RuneCountInString(v)), nil
	case markup:
		return int64(utf8.RuneCountInString(string(v))), nil
	case *list:
		return int64(len(v.items)), nil
	case tuple:
		return int64(len(v.items)), nil
	case *dict:
		return int64(len(v.keys)), nil
	case intRange:
		return v.n, nil
	case view:
		return int64(len(v.d.keys)), nil
	case *undefined:
		return 0, nil
	case *loop:
		return int64(len(v.items)), nil
	}
	return 0, typeErrf("object of type '%s' has no len()", typeName(v))
}
