package answer

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestExtract(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`so \boxed{42}.`, "42"},
		{`\boxed{\frac{1}{2}}`, `\frac{1}{2}`},
		{`\boxed{\sqrt{\frac{3}{4}}} and more`, `\sqrt{\frac{3}{4}}`},
		{`\boxed{1} then \boxed{2}`, "2"},
		{`\boxed { 7 }`, "7"},
		{`\boxed 7`, "7"},
		{`thus $\boxed 42$.`, "42"},
		{`\fbox{9}`, "9"},
		{`\boxed{}`, ""},
		{`\boxed{4} but \boxed{5`, "4"},            // the last one that closes
		{`\boxed{a \boxed{b} c}`, `a \boxed{b} c`}, // one inside of another
		{`\boxed{a \boxed{b}`, "b"},                // the outer one does not close
		{`\boxed{\{1, 2\}}`, `\{1, 2\}`},           // escaped braces
		{`\boxed{\left\{ 1 \right.}`, `\left\{ 1 \right.`},
		{`} \boxed{1} }`, "1"},
		{`\\boxed{-3}`, "-3"},
		{`a \\ \boxed{3}`, "3"},
		{`\boxed{99}</think>Final: \boxed{42}`, "42"},
		{`$\boxed{1}$ and $\boxed{-2}$`, "1, -2"}, // one answer in two boxes
		{`\boxed{1}, \boxed{2}, \boxed{3}`, "1, 2, 3"},
		{`$x_1 = \boxed{1}$, $x_2 = \boxed{2}$`, "1, 2"},
		{"\\boxed{5}\n\n\\boxed{5}", "5"},
		{`\boxed{1} papers \boxed{2}`, "2"},
	} {
		got, ok := Extract(c.text)
		require.True(t, ok, c.text)
		require.Equal(t, c.want, got, c.text)
	}
	for _, text := range []string{"", "just 42", `\boxed{never closes`, `\boxedx{1}`, `\boxed`, `\boxed `, `\boxed$`, `\boxed{42} </think> nothing`, `boxed{1}`} {
		_, ok := Extract(text)
		require.False(t, ok, text)
	}
}

