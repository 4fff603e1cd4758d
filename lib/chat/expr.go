package chat

import "slices"

// tupleRules says how a list of expressions without brackets is read.
type tupleRules struct {
	simple   bool // names and literals only: targets of assignments
	fields   bool // name.attr is a target too
	condexpr bool // conditional expressions are allowed
	brackets bool // in brackets, where nothing is the empty tuple
}

// tuple parses expressions separated by commas: one stands for itself, more
// are a tuple.
func (p *parser) tuple(r tupleRules) (expr, error) {
	ln := pos(p.cur().line)
	var items []expr
	isTuple := false
	for {
		if len(items) > 0 {
			if err := p.expectOp(","); err != nil {
				return nil, err
			}
		}
		if k := p.cur().kind; k == tokVarEnd || k == tokBlockEnd || p.isOp(")") {
			break
		}
		var x expr
		var err error
		switch {
		case r.simple:
			x, err = p.primary(r.fields)
		case r.condexpr:
			x, err = p.expression()
		default:
			x, err = p.or()
		}
		if err != nil {
			return nil, err
		}
		items = append(items, x)
		if !p.isOp(",") {
			break
		}
		isTuple = true
	}
	if !isTuple {
		if len(items) > 0 {
			return items[0], nil
		}
		if !r.brackets {
			return nil, p.fail("expected an expression, got %s", p.cur().describe())
		}
	}
	return tupleExpr{ln, items}, nil
}

// expression parses a whole expression, conditional ones included.
func (p *parser) expression() (expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	ln := pos(p.cur().line)
	unknown := len(p.unknown)
	x, err := p.or()
	for err == nil && p.skipName("if") {
		c := condExpr{pos: ln, a: x}
		if c.test, err = p.or(); err != nil {
			return nil, err
		}
		if p.skipName("else") {
			if c.b, err = p.expression(); err != nil {
				return nil, err
			}
		}
		p.unknown = p.unknown[:unknown] // soft here, see parser
		x = c
	}
	return x, err
}

func (p *parser) or() (expr, error) {
	x, err := p.and()
	for err == nil && p.isName("or") {
		ln := pos(p.next().line)
		var r expr
		r, err = p.and()
		x = boolExpr{ln, true, x, r}
	}
	return x, err
}

func (p *parser) and() (expr, error) {
	x, err := p.not()
	for err == nil && p.isName("and") {
		ln := pos(p.next().line)
		var r expr
		r, err = p.not()
		x = boolExpr{ln, false, x, r}
	}
	return x, err
}

