package score

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func folded(a, b string) bool { return strings.EqualFold(a, b) }

// answers makes rollouts from letters: the answer, right where it is an A of
// any case; '-' has no answer, '!' none but is right.
func answers(s string) []Rollout {
	var out []Rollout
	for i, c := range s {
		r := Rollout{Index: int32(i), Correct: strings.ContainsRune("aA!", c)}
		if c != '-' && c != '!' {
			a := string(c)
			r.Answer = &a
		}
		out = append(out, r)
	}
	return out
}

func find(scores []Score, metric string) *Score {
	for i := range scores {
		if scores[i].Metric == metric {
			return &scores[i]
		}
	}
	return nil
}

// majority is that of all rollouts, as maj@k has it.
func majority(rollouts []Rollout, equal func(a, b string) bool) float64 {
	p := prompt{rollouts: rollouts}
	p.vote(equal, []int{len(rollouts)})
	return p.majority(len(rollouts))
}

func TestMajority(t *testing.T) {
	for s, want := range map[string]float64{
		"a": 1, "b": 0, "-": 0, "!": 0, "": 0,
		"ab": .5, "abc": 1. / 3, "aab": 1, "abb": 0, "aabb": .5, "aAbb": .5, "bBaA": .5, "abbB": 0,
		"a---": 1, "b!!!": 0, "!ab": .5, "abcABC": 1. / 3,
	} {
		require.Equal(t, want, majority(answers(s), folded), s)
	}
	// A class is right when its first member is, and joining needs the first
	// member to be equal, not another.
	near := func(a, b string) bool { return math.Abs(float64(a[0])-float64(b[0])) <= 1 }
	require.Equal(t, 0., majority(answers("ba"), near)) // one class, its first member wrong
	require.Equal(t, 1., majority(answers("abc"), near))
}

// The votes of the first k do not depend on later ones, and answers spelled
// alike are compared once.
func TestMajorityOfFirst(t *testing.T) {
	compared := 0
	p := prompt{rollouts: answers("bbaaa-cabc")}
	p.vote(func(a, b string) bool { compared++; return a == b }, []int{1, 7, 11, 4})
	require.Equal(t, 1+2, compared) // a with b; c with b and a
	require.Len(t, p.class, 7)      // 11 rollouts there are not
	for k, want := range map[int]float64{1: 0, 3: 0, 4: .5, 5: 1, 7: 1} {
		require.Equal(t, want, p.majority(k), k)
	}
}

// The estimator is what enumeration gives.
func TestPassAt(t *testing.T) {
	for n := 1; n <= 8; n++ {
		for c := 0; c <= n; c++ {
			for k := 1; k <= n; k++ {
				hit, all := 0, 0
				for set := range 1 << n {
					size, right := 0, false
					for i := range n {
						if set>>i&1 == 1 {
							size++
							right = right || i < c
						}
					}
					if size == k {
						all++
						hit += one(right)
					}
				}
				require.InDelta(t, float64(hit)/float64(all), passAt(n, c, k), 1e-14, "%d of %d, k = %d", c, n, k)
			}
		}
	}
}

// Resampling with replacement gives 0.684 where the answer is 1.
func TestPassAtAllIsCertain(t *testing.T) {
	require.Equal(t, 1., passAt(8, 1, 8))
	require.Equal(t, 0., passAt(8, 0, 8))
	require.InDelta(t, 1, passAt(4000, 2000, 64), 1e-15)
}

func TestAnswers(t *testing.T) {
	s := NewSet([]int{1, 2, 4}, folded)
	for p, a := range map[string]string{"p": "aabb", "q": "ab", "r": "-"} {
		for _, r := range answers(a) {
			s.Add(p, r)
		}
	}
	got := s.Scores()
	for _, w := range []struct {
		metric string
		value  float64
		n      int64
	}{
		{"accuracy", (.5 + .5 + 0) / 3, 3},
		{"avg@1", (.5 + .5 + 0) / 3, 3}, {"pass@1", (.5 + .5 + 0) / 3, 3}, {"maj@1", (1 + 1 + 0) / 3., 3},
		{"avg@2", .5, 2}, {"pass@2", (1 - 1./6 + 1) / 2, 2}, {"maj@2", (1 + .5) / 2, 2},
		{"avg@4", .5, 1}, {"pass@4", 1, 1}, {"maj@4", .5, 1},
	} {
		f := find(got, w.metric)
		require.NotNil(t, f, w.metric)
		require.InDelta(t, w.value, f.Value, 1e-15, w.metric)
		require.Equal(t, w.n, f.N, w.metric)
	}
	require.Panics(t, func() { NewSet([]int{0}, folded) })
}

