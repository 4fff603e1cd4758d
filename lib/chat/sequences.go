package chat

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// sequenceFilters are the filters that work on sequences.
func sequenceFilters() map[string]filterFunc {
	return map[string]filterFunc{
		"batch":      params("batch", "linecount,fill_with=", filterBatch),
		"dictsort":   params("dictsort", "case_sensitive=,by=,reverse=", filterDictSort),
		"first":      params("first", "", filterFirst),
		"groupby":    params("groupby", "attribute,default=,case_sensitive=", filterGroupBy),
		"items":      params("items", "", filterItems),
		"join":       params("join", "d=,attribute=", filterJoin),
		"last":       params("last", "", filterLast),
		"list":       params("list", "", filterList),
		"map":        filterMap,
		"max":        params("max", "case_sensitive=,attribute=", func(in *interp, v value, p []value) (value, error) { return in.extreme(">", v, p) }),
		"min":        params("min", "case_sensitive=,attribute=", func(in *interp, v value, p []value) (value, error) { return in.extreme("<", v, p) }),
		"reject":     func(in *interp, v value, a arguments) (value, error) { return in.choose(v, a, false, false) },
		"rejectattr": func(in *interp, v value, a arguments) (value, error) { return in.choose(v, a, true, false) },
		"reverse":    params("reverse", "", filterReverse),
		"select":     func(in *interp, v value, a arguments) (value, error) { return in.choose(v, a, false, true) },
		"selectattr": func(in *interp, v value, a arguments) (value, error) { return in.choose(v, a, true, true) },
		"slice":      params("slice", "slices,fill_with=", filterSlice),
		"sort":       params("sort", "reverse=,case_sensitive=,attribute=", filterSort),
		"sum":        params("sum", "attribute=,start=", filterSum),
		"unique":     params("unique", "case_sensitive=,attribute=", filterUnique),
	}
}

// A getter takes from an item what a filter looks at.
type getter func(item value) (value, error)

// getter reads an attribute given as a path with dots, nil for the item
// itself. Where def is given it stands for what is not defined; fold makes
// texts lower case.
func (in *interp) getter(attribute, def value, fold bool) getter {
	var path []value
	switch a := part(attribute).(type) {
	case nil:
	case string:
		for _, s := range strings.Split(a, ".") {
			if n, err := strconv.ParseInt(s, 10, 64); err == nil && isDigits(s) {
				path = append(path, n)
			} else {
				path = append(path, s)
			}
		}
	default:
		path = []value{a}
	}
	return func(item value) (value, error) {
		for _, p := range path {
			var err error
			if item, err = in.getItem(item, p); err != nil {
				return nil, err
			}
			if _, ok := item.(*undefined); ok && part(def) != nil {
				item = def
			}
		}
		if s, ok := asText(item); ok && fold {
			return lower(s), in.made(len(s))
		}
		return item, nil
	}
}

// keys applies a getter to all items of a value.
func (in *interp) keys(v value, get getter) (items, keys []value, err error) {
	if items, err = in.items(v); err != nil {
		return nil, nil, err
	}
	keys = make([]value, len(items))
	for i, item := range items {
		if keys[i], err = get(item); err != nil {
			return nil, nil, err
		}
	}
	return items, keys, nil
}

// lazy is a generator over the items of v.
func (in *interp) lazy(v value, yield func(item value) (out value, keep bool, err error)) value {
	var it *iterator
	return &iterator{"generator", func() (value, bool, error) {
		if it == nil {
			if !truth(v) {
				return nil, false, nil
			}
			var err error
			if it, err = in.iterate(v); err != nil {
				return nil, false, err
			}
		}
		for {
			item, ok, err := it.next()
			if !ok || err != nil {
				return nil, false, err
			}
			if err := in.charge(1); err != nil {
				return nil, false, err
			}
			out, keep, err := yield(item)
			if keep || err != nil {
				return out, err == nil, err
			}
		}
	}}
}

func filterMap(in *interp, v value, a arguments) (value, error) {
	var apply getter
	if len(a.pos) == 0 {
		attribute, ok := a.take("attribute")
		if !ok {
			return nil, typeErrf("map requires a filter argument")
		}
		def, _ := a.take("default")
		if len(a.names) > 0 {
			return nil, typeErrf("unexpected keyword argument '%s'", a.names[0])
		}
		apply = in.getter(attribute, def, false)
	} else {
		name, err := textArg(a.pos[0])
		if err != nil {
			return nil, err
		}
		rest := a
		rest.pos = a.pos[1:]
		apply = func(item value) (value, error) { return in.filter(name, item, rest) }
	}
	return in.lazy(v, func(item value) (value, bool, error) {
		out, err := apply(item)
		return out, true, err
	}), nil
}

