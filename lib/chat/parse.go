package chat

import (
	"slices"
	"strings"
)

// maxParseDepth bounds the nesting of tags and brackets in a template.
const maxParseDepth = 200

// A parser builds the tree by recursive descent, statements here, expressions
// in expr.go.
type parser struct {
	toks  []lexeme
	i     int
	depth int
	// macros being parsed, the innermost last: which special variables they
	// read has to be known when they are called.
	macros []*macroDef
	loops  int // for loops around, within the same macro
	// soft says that unknown filters and tests are errors only once they are
	// used: so it is within an if, where a template may ask for them first.
	soft    bool
	unknown []*Error
	// literals are the texts that the template itself holds.
	literals []string
}

// parse parses a template and returns its body and its literal texts.
func parse(source string) (body []stmt, literals []string, err error) {
	toks, err := lex(source)
	if err != nil {
		return nil, nil, err
	}
	p := &parser{toks: toks}
	body, err = p.statements()
	if err != nil {
		return nil, nil, err
	}
	if len(p.unknown) > 0 {
		return nil, nil, p.unknown[0]
	}
	return body, p.literals, nil
}

func (p *parser) cur() lexeme { return p.toks[p.i] }

// look is the token after the current one.
func (p *parser) look() lexeme { return p.toks[min(p.i+1, len(p.toks)-1)] }

func (p *parser) next() lexeme {
	t := p.cur()
	if p.i < len(p.toks)-1 {
		p.i++
	}
	return t
}

func (p *parser) isOp(op string) bool { return p.cur().kind == tokOp && p.cur().text == op }

func (p *parser) isName(names ...string) bool {
	return p.cur().kind == tokName && slices.Contains(names, p.cur().text)
}

func (p *parser) skipOp(op string) bool {
	if p.isOp(op) {
		p.next()
		return true
	}
	return false
}

func (p *parser) skipName(name string) bool {
	if p.isName(name) {
		p.next()
		return true
	}
	return false
}

func (p *parser) fail(format string, args ...any) error {
	return at(errf(Syntax, format, args...), p.cur().line)
}

func (p *parser) expectOp(op string) error {
	if !p.skipOp(op) {
		return p.fail("expected %q, got %s", op, p.cur().describe())
	}
	return nil
}

func (p *parser) expectKind(k tokenKind) error {
	if p.cur().kind != k {
		return p.fail("expected %s, got %s", lexeme{kind: k}.describe(), p.cur().describe())
	}
	p.next()
	return nil
}

func (p *parser) expectName() (string, error) {
	if p.cur().kind != tokName {
		return "", p.fail("expected a name, got %s", p.cur().describe())
	}
	return p.next().text, nil
}

// enter counts a level of nesting; the caller leaves it with p.depth--.
func (p *parser) enter() error {
	if p.depth++; p.depth > maxParseDepth {
		return p.fail("nested deeper than %d levels", maxParseDepth)
	}
	return nil
}

// statements parses up to a tag that begins with one of the names, which is
// left as the current token, or to the end of the template without names.
func (p *parser) statements(ends ...string) ([]stmt, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	var body []stmt
	for {
		t := p.cur()
		switch t.kind {
		case tokEOF:
			if len(ends) > 0 {
				return nil, p.fail("unexpected end of template, looking for %s", strings.Join(ends, " or "))
			}
			return body, nil
		case tokData:
			p.next()
			p.literals = append(p.literals, t.text)
			body = append(body, outputStmt{pos(t.line), constExpr{pos(t.line), t.text}})
		case tokVarBegin:
			p.next()
			x, err := p.tuple(tupleRules{condexpr: true})
			if err != nil {
				return nil, err
			}
			if err := p.expectKind(tokVarEnd); err != nil {
				return nil, err
			}
			body = append(body, outputStmt{pos(t.line), x})
		default: // a block begins: nothing else follows data or an end
			p.next()
			if p.isName(ends...) {
				return body, nil
			}
			s, err := p.statement()
			if err != nil {
				return nil, err
			}
			if err := p.expectKind(tokBlockEnd); err != nil {
				return nil, err
			}
			body = append(body, s...)
		}
	}
}

// block parses the body of a tag, from the end of the tag to one of the ending
// tags, whose name is left as the current token.
func (p *parser) block(ends ...string) ([]stmt, error) {
	p.skipOp(":")
	if err := p.expectKind(tokBlockEnd); err != nil {
		return nil, err
	}
	return p.statements(ends...)
}

