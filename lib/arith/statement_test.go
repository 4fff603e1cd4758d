package arith

import (
	"go/constant"
	gotoken "go/token"
	"go/types"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestStatements(t *testing.T) {
	const none, malformed = "", "malformed"
	for _, c := range []struct {
		text string
		want string // the statements, with a semicolon between them
	}{
		{"3*4=12", "3*4=12"},
		{"4*3=12", "3*4=12"}, // + and * have no order
		{"9+2=11", "2+9=11"},
		{"9-2=7", "9-2=7"}, // - and / have one
		{"12/4=3", "12/4=3"},
		{"3 * 4 = 12", "3*4=12"},
		{"\t3*4\t=12", "3*4=12"},
		{"7>5", "7>5"},
		{"5<7", "7>5"},
		{"23 is odd", "23 is odd"},
		{"  4  is  even.", "4 is even"},
		{"So 3*4=12, 12-5=7 and 7 is odd.", "3*4=12; 12-5=7; 7 is odd"},
		{"3*4=12\n12-5=7", "3*4=12; 12-5=7"},
		{"3*4=12 12-5=7", "3*4=12; 12-5=7"},
		{"### Step 2: 3*4=12", "3*4=12"},
		{"003*4=12", "3*4=12"},

		{"Tom has 5 bags of 4 pens", none},
		{"3*4", none},
		{"12", none},
		{"12 is oddly large", none},
		{"12 isodd", none},
		{"12is odd", none},
		{"12 is\nodd", none},
		{"five is odd", none},
		{`\boxed{3*4=13}`, none},
		{`3*4=12 \boxed{\frac{1}{2}=3} 12-5=7`, "3*4=12; 12-5=7"},
		{`\boxed 3*4=12`, "3*4=12"},
		{`\boxed{7 3*4=12`, none},

		{"=", malformed},
		{"3*4=", malformed},
		{"=12", malformed},
		{"3*4=12=12", malformed},
		{"3*4+1=13", malformed},
		{"(3*4)=12", malformed},
		{"-3*4=12", malformed},
		{"3>=2", malformed},
		{"3<4<5", malformed},
		{"3*4=-12", malformed},
		{"12=3*4", malformed},
		{"12=12", malformed},
		{"3+4 is odd", malformed},
		{"-3 is odd", malformed},
		{"x=12", malformed}, // a run of "=12"
		{"3.5*2=7", "2*5=7"},
		{"1000000000*1=1000000000", malformed},
		{"1000000001 is odd", malformed},
		{"999999999*999999999=1", "999999999*999999999=1"},
	} {
		var got []string
		for _, s := range Statements(c.text) {
			got = append(got, s.String())
		}
		require.Equal(t, c.want, strings.Join(got, "; "), "%q", c.text)
	}
}

func TestTruth(t *testing.T) {
	for _, text := range []string{"3*4=12", "4+0=4", "9-2=7", "12/4=3", "0/5=0", "7>5", "5<7", "23 is odd", "0 is even"} {
		require.True(t, Statements(text)[0].True(), text)
	}
	for _, text := range []string{"3*4=13", "9-2=8", "2-9=7", "12/5=2", "12/0=0", "0/0=0", "5>7", "5>5", "5<5", "23 is even",
		"0 is odd", "=", "999999999*999999999=1"} {
		require.False(t, Statements(text)[0].True(), text)
	}
}

// anyText is text of the kind that policies write, and of none.
func anyText() *rapid.Generator[string] {
	piece := rapid.OneOf(
		rapid.StringMatching(`[0-9]{1,2}[-+*/][0-9]{1,2}=[0-9]{1,3}`),
		rapid.StringMatching(`[0-9]{1,2}[<>][0-9]{1,2}`),
		rapid.StringMatching(`[0-9]{1,2} is (odd|even)`),
		rapid.SampledFrom([]string{" ", "\n", ".", "so", "is", "odd", "=", "(", ")", "-", "### Step 1:", "{", "}", "12345678901"}),
		rapid.String(),
	)
	return rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOf(piece).Draw(t, "pieces"), "") })
}

func TestStatementLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyText().Draw(t, "a"), anyText().Draw(t, "b")
		if !strings.Contains(a, boxed) {
			require.Equal(t, append(Statements(a), Statements(b)...), Statements(a+"\n"+b), "lines add up")
		}
		for _, s := range Statements(a) {
			if s != (Statement{}) {
				require.Equal(t, []Statement{s}, Statements(s.String()), "a statement reads as it prints")
			}
		}
	})
}

