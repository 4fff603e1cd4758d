package chat

import (
	"math/big"
	"slices"
	"strings"
)

// eval evaluates an expression.
func (in *interp) eval(f *frame, x expr) (value, error) {
	if err := in.enter(); err != nil {
		return nil, at(err, x.lineNo())
	}
	v, err := in.expr(f, x)
	in.depth--
	if err != nil {
		return nil, at(err, x.lineNo())
	}
	return v, nil
}

func (in *interp) evalAll(f *frame, xs []expr) ([]value, error) {
	out := make([]value, len(xs))
	for i, x := range xs {
		v, err := in.eval(f, x)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

func (in *interp) expr(f *frame, x expr) (value, error) {
	switch x := x.(type) {
	case constExpr:
		return x.v, nil
	case nameExpr:
		return in.lookup(f.scope, x.name), nil
	case listExpr:
		items, err := in.evalAll(f, x.items)
		return &list{items}, err
	case tupleExpr:
		items, err := in.evalAll(f, x.items)
		return tuple{items: items}, err
	case dictExpr:
		d := newDict(len(x.keys))
		for i := range x.keys {
			k, err := in.eval(f, x.keys[i])
			if err != nil {
				return nil, err
			}
			v, err := in.eval(f, x.vals[i])
			if err != nil {
				return nil, err
			}
			if err := d.set(k, v); err != nil {
				return nil, err
			}
		}
		return d, nil
	case unaryExpr:
		v, err := in.eval(f, x.x)
		if err != nil {
			return nil, err
		}
		return sign(x.op, v)
	case binaryExpr:
		l, err := in.eval(f, x.l)
		if err != nil {
			return nil, err
		}
		r, err := in.eval(f, x.r)
		if err != nil {
			return nil, err
		}
		return in.binaryOp(x.op, l, r)
	case boolExpr:
		l, err := in.eval(f, x.l)
		if err != nil || truth(l) == x.or {
			return l, err
		}
		return in.eval(f, x.r)
	case notExpr:
		v, err := in.eval(f, x.x)
		return !truth(v), err
	case compareExpr:
		return in.compare(f, x)
	case concatExpr:
		return in.concat(f, x)
	case condExpr:
		test, err := in.eval(f, x.test)
		switch {
		case err != nil:
			return nil, err
		case truth(test):
			return in.eval(f, x.a)
		case x.b != nil:
			return in.eval(f, x.b)
		}
		return undef("the inline if-expression evaluated to false and no else section was defined"), nil
	case attrExpr:
		v, err := in.eval(f, x.x)
		if err != nil {
			return nil, err
		}
		return in.getAttr(v, x.name)
	case itemExpr:
		v, err := in.eval(f, x.x)
		if err != nil {
			return nil, err
		}
		i, err := in.eval(f, x.i)
		if err != nil {
			return nil, err
		}
		return in.getItem(v, i)
	case sliceExpr:
		s := slice{}
		for i, part := range []expr{x.lo, x.hi, x.step} {
			if part == nil {
				continue
			}
			v, err := in.eval(f, part)
			if err != nil {
				return nil, err
			}
			s[i] = v
		}
		return s, nil
	case *callExpr:
		return in.callNode(f, x, nil)
	case filterExpr:
		v, err := in.eval(f, x.x)
		if err != nil {
			return nil, err
		}
		return in.applyFilter(f, x, v)
	case testExpr:
		v, err := in.eval(f, x.x)
		if err != nil {
			return nil, err
		}
		a, err := in.arguments(f, x.args)
		if err != nil {
			return nil, err
		}
		return in.test(x.name, v, a)
	}
	panic("chat: unknown expression")
}

// sign applies a unary + or -.
func sign(op string, v value) (value, error) {
	if u, ok := v.(*undefined); ok {
		return nil, u.fail()
	}
	if f, ok := v.(float64); ok {
		if op == "-" {
			f = -f
		}
		return f, nil
	}
	i, ok := integer(v)
	if !ok {
		return nil, typeErrf("bad operand type for unary %s: '%s'", op, typeName(v))
	}
	if op == "-" {
		i = new(big.Int).Neg(i)
	}
	return normInt(i), nil
}

// compare evaluates a chain of comparisons up to the first that is false.
func (in *interp) compare(f *frame, x compareExpr) (value, error) {
	l, err := in.eval(f, x.first)
	if err != nil {
		return nil, err
	}
	for i, op := range x.ops {
		r, err := in.eval(f, x.xs[i])
		if err != nil {
			return nil, err
		}
		var ok bool
		switch op {
		case "==":
			ok, err = in.equal(l, r)
		case "!=":
			ok, err = in.equal(l, r)
			ok = !ok
		case "in":
			ok, err = in.contains(l, r)
		case "not in":
			ok, err = in.contains(l, r)
			ok = !ok
		default:
			ok, err = in.ordered(op, l, r)
		}
		if err != nil || !ok {
			return false, err
		}
		l = r
	}
	return true, nil
}

// concat joins the texts of values: the operator ~.
func (in *interp) concat(f *frame, x concatExpr) (value, error) {
	var b strings.Builder
	for _, e := range x.xs {
		v, err := in.eval(f, e)
		if err != nil {
			return nil, err
		}
		s, err := in.str(v)
		if err != nil {
			return nil, err
		}
		b.WriteString(s)
		if err := in.made(b.Len()); err != nil {
			return nil, err
		}
	}
	return b.String(), nil
}

// arguments of a call.
type arguments struct {
	pos   []value
	names []string
	named []value
}

// take removes a named argument.
func (a *arguments) take(name string) (value, bool) {
	for i, n := range a.names {
		if n == name {
			v := a.named[i]
			a.names = append(a.names[:i:i], a.names[i+1:]...)
			a.named = append(a.named[:i:i], a.named[i+1:]...)
			return v, true
		}
	}
	return nil, false
}

// arguments evaluates the arguments of a call.
func (in *interp) arguments(f *frame, c callArgs) (arguments, error) {
	var a arguments
	var err error
	if a.pos, err = in.evalAll(f, c.pos); err != nil {
		return a, err
	}
	if a.named, err = in.evalAll(f, c.named); err != nil {
		return a, err
	}
	a.names = c.names
	if c.star != nil {
		v, err := in.eval(f, c.star)
		if err != nil {
			return a, err
		}
		more, err := in.items(v)
		if err != nil {
			return a, err
		}
		a.pos = append(a.pos, more...)
	}
	if c.dstar != nil {
		v, err := in.eval(f, c.dstar)
		if err != nil {
			return a, err
		}
		d, ok := v.(*dict)
		if !ok {
			return a, typeErrf("argument after ** must be a mapping, not %s", typeName(v))
		}
		for i, k := range d.keys {
			name, ok := asText(k)
			if !ok {
				return a, typeErrf("keywords must be strings")
			}
			if slices.Contains(a.names, name) {
				return a, typeErrf("got multiple values for keyword argument '%s'", name)
			}
			a.names = append(a.names[:len(a.names):len(a.names)], name)
			a.named = append(a.named, d.vals[i])
		}
	}
	return a, nil
}

// callNode evaluates a call; caller is what a call block hands on.
func (in *interp) callNode(f *frame, x *callExpr, caller *macro) (value, error) {
	fn, err := in.eval(f, x.fn)
	if err != nil {
		return nil, err
	}
	a, err := in.arguments(f, x.args)
	if err != nil {
		return nil, err
	}
	if caller != nil {
		a.names = append(a.names[:len(a.names):len(a.names)], "caller")
		a.named = append(a.named, caller)
	}
	return in.call(fn, a)
}

func (in *interp) call(fn value, a arguments) (value, error) {
	switch fn := fn.(type) {
	case *function:
		return fn.call(in, a)
	case *macro:
		return in.invoke(fn, a)
	case *undefined:
		return nil, fn.fail()
	case *loop:
		if !fn.stmt.recursive {
			return nil, typeErrf("the loop must have the 'recursive' marker to be called recursively")
		}
		p, err := bind("loop", "iterable", a)
		if err != nil {
			return nil, err
		}
		out := &frame{fn.frame.scope, &strings.Builder{}}
		if err := in.iterateLoop(out, fn.stmt, p[0], fn.depth+1); err != nil {
			return nil, err
		}
		return out.out.String(), nil
	}
	return nil, typeErrf("'%s' object is not callable", typeName(fn))
}

// absent stands for an optional argument that was not given.
type absent struct{}

// bind matches arguments to the parameters of a function. spec lists the names
// in order, separated by commas; a name that ends in = is optional. After a
// leading / names cannot be used.
func bind(fn, spec string, a arguments) ([]value, error) {
	positional := strings.HasPrefix(spec, "/")
	spec = strings.TrimPrefix(spec, "/")
	var params []string
	if spec != "" {
		params = strings.Split(spec, ",")
	}
	if len(a.pos) > len(params) {
		return nil, typeErrf("%s() takes at most %d arguments (%d given)", fn, len(params), len(a.pos))
	}
	out := make([]value, len(params))
	copy(out, a.pos)
	for i := len(a.pos); i < len(params); i++ {
		name, optional := strings.CutSuffix(params[i], "=")
		v, ok := a.take(name)
		switch {
		case ok && !positional:
			out[i] = v
		case ok:
			return nil, typeErrf("%s() takes no keyword arguments", fn)
		case optional:
			out[i] = absent{}
		default:
			return nil, typeErrf("%s() missing required argument: '%s'", fn, name)
		}
	}
	if len(a.names) > 0 {
		return nil, typeErrf("%s() got an unexpected keyword argument '%s'", fn, a.names[0])
	}
	return out, nil
}

// applyFilter applies one filter to v.
func (in *interp) applyFilter(f *frame, x filterExpr, v value) (value, error) {
	a, err := in.arguments(f, x.args)
	if err != nil {
		return nil, err
	}
	return in.filter(x.name, v, a)
}

// applyFilters applies the chain of filters of a block to a text.
func (in *interp) applyFilters(f *frame, x filterExpr, text string) (value, error) {
	var v value = text
	if x.x != nil {
		var err error
		if v, err = in.applyFilters(f, x.x.(filterExpr), text); err != nil {
			return nil, err
		}
	}
	return in.applyFilter(f, x, v)
}

func (in *interp) filter(name string, v value, a arguments) (value, error) {
	fn, ok := filters[name]
	if !ok {
		return nil, typeErrf("no filter named '%s'", name)
	}
	return fn(in, v, a)
}

func (in *interp) test(name string, v value, a arguments) (bool, error) {
	fn, ok := tests[name]
	if !ok {
		return false, typeErrf("no test named '%s'", name)
	}
	return fn(in, v, a)
}
