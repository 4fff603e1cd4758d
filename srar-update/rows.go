package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"srar/lib/ckpt"
	"srar/lib/llm"
	"srar/lib/rows"
	"srar/lib/stream"
	"srar/lib/tool"
)

// trainRow holds the columns that every loss needs.
type trainRow struct {
	Policy       string    `col:"policy"`
	PromptTokens []int32   `col:"prompt_tokens"`
	Tokens       []int32   `col:"tokens"`
	Logprobs     []float32 `col:"logprobs"`
	Temperature  float32   `col:"temperature"`
	Finish       string    `col:"finish"`
}

type advantageColumn struct {
	Advantages []float32 `col:"advantages"`
}

type refColumn struct {
	RefLogprobs []float32 `col:"ref_logprobs"`
}

// group is a record batch with rows: those of one prompt.
type group struct {
	batch   int // number in the stream
	strange int64
	rows    []llm.Row
}

// each reads the input to its proven end, a group at a time.
func (u *update) each(ctx context.Context, do func(group) error) error {
	return tool.Each(u.in, func(b *stream.Batch, n int) error {
		if err := context.Cause(ctx); err != nil || b.Len() == 0 {
			return err
		}
		g, err := u.read(b, n)
		if err != nil {
			return err
		}
		return do(g)
	})
}

// read returns the rows of the n'th batch. The engine checks what they hold.
func (u *update) read(b *stream.Batch, n int) (group, error) {
	g := group{batch: n}
	if err := rows.OneGroup(b, n); err != nil {
		return g, err
	}
	list, err := rows.Read[trainRow](b, n)
	if err != nil {
		return g, err
	}
	ratio := u.loss.Kind != "nll"
	g.rows = make([]llm.Row, len(list))
	for i, r := range list {
		own := r.Policy == u.digest
		x := llm.Row{Prompt: r.PromptTokens, Tokens: r.Tokens, Temperature: r.Temperature, Masked: u.maskTruncated && r.Finish == "length"}
		if u.recompute {
			x.Sampled = r.Logprobs
		} else {
			x.Old, x.Exact = r.Logprobs, own && u.sameEngine
		}
		if ratio && len(r.Logprobs) == 0 && len(r.Tokens) > 0 && u.loss.Importance != "none" {
			return g, tool.WithHint(rows.Errorf(n, i, "logprobs are empty: --tis needs those of the sampler"), "srar-rollout and servers that report log-probabilities give them")
		}
		g.rows[i] = x
		u.rows++
		if ratio && !own {
			g.strange++
			u.strange++
			if u.samePolicy {
				return g, rows.Errorf(n, i, "sampled from policy %s, --model is %s", r.Policy, u.digest)
			}
		}
	}
	if ratio {
		adv, err := rows.Read[advantageColumn](b, n)
		if err != nil {
			return g, err
		}
		for i, r := range adv {
			g.rows[i].Advantages = r.Advantages
		}
	}
	if u.loss.KL > 0 {
		ref, err := rows.Read[refColumn](b, n)
		if err != nil {
			return g, tool.WithHint(err, "srar-logprob --column ref_logprobs --model REF adds it")
		}
		for i, r := range ref {
			g.rows[i].Ref = r.RefLogprobs
		}
	}
	return g, nil
}

// where adds the batch to an error of the engine, which names the row. What a
// row holds is the input's fault.
func where(batch int, err error) error {
	var bad *llm.RowError
	var apart *llm.DisagreeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &bad):
		return rows.Errorf(batch, bad.Row, "%v", bad.Err)
	case errors.As(err, &apart):
		return tool.WithHint(fmt.Errorf("batch %d: %w", batch, err), "--recompute takes this engine's log-probabilities; srar-logprob shows both")
	}
	return fmt.Errorf("batch %d: %w", batch, err)
}

// computedBy reports whether, by the history of a stream, the log-probabilities
// of rows whose policy is digest were computed by this engine from these weights
// in the arithmetic of compute, so that the update must find the same bits.
func computedBy(history []stream.Entry, digest string, c ckpt.Config, compute string) bool {
	var by *stream.Entry
	for i := range history {
		e := &history[i]
		switch {
		case e.Command == "srar-rollout", e.Command == "srar-encode",
			e.Command == "srar-logprob" && (flagOf(e.Args, "column") == "" || flagOf(e.Args, "column") == "logprobs"):
			by = e
		}
	}
	if by == nil || by.Command == "srar-encode" || by.Version != tool.Version || by.Inputs["model"] != digest || flagOf(by.Args, "temperature") != "" && by.Command == "srar-logprob" {
		return false
	}
	for name := range by.Inputs {
		if strings.HasPrefix(name, "served by ") {
			return false
		}
	}
	theirs := flagOf(by.Args, "compute")
	if theirs == "" {
		theirs = "auto"
	}
	x, errX := llm.Numerics(c, theirs)
	y, errY := llm.Numerics(c, compute)
	return errX == nil && errY == nil && x == y
}

// flagOf returns the value of a flag in the arguments of a history entry.
func flagOf(args []string, name string) string {
	i := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, "--"+name+"=") })
	if i < 0 {
		return ""
	}
	return args[i][len(name)+3:]
}
