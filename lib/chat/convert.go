package chat

import "unicode/utf8"

// converter turns the values of callers into those of the interpreter.
type converter struct {
	mark   func(string) (string, bool) // nil: texts stay as they are
	marked bool                        // whether any text was marked
}

// maxNesting bounds the depth of values: of those given, and of those that a
// template may print, compare or serialise.
const maxNesting = 500

func (c *converter) value(v any, depth int) (value, error) {
	if depth > maxNesting {
		return nil, typeErrf("value nested deeper than %d levels", maxNesting)
	}
	switch v := v.(type) {
	case nil, bool, int64, float64:
		return v, nil
	case int:
		return int64(v), nil
	case string:
		if !utf8.ValidString(v) {
			return nil, typeErrf("text is not valid UTF-8")
		}
		if c.mark == nil {
			return v, nil
		}
		s, changed := c.mark(v)
		c.marked = c.marked || changed
		return s, nil
	case []any:
		items := make([]value, len(v))
		for i, e := range v {
			x, err := c.value(e, depth+1)
			if err != nil {
				return nil, err
			}
			items[i] = x
		}
		return &list{items}, nil
	case Object:
		d := newDict(len(v))
		for _, m := range v {
			if !utf8.ValidString(m.Key) {
				return nil, typeErrf("key is not valid UTF-8")
			}
			x, err := c.value(m.Value, depth+1)
			if err != nil {
				return nil, err
			}
			d.setText(m.Key, x)
		}
		return d, nil
	}
	if i, ok := bigValue(v); ok {
		return i, nil
	}
	return nil, typeErrf("a value of type %T cannot be given to a template", v)
}
