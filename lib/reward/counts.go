package reward

// Counts says how the verdicts of groups were routed.
type Counts struct {
	Groups      int
	OneRollout  int // groups of a single rollout: no outcome signal
	SameOutcome int // groups of several whose answers are all right or all wrong
	Rollouts    int
	Right       int // rollouts with a right answer
	NoHeading   int // rollouts without a step heading
	Restarts    int // rollouts whose printed step numbers fall or repeat
	Judged      int // rollouts with verdicts

	// Rollouts without verdicts: left out of the statistics of steps.
	Failed, TooLong, Skipped int

	Items     int // verdicts
	Satisfied int
	Whole     int // verdicts tied to step 0
	Nowhere   int // verdicts tied to no step

	// Of the estimator srar only.
	StepGroups       int // G_k with a member
	SingleStepGroups int // G_k of one rollout: its reward is not used
	FlatStepGroups   int // G_k whose rewards do not differ
}

// Add adds o to c.
func (c *Counts) Add(o Counts) {
	c.Groups += o.Groups
	c.OneRollout += o.OneRollout
	c.SameOutcome += o.SameOutcome
	c.Rollouts += o.Rollouts
	c.Right += o.Right
	c.NoHeading += o.NoHeading
	c.Restarts += o.Restarts
	c.Judged += o.Judged
	c.Failed += o.Failed
	c.TooLong += o.TooLong
	c.Skipped += o.Skipped
	c.Items += o.Items
	c.Satisfied += o.Satisfied
	c.Whole += o.Whole
	c.Nowhere += o.Nowhere
	c.StepGroups += o.StepGroups
	c.SingleStepGroups += o.SingleStepGroups
	c.FlatStepGroups += o.FlatStepGroups
}

// Excluded is the number of rollouts left out of the statistics of steps.
func (c *Counts) Excluded() int { return c.Failed + c.TooLong + c.Skipped }

func (c *Counts) group(g *Group) {
	c.Groups++
	switch {
	case len(g.Rollouts) == 0:
	case len(g.Rollouts) == 1:
		c.OneRollout++
	case SameOutcome(g.Rollouts):
		c.SameOutcome++
	}
}

func (c *Counts) rollout(r *Rollout) {
	c.Rollouts++
	if r.Correct {
		c.Right++
	}
	switch r.Status {
	case OK:
		c.Judged++
	case Failed:
		c.Failed++
	case TooLong:
		c.TooLong++
	case Skipped:
		c.Skipped++
	}
	heading, last := false, int32(0)
	restart := false
	for k, s := range r.Steps {
		// A heading may lack a readable number; a response without heading is one
		// step from byte 0 that lacks it too.
		heading = heading || s.HasPrinted || k > 0 || s.Start > 0
		if s.HasPrinted {
			restart = restart || k > 0 && s.Printed <= last
			last = s.Printed
		}
	}
	if !heading {
		c.NoHeading++
	}
	if restart {
		c.Restarts++
	}
	if r.Status != OK {
		return
	}
	for _, v := range r.Verdicts {
		c.Items++
		if v.Satisfied {
			c.Satisfied++
		}
		switch v.Step {
		case 0:
			c.Whole++
		case -1:
			c.Nowhere++
		}
	}
}

// SameOutcome reports whether the answers of all rollouts are right or all are
// wrong: such a group has no outcome signal.
func SameOutcome(rollouts []Rollout) bool {
	for i := range rollouts {
		if rollouts[i].Correct != rollouts[0].Correct {
			return false
		}
	}
	return true
}
