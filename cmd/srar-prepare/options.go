package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"srar/lib/stream"
	"srar/lib/table"
	"srar/lib/tool"
)

// options are the flags of the command.
type options struct {
	problem, truth, rubric, source, id string
	instruction                        string
	where                              conditions
	seed                               uint64
	limit, repeat                      int
	skipBad                            bool
	bad                                string
	list, check                        bool
}

func setup(t *tool.Tool) func(context.Context) error {
	var o options
	t.Flags.StringVar(&o.problem, "problem", "", "")
	t.Flags.StringVar(&o.truth, "ground-truth", "", "")
	t.Flags.StringVar(&o.rubric, "rubric", "", "")
	t.Flags.StringVar(&o.source, "source", "", "")
	t.Flags.StringVar(&o.id, "id", "", "")
	t.Flags.StringVar(&o.instruction, "instruction", "", "")
	t.Flags.Var(&o.where, "where", "")
	t.Flags.Uint64Var(&o.seed, "shuffle", 0, "")
	t.Flags.IntVar(&o.limit, "limit", 0, "")
	t.Flags.IntVar(&o.repeat, "repeat", 1, "")
	t.Flags.BoolVar(&o.skipBad, "skip-bad", false, "")
	t.Flags.StringVar(&o.bad, "bad", "", "")
	t.Flags.BoolVar(&o.list, "list", false, "")
	t.Flags.BoolVar(&o.check, "check", false, "")
	t.Unrecorded("instruction", "bad")
	return func(ctx context.Context) error { return o.run(ctx, t) }
}

// conflicts are the flags that have no effect on a report.
var conflicts = map[string][]string{
	"list":  {"check", "where", "shuffle", "limit", "repeat", "skip-bad", "bad", "instruction", "save", "compress"},
	"check": {"shuffle", "repeat", "instruction", "save", "compress"},
}

func (o *options) validate(t *tool.Tool) error {
	switch {
	case t.IsSet("limit") && o.limit < 1:
		return tool.Usagef("--limit is 1 or more, not %d", o.limit)
	case o.repeat < 1:
		return tool.Usagef("--repeat is 1 or more, not %d", o.repeat)
	case o.bad != "" && !o.skipBad:
		return tool.Usagef("--bad takes the rows that --skip-bad sets aside, which is missing")
	}
	for report, on := range map[string]bool{"list": o.list, "check": o.check && !o.list} {
		for _, name := range conflicts[report] {
			if on && t.IsSet(name) {
				return tool.Usagef("--%s goes without --%s", report, name)
			}
		}
	}
	return nil
}

func (o *options) run(ctx context.Context, t *tool.Tool) error {
	if err := o.validate(t); err != nil {
		return err
	}
	sources, err := o.open(t)
	for _, s := range sources {
		defer s.file.Close()
	}
	if err != nil {
		return err
	}
	if o.list {
		return list(ctx, t, sources)
	}
	p := &preparer{where: o.where, ids: map[string]string{}, left: -1}
	if o.limit > 0 && !t.IsSet("shuffle") {
		p.left = o.limit
	}
	if o.skipBad {
		if p.aside, err = newAside(t, o.bad); err != nil {
			return err
		}
		defer p.aside.abort()
	}
	if o.check {
		err = check(ctx, t, p, sources)
	} else {
		err = o.prepare(ctx, t, p, sources)
	}
	if err != nil {
		return err
	}
	return p.done(t)
}

// prepare writes the prompts of the rows.
func (o *options) prepare(ctx context.Context, t *tool.Tool, p *preparer, sources []*source) error {
	p.instruction = defaultInstruction
	if t.IsSet("instruction") {
		text, err := os.ReadFile(o.instruction)
		if err != nil {
			return fmt.Errorf("instruction: %w", err)
		}
		p.instruction = strings.TrimRight(string(text), "\r\n")
		t.Record("instruction", digest(text))
	}
	schema, err := join(sources)
	if err != nil {
		return err
	}
	for i, s := range sources {
		name := "data"
		if i > 0 {
			name = fmt.Sprintf("data-%d", i+1)
		}
		t.Record(name, s.file.Digest())
	}
	out, err := t.Output(schema)
	if err != nil {
		return err
	}
	var n counts
	write := func(b *stream.Batch) error {
		n.add(b)
		return out.Write(b)
	}
	h := holder{limit: o.limit, shuffle: t.IsSet("shuffle"), seed: o.seed, repeat: o.repeat}
	take := write
	if h.shuffle || h.repeat > 1 {
		take = h.hold
	}
	if err := p.files(ctx, sources, func(k *kept) error { return take(arrange(schema, k.batch())) }); err != nil {
		return err
	}
	if err := h.release(ctx, write); err != nil {
		return err
	}
	t.Logf("%d prompts: %d with ground truth, %d with rubric, %d rubric items", n.prompts, n.truths, n.rubrics, n.items)
	return nil
}

// counts are what the prompts hold.
type counts struct{ prompts, truths, rubrics, items int }

func (n *counts) add(b *stream.Batch) {
	truth, items := b.Column("ground_truth"), b.Column("items")
	for i := range b.Len() {
		n.prompts++
		if !truth.Null(i) {
			n.truths++
		}
		lo, hi := items.Bounds(i)
		if n.items += hi - lo; hi > lo {
			n.rubrics++
		}
	}
}

// open opens the files and finds the columns in each.
func (o *options) open(t *tool.Tool) ([]*source, error) {
	paths := t.Args()
	if p := t.InputPath(); p != "" {
		if len(paths) > 0 {
			return nil, tool.Usagef("-i FILE goes without operands")
		}
		paths = []string{p}
	}
	if len(paths) == 0 {
		paths = []string{"-"}
	}
	var sources []*source
	stdin := false
	for _, path := range paths {
		var f *table.File
		var err error
		if path == "-" {
			if stdin {
				return sources, tool.Usagef("standard input is named twice")
			}
			stdin = true
			if err := t.CheckStdin(); err != nil {
				return sources, err
			}
			f, err = table.OpenReader(t.Stdin, "stdin")
		} else {
			f, err = table.Open(path)
		}
		if err != nil {
			return sources, err
		}
		s := &source{file: f}
		sources = append(sources, s)
		if err := s.choose(o); err != nil {
			return sources, err
		}
	}
	return sources, nil
}
