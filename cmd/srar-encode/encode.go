package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"srar/lib/chat"
	"srar/lib/ckpt"
	"srar/lib/prompt"
	"srar/lib/rows"
	"srar/lib/steps"
	"srar/lib/stream"
	"srar/lib/tool"
)

type options struct {
	model   string
	noEnd   bool
	control bool
}

func setup(t *tool.Tool) func(context.Context) error {
	var o options
	t.Flags.StringVar(&o.model, "model", "", "")
	t.Flags.BoolVar(&o.noEnd, "no-end", false, "")
	t.Flags.BoolVar(&o.control, "control-tokens", false, "")
	t.Unrecorded("model")
	return func(ctx context.Context) error { return o.run(ctx, t) }
}

// The columns that may hold the texts. Verdict rows have another column steps,
// which is no text.
const (
	single = "response"  // utf8
	many   = "responses" // list<utf8>
	parts  = "steps"     // list<utf8>: the steps of one text
)

// policy is what encodes prompts and texts.
type policy struct {
	*prompt.Encoder
	end    []int32 // tokens that end a response
	digest string  // of the weights, "" without
	step   int64
}

func (o *options) load() (*policy, error) {
	p := &policy{}
	c, err := ckpt.Open(o.model)
	if errors.Is(err, fs.ErrNotExist) && o.noEnd {
		p.Encoder, err = prompt.Load(os.DirFS(o.model))
		return p, err
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, tool.WithHint(err, "with --no-end tokenizer and chat template are enough")
	}
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if p.Encoder, err = prompt.Load(c.Files()); err != nil {
		return nil, err
	}
	if p.digest, err = c.Digest(); err != nil {
		return nil, err
	}
	p.end, p.step = c.Config.EOS, c.Step()
	if len(p.end) == 0 && !o.noEnd {
		return nil, tool.WithHint(fmt.Errorf("%s: neither generation_config.json nor config.json names an end token", o.model), "--no-end leaves it out")
	}
	return p, nil
}

func (o *options) run(ctx context.Context, t *tool.Tool) error {
	if o.model == "" {
		return tool.Usagef("--model is missing")
	}
	if err := t.NoArgs(); err != nil {
		return err
	}
	p, err := o.load()
	if err != nil {
		return err
	}
	if p.digest != "" {
		t.Record("model", p.digest)
	}
	in, err := t.Input(&rows.Prompts)
	if err != nil {
		return err
	}
	read, gone, err := reader(in.Schema())
	if err != nil {
		return err
	}
	out, err := t.Output(in.Schema().Without(gone...).With(rows.Rollouts.Name, rows.Rollouts.Fields()...))
	if err != nil {
		return err
	}
	return tool.Each(in, func(b *stream.Batch, n int) error {
		list, err := rows.Read[rows.Prompt](b, n)
		if err != nil {
			return err
		}
		texts, err := read(b, n)
		if err != nil {
			return err
		}
		b = b.Without(gone...)
		for i, row := range list {
			if err := ctx.Err(); err != nil {
				return err
			}
			group, err := o.group(p, row.Messages, texts[i])
			if err != nil {
				return rows.Errorf(n, i, "prompt %q: %v", row.PromptID, err)
			}
			if len(group) == 0 {
				continue // a prompt without texts has no rollouts
			}
			if err := out.Write(b.Take(slices.Repeat([]int{i}, len(group))).With(rows.Columns(group)...)); err != nil {
				return err
			}
		}
		return nil
	})
}

// readTexts reads the texts of each row of batch n.
type readTexts func(b *stream.Batch, n int) ([][]string, error)

// reader returns what reads the texts and the columns that go then.
func reader(s *stream.Schema) (read readTexts, gone []string, err error) {
	var found []string
	for _, name := range []string{single, many, parts} {
		i, ok := s.Lookup(name)
		if !ok {
			continue
		}
		want := stream.ListOf(stream.TUtf8, false)
		if name == single {
			want = stream.TUtf8
		}
		if !s.Fields[i].Type.Equal(want) {
			if name == parts {
				continue
			}
			return nil, nil, tool.Inputf("rows: column %s is %v, not %v", name, s.Fields[i].Type, want)
		}
		found = append(found, name)
	}
	switch len(found) {
	case 0:
		return nil, nil, tool.Inputf("rows: there is no column %s, %s or %s", single, many, parts)
	case 1:
	default:
		return nil, nil, tool.Inputf("rows: there are columns %s; one of them can hold the texts", strings.Join(found, " and "))
	}
	switch found[0] {
	case single:
		return func(b *stream.Batch, n int) ([][]string, error) {
			return texts(b, n, func(r struct {
				Text string `col:"response"`
			}) ([]string, error) {
				return []string{r.Text}, nil
			})
		}, nil, nil
	case many:
		return func(b *stream.Batch, n int) ([][]string, error) {
			return texts(b, n, func(r struct {
				Texts []string `col:"responses"`
			}) ([]string, error) {
				return r.Texts, nil
			})
		}, found, nil
	}
	return func(b *stream.Batch, n int) ([][]string, error) {
		return texts(b, n, func(r struct {
			Steps []string `col:"steps"`
		}) ([]string, error) {
			text, err := join(r.Steps)
			return []string{text}, err
		})
	}, found, nil
}

// texts reads the texts of each row of batch n.
func texts[T any](b *stream.Batch, n int, of func(r T) ([]string, error)) ([][]string, error) {
	list, err := rows.Read[T](b, n)
	if err != nil {
		return nil, err
	}
	out := make([][]string, len(list))
	for i, r := range list {
		if out[i], err = of(r); err != nil {
			return nil, rows.Errorf(n, i, "%v", err)
		}
	}
	return out, nil
}

// join puts each step under its heading.
func join(list []string) (string, error) {
	var b strings.Builder
	for k, s := range list {
		fmt.Fprintf(&b, "### Step %d: %s\n", k+1, s)
	}
	text := b.String()
	if n := len(steps.Split(text)); n != len(list) {
		return "", fmt.Errorf("column %s holds %d steps, which read as %d", parts, len(list), n)
	}
	return text, nil
}

// group makes the rollouts of one prompt.
func (o *options) group(p *policy, messages []rows.Message, texts []string) ([]rows.Generation, error) {
	msgs := make([]chat.Message, len(messages))
	for i, m := range messages {
		msgs[i] = chat.Message(m)
	}
	ids, err := p.Encode(msgs, o.control)
	if err != nil {
		return nil, err
	}
	group := make([]rows.Generation, len(texts))
	for i, text := range texts {
		tokens, err := p.Tokenizer.Encode(text)
		if err != nil {
			return nil, err
		}
		if !o.noEnd {
			tokens = append(tokens, p.end[0])
		}
		finish := "length"
		if len(tokens) > 0 && slices.Contains(p.end, tokens[len(tokens)-1]) {
			finish = "stop"
		}
		response, offsets := p.Tokenizer.Decode(tokens)
		group[i] = rows.Generation{
			Rollout: int32(i), PromptTokens: ids, Tokens: tokens, Offsets: offsets, Response: response,
			Temperature: 1, Finish: finish, Policy: p.digest, PolicyStep: p.step,
		}
	}
	return group, nil
}
