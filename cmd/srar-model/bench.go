package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"srar/lib/ckpt"
	"srar/lib/llm"
	"srar/lib/op"
	"srar/lib/tool"
)

// shape is a model that bench makes for itself, with random weights.
type shape struct {
	name   string
	config ckpt.Config
}

var shapes = []shape{
	{"tiny", ckpt.Config{ModelType: "qwen3", Vocab: 512, Hidden: 128, Intermediate: 384, Layers: 4, Heads: 4, KVHeads: 2, HeadDim: 32}},
	{"25m", ckpt.Config{ModelType: "qwen3", Vocab: 8192, Hidden: 384, Intermediate: 1024, Layers: 12, Heads: 6, KVHeads: 2, HeadDim: 64}},
	{"135m", ckpt.Config{ModelType: "llama", Vocab: 49152, Hidden: 576, Intermediate: 1536, Layers: 30, Heads: 9, KVHeads: 3, HeadDim: 64}},
}

// bench holds the flags of the subcommand.
type bench struct {
	shapes, compute, rows string
	prompt, tokens        int
	batch, length         int
	repeat                int
	json                  bool

	threads  int
	counts   []int // of rows
	made     []shape
	computes []string
	report   reporter
	ceilings map[op.Numerics]op.Ceiling
	doing    atomic.Value // string, for the progress
}

// benchFlags names the flags of bench.
var benchFlags = []string{"shapes", "compute", "rows", "prompt", "tokens", "batch", "length", "repeat", "json", "threads", "o"}

func (b *bench) register(t *tool.Tool) {
	t.Flags.StringVar(&b.shapes, "shapes", "tiny,25m,135m", "")
	t.Flags.StringVar(&b.compute, "compute", "auto", "")
	t.Flags.StringVar(&b.rows, "rows", "1,8,64", "")
	t.Flags.IntVar(&b.prompt, "prompt", 64, "")
	t.Flags.IntVar(&b.tokens, "tokens", 256, "")
	t.Flags.IntVar(&b.batch, "batch", 8, "")
	t.Flags.IntVar(&b.length, "length", 512, "")
	t.Flags.IntVar(&b.repeat, "repeat", 3, "")
	t.Flags.BoolVar(&b.json, "json", false, "")
}

// run measures the model at path or, if that is "", the shapes.
func (b *bench) run(ctx context.Context, t *tool.Tool, path string) error {
	if err := b.check(t, path); err != nil {
		return err
	}
	w, err := t.Text()
	if err != nil {
		return err
	}
	b.report, b.ceilings = reporter{w: w, json: b.json}, map[op.Numerics]op.Ceiling{}
	b.doing.Store("")
	t.Progress(func() string { return b.doing.Load().(string) })
	if path != "" {
		return b.model(ctx, filepath.Base(filepath.Clean(path)), path)
	}
	dir, err := os.MkdirTemp("", "srar-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, s := range b.made {
		b.doing.Store("making " + s.name)
		c, err := ckpt.Default(s.config.ModelType)
		if err != nil {
			return err
		}
		d := s.config
		c.Vocab, c.Hidden, c.Intermediate, c.Layers, c.Heads, c.KVHeads, c.HeadDim = d.Vocab, d.Hidden, d.Intermediate, d.Layers, d.Heads, d.KVHeads, d.HeadDim
		c.Tied, c.MaxPositions = true, b.prompt+b.tokens+b.length
		at := filepath.Join(dir, s.name)
		if err := ckpt.Init(at, c, nil, 1, nil); err != nil {
			return err
		}
		if err := b.model(ctx, s.name, at); err != nil {
			return err
		}
	}
	return nil
}

// check checks the flags.
func (b *bench) check(t *tool.Tool, path string) (err error) {
	if b.threads, err = t.Threads(); err != nil {
		return err
	}
	if b.rows != "none" {
		for s := range strings.SplitSeq(b.rows, ",") {
			n, err := strconv.Atoi(s)
			if err != nil || n < 1 {
				return tool.Usagef("--rows is none or numbers of sequences, such as 1,8,64, not %q", b.rows)
			}
			b.counts = append(b.counts, n)
		}
	}
	b.computes = strings.Split(b.compute, ",")
	for _, c := range b.computes {
		if !slices.Contains(llm.Computes, c) {
			return tool.Usagef("--compute is one or more of %s, not %q", strings.Join(llm.Computes, ","), c)
		}
	}
	if path != "" && t.IsSet("shapes") {
		return tool.Usagef("--shapes has no effect beside a model")
	}
	for name := range strings.SplitSeq(b.shapes, ",") {
		i := slices.IndexFunc(shapes, func(s shape) bool { return s.name == name })
		if i < 0 {
			return tool.Usagef("--shapes is one or more of tiny,25m,135m, not %q", name)
		}
		b.made = append(b.made, shapes[i])
	}
	for _, f := range []struct {
		name         string
		value, least int
	}{{"prompt", b.prompt, 1}, {"tokens", b.tokens, 3}, {"batch", b.batch, 0}, {"length", b.length, 2}, {"repeat", b.repeat, 1}} {
		if f.value < f.least {
			return tool.Usagef("--%s is %d or more, not %d", f.name, f.least, f.value)
		}
	}
	return nil
}

