package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"srar/lib/judge"
	"srar/lib/rows"
	"srar/lib/tool"
)

// options are the flags of the command.
type options struct {
	client      judge.Config
	cache       string
	noJudge     bool
	retry       bool
	maxFailures float64
	filter      string
	keep        int
}

func setup(t *tool.Tool) func(context.Context) error {
	o := &options{}
	t.Flags.StringVar(&o.client.URL, "url", "", "")
	t.Flags.StringVar(&o.client.Model, "judge-model", "", "")
	t.Flags.IntVar(&o.client.Tries, "tries", 3, "")
	t.Flags.DurationVar(&o.client.Timeout, "timeout", 120*time.Second, "")
	t.Flags.IntVar(&o.client.Concurrency, "concurrency", 64, "")
	t.Flags.StringVar(&o.cache, "cache", "", "")
	t.Flags.BoolVar(&o.noJudge, "no-judge", false, "")
	t.Flags.BoolVar(&o.retry, "retry-failed", false, "")
	t.Flags.Float64Var(&o.maxFailures, "max-failure-rate", 0.1, "")
	t.Flags.StringVar(&o.filter, "filter", "none", "")
	t.Flags.IntVar(&o.keep, "keep", 0, "")
	t.Unrecorded("url", "timeout", "concurrency", "cache")
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
	case !(o.maxFailures >= 0 && o.maxFailures <= 1):
		return tool.Usagef("--max-failure-rate is between 0 and 1, not %v", o.maxFailures)
	case o.client.Tries < 1 || o.client.Concurrency < 1:
		return tool.Usagef("--tries and --concurrency are 1 or more")
	case o.client.Timeout <= 0:
		return tool.Usagef("--timeout is above 0, not %v", o.client.Timeout)
	}
	if !o.noJudge {
		return nil
	}
	for _, name := range []string{"url", "judge-model", "tries", "timeout", "concurrency", "cache", "retry-failed", "max-failure-rate"} {
		if t.IsSet(name) {
			return tool.Usagef("--%s has no effect with --no-judge", name)
		}
	}
	return nil
}

// connect makes the client from flags and environment; nil with --no-judge.
func (o *options) connect() (*judge.Client, error) {
	if o.noJudge {
		return nil, nil
	}
	c := o.client
	if c.URL == "" {
		c.URL = os.Getenv(judge.EnvURL)
	}
	if c.Model == "" {
		c.Model = os.Getenv(judge.EnvModel)
	}
	c.Key = os.Getenv(judge.EnvKey)
	switch {
	case c.URL == "":
		return nil, tool.WithHint(tool.Usagef("no address of a judge"), "give --url, set $%s, or --no-judge", judge.EnvURL)
	case c.Model == "":
		return nil, tool.WithHint(tool.Usagef("no model for the judge"), "give --judge-model or set $%s", judge.EnvModel)
	}
	if o.cache != "" {
		cache, err := judge.OpenCache(o.cache)
		if err != nil {
			return nil, err
		}
		c.Cache = cache
	}
	client, err := judge.NewClient(c)
	if err != nil {
		return nil, tool.Usagef("%v", err)
	}
	return client, nil
}

func (o *options) run(ctx context.Context, t *tool.Tool) error {
	if err := o.check(t); err != nil {
		return err
	}
	client, err := o.connect()
	if err != nil {
		return err
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
	err = judge.InOrder(ctx, o.client.Concurrency, 4*o.client.Concurrency, w.next, w.emit)
	w.report(t)
	if err != nil {
		return err
	}
	if asked, failed := w.asked.Load(), w.failed.Load(); asked > 0 && float64(failed)/float64(asked) > o.maxFailures {
		err := fmt.Errorf("%d of %d judgements failed, more than --max-failure-rate %v allows", failed, asked, o.maxFailures)
		if o.cache == "" {
			return tool.WithHint(err, "with --cache DIR a second run pays only for what failed")
		}
		return err
	}
	return nil
}