// An empty set has no metric, and one of unmarked, unjudged rollouts none of
// marks and verdicts.
func TestZeroDenominators(t *testing.T) {
	require.Empty(t, NewSet([]int{1}, folded).Scores())
	s := NewSet([]int{2}, folded)
	s.Add("p", answers("a")[0])
	var names []string
	for _, x := range s.Scores() {
		names = append(names, x.Metric)
	}
	require.Equal(t, []string{"accuracy", "loop_rate", "other_accuracy", "self_corrections", "format_rate", "truncation_rate", "length"}, names)
}

func TestMarks(t *testing.T) {
	s := NewSet(nil, folded)
	add := func(p string, correct bool, marks ...bool) { s.Add(p, Rollout{Correct: correct, Marks: marks}) }
	add("p", true, true, true)
	add("p", true, true, false, true)
	add("q", false, true)
	add("q", false, false, false, true, true)
	add("q", false, true)
	add("q", false)
	got := s.Scores()
	for _, w := range []struct {
		metric string
		value  float64
		n      int64
	}{
		{"step_accuracy", 8. / 11, 11}, {"frr", 1. / 5, 5}, {"mtr", 3. / 5, 5},
		{"right_sound", 1, 5}, {"right_flawed", 1, 5}, {"wrong_sound", 2, 5}, {"wrong_flawed", 1, 5},
		{"wrong_steps_in_right", 1. / 5, 5}, {"right_steps_in_wrong", 4. / 6, 6},
	} {
		f := find(got, w.metric)
		require.NotNil(t, f, w.metric)
		require.InDelta(t, w.value, f.Value, 1e-15, w.metric)
		require.Equal(t, w.n, f.N, w.metric)
	}
	require.Nil(t, find(got, "right_sound").Low)
}

func TestForm(t *testing.T) {
	s := NewSet(nil, folded)
	s.Add("p", Rollout{WellFormed: true, Tokens: 10, Loop: Loop{SelfCorrections: 30}})
	s.Add("q", Rollout{Truncated: true, Tokens: 31, Correct: true})
	s.Add("q", Rollout{Truncated: true, Tokens: 1})
	got := s.Scores()
	require.InDelta(t, 1./3, find(got, "format_rate").Value, 1e-15)
	require.InDelta(t, 2./3, find(got, "truncation_rate").Value, 1e-15)
	require.InDelta(t, 14, find(got, "length").Value, 1e-15)
	require.InDelta(t, 10, find(got, "self_corrections").Value, 1e-15)
	require.InDelta(t, 0, find(got, "loop_accuracy").Value, 1e-15)
	require.InDelta(t, .5, find(got, "other_accuracy").Value, 1e-15)
}

// marked makes marks from letters: + right, - wrong, ? not marked.
func marked(s string) []*bool {
	out := make([]*bool, len(s))
	for i, c := range s {
		if right := c == '+'; c != '?' {
			out[i] = &right
		}
	}
	return out
}

func TestAgreement(t *testing.T) {
	var g Agreement
	g.AgreeItems([]Verdict{{1, true, 1}, {2, true, 2}, {3, false, 0}, {5, true, 1}, {6, false, -1}}, []Verdict{{2, true, 3}, {1, true, 1}, {3, true, 1}, {6, false, 2}, {9, true, 1}})
	require.Equal(t, Agreement{Items: Pairs{N: 4, Same: 3, Mine: 2, Theirs: 3}, Placed: 2, SamePlace: 1}, g)
	g.AgreeMarks(marked("+-+"), marked("+--"))
	var h Agreement
	h.AgreeMarks(marked("++"), marked("+-"))

	s := NewSet(nil, folded)
	s.Add("p", Rollout{Against: g})
	s.Add("p", Rollout{Against: h})
	s.Add("q", Rollout{})
	got := s.Scores()
	for _, w := range []struct {
		metric string
		value  float64
		n      int64
	}{
		{"agreement", 3. / 4, 4}, {"kappa", .5, 4}, // p_e = (2*3 + 2*1)/16
		{"step_agreement", .5, 2},
		{"mark_agreement", 3. / 5, 5}, {"mark_kappa", (.6 - 11./25) / (1 - 11./25), 5}, // 4 and 2 of 5 right
		{"first_error_agreement", .5, 2}, {"first_error_accuracy", .5, 2},
	} {
		f := find(got, w.metric)
		require.NotNil(t, f, w.metric)
		require.InDelta(t, w.value, f.Value, 1e-15, w.metric)
		require.Equal(t, w.n, f.N, w.metric)
	}
}

