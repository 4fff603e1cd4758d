package answer

import (
	"math/big"
	"regexp"
	"strings"
)

type kind uint8

const (
	isExpr     kind = iota
	isList          // several values side by side, in any order
	isSet           // {a, b}, in any order
	isTuple         // (a, b), [a, b), a:b, in order
	isUnion         // of sets and intervals
	isMatrix        // parts are rows, which are tuples
	isRelation      // parts joined by rels
	isText
)

// value is one reading of an answer.
type value struct {
	kind  kind
	alts  []expr // of an expression: one, or two for +-
	unit  string // behind an expression, in one spelling; empty: none or unknown
	parts []value
	open  byte // of a tuple: ( or [ or :
	close byte
	rels  []string // of a relation: = < <= != in, one less than parts
	text  string
}

// readings returns what s may mean, which is more than one thing where a comma
// may separate or group digits. The likeliest comes first.
func (m *machine) readings(s string) ([]value, error) {
	if !m.spend(len(s)) {
		return nil, errLimit
	}
	r := reader{m: m, s: s}
	v, err := r.whole()
	var out []value
	if err == nil {
		out = append(out, v)
	}
	if grouped.MatchString(s) {
		r := reader{m: m, s: s, groups: true}
		if v, err := r.whole(); err == nil {
			out = append(out, v)
		}
	}
	if t := decimalComma.FindStringSubmatch(s); t != nil && (len(t[3]) != 3 && len(t[3]) > 1 || t[2] == "0") {
		r := reader{m: m, s: t[1] + t[2] + "." + t[3]}
		if v, err := r.whole(); err == nil {
			out = append(out, v)
		}
	}
	if len(out) > 0 {
		err = nil
	}
	return out, err
}

var (
	// grouped is a number whose digits are grouped by commas or spaces.
	grouped      = regexp.MustCompile(`\b[1-9][0-9]{0,2}(?:,[0-9]{3})+\b|\b[1-9][0-9]{0,2}(?: [0-9]{3})+\b`)
	decimalComma = regexp.MustCompile(`^(-?)([0-9]+),([0-9]+)$`)

	groupedHere  = regexp.MustCompile(`^(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+|[1-9][0-9]{0,2}(?: [0-9]{3})+)(?:\.[0-9]+)?`)
	numberHere   = regexp.MustCompile(`^(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)`)
	exponentHere = regexp.MustCompile(`^[eE]([+-]?[0-9]{1,4})`)
	mixedHere    = regexp.MustCompile(`^ ([0-9]+)/([0-9]+)`)
)

// maxDepth is how deep brackets may nest.
const maxDepth = 50

// reader is a recursive-descent parser that computes as it reads.
type reader struct {
	m      *machine
	s      string
	i      int
	depth  int
	bars   int  // absolute values that are open
	groups bool // commas and spaces may group digits outside of brackets
}

func (r *reader) rest() string { return r.s[r.i:] }

func (r *reader) peek() byte {
	if r.i < len(r.s) {
		return r.s[r.i]
	}
	return 0
}

func (r *reader) space() {
	for r.peek() == ' ' {
		r.i++
	}
}

// next returns the byte behind blanks.
func (r *reader) next() byte {
	r.space()
	return r.peek()
}

// eat takes w, behind blanks, if it comes next. A command must end there.
func (r *reader) eat(w string) bool {
	r.space()
	rest, ok := strings.CutPrefix(r.rest(), w)
	if !ok || isLetter(w[len(w)-1]) && rest != "" && isLetter(rest[0]) {
		return false
	}
	r.i += len(w)
	return true
}

func (r *reader) whole() (value, error) {
	v, err := r.list()
	if err != nil {
		return value{}, err
	}
	if r.next() != 0 {
		return value{}, errSyntax
	}
	return v, nil
}

func (r *reader) separator() bool {
	found := false
	for r.eat(",") || r.eat(";") || r.eat("and") || r.eat("or") {
		found = true
	}
	return found
}

// list reads items until something that is no separator.
func (r *reader) list() (value, error) {
	if r.depth++; r.depth > maxDepth {
		return value{}, errLimit
	}
	defer func() { r.depth-- }()
	var items []value
	for {
		v, err := r.item()
		if err != nil {
			return value{}, err
		}
		if !r.m.spend(1) {
			return value{}, errLimit
		}
		if !r.separator() {
			if len(items) == 0 {
				return v, nil
			}
			return value{kind: isList, parts: append(items, spread(v)...)}, nil
		}
		items = append(items, spread(v)...)
	}
}

// spread makes two values of one that holds +-.
func spread(v value) []value {
	if v.kind == isExpr && len(v.alts) == 2 {
		return []value{{alts: v.alts[:1], unit: v.unit}, {alts: v.alts[1:], unit: v.unit}}
	}
	return []value{v}
}

