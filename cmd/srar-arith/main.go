// Srar-arith draws problems of the embedded arithmetic task.
//
// It writes JSON Lines that srar-prepare reads: id, problem, ground_truth,
// data_source (arith-expr, arith-word, arith-unit, arith-percent or
// arith-compare) and rubric; with --solutions also response, the solution of a
// learner who makes mistakes at known rates, for a warm start.
//
// A seed names an endless sequence of problems for each level and split, and
// --skip and --count cut a slice out of it: iteration k of a run takes the rows
// from k*COUNT on. Training problems may come again, test problems do not. No
// problem is in both splits, whatever the seeds.
//
// Exit codes: 0 done, 1 failed, 2 misused, 130/143 interrupted.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"srar/lib/arith"
	"srar/lib/tool"
)

const usage = `usage: srar-arith [flags] > problems.jsonl

Draws problems of the embedded arithmetic task.

problems
  --level small|medium|large
                            small: two to four operations, values to 30 (50 in
                            stories); medium: values to 99; large: three to five
                            operations, values to 99 (small)
  --split train|test        seven in eight of all problems, or the eighth (train)
  --seed N                  which sequence of problems (0)
  --skip N                  rows of the sequence to leave out first (0)
  --count N                 rows to write (1000)
solutions
  --solutions               add a learner's solution as column response;
                            about half of them hold a mistake
  --right                   these are right ones
general
  -o FILE                   write FILE instead of standard output
  --quiet                   errors and warnings only
  --log json                messages as JSON lines
  --help, --version

examples
  srar-arith --split test --count 500 > test.jsonl
  srar-arith --level large --solutions --count 57000 | srar-prepare | srar-encode --model M > warm.arrow
`

func main() {
	tool.Main(tool.Command{Name: "srar-arith", Usage: usage, Streams: tool.Lines, Setup: setup})
}

type options struct {
	level, split     string
	seed             uint64
	skip, count      uint64
	solutions, right bool
}

func setup(t *tool.Tool) func(context.Context) error {
	var o options
	t.Flags.StringVar(&o.level, "level", "small", "")
	t.Flags.StringVar(&o.split, "split", "train", "")
	t.Flags.Uint64Var(&o.seed, "seed", 0, "")
	t.Flags.Uint64Var(&o.skip, "skip", 0, "")
	t.Flags.Uint64Var(&o.count, "count", 1000, "")
	t.Flags.BoolVar(&o.solutions, "solutions", false, "")
	t.Flags.BoolVar(&o.right, "right", false, "")
	return func(ctx context.Context) error {
		if err := t.NoArgs(); err != nil {
			return err
		}
		return o.run(ctx, t)
	}
}

func (o *options) run(ctx context.Context, t *tool.Tool) error {
	q, err := arith.NewSequence(o.level, o.split, o.seed)
	switch {
	case err != nil:
		return tool.Usagef("%v", err)
	case o.right && !o.solutions:
		return tool.Usagef("--right says what --solutions are like, and these were not asked for")
	}
	w, err := t.Text()
	if err != nil {
		return err
	}
	return o.write(ctx, w, q)
}

// row is one line of the output.
type row struct {
	ID          string `json:"id"`
	Problem     string `json:"problem"`
	GroundTruth string `json:"ground_truth"`
	DataSource  string `json:"data_source"`
	Rubric      string `json:"rubric"`
	Response    string `json:"response,omitempty"`
}

func (o *options) write(ctx context.Context, w io.Writer, q arith.Sequence) error {
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false) // rubrics are full of < and >
	written := uint64(0)
	if o.count > 0 {
		for i, p := range q.From(o.skip) {
			r := row{
				ID:          fmt.Sprintf("%s-%s-%d-%06d", o.level, o.split, o.seed, i),
				Problem:     p.Text,
				GroundTruth: p.Answer,
				DataSource:  "arith-" + string(p.Family),
				Rubric:      p.Rubric(),
			}
			switch {
			case o.right:
				r.Response = q.Right(i, p)
			case o.solutions:
				r.Response = q.Learner(i, p)
			}
			if err := lines.Encode(r); err != nil {
				return fmt.Errorf("write: %w", err)
			}
			if written++; written == o.count {
				break
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
	}
	if written < o.count {
		return fmt.Errorf("the test problems of this sequence end after %d", o.skip+written)
	}
	return nil
}
