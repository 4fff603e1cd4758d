package expr

import (
	"math/big"
	"strconv"
	"strings"
)

var (
	// functions that are written by name; their values are in call.go
	functions = set(`sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc asin acos atan sinh cosh tanh coth sech csch log ln lg exp sqrt max min gcd lcm det abs sgn`)
	// words that are symbols
	symbolWords = map[string]bool{"pi": true, "Pi": true, "infinity": true, "inf": true, "infty": true, "oo": true}
	// words that belong to notation
	notation = set("mod choose cup cap")
	letters  = set(`\alpha \beta \gamma \delta \epsilon \zeta \eta \theta \iota \kappa \lambda \mu \nu \xi \pi \rho \sigma \tau \upsilon \phi \chi \psi \omega
		\Gamma \Delta \Theta \Lambda \Xi \Pi \Sigma \Upsilon \Phi \Psi \Omega \ell \hbar \infty \aleph \nabla \partial \mho \odot \oplus \otimes \star \dagger \Re \Im \angle \triangle \perp \parallel \top \bullet`)
	accents = set(`\dot \ddot \hat \vec \bar \tilde \overline \overrightarrow \widehat \widetilde \overleftrightarrow \overset \underset`)
	braces  = map[string]string{"(": ")", "[": "]"}
)

const (
	maxDigits   = 1000 // of a number that is read
	maxExponent = 2000 // of a power of ten behind e
)

// primary reads a number, a name, a bracket or a command with its arguments.
func (p *parser) primary() (*Node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	t := p.peek()
	switch t.kind {
	case tokDigits:
		return p.number()
	case tokWord, tokLetters:
		return p.letters()
	case tokCommand:
		return p.command()
	case tokText:
		if len(t.text) == 1 && isLetter(t.text[0]) {
			p.i++
			return &Node{Kind: Symbol, Name: t.text}, nil
		}
	case tokSymbol:
		switch t.text {
		case ".":
			return p.number()
		case "(", "[":
			p.i++
			return p.bracket(t.text)
		case "]": // ]a, b[
			p.i++
			return p.outward()
		case "{":
			p.i++
			return p.braced()
		case "|":
			if p.bars == 0 {
				p.i++
				return p.absolute()
			}
		}
	}
	return nil, ErrSyntax
}

// inner reads with no absolute value open and one more bracket around.
func (p *parser) inner(read func() (*Node, error)) (*Node, error) {
	bars := p.bars
	p.bars = 0
	p.level++
	n, err := read()
	p.level--
	p.bars = bars
	return n, err
}

// bracket reads behind ( or [: an expression in brackets, a tuple or an interval.
func (p *parser) bracket(open string) (*Node, error) {
	n, err := p.inner(p.groups)
	if err != nil {
		return nil, err
	}
	end := p.peek().text
	if end != ")" && end != "]" && end != "[" {
		return nil, ErrSyntax
	}
	p.i++
	if end == "[" { // [a, b[
		end = ")"
	}
	if n.Kind == List {
		return &Node{Kind: Tuple, Name: open + end, Args: n.Args}, nil
	}
	if braces[open] != end {
		return nil, ErrSyntax
	}
	return n, nil
}

// outward reads the interval behind ] in ]a, b[ or ]a, b].
func (p *parser) outward() (*Node, error) {
	n, err := p.inner(p.list)
	if err != nil || n.Kind != List || len(n.Args) != 2 {
		return nil, ErrSyntax
	}
	end := map[bool]string{true: "]", false: ")"}[p.is("]")]
	if !p.eat("]") && !p.eat("[") {
		return nil, ErrSyntax
	}
	return &Node{Kind: Tuple, Name: "(" + end, Args: n.Args}, nil
}

// braced reads behind {: a group, a binomial coefficient, or a set that forgot
// its backslashes.
func (p *parser) braced() (*Node, error) {
	if p.eat("}") {
		return &Node{Kind: Set}, nil
	}
	n, err := p.inner(p.groups)
	if err != nil {
		return nil, err
	}
	if p.eat(`\choose`) {
		m, err := p.inner(p.sum)
		if err != nil {
			return nil, err
		}
		n = call(`\binom`, n, m)
	}
	if !p.eat("}") {
		return nil, ErrSyntax
	}
	if n.Kind == List {
		return node(Set, n.Args...), nil
	}
	return n, nil
}

func (p *parser) absolute() (*Node, error) {
	p.bars++
	n, err := p.sum()
	p.bars--
	if err != nil {
		return nil, err
	}
	if !p.eat("|") {
		return nil, ErrSyntax
	}
	return call(`\abs`, n), nil
}

