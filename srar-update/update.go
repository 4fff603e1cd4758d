package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"srar/lib/ckpt"
	"srar/lib/llm"
	"srar/lib/op"
	"srar/lib/rows"
	"srar/lib/stream"
	"srar/lib/tool"
)

// update is one run of the command.
type update struct {
	*options
	tool    *tool.Tool
	parent  *ckpt.Checkpoint
	digest  string // of the parent's weights
	in      *tool.Input
	model   *llm.Model
	trainer *llm.Trainer
	metrics []rows.Metric

	rows    int64 // read
	strange int64 // sampled from another policy
	done    atomic.Int64
}

func (o *options) run(ctx context.Context, t *tool.Tool) (err error) {
	if err := o.check(t); err != nil {
		return err
	}
	u := &update{options: o, tool: t}
	if u.parent, err = ckpt.Open(o.model); err != nil {
		return err
	}
	defer u.parent.Close()
	if u.digest, err = u.parent.Digest(); err != nil {
		return err
	}
	t.Record("model", u.digest)
	kind := &rows.Advantages
	if o.loss.Kind == "nll" {
		kind = &rows.Rollouts
	}
	if u.in, err = t.Input(kind); err != nil {
		return err
	}
	if _, err := os.Lstat(o.out); err == nil {
		return u.again(ctx)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	threads, err := t.Threads()
	if err != nil {
		return err
	}
	be, err := op.NewCPU(threads)
	if err != nil {
		return err
	}
	defer be.Close()
	if err := u.load(be); err != nil {
		return err
	}
	out, err := t.Output(u.schema())
	if err != nil {
		return err
	}
	t.Progress(func() string { return fmt.Sprintf("%d tokens", u.done.Load()) })
	emit := func(m rows.Metric) error {
		u.metrics = append(u.metrics, m)
		// A reader that has enough of the metrics does not end the training.
		if err := out.Write(rows.Batch([]rows.Metric{m})); err != nil && !errors.Is(err, stream.ErrClosed) {
			return err
		}
		return nil
	}
	if o.miniBatch == 0 && o.epochs == 1 && !o.recompute {
		err = u.oneStep(ctx, emit)
	} else {
		err = u.steps(ctx, emit)
	}
	if err == nil {
		err = context.Cause(ctx) // what was interrupted leaves no checkpoint
	}
	if err != nil {
		return err
	}
	if len(u.metrics) == 0 {
		t.Warnf("the input holds no groups: %s has the weights of %s, nothing was trained", o.out, o.model)
	}
	if u.strange > 0 {
		t.Warnf("%d of %d rows were sampled from another policy than %s", u.strange, u.rows, o.model)
	}
	return u.write(out.Schema())
}

// schema is that of the metrics. They tell the history of the rows they are of.
func (u *update) schema() *stream.Schema {
	s := rows.Metrics.Schema()
	s.History = u.in.Schema().History
	return s
}

// load makes the trainer, in the state in which the parent's was.
func (u *update) load(be op.Backend) (err error) {
	if u.model, err = llm.Load(be, u.parent); err != nil {
		return err
	}
	if u.microTokens > 0 {
		u.model.MicroTokens = u.microTokens
	}
	if u.trainer, err = llm.NewTrainer(u.model, u.loss, u.optim); err != nil {
		return err
	}
	opt, err := u.parent.Optimizer()
	if err != nil {
		return err
	}
	switch {
	case opt != nil:
		defer opt.Close()
		return u.trainer.Restore(u.parent.Step(), opt)
	case u.parent.Step() > 0:
		return tool.WithHint(fmt.Errorf("%s: srar.json counts %d steps, but optimizer.safetensors is missing", u.options.model, u.parent.Step()),
			"srar-model release makes a fresh policy of its weights")
	}
	return nil
}

// made names everything that the checkpoint depends on. It is known once the
// input has been read to its end.
func (u *update) made() string {
	h := sha256.New()
	fmt.Fprintf(h, "parent %s step %d made %s\ninput %s\n%s\n", u.digest, u.parent.Step(), u.parent.Meta().Made, u.in.Digest(),
		strings.Join(u.tool.Settings(), "\n"))
	return fmt.Sprintf("sha256:%x", h.Sum(nil))
}

// again answers a run whose checkpoint exists already.
func (u *update) again(ctx context.Context) error {
	have, err := ckpt.Open(u.out)
	if err != nil {
		return fmt.Errorf("--out exists and is no checkpoint: %w", err)
	}
	defer have.Close()
	if err := tool.Each(u.in, func(*stream.Batch, int) error { return context.Cause(ctx) }); err != nil {
		return err
	}
	if have.Meta().Made != u.made() {
		return tool.WithHint(fmt.Errorf("%s exists and was made from another parent, input or flags", u.out), "choose another --out, or remove it")
	}
	old, err := u.tool.OpenInput(filepath.Join(u.out, ckpt.MetricsFile), &rows.Metrics)
	if err != nil {
		return err
	}
	defer old.Close()
	out, err := u.tool.Output(u.schema())
	if err != nil {
		return err
	}
	u.tool.Logf("%s is complete and was made from the same parent, input and flags", u.out)
	return tool.Each(old, func(b *stream.Batch, _ int) error { return out.Write(b) })
}

// trainRow holds the columns that the loss needs.
type trainRow struct {
	Policy       string    `col:"policy"`
	PromptTokens []int32   `col:"prompt_tokens"`
	Tokens       []int32   `col:"tokens"`
	Logprobs     []float32 `col:"logprobs"`
	Temperature  float32   `col:"temperature"`
}

type advantageColumn struct {
	Advantages []float32 `col:"advantages"`
}

type refColumn struct {
	RefLogprobs []float32 `col:"ref_logprobs"`
}

// group is a record batch with rows: those of one prompt.
type group struct {
	batch int // number in the stream
	rows  []llm.Row
}

// each reads the input to its proven end, a group at a time.
func (u *update) each(ctx context.Context, do func(group) error) error {
	return tool.Each(u.in, func(b *stream.Batch, n int) error {
		if err := context.Cause(ctx); err != nil || b.Len() == 0 {
			return err
		}
		list, err := u.read(b, n)
		if err != nil {
			return err
		}
		return do(group{n, list})
	})
}

// read returns the rows of the n'th batch. The engine checks what they hold.
func (u *update) read(b *stream.Batch, n int) ([]llm.Row, error) {
	if err := rows.OneGroup(b, n); err != nil {
		return nil, err
	}
	list, err := rows.Read[trainRow](b, n)
	if err != nil {
		return nil, err
	}
	out := make([]llm.Row, len(list))
	for i, r := range list {
		out[i] = llm.Row{Prompt: r.PromptTokens, Tokens: r.Tokens, Temperature: r.Temperature, Old: r.Logprobs}
		u.rows++
		if u.loss.Kind == "pg" && r.Policy != u.digest {
			u.strange++
			if u.samePolicy {
				return nil, rows.Errorf(n, i, "sampled from policy %s, --model is %s", r.Policy, u.digest)
			}
		}
	}
	if u.loss.Kind == "pg" {
		adv, err := rows.Read[advantageColumn](b, n)
		if err != nil {
			return nil, err
		}
		for i, r := range adv {
			out[i].Advantages = r.Advantages
		}
	}
	if u.loss.KL > 0 {
		ref, err := rows.Read[refColumn](b, n)
		if err != nil {
			return nil, tool.WithHint(err, "srar-logprob --column ref_logprobs --model REF adds it")
		}
		for i, r := range ref {
			out[i].Ref = r.RefLogprobs
		}
	}
	return out, nil
}

// where adds the batch to an error of the engine, which names the row. What a
// row holds is the input's fault.
func where(batch int, err error) error {
	var bad *llm.RowError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &bad):
		return rows.Errorf(batch, bad.Row, "%v", bad.Err)
	}
	return fmt.Errorf("batch %d: %w", batch, err)
}