// Where the first wrong step is may be known though steps lack a mark.
func TestAgreeMarks(t *testing.T) {
	for _, c := range []struct {
		mine, theirs string
		want         Agreement
	}{
		{"++-+", "+-??", Agreement{Steps: Pairs{N: 2, Same: 1, Mine: 2, Theirs: 1}, Located: true, Wrong: true}},
		{"+-++", "+-??", Agreement{Steps: Pairs{N: 2, Same: 2, Mine: 1, Theirs: 1}, Located: true, SameFirst: true, Wrong: true}},
		{"++", "++", Agreement{Steps: Pairs{N: 2, Same: 2, Mine: 2, Theirs: 2}, Located: true, SameFirst: true}},
		{"+-", "++", Agreement{Steps: Pairs{N: 2, Same: 1, Mine: 1, Theirs: 2}, Located: true}},
		{"++", "+?", Agreement{Steps: Pairs{N: 1, Same: 1, Mine: 1, Theirs: 1}}},
		{"?-", "--", Agreement{Steps: Pairs{N: 1, Same: 1}}},
		{"-?", "-+", Agreement{Steps: Pairs{N: 1, Same: 1}, Located: true, SameFirst: true, Wrong: true}},
		{"", "", Agreement{Located: true, SameFirst: true}},
	} {
		var g Agreement
		g.AgreeMarks(marked(c.mine), marked(c.theirs))
		require.Equal(t, c.want, g, "%s and %s", c.mine, c.theirs)
	}
}

func TestKappa(t *testing.T) {
	// Cohen's example of 50 proposals: 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no.
	k, ok := (&Pairs{50, 35, 25, 30}).kappa()
	require.True(t, ok)
	require.InDelta(t, .4, k, 1e-15)
	for _, p := range []Pairs{{}, {7, 7, 7, 7}, {7, 7, 0, 0}} {
		_, ok = p.kappa()
		require.False(t, ok)
	}
	k, ok = (&Pairs{7, 0, 7, 0}).kappa() // always opposed: chance agrees never
	require.True(t, ok)
	require.Zero(t, k)
	k, _ = (&Pairs{2, 0, 1, 1}).kappa()
	require.InDelta(t, -1, k, 1e-15)
}

func TestCorrelations(t *testing.T) {
	s := NewSet(nil, folded)
	for i, r := range []struct {
		correct         bool
		hits, of, bonus int
	}{{true, 2, 2, 1}, {false, 0, 3, 1}, {true, 1, 1, 1}, {false, 1, 2, 1}, {true, 0, 0, 0}} {
		s.Add(fmt.Sprint(i), Rollout{Correct: r.correct, Shares: [3]Share{{r.hits, r.of}, {}, {r.bonus, r.bonus}}})
	}
	got := s.Scores()
	// x = 1, 0, 1, 0 and y = 1, 0, 1, .5: r = 1.5/2 / sqrt(1 * .6875).
	f := find(got, "rpb_suggest")
	require.InDelta(t, .75/math.Sqrt(.6875), f.Value, 1e-14)
	require.Equal(t, int64(4), f.N)
	require.Nil(t, f.Low)
	require.Nil(t, find(got, "rpb_pitfall")) // no items
	require.Nil(t, find(got, "rpb_bonus"))   // always satisfied: no variance
	_, ok := pearson([]float64{0, 1}, []float64{0, 1})
	require.False(t, ok)
}

func TestIntervals(t *testing.T) {
	at := func(pairs ...float64) sums {
		var x sums
		for i := 0; i < len(pairs); i += 2 {
			x.add(pairs[i], pairs[i+1])
		}
		return x
	}
	bounds := func(x sums) [2]float64 {
		_, low, high, _, ok := x.share()
		require.True(t, ok)
		require.NotNil(t, low)
		return [2]float64{*low, *high}
	}
	near := func(want, got [2]float64) { t.Helper(); require.InDeltaSlice(t, want[:], got[:], 1e-12) }
	// Wilson's for 10 of 10, as statsmodels' proportion_confint(10, 10, method="wilson").
	all := at()
	for range 10 {
		all.add(1, 1)
	}
	near([2]float64{0.7224672001371107, 1}, bounds(all))
	near([2]float64{0, 0.43448246478317476}, bounds(at(0, 3, 0, 1, 0, 2, 0, 2, 0, 2))) // five prompts, though ten rollouts
	near([2]float64{0.09453120573423074, 0.9054687942657693}, bounds(at(0, 1, 1, 1)))  // binary, each prompt once
	// 1/2 and 3/4 of 2 and 4: r = 2/3, e = -1/3, 1/3, se = sqrt(2 * 2/9) / 6.
	se := math.Sqrt(2*2./9) / 6
	near([2]float64{2./3 - z*se, 2./3 + z*se}, bounds(at(1, 2, 3, 4)))
	near(bounds(at(1, 2, 3, 4)), bounds(at(1, 2, 0, 0, 3, 4))) // a prompt with nothing to count is none
	near([2]float64{0, 1}, bounds(at(.01, 1, .99, 1)))         // cut

	one := at(1, 2)
	_, low, _, n, ok := one.share()
	require.True(t, ok)
	require.Nil(t, low)
	require.Equal(t, int64(2), n)
	empty := at(0, 0)
	_, _, _, _, ok = empty.share()
	require.False(t, ok)
	mean := at(0, 1, 3, 1)
	v, low, high, _, _ := mean.mean()
	require.Equal(t, 1.5, v)
	require.InDelta(t, 1.5-z*1.5, *low, 1e-12) // not cut
	require.InDelta(t, 1.5+z*1.5, *high, 1e-12)
}

