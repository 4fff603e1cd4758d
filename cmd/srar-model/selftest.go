package main

import (
	"context"
	"fmt"
	"io"
	"math"

	"srar/lib/chat"
	"srar/lib/ckpt"
	"srar/lib/llm"
	"srar/lib/op"
	"srar/lib/prompt"
	"srar/lib/tool"
)

// selftest checks that a checkpoint loads and computes: it writes what each check
// found, or fails with the first that does not hold.
func selftest(ctx context.Context, t *tool.Tool, w io.Writer, c *ckpt.Checkpoint) error {
	threads, err := t.Threads()
	if err != nil {
		return err
	}
	n, err := finite(c)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "weights    %d numbers, all finite\n", n)
	enc, err := prompt.Load(c.Files())
	if err != nil {
		return err
	}
	ids, err := enc.Encode([]chat.Message{{Role: "user", Content: "What is 17*3-4?"}}, false)
	if err != nil {
		return err
	}
	if size := enc.Tokenizer.Size(); size > c.Config.Vocab {
		return fmt.Errorf("the tokenizer has %d tokens, the model rows for %d", size, c.Config.Vocab)
	}
	fmt.Fprintf(w, "prompt     %d tokens\n", len(ids))

	be, err := op.NewCPU(threads, op.F32)
	if err != nil {
		return err
	}
	defer be.Close()
	m, err := llm.Load(be, c, llm.Frozen)
	if err != nil {
		return err
	}
	same, err := agree(ctx, m, ids)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "forward    %d log-probabilities on %s, token by token and all at once, equal bit for bit\n", same, be.Name())
	return nil
}

// finite reads every weight.
func finite(c *ckpt.Checkpoint) (n int, err error) {
	for _, p := range c.Config.Parameters() {
		t, err := c.Tensor(p.Name)
		if err != nil {
			return 0, err
		}
		x, err := t.Float32()
		if err != nil {
			return 0, err
		}
		for i, v := range x {
			if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
				return 0, fmt.Errorf("tensor %q: element %d is %v", p.Name, i, v)
			}
		}
		n += len(x)
	}
	return n, nil
}

// agree samples two responses and scores them again; it returns the number of
// log-probabilities that were equal.
func agree(ctx context.Context, m *llm.Model, ids []int32) (n int, err error) {
	sent := false
	next := func() (*llm.Request, error) {
		if sent {
			return nil, io.EOF
		}
		sent = true
		return &llm.Request{Key: "selftest", Prompt: ids, N: 2}, nil
	}
	var samples []llm.Sample
	s := llm.Sampling{Temperature: 1, TopP: 1, Repetition: 1, MaxTokens: 32}
	err = m.Generate(ctx, s, 0, next, func(_ *llm.Request, out []llm.Sample) error {
		samples = out
		return nil
	})
	if err != nil {
		return 0, err
	}
	rows := make([]llm.Row, len(samples))
	for i, s := range samples {
		rows[i] = llm.Row{Prompt: ids, Tokens: s.Tokens, Temperature: 1}
	}
	logp, _, err := m.Score(rows)
	if err != nil {
		return 0, err
	}
	for i, s := range samples {
		for k, l := range s.Logprobs {
			if math.Float32bits(l) != math.Float32bits(logp[i][k]) {
				return 0, fmt.Errorf("sample %d, token %d: log-probability %v when sampled, %v when scored", i, k, l, logp[i][k])
			}
			n++
		}
	}
	return n, nil
}
