package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"srar/lib/chat"
	"srar/lib/ckpt"
	"srar/lib/llm"
	"srar/lib/prompt"
	"srar/lib/rows"
	"srar/lib/stream"
	"srar/lib/tool"
)

// options are the flags of the command.
type options struct {
	model     string
	adapter   string // "": none
	compute   string
	memory    tool.Size // 0: by what is free
	n         int
	seed      uint64
	maxPrompt int
	maxRows   int
	control   bool
	sampling  llm.Sampling
	servers   servers
}

func setup(t *tool.Tool) func(context.Context) error {
	var o options
	s := &o.sampling
	t.Flags.StringVar(&o.model, "model", "", "")
	t.Flags.StringVar(&o.adapter, "adapter", "", "")
	t.Flags.StringVar(&o.compute, "compute", "auto", "")
	t.Flags.Var(&o.memory, "memory", "")
	t.Flags.IntVar(&o.maxRows, "max-rows", 256, "")
	t.Flags.IntVar(&o.n, "n", 8, "")
	t.Flags.Uint64Var(&o.seed, "seed", 0, "")
	t.Flags.Float64Var(&s.Temperature, "temperature", 1, "")
	t.Flags.IntVar(&s.TopK, "top-k", 0, "")
	t.Flags.Float64Var(&s.TopP, "top-p", 1, "")
	t.Flags.Float64Var(&s.MinP, "min-p", 0, "")
	t.Flags.Float64Var(&s.Repetition, "repetition-penalty", 1, "")
	t.Flags.Float64Var(&s.Presence, "presence-penalty", 0, "")
	t.Flags.Float64Var(&s.Frequency, "frequency-penalty", 0, "")
	t.Flags.BoolVar(&s.Greedy, "greedy", false, "")
	t.Flags.IntVar(&s.MaxTokens, "max-tokens", 8192, "")
	t.Flags.IntVar(&o.maxPrompt, "max-prompt", 2048, "")
	t.Flags.BoolVar(&o.control, "control-tokens", false, "")
	t.ThreadsFlag()
	t.Unrecorded("model", "adapter", "max-rows", "memory")
	o.servers.register(t)
	return func(ctx context.Context) error { return o.run(ctx, t) }
}

func (o *options) check(t *tool.Tool) error {
	const most = 1 << 20 // rollouts
	s := o.sampling
	switch {
	case o.model == "":
		return tool.Usagef("--model is missing")
	case !slices.Contains(llm.Computes, o.compute):
		return tool.Usagef("--compute is auto, f32 or bf16, not %q", o.compute)
	case o.n < 1 || o.n > most:
		return tool.Usagef("-n lies in [1, %d], not %d", most, o.n)
	case o.maxRows < 1 || o.maxRows > most:
		return tool.Usagef("--max-rows lies in [1, %d], not %d", most, o.maxRows)
	case !(float32(s.Temperature) > 0) || s.Temperature > 1e6:
		return tool.WithHint(tool.Usagef("--temperature is above 0, not %v", s.Temperature), "--greedy takes the best token always")
	case !(s.TopP > 0 && s.TopP <= 1):
		return tool.Usagef("--top-p lies in (0, 1], not %v", s.TopP)
	case !(s.MinP >= 0 && s.MinP <= 1):
		return tool.Usagef("--min-p lies in [0, 1], not %v", s.MinP)
	case s.TopK < 0:
		return tool.Usagef("--top-k is 0 or more, not %d", s.TopK)
	case !(s.Repetition > 0 && s.Repetition <= 1e6):
		return tool.Usagef("--repetition-penalty lies in (0, 1e6], not %v", s.Repetition)
	case !(math.Abs(s.Presence) <= 1e6 && math.Abs(s.Frequency) <= 1e6):
		return tool.Usagef("--presence-penalty and --frequency-penalty lie in [-1e6, 1e6]")
	case s.MaxTokens < 1 || o.maxPrompt < 1:
		return tool.Usagef("--max-tokens and --max-prompt are 1 or more")
	}
	if s.Greedy {
		for _, f := range []string{"temperature", "top-k", "top-p", "min-p", "repetition-penalty", "presence-penalty", "frequency-penalty"} {
			if t.IsSet(f) {
				return tool.Usagef("--%s has no effect with --greedy", f)
			}
		}
	}
	if err := o.servers.misused(t); err != nil {
		return err
	}
	return t.NoArgs()
}

// policy is what turns messages into prompts, and responses into rows.
type policy struct {
	*ckpt.Checkpoint
	digest string // of the weights
	*prompt.Encoder
}

