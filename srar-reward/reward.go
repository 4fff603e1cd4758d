package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"srar/lib/reward"
	"srar/lib/rows"
	"srar/lib/rubric"
	"srar/lib/steps"
	"srar/lib/stream"
	"srar/lib/tool"
)

// options are the flags of the command.
type options struct {
	preset string
	filter string
	given  reward.Config // what the flags say; only those that were given count
}

func setup(t *tool.Tool) func(context.Context) error {
	o := options{given: reward.Paper()}
	g := &o.given
	t.Flags.StringVar(&o.preset, "preset", "paper", "")
	t.Flags.StringVar(&o.filter, "filter", "none", "")
	t.Flags.StringVar((*string)(&g.Estimator), "estimator", string(g.Estimator), "")
	t.Flags.StringVar((*string)(&g.GroupBy), "group-by", string(g.GroupBy), "")
	t.Flags.StringVar((*string)(&g.Std), "std", string(g.Std), "")
	t.Flags.Float64Var(&g.Eps, "eps", g.Eps, "")
	t.Flags.StringVar((*string)(&g.Whole), "whole-solution", string(g.Whole), "")
	t.Flags.StringVar((*string)(&g.Spans), "spans", string(g.Spans), "")
	t.Flags.Float64Var(&g.FormatWeight, "format-weight", g.FormatWeight, "")
	t.Flags.Float64Var(&g.Suggest, "suggest", g.Suggest, "")
	t.Flags.Float64Var(&g.Pitfall, "pitfall", g.Pitfall, "")
	t.Flags.Float64Var(&g.Bonus, "bonus", g.Bonus, "")
	return func(context.Context) error { return o.run(t) }
}

// config joins the preset and the flags that were given beside it.
func (o *options) config(t *tool.Tool) (reward.Config, error) {
	c := o.given
	switch o.preset {
	case "paper":
	case "recipe":
		r := reward.Recipe()
		if !t.IsSet("group-by") {
			c.GroupBy = r.GroupBy
		}
		if !t.IsSet("std") {
			c.Std = r.Std
		}
		if !t.IsSet("eps") {
			c.Eps = r.Eps
		}
		if !t.IsSet("whole-solution") {
			c.Whole = r.Whole
		}
		if !t.IsSet("spans") {
			c.Spans = r.Spans
		}
	default:
		return c, tool.Usagef("--preset is paper or recipe, not %q", o.preset)
	}
	if err := c.Validate(); err != nil {
		return c, tool.Usagef("--%v", err)
	}
	if o.filter != "none" && o.filter != "acc" {
		return c, tool.Usagef("--filter is none or acc, not %q", o.filter)
	}
	return c, t.NoArgs()
}

// idle names the flags that an estimator has no use for. They are no error: a
// script may compare estimators under one set of flags.
func idle(e reward.Estimator) []string {
	switch e {
	case reward.RaR, reward.GRPO:
		return []string{"group-by", "whole-solution"}
	case reward.Merged, reward.Raw:
		return []string{"group-by"}
	}
	return nil
}

// verdict is what the method needs of a row.
type verdict struct {
	PromptID   string             `col:"prompt_id"`
	Items      []rows.Item        `col:"items"`
	Tokens     []int32            `col:"tokens"`
	Offsets    []int32            `col:"offsets"`
	Response   string             `col:"response"`
	Correct    bool               `col:"correct"`
	WellFormed bool               `col:"well_formed"`
	Steps      []rows.Step        `col:"steps"`
	Status     string             `col:"judge_status"`
	Verdicts   []rows.ItemVerdict `col:"verdicts" null:"yes"`
}

func (o *options) run(t *tool.Tool) error {
	c, err := o.config(t)
	if err != nil {
		return err
	}
	in, err := t.Input(&rows.Verdicts)
	if err != nil {
		return err
	}
	out, err := t.Output(in.Schema().With(rows.Advantages.Name, rows.Advantages.Fields()...))
	if err != nil {
		return err
	}
	for _, f := range idle(c.Estimator) {
		if t.IsSet(f) {
			t.Warnf("--%s has no effect on the estimator %s", f, c.Estimator)
		}
	}
	var sum summary
	err = tool.Each(in, func(b *stream.Batch, n int) error {
		g, err := group(b, n)
		if err != nil {
			return err
		}
		if o.filter == "acc" && reward.SameOutcome(g.Rollouts) {
			sum.filtered++
			return nil
		}
		credits, counts, err := c.Assign(g)
		if err != nil {
			return place(err, n)
		}
		sum.add(credits, counts)
		return out.Write(b.With(rows.Columns(columns(credits))...))
	})
	if err == nil || errors.Is(err, stream.ErrClosed) {
		sum.report(t, &c)
	}
	return err
}

