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
	"runtime/debug"
	"strings"
	"sync/atomic"

	"srar/lib/ckpt"
	"srar/lib/llm"
	"srar/lib/rows"
	"srar/lib/stream"
	"srar/lib/tool"
)

// update is one run of the command.
type update struct {
	*options
	tool    *tool.Tool
	parent  *ckpt.Checkpoint // the adapter applied, where there is one
	low     *ckpt.Adapter
	digest  string // of the parent's weights
	base    string // of those without adapter
	in      *tool.Input
	model   *llm.Model
	trainer *llm.Trainer
	metrics []metric
	first   llm.Difference // of the first step

	sameEngine  bool // the stream's log-probabilities are this engine's
	rowBytes    int64
	rows        int64 // read
	strange     int64 // sampled from another policy
	masked      int64 // left out, over all epochs
	skipped     int64 // mini-batches of such rows only
	taught      int64 // rows of the step to come, and those of another policy
	stepStrange int64
	done        atomic.Int64
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
	if err := u.adapt(); err != nil {
		return err
	}
	need, most, err := u.fit()
	if err != nil {
		return err
	}
	if o.dryRun {
		w, err := t.Text()
		if err != nil {
			return err
		}
		return report(w, need, most)
	}
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
	if !fits(need, most) {
		return tooLarge(need, most)
	}
	if err := ckpt.Probe(o.out); err != nil {
		return err
	}
	threads, err := t.Threads()
	if err != nil {
		return err
	}
	// What lives long is the backend's; tensors on their way are garbage at once.
	debug.SetGCPercent(20)
	if u.model, err = llm.LoadCPU(u.parent, llm.Trained, o.compute, threads); err != nil {
		return err
	}
	defer u.model.Close()
	if err := u.load(); err != nil {
		return err
	}
	u.sameEngine = o.loss.Kind != "nll" && computedBy(u.in.Schema().History, u.digest, u.parent.Config, o.compute)
	out, err := t.Output(u.schema())
	if err != nil {
		return err
	}
	t.Progress(func() string { return fmt.Sprintf("%d tokens", u.done.Load()) })
	emit := func(m metric) error {
		u.metrics = append(u.metrics, m)
		// A reader that has enough of the metrics does not end the training.
		if err := out.Write(rows.Batch([]metric{m})); err != nil && !errors.Is(err, stream.ErrClosed) {
			return err
		}
		return nil
	}
	if u.several() {
		err = u.steps(ctx, emit)
	} else {
		err = u.oneStep(ctx, emit)
	}
	if err == nil {
		err = context.Cause(ctx) // what was interrupted leaves no checkpoint
	}
	if err != nil {
		return err
	}
	u.tell()
	return u.write(ctx, out.Schema())
}

// adapt opens or makes the adapter, and makes the parent the model that it makes.
func (u *update) adapt() (err error) {
	l := &u.lora
	switch {
	case l.adapter != "":
		u.low, err = ckpt.OpenAdapter(l.adapter)
	case l.rank > 0:
		var modules []string
		if modules, err = l.modules(); err == nil {
			u.low, err = ckpt.NewAdapter(u.parent, l.rank, l.alpha, modules, l.seed)
		}
	default:
		return nil
	}
	if err != nil {
		return err
	}
	if err := u.parent.Apply(u.low); err != nil {
		return err
	}
	u.base, err = u.parent.Base()
	return err
}

// tell says what is worth knowing of the rows.
func (u *update) tell() {
	t := u.tool
	switch {
	case u.rows == 0:
		t.Warnf("the input holds no groups: %s has the weights of %s, nothing was trained", u.out, u.options.model)
	case len(u.metrics) == 0:
		t.Warnf("all rows are truncated: %s has the weights of %s, nothing was trained", u.out, u.options.model)
	case u.skipped > 0:
		t.Warnf("%d mini-batches of truncated rows only made no step", u.skipped)
	}
	if u.masked > 0 {
		t.Logf("%d truncated rows left out, over %d passes", u.masked, u.epochs)
	}
	if u.strange > 0 {
		t.Warnf("%d of %d rows were sampled from another policy than %s", u.strange, u.rows, u.options.model)
	}
	if d := u.first; d.Tokens > 0 && d.Max > 0 {
		t.Logf("log-probabilities of the stream differ from this engine's by %.3g on average, %.3g at most; correlation of probabilities %.6f", d.Mean, d.Max, d.Pearson)
	}
}