// load opens the policy; close it after use.
func (o *options) load() (*policy, error) {
	c, err := ckpt.OpenAdapted(o.model, o.adapter)
	if err != nil {
		return nil, err
	}
	p := &policy{Checkpoint: c}
	if p.digest, err = c.Digest(); err == nil {
		p.Encoder, err = prompt.Load(c.Files())
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return p, nil
}

// openModel loads the policy's weights into the own engine; close it after use.
func (o *options) openModel(t *tool.Tool, p *policy) (*llm.Model, error) {
	threads, err := t.Threads()
	if err != nil {
		return nil, err
	}
	memory := int64(o.memory)
	if memory == 0 {
		memory = tool.FreeMemory() / 4 * 3
	}
	m, err := llm.LoadCPU(p.Checkpoint, llm.Frozen, o.compute, threads)
	if err != nil {
		return nil, err
	}
	m.MaxRows = o.maxRows
	if memory > 0 { // known
		if err := m.Bound(memory); err != nil {
			m.Close()
			return nil, tool.WithHint(err, "--memory is the bound")
		}
	}
	return m, nil
}

// hinted says what helps a sequence that became too long.
func hinted(err error) error {
	var window *llm.WindowError
	var memory *llm.MemoryError
	switch {
	case errors.As(err, &window):
		return tool.WithHint(err, "a lower --max-tokens ends responses within the window")
	case errors.As(err, &memory):
		return tool.WithHint(err, "raise --memory, or lower --max-tokens")
	}
	return err
}

// generate samples responses to what next returns and gives them to emit in the
// same order, as [llm.Model.Generate] does.
type generate func(ctx context.Context, next func() (*llm.Request, error), emit func(*llm.Request, []llm.Sample) error) error

// origin is where a prompt came from; it passes the engine with the request.
type origin struct {
	batch *stream.Batch
	row   int
}

func (o *options) run(ctx context.Context, t *tool.Tool) error {
	if err := o.check(t); err != nil {
		return err
	}
	p, err := o.load()
	if err != nil {
		return err
	}
	defer p.Close()
	var sample generate
	if o.servers.given(t) {
		s, err := o.connect(ctx, t, p)
		if err != nil {
			return err
		}
		defer parting(t, s)
		sample = o.serve(s)
	} else {
		m, err := o.openModel(t, p)
		if err != nil {
			return err
		}
		defer m.Close()
		sample = func(ctx context.Context, next func() (*llm.Request, error), emit func(*llm.Request, []llm.Sample) error) error {
			return hinted(m.Generate(ctx, o.sampling, o.seed, next, emit))
		}
	}
	t.Record("model", p.digest)
	in, err := t.Input(&rows.Prompts)
	if err != nil {
		return err
	}
	out, err := t.Output(in.Schema().With(rows.Rollouts.Name, rows.Rollouts.Fields()...))
	if err != nil {
		return err
	}
	var prompts, tokens atomic.Int64
	start := time.Now()
	t.Progress(func() string {
		n := tokens.Load()
		return fmt.Sprintf("%d prompts, %d tokens, %.0f tokens/s", prompts.Load(), n, float64(n)/time.Since(start).Seconds())
	})
	err = sample(ctx, o.prompts(in, p), func(r *llm.Request, samples []llm.Sample) error {
		prompts.Add(1)
		for _, s := range samples {
			tokens.Add(int64(len(s.Tokens)))
		}
		return out.Write(o.rollouts(p, r, samples))
	})
	if err == nil {
		n, d := tokens.Load(), time.Since(start).Seconds()
		t.Logf("%d prompts, %d rollouts, %d tokens, %.0f tokens/s", prompts.Load(), prompts.Load()*int64(o.n), n, float64(n)/d)
	}
	return err
}

// prompts returns what hands the engine one prompt after another.
func (o *options) prompts(in *tool.Input, p *policy) func() (*llm.Request, error) {
	var batch *stream.Batch
	var list []rows.Prompt
	at := 0
	return func() (*llm.Request, error) {
		for at == len(list) {
			b, err := in.Next()
			if err != nil {
				return nil, err // io.EOF after the proven end
			}
			if list, err = rows.Read[rows.Prompt](b, in.Index()); err != nil {
				return nil, err
			}
			batch, at = b, 0
		}
		row := list[at]
		msgs := make([]chat.Message, len(row.Messages))
		for i, m := range row.Messages {
			msgs[i] = chat.Message(m)
		}
		ids, err := p.Encode(msgs, o.control)
		if err != nil {
			return nil, rows.Errorf(in.Index(), at, "prompt %q: %v", row.PromptID, err)
		}
		if len(ids) > o.maxPrompt {
			return nil, tool.WithHint(rows.Errorf(in.Index(), at, "prompt %q has %d tokens, --max-prompt is %d", row.PromptID, len(ids), o.maxPrompt),
				"raise --max-prompt, or leave the prompt out")
		}
		r := &llm.Request{Key: row.PromptID, Prompt: ids, N: o.n, Data: origin{batch: batch, row: at}}
		at++
		return r, nil
	}
}

// rollouts builds the batch of one group.
func (o *options) rollouts(p *policy, r *llm.Request, samples []llm.Sample) *stream.Batch {
	from := r.Data.(origin)
	temperature := float32(o.sampling.Temperature)
	if o.sampling.Greedy {
		temperature = 1
	}
	take := make([]int, len(samples))
	resp := make([]rows.Generation, len(samples))
	for i, s := range samples {
		text, offsets := p.Tokenizer.Decode(s.Tokens)
		take[i] = from.row
		resp[i] = rows.Generation{
			Rollout:      int32(i),
			PromptTokens: r.Prompt,
			Tokens:       s.Tokens,
			Offsets:      offsets,
			Response:     text,
			Logprobs:     s.Logprobs,
			Temperature:  temperature,
			Finish:       s.Finish,
			Seed:         o.seed,
			Policy:       p.digest,
			PolicyStep:   p.Step(),
		}
	}
	return from.batch.Take(take).With(rows.Columns(resp)...)
}
