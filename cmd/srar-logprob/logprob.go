package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"srar/lib/ckpt"
	"srar/lib/llm"
	"srar/lib/rows"
	"srar/lib/stream"
	"srar/lib/tool"
)

type options struct {
	model       string
	adapter     string // "": none
	column      string
	temperature float64 // 0: the row's
	compute     string
}

func setup(t *tool.Tool) func(context.Context) error {
	var o options
	t.Flags.StringVar(&o.model, "model", "", "")
	t.Flags.StringVar(&o.adapter, "adapter", "", "")
	t.Flags.StringVar(&o.column, "column", "logprobs", "")
	t.Flags.Float64Var(&o.temperature, "temperature", 0, "")
	t.Flags.StringVar(&o.compute, "compute", "auto", "")
	t.ThreadsFlag()
	t.Unrecorded("model", "adapter")
	return func(ctx context.Context) error { return o.run(ctx, t) }
}

func (o *options) check(t *tool.Tool) error {
	switch {
	case o.model == "":
		return tool.Usagef("--model is missing")
	case !slices.Contains(llm.Computes, o.compute):
		return tool.Usagef("--compute is auto, f32 or bf16, not %q", o.compute)
	case t.IsSet("temperature") && !(o.temperature > 0 && float32(o.temperature) > 0 && o.temperature <= 1e6):
		return tool.Usagef("--temperature is above 0, not %v", o.temperature)
	case o.column == "":
		return tool.Usagef("--column is empty")
	}
	for _, c := range rows.Advantages.Columns { // the last kind that a stream of rollouts can have
		if c.Name == o.column && o.column != "logprobs" {
			return tool.Usagef("--column %s would replace a column that %s makes", o.column, c.Owner)
		}
	}
	return t.NoArgs()
}

// row is what the model reads of a rollout.
type row struct {
	Prompt      []int32 `col:"prompt_tokens"`
	Tokens      []int32 `col:"tokens"`
	Temperature float32 `col:"temperature"`
}

func (o *options) run(ctx context.Context, t *tool.Tool) error {
	if err := o.check(t); err != nil {
		return err
	}
	threads, err := t.Threads()
	if err != nil {
		return err
	}
	c, err := ckpt.OpenAdapted(o.model, o.adapter)
	if err != nil {
		return err
	}
	defer c.Close()
	digest, err := c.Digest()
	if err != nil {
		return err
	}
	m, err := llm.LoadCPU(c, llm.Frozen, o.compute, threads)
	if err != nil {
		return err
	}
	defer m.Close()
	t.Record("model", digest)
	in, err := t.Input(&rows.Rollouts)
	if err != nil {
		return err
	}
	list := stream.Field{Name: o.column, Type: stream.ListOf(stream.TFloat32, false)}
	out, err := t.Output(in.Schema().With(cmp.Or(in.Schema().RowKind, rows.Rollouts.Name), list))
	if err != nil {
		return err
	}
	var done atomic.Int64
	start := time.Now()
	t.Progress(func() string {
		n := done.Load()
		return fmt.Sprintf("%d tokens, %.0f tokens/s", n, float64(n)/time.Since(start).Seconds())
	})
	err = tool.Each(in, func(b *stream.Batch, n int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		cols, tokens, err := o.score(m, b, n)
		if err != nil {
			return err
		}
		done.Add(int64(tokens))
		return out.Write(b.With(cols...))
	})
	if err == nil {
		n := done.Load()
		t.Logf("%d tokens, %.0f tokens/s", n, float64(n)/time.Since(start).Seconds())
	}
	return err
}

// score returns the new columns of the n'th batch and the number of its tokens.
func (o *options) score(m *llm.Model, b *stream.Batch, n int) ([]stream.Named, int, error) {
	list, err := rows.Read[row](b, n)
	if err != nil {
		return nil, 0, err
	}
	in := make([]llm.Row, len(list))
	for i, r := range list {
		if o.temperature > 0 {
			r.Temperature = float32(o.temperature)
		}
		in[i] = llm.Row{Prompt: r.Prompt, Tokens: r.Tokens, Temperature: r.Temperature}
	}
	logp, _, err := m.Score(in)
	var bad *llm.RowError
	switch {
	case errors.As(err, &bad):
		return nil, 0, rows.Errorf(n, bad.Row, "%v", bad.Err)
	case err != nil:
		return nil, 0, fmt.Errorf("batch %d: %w", n, err)
	}
	offsets := make([]int32, 1, len(logp)+1)
	for _, l := range logp {
		offsets = append(offsets, offsets[len(offsets)-1]+int32(len(l)))
	}
	cols := []stream.Named{{Name: o.column, Column: stream.NewLists(offsets, stream.NewFloat32s(slices.Concat(logp...), nil), false, nil)}}
	if o.temperature > 0 && o.column == "logprobs" {
		t := slices.Repeat([]float32{float32(o.temperature)}, len(list))
		cols = append(cols, stream.Named{Name: "temperature", Column: stream.NewFloat32s(t, nil)})
	}
	return cols, int(offsets[len(list)]), nil
}
