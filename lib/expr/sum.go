package expr

import "strings"

func (p *parser) sign() string {
	if t := p.peek(); t.kind == tokSymbol && (t.text == "+" || t.text == "-") || t.kind == tokCommand && (t.text == `\pm` || t.text == `\mp`) {
		p.i++
		return t.text
	}
	return ""
}

func signed(sign string, n *Node) *Node {
	switch sign {
	case "-":
		return negative(n)
	case `\pm`, `\mp`:
		return &Node{Kind: PlusMinus, Name: sign, Args: []*Node{n}}
	}
	return n
}

func (p *parser) sum() (*Node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	var terms []*Node
	for {
		sign := p.sign()
		if (sign == "+" || sign == "-") && (p.is("+") || p.is("-")) { // 3 + -2
			if second := p.sign(); second == sign {
				sign = "+"
			} else {
				sign = "-"
			}
		}
		if sign == "" && len(terms) > 0 {
			break
		}
		n, err := p.product()
		if err != nil {
			return nil, err
		}
		terms = append(terms, signed(sign, n))
	}
	out := terms[0]
	if len(terms) == 2 && terms[1].Kind == Neg && terms[1].Args[0].Kind == Set {
		return &Node{Kind: SetOp, Name: `\setminus`, Args: []*Node{out, terms[1].Args[0]}}, nil
	}
	if len(terms) > 1 {
		out = node(Add, terms...)
	}
	switch words := p.quantity(); words {
	case "":
	case "percent":
		out = node(Percent, out)
	default:
		out = &Node{Kind: Quantity, Name: words, Args: []*Node{out}}
	}
	return matrixSum(out), nil
}

