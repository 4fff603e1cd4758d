package expr

import "strings"

// A token is a piece of the text in its canonical spelling.
type token struct {
	kind  tokenKind
	text  string
	space bool // blanks stand before it
}

type tokenKind uint8

const (
	tokEnd     tokenKind = iota
	tokDigits            // a run of digits
	tokWord              // a run of letters
	tokLetters           // the rest of a run of which letters were read as variables
	tokText              // what a text command holds, blanks around it dropped
	tokCommand           // \name
	tokSymbol            // one character; "," that only groups digits is "{,}"
)

// Spellings of characters outside of ASCII.
var characters = strings.NewReplacer(
	"−", "-", "–", "-", "—", "-", "－", "-", "×", `\times `, "·", `\cdot `, "⋅", `\cdot `, "∗", "*", "÷", "/", "∕", "/", "⁄", "/", "√", `\sqrt `, "∛", `\sqrt[3]`, "∞", `\infty `,
	"≤", `\le `, "≥", `\ge `, "≦", `\le `, "≧", `\ge `, "≠", `\ne `, "≈", `\approx `, "≡", `\equiv `, "∪", `\cup `, "∩", `\cap `, "∖", `\setminus `, "∈", `\in `, "∉", `\notin `, "±", `\pm `, "∓", `\mp `, "∅", `\emptyset `,
	"°", `\degree `, "º", `\degree `, "′", "'", "’", "'", "ℝ", `\mathbb{R}`, "ℤ", `\mathbb{Z}`, "ℕ", `\mathbb{N}`, "ℚ", `\mathbb{Q}`, "ℂ", `\mathbb{C}`,
	"α", `\alpha `, "β", `\beta `, "γ", `\gamma `, "δ", `\delta `, "ε", `\epsilon `, "θ", `\theta `, "λ", `\lambda `, "μ", `\mu `, "π", `\pi `, "ρ", `\rho `, "σ", `\sigma `, "τ", `\tau `, "φ", `\phi `, "ω", `\omega `, "Δ", `\Delta `,
	"½", `\frac{1}{2}`, "⅓", `\frac{1}{3}`, "⅔", `\frac{2}{3}`, "¼", `\frac{1}{4}`, "¾", `\frac{3}{4}`, "⅕", `\frac{1}{5}`, "⅛", `\frac{1}{8}`,
	"⁰", "^0", "¹", "^1", "²", "^2", "³", "^3", "⁴", "^4", "⁵", "^5", "⁶", "^6", "⁷", "^7", "⁸", "^8", "⁹", "^9", "⁻", "^-", "ⁿ", "^n",
	"₀", "_0", "₁", "_1", "₂", "_2", "₃", "_3", "₄", "_4", "₅", "_5", "₆", "_6", "₇", "_7", "₈", "_8", "₉", "_9",
	"（", "(", "）", ")", "［", "[", "］", "]", "，", ",", "、", ",", "；", ";", "：", ":", "％", "%", "＝", "=", "＋", "+", "＜", "<", "＞", ">", "⟨", `\langle `, "⟩", `\rangle `,
	"\u00a0", " ", "\u2009", " ", "\u202f", " ", "\u3000", " ", "€", "", "£", "", "¥", "", "₹", "",
)

// Commands with another spelling, "" for those that say nothing and " " for
// those that are blanks.
var aliases = map[string]string{
	`\dfrac`: `\frac`, `\tfrac`: `\frac`, `\cfrac`: `\frac`, `\dbinom`: `\binom`, `\tbinom`: `\binom`,
	`\leq`: `\le`, `\leqslant`: `\le`, `\geq`: `\ge`, `\geqslant`: `\ge`, `\neq`: `\ne`, `\lt`: "<", `\gt`: ">", `\simeq`: `\approx`,
	`\cdot`: "*", `\times`: "*", `\ast`: "*", `\div`: "/", `\colon`: ":", `\lbrack`: "[", `\rbrack`: "]",
	`\lbrace`: `\{`, `\rbrace`: `\}`, `\vert`: "|", `\lvert`: "|", `\rvert`: "|", `\mid`: "|", `\|`: "|", `\%`: "%", `\backslash`: `\setminus`,
	`\varnothing`: `\emptyset`, `\land`: `\wedge`, `\lor`: `\vee`, `\ldots`: `\dots`, `\cdots`: `\dots`,
	`\left`: "", `\right`: "", `\middle`: "", `\big`: "", `\Big`: "", `\bigg`: "", `\Bigg`: "", `\bigl`: "", `\bigr`: "", `\Bigl`: "", `\Bigr`: "", `\biggl`: "", `\biggr`: "", `\Biggl`: "", `\Biggr`: "",
	`\displaystyle`: "", `\textstyle`: "", `\limits`: "", `\nolimits`: "", `\mathstrut`: "", `\nonumber`: "", `\!`: "", `\$`: "", `\(`: "", `\)`: "", `\[`: "", `\]`: "",
	`\,`: " ", `\;`: " ", `\:`: " ", `\>`: " ", `\ `: " ", `\quad`: " ", `\qquad`: " ", `\thinspace`: " ", `\hfill`: " ",
	`\bf`: "", `\rm`: "", `\it`: "", `\varepsilon`: `\epsilon`, `\varphi`: `\phi`, `\vartheta`: `\theta`, `\rightarrow`: `\to`,
	`\tg`: `\tan`, `\ctg`: `\cot`, `\arctg`: `\arctan`, `\euro`: "", `\pounds`: "", `\bigcup`: `\cup`, `\bigcap`: `\cap`,
}