// model measures the checkpoint at path in each arithmetic.
func (b *bench) model(ctx context.Context, name, path string) error {
	c, err := ckpt.Open(path)
	if err != nil {
		return err
	}
	defer c.Close()
	c.Config.EOS = nil // nothing ends early
	for _, compute := range b.computes {
		n := op.F32
		if compute == "bf16" || compute == "auto" && c.Config.DType == "bfloat16" {
			n = op.BF16
		}
		if err := b.arithmetic(ctx, name, c, n); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (b *bench) arithmetic(ctx context.Context, name string, c *ckpt.Checkpoint, n op.Numerics) error {
	b.doing.Store("measuring the machine")
	if _, ok := b.ceilings[n]; !ok {
		top, err := op.Measure(b.threads, n)
		if err != nil {
			return err
		}
		b.ceilings[n] = top
		if err := b.report.ceiling(top); err != nil {
			return err
		}
	}
	be, err := op.NewCPU(b.threads, n)
	if err != nil {
		return err
	}
	defer be.Close()
	m := &meter{Backend: be}
	b.doing.Store("loading " + name)
	model, err := llm.Load(m, c, llm.Trained)
	if err != nil {
		return err
	}
	s := subject{bench: b, meter: m, model: model, config: c.Config, numerics: n, top: b.ceilings[n]}
	for _, rows := range b.counts {
		b.doing.Store(fmt.Sprintf("%s, %v: decoding %d", name, n, rows))
		r, err := s.decode(ctx, rows)
		if err != nil {
			return err
		}
		if err := b.report.result(name, s.top, r); err != nil {
			return err
		}
	}
	if b.batch == 0 {
		return nil
	}
	b.doing.Store(fmt.Sprintf("%s, %v: training", name, n))
	r, err := s.train(ctx)
	if err != nil {
		return err
	}
	return b.report.result(name, s.top, r)
}

// subject is a model under measurement.
type subject struct {
	*bench
	meter    *meter
	model    *llm.Model
	config   ckpt.Config
	numerics op.Numerics
	top      op.Ceiling
}

// ids returns n random token ids.
func (s *subject) ids(r *rand.Rand, n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(r.IntN(s.config.Vocab))
	}
	return ids
}

// decode samples from prompts that share nothing. Only passes in which all
// sequences go on by a token count; the best run of several does.
func (s *subject) decode(ctx context.Context, rows int) (result, error) {
	s.model.MaxRows = max(s.model.MaxRows, rows)
	var (
		took   time.Duration
		passes int
		total  map[operator]spent
	)
	s.meter.onPass = func(sequences int, t time.Duration) {
		if sequences == rows {
			took, passes = took+t, passes+1
			for o, x := range s.meter.times {
				sum := total[o]
				total[o] = spent{sum.calls + x.calls, sum.time + x.time}
			}
		}
		clear(s.meter.times)
	}
	defer func() { s.meter.onPass = nil }()
	once := func(detail bool) (pass, whole time.Duration, err error) {
		s.meter.detail, s.meter.times, s.meter.began = detail, map[operator]spent{}, time.Time{}
		took, passes, total = 0, 0, map[operator]spent{}
		r, left := rand.New(rand.NewPCG(1, uint64(rows))), rows
		next := func() (*llm.Request, error) {
			if left == 0 {
				return nil, io.EOF
			}
			left--
			return &llm.Request{Key: strconv.Itoa(left), Prompt: s.ids(r, s.prompt), N: 1}, nil
		}
		start := time.Now()
		plain := llm.Sampling{Temperature: 1, TopP: 1, Repetition: 1, MaxTokens: s.tokens}
		err = s.model.Generate(ctx, plain, 1, next, func(*llm.Request, []llm.Sample) error { return nil })
		whole = time.Since(start)
		if err == nil && passes == 0 {
			err = errors.New("no pass with all sequences: --tokens is too small for so many --rows")
		}
		return took / time.Duration(max(passes, 1)), whole, err
	}
	out := result{Work: "decode", Rows: rows, Prompt: s.prompt, Tokens: s.tokens, step: decoding(s.config, s.numerics, rows, s.prompt+s.tokens/2)}
	for range s.repeat {
		pass, whole, err := once(false)
		if err != nil {
			return out, err
		}
		out.Rate = max(out.Rate, float64(rows)/pass.Seconds())
		out.Call = max(out.Call, float64(rows*s.tokens)/whole.Seconds())
	}
	pass, _, err := once(true)
	out.measured, out.steps, out.took = total, passes, pass*time.Duration(passes)
	return out, err
}

// train makes optimiser steps; the best of several counts.
func (s *subject) train(ctx context.Context) (result, error) {
	out := result{Work: "training", Rows: s.batch, Tokens: s.length, step: training(s.config, s.numerics, s.batch, s.length)}
	tr, err := llm.NewTrainer(s.model, llm.Loss{Kind: "nll", Aggregate: "token-mean"}, llm.Optim{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Decay: 0.1, Clip: 1})
	if err != nil {
		return out, err
	}
	r := rand.New(rand.NewPCG(1, 0))
	rows := make([]llm.Row, s.batch)
	for i := range rows {
		ids := s.ids(r, s.length)
		rows[i] = llm.Row{Prompt: ids[:1], Tokens: ids[1:], Temperature: 1}
	}
	// The first step allocates; the last is taken apart.
	for i := range s.repeat + 2 {
		s.meter.detail, s.meter.times = i == s.repeat+1, map[operator]spent{}
		start := time.Now()
		if err := tr.Accumulate(rows); err != nil {
			return out, err
		}
		if _, err := tr.Step(1e-6); err != nil {
			return out, err
		}
		out.took = time.Since(start)
		if i > 0 && i <= s.repeat {
			out.Rate = max(out.Rate, float64(s.batch*s.length)/out.took.Seconds())
		}
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
	}
	out.measured, out.steps = s.meter.times, 1
	return out, nil
}
