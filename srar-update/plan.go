package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"srar/lib/llm"
	"srar/lib/tool"
)

// spare is the memory that the program takes beside the engine's.
const spare = 64 << 20

// unknownRowBytes bounds the rows in memory where the system does not say what is
// free.
const unknownRowBytes = 1 << 30

// sizeOf writes a number of bytes.
func sizeOf(n int64) string { return tool.Size(n).String() + "B" }

// fit works out the memory of the training and what is there for it, 0 where that
// is unknown, and leaves the rest to rows, half of it where nobody said how much.
func (u *update) fit() (f llm.Footprint, most int64, err error) {
	n, err := llm.Numerics(u.parent.Config, u.compute)
	if err != nil {
		return f, 0, err
	}
	f, err = llm.Plan{
		Numerics: n, EightBit: u.optim.EightBit, CheckpointActivations: u.checkpoint, MicroTokens: u.microTokens, Adapter: u.low,
	}.Footprint(u.parent)
	if err != nil {
		return f, 0, err
	}
	most = int64(u.memory)
	if most == 0 {
		most = tool.FreeMemory() // 0 where the system does not say
	}
	left := max(most-f.Total()-spare, 0)
	switch {
	case most == 0:
		u.rowBytes = unknownRowBytes
	case u.memory == 0:
		u.rowBytes = left / 2
	default:
		u.rowBytes = left
	}
	return f, most, nil
}

func fits(f llm.Footprint, most int64) bool { return most == 0 || f.Total()+spare <= most }

// tooLarge is the error of a training that does not fit.
func tooLarge(f llm.Footprint, most int64) error {
	return tool.WithHint(fmt.Errorf("training takes %s, %s are there", sizeOf(f.Total()+spare), sizeOf(most)),
		"less: --checkpoint-activations, --micro-tokens, --optimizer adamw8bit, --lora-rank; --memory says what may be taken; --dry-run shows it all")
}

// report writes what --dry-run prints.
func report(w io.Writer, f llm.Footprint, most int64) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "parameters\t%d\n", f.Parameters)
	fmt.Fprintf(t, "trained\t%d\n", f.Trained)
	for _, line := range []struct {
		name  string
		bytes int64
		note  string
	}{
		{"weights", f.Weights, "as numbers, and as products read them"},
		{"masters", f.Masters, "of weights that are stored rounded, or of an adapter"},
		{"gradients", f.Gradients, ""},
		{"moments", f.Moments, ""},
		{"activations", f.Activations, fmt.Sprintf("of %d tokens at once; each token of a longer row %s", f.Tokens, sizeOf(f.PerToken))},
		{"total", f.Total() + spare, "the program's own included, rows not"},
	} {
		fmt.Fprintf(t, "%s\t%s\t%s\n", line.name, sizeOf(line.bytes), line.note)
	}
	switch {
	case most == 0:
		fmt.Fprintf(t, "free\tunknown\n")
	case fits(f, most):
		fmt.Fprintf(t, "free\t%s\tit fits\n", sizeOf(most))
	default:
		fmt.Fprintf(t, "free\t%s\tit does not fit\n", sizeOf(most))
	}
	return t.Flush()
}