func (p *parser) product() (*Node, error) {
	n, err := p.signedPower()
	if err != nil {
		return nil, err
	}
	for {
		if err := p.w.Spend(1 + len(n.Args)/8); err != nil { // the factors are copied
			return nil, err
		}
		var m *Node
		switch {
		case p.eat("*"):
			if m, err = p.signedPower(); err == nil {
				n = times(n, m)
			}
		case p.eat("/"):
			if m, err = p.signedPower(); err == nil {
				n = node(Div, n, m)
			}
		case p.is(`\bmod`) || p.is(`\mod`) || p.is("mod"):
			p.i++
			if m, err = p.signedPower(); err == nil {
				n = call(`\bmod`, n, m)
			}
		case p.startsFactor():
			if m, err = p.power(); err == nil {
				n = juxtaposed(n, m)
			}
		default:
			return n, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func times(a, b *Node) *Node {
	if a.Kind == Mul {
		return node(Mul, append(append([]*Node{}, a.Args...), b)...)
	}
	return node(Mul, a, b)
}

// juxtaposed is a beside b: a mixed number where a whole number stands before a
// proper fraction of numbers, else a product.
func juxtaposed(a, b *Node) *Node {
	if b.Kind == Percent {
		return node(Percent, juxtaposed(a, b.Args[0]))
	}
	if a.Kind == Number && a.Places == 0 && a.Val.IsInt() && b.Kind == Div && b.Name == `\frac` && b.Args[0].Kind == Number && b.Args[1].Kind == Number {
		if x, y := b.Args[0].Val, b.Args[1].Val; x.Sign() > 0 && x.IsInt() && y.IsInt() && x.Cmp(y) < 0 {
			return node(Add, a, b)
		}
	}
	return times(a, b)
}

// signedPower reads what follows an operator: it may have a sign.
func (p *parser) signedPower() (*Node, error) {
	if p.is("-") || p.is("+") {
		if err := p.enter(); err != nil {
			return nil, err
		}
		defer p.leave()
		sign := p.sign()
		n, err := p.signedPower()
		if err != nil {
			return nil, err
		}
		return signed(sign, n), nil
	}
	return p.power()
}

// startsFactor says whether what comes next is multiplied without an operator.
func (p *parser) startsFactor() bool {
	t := p.peek()
	switch t.kind {
	case tokSymbol:
		switch t.text {
		case "(":
			return !p.modulusAhead()
		case "{":
			return true
		case "[": // not that of [a, b[
			next := p.at(1)
			return next.kind != tokEnd && !closing[next.text] && !strings.Contains(",;)]", next.text)
		case "|":
			return p.bars == 0
		}
	case tokDigits: // (n-2) 2^n
		return p.i > 0 && (p.ts[p.i-1].text == ")" || p.ts[p.i-1].text == "}")
	case tokLetters:
		return true
	case tokWord:
		return t.text != "and" && t.text != "or" && t.text != "mod" && !(len(t.text) > 1 && IsUnit(t.text)) && (!isWord(t.text) || splitFunction(t.text) != "" || symbolWords[t.text])
	case tokCommand:
		return !closing[t.text]
	}
	return false
}

// modulusAhead says whether a bracket holds a modulus: (mod 7).
func (p *parser) modulusAhead() bool {
	next := p.at(1).text
	return next == "mod" || next == `\mod` || next == `\bmod`
}

// closing are the commands that cannot begin a factor.
var closing = set(`\cup \cap \setminus \pm \mp \in \notin \le \ge \ne \approx \equiv \pmod \to \} \rfloor \rceil \rangle \end \\ \wedge \vee \degree \bmod \mod \choose \cong \sim \Rightarrow \implies \dots \circ \prime`)

// power reads a primary with what is attached to it: ! ^ ' % and degrees.
func (p *parser) power() (*Node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	n, err := p.primary()
	for err == nil {
		if err := p.w.Spend(1); err != nil {
			return nil, err
		}
		switch {
		case p.is("!") && !(p.at(1).text == "=" && !p.at(1).space):
			p.i++
			name := "!"
			if p.is("!") {
				p.i++
				name = "!!"
			}
			n = call(name, n)
		case p.is("^"):
			p.i++
			var e *Node
			if e, err = p.exponent(); err == nil {
				n = raised(n, e)
			}
		case p.is("%"):
			p.i++
			n = node(Percent, n)
		case p.is(`\degree`) && p.at(1).kind != tokText && !(p.at(1).kind == tokWord && len(p.at(1).text) == 1):
			p.i++
			n = &Node{Kind: Quantity, Name: "degree", Args: []*Node{n}}
		default:
			return n, nil
		}
	}
	return nil, err
}

func raised(n, e *Node) *Node {
	if n.Kind == Matrix {
		if e.Kind == Symbol && (e.Name == "T" || e.Name == `\top`) {
			return transposed(n)
		}
	}
	return node(Pow, n, e)
}

// exponent reads what follows ^: a group, or one thing with all its digits.
// Powers of powers are taken from the right.
func (p *parser) exponent() (*Node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	if p.is("-") || p.is("+") {
		sign := p.sign()
		n, err := p.exponent()
		if err != nil {
			return nil, err
		}
		return signed(sign, n), nil
	}
	n, err := p.primary()
	if err != nil || !p.is("^") {
		return n, err
	}
	p.i++
	e, err := p.exponent()
	if err != nil {
		return nil, err
	}
	return node(Pow, n, e), nil
}

// argument reads the argument of a command: a group, or one token, which is one
// digit of a number.
func (p *parser) argument() (*Node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	t := p.peek()
	switch {
	case t.kind == tokDigits && len(t.text) > 1:
		n, err := decimal(t.text[:1], "")
		p.split(1)
		return n, err
	case t.kind == tokDigits:
		p.i++
		return decimal(t.text, "")
	case t.kind == tokWord || t.kind == tokLetters:
		n := &Node{Kind: Symbol, Name: t.text[:1]}
		p.split(1)
		return n, nil
	}
	return p.primary()
}

// split takes the first n letters or digits off the next token; what is left of a
// word is letters, whatever it spells.
func (p *parser) split(n int) {
	t := &p.ts[p.i]
	if len(t.text) <= n {
		p.i++
		return
	}
	t.text, t.space = t.text[n:], false
	if t.kind == tokWord {
		t.kind = tokLetters
	}
}