// drawRows draws rollouts of some prompts, half of them marked.
func drawRows(t *rapid.T) (rows []keyed) {
	for p := range rapid.IntRange(1, 5).Draw(t, "prompts") {
		text := rapid.StringMatching(`[aAbBcC!-]{1,6}`).Draw(t, "answers")
		for _, r := range answers(text) {
			if rapid.Bool().Draw(t, "marked") {
				r.Marks = rapid.SliceOfN(rapid.Bool(), 1, 4).Draw(t, "marks")
			}
			r.Loop.SelfCorrections = rapid.IntRange(0, 40).Draw(t, "phrases")
			r.Against = Agreement{Items: Pairs{4, 2, rapid.IntRange(1, 3).Draw(t, "mine"), 3}}
			r.Shares[0] = Share{rapid.IntRange(0, 2).Draw(t, "hits"), 2}
			rows = append(rows, keyed{fmt.Sprint(p), r})
		}
	}
	return rows
}

// keyed is a rollout with the key of its prompt.
type keyed struct {
	key string
	r   Rollout
}

func scored(rows []keyed, ks ...int) []Score {
	s := NewSet(ks, folded)
	for _, x := range rows {
		s.Add(x.key, x.r)
	}
	return s.Scores()
}

// What the metrics say of each other.
func TestLawIdentities(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := drawRows(t)
		got := scored(rows, 1, 2, 3)
		at := func(metric string) float64 { // 0 where nothing is counted
			if s := find(got, metric); s != nil {
				return s.Value
			}
			return 0
		}
		near := func(want, got float64) { t.Helper(); require.InDelta(t, want, got, 1e-12) }
		// One sample is right as often as all, whatever it is called.
		near(at("accuracy"), at("avg@1"))
		near(at("accuracy"), at("pass@1"))
		for _, k := range []int{2, 3} { // more samples find more
			require.GreaterOrEqual(t, at(fmt.Sprintf("pass@%d", k)), at(fmt.Sprintf("avg@%d", k))-1e-12)
		}
		if s := find(got, "frr"); s != nil {
			n := float64(s.N)
			near(n, at("right_sound")+at("right_flawed")+at("wrong_sound")+at("wrong_flawed"))
			near(at("right_sound")/n, at("frr"))
			near((at("right_flawed")+at("wrong_sound"))/n, at("mtr"))
		}
		if s := find(got, "step_accuracy"); s != nil {
			right, wrong := 0., 0. // steps, by the answer
			if x := find(got, "wrong_steps_in_right"); x != nil {
				right = float64(x.N)
			}
			if x := find(got, "right_steps_in_wrong"); x != nil {
				wrong = float64(x.N)
			}
			near(float64(s.N), right+wrong)
			near(at("step_accuracy")*float64(s.N), (1-at("wrong_steps_in_right"))*right+at("right_steps_in_wrong")*wrong)
		}
		right := 0.
		for _, x := range rows {
			right += float64(one(x.r.Correct))
		}
		loops := at("loop_rate")
		near(right/float64(len(rows)), loops*at("loop_accuracy")+(1-loops)*at("other_accuracy"))
	})
}

// Scores do not depend on the order in which prompts and rollouts come, shares
// lie in their interval, and the interval in [0, 1].
func TestLawOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := drawRows(t)
		a, b := scored(rows, 1, 3), scored(rapid.Permutation(rows).Draw(t, "order"), 1, 3)
		require.Len(t, b, len(a))
		for i := range a {
			require.Equal(t, a[i].Metric, b[i].Metric)
			require.Equal(t, a[i].N, b[i].N)
			require.InDelta(t, a[i].Value, b[i].Value, 1e-12)
			require.Equal(t, a[i].Low == nil, b[i].Low == nil)
			if a[i].Low == nil {
				continue
			}
			require.InDelta(t, *a[i].Low, *b[i].Low, 1e-9)
			require.InDelta(t, *a[i].High, *b[i].High, 1e-9)
			require.LessOrEqual(t, *a[i].Low, a[i].Value+1e-12, a[i].Metric)
			require.GreaterOrEqual(t, *a[i].High, a[i].Value-1e-12, a[i].Metric)
			if a[i].Metric != "self_corrections" && a[i].Metric != "length" {
				require.True(t, *a[i].Low >= 0 && *a[i].High <= 1, a[i].Metric)
			}
		}
	})
}
