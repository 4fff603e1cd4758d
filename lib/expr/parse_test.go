package expr

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// show writes a tree: the operator, then its arguments in brackets.
func show(n *Node) string {
	args := make([]string, len(n.Args))
	for i, a := range n.Args {
		args[i] = show(a)
	}
	name := map[Kind]string{Add: "+", Mul: "*", Div: "/", Pow: "^", Neg: "-", Percent: "%", List: "list", Set: "set", Matrix: "matrix"}[n.Kind]
	switch n.Kind {
	case Number:
		return n.Val.RatString()
	case Symbol, Numeral:
		return n.Name
	case Text:
		return "'" + n.Name + "'"
	case PlusMinus, Call, SetOp, Tuple:
		name = n.Name
	case Sub:
		name = n.Name + "_"
	case Quantity:
		name = "<" + n.Name + ">"
	case Relation:
		name = strings.Join(n.Rels, " ")
	}
	return "[" + strings.Join(append([]string{name}, args...), " ") + "]"
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ text, tree string }{
		{"12", "12"}, {"0.50", "1/2"}, {".5", "1/2"}, {"5.", "5"}, {"1.5e-3", "3/2000"}, {`1{,}234`, "1234"}, {`1,\!234`, "1234"}, {"1,234", "[list 1 234]"}, {`0.1\overline{6}`, "1/6"},
		{"-2", "-2"}, {"-x", "[- x]"}, {"--2", "2"}, {"3 + -2", "[+ 3 -2]"}, {"+5", "5"},
		{"ab", "[* a b]"}, {"2xy", "[* 2 x y]"}, {"a/bc", "[* [/ a b] c]"}, {"a-b-c", "[+ a [- b] [- c]]"}, {"x^2y", "[* [^ x 2] y]"}, {"x^10", "[^ x 10]"}, {"2^3^2", "[^ 2 [^ 3 2]]"}, {"-x^2", "[- [^ x 2]]"}, {"x^-1", "[^ x -1]"}, {`x^\frac12`, "[^ x [/ 1 2]]"},
		{`\frac12`, "[/ 1 2]"}, {`\dfrac{1}{2}`, "[/ 1 2]"}, {`\frac 59`, "[/ 5 9]"}, {`\frac1{72}`, "[/ 1 72]"}, {`\frac ab`, "[/ a b]"}, {`\frac{\frac12}3`, "[/ [/ 1 2] 3]"}, {`1\frac{4}{5}`, "[+ 1 [/ 4 5]]"}, {"137 1/2", "[+ 137 [/ 1 2]]"}, {`3\frac52`, "[* 3 [/ 5 2]]"}, {`2\frac{x}{3}`, "[* 2 [/ x 3]]"},
		{`\sqrt3`, `[\sqrt 3 2]`}, {`\sqrt12`, `[\sqrt 12 2]`}, {`\sqrt[3]{x}`, `[\sqrt x 3]`}, {"√2", `[\sqrt 2 2]`}, {"sqrt(2)", `[\sqrt 2 2]`}, {`2\sqrt3x`, `[* 2 [\sqrt 3 2] x]`},
		{`\sin 2x\cos x`, `[* [\sin [* 2 x]] [\cos x]]`}, {`\sin^2 x`, `[^ [\sin x] 2]`}, {`\sin^{-1} x`, `[\arcsin x]`}, {`\sin(x)+1`, `[+ [\sin x] 1]`}, {`\log_2 8`, `[\log 8 2]`}, {`\log_{10}{x}`, `[\log x 10]`}, {"sinx", `[\sin x]`}, {`\lg x`, `[\log x 10]`}, {`\exp{a*t}`, `[\exp [* a t]]`}, {`\sin -x`, `[\sin [- x]]`}, {`\sin x/2`, `[/ [\sin x] 2]`},
		{"|x-1|", `[\abs [+ x -1]]`}, {`2\left|x\right|y`, `[* 2 [\abs x] y]`}, {`\lfloor n/2 \rfloor`, `[\lfloor [/ n 2]]`}, {"5!", "[! 5]"}, {`\binom{n}{2}`, `[\binom n 2]`}, {`{n \choose 2}`, `[\binom n 2]`}, {`17 \bmod 5`, `[\bmod 17 5]`},
		{"x_1", "[x_ 1]"}, {"x_{n+1}", "[x_ [+ n 1]]"}, {`m_{\max}`, "m_max"}, {`v_{\text{red}}`, "v_red"}, {"y'", "y'"}, {`y^{\prime\prime}`, "y''"}, {"f(x)", "[f() x]"}, {"f(x,y)", "[f() x y]"}, {"x(x+1)", "[* x [+ x 1]]"}, {"n(2)", "[n() 2]"}, {`f^{\prime}(x)`, "[f'() x]"}, {`\frac{dy}{dx}`, `[\derivative [* y] [* x] 1]`}, {`\dot{x}`, `\dot{x}`},
		{"204_5", "204_5"}, {`204_{\text{five}}`, "204_5"}, {"0204_{5}", "204_5"}, {"54_{10}", "54"},
		{`\pm 2`, `[\pm 2]`}, {`1\pm\sqrt2`, `[+ 1 [\pm [\sqrt 2 2]]]`}, {"50%", "[% 50]"}, {`33\frac13\%`, "[% [+ 33 [/ 1 3]]]"}, {`90^\circ`, "[<degree> 90]"}, {`90^{ \circ }`, "[<degree> 90]"}, {"90°", "[<degree> 90]"},
		{"15 cm", "[<cm> 15]"}, {`15\text{ cm}^2`, "[<cm ^2> 15]"}, {"5 m", "[* 5 m]"}, {`5\text{ m}`, "[<m> 5]"}, {"15 apples", "[<apples> 15]"}, {"3:30 p.m.", "[<pm> [: 3 30]]"}, {`\$36`, "36"}, {"60 miles per hour", "[<miles per hour> 60]"}, {`3\,\mathrm{m}\,\mathrm{s}^{-1}`, "[<m s ^-1> 3]"},
		{"1, 2", "[list 1 2]"}, {"1 and 2", "[list 1 2]"}, {`1, 2, \text{ and } 3`, "[list 1 2 3]"}, {"1,2;3,4", "[list [list 1 2] [list 3 4]]"}, {`\{1,2\}`, "[set 1 2]"}, {"{1,2}", "[set 1 2]"}, {`\{\}`, "[set]"}, {`\emptyset`, "[set]"}, {"(1,2)", "[() 1 2]"}, {"[0,1)", "[[) 0 1]"}, {"]0,1[", "[() 0 1]"}, {"[0,1[", "[[) 0 1]"}, {`\langle 1,2\rangle`, "[() 1 2]"}, {"(1;2)", "[() 1 2]"}, {"7:32", "[: 7 32]"}, {"3{:}30", "[: 3 30]"},
		{`(0,1)\cup[2,3]`, `[\cup [() 0 1] [[] 2 3]]`}, {`\mathbb{R}\setminus\{0\}`, `[\setminus \mathbb{R} [set 0]]`}, {`\{x \mid x>3\}`, "[> x 3]"}, {`\{x : x>3\}`, "[> x 3]"}, {`\{x\in\mathbb R | x \ne 0\}`, "[!= x 0]"},
		{"x=5", "[= x 5]"}, {"1<x\\le 2", "[< <= 1 x 2]"}, {"x >= 2", "[>= x 2]"}, {"x != 2", "[!= x 2]"}, {`x\in[0,1]`, "[in x [[] 0 1]]"}, {`x\equiv 3\pmod{7}`, "[equiv mod x 3 7]"}, {"x = 3 (mod 7)", "[= mod x 3 7]"},
		{`\begin{pmatrix}1&2\\3&4\end{pmatrix}`, "[matrix [() 1 2] [() 3 4]]"}, {`\left[\begin{array}{cc}1&2\end{array}\right]`, "[matrix [() 1 2]]"}, {`-\begin{bmatrix}1\\x\end{bmatrix}`, "[matrix [() -1] [() [- x]]]"}, {`\begin{vmatrix}a&b\\c&d\end{vmatrix}`, "[+ [* a d] [- [* b c]]]"}, {`\begin{pmatrix}1&2\end{pmatrix}^T`, "[matrix [() 1] [() 2]]"},
		{`\begin{pmatrix}1&2\end{pmatrix}\begin{pmatrix}x\\y\end{pmatrix}`, "[matrix [() [+ [* 1 x] [* 2 y]]]]"}, {`\frac12\begin{pmatrix}2\\4\end{pmatrix}`, "[matrix [() [* [/ 1 2] 2]] [() [* [/ 1 2] 4]]]"},
		{`\begin{cases}x=1\\y=2\end{cases}`, "[list [= x 1] [= y 2]]"}, {`\begin{cases}x&x>0\\0&x<0\end{cases}`, "[list [() x [> x 0]] [() 0 [< x 0]]]"}, {`\begin{cases}x,&\text{if }x>0\end{cases}`, "[list [() x [> x 0]]]"}, {`\mathbb R-\{0\}`, `[\setminus \mathbb{R} [set 0]]`}, {`25^\circ C`, "[<celsius> 25]"},
		{`\text{Evelyn}`, "'evelyn'"}, {"no solution", "'no solution'"}, {`\text{(C)}`, "C"}, {`\textbf{5}`, "5"}, {`x \text{ or } y`, "[list x y]"}, {"np.arcsin(1)", `[\arcsin 1]`},
		{`\sum_{k=0}^{n} k^2`, `[\sum [^ k 2] k 0 n]`}, {`\lim_{x\to 0} x`, `[\lim x x 0]`}, {`\int_0^1 x`, `[\int x \none 0 1]`}, {`\\frac{1}{2}`, "[/ 1 2]"}, {`\quadx`, "x"},
	} {
		n, err := Parse(NewWork(10_000), c.text, Options{})
		require.NoError(t, err, c.text)
		require.Equal(t, c.tree, show(n), c.text)
	}
	for _, c := range []struct{ text, tree string }{
		{"1,234", "1234"}, {"1 234 567", "1234567"}, {"1,234.5", "2469/2"}, {"12,34", "[list 12 34]"}, {"(1,234)", "[() 1 234]"}, {"1, 234", "[list 1 234]"}, {"1234,567", "[list 1234 567]"}, {"1,234,56", "[list 1234 56]"},
	} {
		n, err := Parse(NewWork(10_000), c.text, Options{Grouped: true})
		require.NoError(t, err, c.text)
		require.Equal(t, c.tree, show(n), c.text)
	}
}