func FuzzStatements(f *testing.F) {
	for _, seed := range []string{"3*4=12", "4 is even\n7>5", `\boxed{3*4=12`, "12 = 3 * 4 is odd", "=<>", "99999999999 is odd", "1 -\t2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range Statements(text) {
			if s != (Statement{}) {
				require.Equal(t, []Statement{s}, Statements(s.String()))
			} else {
				require.False(t, s.True())
			}
		}
		require.Equal(t, Statements(text), Statements("so: "+text), "what precedes a text does not change it")
	})
}

// The evaluator against Go's own: same value by the rules of precedence,
// brackets seen or not.
func TestTraceLaws(t *testing.T) {
	goValue := func(t *rapid.T, e string) int {
		v, err := types.Eval(gotoken.NewFileSet(), nil, 0, e)
		require.NoError(t, err)
		n, exact := constant.Int64Val(v.Value)
		require.True(t, exact)
		return int(n)
	}
	rapid.Check(t, func(t *rapid.T) {
		p := drawAny(t)
		for i := range p.parts {
			e := p.parts[i].expr
			want := goValue(t, e.String())
			require.Equal(t, want, p.parts[i].value())
			if short := p.parts[i].short; short != nil {
				require.Equal(t, want, short[len(short)-1].c)
			}
			if way := e.trace(noBrackets, nil); way != nil {
				require.Equal(t, goValue(t, strings.NewReplacer("(", "", ")", "").Replace(e.String())), way[len(way)-1].c)
			}
			for _, o := range []order{byRule, leftToRight, noBrackets} {
				for _, q := range e.trace(o, nil) {
					require.True(t, q.statement().True(), q.String())
				}
			}
		}
	})
}

func TestTrace(t *testing.T) {
	for _, c := range []struct {
		e     string
		order order
		want  string
	}{
		{"3*4-(5-2)", byRule, "5-2=3 3*4=12 12-3=9"},
		{"3*4-(5-2)", leftToRight, "5-2=3 3*4=12 12-3=9"},
		{"3*4-(5-2)", noBrackets, "3*4=12 12-5=7 7-2=5"},
		{"2+3*4", byRule, "3*4=12 2+12=14"},
		{"2+3*4", leftToRight, "2+3=5 5*4=20"},
		{"20-(2+3)*(5-2)", byRule, "2+3=5 5-2=3 5*3=15 20-15=5"},
		{"20-(2+3)*(5-2)", leftToRight, "2+3=5 5-2=3 20-5=15 15*3=45"},
		{"((7))-(8-(4-2))", byRule, "4-2=2 8-2=6 7-6=1"},
		{"40-40/10*2+5", byRule, "40/10=4 4*2=8 40-8=32 32+5=37"},
		{"3-5+4", byRule, ""},   // below zero on the way
		{"7/2+1", byRule, ""},   // a remainder
		{"7/(2-2)", byRule, ""}, // nothing to divide by
		{"500*2", byRule, ""},   // beyond 999
		{"40*25-1", noBrackets, ""},
	} {
		r := reader{rest: c.e}
		e := r.expr()
		require.False(t, r.failed, c.e)
		require.Equal(t, c.e, e.String())
		var got []string
		for _, q := range e.trace(c.order, nil) {
			got = append(got, q.String())
		}
		require.Equal(t, c.want, strings.Join(got, " "), c.e)
	}
}

func TestShorter(t *testing.T) {
	for e, want := range map[string]string{
		"2*4+2*3":       "2*(4+3)",
		"2*4+2*3-5":     "2*(4+3)-5",
		"2*4+2*3-(5-2)": "2*(4+3)-(5-2)",
		"40-40/10*2+5":  "40-40/5+5",
		"40-40/10*5":    "40-40/2",
		"2*4+3*2":       "",
		"2*4-2*3":       "",
		"2*4+2*3*5":     "",
		"2*4+2*(3-1)":   "",
		"40-40/10*3":    "",
		"40/10":         "",
		"7*40/10*2":     "",
		"40-40/5*2":     "",
	} {
		r := reader{rest: e}
		require.Equal(t, want, r.expr().shorter().String(), e)
	}
}

func TestMisread(t *testing.T) {
	r := newRNG(0, 0, 0)
	for _, c := range []struct {
		q    equation
		want []int
	}{
		{equation{7, '+', 8, 15}, []int{5}},            // the carry
		{equation{15, '-', 8, 7}, []int{17}},           // the borrow
		{equation{3, '*', 4, 12}, []int{8, 9, 15, 16}}, // the table
		{equation{2, '+', 3, 5}, []int{4, 6}},
		{equation{9, '-', 3, 6}, []int{5, 7}},
		{equation{12, '/', 4, 3}, []int{2, 4}},
	} {
		seen := []int{}
		for range 100 {
			seen = append(seen, c.q.misread(r))
		}
		slices.Sort(seen)
		require.Equal(t, c.want, slices.Compact(seen), c.q.String())
	}
}