// oneStep accumulates the gradient of each group as it arrives.
func (u *update) oneStep(ctx context.Context, emit func(rows.Metric) error) error {
	err := u.each(ctx, u.accumulate)
	if err != nil || u.rows == 0 {
		return err
	}
	return u.step(emit, nil)
}

func (u *update) accumulate(g group) error {
	for _, r := range g.rows {
		u.done.Add(int64(len(r.Prompt) + len(r.Tokens)))
	}
	return where(g.batch, u.trainer.Accumulate(g.rows))
}

// difference is that of two sets of log-probabilities.
type difference struct{ mean, max float64 }

// step makes one optimiser step; diff, where it is known, replaces the
// trainer's difference of log-probabilities.
func (u *update) step(emit func(rows.Metric) error, diff *difference) error {
	m, err := u.trainer.Step(u.rate.at(u.trainer.Steps()))
	if err != nil {
		return err
	}
	row := rows.Metric{
		Step: u.trainer.Steps(), Loss: m.Loss, GradNorm: m.GradNorm, LR: m.LR, Entropy: m.Entropy,
		RatioMax: m.RatioMax, ClipFraction: m.ClipFraction, KL: m.KL,
		LogprobDiffMean: m.LogprobDiffMean, LogprobDiffMax: m.LogprobDiffMax,
		Tokens: m.Tokens, Rollouts: m.Rollouts,
	}
	if diff != nil {
		row.LogprobDiffMean, row.LogprobDiffMax = diff.mean, diff.max
	}
	return emit(row)
}

