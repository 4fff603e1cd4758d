package expr

import (
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const plenty = 1_000_000

func parsed(t require.TestingT, text string) *Node {
	n, err := Parse(NewWork(plenty), text, Options{})
	require.NoError(t, err, text)
	return n
}

func same(t require.TestingT, a, b string) bool {
	w := NewWork(plenty)
	x, err1 := Same(w, parsed(t, a), parsed(t, b))
	y, err2 := Same(w, parsed(t, b), parsed(t, a))
	require.NoError(t, err1, "%s and %s", a, b)
	require.NoError(t, err2, "%s and %s", a, b)
	require.Equal(t, x, y, "%s and %s", a, b)
	return x
}

func TestSame(t *testing.T) {
	for _, p := range [][2]string{
		// constants
		{`\sqrt{12}`, `2\sqrt3`}, {`\sqrt[3]{-8}`, "-2"}, {`\frac{\sqrt6+\sqrt2}{4}`, `\cos 15^\circ`}, {`\arcsin\frac12`, `\frac\pi6`}, {`\arccos(-1)`, `\pi`}, {`\arctan 1+\arctan 2+\arctan 3`, `\pi`}, {`\sin 1`, `\cos(\frac\pi2-1)`}, {`\tan\frac\pi8`, `\sqrt2-1`}, {`\cosh\ln 2`, "5/4"},
		{`e^{i\pi}`, "-1"}, {`i^i`, `e^{-\pi/2}`}, {`\sqrt{-2}\sqrt{-3}`, `-\sqrt6`}, {`\ln(-1)`, `i\pi`}, {`|3+4i|`, "5"}, {`(1+i)^{10}`, "32i"}, {`\sin i`, `i\sinh 1`}, {`\frac{1}{2-i}`, `\frac{2+i}5`},
		{`\log_8 4`, "2/3"}, {`\ln 6`, `\ln2+\ln3`}, {`2^{1/3}4^{1/3}`, "2"}, {`\lfloor\pi\rfloor`, "3"}, {`\lceil -2.5\rceil`, "-2"}, {`\lfloor\sqrt2\sqrt2\rfloor`, "2"}, {`\gcd(12,18)`, "6"}, {`\max(2,\frac52)`, "5/2"}, {"7!!", "105"}, {`\sum_{k=1}^{4}\prod_{j=1}^{k} j`, "33"},
		{`10^{2000}+1`, "1+10^{2000}"}, {"(-1)^{10^{15}}", "1"}, {`\infty`, `\infty+1`}, {`-\infty`, `1-2\infty`},
		// identities
		{"(x+y)^2", "x^2+2xy+y^2"}, {`\sin^2x+\cos^2x`, "1"}, {`\sin(a+b)`, `\sin a\cos b+\cos a\sin b`}, {`\tan 2x`, `\frac{2\tan x}{1-\tan^2x}`}, {`\cosh^2x-\sinh^2x`, "1"}, {`\ln x^2`, `2\ln x`}, {`\sqrt{x^2}`, "|x|"}, {`x^{2/3}`, `\sqrt[3]{x}^2`}, {`e^{x+y}`, "e^xe^y"}, {`\frac{x^2-1}{x-1}`, "x+1"},
		{`n!`, "n(n-1)!"}, {`\binom{n}{k}`, `\frac{n!}{k!(n-k)!}`}, {`\sum_{k=1}^n k^3`, `\frac{n^2(n+1)^2}4`}, {`(-1)^n`, `\cos\pi n`}, {`\lfloor x+1\rfloor`, `\lfloor x\rfloor+1`}, {`\lfloor x\rfloor`, `-\lceil -x\rceil`}, {"|xy|", "|x||y|"}, {`\max(x,y)`, `\frac{x+y+|x-y|}2`},
		{"f(x+1)", "f(1+x)"}, {"a_{n+1}", "a_{1+n}"}, {`\lim_{x\to0}(x+y)`, `\lim_{x\to0}(y+x)`}, {`e^{ix}`, `\cos x+i\sin x`}, {`\arcsin x+\arccos x`, `\frac\pi2`}, {`\sqrt{-x^2-1}`, `\sqrt{-1-x^2}`},
	} {
		require.True(t, same(t, p[0], p[1]), "%s and %s", p[0], p[1])
	}
	for _, p := range [][2]string{
		{`\sqrt2`, "1.4142135623730950488016887242096980785696718753769480731766797"}, {`\pi`, `\frac{355}{113}`}, {`e^{\pi\sqrt{163}}`, "262537412640768744"}, {"10^{100}", "10^{100}+1"}, {`\sqrt{10^{100}+1}`, "10^{50}"}, {`\sqrt{-1}`, "-i"}, {`\log 10`, `\ln 10`},
		{`\lfloor\frac{2n-1}{5}\rfloor`, `\lfloor\frac{2n-2}{5}\rfloor`}, {"|x-100|", "100-x"}, {`\sqrt{(x-100)^2}`, "100-x"}, {`\lfloor n/2\rfloor`, "n/2"}, {"x^2", "|x|^2x"}, {`\sqrt{x^2}`, "x"}, {`\sin x`, "x"}, {"x", "y"}, {"f(x)", "f(y)"}, {"n!", "n^2"}, {`\binom n2`, `\binom n3`},
		{"1/0", "2/0"}, {`\infty`, `-\infty`}, {`\infty-\infty`, "0"}, {`0^0`, "1"}, {`\tan\frac\pi2`, `\infty`}, {`\frac{1}{\sin\pi}`, `\infty`}, {"x^2+1", "x^2"}, {`x+10^{-40}`, "x"}, {`\sum_{k=1}^n k`, `\sum_{k=1}^n k^2`}, {`\int_0^1 x`, `\int_0^2 x`}, {`\max(x,y)`, "x"}, {"(1,2)", "(1,2)"},
	} {
		require.False(t, same(t, p[0], p[1]), "%s and %s", p[0], p[1])
	}
	for _, p := range [][2]string{{"9^{9^{9^9}}", "7"}, {"10^{9999}", "10^{9999}+1"}, {"1000!", "7"}, {`\sum_{k=1}^{10000}k`, "7"}, {`1+e^{-10^5}`, "1"}} {
		_, err := Same(NewWork(plenty), parsed(t, p[0]), parsed(t, p[1]))
		if p[1] == "1" { // beyond the digits that are kept
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, ErrLimit, p[0])
	}
	_, err := Same(NewWork(100), parsed(t, "(x+1)^9"), parsed(t, "(1+x)^9"))
	require.ErrorIs(t, err, ErrLimit)
}

func TestProportional(t *testing.T) {
	for _, c := range []struct {
		a, b string
		sign int
	}{{"x-y", "2x-2y", 1}, {"x-y", "y-x", -1}, {"x-y", "x+y", 0}, {`\sqrt2x`, "x", 1}, {`\frac{x^2}4+y^2-1`, "x^2+4y^2-4", 1}, {"x", "x^2", 0}, {"x-3", "0", 0}, {"-3", "6", -1}} {
		sign, err := Proportional(NewWork(plenty), parsed(t, c.a), parsed(t, c.b))
		require.NoError(t, err)
		require.Equal(t, c.sign, sign, "%s and %s", c.a, c.b)
	}
}

func TestSignAndWithin(t *testing.T) {
	w := NewWork(plenty)
	for text, want := range map[string]int{`\sqrt2-1`: 1, "-3": -1, `\sin\pi`: 0, `-\infty`: -1, `e^{i\pi}`: -1} {
		got, ok := Sign(w, parsed(t, text))
		require.True(t, ok, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"x", "i", "1/0", "(1,2)"} {
		_, ok := Sign(w, parsed(t, text))
		require.False(t, ok, text)
	}
	require.True(t, Within(w, parsed(t, `\pi`), parsed(t, "3.1416"), big.NewRat(1, 20_000)))
	require.False(t, Within(w, parsed(t, `\pi`), parsed(t, "3.1417"), big.NewRat(1, 20_000)))
	require.True(t, Within(w, parsed(t, "0.5"), parsed(t, "1"), big.NewRat(1, 2)))
	require.False(t, Within(w, parsed(t, "x"), parsed(t, "x"), big.NewRat(1, 2)))
	require.False(t, Within(w, parsed(t, `\infty`), parsed(t, "1"), big.NewRat(1, 2)))
}

func TestSigns(t *testing.T) {
	for _, c := range []struct {
		text        string
		independent bool
		want        []string
	}{
		{`1\pm2`, false, []string{"[+ 1 2]", "[+ 1 -2]"}}, {`1\mp2`, false, []string{"[+ 1 -2]", "[+ 1 2]"}}, {"x", false, []string{"x"}},
		{`\pm1\pm2`, false, []string{"[+ 1 2]", "[+ -1 -2]"}}, {`\pm1\pm2`, true, []string{"[+ 1 2]", "[+ -1 2]", "[+ 1 -2]", "[+ -1 -2]"}}, {`\pm1\mp2`, false, []string{"[+ 1 -2]", "[+ -1 2]"}},
	} {
		var got []string
		for _, n := range parsed(t, c.text).Signs(c.independent) {
			got = append(got, show(n))
		}
		require.Equal(t, c.want, got, c.text)
	}
}

func TestUnitOf(t *testing.T) {
	for _, c := range []struct{ a, b, factor string }{
		{"km", "m", "1000"}, {"square cm", "cm ^2", "1"}, {"km / h", "m / s", "5/18"}, {"miles per hour", "mph", "1"}, {"m s ^-1", "m/s", "1"}, {"cubic feet", "in^3", "1728"}, {"Meters", "meter", "1"}, {"hours", "minutes", "60"}, {"meters squared", "m^2", "1"},
	} {
		u, ok := UnitOf(c.a)
		require.True(t, ok, c.a)
		v, ok := UnitOf(c.b)
		require.True(t, ok, c.b)
		require.Equal(t, u.Base, v.Base)
		require.Equal(t, c.factor, new(big.Rat).Quo(u.Factor, v.Factor).RatString())
	}
	for _, words := range []string{"", "apples", "square units", "cm apples", "cm ^x"} {
		_, ok := UnitOf(words)
		require.False(t, ok, words)
	}
}

// rationals draws small ones as text.
func rational(t *rapid.T, name string) string {
	n := rapid.Int64Range(-50, 50).Draw(t, name)
	return "(" + big.NewRat(n, rapid.Int64Range(1, 12).Draw(t, name+"/")).RatString() + ")"
}

// What is computed with balls agrees with what is computed exactly: radicals and
// functions are put around a rational and taken off again.
func TestRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rational(t, "a"), rational(t, "b")
		for _, form := range []string{`\ln e^{A}`, `\sqrt[3]{A}^3`, `\tan\arctan A`, `\frac{\sqrt2A}{\sqrt2}`, `\sqrt5A-(\sqrt5-1)A`, `\sinh\ln(\sqrt{A^2+1}+A)`, `(A+\sqrt7)-\sqrt7`, `(A+i)(A-i)-1-A^2+A`, `A(\sin^2 B+\cos^2 B)`, `\frac{A\cdot2^{B}}{2^{B}}`} {
			text := replace(form, a, b)
			require.True(t, same(t, text, a), text)
			require.False(t, same(t, text, a+"+10^{-60}"), text)
		}
	})
}

func replace(form, a, b string) string {
	out := ""
	for _, r := range form {
		switch r {
		case 'A':
			out += a
		case 'B':
			out += b
		default:
			out += string(r)
		}
	}
	return out
}