// group reads the rows of batch n.
func group(b *stream.Batch, n int) (*reward.Group, error) {
	if err := rows.OneGroup(b, n); err != nil {
		return nil, err
	}
	in, err := rows.Read[verdict](b, n)
	if err != nil {
		return nil, err
	}
	g := &reward.Group{Rollouts: make([]reward.Rollout, len(in))}
	for i := range in {
		v := &in[i]
		if i == 0 {
			for _, it := range v.Items {
				g.Items = append(g.Items, rubric.Item(it))
			}
		} else if !slices.Equal(v.Items, in[0].Items) {
			return nil, rows.Errorf(n, i, "the rubric items differ from those of row 0, which is of the same prompt")
		}
		r := &g.Rollouts[i]
		*r = reward.Rollout{
			Correct: v.Correct, WellFormed: v.WellFormed, Status: v.Status,
			Response: v.Response, Tokens: len(v.Tokens), Offsets: v.Offsets,
			Steps: make([]steps.Step, len(v.Steps)),
		}
		for k, s := range v.Steps {
			r.Steps[k] = steps.Step{Start: int(s.Start), End: int(s.End)}
			if s.Printed != nil {
				r.Steps[k].Printed, r.Steps[k].HasPrinted = *s.Printed, true
			}
		}
		if v.Verdicts != nil {
			r.Verdicts = make([]reward.Verdict, len(v.Verdicts))
			for j, x := range v.Verdicts {
				r.Verdicts[j] = reward.Verdict(x)
			}
		}
	}
	return g, nil
}

// place says in which batch and row the method is broken.
func place(err error, batch int) error {
	var e *reward.Error
	if errors.As(err, &e) {
		return rows.Errorf(batch, e.Row, "%s", e.Text)
	}
	return err
}

func columns(credits []reward.Credit) []rows.Credit {
	out := make([]rows.Credit, len(credits))
	for i, c := range credits {
		out[i] = rows.Credit(c)
	}
	return out
}

// summary is what standard error tells at the end.
type summary struct {
	reward.Counts
	filtered int

	tokens    int64
	total     float64
	low, high float32
}

func (s *summary) add(credits []reward.Credit, counts reward.Counts) {
	s.Counts.Add(counts)
	for i := range credits {
		for _, a := range credits[i].Advantages {
			if s.tokens == 0 {
				s.low, s.high = a, a
			}
			s.tokens++
			s.total += float64(a)
			s.low, s.high = min(s.low, a), max(s.high, a)
		}
	}
}

func (s *summary) report(t *tool.Tool, c *reward.Config) {
	t.Logf("%d groups of %d rollouts, %d right; %d groups dropped by the filter, %d of one rollout, %d all right or all wrong",
		s.Groups, s.Rollouts, s.Right, s.filtered, s.OneRollout, s.SameOutcome)
	t.Logf("%d rollouts with verdicts; excluded from the statistics of steps: %d failed, %d too long, %d skipped",
		s.Judged, s.Failed, s.TooLong, s.Skipped)
	whole := "dropped"
	if c.Whole == reward.Broadcast {
		whole = "on all tokens"
	}
	if c.Estimator == reward.GRPO || c.Estimator == reward.RaR {
		whole = "no matter to " + string(c.Estimator)
	}
	t.Logf("%d verdicts, %d satisfied; %d for step 0, the whole solution (%s), %d for step -1, none",
		s.Items, s.Satisfied, s.Whole, whole, s.Nowhere)
	t.Logf("%d responses without a step heading, %d whose step numbers restart", s.NoHeading, s.Restarts)
	if c.Estimator == reward.SRaR {
		t.Logf("%d steps compared across rollouts: %d of a single rollout, %d of zero deviation", s.StepGroups, s.SingleStepGroups, s.FlatStepGroups)
	}
	if s.tokens > 0 {
		t.Logf("advantages of %d tokens: %s to %s, mean %s", s.tokens, short(float64(s.low)), short(float64(s.high)), short(s.total/float64(s.tokens)))
	}
	if s.Rollouts > 0 && s.Excluded() == s.Rollouts && c.Estimator != reward.GRPO {
		t.Warnf("no rollout has verdicts: the advantages are those of grpo")
	}
}

// short prints a number for people; a mean that is zero but for rounding is 0.
func short(x float64) string {
	if math.Abs(x) < 5e-7 {
		x = 0
	}
	return fmt.Sprintf("%.4g", x)
}