// decimal is the number with these digits before and behind the point.
func decimal(whole, part string) (*Node, error) {
	if len(whole)+len(part) > maxDigits {
		return nil, ErrLimit
	}
	n, ok := new(big.Int).SetString("0"+whole+part, 10)
	if !ok {
		return nil, ErrSyntax
	}
	v := new(big.Rat).SetInt(n)
	if len(part) > 0 {
		v.SetFrac(n, pow10(len(part)))
	}
	return &Node{Kind: Number, Val: v, Places: len(part)}, nil
}

func pow10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

func (p *parser) number() (*Node, error) {
	whole, part := "", ""
	if p.peek().kind == tokDigits {
		whole = p.peek().text
		p.i++
		whole += p.digitGroups(len(whole))
	}
	point := false
	if t := p.peek(); t.text == "." && t.kind == tokSymbol && !(whole != "" && t.space) {
		point = true
		p.i++
		if d := p.peek(); d.kind == tokDigits && !d.space {
			part = d.text
			p.i++
		}
		if p.is(`\overline`) || p.is(`\bar`) || p.is(`\dot`) {
			return p.period(whole, part)
		}
	}
	if whole == "" && part == "" {
		return nil, ErrSyntax
	}
	n, err := decimal(whole, part)
	if err != nil {
		return nil, err
	}
	if x, ok := p.tenPower(); ok {
		if x > maxExponent || x < -maxExponent {
			return nil, ErrLimit
		}
		f := new(big.Rat).SetInt(pow10(max(x, -x)))
		if x < 0 {
			f.Inv(f)
		}
		return &Node{Kind: Number, Val: new(big.Rat).Mul(n.Val, f), Places: max(0, n.Places-x)}, nil
	}
	if !point {
		if p.is("_") {
			return p.numeral(whole)
		}
		if m := p.mixed(n); m != nil {
			return m, nil
		}
	}
	return n, nil
}

// period reads the digits of a decimal that repeat.
func (p *parser) period(whole, part string) (*Node, error) {
	if p.at(1).text != "{" || p.at(2).kind != tokDigits || p.at(3).text != "}" {
		return nil, ErrSyntax
	}
	digits := p.at(2).text
	p.i += 4
	first, err := decimal(whole, part)
	if err != nil {
		return nil, err
	}
	rest, err := decimal(digits, "")
	if err != nil {
		return nil, err
	}
	nines := new(big.Int).Sub(pow10(len(digits)), big.NewInt(1))
	tail := new(big.Rat).Quo(rest.Val, new(big.Rat).SetInt(nines.Mul(nines, pow10(len(part)))))
	return &Node{Kind: Number, Val: tail.Add(tail, first.Val)}, nil
}

// digitGroups reads the groups of three digits that follow the first ones:
// those that "{,}" marks always, others if the options say so.
func (p *parser) digitGroups(first int) string {
	out := ""
	for separator := ""; first <= 3; {
		t, d := p.peek(), p.at(1)
		width := 2
		switch {
		case t.text == "{,}":
		case p.o.Grouped && p.level == 0 && t.text == "," && !t.space && !d.space:
		case p.o.Grouped && p.level == 0 && t.kind == tokDigits && t.space:
			d, width = t, 1
		default:
			return out
		}
		if d.kind != tokDigits || len(d.text) != 3 || separator != "" && t.kind != tokDigits && separator != t.text {
			return out
		}
		if t.kind != tokDigits {
			separator = t.text
		}
		out += d.text
		p.i += width
	}
	return out
}

// tenPower reads the exponent of 1.5e-3.
func (p *parser) tenPower() (int, bool) {
	t := p.peek()
	if (t.kind != tokWord) || t.space || t.text != "e" && t.text != "E" {
		return 0, false
	}
	n, sign := 1, ""
	if s := p.at(n); s.kind == tokSymbol && (s.text == "-" || s.text == "+") && !s.space {
		sign = s.text
		n++
	}
	d := p.at(n)
	if d.kind != tokDigits || d.space {
		return 0, false
	}
	x, err := strconv.Atoi(sign + d.text)
	if err != nil {
		x = maxExponent + 1
	}
	p.i += n + 1
	return x, true
}

// mixed reads the fraction of 137 1/2; nil if there is none.
func (p *parser) mixed(n *Node) *Node {
	a, slash, b := p.peek(), p.at(1), p.at(2)
	if a.kind != tokDigits || !a.space || slash.text != "/" || b.kind != tokDigits {
		return nil
	}
	x, err1 := decimal(a.text, "")
	y, err2 := decimal(b.text, "")
	if err1 != nil || err2 != nil || x.Val.Cmp(y.Val) >= 0 {
		return nil
	}
	p.i += 3
	return node(Add, n, node(Div, x, y))
}

var baseWords = map[string]string{"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10", "twelve": "12", "sixteen": "16"}

