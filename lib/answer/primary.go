package answer

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

func set(names string) map[string]bool {
	out := map[string]bool{}
	for _, n := range strings.Fields(names) {
		out[n] = true
	}
	return out
}

var (
	functions = set("sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln lg exp sqrt")
	accents   = set(`\dot \ddot \hat \vec \bar \tilde \overline \overrightarrow`)
	letters   = set(`\alpha \beta \gamma \delta \epsilon \varepsilon \zeta \eta \theta \vartheta \iota \kappa \lambda \mu \nu \xi \pi \rho \sigma \tau \upsilon \phi \varphi \chi \psi \omega
		\Gamma \Delta \Theta \Lambda \Xi \Pi \Sigma \Upsilon \Phi \Psi \Omega \ell \hbar \infty \sum`)  // a sum sign is linear, as a factor is
)

// primary reads a number, a variable, a bracket or a command with its arguments.
func (r *reader) primary() (value, error) {
	if r.depth++; r.depth > maxDepth {
		return value{}, errLimit
	}
	defer func() { r.depth-- }()
	switch c := r.next(); {
	case isDigit(c) || c == '.':
		return r.number()
	case isLetter(c):
		return r.letters()
	case c == '(' || c == '[':
		r.i++
		return r.bracket(c)
	case c == '{':
		r.i++
		v, err := r.list()
		if err == nil && !r.eat("}") {
			err = errSyntax
		}
		if v.kind == isList {
			v.kind = isSet
		}
		return v, err
	case c == '|' && r.bars == 0:
		r.i++
		r.bars++
		v, err := r.sum()
		r.bars--
		if err == nil && !r.eat("|") {
			err = errSyntax
		}
		if err != nil {
			return value{}, err
		}
		return both(v, v, func(a, _ expr) (expr, error) { return r.m.absolute(a) })
	case c == '\\':
		return r.command()
	}
	return value{}, errSyntax
}

// bracket reads behind ( or [: an expression in brackets, a tuple or an interval.
func (r *reader) bracket(open byte) (value, error) {
	bars, groups := r.bars, r.groups
	r.bars, r.groups = 0, false
	v, err := r.list()
	r.bars, r.groups = bars, groups
	if err != nil {
		return value{}, err
	}
	end := r.next()
	if end != ')' && end != ']' {
		return value{}, errSyntax
	}
	r.i++
	if v.kind == isList {
		return value{kind: isTuple, open: open, close: end, parts: v.parts}, nil
	}
	if open == '(' != (end == ')') {
		return value{}, errSyntax
	}
	return v, nil
}

// ungrouped takes out what groups digits.
var ungrouped = strings.NewReplacer(",", "", " ", "")

func (r *reader) number() (value, error) {
	text := ""
	if r.groups && r.depth <= 2 { // not within brackets
		text = groupedHere.FindString(r.rest())
	}
	if text == "" {
		text = numberHere.FindString(r.rest())
	}
	if text == "" {
		return value{}, errSyntax
	}
	r.i += len(text)
	text = ungrouped.Replace(text)
	whole, part, _ := strings.Cut(text, ".")
	n, ok := new(big.Int).SetString("0"+whole+part, 10)
	if !ok || n.BitLen() > maxBits || len(part) > 1000 {
		return value{}, errLimit
	}
	v := new(big.Rat).SetFrac(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(len(part))), nil))
	e := exprOf(constant(v))
	e.places = len(part)
	if x := exponentHere.FindStringSubmatch(r.rest()); x != nil {
		r.i += len(x[0])
		ten, err := strconv.ParseInt(x[1], 10, 32)
		if err != nil {
			return value{}, errSyntax
		}
		p, err := ratPow(big.NewRat(10, 1), ten)
		if err != nil {
			return value{}, err
		}
		return exprValue(exprOf(constant(v.Mul(v, p)))), nil
	}
	if r.peek() == '_' { // a number to another base is known by its digits
		base, err := r.subscript()
		return exprValue(exprOf(variable(text + base))), err
	}
	if part == "" {
		if x := mixedHere.FindStringSubmatch(r.rest()); x != nil {
			r.i += len(x[0])
			f, ok := new(big.Rat).SetString(x[1] + "/" + x[2])
			if !ok {
				return value{}, errSyntax
			}
			return exprValue(exprOf(constant(v.Add(v, f)))), nil
		}
		if r.space(); strings.HasPrefix(r.rest(), `\frac`) {
			f, err := r.command()
			if err != nil {
				return value{}, err
			}
			// A whole number before a fraction of numbers is a mixed number, not a product.
			if len(f.alts) == 1 {
				if q, ok := rationalOf(f.alts[0]); ok && q.Sign() > 0 && !q.IsInt() {
					return exprValue(exprOf(constant(v.Add(v, q)))), nil
				}
			}
			return both(exprValue(e), f, r.m.product)
		}
	}
	return exprValue(e), nil
}

