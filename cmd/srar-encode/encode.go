package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"srar/lib/chat"
	"srar/lib/ckpt"
	"srar/lib/prompt"
	"srar/lib/rows"
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

// The columns that may hold the texts, and their types.
const (
	single = "response"
	many   = "responses"
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
	var err error
	if p.Encoder, err = prompt.Load(o.model); err != nil {
		return nil, err
	}
	c, err := ckpt.Open(o.model)
	if errors.Is(err, fs.ErrNotExist) && o.noEnd {
		return p, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, tool.WithHint(err, "with --no-end tokenizer and chat template are enough")
	}
	if err != nil {
		return nil, err
	}
	defer c.Close()
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
	read, err := reader(in.Schema())
	if err != nil {
		return err
	}
	out, err := t.Output(in.Schema().Without(many).With(rows.Rollouts.Name, rows.Rollouts.Fields()...))
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
		b = b.Without(many)
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

// reader returns what reads the texts of each row of a batch.
func reader(s *stream.Schema) (func(b *stream.Batch, n int) ([][]string, error), error) {
	i, one := s.Lookup(single)
	j, list := s.Lookup(many)
	switch {
	case one && list:
		return nil, tool.Inputf("rows: there are columns %s and %s; one of them can hold the texts", single, many)
	case !one && !list:
		return nil, tool.Inputf("rows: there is no column %s or %s", single, many)
	case one && s.Fields[i].Type.Kind != stream.Utf8:
		return nil, tool.Inputf("rows: column %s is %v, not utf8", single, s.Fields[i].Type)
	case list && !s.Fields[j].Type.Equal(stream.ListOf(stream.TUtf8, false)):
		return nil, tool.Inputf("rows: column %s is %v, not list<utf8>", many, s.Fields[j].Type)
	}
	if one {
		return func(b *stream.Batch, n int) ([][]string, error) {
			list, err := rows.Read[struct {
				Text string `col:"response"`
			}](b, n)
			texts := make([][]string, len(list))
			for i, r := range list {
				texts[i] = []string{r.Text}
			}
			return texts, err
		}, nil
	}
	return func(b *stream.Batch, n int) ([][]string, error) {
		list, err := rows.Read[struct {
			Texts []string `col:"responses"`
		}](b, n)
		texts := make([][]string, len(list))
		for i, r := range list {
			texts[i] = r.Texts
		}
		return texts, err
	}, nil
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
		tokens := p.Tokenizer.Encode(text)
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
