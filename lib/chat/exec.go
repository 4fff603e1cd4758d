package chat

import (
	"strings"
	"time"
)

// Limits of one rendering. A conversation of a megabyte through the largest
// templates stays below a hundredth of them.
const (
	maxWork  = 1 << 24 // nodes evaluated, elements and characters (by 16) produced
	maxDepth = 2000    // nodes within nodes, calls of macros included
	maxText  = 1 << 26 // bytes of one text and of the output

	iterationWork = 8 // of a loop, for the scope that it makes
)

// interp renders one conversation.
type interp struct {
	vars  map[string]value // variables of the caller
	now   func() time.Time
	work  int
	depth int
}

func newInterp(now func() time.Time) *interp {
	if now == nil {
		now = time.Now
	}
	return &interp{vars: map[string]value{}, now: now}
}

func (in *interp) run(body []stmt) (string, error) {
	f := &frame{&scope{}, &strings.Builder{}}
	if _, err := in.exec(f, body); err != nil {
		return "", err
	}
	return f.out.String(), nil
}

// charge counts n units of work.
func (in *interp) charge(n int) error {
	if in.work += n; in.work > maxWork {
		return typeErrf("the template does too much work")
	}
	return nil
}

// made counts a text of n bytes that was produced.
func (in *interp) made(n int) error {
	if n > maxText {
		return typeErrf("the template produces a text of more than %d bytes", maxText)
	}
	return in.charge(n / 16)
}

// enter counts a level of nesting; the caller leaves it with in.depth--.
func (in *interp) enter() error {
	if in.depth++; in.depth > maxDepth {
		return typeErrf("maximum recursion depth exceeded")
	}
	return in.charge(1)
}

// scope holds the variables that were set in it.
type scope struct {
	vars   []variable // few: searched in order
	parent *scope
}

type variable struct {
	name string
	v    value
}

func (s *scope) set(name string, v value) {
	for i := range s.vars {
		if s.vars[i].name == name {
			s.vars[i].v = v
			return
		}
	}
	s.vars = append(s.vars, variable{name, v})
}

// frame is where statements run: a scope, and what they print.
type frame struct {
	scope *scope
	out   *strings.Builder
}

// inner is a frame with a scope of its own that prints to the same place.
func (f *frame) inner() *frame { return &frame{&scope{parent: f.scope}, f.out} }

// captured is a frame with a scope of its own that prints to a new place.
func (f *frame) captured() *frame { return &frame{&scope{parent: f.scope}, &strings.Builder{}} }

func (in *interp) lookup(s *scope, name string) value {
	for ; s != nil; s = s.parent {
		for i := range s.vars {
			if s.vars[i].name == name {
				return s.vars[i].v
			}
		}
	}
	if v, ok := in.vars[name]; ok {
		return v
	}
	if f, ok := globals[name]; ok {
		return f
	}
	return undef("'%s' is undefined", name)
}

// signal says how a list of statements ended.
type signal uint8

const (
	sigNone signal = iota
	sigBreak
	sigContinue
)

func (in *interp) exec(f *frame, body []stmt) (signal, error) {
	for _, s := range body {
		sig, err := in.statement(f, s)
		if err != nil {
			return sigNone, at(err, s.lineNo())
		}
		if sig != sigNone {
			return sig, nil
		}
	}
	return sigNone, nil
}

func (in *interp) statement(f *frame, s stmt) (signal, error) {
	if err := in.enter(); err != nil {
		return sigNone, err
	}
	defer func() { in.depth-- }()
	switch s := s.(type) {
	case outputStmt:
		v, err := in.eval(f, s.x)
		if err != nil {
			return sigNone, err
		}
		return sigNone, in.print(f, v)
	case ifStmt:
		for i, test := range s.tests {
			v, err := in.eval(f, test)
			if err != nil {
				return sigNone, err
			}
			if truth(v) {
				return in.exec(f, s.bodies[i])
			}
		}
		return in.exec(f, s.otherwise)
	case forStmt:
		return in.forLoop(f, s)
	case setStmt:
		v, err := in.eval(f, s.x)
		if err != nil {
			return sigNone, err
		}
		return sigNone, in.assign(f, s.target, v)
	case setBlockStmt:
		text, sig, err := in.capture(f, s.body, s.filter)
		if err != nil || sig != sigNone {
			return sig, err
		}
		return sigNone, in.assign(f, s.target, text)
	case filterStmt:
		text, sig, err := in.capture(f, s.body, s.filter)
		if err != nil || sig != sigNone {
			return sig, err
		}
		return sigNone, in.print(f, text)
	case macroStmt:
		f.scope.set(s.name, &macro{s.macroDef, f.scope})
	case callStmt:
		caller := &macro{s.caller, f.scope}
		v, err := in.callNode(f, s.call, caller)
		if err != nil {
			return sigNone, err
		}
		return sigNone, in.print(f, v)
	case withStmt:
		inner := f.inner()
		for i, target := range s.targets {
			v, err := in.eval(f, s.values[i])
			if err != nil {
				return sigNone, err
			}
			if err := in.assign(inner, target, v); err != nil {
				return sigNone, err
			}
		}
		return in.exec(inner, s.body)
	case scopeStmt:
		return in.exec(f.inner(), s.body)
	case leaveStmt:
		return s.sig, nil
	case unsupportedStmt:
		return sigNone, typeErrf("tag '%s' is not supported", s.tag)
	}
	return sigNone, nil
}