// subscript reads _ and its argument, as text.
func (r *reader) subscript() (string, error) {
	if r.next() != '_' {
		return "", nil
	}
	r.i++
	if r.next() == '{' {
		s, err := r.group()
		return "_" + s, err
	}
	if r.peek() == '\\' {
		name := commandAt(r.s, r.i)
		r.i += len(name)
		return "_" + name, nil
	}
	if r.peek() == 0 {
		return "", errSyntax
	}
	r.i++
	return "_" + r.s[r.i-1:r.i], nil
}

// group reads a group as text, without blanks.
func (r *reader) group() (string, error) {
	level := 0
	for n, c := range []byte(r.rest()) {
		switch c {
		case '{':
			level++
		case '}':
			level--
		}
		if level == 0 {
			s := r.rest()[1:n]
			r.i += n + 1
			return strings.ReplaceAll(s, " ", ""), nil
		}
	}
	return "", errSyntax
}

// name completes a name by its subscript, its primes, and the argument of a
// function: f, g, h and capitals before a bracket, or any letter before a number
// in brackets. Other letters before a bracket are factors.
func (r *reader) name(atom string) (value, error) {
	sub, err := r.subscript()
	if err != nil {
		return value{}, err
	}
	atom += sub
	for r.eat("'") || r.eat(`^{\prime}`) || r.eat(`^\prime`) || r.eat(`^{\prime \prime}`) {
		atom += "'"
	}
	applied := strings.IndexByte("fgh", atom[0]) >= 0 || 'A' <= atom[0] && atom[0] <= 'Z'
	if r.peek() == '(' && atom != `\pi` && (applied || numberInBrackets.MatchString(r.rest())) {
		r.i++
		v, err := r.bracket('(')
		if err != nil {
			return value{}, err
		}
		args := []value{v}
		if v.kind == isTuple && v.close == ')' {
			args = v.parts
		}
		var in []expr
		for _, a := range args {
			if a.kind != isExpr || len(a.alts) != 1 {
				return value{}, errSyntax
			}
			in = append(in, a.alts[0].plain())
		}
		e, err := r.m.opaque(atom, in...)
		return exprValue(e), err
	}
	return exprValue(exprOf(variable(atom))), nil
}

var numberInBrackets = regexp.MustCompile(`^\( *-?[0-9.]+ *\)`)

// letters reads a function or one variable of a run of letters.
func (r *reader) letters() (value, error) {
	w := r.word()
	switch {
	case functions[w]:
		r.i += len(w)
		return r.function(w)
	case w == "pi":
		r.i += len(w)
		return exprValue(exprOf(variable(`\pi`))), nil
	case w == "infinity" || w == "inf":
		r.i += len(w)
		return exprValue(exprOf(variable(`\infty`))), nil
	case w == "and" || w == "or" || isWord(w):
		return value{}, errSyntax
	}
	r.i++
	return r.name(w[:1])
}

// isWord says whether letters are a word and not a product of variables or
// points: four or more, not all of them capitals.
func isWord(w string) bool { return len(w) >= 4 && strings.ToUpper(w) != w }

func (r *reader) command() (value, error) {
	name := commandAt(r.s, r.i)
	r.i += len(name)
	switch {
	case letters[name]:
		return r.name(name)
	case accents[name]:
		if r.next() != '{' {
			return value{}, errSyntax
		}
		under, err := r.group()
		if err != nil {
			return value{}, err
		}
		return r.name(name + "{" + under + "}")
	case functions[name[1:]] && name != `\sqrt`:
		return r.function(name[1:])
	}
	switch name {
	case `\frac`:
		return r.twoArguments(r.m.divide)
	case `\binom`:
		return r.twoArguments(r.m.binomial)
	case `\sqrt`:
		degree := int64(2)
		if r.eat("[") {
			n := numberHere.FindString(r.rest())
			r.i += len(n)
			d, err := strconv.ParseInt(n, 10, 16)
			if err != nil || d < 1 || !r.eat("]") {
				return value{}, errSyntax
			}
			degree = d
		}
		a, err := r.argument()
		if err != nil {
			return value{}, err
		}
		return both(a, a, func(a, _ expr) (expr, error) { return r.m.root(a, degree) })
	case `\{`:
		if r.eat(`\}`) {
			return value{kind: isSet}, nil
		}
		v, err := r.list()
		if err == nil && !r.eat(`\}`) {
			err = errSyntax
		}
		if v.kind == isList {
			return value{kind: isSet, parts: v.parts}, err
		}
		return value{kind: isSet, parts: spread(v)}, err
	case `\emptyset`, `\varnothing`:
		return value{kind: isSet}, nil
	case `\begin`:
		return r.matrix()
	case `\lfloor`, `\lceil`:
		v, err := r.sum()
		if err == nil && !r.eat(`\r`+name[2:]) {
			err = errSyntax
		}
		if err != nil {
			return value{}, err
		}
		return both(v, v, func(a, _ expr) (expr, error) { return r.m.opaque(name, a.plain()) })
	}
	return value{}, errSyntax
}

