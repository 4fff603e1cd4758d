package chat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf16"
)

// ParseJSON decodes a JSON text into values that a template can be given:
// objects keep the order of their members, integers stay apart from floats.
func ParseJSON(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := parseValue(d, 0)
	if err == nil {
		if _, err = d.Token(); err == io.EOF {
			return v, nil
		}
		if err == nil {
			err = errors.New("more than one value")
		}
	}
	return nil, fmt.Errorf("chat: json: %w", err)
}

func parseValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("nested deeper than %d levels", maxNesting)
	}
	t, err := d.Token()
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	switch t := t.(type) {
	case json.Number:
		return parseNumber(t.String())
	case json.Delim:
		if t == '[' {
			out := []any{}
			for d.More() {
				v, err := parseValue(d, depth+1)
				if err != nil {
					return nil, err
				}
				out = append(out, v)
			}
			_, err := d.Token()
			return out, err
		}
		out := Object{}
		for d.More() {
			k, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := parseValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, Member{k.(string), v})
		}
		_, err := d.Token()
		return out, err
	}
	return t, nil // nil, bool, string
}

func parseNumber(s string) (any, error) {
	if !strings.ContainsAny(s, ".eE") {
		i, ok := new(big.Int).SetString(s, 10)
		if !ok || i.BitLen() > maxIntBits {
			return nil, fmt.Errorf("number %.40s is out of range", s)
		}
		if i.IsInt64() {
			return i.Int64(), nil
		}
		return i, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // Python reads 1e999 as inf
		return nil, err
	}
	return f, nil
}

// jsonWriter is Python's json.dumps with the options of the filter tojson.
type jsonWriter struct {
	in        *interp
	b         strings.Builder
	ascii     bool
	sortKeys  bool
	indent    *string // nil: all on one line
	item, key string  // separators
}

// maxIndent bounds the indentation of one level.
const maxIndent = 1 << 8

func filterToJSON(in *interp, v value, a arguments) (value, error) {
	p, err := bind("tojson", "ensure_ascii=,indent=,separators=,sort_keys=", a)
	if err != nil {
		return nil, err
	}
	w := &jsonWriter{in: in, item: ", ", key: ": "}
	w.ascii = truth(part(p[0]))
	w.sortKeys = truth(part(p[3]))
	if ind := part(p[1]); ind != nil {
		s, ok := asText(ind)
		if !ok {
			n, err := index(ind)
			if err != nil {
				return nil, err
			}
			s = strings.Repeat(" ", int(min(max(n, 0), maxIndent+1)))
		}
		if len(s) > maxIndent {
			return nil, typeErrf("tojson: indent of more than %d characters", maxIndent)
		}
		w.indent = &s
		w.item = ","
	}
	if sep := part(p[2]); sep != nil {
		items, err := in.items(sep)
		if err != nil {
			return nil, err
		}
		if len(items) != 2 {
			return nil, typeErrf("tojson: separators must be a pair")
		}
		if w.item, err = textArg(items[0]); err != nil {
			return nil, err
		}
		if w.key, err = textArg(items[1]); err != nil {
			return nil, err
		}
	}
	if err := w.value(v, 0); err != nil {
		return nil, err
	}
	return w.b.String(), nil
}

func (w *jsonWriter) write(s string) error {
	w.b.WriteString(s)
	if w.b.Len() > maxText {
		return w.in.made(w.b.Len())
	}
	return w.in.charge(1 + len(s)/16)
}

func (w *jsonWriter) value(v value, depth int) error {
	if depth > maxNesting {
		return typeErrf("maximum recursion depth exceeded while encoding a JSON object")
	}
	switch v := v.(type) {
	case nil:
		return w.write("null")
	case bool:
		return w.write(strconv.FormatBool(v))
	case int64:
		return w.write(strconv.FormatInt(v, 10))
	case *big.Int:
		return w.write(v.String())
	case float64:
		return w.write(jsonFloat(v))
	case string:
		return w.write(w.quote(v))
	case markup:
		return w.write(w.quote(string(v)))
	case *list:
		return w.array(v.items, depth)
	case tuple:
		return w.array(v.items, depth)
	case *dict:
		return w.object(v, depth)
	}
	return typeErrf("Object of type %s is not JSON serializable", typeName(v))
}

func (w *jsonWriter) array(items []value, depth int) error {
	return w.brackets("[", "]", len(items), depth, func(i int) error { return w.value(items[i], depth+1) })
}

func (w *jsonWriter) object(d *dict, depth int) error {
	var order []int
	if w.sortKeys {
		var err error
		if order, err = w.in.order(d.keys, false); err != nil {
			return err
		}
	} else {
		for i := range d.keys {
			order = append(order, i)
		}
	}
	return w.brackets("{", "}", len(order), depth, func(i int) error {
		var key string
		switch k := d.keys[order[i]].(type) {
		case string:
			key = k
		case markup:
			key = string(k)
		case nil:
			key = "null"
		case bool:
			key = strconv.FormatBool(k)
		case int64:
			key = strconv.FormatInt(k, 10)
		case *big.Int:
			key = k.String()
		case float64:
			key = jsonFloat(k)
		default:
			return typeErrf("keys must be str, int, float, bool or None, not %s", typeName(k))
		}
		if err := w.write(w.quote(key) + w.key); err != nil {
			return err
		}
		return w.value(d.vals[order[i]], depth+1)
	})
}

// brackets writes n items between brackets.
func (w *jsonWriter) brackets(open, close string, n, depth int, item func(i int) error) error {
	if n == 0 {
		return w.write(open + close)
	}
	newline := func(depth int) string {
		if w.indent == nil {
			return ""
		}
		return "\n" + strings.Repeat(*w.indent, depth)
	}
	for i := range n {
		before := w.item
		if i == 0 {
			before = open
		}
		if err := w.write(before + newline(depth+1)); err != nil {
			return err
		}
		if err := item(i); err != nil {
			return err
		}
	}
	return w.write(newline(depth) + close)
}

func jsonFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return floatRepr(f)
}

var jsonEscapes = map[rune]string{
	'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\f': `\f`, '\b': `\b`,
}

func (w *jsonWriter) quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		e, ok := jsonEscapes[r]
		switch {
		case ok:
			b.WriteString(e)
		case r < 0x20, w.ascii && r > 0x7e && r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		case w.ascii && r >= 0x10000:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