func (in *interp) print(f *frame, v value) error {
	s, err := in.str(v)
	if err != nil {
		return err
	}
	f.out.WriteString(s)
	if f.out.Len() > maxText {
		return typeErrf("the template prints more than %d bytes", maxText)
	}
	return in.charge(len(s) / 16)
}

// capture runs a body and returns what it prints, after a filter if there is
// one.
func (in *interp) capture(f *frame, body []stmt, filter expr) (value, signal, error) {
	c := f.captured()
	sig, err := in.exec(c, body)
	if err != nil || sig != sigNone {
		return nil, sig, err
	}
	if filter == nil {
		return c.out.String(), sigNone, nil
	}
	v, err := in.applyFilters(c, filter.(filterExpr), c.out.String())
	return v, sigNone, err
}

// assign sets a target to a value.
func (in *interp) assign(f *frame, target expr, v value) error {
	switch t := target.(type) {
	case nameExpr:
		f.scope.set(t.name, v)
	case fieldExpr:
		ns, ok := in.lookup(f.scope, t.name).(*namespace)
		if !ok {
			return typeErrf("cannot assign attribute on non-namespace object")
		}
		return ns.set(t.attr, v)
	case tupleExpr:
		items, err := in.items(v)
		if err != nil {
			return err
		}
		if len(items) != len(t.items) {
			return typeErrf("cannot unpack %d values into %d names", len(items), len(t.items))
		}
		for i, e := range t.items {
			if err := in.assign(f, e, items[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// set sets an attribute; transformers keeps private names away.
func (n *namespace) set(name string, v value) error {
	if strings.HasPrefix(name, "_") {
		return errf(Security, "chat templates cannot store underscore-prefixed attributes on a namespace, but got %s", textRepr(name))
	}
	n.d.setText(name, v)
	return nil
}

// loop is the variable of the same name inside a for.
type loop struct {
	stmt    *forStmt
	frame   *frame // where the loop stands
	items   []value
	i       int
	depth   int64    // of recursion, from 0
	changed *[]value // last arguments of loop.changed, nil before
}

func (in *interp) forLoop(f *frame, s forStmt) (signal, error) {
	v, err := in.eval(f, s.iter)
	if err != nil {
		return sigNone, err
	}
	return sigNone, in.iterateLoop(f, &s, v, 0)
}

// iterateLoop runs a for over a value.
func (in *interp) iterateLoop(f *frame, s *forStmt, over value, depth int64) error {
	items, err := in.items(over)
	if err != nil {
		return err
	}
	if s.test != nil {
		var kept []value
		for _, item := range items {
			inner := f.inner()
			if err := in.assign(inner, s.target, item); err != nil {
				return err
			}
			ok, err := in.eval(inner, s.test)
			if err != nil {
				return err
			}
			if truth(ok) {
				kept = append(kept, item)
			}
		}
		items = kept
	}
	l := &loop{stmt: s, frame: f, items: items, depth: depth}
	for i, item := range items {
		if err := in.charge(iterationWork); err != nil {
			return err
		}
		l.i = i
		inner := f.inner()
		inner.scope.set("loop", l)
		if err := in.assign(inner, s.target, item); err != nil {
			return err
		}
		sig, err := in.exec(inner, s.body)
		if err != nil {
			return err
		}
		if sig == sigBreak {
			break
		}
	}
	if len(items) > 0 {
		return nil
	}
	_, err = in.exec(f.inner(), s.otherwise)
	return err
}

// macro is a macro with the scope it was defined in.
type macro struct {
	def   *macroDef
	scope *scope
}

// invoke calls a macro. caller is given where a call block calls it.
func (in *interp) invoke(m *macro, a arguments) (value, error) {
	d := m.def
	f := &frame{&scope{parent: m.scope}, &strings.Builder{}}
	for i, name := range d.params {
		if i < len(a.pos) {
			f.scope.set(name, a.pos[i])
			continue
		}
		if v, ok := a.take(name); ok {
			f.scope.set(name, v)
			continue
		}
		k := i - (len(d.params) - len(d.defaults))
		if k < 0 {
			f.scope.set(name, undef("parameter '%s' was not provided", name))
			continue
		}
		v, err := in.eval(f, d.defaults[k])
		if err != nil {
			return nil, err
		}
		f.scope.set(name, v)
	}
	if d.caller {
		v, ok := a.take("caller")
		if !ok {
			v = undef("no caller defined")
		}
		f.scope.set("caller", v)
	}
	if d.kwargs {
		rest := newDict(len(a.names))
		for i, name := range a.names {
			rest.setText(name, a.named[i])
		}
		f.scope.set("kwargs", rest)
	} else if len(a.names) > 0 {
		return nil, typeErrf("macro '%s' takes no keyword argument '%s'", d.name, a.names[0])
	}
	extra := a.pos[min(len(d.params), len(a.pos)):]
	if d.varargs {
		f.scope.set("varargs", tuple{items: extra})
	} else if len(extra) > 0 {
		return nil, typeErrf("macro '%s' takes not more than %d argument(s)", d.name, len(d.params))
	}
	if _, err := in.exec(f, d.body); err != nil {
		return nil, err
	}
	return f.out.String(), nil
}
