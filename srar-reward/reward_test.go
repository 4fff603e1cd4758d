package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"srar/lib/golden"
	"srar/lib/reward"
	"srar/lib/rows"
	"srar/lib/trial"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"srar-reward": main})
}

// stored reads a golden file.
func stored(t testing.TB, name string) []byte {
	t.Helper()
	return trial.File(t, golden.Path(t, "reward", "advantage", name))
}

// command runs srar-reward and returns its output, exit status and voice.
func command(t testing.TB, stdin []byte, flags ...string) (out []byte, status int, voice string) {
	t.Helper()
	r := trial.Process{Args: append([]string{"srar-reward"}, flags...), Stdin: stdin}.Run(t)
	return r.Out, r.Status, r.Voice
}

func groups(t testing.TB, data []byte) [][]rows.Advantage {
	t.Helper()
	return trial.Groups[rows.Advantage](t, data)
}

// expected is a row of an expected file. Runs are [count, value] pairs.
type expected struct {
	PromptID       string       `json:"prompt_id"`
	Rollout        int32        `json:"rollout"`
	BaseReward     float64      `json:"base_reward"`
	BaseAdvantage  float64      `json:"base_advantage"`
	StepRewards    []float64    `json:"step_rewards"`
	StepAdvantages []float64    `json:"step_advantages"`
	TokenSteps     [][2]int32   `json:"token_steps_runs"`
	Advantages     [][2]float64 `json:"advantages_runs"`
}

// near: 1e-9 for float64 and 1e-6 for float32, relative and absolute together.
func near(t *testing.T, want, got, tol float64, what string) {
	t.Helper()
	if !(math.Abs(want-got) <= tol*max(math.Abs(want), math.Abs(got))+tol) {
		t.Fatalf("%s is %v, want %v", what, got, want)
	}
}

func compare(t *testing.T, want expected, got rows.Advantage) {
	t.Helper()
	require.Equal(t, want.PromptID, got.PromptID)
	require.Equal(t, want.Rollout, got.Rollout)
	near(t, want.BaseReward, got.BaseReward, 1e-9, "base_reward")
	near(t, want.BaseAdvantage, got.BaseAdvantage, 1e-9, "base_advantage")
	for _, c := range []struct {
		name      string
		want, got []float64
	}{{"step_rewards", want.StepRewards, got.StepRewards}, {"step_advantages", want.StepAdvantages, got.StepAdvantages}} {
		require.Equal(t, c.want == nil, c.got == nil, c.name)
		require.Len(t, c.got, len(c.want), c.name)
		for k := range c.want {
			near(t, c.want[k], c.got[k], 1e-9, c.name)
		}
	}
	var steps []int32
	for _, r := range want.TokenSteps {
		for range r[0] {
			steps = append(steps, r[1])
		}
	}
	require.Equal(t, steps, got.TokenSteps)
	k := 0
	for _, r := range want.Advantages {
		for range int(r[0]) {
			near(t, r[1], float64(got.Advantages[k]), 1e-6, "advantages")
			k++
		}
	}
	require.Len(t, got.Advantages, k)
}

func TestGoldenAdvantages(t *testing.T) {
	var cases []struct {
		Stream, Run string
		Flags       []string
		Expected    *string
	}
	require.NoError(t, json.Unmarshal(stored(t, "cases.json"), &cases))
	require.NotEmpty(t, cases)
	for _, c := range cases {
		t.Run(c.Stream+" "+c.Run, func(t *testing.T) {
			out, status, voice := command(t, stored(t, c.Stream), c.Flags...)
			require.Zero(t, status, voice)
			var want [][]expected
			if c.Expected != nil {
				require.NoError(t, json.Unmarshal(stored(t, *c.Expected), &want))
			}
			got := groups(t, out)
			require.Len(t, got, len(want))
			for i := range want {
				require.Len(t, got[i], len(want[i]))
				for j := range want[i] {
					compare(t, want[i][j], got[i][j])
				}
			}
		})
	}
}

// Rows that break the method: exit status 3, where in the data, no end marker.
func TestGoldenRefusals(t *testing.T) {
	for _, f := range golden.Glob(t, "reward/advantage/bad/*.arrow") {
		out, status, voice := command(t, trial.File(t, f))
		require.Equal(t, 3, status, f)
		require.Contains(t, voice, "srar-reward: rows: batch 1, row ", f)
		require.True(t, trial.Unfinished(out), f)
	}
}

// Unknown columns pass, a stream that has the columns already gets them anew
// in place, and streams add up.
func TestStreams(t *testing.T) {
	mix := stored(t, "mix.arrow")
	first, status, _ := command(t, mix, "--preset", "recipe")
	require.Zero(t, status)
	paper, _, _ := command(t, mix)
	again, status, _ := command(t, first)
	require.Zero(t, status)
	require.Equal(t, groups(t, paper), groups(t, again))

	s := trial.Schema(t, again)
	require.Equal(t, "advantage", s.RowKind)
	_, ok := s.Lookup("x_note")
	require.True(t, ok)
	require.Len(t, s.History, 2)
	require.Equal(t, []string{"--preset=recipe"}, s.History[0].Args)

	both, status, _ := command(t, append(append([]byte{}, mix...), mix...))
	require.Zero(t, status)
	require.Equal(t, append(groups(t, paper), groups(t, paper)...), groups(t, both))

	same, _, _ := command(t, mix)
	require.Equal(t, paper, same)
}