// item reads a text or a relation.
func (r *reader) item() (value, error) {
	r.space()
	if n := textLen(r.rest()); n > 0 {
		text := r.rest()[:n]
		r.i += n
		return value{kind: isText, text: plainText(text)}, nil
	}
	v, err := r.ratio()
	if err != nil {
		return value{}, err
	}
	out := value{kind: isRelation, parts: []value{v}}
	for {
		rel := r.relation()
		if rel == "" {
			break
		}
		if v, err = r.ratio(); err != nil {
			return value{}, err
		}
		out.parts = append(out.parts, v)
		out.rels = append(out.rels, rel)
	}
	if len(out.rels) == 0 {
		return out.parts[0], nil
	}
	return out, nil
}

// textLen is the length of the text that s begins with: words up to a comma,
// a semicolon or the end, with at least one that is no mathematics.
func textLen(s string) int {
	n := strings.IndexAny(s, ",;")
	if n < 0 {
		n = len(s)
	}
	if w := strings.Fields(s[:n]); len(w) > 0 && functions[w[0]] || strings.HasPrefix(s, "infinity") || strings.HasPrefix(s, "sqrt") {
		return 0
	}
	if _, words := unwrapText(s[:n]); words {
		return n
	}
	return 0
}

func (r *reader) relation() string {
	for _, rel := range [...][2]string{{"=", "="}, {"<", "<"}, {">", ">"}, {`\leq`, "<="}, {`\le`, "<="}, {`\geq`, ">="}, {`\ge`, ">="}, {`\neq`, "!="}, {`\ne`, "!="}, {`\in`, "in"}} {
		if r.eat(rel[0]) {
			return rel[1]
		}
	}
	return ""
}

func (r *reader) ratio() (value, error) {
	v, err := r.union()
	if err != nil || r.next() != ':' {
		return v, err
	}
	out := value{kind: isTuple, open: ':', close: ':', parts: []value{v}}
	for r.eat(":") {
		if v, err = r.union(); err != nil {
			return value{}, err
		}
		out.parts = append(out.parts, v)
	}
	return out, nil
}

func (r *reader) union() (value, error) {
	v, err := r.sum()
	if err != nil || !r.eat(`\cup`) {
		return v, err
	}
	out := value{kind: isUnion, parts: []value{v}}
	for {
		if v, err = r.sum(); err != nil {
			return value{}, err
		}
		out.parts = append(out.parts, v)
		if !r.eat(`\cup`) {
			return out, nil
		}
	}
}

// exprValue makes a value of one or two expressions.
func exprValue(e ...expr) value { return value{alts: e} }

// both applies f to expressions, sign by sign where they hold +-.
func both(a, b value, f func(a, b expr) (expr, error)) (value, error) {
	if a.kind != isExpr || b.kind != isExpr {
		return value{}, errSyntax
	}
	out := value{}
	for i := range max(len(a.alts), len(b.alts)) {
		e, err := f(a.alts[min(i, len(a.alts)-1)], b.alts[min(i, len(b.alts)-1)])
		if err != nil {
			return value{}, err
		}
		out.alts = append(out.alts, e)
	}
	return out, nil
}

func negated(v value) (value, error) {
	if v.kind != isExpr {
		return value{}, errSyntax
	}
	out := value{unit: v.unit}
	for _, e := range v.alts {
		e.num = e.num.scale(big.NewRat(-1, 1))
		out.alts = append(out.alts, e)
	}
	return out, nil
}

// signed is v under a sign: + - or both.
func signed(sign string, v value) (value, error) {
	if sign == "+" {
		return v, nil
	}
	minus, err := negated(v)
	if err != nil || sign == "-" {
		return minus, err
	}
	if len(v.alts) != 1 {
		return value{}, errSyntax
	}
	if sign == `\mp` {
		return exprValue(minus.alts[0], v.alts[0]), nil
	}
	return exprValue(v.alts[0], minus.alts[0]), nil
}

func (r *reader) sign() string {
	for _, s := range [...]string{"+", "-", `\pm`, `\mp`} {
		if r.eat(s) {
			return s
		}
	}
	return ""
}

func (r *reader) sum() (value, error) {
	sign := r.sign()
	v, err := r.product()
	if err == nil && sign != "" {
		v, err = signed(sign, v)
	}
	if err != nil {
		return value{}, err
	}
	for {
		sign := r.sign()
		if sign == "" {
			break
		}
		t, err := r.product()
		if err == nil {
			t, err = signed(sign, t)
		}
		if err == nil {
			v, err = both(v, t, r.m.sum)
		}
		if err != nil {
			return value{}, err
		}
	}
	if v.kind == isExpr {
		if unit := r.unit(); unit != "" {
			v.unit = unit
		}
	}
	return v, nil
}

