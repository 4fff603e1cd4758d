package main

import (
	"context"
	"io"
	"strconv"
	"strings"

	"srar/lib/answer"
	"srar/lib/judge"
	"srar/lib/rows"
	"srar/lib/score"
	"srar/lib/stream"
	"srar/lib/tool"
)

// options are the flags of the command.
type options struct {
	k        string
	by       string
	against  string
	markdown bool

	judge bool
	marks string
	asks  judge.Flags

	ks []int // k, read
}

func setup(t *tool.Tool) func(context.Context) error {
	o := options{}
	t.Flags.StringVar(&o.k, "k", "1,8,32", "")
	t.Flags.StringVar(&o.by, "by", "", "")
	t.Flags.StringVar(&o.against, "against", "", "")
	t.Flags.BoolVar(&o.markdown, "markdown", false, "")
	t.Flags.BoolVar(&o.judge, "judge", false, "")
	t.Flags.StringVar(&o.marks, "marks", "", "")
	o.asks.Register(t.Flags)
	t.Unrecorded("against", "markdown", "marks")
	t.Unrecorded(judge.PlumbingNames...)
	return func(ctx context.Context) error { return o.run(ctx, t) }
}

// check reads the flags that are not plain values.
func (o *options) check(t *tool.Tool) error {
	for _, s := range strings.Split(o.k, ",") {
		k, err := strconv.Atoi(s)
		if err != nil || k < 1 {
			return tool.Usagef("--k is a list of numbers from 1, such as 1,8,32, not %q", o.k)
		}
		for _, have := range o.ks {
			if have == k {
				return tool.Usagef("--k names %d twice", k)
			}
		}
		o.ks = append(o.ks, k)
	}
	if o.by != "" && o.by != "data_source" {
		return tool.Usagef("--by is data_source, not %q", o.by)
	}
	if !o.judge {
		for _, f := range append([]string{"marks"}, judge.FlagNames...) {
			if t.IsSet(f) {
				return tool.Usagef("--%s has no effect without --judge", f)
			}
		}
	}
	return t.NoArgs()
}

func (o *options) run(ctx context.Context, t *tool.Tool) error {
	if err := o.check(t); err != nil {
		return err
	}
	e := &evaluation{o: o, t: t, sets: map[string]*score.Set{}}
	if o.judge {
		if err := e.connect(); err != nil {
			return err
		}
	}
	if o.against != "" {
		if err := e.loadOther(o.against); err != nil {
			return err
		}
	}
	in, err := t.Input(&rows.Rollouts)
	if err != nil {
		return err
	}
	if o.marks != "" { // opened first, so completed before the scores end
		if err := e.openMarks(in.Schema()); err != nil {
			return err
		}
	}
	sink, err := o.open(t, in.Schema().History)
	if err != nil {
		return err
	}
	if o.judge {
		err = e.mark(ctx, in)
	} else {
		err = tool.Each(in, func(b *stream.Batch, n int) error {
			g, err := read(b, n)
			if err != nil {
				return err
			}
			return e.add(g, n)
		})
	}
	if err != nil {
		return err
	}
	scores := e.scores()
	e.report()
	return sink.write(scores)
}

// evaluation is a run of the command over its rows.
type evaluation struct {
	o     *options
	t     *tool.Tool
	sets  map[string]*score.Set // by data source; without --by all under ""
	order []string
	other map[rolloutID]*otherRow // of --against

	client *judge.Client
	tally  *judge.Tally
	marked *tool.Output // of --marks; nil without

	rollouts, checked, undecided, unknown int
	noSource, joined                      int
}

// set returns the set that a row counts in, nil for none.
func (e *evaluation) set(source *string) *score.Set {
	name := ""
	if e.o.by != "" {
		if source == nil {
			e.noSource++
			return nil
		}
		name = *source
	}
	s := e.sets[name]
	if s == nil {
		s = score.NewSet(e.o.ks, func(a, b string) bool { return answer.Compare(a, b) == answer.Equal })
		name = strings.Clone(name)
		e.sets[name] = s
		e.order = append(e.order, name)
	}
	return s
}

// scores lists the rows to write, set by set.
func (e *evaluation) scores() []rows.Score {
	var out []rows.Score
	for _, name := range e.order {
		var source *string
		if e.o.by != "" {
			source = &name
		}
		for _, s := range e.sets[name].Scores() {
			out = append(out, rows.Score{Metric: s.Metric, DataSource: source, Value: s.Value, Low: s.Low, High: s.High, N: s.N})
		}
	}
	return out
}

func (e *evaluation) report() {
	t := e.t
	t.Logf("%d rollouts", e.rollouts)
	if e.checked > 0 {
		t.Logf("%d answers checked by rule", e.checked)
	}
	if e.undecided+e.unknown > 0 {
		t.Warnf("%d answers that could not be compared and %d without ground truth count as wrong", e.undecided, e.unknown)
	}
	if e.noSource > 0 {
		t.Warnf("%d rollouts without data_source are in no score", e.noSource)
	}
	switch {
	case e.o.against == "":
	case e.joined == 0:
		t.Warnf("no rollout is judged here and in %s", e.o.against)
	default:
		t.Logf("%d of them are judged here and in %s", e.joined, e.o.against)
	}
}

// output is where the scores go: rows, perhaps of --save alone, and a table.
type output struct {
	rows     *tool.Output
	table    io.Writer // nil: none
	markdown bool
}

// open opens the output of the command. A terminal gets a table, and --markdown
// one in any place; --save holds the rows then.
func (o *options) open(t *tool.Tool, history []stream.Entry) (*output, error) {
	schema := rows.Scores.Schema()
	schema.History = history
	out := &output{markdown: o.markdown}
	var err error
	if !o.markdown && !t.ToTerminal() {
		out.rows, err = t.Output(schema)
		return out, err
	}
	if out.rows, err = t.Save(schema); err != nil {
		return nil, err
	}
	out.table, err = t.Text()
	return out, err
}

func (o *output) write(scores []rows.Score) error {
	if len(scores) > 0 {
		if err := o.rows.Write(rows.Batch(scores)); err != nil {
			return err
		}
	}
	if o.table == nil {
		return nil
	}
	return printTable(o.table, scores, o.markdown)
}