var equal = [][]string{ // all of a line are the same
	{"5", "5.0", "05", "+5", "10/2", `\frac{10}{2}`, "$5$", `\boxed{5}`, `\(5\)`, "5.", " 5 ", `\text{5}`, "5,", `\left(5\right)`, "{5}", "x = 5", "5 = x", `x=2+3=5`, `\sqrt{25}`, "5^1", `\mathrm{5}`},
	{"-5", "−5", `\frac{-10}{2}`, `-\frac{10}{2}`, `\sqrt[3]{-125}`},
	{"1/2", "0.5", ".5", `\frac12`, `\dfrac12`, `\tfrac{1}{2}`, `\frac{1}2`, `\frac1{2}`, `\frac 12`, `\cfrac{1}{2}`, "½", "2^{-1}", "5e-1", `5 \times 10^{-1}`, "50%", `50\%`},
	{"1/3", `\frac{2}{6}`, "0.3333", "0.33333333"},
	{"137.5", `137\frac12`, `137 \frac{1}{2}`, "137 1/2", "275/2"},
	{"1234567", "1,234,567", "1 234 567", `1{,}234{,}567`, `1,\!234,\!567`},
	{"0,75", "0.75", "75%", `\frac{75}{100}`},
	{"20%", `20\%`, "20", "1/5", "20 percent"},
	{"36", `\$36`, "$36", "36 dollars", "€36", `36\text{ dollars}`, `36^\circ`, "36°", "36 degrees"},
	{"15", "15 cm", `15\text{ cm}^2`, `15 \mbox{ cm}^2`, "15 square units", "15 apples", `15\,\mathrm{km/h}`, "15 miles per hour"},
	{"15 cm", "15 centimeters", `15\text{ cm}`},
	{"15 cm^2", "15 square centimeters", `15\text{ cm}^2`, `15\text{ sq. cm}`},
	{`2\sqrt{3}`, `\sqrt{12}`, `2 \sqrt 3`, `\frac{6}{\sqrt{3}}`, "2√3", "12^{1/2}", "2sqrt(3)", "3.46410"},
	{`\sqrt{3+2\sqrt{2}}`, `1+\sqrt2`, `\frac{1}{\sqrt2-1}`},
	{`\frac{\sqrt{3}}{3}`, `\frac{1}{\sqrt3}`, `3^{-1/2}`},
	{`7\pi`, "7π", `\pi \cdot 7`, "7 pi", "21.99115"},
	{"6+9i", "9i+6", `3(2+3i)`, `\sqrt{-81}+6`, "6 - 9 i^3"},
	{"2^{10}", "1024", `4^5`, "2^10", `10^3+24`},
	{`\frac{100!}{98!}`, "9900"},
	{`\binom{5}{2}`, "10"},
	{"x^2+2x+1", "(x+1)^2", `x^{2} + 2 \cdot x + 1`, `1+x(x+2)`, `\frac{(x^2-1)(x+1)}{x-1}`},
	{`\frac{x+2}{7}`, `\frac{x}{7}+\frac{2}{7}`, "(x+2)/7"},
	{`\sqrt{4x+4}`, `2\sqrt{x+1}`, `2(1+x)^{1/2}`},
	{"(x+1)^{3/2}", `(x+1)\sqrt{x+1}`},
	{"x_1", "x_{1}"},
	{"(1,2)", `\left( 1, 2 \right)`, `(\frac22, 2.0)`, "(a,b) = (1,2)", "(1;2)"},
	{"[0,1)", `\left[0,1\right)`, `x \in [0,1)`, `0 \le x < 1`, "1 > x >= 0"},
	{`(-\infty,1)\cup(1,\infty)`, `(1,\infty) \cup (-\infty,1)`, `(-\infty, 1) ∪ (1, +\infty)`},
	{"1,-2", "-2,1", "-2 and 1", `1 \text{ or } -2`, `\{1,-2\}`, `x=1, x=-2`},
	{`1\pm\sqrt2`, `1+\sqrt2, 1-\sqrt2`, `\{1-\sqrt2, 1+\sqrt2\}`, `1 \mp \sqrt{2}`, `\frac{2\pm\sqrt8}{2}`},
	{"(1,2),(3,4)", "(3,4) and (1,2)", "(1,2),(3,4),(1,2)"},
	{`\begin{pmatrix}1 & 2\\3 & 4\end{pmatrix}`, `\begin{bmatrix} 1&\frac42\\3&4 \\ \end{bmatrix}`, `\left[\begin{array}{cc}1&2\\3&4\end{array}\right]`},
	{"y=2x+3", "2x+3", "y = 3 + 2x", "2x-y+3=0", "-4x+2y=6"},
	{"x < 3", "3 > x", "-x > -3", "2x<6", `x \lt 3`},
	{`x \ne 3`, "x != 3", "3 ≠ x"},
	{"C", "(C)", `\text{(C)}`, `\textbf{C}`, "c", `\mathrm{C}`},
	{`\text{Evelyn}`, "Evelyn", "evelyn", `\mbox{Evelyn}.`},
	{"f(2) < f(1)", "f(1) > f(2)"},
	{`\sin(2x)`, `\sin 2x`, `\sin{2x}`, `\sin(x\cdot 2)`},
	{`2 \sin b \cos a`, `2\cos(a)\sin(b)`},
	{`\log_2 8`, `\log_{2}(8)`},
	{"204_5", "204_{5}"},
	{"7:32", `7 : 32`, "S:T = 7:32"},
	{"", "  ", `\text{}`},
	{"8.7e8", `8.7 \times 10^8`, "870000000", "870,000,000"},
	{"|-3|", "3", `\left|-3\right|`},
	{`\lfloor n/2 \rfloor`, `\left\lfloor \frac{n}{2} \right\rfloor`},
	{`\emptyset`, `\{\}`, "∅"},
}

func TestEqual(t *testing.T) {
	for _, class := range equal {
		for _, a := range class {
			require.Equal(t, Equal, Compare(a, class[0]), "%q and %q", a, class[0])
			require.Equal(t, Equal, Compare(class[0], a), "%q and %q", class[0], a)
		}
	}
	// Members of different classes are different, but for those that share a
	// number under a percent sign or a unit.
	for i, class := range equal {
		for _, other := range equal[:i] {
			if Compare(class[0], other[0]) == Equal {
				require.Contains(t, []string{"20%", "1/3", "15 cm", "15 cm^2", "0,75"}, class[0], "%q and %q", class[0], other[0])
			}
		}
	}
}

