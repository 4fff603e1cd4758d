package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"srar/lib/judge"
	"srar/lib/remote"
	"srar/lib/rows"
	"srar/lib/tool"
)

// options are the flags of the command.
type options struct {
	judge      judge.Flags
	noJudge    bool
	retry      bool
	promptFile string
	filter     string
	keep       int
	shard      shard
	dryRun     bool
	cacheStats bool

	template *judge.Template
}

// judgeFlags are those beside [judge.FlagNames] that need a judge.
var judgeFlags = []string{"retry-failed", "prompt", "no-schema", "budget", "dry-run"}

func setup(t *tool.Tool) func(context.Context) error {
	o := &options{template: judge.DefaultTemplate}
	o.judge.Register(t.Flags)
	t.Flags.BoolVar(&o.noJudge, "no-judge", false, "")
	t.Flags.BoolVar(&o.retry, "retry-failed", false, "")
	t.Flags.StringVar(&o.promptFile, "prompt", "", "")
	t.Flags.BoolVar(&o.judge.NoSchema, "no-schema", false, "")
	t.Flags.Int64Var(&o.judge.Budget, "budget", 0, "")
	t.Flags.StringVar(&o.filter, "filter", "none", "")
	t.Flags.IntVar(&o.keep, "keep", 0, "")
	t.Flags.Var(&o.shard, "shard", "")
	t.Flags.BoolVar(&o.dryRun, "dry-run", false, "")
	t.Flags.BoolVar(&o.cacheStats, "cache-stats", false, "")
	t.Unrecorded(judge.PlumbingNames...)
	t.Unrecorded("prompt") // its digest is recorded
	return func(ctx context.Context) error { return o.run(ctx, t) }
}

// shard is one of n parts of the groups: those whose number leaves i-1 when
// divided by n. The zero value is all of them.
type shard struct{ i, n int }

func (s *shard) Set(text string) error {
	var rest string
	k, _ := fmt.Sscanf(text, "%d/%d%s", &s.i, &s.n, &rest)
	if k != 2 || s.i < 1 || s.i > s.n {
		return fmt.Errorf("it is I/N with I from 1 to N, such as 1/4")
	}
	return nil
}

func (s *shard) String() string {
	if s.n == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.i, s.n)
}

func (s *shard) has(group int) bool { return s.n == 0 || group%s.n == s.i-1 }

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
	case t.IsSet("budget") && o.judge.Budget < 1:
		return tool.Usagef("--budget is 1 or more, not %d", o.judge.Budget)
	case o.dryRun && t.IsSet("save"):
		return tool.Usagef("--save has no effect with --dry-run")
	case !o.noJudge:
		return nil
	}
	for _, name := range append(judgeFlags, judge.FlagNames...) {
		if t.IsSet(name) {
			return tool.Usagef("--%s has no effect with --no-judge", name)
		}
	}
	return nil
}

// readTemplate reads the file of --prompt.
func (o *options) readTemplate() error {
	if o.promptFile == "" {
		return nil
	}
	text, err := os.ReadFile(o.promptFile)
	if err != nil {
		return err
	}
	if o.template, err = judge.ParseTemplate("own", strings.ReplaceAll(string(text), "\r\n", "\n")); err != nil {
		return tool.Usagef("%s: %v", o.promptFile, err)
	}
	return nil
}

func (o *options) run(ctx context.Context, t *tool.Tool) error {
	if err := o.check(t); err != nil {
		return err
	}
	if o.cacheStats {
		return o.showCache(t)
	}
	w := &work{o: o}
	if !o.noJudge {
		if err := o.readTemplate(); err != nil {
			return err
		}
		var err error
		if w.client, err = o.judge.Connect(); err != nil {
			return err
		}
		w.tally = o.judge.Tally()
	}
	kind := &rows.Rollouts
	if o.retry {
		kind = &rows.Verdicts
	}
	var err error
	if w.in, err = t.Input(kind); err != nil {
		return err
	}
	if o.dryRun {
		return w.dryRun(t)
	}
	if w.client != nil {
		p := o.template.Prompt()
		t.Record("prompt "+p.Name, p.Digest)
	}
	if w.out, err = t.Output(w.in.Schema().Without(stale()...).With(rows.Verdicts.Name, rows.Verdicts.Fields()...)); err != nil {
		return err
	}
	t.Progress(w.progress)
	window := remote.Window{Workers: 1} // without a judge there are no jobs
	if w.client != nil {
		window = o.judge.Window()
		// Rollouts of 8,192 tokens take 100 kB, their requests half as much again.
		// Without a limit garbage would take as much as they do.
		debug.SetMemoryLimit(int64(128<<20 + window.Workers*(192<<10)))
	}
	err = remote.InOrder(ctx, window, w.next, w.emit)
	w.report(t)
	return err
}
