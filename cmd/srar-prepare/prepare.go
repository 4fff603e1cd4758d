package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// preparer makes prompts of rows.
type preparer struct {
	instruction string
	where       conditions
	aside       *aside            // nil where a bad row is an error
	ids         map[string]string // where each prompt_id was first
	left        int               // prompts to make still; -1 for no limit
	before      int               // rows of the files before
	rows        int               // rows that the conditions were asked of
	prompts     int
}

// kept are rows of a batch with their prompts.
type kept struct {
	all     *stream.Batch
	index   []int // of the rows in all
	prompts []rows.Prompt
}

// batch returns the kept rows with the columns of their prompts.
func (k *kept) batch() *stream.Batch {
	b := k.all
	if len(k.index) < b.Len() {
		b = b.Take(k.index)
	}
	return b.With(rows.Columns(k.prompts)...)
}

// rowError says which row is bad. The file comes first, as in errors of reading.
type rowError struct {
	file string
	row  int
	err  error
}

func (e *rowError) Error() string {
	between := ":"
	if r := (*rubric.Error)(nil); errors.As(e.err, &r) { // line N: ...
		between = ","
	}
	return fmt.Sprintf("%s: row %d%s %v", e.file, e.row, between, e.err)
}

// ExitCode is 3: the input is not valid.
func (e *rowError) ExitCode() int { return 3 }

// files makes prompts of the rows of all files and hands them on.
func (p *preparer) files(ctx context.Context, sources []*source, take func(*kept) error) error {
	for _, s := range sources {
		if err := p.where.resolve(s); err != nil {
			return err
		}
	}
	for _, s := range sources {
		if err := p.file(ctx, s, take); err != nil {
			return err
		}
	}
	return nil
}

func (p *preparer) file(ctx context.Context, s *source, take func(*kept) error) error {
	var bad func(*table.Error, []byte) error
	if p.aside != nil {
		bad = p.aside.unread
	}
	r, err := s.rows(bad)
	if err != nil {
		return err
	}
	for p.left != 0 {
		b, err := r.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		k, err := p.batch(s, b, r.Numbers())
		if err != nil {
			return err
		}
		if len(k.prompts) == 0 {
			continue
		}
		if err := take(k); err != nil {
			return err
		}
	}
	p.before += r.Read()
	return nil
}

// batch makes prompts of the rows of b, whose numbers in their file are given.
func (p *preparer) batch(s *source, b *stream.Batch, numbers []int) (*kept, error) {
	pick := s.picker(b)
	meets, err := p.where.on(s, b)
	if err != nil {
		return nil, err
	}
	k := &kept{all: b}
	for i := range b.Len() {
		if p.left == 0 {
			break
		}
		p.rows++
		if !meets(i) {
			continue
		}
		row, err := p.row(s, pick, i, numbers[i])
		if err != nil {
			bad := &rowError{s.file.Name(), numbers[i], err}
			if p.aside == nil {
				return nil, bad
			}
			if err := p.aside.refused(bad, b, i); err != nil {
				return nil, err
			}
			continue
		}
		p.prompts++
		if p.left > 0 {
			p.left--
		}
		k.index, k.prompts = append(k.index, i), append(k.prompts, row)
	}
	return k, nil
}

// row makes the prompt of row i of a batch, the n'th of its file.
func (p *preparer) row(s *source, pick picker, i, n int) (row rows.Prompt, err error) {
	problem, err := pick.problem(i)
	if err != nil {
		return row, err
	}
	if problem == nil || strings.TrimSpace(*problem) == "" {
		return row, fmt.Errorf("column %s is empty", s.problem)
	}
	row.Problem = *problem
	for _, c := range []struct {
		from column
		to   **string
	}{{pick.truth, &row.GroundTruth}, {pick.source, &row.DataSource}, {pick.rubric, &row.Rubric}} {
		if *c.to, err = c.from.text(i); err != nil {
			return row, err
		}
	}
	row.Items = []rows.Item{}
	if row.Rubric != nil {
		items, err := rubric.Parse(*row.Rubric)
		if err != nil {
			return row, err
		}
		for _, item := range items {
			row.Items = append(row.Items, rows.Item(item))
		}
	}
	id, err := pick.id.text(i)
	if err != nil {
		return row, err
	}
	row.PromptID = fmt.Sprintf("row-%06d", p.before+n)
	if id != nil && *id != "" {
		row.PromptID = *id
	}
	if there, ok := p.ids[row.PromptID]; ok {
		return row, fmt.Errorf("prompt_id %q is that of %s already", row.PromptID, there)
	}
	p.ids[row.PromptID] = fmt.Sprintf("row %d of %s", n, s.file.Name())
	row.Messages = []rows.Message{{Role: "user", Content: message(row.Problem, p.instruction)}}
	return row, nil
}

// done says what became of the rows that are no prompts.
func (p *preparer) done(t *tool.Tool) error {
	if p.aside != nil && p.aside.n > 0 {
		if p.prompts == 0 {
			return tool.Inputf("all of the %d rows are bad", p.aside.n)
		}
		t.Warnf("%d bad rows set aside", p.aside.n)
	}
	if p.rows > 0 && p.prompts == 0 {
		t.Warnf("no row has %s", p.where.String())
	}
	if p.aside != nil {
		return p.aside.commit()
	}
	return nil
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