func TestDifferent(t *testing.T) {
	for _, c := range [][2]string{
		{"5", "6"}, {"5", "-5"}, {"5", "5.1"}, {"1/2", "1/3"}, {"0.33", "1/3"}, {"0.333", "1/3"}, {"0.3334", "1/3"}, {"0.6666", "2/3"}, {"2.23", "2.232"}, {"3.14", `\pi`}, {"0.0001", "1/12000"},
		{"1,2", "12"}, {"1,2", "(1,2)"}, {"(1,2)", "(2,1)"}, {"(1,2)", "[1,2]"}, {"[0,1)", "(0,1)"}, {"(1,234)", "1234"}, {"32, 349", "32349"}, {"1,2", "1,2,3"}, {"1,1,2", "1,2,2"}, {"(3,1)", `\{1,3\}`},
		{`\pm 2`, "2"}, {`1\pm\sqrt2`, `1\pm\sqrt3`}, {`\sqrt2`, "2"}, {`\sqrt[3]{2}`, `\sqrt2`}, {`4\sqrt2`, "4"}, {`\frac{1+\sqrt5}{2}`, "2"}, {`\sqrt{x^2}`, "x"},
		{"x+1", "x+2"}, {"x", "y"}, {"x", "X"}, {"ab", "a"}, {"x^2", "2x"}, {"x+2n+1", "x+1"}, {"I(0)", "0"}, {"x(0)", "0"}, {"f(2)", "2f"},
		{"x=5", "y=5"}, {"x=5", "x=6"}, {"a+3z=0", "0"}, {"2x+z=1", "1"}, {"7=11a+c", "11a+c"}, {"x+y=1", "x+y=2"}, {"2x=4", "4"}, {"x=5", "x>5"},
		{"x<3", "x>3"}, {"x<3", `x\le 3`}, {"-x<-3", "x<3"}, {"x<1", "x>-1"}, {"f(2)<f(1)<f(4)", "f(1)<f(2)<f(4)"},
		{"north", "south"}, {"east", "seat"}, {"no", "yes"}, {"A", "B"}, {"d", `\text{E}`}, {"Evelyn", "Eve"}, {"", "0"}, {"None", "0.0667"},
		{"5 cm", "5 m"}, {"15 cm", `15\text{ cm}^2`}, {"5 hours", "5 minutes"}, {"12:00", "1:00"}, {"7:32", "7/32"}, {"204_5", "204_6"}, {"204_5", "204"},
		{"20%", "2"}, {"0.2", "20"}, {"1%", "10"}, {"100", "10"}, {"1e3", "1e4"}, {"2xyz", "2"}, {"10 apples", "11 apples"},
		{`\begin{pmatrix}1&2\\3&4\end{pmatrix}`, `\begin{pmatrix}1&2\\3&5\end{pmatrix}`}, {`\begin{pmatrix}1&2\end{pmatrix}`, `\begin{pmatrix}1\\2\end{pmatrix}`},
		{`\frac{1}{0}`, "0"}, {"0^0", "1"}, {"1/0", "2/0"}, {`\sin x`, `\cos x`}, {`\log_2 8`, `\log_3 8`}, {`\sum_{k=0}^{n-1} k`, `\sum_{k=0}^{n-2} k`}, {"x'", "x"}, {`\dot{x}`, "x"},
	} {
		require.Equal(t, Different, Compare(c[0], c[1]), "%q and %q", c[0], c[1])
		require.Equal(t, Different, Compare(c[1], c[0]), "%q and %q", c[1], c[0])
	}
}

// What would take too long or too much is given up, and says so.
func TestLimits(t *testing.T) {
	for _, a := range []string{
		`9^{9^{9^9}}`, "9^9^9^9", "2^{100000000000000000000}", "1e9999", "10^{99999}", "(1+x)^{1000}", "(a+b+c+d+e+f+g+h)^{60}", "(((x+y)^{20}+z)^{20}+w)^{20}",
		strings.Repeat("(", 10_000) + "1" + strings.Repeat(")", 10_000),
		strings.Repeat("(", 5_000), strings.Repeat("{", 5_000), strings.Repeat(`\frac{`, 1_600), strings.Repeat(`\sqrt`, 1_900) + "2", strings.Repeat("-", 9_000) + "1x",
		strings.Repeat("9", 9_000), "0." + strings.Repeat("3", 5_000), "1/" + strings.Repeat("7", 3_000),
		strings.Repeat("x+", 10_000) + "x", `\sqrt{` + strings.Repeat("7", 200) + "}",
	} {
		got := Compare(a, "7")
		require.NotEqual(t, Equal, got, "%.30q", a)
		if !strings.HasPrefix(a, "-") {
			require.Equal(t, Undecided, got, "%.30q", a)
			require.Equal(t, Undecided, Compare("7", a), "%.30q", a)
		}
		require.Equal(t, Equal, Compare(a, a), "%.30q equals itself", a)
		if len(a) < maxLength {
			require.Equal(t, Equal, Compare(" "+a, a), "%.30q equals itself", a)
		}
	}
}

