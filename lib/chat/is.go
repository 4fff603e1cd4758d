package chat

import (
	"strings"
	"unicode"
)

// A testFunc is a test: what stands after "is".
type testFunc func(in *interp, v value, a arguments) (bool, error)

// tests by name.
var tests map[string]testFunc

func init() {
	// of makes a test without arguments.
	of := func(name string, f func(v value) bool) testFunc {
		return func(_ *interp, v value, a arguments) (bool, error) {
			_, err := bind(name, "", a)
			return f(v), err
		}
	}
	// with makes a test with one argument.
	with := func(name string, f func(in *interp, v, other value) (bool, error)) testFunc {
		return func(in *interp, v value, a arguments) (bool, error) {
			p, err := bind(name, "other", a)
			if err != nil {
				return false, err
			}
			return f(in, v, p[0])
		}
	}
	equal := with("eq", (*interp).equal)
	unequal := with("ne", func(in *interp, a, b value) (bool, error) {
		eq, err := in.equal(a, b)
		return !eq, err
	})
	ordered := func(op string) testFunc {
		return with(op, func(in *interp, a, b value) (bool, error) { return in.ordered(op, a, b) })
	}
	// leaves tests the remainder of a division.
	leaves := func(in *interp, v, n value, want int64) (bool, error) {
		m, err := in.binaryOp("%", v, n)
		if err != nil {
			return false, err
		}
		return in.equal(m, want)
	}
	parity := func(name string, want int64) testFunc {
		return func(in *interp, v value, a arguments) (bool, error) {
			if _, err := bind(name, "", a); err != nil {
				return false, err
			}
			return leaves(in, v, int64(2), want)
		}
	}
	tests = map[string]testFunc{
		"boolean":  of("boolean", func(v value) bool { _, ok := v.(bool); return ok }),
		"callable": of("callable", isCallable),
		"defined":  of("defined", func(v value) bool { _, ok := v.(*undefined); return !ok }),
		"divisibleby": with("divisibleby", func(in *interp, v, n value) (bool, error) {
			return leaves(in, v, n, 0)
		}),
		"escaped":   of("escaped", func(v value) bool { _, ok := v.(markup); return ok }),
		"even":      parity("even", 0),
		"false":     of("false", func(v value) bool { return v == false }),
		"filter":    named("filter", func(name string) bool { _, ok := filters[name]; return ok }),
		"float":     of("float", func(v value) bool { _, ok := v.(float64); return ok }),
		"in":        with("in", (*interp).contains),
		"integer":   of("integer", func(v value) bool { return typeName(v) == "int" }),
		"iterable":  of("iterable", isIterable),
		"lower":     cased("lower", unicode.IsLower, unicode.IsUpper),
		"mapping":   of("mapping", func(v value) bool { _, ok := v.(*dict); return ok }),
		"none":      of("none", func(v value) bool { return v == nil }),
		"number":    of("number", isNumber),
		"odd":       parity("odd", 1),
		"sameas":    with("sameas", func(_ *interp, a, b value) (bool, error) { return same(a, b), nil }),
		"sequence":  of("sequence", isSequence),
		"string":    of("string", func(v value) bool { _, ok := asText(v); return ok }),
		"test":      named("test", func(name string) bool { _, ok := tests[name]; return ok }),
		"true":      of("true", func(v value) bool { return v == true }),
		"undefined": of("undefined", func(v value) bool { _, ok := v.(*undefined); return ok }),
		"upper":     cased("upper", unicode.IsUpper, unicode.IsLower),
	}
	for names, f := range map[string]testFunc{
		"== eq equalto": equal, "!= ne": unequal,
		"< lt lessthan": ordered("<"), "<= le": ordered("<="),
		"> gt greaterthan": ordered(">"), ">= ge": ordered(">="),
	} {
		for name := range strings.FieldsSeq(names) {
			tests[name] = f
		}
	}
}

// named tests whether a filter or test of a name exists.
func named(name string, exists func(name string) bool) testFunc {
	return func(_ *interp, v value, a arguments) (bool, error) {
		if _, err := bind(name, "", a); err != nil {
			return false, err
		}
		s, ok := asText(v)
		if _, err := hash(v); !ok && err != nil && typeName(v) != "range" {
			return false, err
		}
		return ok && exists(s), nil
	}
}

// cased tests the case of a text.
func cased(name string, want, not func(rune) bool) testFunc {
	return func(in *interp, v value, a arguments) (bool, error) {
		if _, err := bind(name, "", a); err != nil {
			return false, err
		}
		s, err := in.str(v)
		return hasCase(s, want, not), err
	}
}

func isCallable(v value) bool {
	switch v.(type) {
	case *function, *macro, *loop, *undefined: // undefined has a __call__, one that fails
		return true
	}
	return false
}

func isSequence(v value) bool {
	switch v.(type) {
	case string, markup, *list, tuple, *dict, intRange, *undefined:
		return true
	}
	return false
}

// same reports whether two values are one object. Numbers and texts are where
// Python shares them: the singletons, small integers, and equal constants.
func same(a, b value) bool {
	switch x := a.(type) {
	case tuple:
		y, ok := b.(tuple)
		return ok && len(x.items) == len(y.items) && (len(x.items) == 0 || &x.items[0] == &y.items[0])
	case slice, view:
		return false
	}
	switch b.(type) {
	case tuple, slice, view:
		return false
	}
	return a == b
}
