package main

import (
	"context"
	"math"
	"slices"
	"strings"

	"srar/lib/ckpt"
	"srar/lib/llm"
	"srar/lib/real"
	"srar/lib/tool"
)

// options are the flags of the command.
type options struct {
	model, out  string
	compute     string
	loss        llm.Loss
	optim       llm.Optim
	rate        schedule
	optimizer   string
	miniBatch   int
	epochs      int
	shuffle     uint64
	shuffled    bool
	recompute   bool
	samePolicy  bool
	maxDiff     float64
	microTokens int
	checkpoint  bool
	memory      tool.Size // 0: what is free
	dryRun      bool

	maskTruncated bool
	lora          lora
}

// lora are the flags of a new adapter, and where one is that goes on.
type lora struct {
	adapter string
	rank    int
	alpha   float64
	targets string
	seed    uint64
}

// modules returns the modules that --lora-targets names.
func (l *lora) modules() (list []string, err error) {
	for _, name := range strings.Split(l.targets, ",") {
		i := slices.IndexFunc(ckpt.AdapterTargets, func(t struct{ Short, Module string }) bool { return name == t.Short || name == t.Module })
		if i < 0 {
			return nil, tool.Usagef("--lora-targets lists some of q,k,v,o,gate,up,down, not %q", name)
		}
		list = append(list, ckpt.AdapterTargets[i].Module)
	}
	return list, nil
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
		_, c := real.Sincos(math.Pi * p)
		p = (1 - c) / 2
	}
	return s.lr - float64((s.lr-s.min)*p)
}

func setup(t *tool.Tool) func(context.Context) error {
	var o options
	f := t.Flags
	f.StringVar(&o.model, "model", "", "")
	f.StringVar(&o.out, "out", "", "")
	f.StringVar(&o.compute, "compute", "auto", "")
	f.StringVar(&o.loss.Kind, "loss", "pg", "")
	f.Float64Var(&o.loss.ClipLow, "clip-low", 0.2, "")
	f.Float64Var(&o.loss.ClipHigh, "clip-high", 0.28, "")
	f.Float64Var(&o.loss.DualClip, "dual-clip", 10, "")
	f.StringVar(&o.loss.Importance, "tis", "none", "")
	f.Float64Var(&o.loss.Cap, "tis-cap", 2, "")
	f.BoolVar(&o.maskTruncated, "mask-truncated", false, "")
	f.StringVar(&o.loss.Aggregate, "aggregate", "token-mean", "")
	f.Float64Var(&o.loss.KL, "kl", 0, "")
	f.StringVar(&o.loss.KLKind, "kl-kind", "k3", "")
	f.Float64Var(&o.loss.Entropy, "entropy", 0, "")
	f.BoolVar(&o.recompute, "recompute", false, "")
	f.BoolVar(&o.samePolicy, "same-policy", false, "")
	f.Float64Var(&o.maxDiff, "max-logprob-diff", math.Inf(1), "")
	f.StringVar(&o.optimizer, "optimizer", "adamw", "")
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
	f.Uint64Var(&o.shuffle, "shuffle", 0, "")
	f.IntVar(&o.microTokens, "micro-tokens", 0, "")
	f.BoolVar(&o.checkpoint, "checkpoint-activations", false, "")
	f.Var(&o.memory, "memory", "")
	f.BoolVar(&o.dryRun, "dry-run", false, "")
	f.StringVar(&o.lora.adapter, "adapter", "", "")
	f.IntVar(&o.lora.rank, "lora-rank", 0, "")
	f.Float64Var(&o.lora.alpha, "lora-alpha", 0, "")
	f.StringVar(&o.lora.targets, "lora-targets", "q,k,v,o,gate,up,down", "")
	f.Uint64Var(&o.lora.seed, "lora-seed", 0, "")
	t.ThreadsFlag()
	t.Unrecorded("model", "out", "adapter", "micro-tokens", "checkpoint-activations", "memory", "dry-run")
	return func(ctx context.Context) error { return o.run(ctx, t) }
}

