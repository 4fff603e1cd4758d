package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"

	"srar/lib/llm"
	"srar/lib/rows"
)

// metric is a row of the output: that of the kind, and what else is known.
type metric struct {
	rows.Metric
	DualClipFraction float64  `col:"dual_clip_fraction"`
	LogprobPearson   *float64 `col:"logprob_pearson" null:"yes"`
	Importance       float64  `col:"importance"`
	OtherPolicy      int64    `col:"other_policy"`
}

// several reports whether the rows are needed again after a step, or all of them
// before the first.
func (o *options) several() bool { return o.miniBatch > 0 || o.epochs > 1 }

// oneStep accumulates the gradient of each group as it arrives.
func (u *update) oneStep(ctx context.Context, emit func(metric) error) error {
	err := u.each(ctx, u.accumulate)
	if err != nil || u.rows == 0 {
		return err
	}
	return u.step(emit, nil)
}

func (u *update) accumulate(g group) error {
	for i := range g.rows {
		r := &g.rows[i]
		u.done.Add(int64(len(r.Prompt) + len(r.Tokens)))
		if r.Masked {
			u.masked++
		} else {
			u.taught++
		}
	}
	u.stepStrange += g.strange
	return where(g.batch, u.trainer.Accumulate(g.rows))
}

// step makes one optimiser step; diff, where it is known, replaces the
// trainer's difference of log-probabilities. A mini-batch whose rows are all
// masked makes no step.
func (u *update) step(emit func(metric) error, diff *llm.Difference) error {
	strange, taught := u.stepStrange, u.taught
	u.stepStrange, u.taught = 0, 0
	if taught == 0 {
		u.skipped++
		u.trainer.Forget()
		return nil
	}
	m, err := u.trainer.Step(u.rate.at(u.trainer.Steps()))
	if err != nil {
		return err
	}
	if diff == nil {
		diff = &m.Logprobs
	}
	row := metric{
		Metric: rows.Metric{
			Step: u.trainer.Steps(), Loss: m.Loss, GradNorm: m.GradNorm, LR: m.LR, Entropy: m.Entropy,
			RatioMax: m.RatioMax, ClipFraction: m.ClipFraction, KL: m.KL,
			LogprobDiffMean: diff.Mean, LogprobDiffMax: diff.Max,
			Tokens: m.Tokens, Rollouts: m.Rollouts, Excluded: m.Masked,
		},
		DualClipFraction: m.DualClipFraction, Importance: m.Importance, OtherPolicy: strange,
	}
	if !math.IsNaN(diff.Pearson) {
		row.LogprobPearson = &diff.Pearson
	}
	if len(u.metrics) == 0 {
		u.first = *diff
	}
	return emit(row)
}

// steps makes several steps over rows that are kept.
func (u *update) steps(ctx context.Context, emit func(metric) error) error {
	kept := &store{dir: spoolDir(u.out), bound: u.rowBytes}
	defer kept.close()
	if err := u.each(ctx, func(g group) error {
		if err := u.trainer.Check(g.rows); err != nil {
			return where(g.batch, err)
		}
		return kept.add(g)
	}); err != nil {
		return err
	}
	if kept.file != nil {
		u.tool.Logf("rows beyond %s are on disk, in %s", sizeOf(u.rowBytes), kept.dir)
	}
	var diff *llm.Difference
	if u.loss.Kind != "nll" {
		var err error
		if diff, err = u.freeze(ctx, kept); err != nil {
			return err
		}
	}
	size := u.miniBatch
	if size == 0 {
		size = kept.len()
	}
	for epoch := range u.epochs {
		for part := range slices.Chunk(u.order(kept.len(), epoch), max(size, 1)) {
			for _, i := range part {
				if err := context.Cause(ctx); err != nil {
					return err
				}
				g, err := kept.get(i)
				if err != nil {
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

// order returns the order of n groups in an epoch: that of the stream, or with
// --shuffle that of the SHA-256 of seed, epoch and place.
func (u *update) order(n, epoch int) []int {
	list, keys := make([]int, n), make([][sha256.Size]byte, n)
	for i := range list {
		list[i] = i
	}
	if !u.shuffled {
		return list
	}
	for i := range keys {
		var b []byte
		for _, x := range []uint64{u.shuffle, uint64(epoch), uint64(i)} {
			b = binary.LittleEndian.AppendUint64(b, x)
		}
		keys[i] = sha256.Sum256(b)
	}
	slices.SortFunc(list, func(a, b int) int { return bytes.Compare(keys[a][:], keys[b][:]) })
	return list
}

// freeze fills the old log-probabilities of rows that have none, those of all
// with --recompute, at the weights before the first step. Where all rows are
// scored it returns how far the stream's values are from these.
func (u *update) freeze(ctx context.Context, kept *store) (*llm.Difference, error) {
	var diff llm.Comparison
	all := u.recompute || !math.IsInf(u.trainer.MostDifference, 1)
	for n := range kept.len() {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		g, err := kept.get(n)
		if err != nil {
			return nil, err
		}
		if !all && !slices.ContainsFunc(g.rows, func(r llm.Row) bool { return len(r.Old) == 0 && len(r.Tokens) > 0 }) {
			continue
		}
		now, _, err := u.model.Score(g.rows)
		if err == nil {
			err = u.trainer.Agree(g.rows, now)
		}
		if err != nil {
			return nil, where(g.batch, err)
		}
		for i := range g.rows {
			r := &g.rows[i]
			was := r.Old
			if u.recompute {
				was = r.Sampled
			}
			if all && !r.Masked {
				diff.Add(now[i], was)
			}
			if len(r.Old) == 0 {
				r.Old = now[i]
			}
		}
		if err := kept.put(n, g); err != nil {
			return nil, err
		}
	}
	if !all {
		return nil, nil
	}
	d := diff.Result()
	return &d, nil
}
