package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"

	"srar/lib/ckpt"
	"srar/lib/token"
	"srar/lib/tool"
)

type options struct {
	out       string
	seed      uint64
	tokenizer string
	shape     ckpt.Config
}

func setup(t *tool.Tool) func(context.Context) error {
	o := options{shape: ckpt.Config{
		ModelType: "qwen3", Architecture: "Qwen3ForCausalLM", MaxPositions: 4096, RopeTheta: 10000, RMSNormEps: 1e-6, Tied: true, QKNorm: true,
	}}
	t.Flags.StringVar(&o.out, "out", "", "")
	t.Flags.Uint64Var(&o.seed, "seed", 0, "")
	t.Flags.IntVar(&o.shape.Hidden, "hidden", 48, "")
	t.Flags.IntVar(&o.shape.Layers, "layers", 2, "")
	t.Flags.IntVar(&o.shape.Heads, "heads", 4, "")
	t.Flags.IntVar(&o.shape.KVHeads, "kv-heads", 2, "")
	t.Flags.IntVar(&o.shape.HeadDim, "head-dim", 12, "")
	t.Flags.IntVar(&o.shape.Intermediate, "intermediate", 144, "")
	t.Flags.StringVar(&o.tokenizer, "tokenizer", "arith", "")
	t.ThreadsFlag()
	return func(ctx context.Context) error { return o.run(ctx, t) }
}

// subcommands says which flags act on which, beside those of every command.
var subcommands = map[string][]string{
	"init":     {"out", "seed", "hidden", "layers", "heads", "kv-heads", "head-dim", "intermediate", "tokenizer"},
	"info":     {},
	"digest":   {},
	"selftest": {"threads"},
	"release":  {"out"},
}

func (o *options) run(ctx context.Context, t *tool.Tool) error {
	verb, dir, err := o.parse(t)
	if err != nil {
		return err
	}
	if verb == "init" {
		return o.init(t)
	}
	c, err := ckpt.Open(dir)
	if err != nil {
		return err
	}
	defer c.Close()
	if verb == "release" {
		return o.release(t, c)
	}
	w, err := t.Text()
	if err != nil {
		return err
	}
	switch verb {
	case "info":
		return info(w, c)
	case "digest":
		d, err := c.Digest()
		fmt.Fprintln(w, d)
		return err
	}
	return selftest(ctx, t, w, c)
}

// parse checks operands and flags.
func (o *options) parse(t *tool.Tool) (verb, dir string, err error) {
	args := t.Args()
	if len(args) == 0 {
		return "", "", tool.Usagef("what to do is missing: init, info, digest, selftest or release")
	}
	verb = args[0]
	flags, ok := subcommands[verb]
	if !ok {
		return "", "", tool.Usagef("no such thing to do: %q; init, info, digest, selftest and release are", verb)
	}
	switch n := len(args) - 1; {
	case verb == "init" && n != 0:
		return "", "", tool.Usagef("init takes no operand, %d given; --out names the directory", n)
	case verb != "init" && n != 1:
		return "", "", tool.Usagef("%s takes one directory, %d given", verb, n)
	}
	for _, list := range subcommands {
		for _, f := range list {
			if !slices.Contains(flags, f) && t.IsSet(f) {
				return "", "", tool.Usagef("--%s has no effect on %s", f, verb)
			}
		}
	}
	if (verb == "init" || verb == "release") && o.out == "" {
		return "", "", tool.Usagef("--out is missing")
	}
	return verb, args[len(args)-1], nil
}

// info writes what a checkpoint is.
func info(w io.Writer, c *ckpt.Checkpoint) error {
	cfg := c.Config
	digest, err := c.Digest()
	if err != nil {
		return err
	}
	n := 0
	for _, p := range cfg.Parameters() {
		size := 1
		for _, d := range p.Shape {
			size *= d
		}
		n += size
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, a ...any) { fmt.Fprintf(tab, "%s\t%s\n", name, fmt.Sprintf(format, a...)) }
	line("architecture", "%s, %s", cfg.Architecture, cfg.DType)
	line("parameters", "%d", n)
	line("layers", "%d of width %d, MLP %d", cfg.Layers, cfg.Hidden, cfg.Intermediate)
	line("heads", "%d query, %d key and value, of width %d", cfg.Heads, cfg.KVHeads, cfg.HeadDim)
	line("rotary base", "%s", strconv.FormatFloat(cfg.RopeTheta, 'f', -1, 64))
	output := "of its own"
	if cfg.Tied {
		output = "the embedding"
	}
	line("output matrix", "%s, %d rows", output, cfg.Vocab)
	tok, err := token.Load(c.Dir())
	if err != nil {
		return err
	}
	line("tokenizer", "%d tokens", tok.Size())
	for _, id := range cfg.EOS {
		line("end token", "%d %s", id, tok.Text(id))
	}
	line("step", "%d", c.Step())
	if m := c.Meta(); m.Parent != "" {
		line("parent", "%s", m.Parent)
	}
	line("weights", "%s", digest)
	return tab.Flush()
}