// clips sets the bounds of the ratio that suit a loss where none are given: those
// of GSPO are the paper's (arXiv 2507.18071, section 5.1); for CISPO weights up to 5
// and no lower bound (Khatri et al. 2025, arXiv 2510.13786).
func (o *options) clips(t *tool.Tool) {
	set := func(name string, to *float64, value float64) {
		if !t.IsSet(name) {
			*to = value
		}
	}
	switch o.loss.Kind {
	case "gspo":
		set("clip-low", &o.loss.ClipLow, 3e-4)
		set("clip-high", &o.loss.ClipHigh, 4e-4)
	case "cispo":
		set("clip-low", &o.loss.ClipLow, 1)
		set("clip-high", &o.loss.ClipHigh, 4)
	}
	if o.loss.Kind != "pg" {
		o.loss.DualClip = 0
	}
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
		oneOf("compute", o.compute, llm.Computes...),
		oneOf("loss", o.loss.Kind, llm.LossKinds...),
		oneOf("tis", o.loss.Importance, llm.Importances...),
		oneOf("aggregate", o.loss.Aggregate, llm.Aggregates...),
		oneOf("kl-kind", o.loss.KLKind, llm.KLKinds...),
		oneOf("optimizer", o.optimizer, "adamw", "adamw8bit"),
		above("tis-cap", o.loss.Cap, 0),
		between("max-logprob-diff", o.maxDiff, 0, math.Inf(1)),
		between("lora-rank", float64(o.lora.rank), 0, 1<<16),
		between("lora-alpha", o.lora.alpha, 0, math.MaxFloat64),
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
	if o.out == "" && !o.dryRun {
		checks = append(checks, tool.Usagef("--out is missing"))
	}
	if o.rate.kind == "constant" {
		checks = append(checks, idle("with --schedule constant", "total-steps", "min-lr"))
	} else if o.rate.total <= o.rate.warmup {
		checks = append(checks, tool.Usagef("--schedule %s needs --total-steps beyond the warm-up of %d", o.rate.kind, o.rate.warmup))
	}
	switch {
	case o.loss.Kind == "nll":
		checks = append(checks, idle("with --loss nll", "clip-low", "clip-high", "dual-clip", "recompute", "same-policy", "tis", "tis-cap", "max-logprob-diff"))
	case o.loss.Kind != "pg":
		checks = append(checks, idle("with --loss "+o.loss.Kind, "dual-clip"))
	}
	if o.loss.Importance == "none" {
		checks = append(checks, idle("without --tis", "tis-cap"))
	}
	if !o.several() {
		checks = append(checks, idle("on one step of the whole stream", "shuffle"))
	} else if o.miniBatch == 0 {
		checks = append(checks, idle("without --mini-batch", "shuffle"))
	}
	switch {
	case o.lora.adapter != "":
		checks = append(checks, idle("with --adapter, which has its own", "lora-rank", "lora-alpha", "lora-targets", "lora-seed"))
	case o.lora.rank == 0:
		checks = append(checks, idle("without --lora-rank", "lora-alpha", "lora-targets", "lora-seed"))
	}
	if _, err := o.lora.modules(); err != nil {
		checks = append(checks, err)
	}
	if o.loss.KL == 0 {
		checks = append(checks, idle("without --kl", "kl-kind"))
	}
	for _, err := range checks {
		if err != nil {
			return err
		}
	}
	o.clips(t)
	o.shuffled = t.IsSet("shuffle")
	o.recompute = o.recompute || o.loss.Importance != "none"
	o.optim.EightBit = o.optimizer == "adamw8bit"
	if o.lora.rank > 0 && o.lora.alpha == 0 {
		o.lora.alpha = 2 * float64(o.lora.rank)
	}
	return nil
}