// steps makes several steps over rows held in memory.
func (u *update) steps(ctx context.Context, emit func(rows.Metric) error) error {
	var groups []group
	if err := u.each(ctx, func(g group) error {
		groups = append(groups, g)
		return where(g.batch, u.trainer.Check(g.rows))
	}); err != nil {
		return err
	}
	size := u.miniBatch
	if size == 0 {
		size = len(groups)
	}
	var diff *difference
	if u.loss.Kind == "pg" {
		var err error
		if diff, err = u.freeze(ctx, groups); err != nil {
			return err
		}
	}
	for range u.epochs {
		for lo := 0; lo < len(groups); lo += size {
			for _, g := range groups[lo:min(lo+size, len(groups))] {
				if err := context.Cause(ctx); err != nil {
					return err
				}
				if err := u.accumulate(g); err != nil {
					return err
				}
			}
			if err := u.step(emit, diff); err != nil {
				return err
			}
		}
	}
	return nil
}

// freeze fills the old log-probabilities of rows that have none, or of all with
// --recompute, at the weights before the first step. With --recompute it
// returns how far the stream's values are from them.
func (u *update) freeze(ctx context.Context, groups []group) (*difference, error) {
	var fresh, given [][]float32
	for _, g := range groups {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		missing := func(r llm.Row) bool { return u.recompute || len(r.Old) == 0 }
		if !slices.ContainsFunc(g.rows, missing) {
			continue
		}
		now, _, err := u.model.Score(g.rows)
		if err != nil {
			return nil, where(g.batch, err)
		}
		for i := range g.rows {
			if r := &g.rows[i]; missing(*r) {
				fresh, given = append(fresh, now[i]), append(given, r.Old)
				r.Old = now[i]
			}
		}
	}
	if !u.recompute {
		return nil, nil
	}
	var d difference
	d.mean, d.max = llm.Difference(fresh, given)
	return &d, nil
}

// write makes the checkpoint. Nothing of it exists before.
func (u *update) write(s *stream.Schema) error {
	var metrics bytes.Buffer
	w, err := stream.NewWriter(&metrics, s, stream.Options{})
	if err != nil {
		return err
	}
	for _, m := range u.metrics {
		if err := w.Write(rows.Batch([]rows.Metric{m})); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	meta := ckpt.Meta{Step: u.trainer.Steps(), Parent: u.digest, Made: u.made()}
	for _, e := range s.History {
		b, err := json.Marshal(e)
		if err != nil {
			return err
		}
		meta.History = append(meta.History, b)
	}
	return ckpt.Write(u.out, ckpt.Update{
		Parent: u.parent, Meta: meta, Weights: u.trainer.Weights(), M: u.trainer.M(), V: u.trainer.V(),
		Metrics: metrics.Bytes(), // for a rerun that finds the checkpoint complete
	})
}
