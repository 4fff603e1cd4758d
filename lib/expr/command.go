package expr

import "strings"

// command reads a command with its arguments.
func (p *parser) command() (*Node, error) {
	name := p.peek().text
	p.i++
	bare := name[1:]
	switch {
	case letters[name] || strings.HasPrefix(name, `\math`):
		return p.name(name)
	case accents[name]:
		return p.accent(name)
	case functions[bare] && name != `\sqrt`:
		return p.function(bare)
	}
	switch name {
	case `\frac`:
		return p.fraction()
	case `\binom`:
		a, err := p.argument()
		if err != nil {
			return nil, err
		}
		b, err := p.argument()
		return call(name, a, b), err
	case `\sqrt`:
		return p.root()
	case `\{`:
		return p.set()
	case `\emptyset`:
		return &Node{Kind: Set}, nil
	case `\begin`:
		return p.environment()
	case `\lfloor`, `\lceil`:
		n, err := p.inner(p.sum)
		if err == nil && !p.eat(`\r`+name[2:]) {
			err = ErrSyntax
		}
		return call(name, n), err
	case `\langle`:
		n, err := p.inner(p.list)
		if err == nil && (!p.eat(`\rangle`) || n.Kind != List) {
			err = ErrSyntax
		}
		if err != nil {
			return nil, err
		}
		return &Node{Kind: Tuple, Name: "()", Args: n.Args}, nil
	case `\sum`, `\prod`, `\int`, `\iint`, `\oint`:
		return p.bigOperator(name)
	case `\lim`:
		return p.limit()
	case `\dots`:
		return &Node{Kind: Text, Name: "..."}, nil
	}
	return nil, ErrSyntax
}

// accent reads a name under a bar, a dot, an arrow.
func (p *parser) accent(name string) (*Node, error) {
	n, err := p.argument()
	if err != nil {
		return nil, err
	}
	switch {
	case n.Kind == Symbol:
		return p.name(name + "{" + n.Name + "}")
	case n.Kind == Mul || n.Kind == Number: // two points, or the period of a decimal
		return call(name, n), nil
	}
	return nil, ErrSyntax
}

func (p *parser) fraction() (*Node, error) {
	a, err := p.argument()
	if err != nil {
		return nil, err
	}
	b, err := p.argument()
	if err != nil {
		return nil, err
	}
	if x, order := derived(a); order != nil {
		if y, _ := derived(b); y != nil {
			if x == nil { // an operator
				x = Integer(1)
			}
			return call(`\derivative`, x, y, order), nil
		}
	}
	return &Node{Kind: Div, Name: `\frac`, Args: []*Node{a, b}}, nil
}

// derived takes the d off a differential, d x or d^2 x: what is behind it and
// the order; both nil if n is none. What is behind it may be nil.
func derived(n *Node) (rest, order *Node) {
	first := n
	if n.Kind == Mul {
		first = n.Args[0]
		rest = node(Mul, n.Args[1:]...)
	}
	order = Integer(1)
	if first.Kind == Pow {
		first, order = first.Args[0], first.Args[1]
	}
	if first.Kind != Symbol || first.Name != "d" && first.Name != `\partial` || rest == nil && n.Kind != Pow && first.Name != "d" {
		return nil, nil
	}
	return rest, order
}

func (p *parser) root() (*Node, error) {
	degree := Integer(2)
	if p.eat("[") {
		var err error
		if degree, err = p.inner(p.sum); err != nil {
			return nil, err
		}
		if !p.eat("]") {
			return nil, ErrSyntax
		}
	}
	var n *Node
	var err error
	if t := p.peek(); t.kind == tokDigits { // all digits belong to it
		p.i++
		n, err = decimal(t.text, "")
	} else {
		n, err = p.argument()
	}
	if err != nil {
		return nil, err
	}
	return call(`\sqrt`, n, degree), nil
}

// set reads behind \{: elements, or a condition, which stands for the set of
// what satisfies it.
func (p *parser) set() (*Node, error) {
	if p.eat(`\}`) {
		return &Node{Kind: Set}, nil
	}
	bars, level := p.bars, p.level
	p.bars, p.level = 1, p.level+1 // a bar ends the name of what is collected
	n, err := p.list()
	if err == nil && p.eat("|") {
		p.bars = 0
		n, err = p.list()
	}
	p.bars, p.level = bars, level
	if err != nil {
		return nil, err
	}
	if !p.eat(`\}`) {
		return nil, ErrSyntax
	}
	switch {
	case n.Kind == List:
		return node(Set, n.Args...), nil
	case n.Kind == Tuple && n.Name == ":" && len(n.Args) == 2:
		return n.Args[1], nil
	case n.Kind == Relation && n.Args[0].Kind == Tuple && n.Args[0].Name == ":" && len(n.Args[0].Args) == 2: // {x : x > 3}
		out := *n
		out.Args = append([]*Node{n.Args[0].Args[1]}, n.Args[1:]...)
		return &out, nil
	case n.Kind == Relation:
		return n, nil
	}
	return node(Set, n), nil
}