// argument reads the argument of a command: a group, or one token, which is one
// digit of a number.
func (r *reader) argument() (value, error) {
	if c := r.next(); isDigit(c) {
		r.i++
		return exprValue(exprOf(integer(int64(c - '0')))), nil
	}
	return r.primary()
}

// twoArguments reads the arguments of a command and applies f to them.
func (r *reader) twoArguments(f func(a, b expr) (expr, error)) (value, error) {
	a, err := r.argument()
	if err != nil {
		return value{}, err
	}
	b, err := r.argument()
	if err != nil {
		return value{}, err
	}
	return both(a, b, f)
}

// function reads the argument of a function whose name was read.
func (r *reader) function(name string) (value, error) {
	var power value
	sub, err := r.subscript()
	if err != nil {
		return value{}, err
	}
	if r.next() == '^' {
		r.i++
		if power, err = r.exponent(); err != nil {
			return value{}, err
		}
	}
	var arg value
	switch c := r.next(); c {
	case '(', '{', '[':
		arg, err = r.primary()
	default:
		if arg, err = r.power(); err != nil {
			return value{}, err
		}
		for r.space(); r.startsFactor() && !r.atFunction(); r.space() {
			var f value
			if f, err = r.power(); err == nil {
				arg, err = both(arg, f, r.m.product)
			}
			if err != nil {
				return value{}, err
			}
		}
	}
	if err != nil {
		return value{}, err
	}
	v, err := both(arg, arg, func(a, _ expr) (expr, error) {
		switch name {
		case "sqrt":
			return r.m.root(a, 2)
		case "exp":
			return r.m.raise(exprOf(variable("e")), a)
		}
		return r.m.opaque(`\`+name+sub, a.plain())
	})
	if err == nil && len(power.alts) > 0 {
		v, err = both(v, power, r.m.raise)
	}
	return v, err
}

func (r *reader) atFunction() bool {
	if r.peek() == '\\' {
		return functions[commandAt(r.s, r.i)[1:]]
	}
	return functions[r.word()]
}

// matrix reads behind \begin.
func (r *reader) matrix() (value, error) {
	env, rest, ok := strings.Cut(r.rest(), "}")
	if !ok || !strings.HasPrefix(env, "{") {
		return value{}, errSyntax
	}
	env = env[1:]
	switch env {
	case "array":
		if _, after, ok := strings.Cut(rest, "}"); ok && strings.HasPrefix(rest, "{") {
			rest = after
		}
	case "matrix", "pmatrix", "bmatrix", "Bmatrix", "smallmatrix":
	default:
		return value{}, errSyntax // determinants, systems
	}
	body, after, ok := strings.Cut(rest, `\end{`+env+"}")
	if !ok || strings.Contains(body, `\begin`) {
		return value{}, errSyntax
	}
	r.i = len(r.s) - len(after)
	body = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(body), `\\`))
	out := value{kind: isMatrix}
	for _, line := range strings.Split(body, `\\`) {
		row := value{kind: isTuple}
		for _, cell := range strings.Split(line, "&") {
			sub := reader{m: r.m, s: cell, depth: r.depth}
			v, err := sub.whole()
			if err != nil {
				return value{}, err
			}
			row.parts = append(row.parts, v)
		}
		out.parts = append(out.parts, row)
	}
	return out, nil
}

// factorial returns a! for whole numbers up to 200, else an atom.
func (m *machine) factorial(a expr) (expr, error) {
	if n, ok := wholeOf(a); ok && n <= 200 {
		if !m.spend(int(n)) {
			return expr{}, errLimit
		}
		return exprOf(constant(new(big.Rat).SetInt(new(big.Int).MulRange(1, n)))), nil
	}
	return m.opaque("!", a.plain())
}

// binomial returns "n choose k" for whole numbers up to 1000, else an atom.
func (m *machine) binomial(a, b expr) (expr, error) {
	n, ok1 := wholeOf(a)
	k, ok2 := wholeOf(b)
	if ok1 && ok2 && n <= 1000 {
		if !m.spend(int(n)) {
			return expr{}, errLimit
		}
		return exprOf(constant(new(big.Rat).SetInt(new(big.Int).Binomial(n, k)))), nil
	}
	return m.opaque(`\binom`, a.plain(), b.plain())
}

func wholeOf(e expr) (int64, bool) {
	r, ok := rationalOf(e.plain())
	if !ok || !r.IsInt() || r.Sign() < 0 || !r.Num().IsInt64() {
		return 0, false
	}
	return r.Num().Int64(), true
}

// absolute returns |a| of a real constant, else an atom.
func (m *machine) absolute(a expr) (expr, error) {
	if v, ok := m.approx(a); ok {
		if v.Sign() < 0 {
			return m.neg(a.plain()), nil
		}
		return a.plain(), nil
	}
	return m.opaque("abs", a.plain())
}