// scoped is block up to one ending tag, which it takes, for bodies that have
// their own scope: there unknown filters are errors at once.
func (p *parser) scoped(end string) ([]stmt, error) {
	soft := p.soft
	p.soft = false
	body, err := p.block(end)
	p.soft = soft
	p.next()
	return body, err
}

func (p *parser) statement() ([]stmt, error) {
	t := p.cur()
	if t.kind != tokName {
		return nil, p.fail("tag name expected")
	}
	p.next()
	var s stmt
	var err error
	switch t.text {
	case "if":
		s, err = p.ifStatement(pos(t.line))
	case "for":
		s, err = p.forStatement(pos(t.line))
	case "set":
		s, err = p.setStatement(pos(t.line))
	case "macro":
		s, err = p.macroStatement(pos(t.line))
	case "call":
		s, err = p.callStatement(pos(t.line))
	case "filter":
		s, err = p.filterStatement(pos(t.line))
	case "with":
		s, err = p.withStatement(pos(t.line))
	case "generation":
		var body []stmt
		body, err = p.scoped("endgeneration")
		s = scopeStmt{pos(t.line), body}
	case "break", "continue":
		if p.loops == 0 {
			return nil, at(errf(Syntax, "%s outside of a loop", t.text), t.line)
		}
		sig := sigBreak
		if t.text == "continue" {
			sig = sigContinue
		}
		s = leaveStmt{pos(t.line), sig}
	case "print":
		return p.printStatement(pos(t.line))
	case "include", "import", "from", "extends", "block", "autoescape":
		for p.cur().kind != tokBlockEnd && p.cur().kind != tokEOF {
			p.next()
		}
		if t.text == "block" || t.text == "autoescape" {
			_, err = p.scoped("end" + t.text)
			p.skipName(p.cur().text) // endblock may repeat the name
		}
		s = unsupportedStmt{pos(t.line), t.text}
	default:
		return nil, at(errf(Syntax, "unknown tag %q", t.text), t.line)
	}
	return []stmt{s}, err
}

func (p *parser) ifStatement(ln pos) (stmt, error) {
	soft := p.soft
	p.soft = true
	defer func() { p.soft = soft }()
	s := ifStmt{pos: ln}
	for {
		test, err := p.tuple(tupleRules{})
		if err != nil {
			return nil, err
		}
		body, err := p.block("elif", "else", "endif")
		if err != nil {
			return nil, err
		}
		s.tests, s.bodies = append(s.tests, test), append(s.bodies, body)
		switch p.next().text {
		case "else":
			if s.otherwise, err = p.block("endif"); err != nil {
				return nil, err
			}
			p.next()
			return s, nil
		case "endif":
			return s, nil
		}
	}
}

func (p *parser) forStatement(ln pos) (stmt, error) {
	s := forStmt{pos: ln}
	var err error
	if s.target, err = p.target(tupleRules{simple: true}); err != nil {
		return nil, err
	}
	if !p.skipName("in") {
		return nil, p.fail("expected 'in', got %s", p.cur().describe())
	}
	if s.iter, err = p.tuple(tupleRules{}); err != nil {
		return nil, err
	}
	soft := p.soft
	p.soft = false
	p.loops++
	defer func() { p.soft = soft; p.loops-- }()
	if p.skipName("if") {
		if s.test, err = p.expression(); err != nil {
			return nil, err
		}
	}
	s.recursive = p.skipName("recursive")
	if s.body, err = p.block("endfor", "else"); err != nil {
		return nil, err
	}
	if p.next().text == "else" {
		if s.otherwise, err = p.block("endfor"); err != nil {
			return nil, err
		}
		p.next()
	}
	return s, nil
}

func (p *parser) setStatement(ln pos) (stmt, error) {
	target, err := p.target(tupleRules{simple: true, fields: true})
	if err != nil {
		return nil, err
	}
	if p.skipOp("=") {
		x, err := p.tuple(tupleRules{condexpr: true})
		return setStmt{ln, target, x}, err
	}
	var filter expr
	for err == nil && p.skipOp("|") {
		filter, err = p.filter(filter)
	}
	if err != nil {
		return nil, err
	}
	body, err := p.scoped("endset")
	return setBlockStmt{ln, target, filter, body}, err
}