func TestCheck(t *testing.T) {
	ref := func(s string) *string { return &s }
	for _, c := range []struct {
		response  string
		reference *string
		answer    string
		found     bool
		status    Status
	}{
		{`\boxed{4}`, ref("4"), "4", true, Equal},
		{`\boxed{4}`, ref("5"), "4", true, Different},
		{`4`, ref("4"), "", false, Absent},
		{`\boxed{4}`, nil, "4", true, Unknown},
		{`4`, nil, "", false, Unknown},
		{`\boxed{9^{9^{9^9}}}`, ref("4"), "9^{9^{9^9}}", true, Undecided},
	} {
		answer, found, status := Check(c.response, c.reference)
		require.Equal(t, c.answer, answer)
		require.Equal(t, c.found, found)
		require.Equal(t, c.status, status)
	}
}

// A reference that cannot be read is a state of its own, neither right nor wrong.
func TestA1UnreadableReferenceIsAState(t *testing.T) {
	huge := "9^{9^{9^9}}"
	_, found, status := Check(`\boxed{4}`, &huge)
	require.True(t, found)
	require.Equal(t, Undecided, status)
	_, _, status = Check(`\boxed{4}`, nil)
	require.Equal(t, Unknown, status)
}

func TestA2WrappingTheReferenceChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyAnswer.Draw(t, "a"), anyAnswer.Draw(t, "b")
		for _, wrapped := range []string{`\boxed{` + b + "}", "$" + b + "$", `\boxed{$` + b + "$}", `$\boxed{` + b + "}$"} {
			require.Equal(t, Compare(a, b), Compare(a, wrapped), "%q and %q", a, wrapped)
		}
	})
}

// pair is a case from the test suites of other graders.
type pair struct {
	ID, Reference, Response, Source string
	Equal                           bool
}

// Pairs that are judged otherwise here, and why.
var otherwise = map[string]string{
	"vc-0514": "a list in another order: solutions have none",
	"vc-0016": "a sentence", "vc-0089": "a sentence", "vc-0092": "a sentence",
	"vc-0060": "the reference is a whole solution", "vc-0896": "the reference is a sentence", "vc-0898": "the reference is a sentence", "vc-0899": "the reference is a sentence",
	"vc-0172": "the last box is an intermediate result",
	"vc-0238": "boxes with words between them", "vc-0251": "boxes with words between them", "vc-0191": "boxes with signs between them",
	"vc-0203": "groups of equations for one tuple each", "vc-0218": "no blank around or",
	"vc-0109": "an unknown command", "vc-0129": "a trigonometric identity", "vc-0133": "two decimal places",
}

// Of 285 pairs from the suites of Math-Verify, Skywork, verl's relatives and
// others 268 are judged as labelled, with one false "equal".
func TestA3BothErrorKindsAreCounted(t *testing.T) {
	f, err := os.Open("testdata/pairs.jsonl")
	require.NoError(t, err)
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	n, falseEqual := 0, 0
	for s.Scan() {
		var c pair
		require.NoError(t, json.Unmarshal(s.Bytes(), &c))
		answer, _, status := Check(c.Response, &c.Reference)
		_, listed := otherwise[c.ID]
		require.Equal(t, listed, (status == Equal) != c.Equal, "%s (%s): answer %q, reference %q: %s", c.ID, c.Source, answer, c.Reference, status)
		if status == Equal && !c.Equal {
			falseEqual++
		}
		n++
	}
	require.NoError(t, s.Err())
	require.Equal(t, 285, n)
	require.Equal(t, 1, falseEqual)
}

// anyAnswer draws answers: those of the tables, and expressions put together.
var anyAnswer = rapid.OneOf(
	rapid.Custom(func(t *rapid.T) string {
		return rapid.SampledFrom(rapid.SampledFrom(equal).Draw(t, "class")).Draw(t, "form")
	}),
	expression(3),
)