// choose is select, reject, selectattr and rejectattr.
func (in *interp) choose(v value, a arguments, byAttr, want bool) (value, error) {
	get := in.getter(nil, nil, false)
	args := a.pos
	if byAttr {
		if len(args) == 0 {
			return nil, typeErrf("missing parameter for attribute name")
		}
		get = in.getter(args[0], nil, false)
		args = args[1:]
	}
	holds := func(item value) (bool, error) { return truth(item), nil }
	if len(args) > 0 {
		name, err := textArg(args[0])
		if err != nil {
			return nil, err
		}
		rest := arguments{args[1:], a.names, a.named}
		holds = func(item value) (bool, error) { return in.test(name, item, rest) }
	}
	return in.lazy(v, func(item value) (value, bool, error) {
		x, err := get(item)
		if err != nil {
			return nil, false, err
		}
		ok, err := holds(x)
		return item, ok == want, err
	}), nil
}

func filterBatch(in *interp, v value, p []value) (value, error) {
	n, err := index(p[0])
	if err != nil {
		return nil, err
	}
	items, err := in.items(v)
	if err != nil {
		return nil, err
	}
	var out []value
	for len(items) > 0 {
		// Python compares the length with n after each item: 0 or less never ends a batch.
		size := len(items)
		if n > 0 {
			size = int(min(n, int64(size)))
		}
		out = append(out, &list{items[:size:size]})
		items = items[size:]
	}
	if fill := part(p[1]); fill != nil && len(out) > 0 {
		last := out[len(out)-1].(*list)
		if err := in.charge(int(max(n, 0))); err != nil {
			return nil, err
		}
		for int64(len(last.items)) < n {
			last.items = append(last.items, fill)
		}
	}
	return newIterator("generator", out), nil
}

func filterSlice(in *interp, v value, p []value) (value, error) {
	n, err := index(p[0])
	if err != nil {
		return nil, err
	}
	items, err := in.items(v)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, typeErrf("integer division or modulo by zero")
	}
	if err := in.charge(int(min(max(n, 0), maxWork))); err != nil {
		return nil, err
	}
	fill := part(p[1])
	var out []value
	for i := range max(n, 0) {
		size, short := int64(len(items))/(n-i), true
		if int64(len(items))%(n-i) > 0 {
			size, short = size+1, false
		}
		column := &list{items[:size:size]}
		if short && fill != nil {
			column.items = append(column.items, fill)
		}
		items = items[size:]
		out = append(out, column)
	}
	return newIterator("generator", out), nil
}

func filterDictSort(in *interp, v value, p []value) (value, error) {
	d, ok := v.(*dict)
	if !ok {
		if u, ok := v.(*undefined); ok {
			return nil, u.fail()
		}
		return nil, typeErrf("'%s' object has no attribute 'items'", typeName(v))
	}
	values := d.keys
	if by := part(p[1]); by != nil {
		switch by, _ := asText(by); by {
		case "key":
		case "value":
			values = d.vals
		default:
			return nil, typeErrf(`you can only sort by either "key" or "value"`)
		}
	}
	get := in.getter(nil, nil, !truth(part(p[0])))
	_, keys, err := in.keys(&list{values}, get)
	if err != nil {
		return nil, err
	}
	order, err := in.order(keys, truth(part(p[2])))
	out := make([]value, len(order))
	for i, j := range order {
		out[i] = pair(d.keys[j], d.vals[j])
	}
	return &list{out}, err
}

func filterFirst(in *interp, v value, _ []value) (value, error) {
	it, err := in.iterate(v)
	if err != nil {
		return nil, err
	}
	first, ok, err := it.next()
	if !ok && err == nil {
		return undef("no first item, sequence was empty"), nil
	}
	return first, err
}

func filterLast(in *interp, v value, _ []value) (value, error) {
	items, err := in.backwards(v)
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return undef("no last item, sequence was empty"), nil
	}
	return items[0], nil
}

// backwards is Python's reversed(v).
func (in *interp) backwards(v value) ([]value, error) {
	if _, ok := v.(*iterator); ok || !isIterable(v) {
		return nil, typeErrf("'%s' object is not reversible", typeName(v))
	}
	items, err := in.items(v)
	if err != nil {
		return nil, err
	}
	out := make([]value, len(items))
	for i, e := range items {
		out[len(items)-1-i] = e
	}
	return out, nil
}