// numeral reads the base of a numeral. To base ten it is a number; to another it
// is known by its digits: the same value to another base is another answer.
func (p *parser) numeral(digits string) (*Node, error) {
	base, err := p.subscript()
	if err != nil {
		return nil, err
	}
	name := base.Name
	if base.Kind == Number {
		name = base.Val.RatString()
	}
	if b, ok := baseWords[strings.ToLower(name)]; ok {
		name = b
	}
	if name == "10" {
		return decimal(digits, "")
	}
	digits = strings.TrimLeft(digits, "0")
	return &Node{Kind: Numeral, Name: digits + "_" + name}, nil
}

// subscript reads _ and its argument: words as a symbol of that name.
func (p *parser) subscript() (*Node, error) {
	p.i++
	brace := p.is("{")
	n := 0
	if brace {
		n = 1
	}
	if t := p.at(n); t.kind == tokText || t.kind == tokCommand && (functions[t.text[1:]]) || t.kind == tokWord && brace && len(t.text) > 1 {
		if !brace || p.at(2).text == "}" {
			p.i += 1 + 2*n
			return &Node{Kind: Symbol, Name: strings.TrimPrefix(t.text, `\`)}, nil
		}
	}
	if brace {
		return p.primary()
	}
	return p.argument()
}

// letters reads a function, a word that is a symbol, or one variable of a run of
// letters.
func (p *parser) letters() (*Node, error) {
	t := p.peek()
	if t.kind == tokWord {
		switch {
		case symbolWords[t.text]:
			p.i++
			if t.text == "pi" || t.text == "Pi" {
				return p.name(`\pi`)
			}
			return &Node{Kind: Symbol, Name: `\infty`}, nil
		case t.text == "and" || t.text == "or":
			return nil, ErrSyntax
		}
		if f := splitFunction(t.text); f != "" {
			p.split(len(f))
			return p.function(f)
		}
		if isWord(t.text) {
			return nil, ErrSyntax
		}
	}
	if t.text[0] >= 0x80 {
		return nil, ErrSyntax
	}
	name := t.text[:1]
	p.split(1)
	return p.name(name)
}

// splitFunction returns the function that a run of letters begins with: all of
// it, or all but a variable, as in sinx; empty if there is none.
func splitFunction(w string) string {
	if functions[w] {
		return w
	}
	if n := len(w) - 1; n >= 2 && functions[w[:n]] && w[:n] != "min" && w[:n] != "max" && w[:n] != "log" {
		return w[:n]
	}
	return ""
}

// isWord says whether letters are a word and not a product of variables or a
// name of points: four or more, not all of them capitals.
func isWord(w string) bool {
	return len(w) >= 4 && strings.ToUpper(w) != w || len(w) > 0 && w[0] >= 0x80
}

// name completes a name by its subscript, its primes and, if it is a function,
// its arguments. Functions are f, g, h and capitals before a bracket, and any
// name before a number in brackets. Other letters before a bracket are factors.
func (p *parser) name(name string) (*Node, error) {
	n := &Node{Kind: Symbol, Name: name}
	if p.is("_") {
		sub, err := p.subscript()
		if err != nil {
			return nil, err
		}
		n = &Node{Kind: Sub, Name: name, Args: []*Node{sub}}
		if sub.Kind == Symbol && len(sub.Name) > 1 && sub.Name[0] != '\\' {
			n = &Node{Kind: Symbol, Name: name + "_" + sub.Name}
		}
	}
	if primes := p.primes(); primes != "" {
		n = &Node{Kind: n.Kind, Name: n.Name + primes, Args: n.Args}
	}
	if !p.is("(") || constants[name] && name != "e" {
		return n, nil
	}
	last := name[len(name)-1]
	applied := strings.IndexByte("fgh", name[0]) >= 0 || 'A' <= name[0] && name[0] <= 'Z' && len(name) == 1
	if !applied && !(p.at(1).kind == tokDigits && p.at(2).text == ")") || p.modulusAhead() || last == '}' {
		return n, nil
	}
	p.i++
	arg, err := p.bracket("(")
	if err != nil {
		return nil, err
	}
	args := []*Node{arg}
	if arg.Kind == Tuple && arg.Name == "()" {
		args = arg.Args
	}
	return call(n.Name+"()", append(args, n.Args...)...), nil
}

// primes reads ' and ^{\prime}.
func (p *parser) primes() string {
	out := ""
	for {
		switch {
		case p.eat("'"), p.eat(`\prime`):
			out += "'"
		case p.is("^") && p.at(1).text == `\prime`:
			p.i += 2
			out += "'"
		case p.is("^") && p.at(1).text == "{" && p.at(2).text == `\prime`:
			p.i += 2
			for p.eat(`\prime`) {
				out += "'"
			}
			if !p.eat("}") {
				return out
			}
		default:
			return out
		}
	}
}