// function reads what a function is applied to: a bracket or a group, else
// factors up to an operator or another function.
func (p *parser) function(name string) (*Node, error) {
	var base, power *Node
	var err error
	for p.is("_") || p.is("^") {
		if p.eat("^") {
			power, err = p.exponent()
		} else {
			p.i++
			base, err = p.argument()
		}
		if err != nil {
			return nil, err
		}
	}
	var args []*Node
	switch {
	case p.is("("), p.is("["), p.is("{"), p.is(`\{`):
		open := p.peek().text
		p.i++
		var arg *Node
		if open == "{" || open == `\{` {
			arg, err = p.inner(p.list)
			if err == nil && !p.eat("}") && !p.eat(`\}`) {
				err = ErrSyntax
			}
		} else {
			arg, err = p.bracket(open)
		}
		if err != nil {
			return nil, err
		}
		args = []*Node{arg}
		if arg.Kind == Tuple || arg.Kind == List {
			args = arg.Args
		}
	default:
		arg, err := p.factors()
		if err != nil {
			return nil, err
		}
		args = []*Node{arg}
	}
	n := apply(name, args, base)
	if power == nil {
		return n, nil
	}
	if v, ok := wholeNumber(power); ok && v == -1 && inverse[name] != "" {
		return apply(inverse[name], args, nil), nil
	}
	return node(Pow, n, power), nil
}

var inverse = map[string]string{"sin": "arcsin", "cos": "arccos", "tan": "arctan", "cot": "arccot", "sec": "arcsec", "csc": "arccsc"}

func apply(name string, args []*Node, base *Node) *Node {
	switch name {
	case "sqrt":
		return call(`\sqrt`, args[0], Integer(2))
	case "abs":
		return call(`\abs`, args...)
	case "asin", "acos", "atan":
		name = "arc" + name[1:]
	case "lg":
		name, base = "log", Integer(10)
	case "log":
		if base == nil && len(args) == 2 { // log(x, b)
			return call(`\log`, args...)
		}
	}
	if base != nil {
		args = append(append([]*Node{}, args...), base)
	}
	return call(`\`+name, args...)
}

// wholeNumber returns the value of an integer that may have a sign.
func wholeNumber(n *Node) (int64, bool) {
	if n.Kind != Number || !n.Val.IsInt() || !n.Val.Num().IsInt64() {
		return 0, false
	}
	return n.Val.Num().Int64(), true
}

// factors reads what stands behind a function without brackets.
func (p *parser) factors() (*Node, error) {
	if p.is("-") {
		p.i++
		n, err := p.factors()
		if err != nil {
			return nil, err
		}
		return negative(n), nil
	}
	n, err := p.power()
	if err != nil {
		return nil, err
	}
	for p.startsFactor() && !p.atFunction() && !p.is("(") && !p.is("[") {
		m, err := p.power()
		if err != nil {
			return nil, err
		}
		n = juxtaposed(n, m)
	}
	return n, nil
}

func (p *parser) atFunction() bool {
	t := p.peek()
	return t.kind == tokCommand && functions[t.text[1:]] && t.text != `\sqrt` || t.kind == tokWord && splitFunction(t.text) != "" && !strings.HasPrefix(t.text, "sqrt")
}

// bigOperator reads a sum, a product or an integral with its bounds. What it
// ranges over is the product behind it.
func (p *parser) bigOperator(name string) (*Node, error) {
	var from, to *Node
	for p.is("_") || p.is("^") {
		low := p.is("_")
		p.i++
		brace := p.eat("{")
		read := p.argument
		if brace {
			read = p.item
		}
		n, err := p.inner(read)
		if err != nil {
			return nil, err
		}
		if brace && !p.eat("}") {
			return nil, ErrSyntax
		}
		if low {
			from = n
		} else {
			to = n
		}
	}
	body, err := p.product()
	if err != nil {
		return nil, err
	}
	none := &Node{Kind: Symbol, Name: `\none`}
	index := none
	if from != nil && from.Kind == Relation && from.Args[0].Kind == Symbol && from.Rels[0] == "=" && len(from.Args) == 2 {
		index, from = from.Args[0], from.Args[1]
	}
	if from == nil {
		from = none
	}
	if to == nil {
		to = none
	}
	if !from.IsScalar() || !to.IsScalar() || !body.IsScalar() {
		return nil, ErrSyntax
	}
	return call(name, body, index, from, to), nil
}

func (p *parser) limit() (*Node, error) {
	if !p.is("_") || p.at(1).text != "{" {
		return nil, ErrSyntax
	}
	p.i += 2
	where, err := p.inner(p.item)
	if err != nil || !p.eat("}") || where.Kind != Relation || where.Rels[0] != "to" || len(where.Args) != 2 {
		return nil, ErrSyntax
	}
	body, err := p.product()
	if err != nil {
		return nil, err
	}
	return call(`\lim`, body, where.Args[0], where.Args[1]), nil
}