func (p *parser) not() (expr, error) {
	if !p.isName("not") {
		return p.compare()
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	ln := pos(p.next().line)
	x, err := p.not()
	return notExpr{ln, x}, err
}

func (p *parser) compare() (expr, error) {
	c := compareExpr{pos: pos(p.cur().line)}
	x, err := p.sum()
	c.first = x
	for err == nil {
		t := p.cur()
		switch {
		case t.kind == tokOp && slices.Contains([]string{"==", "!=", "<", "<=", ">", ">="}, t.text), p.isName("in"):
		case p.isName("not") && p.look().kind == tokName && p.look().text == "in":
			p.next()
			t.text = "not in"
		default:
			if len(c.ops) == 0 {
				return x, nil
			}
			return c, nil
		}
		p.next()
		var r expr
		r, err = p.sum()
		c.ops, c.xs = append(c.ops, t.text), append(c.xs, r)
	}
	return nil, err
}

// binary parses a left-associative chain of the operators.
func (p *parser) binary(operand func() (expr, error), ops ...string) (expr, error) {
	x, err := operand()
	for err == nil && p.cur().kind == tokOp && slices.Contains(ops, p.cur().text) {
		t := p.next()
		var r expr
		r, err = operand()
		x = binaryExpr{pos(t.line), t.text, x, r}
	}
	return x, err
}

func (p *parser) sum() (expr, error) { return p.binary(p.concat, "+", "-") }

func (p *parser) concat() (expr, error) {
	c := concatExpr{pos: pos(p.cur().line)}
	x, err := p.product()
	c.xs = append(c.xs, x)
	for err == nil && p.skipOp("~") {
		x, err = p.product()
		c.xs = append(c.xs, x)
	}
	if len(c.xs) == 1 {
		return x, err
	}
	return c, err
}

func (p *parser) product() (expr, error) { return p.binary(p.power, "*", "/", "//", "%") }

func (p *parser) power() (expr, error) { return p.binary(p.operand, "**") }

func (p *parser) operand() (expr, error) { return p.unary(true) }

// unary parses an operand with its signs, subscripts, calls and, if asked for,
// filters and tests.
func (p *parser) unary(filters bool) (expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	var x expr
	var err error
	if p.isOp("-") || p.isOp("+") {
		t := p.next()
		x, err = p.unary(false)
		x = unaryExpr{pos(t.line), t.text, x}
	} else {
		x, err = p.primary(false)
	}
	x, err = p.postfix(x, err)
	for err == nil && filters {
		switch {
		case p.skipOp("|"):
			x, err = p.filter(x)
		case p.isName("is"):
			x, err = p.test(x)
		case p.isOp("("):
			x, err = p.call(x)
		default:
			return x, nil
		}
	}
	return x, err
}

// postfix parses the subscripts and calls after x.
func (p *parser) postfix(x expr, err error) (expr, error) {
	for err == nil {
		ln := pos(p.cur().line)
		switch {
		case p.skipOp("."):
			t := p.next()
			switch t.kind {
			case tokName:
				x = attrExpr{ln, x, t.text}
			case tokInt:
				x = itemExpr{ln, x, constExpr{ln, t.num}}
			default:
				return nil, p.fail("expected a name or a number after the dot")
			}
		case p.skipOp("["):
			var i expr
			i, err = p.subscript(ln)
			x = itemExpr{ln, x, i}
		case p.isOp("("):
			x, err = p.call(x)
		default:
			return x, nil
		}
	}
	return x, err
}

// subscript parses what is between [ and ].
func (p *parser) subscript(ln pos) (expr, error) {
	var items []expr
	for !p.isOp("]") {
		if len(items) > 0 {
			if err := p.expectOp(","); err != nil {
				return nil, err
			}
		}
		x, err := p.slice(ln)
		if err != nil {
			return nil, err
		}
		items = append(items, x)
	}
	p.next()
	if len(items) == 1 {
		return items[0], nil
	}
	return tupleExpr{ln, items}, nil
}

// slice parses lo:hi:step, every part optional, or an expression.
func (p *parser) slice(ln pos) (expr, error) {
	parts := [3]expr{}
	for i := range parts {
		if !p.isOp(":") && !p.isOp("]") && !p.isOp(",") {
			x, err := p.expression()
			if err != nil {
				return nil, err
			}
			parts[i] = x
			if i == 0 && !p.isOp(":") {
				return x, nil
			}
		}
		if i < 2 && !p.skipOp(":") {
			break
		}
	}
	return sliceExpr{ln, parts[0], parts[1], parts[2]}, nil
}

// primary parses a name, a literal or an expression in brackets. fields says
// that name.attr is one too, as a target.
func (p *parser) primary(fields bool) (expr, error) {
	t := p.cur()
	ln := pos(t.line)
	switch t.kind {
	case tokName:
		p.next()
		switch t.text {
		case "true", "True":
			return constExpr{ln, true}, nil
		case "false", "False":
			return constExpr{ln, false}, nil
		case "none", "None":
			return constExpr{ln, nil}, nil
		}
		if fields && p.skipOp(".") {
			attr, err := p.expectName()
			return fieldExpr{ln, t.text, attr}, err
		}
		p.use(t.text)
		return nameExpr{ln, t.text}, nil
	case tokString:
		text := ""
		for p.cur().kind == tokString {
			text += p.next().text
		}
		p.literals = append(p.literals, text)
		return constExpr{ln, text}, nil
	case tokInt, tokFloat:
		p.next()
		return constExpr{ln, t.num}, nil
	case tokOp:
		switch t.text {
		case "(":
			p.next()
			x, err := p.tuple(tupleRules{condexpr: true, brackets: true})
			if err != nil {
				return nil, err
			}
			return x, p.expectOp(")")
		case "[":
			p.next()
			var items []expr
			err := p.list("]", func() error {
				x, err := p.expression()
				items = append(items, x)
				return err
			})
			return listExpr{ln, items}, err
		case "{":
			p.next()
			d := dictExpr{pos: ln}
			err := p.list("}", func() error {
				k, err := p.expression()
				if err == nil {
					err = p.expectOp(":")
				}
				if err != nil {
					return err
				}
				v, err := p.expression()
				d.keys, d.vals = append(d.keys, k), append(d.vals, v)
				return err
			})
			return d, err
		}
	}
	return nil, p.fail("unexpected %s", t.describe())
}

// list parses items separated by commas up to the closing bracket; a comma may
// come before it.
func (p *parser) list(end string, item func() error) error {
	for n := 0; !p.isOp(end); n++ {
		if n > 0 {
			if err := p.expectOp(","); err != nil {
				return err
			}
			if p.isOp(end) {
				break
			}
		}
		if err := item(); err != nil {
			return err
		}
	}
	p.next()
	return nil
}

// use notes that a name is read.
func (p *parser) use(name string) {
	for _, m := range p.macros {
		m.caller = m.caller || name == "caller"
		m.varargs = m.varargs || name == "varargs"
		m.kwargs = m.kwargs || name == "kwargs"
	}
}

func (p *parser) call(fn expr) (expr, error) {
	ln := pos(p.cur().line)
	args, err := p.args()
	return &callExpr{ln, fn, args}, err
}

// args parses the arguments of a call, brackets included.
func (p *parser) args() (callArgs, error) {
	var a callArgs
	p.next()
	err := p.list(")", func() error {
		switch {
		case p.isOp("*"):
			if a.star != nil || a.dstar != nil {
				return p.fail("malformed arguments of a call")
			}
			p.next()
			x, err := p.expression()
			a.star = x
			return err
		case p.isOp("**"):
			if a.dstar != nil {
				return p.fail("malformed arguments of a call")
			}
			p.next()
			x, err := p.expression()
			a.dstar = x
			return err
		case p.cur().kind == tokName && p.look().kind == tokOp && p.look().text == "=":
			name := p.next().text
			if a.dstar != nil || slices.Contains(a.names, name) {
				return p.fail("malformed arguments of a call")
			}
			p.next()
			x, err := p.expression()
			a.names, a.named = append(a.names, name), append(a.named, x)
			return err
		}
		if a.star != nil || a.dstar != nil || len(a.names) > 0 {
			return p.fail("malformed arguments of a call")
		}
		x, err := p.expression()
		a.pos = append(a.pos, x)
		return err
	})
	return a, err
}

// qualified parses the name of a filter or test.
func (p *parser) qualified() (string, error) {
	name, err := p.expectName()
	for err == nil && p.skipOp(".") {
		var part string
		part, err = p.expectName()
		name += "." + part
	}
	return name, err
}

// filter parses a filter applied to x, from its name on.
func (p *parser) filter(x expr) (expr, error) {
	ln := p.cur().line
	name, err := p.qualified()
	if err != nil {
		return nil, err
	}
	f := filterExpr{pos: pos(ln), x: x, name: name}
	if p.isOp("(") {
		f.args, err = p.args()
	}
	if _, ok := filters[name]; !ok && !p.soft {
		p.unknown = append(p.unknown, &Error{Syntax, ln, "no filter named '" + name + "'"})
	}
	return f, err
}

// test parses a test of x, from "is" on.
func (p *parser) test(x expr) (expr, error) {
	ln := p.next().line
	negated := p.skipName("not")
	name, err := p.qualified()
	if err != nil {
		return nil, err
	}
	t := testExpr{pos: pos(ln), x: x, name: name}
	c := p.cur()
	switch {
	case p.isOp("("):
		t.args, err = p.args()
	case c.kind == tokName || c.kind == tokString || c.kind == tokInt || c.kind == tokFloat || p.isOp("[") || p.isOp("{"):
		if p.isName("else", "or", "and") {
			break
		}
		if p.isName("is") {
			return nil, p.fail("tests cannot be chained")
		}
		var arg expr
		arg, err = p.primary(false)
		arg, err = p.postfix(arg, err)
		t.args.pos = []expr{arg}
	}
	if _, ok := tests[name]; !ok && !p.soft {
		p.unknown = append(p.unknown, &Error{Syntax, ln, "no test named '" + name + "'"})
	}
	if negated {
		return notExpr{pos(ln), t}, err
	}
	return t, err
}
