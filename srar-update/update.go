package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"srar/lib/ckpt"
	"srar/lib/llm"
	"srar/lib/op"
	"srar/lib/rows"
	"srar/lib/stream"
	"srar/lib/tool"
)

// metricsFile holds the command's Metric rows inside the checkpoint, so that a
// rerun that finds it complete can repeat them.
const metricsFile = "metrics.arrow"

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
	if err := u.load(); err != nil {
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

func (u *update) load() error {
	threads, err := u.tool.Threads()
	if err != nil {
		return err
	}
	be, err := op.NewCPU(threads)
	if err != nil {
		return err
	}
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
	fmt.Fprintf(h, "parent %s step %d made %s\ninput %s\n%s", u.digest, u.parent.Step(), u.parent.Meta().Made, u.in.Digest(),
		u.recipe(u.tool.Flags, "model", "out", "i", "o", "save", "whole", "compress", "quiet", "log", "h", "help", "version", "threads", "micro-tokens"))
	return fmt.Sprintf("sha256:%x", h.Sum(nil))
}

// again answers a run whose checkpoint exists already.
func (u *update) again(ctx context.Context) error {
	have, err := ckpt.Open(u.out)
	if err != nil {
		return fmt.Errorf("--out exists and is no checkpoint: %w", err)
	}
	defer have.Close()
	if err := u.each(ctx, func([]llm.Row) error { return nil }); err != nil {
		return err
	}
	if have.Meta().Made != u.made() {
		return tool.WithHint(fmt.Errorf("%s exists and was made from another parent, input or flags", u.out), "choose another --out, or remove it")
	}
	old, err := u.tool.OpenInput(filepath.Join(u.out, metricsFile), &rows.Metrics)
	if err != nil {
		return err
	}
	out, err := u.tool.Output(u.schema())
	if err != nil {
		return err
	}
	u.tool.Logf("%s is complete and was made from the same parent, input and flags", u.out)
	return tool.Each(old, func(b *stream.Batch, _ int) error { return out.Write(b) })
}

// trainRow holds the columns that the loss needs.
type trainRow struct {
	PromptID     string    `col:"prompt_id"`
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

// each reads the input to its proven end, a group at a time.
func (u *update) each(ctx context.Context, do func([]llm.Row) error) error {
	return tool.Each(u.in, func(b *stream.Batch, n int) error {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		group, err := u.group(b, n)
		if err != nil {
			return err
		}
		return do(group)
	})
}

func (u *update) group(b *stream.Batch, n int) ([]llm.Row, error) {
	list, err := rows.Read[trainRow](b, n)
	if err != nil {
		return nil, err
	}
	out := make([]llm.Row, len(list))
	for i, r := range list {
		if len(r.Logprobs) != 0 && len(r.Logprobs) != len(r.Tokens) {
			return nil, rows.Errorf(n, i, "column logprobs holds %d values for %d tokens", len(r.Logprobs), len(r.Tokens))
		}
		if !(r.Temperature > 0) || math.IsInf(float64(r.Temperature), 0) {
			return nil, rows.Errorf(n, i, "column temperature is %v", r.Temperature)
		}
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
			if len(r.Advantages) != len(out[i].Tokens) {
				return nil, rows.Errorf(n, i, "column advantages holds %d values for %d tokens", len(r.Advantages), len(out[i].Tokens))
			}
			out[i].Advantages = r.Advantages
		}
	}
	if u.loss.KL > 0 {
		ref, err := rows.Read[refColumn](b, n)
		if err != nil {
			return nil, tool.WithHint(err, "srar-logprob --column ref_logprobs --model REF adds it")
		}
		for i, r := range ref {
			if len(r.RefLogprobs) != len(out[i].Tokens) {
				return nil, rows.Errorf(n, i, "column ref_logprobs holds %d values for %d tokens", len(r.RefLogprobs), len(out[i].Tokens))
			}
			out[i].Ref = r.RefLogprobs
		}
	}
	return out, nil
}

// where adds the batch to an error of the engine, which names the row.
func where(batch int, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("batch %d: %w", batch, err)
}

// oneStep accumulates the gradient of each group as it arrives.
func (u *update) oneStep(ctx context.Context, emit func(rows.Metric) error) error {
	err := u.each(ctx, func(g []llm.Row) error {
		u.count(g)
		return where(u.in.Index(), u.trainer.Accumulate(g))
	})
	if err != nil || u.rows == 0 {
		return err
	}
	return u.step(emit, nil)
}

// difference is that of two sets of log-probabilities.
type difference struct{ mean, max float64 }

// step makes one optimiser step; diff, where it is known, replaces the
// trainer's difference of log-probabilities.
func (u *update) step(emit func(rows.Metric) error, diff *difference) error {
	k := u.trainer.Steps()
	m, err := u.trainer.Step(u.rate.at(k))
	if err != nil {
		return fmt.Errorf("step %d: %w", k+1, err)
	}
	row := rows.Metric{
		Step: k + 1, Loss: m.Loss, GradNorm: m.GradNorm, LR: m.LR, Entropy: m.Entropy,
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
	var groups [][]llm.Row
	if err := u.each(ctx, func(g []llm.Row) error {
		groups = append(groups, g)
		return nil
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
			for i, g := range groups[lo:min(lo+size, len(groups))] {
				if err := context.Cause(ctx); err != nil {
					return err
				}
				u.count(g)
				if err := u.trainer.Accumulate(g); err != nil {
					return where(lo+i, err)
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
func (u *update) freeze(ctx context.Context, groups [][]llm.Row) (*difference, error) {
	var fresh, given [][]float32
	for i, g := range groups {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		missing := func(r llm.Row) bool { return u.recompute || len(r.Old) == 0 }
		if !slices.ContainsFunc(g, missing) {
			continue
		}
		now, _, err := u.model.Score(g)
		if err != nil {
			return nil, where(i, err)
		}
		for j := range g {
			if missing(g[j]) {
				fresh, given = append(fresh, now[j]), append(given, g[j].Old)
				g[j].Old = now[j]
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

func (u *update) count(g []llm.Row) {
	for _, r := range g {
		u.done.Add(int64(len(r.Prompt) + len(r.Tokens)))
	}
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
		Files: map[string][]byte{metricsFile: metrics.Bytes()},
	})
}