// unit takes a unit, or other words that end an item, and returns the one
// spelling of the unit.
func (r *reader) unit() string {
	start := r.i
	var words []string
	for {
		r.space()
		if loc := textCommand.FindStringIndex(r.rest()); loc != nil && loc[0] == 0 {
			t := r.rest()[:loc[1]]
			words = append(words, strings.Fields(strings.Trim(t[strings.IndexByte(t, '{')+1:len(t)-1], " ."))...)
			r.i += loc[1]
			continue
		}
		if w := r.word(); w != "" && w != "and" && w != "or" && (plainUnit(w) || isWord(w) && !functions[w] || len(words) > 0 && len(w) > 1) {
			words = append(words, w)
			r.i += len(w)
			continue
		}
		if len(words) > 0 && r.peek() == '^' {
			if p := strings.Trim(strings.TrimSpace(r.rest()[1:min(len(r.rest()), 4)]), "{} "); len(p) > 0 && (p[0] == '2' || p[0] == '3') {
				n := strings.IndexByte(r.rest(), p[0]) + 1
				words = append(words, "^"+p[:1])
				r.i += n
				r.eat("}")
				continue
			}
		}
		if len(words) > 0 && r.peek() == '/' {
			words = append(words, "/")
			r.i++
			continue
		}
		break
	}
	switch r.next() {
	case 0, ',', ';', ')', ']', '}', '=', '\\':
	default:
		if w := r.word(); w != "and" && w != "or" {
			r.i = start // the words go on as something else
			return ""
		}
	}
	return unitName(words)
}

// word returns the letters that come next.
func (r *reader) word() string {
	n := 0
	for n < len(r.rest()) && isLetter(r.rest()[n]) {
		n++
	}
	return r.rest()[:n]
}

func (r *reader) product() (value, error) {
	v, err := r.power()
	if err != nil {
		return value{}, err
	}
	for {
		r.space()
		var t value
		f := r.m.product
		switch {
		case r.eat("*"), r.eat(`\cdot`), r.eat(`\times`):
			t, err = r.factor()
		case r.eat("/"), r.eat(`\div`):
			f = r.m.divide
			t, err = r.factor()
		case v.kind == isExpr && r.startsFactor():
			t, err = r.power()
		default:
			return v, nil
		}
		if err == nil {
			v, err = both(v, t, f)
		}
		if err != nil {
			return value{}, err
		}
	}
}

// factor reads what follows an operator: it may have a sign.
func (r *reader) factor() (value, error) {
	if r.eat("-") {
		v, err := r.power()
		if err != nil {
			return value{}, err
		}
		return negated(v)
	}
	return r.power()
}

// startsFactor says whether what comes next is multiplied without an operator.
func (r *reader) startsFactor() bool {
	switch c := r.peek(); {
	case c == '(' || c == '{' || c == '[':
		return true
	case isDigit(c): // (n-2) 2^n
		before := strings.TrimRight(r.s[:r.i], " ")
		return strings.HasSuffix(before, ")")
	case c == '|':
		return r.bars == 0
	case isLetter(c):
		w := r.word()
		return w != "and" && w != "or" && !plainUnit(w) && (!isWord(w) || functions[w])
	case c == '\\':
		name := commandAt(r.s, r.i)
		return letters[name] || accents[name] || functions[name[1:]] || name == `\lfloor` || name == `\lceil` || name == `\frac` || name == `\sqrt` || name == `\binom`
	}
	return false
}

// power reads a primary with what may be attached to it: ! ^ %.
func (r *reader) power() (value, error) {
	v, err := r.primary()
	for err == nil {
		switch {
		case r.next() == '!':
			r.i++
			v, err = both(v, v, func(a, _ expr) (expr, error) { return r.m.factorial(a) })
		case r.next() == '^':
			r.i++
			var e value
			if e, err = r.exponent(); err == nil {
				v, err = both(v, e, r.m.raise)
			}
		case r.peek() == '%':
			r.i++
			if v.kind != isExpr {
				return value{}, errSyntax
			}
			alts := make([]expr, len(v.alts))
			for i, e := range v.alts {
				e.percent = true
				alts[i] = e
			}
			v.alts = alts
		default:
			return v, nil
		}
		if !r.m.spend(1) {
			return value{}, errLimit
		}
	}
	return value{}, err
}

// exponent reads what follows ^: a group, or one thing with all its digits.
// Powers of powers are taken from the right.
func (r *reader) exponent() (value, error) {
	if r.depth++; r.depth > maxDepth {
		return value{}, errLimit
	}
	defer func() { r.depth-- }()
	if r.eat("-") {
		v, err := r.exponent()
		if err != nil {
			return value{}, err
		}
		return negated(v)
	}
	v, err := r.primary()
	if err != nil || r.next() != '^' {
		return v, err
	}
	r.i++
	e, err := r.exponent()
	if err != nil {
		return value{}, err
	}
	return both(v, e, r.m.raise)
}