var textCommands = set(`\text \mbox \textbf \textit \textrm \textnormal \textsf \texttt \emph \mathrm \mathbf \mathit \mathsf \mathtt \operatorname \hbox \boldsymbol \bm \mathop \underline \boxed \fbox`)

// lexer cuts a text into tokens.
type lexer struct {
	s     string
	i     int
	lines bool // two backslashes are a line break
	space bool
	out   []token
}

// tokens cuts s into tokens, closed by one of kind tokEnd.
func tokens(w *Work, s string) ([]token, error) {
	if err := w.Spend(len(s)); err != nil {
		return nil, err
	}
	if !ascii(s) {
		s = characters.Replace(s)
	}
	l := lexer{s: s, lines: strings.Contains(s, `\begin`), out: make([]token, 0, 16)}
	l.run()
	return append(l.out, token{kind: tokEnd}), nil
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func (l *lexer) emit(k tokenKind, text string) {
	l.out = append(l.out, token{k, text, l.space})
	l.space = false
}

func (l *lexer) run() {
	for l.i < len(l.s) {
		c := l.s[l.i]
		start := l.i
		switch {
		case isDigit(c):
			for l.i < len(l.s) && isDigit(l.s[l.i]) {
				l.i++
			}
			l.emit(tokDigits, l.s[start:l.i])
		case isLetter(c) || c >= 0x80:
			l.word()
		case c == '\\':
			l.command()
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '~':
			l.space = true
			l.i++
		case c == '$':
			l.space = l.space || l.i > 0 && l.i+1 < len(l.s)
			l.i++
		case c == '^' && l.degree():
			l.emit(tokCommand, `\degree`)
		case strings.HasPrefix(l.s[l.i:], "{:}"):
			l.i += 3
			l.emit(tokSymbol, ":")
		case strings.HasPrefix(l.s[l.i:], "{,}"), strings.HasPrefix(l.s[l.i:], `,\!`), strings.HasPrefix(l.s[l.i:], `,\\!`):
			l.i += 2 + len(strings.TrimRight(l.s[l.i+1:min(l.i+3, len(l.s))], "!}"))
			l.emit(tokSymbol, "{,}")
			for l.i < len(l.s) && l.s[l.i] == ' ' {
				l.i++
			}
		default:
			for _, two := range [...][2]string{{"<=", `\le`}, {">=", `\ge`}, {"!=", `\ne`}, {"=<", `\le`}, {"==", "="}, {"**", "^"}, {"->", `\to`}} {
				if strings.HasPrefix(l.s[l.i:], two[0]) {
					l.i += 2
					l.canonical(two[1])
					break
				}
			}
			if l.i == start {
				l.i++
				l.emit(tokSymbol, l.s[start:l.i])
			}
		}
	}
}

// canonical emits a symbol or a command.
func (l *lexer) canonical(s string) {
	if s[0] == '\\' {
		l.emit(tokCommand, s)
	} else {
		l.emit(tokSymbol, s)
	}
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }

// word takes a run of letters. Characters without a spelling of their own count.
func (l *lexer) word() {
	start := l.i
	for l.i < len(l.s) && (isLetter(l.s[l.i]) || l.s[l.i] >= 0x80) {
		l.i++
	}
	w := l.s[start:l.i]
	rest := l.s[l.i:]
	switch {
	case start > 0 && (isDigit(l.s[start-1]) || l.s[start-1] == ')') && len(w) == 3 && w[:2] == "or" && w[2] < 'a': // 1orX = 2
		l.i--
		w = "or"
	case (w == "np" || w == "math" || w == "sp") && len(rest) > 1 && rest[0] == '.' && isLetter(rest[1]):
		l.i++ // a module's name
		return
	case (w == "a" || w == "p" || w == "A" || w == "P") && len(rest) >= 2 && rest[0] == '.' && rest[1]|0x20 == 'm':
		l.i += 2
		if strings.HasPrefix(l.s[l.i:], ".") {
			l.i++
		}
		l.emit(tokText, strings.ToLower(w)+"m")
		return
	}
	l.emit(tokWord, w)
}

// degree takes ^\circ in any spelling.
func (l *lexer) degree() bool {
	i := l.i + 1
	skip := func() {
		for i < len(l.s) && l.s[i] == ' ' {
			i++
		}
	}
	skip()
	brace := i < len(l.s) && l.s[i] == '{'
	if brace {
		i++
		skip()
	}
	if strings.HasPrefix(l.s[i:], `\\`) {
		i++
	}
	if !strings.HasPrefix(l.s[i:], `\circ`) {
		return false
	}
	i += len(`\circ`)
	if i < len(l.s) && isLetter(l.s[i]) {
		return false
	}
	if brace {
		skip()
		if i >= len(l.s) || l.s[i] != '}' {
			return false
		}
		i++
	}
	l.i = i
	return true
}

func (l *lexer) command() {
	if !l.lines && strings.HasPrefix(l.s[l.i:], `\\`) && l.i+2 < len(l.s) && (isLetter(l.s[l.i+2]) || strings.IndexByte("!,;{}%$", l.s[l.i+2]) >= 0) {
		l.i++ // a backslash that was escaped once too often
	}
	end := l.i + 1
	for end < len(l.s) && isLetter(l.s[end]) {
		end++
	}
	if end == l.i+1 && end < len(l.s) {
		end++
	}
	for _, blank := range [...]string{`\quad`, `\qquad`} { // glued to a name
		if strings.HasPrefix(l.s[l.i:end], blank) {
			end = l.i + len(blank)
		}
	}
	name := l.s[l.i:end]
	l.i = end
	if textCommands[name] {
		if body, ok := l.group(); ok {
			l.text(name, body)
			return
		}
	}
	switch name {
	case `\left`, `\right`:
		if l.i < len(l.s) && l.s[l.i] == '.' { // an invisible bracket
			l.i++
		}
	case `\mathbb`, `\mathcal`, `\mathfrak`, `\mathscr`:
		body, ok := l.group()
		for !ok && l.i < len(l.s) && l.s[l.i] == ' ' {
			l.i++
		}
		if !ok && l.i < len(l.s) && isLetter(l.s[l.i]) {
			body = l.s[l.i : l.i+1]
			l.i++
		}
		l.emit(tokCommand, name+"{"+strings.TrimSpace(body)+"}")
		return
	case `\hspace`, `\vspace`, `\phantom`, `\label`, `\tag`:
		l.group()
		l.space = true
		return
	case `\degrees`, `\degree`:
		l.emit(tokCommand, `\degree`)
		return
	case `\`:
		return
	}
	alias, ok := aliases[name]
	switch {
	case !ok:
		l.emit(tokCommand, name)
	case alias == " ":
		l.space = true
	case alias != "":
		l.canonical(alias)
	}
}

// group takes a group in braces and returns what is in it.
func (l *lexer) group() (string, bool) {
	i := l.i
	for i < len(l.s) && l.s[i] == ' ' {
		i++
	}
	if i >= len(l.s) || l.s[i] != '{' {
		return "", false
	}
	level := 0
	for j := i; j < len(l.s); j++ {
		switch l.s[j] {
		case '\\':
			j++
		case '{':
			level++
		case '}':
			if level--; level == 0 {
				l.i = j + 1
				return l.s[i+1 : j], true
			}
		}
	}
	return "", false
}

// text handles a text command: numbers, letters and connecting words are read as
// if they stood outside of it, functions as functions; the rest is text. Behind
// something a unit of one letter stays text.
func (l *lexer) text(name, body string) {
	plain := strings.Trim(body, " ~")
	bare := strings.Trim(plain, " .~")
	switch {
	case plain == "":
		l.space = true
		return
	case bare == "and" || bare == "or":
		l.emit(tokWord, bare)
		return
	case functions[bare]:
		l.emit(tokCommand, `\`+bare)
		return
	case name == `\mathbf` && (bare == "i" || bare == "j" || bare == "k"):
		l.emit(tokCommand, `\mathbf{`+bare+"}")
		return
	}
	_, unit := UnitOf(bare)
	if !hasWord(plain) && (len(l.out) == 0 || !unit) || strings.ContainsAny(plain, `$\^_=`) {
		const deepest = 8
		if strings.Count(plain, "{") <= deepest {
			inner := lexer{s: plain, lines: l.lines, out: l.out, space: true}
			inner.run()
			l.out = inner.out
			return
		}
	}
	l.emit(tokText, plain)
}

// hasWord says whether two letters stand together.
func hasWord(s string) bool {
	for i := 1; i < len(s); i++ {
		if isLetter(s[i]) && isLetter(s[i-1]) || s[i] >= 0x80 {
			return true
		}
	}
	return false
}

func set(names string) map[string]bool {
	out := map[string]bool{}
	for _, n := range strings.Fields(names) {
		out[n] = true
	}
	return out
}
