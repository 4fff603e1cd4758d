package reward

import (
	"fmt"
	"math"
)

// Estimator says how verdicts become advantages.
type Estimator string

const (
	SRaR   Estimator = "srar"        // outcome advantage plus the step's reward normalised across rollouts (eq. 6)
	RaR    Estimator = "rar"         // one scalar, outcome and rubric, normalised; the same for all tokens
	GRPO   Estimator = "grpo"        // the outcome alone
	Merged Estimator = "srar-merged" // ablation (appendix M): the scalar of RaR on the tokens of credited steps
	Raw    Estimator = "srar-raw"    // ablation: the step's reward as it is
)

// GroupBy says which rollouts belong to G_k, the group over which the rewards
// of step k are normalised.
type GroupBy string

const (
	Attributed GroupBy = "attributed" // those with an item attributed to the step, satisfied or not
	Satisfied  GroupBy = "satisfied"  // those with a satisfied item at the step
)

// Std says which standard deviation divides.
type Std string

const (
	Population Std = "population" // divides by n
	Sample     Std = "sample"     // divides by n-1; 0 for fewer than two values
)

// Whole says what becomes of items that the judge ties to the whole solution
// (step 0).
type Whole string

const (
	Drop      Whole = "drop"      // they earn nothing in steps
	Broadcast Whole = "broadcast" // step 0 counts like a step and reaches every token
)

// Spans says how tokens find their step.
type Spans string

const (
	Exact        Spans = "exact"        // by byte offsets
	Proportional Spans = "proportional" // by share of characters, as the public recipe does
)

// Config holds the choices of the method.
type Config struct {
	Estimator Estimator
	GroupBy   GroupBy
	Std       Std
	Eps       float64 // added to every deviation; a step's deviation that does not exceed it counts as zero
	Whole     Whole
	Spans     Spans

	FormatWeight float64 // lambda: share of the format in the outcome reward, in [0, 1]
	Suggest      float64 // budget of all SUGGEST items together, >= 0
	Pitfall      float64 // budget of all PITFALL items; its absolute value is taken off
	Bonus        float64 // budget of all BONUS items, >= 0
}

// Paper returns the choices of the paper (arXiv 2605.17291): section 3,
// appendix O.
func Paper() Config {
	return Config{
		Estimator: SRaR, GroupBy: Attributed, Std: Population, Eps: 1e-6, Whole: Drop, Spans: Exact,
		FormatWeight: 0.1, Suggest: 0.8, Pitfall: -1, Bonus: 1,
	}
}

// Recipe returns the choices of the paper's public implementation. What it does
// with failed judgements and with steps out of range is not reproduced.
func Recipe() Config {
	c := Paper()
	c.GroupBy, c.Std, c.Whole, c.Spans = Satisfied, Sample, Broadcast, Proportional
	return c
}

// Validate says what is wrong with a choice.
func (c *Config) Validate() error {
	switch c.Estimator {
	case SRaR, RaR, GRPO, Merged, Raw:
	default:
		return fmt.Errorf("estimator is srar, rar, grpo, srar-merged or srar-raw, not %q", c.Estimator)
	}
	if c.GroupBy != Attributed && c.GroupBy != Satisfied {
		return fmt.Errorf("group-by is attributed or satisfied, not %q", c.GroupBy)
	}
	if c.Std != Population && c.Std != Sample {
		return fmt.Errorf("std is population or sample, not %q", c.Std)
	}
	if c.Whole != Drop && c.Whole != Broadcast {
		return fmt.Errorf("whole-solution is drop or broadcast, not %q", c.Whole)
	}
	if c.Spans != Exact && c.Spans != Proportional {
		return fmt.Errorf("spans is exact or proportional, not %q", c.Spans)
	}
	if !finite(c.Eps) || c.Eps <= 0 {
		return fmt.Errorf("eps is a number above 0, not %v", c.Eps)
	}
	if !(c.FormatWeight >= 0 && c.FormatWeight <= 1) {
		return fmt.Errorf("format-weight is between 0 and 1, not %v", c.FormatWeight)
	}
	if !finite(c.Suggest) || c.Suggest < 0 {
		return fmt.Errorf("suggest is a number of 0 or more, not %v", c.Suggest)
	}
	if !finite(c.Bonus) || c.Bonus < 0 {
		return fmt.Errorf("bonus is a number of 0 or more, not %v", c.Bonus)
	}
	if !finite(c.Pitfall) {
		return fmt.Errorf("pitfall is a number, not %v", c.Pitfall)
	}
	return nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