// schema is that of the metrics. They tell the history of the rows they are of.
func (u *update) schema() *stream.Schema {
	s := rows.Metrics.Schema()
	for _, c := range rows.Columns([]metric{{}})[len(s.Fields):] {
		s = s.With(rows.Metrics.Name, stream.Field{Name: c.Name, Type: c.Column.Type(), Nullable: c.Nullable})
	}
	s.History = u.in.Schema().History
	return s
}

// load makes the trainer, in the state in which the parent's was.
func (u *update) load() (err error) {
	if u.microTokens > 0 {
		u.model.MicroTokens = u.microTokens
	}
	if u.low != nil {
		u.trainer, err = llm.NewAdapterTrainer(u.model, u.parent, u.low, u.loss, u.optim)
	} else {
		u.trainer, err = llm.NewTrainer(u.model, u.loss, u.optim)
	}
	if err != nil {
		return err
	}
	u.trainer.CheckpointActivations, u.trainer.MostDifference = u.checkpoint, u.maxDiff
	opt, err := u.parent.Optimizer()
	if err != nil {
		return err
	}
	switch {
	case opt != nil:
		defer opt.Close()
		err := u.trainer.Restore(u.parent.Step(), opt)
		var bits *llm.BitsError
		if errors.As(err, &bits) {
			return tool.WithHint(err, "give the --optimizer of before, or make a fresh policy with srar-model release")
		}
		return err
	case u.parent.Step() > 0:
		if u.low != nil {
			return tool.WithHint(fmt.Errorf("%s: srar.json counts %d steps, but optimizer.safetensors is missing", u.lora.adapter, u.parent.Step()),
				"srar-model merge makes a fresh policy of it")
		}
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
	if u.low != nil {
		fmt.Fprintf(h, "adapter of %s, rank %d, alpha %v\n", u.base, u.low.Rank, u.low.Alpha)
	}
	return fmt.Sprintf("sha256:%x", h.Sum(nil))
}

// again answers a run whose checkpoint exists already.
func (u *update) again(ctx context.Context) error {
	made, err := u.existing()
	if err != nil {
		return fmt.Errorf("--out exists and is no checkpoint: %w", err)
	}
	if err := tool.Each(u.in, func(*stream.Batch, int) error { return context.Cause(ctx) }); err != nil {
		return err
	}
	if made != u.made() {
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

// existing returns what --out, which is there, was made from.
func (u *update) existing() (made string, err error) {
	if u.low != nil {
		a, err := ckpt.OpenAdapter(u.out)
		if err != nil {
			return "", err
		}
		return a.Meta.Made, nil
	}
	have, err := ckpt.Open(u.out)
	if err != nil {
		return "", err
	}
	return have.Meta().Made, have.Close()
}

// write makes the checkpoint. Nothing of it exists before.
func (u *update) write(ctx context.Context, s *stream.Schema) error {
	var metrics bytes.Buffer
	w, err := stream.NewWriter(&metrics, s, stream.Options{})
	if err != nil {
		return err
	}
	for _, m := range u.metrics {
		if err := w.Write(rows.Batch([]metric{m})); err != nil {
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
	err = u.tool.Finish(ctx, func(stop func() error) error {
		// The metrics are for a rerun that finds the checkpoint complete.
		if u.low != nil {
			meta.Base = u.base
			return ckpt.WriteAdapter(u.out, ckpt.AdapterUpdate{Adapter: u.low, Meta: meta, Optimizer: u.trainer.State(), Metrics: metrics.Bytes(), Stop: stop})
		}
		return ckpt.Write(u.out, ckpt.Update{Parent: u.parent, Meta: meta, Weights: u.trainer.Weight, Optimizer: u.trainer.State(), Metrics: metrics.Bytes(), Stop: stop})
	})
	if errors.Is(err, fs.ErrExist) {
		return tool.WithHint(err, "another update made it meanwhile; the same command again tells whether it is this one's")
	}
	return err
}
