package arith

import (
	"fmt"
	"strings"
)

// Statement is something that a text claims about numbers, in a form that ==
// compares: the sides of + and * are in order, and a<b is b>a. The zero
// Statement is a malformed one.
type Statement struct {
	relation byte // '=', '>', or 'o' and 'e' for odd and even
	op       byte // of an equation
	a, b, c  int  // a op b = c; a > b; a is odd
}

func equality(a int, op byte, b, c int) Statement {
	if (op == '+' || op == '*') && a > b {
		a, b = b, a
	}
	return Statement{relation: '=', op: op, a: a, b: b, c: c}
}

// True reports whether the statement holds. A malformed one does not.
func (s Statement) True() bool {
	switch s.relation {
	case '=':
		c, ok := apply(s.a, s.op, s.b)
		return ok && c == s.c
	case '>':
		return s.a > s.b
	case 'o':
		return s.a%2 == 1
	case 'e':
		return s.a%2 == 0
	}
	return false
}

// task returns what stands for every statement on the same operands, whatever
// its result; it is no statement itself.
func (s Statement) task() Statement {
	if s.relation == '=' {
		s.relation, s.c = '?', 0
	}
	return s
}

func tasks(statements []Statement) []Statement {
	t := make([]Statement, len(statements))
	for i, s := range statements {
		t[i] = s.task()
	}
	return t
}

func (s Statement) String() string {
	switch s.relation {
	case '=':
		return equation{s.a, s.op, s.b, s.c}.String()
	case '>':
		return fmt.Sprintf("%d>%d", s.a, s.b)
	case 'o':
		return fmt.Sprintf("%d is odd", s.a)
	case 'e':
		return fmt.Sprintf("%d is even", s.a)
	}
	return "malformed"
}

// Statements reads every statement of a text, in order. There are four forms: a
// op b=c with one of + - * /, a>b, a<b, and "n is odd" or "n is even"; blanks
// between the parts count for nothing.
//
// Any other run of numbers and the signs + - * / ( ) = < > that holds an = < or
// > is one malformed statement; so is one with a number of more than nine
// digits. A run goes on over blanks, but not from one number to the next nor
// over a line end. The final answer, \boxed{...}, is no statement.
func Statements(text string) []Statement {
	var found []Statement
	for i := 0; i < len(text); {
		if strings.HasPrefix(text[i:], boxed) {
			i = afterBox(text, i+len(boxed))
			continue
		}
		if !isDigit(text[i]) && !isSign(text[i]) {
			i++
			continue
		}
		var r run
		i = r.read(text, i)
		if s, ok := r.statement(); ok {
			found = append(found, s)
		} else if parity, end := readParity(text, i); parity != 0 {
			i = end
			if r.n == 1 && !r.huge && r.tokens[0].sign == 0 {
				found = append(found, Statement{relation: parity, a: r.tokens[0].n})
			} else {
				found = append(found, Statement{})
			}
		}
	}
	return found
}

// run is a stretch of numbers and signs; the longest well-formed one has five.
type run struct {
	tokens   [5]token
	n        int // how many there are, those beyond the array included
	relation bool
	huge     bool // holds a number that is not read
}

// read takes in the run that starts at text[i] and returns where it ends.
func (r *run) read(text string, i int) int {
	number := false // the last token was one
	for {
		next := skipBlanks(text, i)
		if next == len(text) {
			return i
		}
		var t token
		switch c := text[next]; {
		case isSign(c):
			t.sign = c
			r.relation = r.relation || c == '=' || c == '<' || c == '>'
			i = next + 1
		case isDigit(c) && !number:
			var ok bool
			t.n, i, ok = readNumber(text, next)
			r.huge = r.huge || !ok
		default:
			return i
		}
		number = t.sign == 0
		if r.n < len(r.tokens) {
			r.tokens[r.n] = t
		}
		r.n++
	}
}

// statement returns what the run states; ok is false where it states nothing.
func (r *run) statement() (s Statement, ok bool) {
	if !r.relation {
		return Statement{}, false
	}
	if r.huge || r.n > len(r.tokens) {
		return Statement{}, true
	}
	t := r.tokens
	switch expr(t[:r.n]).signs() {
	case "n+n=n", "n-n=n", "n*n=n", "n/n=n":
		return equality(t[0].n, t[1].sign, t[2].n, t[4].n), true
	case "n>n":
		return Statement{relation: '>', a: t[0].n, b: t[2].n}, true
	case "n<n":
		return Statement{relation: '>', a: t[2].n, b: t[0].n}, true
	}
	return Statement{}, true
}

// readParity reads " is odd" or " is even" at text[i]; it returns 'o', 'e' or
// 0, and the end.
func readParity(text string, i int) (parity byte, end int) {
	if is := afterWord(text, i, "is"); is > 0 {
		for _, word := range []string{"odd", "even"} {
			if end := afterWord(text, is, word); end > 0 {
				return word[0], end
			}
		}
	}
	return 0, i
}

// afterWord returns the end of the word that follows text[i] after one or more
// blanks, or 0 where another does.
func afterWord(text string, i int, word string) int {
	start := skipBlanks(text, i)
	end := start + len(word)
	if start == i || !strings.HasPrefix(text[start:], word) || end < len(text) && isLetter(text[end]) {
		return 0
	}
	return end
}

const boxed = `\boxed`

// afterBox returns the end of the braces that open at text[i], blanks aside:
// the end of the text where they do not close, i where there are none.
func afterBox(text string, i int) int {
	open := skipBlanks(text, i)
	if open == len(text) || text[open] != '{' {
		return i
	}
	depth := 0
	for j := open; j < len(text); j++ {
		switch text[j] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return j + 1
			}
		}
	}
	return len(text)
}

// readNumber reads the digits at text[i]; ok is false where there are more than
// nine.
func readNumber(text string, i int) (n, end int, ok bool) {
	for end = i; end < len(text) && isDigit(text[end]); end++ {
		if end-i < 9 {
			n = n*10 + int(text[end]-'0')
		}
	}
	return n, end, end-i <= 9
}

func skipBlanks(text string, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\t') {
		i++
	}
	return i
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isSign(c byte) bool { return strings.IndexByte("+-*/()=<>", c) >= 0 }
