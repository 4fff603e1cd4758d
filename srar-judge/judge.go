package main

import (
	"context"

	"srar/lib/judge"
	"srar/lib/rows"
	"srar/lib/tool"
)

// options are the flags of the command.
type options struct {
	judge   judge.Flags
	noJudge bool
	retry   bool
	filter  string
	keep    int
}

func setup(t *tool.Tool) func(context.Context) error {
	o := &options{}
	o.judge.Register(t.Flags)
	t.Flags.BoolVar(&o.noJudge, "no-judge", false, "")
	t.Flags.BoolVar(&o.retry, "retry-failed", false, "")
	t.Flags.StringVar(&o.filter, "filter", "none", "")
	t.Flags.IntVar(&o.keep, "keep", 0, "")
	t.Unrecorded(judge.PlumbingNames...)
	return func(ctx context.Context) error { return o.run(ctx, t) }
}

// check refuses flags that make no sense, alone or together.
func (o *options) check(t *tool.Tool) error {
	if err := t.NoArgs(); err != nil {
		return err
	}
	switch {
	case o.filter != "none" && o.filter != "acc":
		return tool.Usagef("--filter is none or acc, not %q", o.filter)
	case t.IsSet("keep") && o.keep < 1:
		return tool.Usagef("--keep is 1 or more, not %d", o.keep)
	case !o.noJudge:
		return nil
	case o.retry:
		return tool.Usagef("--retry-failed has no effect with --no-judge")
	}
	for _, name := range judge.FlagNames {
		if t.IsSet(name) {
			return tool.Usagef("--%s has no effect with --no-judge", name)
		}
	}
	return nil
}

func (o *options) run(ctx context.Context, t *tool.Tool) error {
	if err := o.check(t); err != nil {
		return err
	}
	var client *judge.Client
	if !o.noJudge {
		var err error
		if client, err = o.judge.Connect(); err != nil {
			return err
		}
	}
	kind := &rows.Rollouts
	if o.retry {
		kind = &rows.Verdicts
	}
	in, err := t.Input(kind)
	if err != nil {
		return err
	}
	if client != nil {
		t.Record("judge", judge.PromptDigest())
	}
	out, err := t.Output(in.Schema().Without(stale()...).With(rows.Verdicts.Name, rows.Verdicts.Fields()...))
	if err != nil {
		return err
	}
	w := &work{o: o, client: client, in: in, out: out}
	t.Progress(w.progress)
	err = judge.InOrder(ctx, o.judge.Concurrency, 4*o.judge.Concurrency, w.next, w.emit)
	w.report(t)
	if err != nil {
		return err
	}
	return o.judge.Tolerate(w.asked.Load(), w.failed.Load())
}
