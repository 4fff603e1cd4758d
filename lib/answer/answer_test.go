package answer

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// both compares in both directions.
func both(t *testing.T, want Status, a, b string) {
	t.Helper()
	require.Equal(t, want, Compare(a, b), "%q and %q", a, b)
	require.Equal(t, want, Compare(b, a), "%q and %q", b, a)
}

func TestEqual(t *testing.T) {
	for _, class := range equal {
		for _, a := range class {
			both(t, Equal, a, class[0])
		}
	}
	for _, p := range equalPairs {
		both(t, Equal, p[0], p[1])
	}
}

func TestDifferent(t *testing.T) {
	for _, p := range differentPairs {
		both(t, Different, p[0], p[1])
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

// What would take too long or too much is given up, and says so; none of it
// equals 7, and all of it itself.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		answer string
		want   Status
	}{
		{`9^{9^{9^9}}`, Undecided}, {"9^9^9^9", Undecided}, {"2^{100000000000000000000}", Undecided}, {"1e9999", Undecided}, {"1000!", Undecided}, {`\binom{100000}{50000}`, Undecided},
		{"((9!)!)!", Undecided}, {`\sum_{k=1}^{1000000} k`, Undecided}, {`\sum_{a=1}^{999}\sum_{b=1}^{999}\sum_{c=1}^{999} abc`, Undecided}, {`\sin(10^{30})`, Undecided}, {`e^{e^{e^{e^e}}}`, Undecided},
		{"10^{99999}", Different}, {"(1+x)^{1000}", Different}, {"(a+b+c+d+e+f+g+h)^{60}", Different}, {"(((x+y)^{20}+z)^{20}+w)^{20}", Different}, {"(1+x)^{100000}", Different},
		{strings.Repeat("(", 10_000) + "1" + strings.Repeat(")", 10_000), Undecided}, {strings.Repeat("(", 4_000) + "1" + strings.Repeat(")", 4_000), Undecided},
		{strings.Repeat("(", 5_000), Undecided}, {strings.Repeat("{", 5_000), Undecided}, {strings.Repeat("[", 5_000), Undecided}, {strings.Repeat("|", 5_000), Different}, {strings.Repeat(`\{`, 4_000), Undecided},
		{strings.Repeat(`\frac{`, 1_600), Undecided}, {strings.Repeat(`\sqrt`, 1_900) + "2", Undecided}, {strings.Repeat("x^", 4_000) + "2", Undecided}, {strings.Repeat("-", 9_000) + "1x", Undecided}, {strings.Repeat(`\text{`, 1_500), Different},
		{strings.Repeat(`\sin `, 1_500) + "x", Undecided}, {"7" + strings.Repeat("!", 9_000), Undecided}, {strings.Repeat("9", 9_000), Different}, {"0." + strings.Repeat("3", 5_000), Undecided}, {"1/" + strings.Repeat("7", 3_000), Undecided},
		{strings.Repeat("x+", 10_000) + "x", Undecided}, {strings.Repeat("x+", 4_000) + "x", Different}, {`\sqrt{` + strings.Repeat("7", 200) + "}", Different}, {strings.Repeat("1,", 4_000) + "1", Different}, {strings.Repeat(`\pm 1`, 1_000), Different},
	} {
		require.Equal(t, c.want, Compare(c.answer, "7"), "%.30q", c.answer)
		require.Equal(t, c.want, Compare("7", c.answer), "%.30q", c.answer)
		require.Equal(t, Equal, Compare(c.answer, c.answer), "%.30q equals itself", c.answer)
	}
	// Large and nearly the same.
	both(t, Undecided, "10^{99999}", "10^{99999}+1")
	both(t, Undecided, "(1+x)^{3000}", "(x+1)^{3000}")
	both(t, Different, "(1+x)^{3000}", "(x+2)^{3000}")
	both(t, Equal, "2^{4000}", "4^{2000}")
	many := strings.TrimSuffix(strings.Repeat("x^2,", 2_000), ",")
	both(t, Undecided, many, many+"+1")
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

// lines reads a file of JSON Lines.
func lines[T any](t *testing.T, name string) []T {
	f, err := os.Open(name)
	require.NoError(t, err)
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	var out []T
	for s.Scan() {
		var v T
		require.NoError(t, json.Unmarshal(s.Bytes(), &v))
		out = append(out, v)
	}
	require.NoError(t, s.Err())
	return out
}

// Pairs from the test suites of other graders that are judged otherwise here, and
// why.
var otherwise = map[string]string{
	"vc-0514": "4, .1, 2 in another order: the answers of other suites come in any order",
	"vc-0016": "a sentence without a formula in a box",
	"vc-0133": "0.33 for 1/3: that suite sets two places for this case",
	"vc-0172": "the last box is an intermediate result",
	"vc-0191": "plus signs between the boxes of the reference",
}

// Of 285 pairs from the suites of Math-Verify, Skywork, verl's relatives and
// others 280 are judged as labelled, with one false "equal".
func TestA3BothErrorKindsAreCounted(t *testing.T) {
	type pair struct {
		ID, Reference, Response, Source string
		Equal                           bool
	}
	pairs := lines[pair](t, "testdata/pairs.jsonl")
	falseEqual := 0
	for _, c := range pairs {
		answer, _, status := Check(c.Response, &c.Reference)
		_, listed := otherwise[c.ID]
		require.Equal(t, listed, (status == Equal) != c.Equal, "%s (%s): answer %q, reference %q: %s", c.ID, c.Source, answer, c.Reference, status)
		if status == Equal && !c.Equal {
			falseEqual++
		}
	}
	require.Len(t, pairs, 285)
	require.Equal(t, 1, falseEqual)
}

// The ends of 310 solutions of language models with the labels of other graders
// and of humans.
func TestGradedResponses(t *testing.T) {
	type graded struct {
		ID, Truth, Response string
		Right               bool
	}
	otherwise := map[string]string{"resp-1344": "1320 km for 1320: that grader does not take a unit"}
	all := lines[graded](t, "testdata/graded.jsonl")
	for _, c := range all {
		answer, found, status := Check(c.Response, &c.Truth)
		require.True(t, found, c.ID)
		_, listed := otherwise[c.ID]
		require.Equal(t, listed, (status == Equal) != c.Right, "%s: answer %q, reference %q: %s", c.ID, answer, c.Truth, status)
	}
	require.Len(t, all, 310)
}
