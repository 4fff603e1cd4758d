package expr

import "strings"

// Options say how a text is read where notation is ambiguous.
type Options struct {
	Grouped bool // commas and blanks before three digits group them: 1,234 is a number
}

// maxDepth is how deep brackets, arguments and signs may nest.
const maxDepth = 60

// Parse reads s, whatever it is: an expression, a list, a relation, a text. The
// errors are [ErrSyntax] and [ErrLimit].
func Parse(w *Work, s string, o Options) (*Node, error) {
	ts, err := tokens(w, s)
	if err != nil {
		return nil, err
	}
	p := parser{w: w, ts: ts, o: o}
	n, err := p.groups()
	if err != nil {
		return nil, err
	}
	if p.peek().kind != tokEnd {
		return nil, ErrSyntax
	}
	return n, nil
}

// parser is a recursive-descent parser over tokens.
type parser struct {
	w     *Work
	o     Options
	ts    []token
	i     int
	depth int
	level int // brackets that are open
	bars  int // absolute values that are open
}

func (p *parser) peek() token { return p.ts[p.i] }

func (p *parser) at(n int) token { return p.ts[min(p.i+n, len(p.ts)-1)] }

// is says whether the next token is that symbol, command or word.
func (p *parser) is(text string) bool {
	t := &p.ts[p.i]
	return t.text == text && t.kind != tokText && t.kind != tokEnd
}

func (p *parser) eat(text string) bool {
	if p.is(text) {
		p.i++
		return true
	}
	return false
}

// enter goes one level down; leave must follow.
func (p *parser) enter() error {
	if p.depth++; p.depth > maxDepth {
		return ErrLimit
	}
	return p.w.Spend(1)
}

func (p *parser) leave() { p.depth-- }

// groups reads lists that semicolons separate: "1, 2; 3, 4" is a list of lists.
func (p *parser) groups() (*Node, error) { return p.series(p.list, ";") }

func (p *parser) list() (*Node, error) { return p.series(p.item, ",") }

// series reads items between separators; one alone is no list.
func (p *parser) series(item func() (*Node, error), separator string) (*Node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	first, err := item()
	if err != nil {
		return nil, err
	}
	items := []*Node{first}
	for p.separated(separator) {
		n, err := item()
		if err != nil {
			return nil, err
		}
		items = append(items, n)
	}
	if len(items) == 1 {
		return first, nil
	}
	return node(List, items...), nil
}

func (p *parser) separated(separator string) bool {
	if separator == ";" {
		return p.eat(";") && p.peek().kind != tokEnd
	}
	start := p.i
	for p.eat(separator) || p.eat("and") || p.eat("or") || p.eat(`\wedge`) || p.eat(`\vee`) {
	}
	return p.i > start && p.peek().kind != tokEnd && !p.is("&")
}

// item reads a text or a relation.
func (p *parser) item() (*Node, error) {
	if n := p.words(); n > 0 {
		var parts []string
		for _, t := range p.ts[p.i : p.i+n] {
			if t.space && len(parts) > 0 {
				parts = append(parts, " ")
			}
			parts = append(parts, t.text)
		}
		p.i += n
		return &Node{Kind: Text, Name: PlainText(strings.Join(parts, ""))}, nil
	}
	n, err := p.ratio()
	if err != nil {
		return nil, err
	}
	out := &Node{Kind: Relation, Args: []*Node{n}}
	for {
		rel := p.relation()
		if rel == "" {
			break
		}
		side := p.ratio
		if rel == "mod" {
			side = p.modulus
		}
		if n, err = side(); err != nil {
			return nil, err
		}
		out.Args = append(out.Args, n)
		out.Rels = append(out.Rels, rel)
	}
	if len(out.Rels) == 0 {
		return out.Args[0], nil
	}
	return out, nil
}

// words returns how many tokens up to the next separator are a text: letters,
// with at least one word that is no mathematics, and no other signs than those
// of prose.
func (p *parser) words() int {
	n, word := 0, false
	for ; ; n++ {
		t := p.at(n)
		if t.kind == tokEnd || t.kind == tokSymbol && strings.Contains(",;", t.text) {
			break
		}
		switch t.kind {
		case tokWord:
			if splitFunction(t.text) != "" || symbolWords[t.text] || notation[t.text] {
				return 0
			}
			if len(t.text) > 2 || t.text == "no" || t.text == "No" || t.text == "NO" {
				word = true
			}
		case tokText:
			if len(t.text) > 1 {
				word = true
			}
		case tokSymbol:
			if !strings.Contains("-.'()!?\"", t.text) {
				return 0
			}
		case tokCommand, tokDigits:
			return 0
		}
		if p.w.Spend(1) != nil {
			return 0
		}
	}
	if !word {
		return 0
	}
	return n
}

// PlainText is the form in which texts are compared: small letters, single
// blanks, no punctuation around.
func PlainText(s string) string {
	return strings.ToLower(strings.Join(strings.Fields(strings.Trim(s, " .,;:!?()\"'")), " "))
}

var relations = map[string]string{
	"=": "=", `\approx`: "=", "<": "<", ">": ">", `\le`: "<=", `\ge`: ">=", `\ne`: "!=", `\in`: "in", `\notin`: "notin", `\equiv`: "equiv", `\pmod`: "mod", `\to`: "to", `\cong`: "=", `\sim`: "=",
}

func (p *parser) relation() string {
	t := p.peek()
	if t.kind != tokSymbol && t.kind != tokCommand {
		return ""
	}
	if t.text == "(" && p.modulusAhead() {
		return "mod"
	}
	rel := relations[t.text]
	if rel != "" {
		p.i++
	}
	return rel
}

// modulus reads what follows \pmod, or a bracket with mod in it.
func (p *parser) modulus() (*Node, error) {
	if !p.eat("(") {
		return p.argument()
	}
	for p.eat("mod") || p.eat(`\mod`) || p.eat(`\bmod`) {
	}
	n, err := p.sum()
	if err == nil && !p.eat(")") {
		err = ErrSyntax
	}
	return n, err
}

// ratio reads a:b:c, times of day among them.
func (p *parser) ratio() (*Node, error) {
	n, err := p.sets()
	if err != nil || !p.is(":") {
		return n, err
	}
	out := &Node{Kind: Tuple, Name: ":", Args: []*Node{n}}
	for p.eat(":") {
		if n, err = p.sets(); err != nil {
			return nil, err
		}
		out.Args = append(out.Args, n)
	}
	if last := out.Args[len(out.Args)-1]; last.Kind == Quantity { // 3:30 pm
		whole := *out
		whole.Args = append(append([]*Node{}, out.Args[:len(out.Args)-1]...), last.Args[0])
		return &Node{Kind: Quantity, Name: last.Name, Args: []*Node{&whole}}, nil
	}
	return out, nil
}

func (p *parser) sets() (*Node, error) {
	n, err := p.sum()
	for err == nil && (p.is(`\cup`) || p.is(`\cap`) || p.is(`\setminus`)) {
		op := p.peek().text
		p.i++
		var m *Node
		if m, err = p.sum(); err == nil {
			n = &Node{Kind: SetOp, Name: op, Args: []*Node{n, m}}
		}
	}
	return n, err
}
