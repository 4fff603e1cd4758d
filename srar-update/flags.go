package main

import (
	"context"
	"math"
	"slices"

	"srar/lib/llm"
	"srar/lib/tool"
)

// options are the flags of the command.
type options struct {
	model, out  string
	compute     string
	loss        llm.Loss
	optim       llm.Optim
	rate        schedule
	miniBatch   int
	epochs      int
	recompute   bool
	samePolicy  bool
	microTokens int
}

// schedule is the learning rate over the life of a checkpoint.
type schedule struct {
	kind   string
	lr     float64
	min    float64
	warmup int64
	total  int64
}

// at returns the rate of optimiser step k = 0, 1, ...: lr·min(1, (k+1)/warmup),
// then constant, or down to min at step total.
func (s schedule) at(k int64) float64 {
	if k+1 < s.warmup {
		return s.lr * float64(k+1) / float64(s.warmup)
	}
	if s.kind == "constant" {
		return s.lr
	}
	p := min(1, float64(k+1-s.warmup)/float64(s.total-s.warmup))
	if s.kind == "cosine" {
		p = (1 - math.Cos(math.Pi*p)) / 2
	}
	return s.lr - (s.lr-s.min)*p
}

func setup(t *tool.Tool) func(context.Context) error {
	var o options
	f := t.Flags
	f.StringVar(&o.model, "model", "", "")
	f.StringVar(&o.out, "out", "", "")
	f.StringVar(&o.compute, "compute", "f32", "")
	f.StringVar(&o.loss.Kind, "loss", "pg", "")
	f.Float64Var(&o.loss.ClipLow, "clip-low", 0.2, "")
	f.Float64Var(&o.loss.ClipHigh, "clip-high", 0.28, "")
	f.Float64Var(&o.loss.DualClip, "dual-clip", 10, "")
	f.StringVar(&o.loss.Aggregate, "aggregate", "token-mean", "")
	f.Float64Var(&o.loss.KL, "kl", 0, "")
	f.StringVar(&o.loss.KLKind, "kl-kind", "k3", "")
	f.Float64Var(&o.loss.Entropy, "entropy", 0, "")
	f.BoolVar(&o.recompute, "recompute", false, "")
	f.BoolVar(&o.samePolicy, "same-policy", false, "")
	f.Float64Var(&o.rate.lr, "lr", 1e-6, "")
	f.Int64Var(&o.rate.warmup, "warmup", 10, "")
	f.StringVar(&o.rate.kind, "schedule", "constant", "")
	f.Int64Var(&o.rate.total, "total-steps", 0, "")
	f.Float64Var(&o.rate.min, "min-lr", 0, "")
	f.Float64Var(&o.optim.Decay, "weight-decay", 0.1, "")
	f.Float64Var(&o.optim.Beta1, "beta1", 0.9, "")
	f.Float64Var(&o.optim.Beta2, "beta2", 0.999, "")
	f.Float64Var(&o.optim.Eps, "adam-eps", 1e-8, "")
	f.Float64Var(&o.optim.Clip, "grad-clip", 1, "")
	f.IntVar(&o.miniBatch, "mini-batch", 0, "")
	f.IntVar(&o.epochs, "epochs", 1, "")
	f.IntVar(&o.microTokens, "micro-tokens", 0, "")
	t.ThreadsFlag()
	t.Unrecorded("model", "out", "micro-tokens")
	return func(ctx context.Context) error { return o.run(ctx, t) }
}

// check refuses flags that are wrong, or that would have no effect.
func (o *options) check(t *tool.Tool) error {
	between := func(name string, x, lo, hi float64) error {
		if !(x >= lo && x <= hi) {
			return tool.Usagef("--%s lies in [%v, %v], not %v", name, lo, hi, x)
		}
		return nil
	}
	above := func(name string, x, lo float64) error {
		if !(x > lo && x <= math.MaxFloat64) {
			return tool.Usagef("--%s is above %v, not %v", name, lo, x)
		}
		return nil
	}
	oneOf := func(name, x string, list ...string) error {
		if !slices.Contains(list, x) {
			return tool.Usagef("--%s is one of %v, not %q", name, list, x)
		}
		return nil
	}
	idle := func(why string, names ...string) error {
		for _, n := range names {
			if t.IsSet(n) {
				return tool.Usagef("--%s has no effect %s", n, why)
			}
		}
		return nil
	}
	checks := []error{
		t.NoArgs(),
		oneOf("compute", o.compute, "f32"),
		oneOf("loss", o.loss.Kind, "pg", "nll"),
		oneOf("aggregate", o.loss.Aggregate, "token-mean", "seq-mean-token-mean", "seq-mean-token-sum", "seq-mean-token-sum-norm"),
		oneOf("kl-kind", o.loss.KLKind, "k1", "abs", "k2", "k3"),
		oneOf("schedule", o.rate.kind, "constant", "linear", "cosine"),
		between("clip-low", o.loss.ClipLow, 0, 1),
		between("clip-high", o.loss.ClipHigh, 0, math.MaxFloat64),
		above("dual-clip", o.loss.DualClip, 1),
		between("kl", o.loss.KL, 0, math.MaxFloat64),
		between("entropy", o.loss.Entropy, -math.MaxFloat64, math.MaxFloat64),
		between("lr", o.rate.lr, 0, math.MaxFloat64),
		between("min-lr", o.rate.min, 0, o.rate.lr),
		between("warmup", float64(o.rate.warmup), 0, math.MaxInt32),
		between("weight-decay", o.optim.Decay, 0, math.MaxFloat64),
		between("beta1", o.optim.Beta1, 0, 0.9999999),
		between("beta2", o.optim.Beta2, 0, 0.9999999),
		above("adam-eps", o.optim.Eps, 0),
		above("grad-clip", o.optim.Clip, 0),
		between("mini-batch", float64(o.miniBatch), 0, math.MaxInt32),
		between("epochs", float64(o.epochs), 1, math.MaxInt32),
		between("micro-tokens", float64(o.microTokens), 0, math.MaxInt32),
	}
	if o.model == "" {
		checks = append(checks, tool.Usagef("--model is missing"))
	}
	if o.out == "" {
		checks = append(checks, tool.Usagef("--out is missing"))
	}
	if o.rate.kind == "constant" {
		checks = append(checks, idle("with --schedule constant", "total-steps", "min-lr"))
	} else if o.rate.total <= o.rate.warmup {
		checks = append(checks, tool.Usagef("--schedule %s needs --total-steps beyond the warm-up of %d", o.rate.kind, o.rate.warmup))
	}
	if o.loss.Kind == "nll" {
		checks = append(checks, idle("with --loss nll", "clip-low", "clip-high", "dual-clip", "recompute", "same-policy"))
	}
	if o.loss.KL == 0 {
		checks = append(checks, idle("without --kl", "kl-kind"))
	}
	for _, err := range checks {
		if err != nil {
			return err
		}
	}
	return nil
}
