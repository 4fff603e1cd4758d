package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"srar/lib/rows"
	"srar/lib/rubric"
	"srar/lib/stream"
	"srar/lib/table"
	"srar/lib/tool"
)

// defaultInstruction asks for the form that steps and answers are read from.
const defaultInstruction = `Solve the problem step by step. Open every step with a heading of its own, ` +
	"`### Step N:` with N counting from 1, and do one thing in each step. " +
	`Put the final answer, and nothing else, in \boxed{} at the end.`

// hole is where an instruction that is the whole message has the problem.
const hole = "{problem}"

// options are the flags of the command.
type options struct {
	problem, truth, rubric, source, id string
	instruction                        string
}

func setup(t *tool.Tool) func(context.Context) error {
	var o options
	t.Flags.StringVar(&o.problem, "problem", "", "")
	t.Flags.StringVar(&o.truth, "ground-truth", "", "")
	t.Flags.StringVar(&o.rubric, "rubric", "", "")
	t.Flags.StringVar(&o.source, "source", "", "")
	t.Flags.StringVar(&o.id, "id", "", "")
	t.Flags.StringVar(&o.instruction, "instruction", "", "")
	t.Unrecorded("instruction")
	return func(ctx context.Context) error { return o.run(ctx, t) }
}

func (o *options) run(ctx context.Context, t *tool.Tool) error {
	instruction := defaultInstruction
	if t.IsSet("instruction") {
		text, err := os.ReadFile(o.instruction)
		if err != nil {
			return fmt.Errorf("instruction: %w", err)
		}
		instruction = strings.TrimRight(string(text), "\r\n")
		t.Record("instruction", digest(text))
	}
	sources, err := o.open(t)
	for _, s := range sources {
		defer s.file.Close()
	}
	if err != nil {
		return err
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
	p := preparer{instruction: instruction, ids: map[string]string{}}
	for _, s := range sources {
		if err := p.file(ctx, s, schema, out); err != nil {
			return err
		}
	}
	t.Logf("%d prompts: %d with ground truth, %d with rubric, %d rubric items", p.prompts, p.truths, p.rubrics, p.items)
	return nil
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

// preparer makes prompts of rows.
type preparer struct {
	instruction                     string
	ids                             map[string]string // where each prompt_id was first
	prompts, truths, rubrics, items int
}

// file makes prompts of the rows of a file.
func (p *preparer) file(ctx context.Context, s *source, schema *stream.Schema, out *tool.Output) error {
	r, err := s.rows()
	if err != nil {
		return err
	}
	for {
		first := r.Row()
		b, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		prompts, err := p.batch(s, b, first)
		if err != nil {
			return err
		}
		if err := out.Write(arrange(schema, b.With(rows.Columns(prompts)...))); err != nil {
			return err
		}
	}
}

// batch makes prompts of the rows of b, of which the first is row first of its
// file.
func (p *preparer) batch(s *source, b *stream.Batch, first int) ([]rows.Prompt, error) {
	pick := s.picker(b)
	out := make([]rows.Prompt, b.Len())
	for i := range out {
		fail := func(format string, a ...any) error {
			return tool.Inputf("%s: row %d: %w", s.file.Name(), first+i, fmt.Errorf(format, a...))
		}
		row := &out[i]
		problem, err := pick.problem(i)
		if err != nil {
			return nil, fail("%w", err)
		}
		if problem == nil || strings.TrimSpace(*problem) == "" {
			return nil, fail("column %s is empty", s.problem)
		}
		row.Problem = *problem
		for _, c := range []struct {
			from column
			to   **string
		}{{pick.truth, &row.GroundTruth}, {pick.source, &row.DataSource}, {pick.rubric, &row.Rubric}} {
			if *c.to, err = c.from.text(i); err != nil {
				return nil, fail("%w", err)
			}
		}
		id, err := pick.id.text(i)
		if err != nil {
			return nil, fail("%w", err)
		}
		row.PromptID = fmt.Sprintf("row-%06d", p.prompts)
		if id != nil && *id != "" {
			row.PromptID = *id
		}
		here := fmt.Sprintf("row %d of %s", first+i, s.file.Name())
		if there, ok := p.ids[row.PromptID]; ok {
			return nil, fail("prompt_id %q is that of %s already", row.PromptID, there)
		}
		p.ids[row.PromptID] = here
		row.Items = []rows.Item{}
		if row.Rubric != nil {
			items, err := rubric.Parse(*row.Rubric)
			if err != nil { // line N: ...
				return nil, tool.Inputf("%s: row %d, %w", s.file.Name(), first+i, err)
			}
			for _, item := range items {
				row.Items = append(row.Items, rows.Item(item))
			}
		}
		row.Messages = []rows.Message{{Role: "user", Content: message(row.Problem, p.instruction)}}
		p.count(row)
	}
	return out, nil
}

func (p *preparer) count(row *rows.Prompt) {
	p.prompts++
	if row.GroundTruth != nil {
		p.truths++
	}
	if len(row.Items) > 0 {
		p.rubrics++
	}
	p.items += len(row.Items)
}

// message is what the policy is told.
func message(problem, instruction string) string {
	switch {
	case strings.TrimSpace(instruction) == "":
		return problem
	case strings.Contains(instruction, hole):
		return strings.ReplaceAll(instruction, hole, problem)
	}
	return problem + "\n\n" + instruction
}