func (p *parser) macroStatement(ln pos) (stmt, error) {
	name, err := p.expectName()
	if err != nil {
		return nil, err
	}
	m := &macroDef{name: name}
	if err := p.signature(m); err != nil {
		return nil, err
	}
	return macroStmt{ln, m}, p.macroBody(m, "endmacro")
}

func (p *parser) callStatement(ln pos) (stmt, error) {
	m := &macroDef{name: "caller"}
	if p.isOp("(") {
		if err := p.signature(m); err != nil {
			return nil, err
		}
	}
	x, err := p.expression()
	if err != nil {
		return nil, err
	}
	call, ok := x.(*callExpr)
	if !ok {
		return nil, at(errf(Syntax, "expected a call"), int(ln))
	}
	return callStmt{ln, call, m}, p.macroBody(m, "endcall")
}

func (p *parser) macroBody(m *macroDef, end string) error {
	loops := p.loops
	p.loops = 0
	p.macros = append(p.macros, m)
	var err error
	m.body, err = p.scoped(end)
	p.macros = p.macros[:len(p.macros)-1]
	p.loops = loops
	required := m.params[:len(m.params)-len(m.defaults)]
	if err == nil && m.caller && slices.Contains(required, "caller") {
		err = p.fail("the parameter caller must have a default")
	}
	m.caller = m.caller && !slices.Contains(m.params, "caller")
	m.varargs = m.varargs && !slices.Contains(m.params, "varargs")
	m.kwargs = m.kwargs && !slices.Contains(m.params, "kwargs")
	return err
}

// signature parses the parameters of a macro.
func (p *parser) signature(m *macroDef) error {
	if err := p.expectOp("("); err != nil {
		return err
	}
	for !p.isOp(")") {
		if len(m.params) > 0 {
			if err := p.expectOp(","); err != nil {
				return err
			}
		}
		name, err := p.expectName()
		if err != nil {
			return err
		}
		if p.skipOp("=") {
			x, err := p.expression()
			if err != nil {
				return err
			}
			m.defaults = append(m.defaults, x)
		} else if len(m.defaults) > 0 {
			return p.fail("parameter without default after one with default")
		}
		if slices.Contains(m.params, name) {
			return p.fail("parameter %s is repeated", name)
		}
		m.params = append(m.params, name)
	}
	p.next()
	return nil
}

func (p *parser) filterStatement(ln pos) (stmt, error) {
	filter, err := p.filter(nil)
	for err == nil && p.skipOp("|") {
		filter, err = p.filter(filter)
	}
	if err != nil {
		return nil, err
	}
	body, err := p.scoped("endfilter")
	return filterStmt{ln, filter, body}, err
}

func (p *parser) withStatement(ln pos) (stmt, error) {
	s := withStmt{pos: ln}
	for p.cur().kind != tokBlockEnd {
		if len(s.targets) > 0 {
			if err := p.expectOp(","); err != nil {
				return nil, err
			}
		}
		target, err := p.target(tupleRules{simple: true})
		if err != nil {
			return nil, err
		}
		if err := p.expectOp("="); err != nil {
			return nil, err
		}
		x, err := p.expression()
		if err != nil {
			return nil, err
		}
		s.targets, s.values = append(s.targets, target), append(s.values, x)
	}
	var err error
	s.body, err = p.scoped("endwith")
	return s, err
}

func (p *parser) printStatement(ln pos) ([]stmt, error) {
	var out []stmt
	for p.cur().kind != tokBlockEnd {
		if len(out) > 0 {
			if err := p.expectOp(","); err != nil {
				return nil, err
			}
		}
		x, err := p.expression()
		if err != nil {
			return nil, err
		}
		out = append(out, outputStmt{ln, x})
	}
	return out, nil
}

// target parses what can be assigned to.
func (p *parser) target(r tupleRules) (expr, error) {
	ln := p.cur().line
	x, err := p.tuple(r)
	if err == nil && !assignable(x) {
		err = at(errf(Syntax, "cannot assign to this expression"), ln)
	}
	return x, err
}

func assignable(x expr) bool {
	switch x := x.(type) {
	case nameExpr, fieldExpr:
		return true
	case tupleExpr:
		return !slices.ContainsFunc(x.items, func(e expr) bool { return !assignable(e) })
	}
	return false
}