func filterReverse(in *interp, v value, _ []value) (value, error) {
	if s, ok := asText(v); ok {
		n := int64(utf8.RuneCountInString(s))
		return sliceText(s, n-1, -1, n), in.made(len(s))
	}
	it, ok := v.(*iterator)
	if !ok {
		items, err := in.backwards(v)
		return newIterator("reversed", items), err
	}
	items, err := in.items(it)
	if err != nil {
		return nil, err
	}
	items, err = in.backwards(&list{items})
	return &list{items}, err
}

func filterGroupBy(in *interp, v value, p []value) (value, error) {
	fold := !truth(part(p[2]))
	items, keys, err := in.keys(v, in.getter(p[0], p[1], fold))
	if err != nil {
		return nil, err
	}
	order, err := in.order(keys, false)
	if err != nil {
		return nil, err
	}
	var out []value
	var last value
	var members *list
	for n, i := range order {
		eq := false
		if n > 0 {
			if eq, err = in.equal(last, keys[i]); err != nil {
				return nil, err
			}
		}
		if !eq {
			last, members = keys[i], &list{}
			name := keys[i]
			if fold { // the name as the first member writes it
				if name, err = in.getter(p[0], p[1], false)(items[i]); err != nil {
					return nil, err
				}
			}
			out = append(out, tuple{[]value{name, members}, true})
		}
		members.items = append(members.items, items[i])
	}
	return &list{out}, nil
}

func filterItems(_ *interp, v value, _ []value) (value, error) {
	switch v := v.(type) {
	case *undefined:
		return newIterator("generator", nil), nil
	case *dict:
		return newIterator("generator", view{"items", v}.items()), nil
	}
	return nil, typeErrf("can only get item pairs from a mapping")
}

func filterJoin(in *interp, v value, p []value) (value, error) {
	sep := ""
	if _, none := p[0].(absent); !none {
		var err error
		if sep, err = in.str(p[0]); err != nil {
			return nil, err
		}
	}
	_, values, err := in.keys(v, in.getter(p[1], nil, false))
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(values))
	for i, e := range values {
		if texts[i], err = in.str(e); err != nil {
			return nil, err
		}
	}
	return in.join(texts, sep)
}

func filterList(in *interp, v value, _ []value) (value, error) {
	items, err := in.items(v)
	return &list{append([]value(nil), items...)}, err
}

// extreme is min and max: the first item that is never surpassed.
func (in *interp) extreme(op string, v value, p []value) (value, error) {
	items, keys, err := in.keys(v, in.getter(p[1], nil, !truth(part(p[0]))))
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return undef("no aggregated item, sequence was empty"), nil
	}
	best := 0
	for i := 1; i < len(keys); i++ {
		better, err := in.ordered(op, keys[i], keys[best])
		if err != nil {
			return nil, err
		}
		if better {
			best = i
		}
	}
	return items[best], nil
}

// filterSort sorts by one attribute or by several, separated by commas.
func filterSort(in *interp, v value, p []value) (value, error) {
	fold := !truth(part(p[1]))
	var gets []getter
	if s, ok := asText(part(p[2])); ok {
		for _, a := range strings.Split(s, ",") {
			gets = append(gets, in.getter(a, nil, fold))
		}
	} else {
		gets = []getter{in.getter(p[2], nil, fold)}
	}
	items, keys, err := in.keys(v, func(item value) (value, error) {
		out := make([]value, len(gets))
		for i, get := range gets {
			var err error
			if out[i], err = get(item); err != nil {
				return nil, err
			}
		}
		return &list{out}, nil
	})
	if err != nil {
		return nil, err
	}
	order, err := in.order(keys, truth(part(p[0])))
	sorted := make([]value, len(order))
	for i, j := range order {
		sorted[i] = items[j]
	}
	return &list{sorted}, err
}

func filterSum(in *interp, v value, p []value) (value, error) {
	_, values, err := in.keys(v, in.getter(p[0], nil, false))
	if err != nil {
		return nil, err
	}
	total := value(int64(0))
	if _, none := p[1].(absent); !none {
		total = p[1]
	}
	if _, ok := asText(total); ok {
		return nil, typeErrf("sum() can't sum strings [use ''.join(seq) instead]")
	}
	for _, e := range values {
		if total, err = in.binaryOp("+", total, e); err != nil {
			return nil, err
		}
	}
	return total, nil
}

func filterUnique(in *interp, v value, p []value) (value, error) {
	get := in.getter(p[1], nil, !truth(part(p[0])))
	seen := map[any]bool{}
	items, err := in.items(v)
	if err != nil {
		return nil, err
	}
	var out []value
	for _, item := range items {
		key, err := get(item)
		if err != nil {
			return nil, err
		}
		h, err := hash(key)
		if err != nil {
			return nil, err
		}
		if !seen[h] {
			seen[h] = true
			out = append(out, item)
		}
	}
	return newIterator("generator", out), nil
}