func TestCutInput(t *testing.T) {
	mix := stored(t, "mix.arrow")
	for _, n := range []int{0, 100, len(mix) / 2, len(mix) - 8, len(mix) - 4} {
		out, status, voice := command(t, mix[:n])
		require.Equal(t, 3, status, "cut at %d", n)
		require.True(t, trial.Unfinished(out))
		require.True(t, strings.HasPrefix(voice, "srar-reward: "), voice)
	}
}

// The counters name every case of routing, and are those of the rows.
func TestVoice(t *testing.T) {
	mix := stored(t, "mix.arrow")
	_, status, voice := command(t, mix)
	require.Zero(t, status)
	var all, alone, plain, items, satisfied, whole, nowhere int
	routed := map[string]int{}
	heading := regexp.MustCompile(`###\s*Step\s*\d+\s*:`)
	for _, g := range trial.Groups[rows.Verdict](t, mix) {
		if len(g) == 1 {
			alone++
		}
		for _, r := range g {
			all++
			routed[r.JudgeStatus]++
			if !heading.MatchString(r.Response) {
				plain++
			}
			for _, v := range r.Verdicts {
				items++
				if v.Satisfied {
					satisfied++
				}
				switch v.Step {
				case 0:
					whole++
				case -1:
					nowhere++
				}
			}
		}
	}
	for _, line := range []string{
		fmt.Sprintf(" of %d rollouts, ", all), fmt.Sprintf(", %d of one rollout, ", alone),
		fmt.Sprintf("%d rollouts with verdicts; excluded from the statistics of steps: %d failed, %d too long, %d skipped\n", routed["ok"], routed["failed"], routed["too_long"], routed["skipped"]),
		fmt.Sprintf("%d verdicts, %d satisfied; %d for step 0, the whole solution (dropped), %d for step -1, none\n", items, satisfied, whole, nowhere),
		fmt.Sprintf("%d responses without a step heading, ", plain),
	} {
		require.Contains(t, voice, line)
	}
	require.Regexp(t, `[1-9]\d* whose step numbers restart\n`, voice)
	require.Regexp(t, `steps compared across rollouts: [1-9]\d* of a single rollout, [1-9]\d* of zero deviation\n`, voice)
	require.Regexp(t, `advantages of \d+ tokens: -\S+ to [0-9.]+, mean \S+\n`, voice)
	_, _, voice = command(t, stored(t, "mix.arrow"), "--quiet")
	require.Empty(t, voice)
	_, _, voice = command(t, stored(t, "mix.arrow"), "--filter", "acc", "--whole-solution", "broadcast")
	require.NotContains(t, voice, " 0 groups dropped")
	require.Contains(t, voice, "(on all tokens)")
}

// A flag that an estimator has no use for changes nothing but the history, and
// that is said.
func TestL4FlagWithoutEffectIsSaid(t *testing.T) {
	mix := stored(t, "mix.arrow")
	for _, e := range []reward.Estimator{reward.SRaR, reward.RaR, reward.GRPO, reward.Merged, reward.Raw} {
		want, status, _ := command(t, mix, "--estimator", string(e))
		require.Zero(t, status)
		for flag, value := range map[string]string{"group-by": "satisfied", "whole-solution": "broadcast"} {
			got, status, voice := command(t, mix, "--estimator", string(e), "--"+flag, value)
			require.Zero(t, status, voice)
			same := reflect.DeepEqual(groups(t, want), groups(t, got))
			require.Equal(t, same, strings.Contains(voice, "warning: --"+flag+" has no effect on the estimator "+string(e)), "%s, --%s", e, flag)
		}
	}
}

// Each choice is checked before anything is read or written.
func TestMisused(t *testing.T) {
	for _, c := range [][]string{
		{`--estimator is srar, rar, grpo, srar-merged or srar-raw, not "ppo"`, "--estimator", "ppo"},
		{`--preset is paper or recipe, not "none"`, "--preset", "none"},
		{`--group-by is attributed or satisfied, not "all"`, "--group-by", "all"},
		{`--std is population or sample, not "0"`, "--std", "0"},
		{`--eps is a number above 0, not 0`, "--eps", "0"},
		{`--eps is a number above 0, not -1`, "--eps", "-1"},
		{`--eps is a number above 0, not NaN`, "--eps", "nan"},
		{`--whole-solution is drop or broadcast, not "keep"`, "--whole-solution", "keep"},
		{`--spans is exact or proportional, not "chars"`, "--preset", "recipe", "--spans", "chars"},
		{`--filter is none or acc, not "score"`, "--filter", "score"},
		{`--format-weight is between 0 and 1, not 1.5`, "--format-weight", "1.5"},
		{`--suggest is a number of 0 or more, not +Inf`, "--suggest", "inf"},
		{`--bonus is a number of 0 or more, not -0.1`, "--bonus", "-0.1"},
		{`--pitfall is a number, not +Inf`, "--pitfall", "inf"},
		{`unexpected operand "verdicts.arrow"`, "verdicts.arrow"},
	} {
		out, status, voice := command(t, nil, c[1:]...)
		require.Equal(t, 2, status, c)
		require.Equal(t, "srar-reward: "+c[0]+"\n", voice)
		require.Empty(t, out)
	}
}

func TestHelp(t *testing.T) {
	out, status, voice := command(t, nil, "--help")
	require.Zero(t, status)
	require.Empty(t, voice)
	require.True(t, bytes.HasPrefix(out, []byte("usage: srar-reward ")))
}
