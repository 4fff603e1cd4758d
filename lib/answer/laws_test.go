package answer

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

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

// blank is one that no letter follows.
var blank = regexp.MustCompile(` ([^A-Za-z ]|$)`)

// respellings change how an answer is written and not what it is.
var respellings = map[string]func(string) string{
	"fractions": func(s string) string { return strings.ReplaceAll(s, `\frac`, `\dfrac`) },
	"no blanks": func(s string) string { return blank.ReplaceAllString(s, "$1") },
	"blanks": func(s string) string {
		return strings.NewReplacer("+", " + ", "=", " = ", "(", "( ", "}", "} ").Replace(s)
	},
	"brackets":    func(s string) string { return strings.NewReplacer("(", `\left(`, ")", `\right)`).Replace(s) },
	"braces":      func(s string) string { return strings.NewReplacer(`\{`, `\left\{`, `\}`, `\right\}`).Replace(s) },
	"inline":      func(s string) string { return `\(` + strings.Trim(s, "$") + `\)` },
	"box":         func(s string) string { return `\boxed{` + s + `}` },
	"display":     func(s string) string { return `\boxed{\displaystyle ` + strings.Trim(s, "$") + `.}` },
	"degrees":     func(s string) string { return strings.ReplaceAll(s, `\circ`, ` \circ `) },
	"backslashes": func(s string) string { return strings.ReplaceAll(s, `\`, `\\`) },
}

// The reference answers of MATH-500, Minerva, OlympiadBench and a sample of
// DAPO-Math are read, equal themselves in other spellings, and nothing else
// when a digit or a sign is changed.
func TestReferenceAnswers(t *testing.T) {
	text, err := os.ReadFile("testdata/truths.txt")
	require.NoError(t, err)
	truths := strings.Split(strings.TrimSpace(string(text)), "\n")
	require.Len(t, truths, 681)
	for _, s := range truths {
		for name, respell := range respellings {
			if name == "backslashes" && strings.Contains(s, `\begin`) {
				continue // it would be a line break
			}
			require.Equal(t, Equal, Compare(respell(s), s), "%s: %q and %q", name, respell(s), s)
		}
		for i := range len(s) {
			changed := ""
			switch c := s[i]; {
			case isDigit(c):
				changed = s[:i] + string('0'+(c-'0'+1)%10) + s[i+1:]
			case c == '+':
				changed = s[:i] + "-" + s[i+1:]
			case c == '-':
				changed = s[:i] + "+" + s[i+1:]
			default:
				continue
			}
			require.Equal(t, Different, Compare(changed, s), "%q and %q", changed, s)
		}
	}
}

func TestA2WrappingTheReferenceChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyAnswer.Draw(t, "a"), anyAnswer.Draw(t, "b")
		for _, wrapped := range []string{`\boxed{` + b + "}", "$" + b + "$", `\boxed{$` + b + "$}", `$\boxed{` + b + "}$"} {
			require.Equal(t, Compare(a, b), Compare(a, wrapped), "%q and %q", a, wrapped)
		}
	})
}

// mostAtOnce is more than any single charge of steps.
const mostAtOnce = 2 * maxLength

func FuzzCompare(f *testing.F) {
	for _, class := range equal {
		f.Add(class[0], class[len(class)-1])
	}
	for _, p := range append(equalPairs, differentPairs...) {
		f.Add(p[0], p[1])
	}
	f.Add(`9^{9^{9^9}}`, strings.Repeat("(", 100))
	f.Add(`\begin{pmatrix}`, `\frac`)
	f.Fuzz(func(t *testing.T, a, b string) {
		got, w := compare(a, b)
		require.Contains(t, []Status{Equal, Different, Undecided}, got)
		require.Greater(t, w.Left(), -mostAtOnce)
		require.Equal(t, got, Compare(b, a))
		require.Equal(t, Equal, Compare(a, a))
	})
}