func TestParseErrors(t *testing.T) {
	for _, text := range []string{"", "(", "(1", "1)", "{1", `\frac{1}`, `\frac`, "x^", "1+", "*2", "(1,2", "[1", `\sqrt[3`, `\begin{pmatrix}1&2\\3\end{pmatrix}`, `\begin{cases}x&\end{cases}`, `\begin{align}x\end{align}`, `\begin{pmatrix}`, `\unknown{x}`, "|x", `\{1,2`, `\left(1,2\right`, "x_", "1 < ", "5 apples 6", `\lfloor x`, `\pmod(`, "(2]", `\sum_{k=1}`, `\lim x`, "#"} {
		_, err := Parse(NewWork(10_000), text, Options{})
		require.ErrorIs(t, err, ErrSyntax, text)
	}
	for _, text := range []string{strings.Repeat("(", 1000), strings.Repeat("9", 2000), "1e5000", strings.Repeat("x+", 20_000) + "x"} {
		_, err := Parse(NewWork(10_000), text, Options{})
		require.ErrorIs(t, err, ErrLimit, "%.20q", text)
	}
}

func TestSpelling(t *testing.T) {
	w := NewWork(10_000)
	for _, p := range [][2]string{{`\text{Some  Solution}`, "some solution."}, {`\left( \dfrac{a}{b} \right)`, `(\frac{a}{b})`}, {`1{,}000`, "1000"}} {
		a, err := Spelling(w, p[0])
		require.NoError(t, err)
		b, err := Spelling(w, p[1])
		require.NoError(t, err)
		require.Equal(t, a, b)
	}
	_, err := Spelling(NewWork(2), "abc")
	require.ErrorIs(t, err, ErrLimit)
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`\frac12`, `\begin{pmatrix}1&2\\3&4\end{pmatrix}`, `\sum_{k=0}^{n} k`, `[0,1)\cup\{x:x>2\}`, `15\text{ cm}^2`, `x\equiv 3\pmod{7}`, `]1,2[`, "1,234.5e-3", `\sqrt[3]{x}\sin^{-1}2x`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		const steps = 20_000
		for _, grouped := range []bool{false, true} {
			w := NewWork(steps)
			n, err := Parse(w, s, Options{Grouped: grouped})
			require.Greater(t, w.Left(), -steps-len(s)*12) // a character may be spelled with twelve
			if err != nil {
				require.Nil(t, n)
				continue
			}
			require.False(t, n.Any(func(m *Node) bool { return m == nil || m.Kind == Number && m.Val == nil }))
			require.Len(t, n.Signs(false), map[bool]int{false: 1, true: 2}[strings.Contains(show(n), "[\\pm") || strings.Contains(show(n), "[\\mp")])
		}
	})
}
