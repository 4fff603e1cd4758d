package chat

// globals are the functions that every template finds.
var globals = map[string]*function{
	"range":           {"range", newRange},
	"dict":            {"dict", newDictValue},
	"namespace":       {"namespace", newNamespace},
	"cycler":          {"cycler", newCycler},
	"joiner":          {"joiner", newJoiner},
	"lipsum":          {"lipsum", func(*interp, arguments) (value, error) { return nil, typeErrf("lipsum is not supported") }},
	"raise_exception": {"raise_exception", raise},
	"strftime_now":    {"strftime_now", strftimeNow},
}

// maxRange is the sandbox's limit of a range.
const maxRange = 100_000

func newRange(_ *interp, a arguments) (value, error) {
	p, err := bind("range", "/start,stop=,step=", a)
	if err != nil {
		return nil, err
	}
	start, err := index(p[0])
	if err != nil {
		return nil, err
	}
	stop, err := optional(p[1], start)
	if err != nil {
		return nil, err
	}
	if _, none := p[1].(absent); none {
		start = 0
	}
	step, err := optional(p[2], 1)
	if err != nil {
		return nil, err
	}
	const far = 1 << 40
	switch {
	case step == 0:
		return nil, typeErrf("range() arg 3 must not be zero")
	case max(start, stop, step) > far || min(start, stop, step) < -far:
		return nil, typeErrf("range too big")
	}
	n := (stop - start + step - 1) / step
	if step < 0 {
		n = (start - stop - step - 1) / -step
	}
	if n > maxRange {
		return nil, typeErrf("range too big. The sandbox blocks ranges larger than %d", maxRange)
	}
	return intRange{start, stop, step, max(n, 0)}, nil
}

func newDictValue(in *interp, a arguments) (value, error) {
	if len(a.pos) > 1 {
		return nil, typeErrf("dict expected at most 1 argument, got %d", len(a.pos))
	}
	d := newDict(len(a.names))
	if len(a.pos) == 1 {
		if from, ok := a.pos[0].(*dict); ok {
			d = from.clone()
		} else {
			items, err := in.items(a.pos[0])
			if err != nil {
				return nil, err
			}
			for i, item := range items {
				kv, err := in.items(item)
				if err != nil {
					return nil, err
				}
				if len(kv) != 2 {
					return nil, typeErrf("dictionary update sequence element #%d has length %d; 2 is required", i, len(kv))
				}
				if err := d.set(kv[0], kv[1]); err != nil {
					return nil, err
				}
			}
		}
	}
	for i, name := range a.names {
		d.setText(name, a.named[i])
	}
	return d, in.charge(len(d.keys))
}

// dictFromKeys is dict.fromkeys.
func dictFromKeys(in *interp, p []value) (value, error) {
	keys, err := in.items(p[0])
	if err != nil {
		return nil, err
	}
	d := newDict(len(keys))
	for _, k := range keys {
		if err := d.set(k, part(p[1])); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func newNamespace(in *interp, a arguments) (value, error) {
	v, err := newDictValue(in, a)
	if err != nil {
		return nil, err
	}
	ns := &namespace{newDict(0)}
	d := v.(*dict)
	for i, k := range d.keys {
		name, ok := asText(k)
		if !ok {
			return nil, typeErrf("attribute name must be string, not '%s'", typeName(k))
		}
		if err := ns.set(name, d.vals[i]); err != nil {
			return nil, err
		}
	}
	return ns, nil
}

func newCycler(_ *interp, a arguments) (value, error) {
	if len(a.pos) == 0 || len(a.names) > 0 {
		return nil, typeErrf("at least one item has to be provided")
	}
	return &cycler{items: a.pos}, nil
}

// newJoiner makes a function that gives nothing the first time it is called
// and the separator from then on.
func newJoiner(_ *interp, a arguments) (value, error) {
	p, err := bind("joiner", "sep=", a)
	if err != nil {
		return nil, err
	}
	used := false
	return method("joiner", "", func(*interp, []value) (value, error) {
		if !used {
			used = true
			return "", nil
		}
		if _, none := p[0].(absent); none {
			return ", ", nil
		}
		return p[0], nil
	}), nil
}

// raise is the function by which a template refuses a conversation.
func raise(in *interp, a arguments) (value, error) {
	p, err := bind("raise_exception", "message", a)
	if err != nil {
		return nil, err
	}
	s, err := in.str(p[0])
	if err != nil {
		return nil, err
	}
	return nil, &Error{Kind: Raised, Message: s}
}