func expression(depth int) *rapid.Generator[string] {
	leaf := rapid.OneOf(rapid.StringMatching(`[1-9][0-9]{0,2}`), rapid.StringMatching(`[0-9]\.[0-9]{1,2}`), rapid.SampledFrom([]string{"x", "y", `\pi`, "i", "0"}))
	if depth == 0 {
		return leaf
	}
	sub := expression(depth - 1)
	return rapid.Custom(func(t *rapid.T) string {
		a, b := sub.Draw(t, "a"), sub.Draw(t, "b")
		return rapid.SampledFrom([]string{
			a, "(" + a + ")+(" + b + ")", "(" + a + ")-(" + b + ")", "(" + a + ")(" + b + ")", `\frac{` + a + "}{" + b + "}", `\sqrt{` + a + "}", "(" + a + ")^2", "-(" + a + ")",
		}).Draw(t, "form")
	})
}

func TestLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyAnswer.Draw(t, "a"), anyAnswer.Draw(t, "b")
		got := Compare(a, b)
		require.Equal(t, Equal, Compare(a, a), "reflexive")
		require.Equal(t, got, Compare(b, a), "symmetric")
		for _, wrapped := range []string{`\boxed{` + a + "}", "$" + a + "$", `\(` + a + `\)`, " " + a + " ", "$$" + a + "$$"} {
			require.Equal(t, got, Compare(wrapped, b), "%q and %q", wrapped, b)
		}
	})
}

func TestAddingOneChangesIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := expression(3).Draw(t, "a")
		require.NotEqual(t, Equal, Compare(a, "("+a+")+1"), "%q", a)
	})
}

// Equal expressions that are written differently.
func TestIdentities(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := expression(1).Draw(t, "a"), expression(1).Draw(t, "b"), expression(1).Draw(t, "c")
		for _, pair := range [][2]string{
			{"(" + a + ")+(" + b + ")", "(" + b + ")+(" + a + ")"},
			{"(" + a + ")((" + b + ")+(" + c + "))", "(" + a + ")(" + b + ")+(" + a + ")(" + c + ")"},
			{"((" + a + ")+(" + b + "))^2", "(" + a + ")^2+2(" + a + ")(" + b + ")+(" + b + ")^2"},
		} {
			l := Compare(pair[0], pair[1])
			if strings.Contains(a+b+c, "frac") { // a zero may stand below
				require.NotEqual(t, Undecided, l)
				continue
			}
			require.Equal(t, Equal, l, "%s and %s", pair[0], pair[1])
		}
	})
}

// Integers compare as integers, however they are written.
func TestIntegers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64().Draw(t, "a"), rapid.OneOf(rapid.Int64(), rapid.Int64Range(-3, 3)).Draw(t, "b")
		want := Different
		if a == b {
			want = Equal
		}
		for _, form := range []func(int64) string{plainInt, groupedInt, func(n int64) string { return plainInt(n) + ".0" }, func(n int64) string { return `\frac{` + plainInt(n) + "}{1}" }} {
			require.Equal(t, want, Compare(form(a), plainInt(b)))
			require.Equal(t, Equal, Compare(form(a), plainInt(a)), "%s", form(a))
		}
	})
}

func FuzzExtract(f *testing.F) {
	for _, s := range []string{`\boxed{1}`, `\boxed{\boxed{`, `\boxed 7`, `}{\}\{`, `\\boxed{1}`, `\fbox{a}, \boxed{b}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := Extract(s)
		if !ok {
			require.Empty(t, got)
			return
		}
		require.True(t, strings.Contains(s, `boxed`) || strings.Contains(s, `fbox`))
		for _, part := range strings.Split(got, ", ") {
			require.Contains(t, s, part)
		}
	})
}

func FuzzCompare(f *testing.F) {
	for _, class := range equal {
		f.Add(class[0], class[len(class)-1])
	}
	f.Add(`9^{9^{9^9}}`, strings.Repeat("(", 100))
	f.Add(`\begin{pmatrix}`, `\frac`)
	f.Fuzz(func(t *testing.T, a, b string) {
		got := Compare(a, b)
		require.Contains(t, []Status{Equal, Different, Undecided}, got)
		require.Equal(t, got, Compare(b, a))
		require.Equal(t, Equal, Compare(a, a))
	})
}
