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
	family    string
	dtype     string
	untied    bool
	shape     ckpt.Config // what flags say of it
	bench     bench
}

func setup(t *tool.Tool) func(context.Context) error {
	var o options
	t.Flags.StringVar(&o.out, "out", "", "")
	t.Flags.Uint64Var(&o.seed, "seed", 0, "")
	t.Flags.IntVar(&o.shape.Hidden, "hidden", 48, "")
	t.Flags.IntVar(&o.shape.Layers, "layers", 2, "")
	t.Flags.IntVar(&o.shape.Heads, "heads", 4, "")
	t.Flags.IntVar(&o.shape.KVHeads, "kv-heads", 2, "")
	t.Flags.IntVar(&o.shape.HeadDim, "head-dim", 12, "")
	t.Flags.IntVar(&o.shape.Intermediate, "intermediate", 144, "")
	t.Flags.Float64Var(&o.shape.RopeTheta, "rope-theta", 10000, "")
	t.Flags.StringVar(&o.family, "family", "qwen3", "")
	t.Flags.StringVar(&o.dtype, "dtype", "f32", "")
	t.Flags.BoolVar(&o.untied, "untied", false, "")
	t.Flags.StringVar(&o.tokenizer, "tokenizer", "arith", "")
	t.ThreadsFlag()
	o.bench.register(t)
	return func(ctx context.Context) error { return o.run(ctx, t) }
}

// subcommands says which flags act on which, beside those of every command.
var subcommands = map[string][]string{
	"init":     {"out", "seed", "hidden", "layers", "heads", "kv-heads", "head-dim", "intermediate", "rope-theta", "family", "dtype", "untied", "tokenizer"},
	"info":     {"o"},
	"digest":   {"o"},
	"selftest": {"threads", "o"},
	"bench":    benchFlags,
	"release":  {"out"},
	"import":   {"out", "dtype"},
	"merge":    {"out"},
	"average":  {"out"},
	"diff":     {"o"},
}

func (o *options) run(ctx context.Context, t *tool.Tool) error {
	verb, dir, err := o.parse(t)
	if err != nil {
		return err
	}
	if verb == "init" {
		return o.init(ctx, t)
	}
	switch verb {
	case "bench":
		return o.bench.run(ctx, t, dir)
	case "merge":
		return o.merge(ctx, t, dir, t.Args()[2])
	case "average":
		return o.average(ctx, t, t.Args()[1:])
	}
	if verb == "info" && isAdapter(dir) {
		a, err := ckpt.OpenAdapter(dir)
		if err != nil {
			return err
		}
		w, err := t.Text()
		if err != nil {
			return err
		}
		return infoAdapter(w, a)
	}
	c, err := ckpt.Open(dir)
	if err != nil {
		return err
	}
	defer c.Close()
	if verb == "release" || verb == "import" {
		return o.copy(ctx, t, verb, c)
	}
	w, err := t.Text()
	if err != nil {
		return err
	}
	switch verb {
	case "diff":
		other, err := ckpt.Open(t.Args()[2])
		if err != nil {
			return err
		}
		defer other.Close()
		return diff(w, c, other)
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
		return "", "", tool.Usagef("what to do is missing: init, import, info, digest, selftest, bench, release, merge, average or diff")
	}
	verb = args[0]
	flags, ok := subcommands[verb]
	if !ok {
		return "", "", tool.Usagef("no such thing to do: %q; init, import, info, digest, selftest, bench, release, merge, average and diff are", verb)
	}
	switch n := len(args) - 1; {
	case verb == "init" && n != 0:
		return "", "", tool.Usagef("init takes no operand, %d given; --out names the directory", n)
	case verb == "bench" && n > 1:
		return "", "", tool.Usagef("bench takes one model or none, %d given", n)
	case verb == "merge" && n != 2:
		return "", "", tool.Usagef("merge takes a model and an adapter, %d operands given", n)
	case verb == "diff" && n != 2:
		return "", "", tool.Usagef("diff takes two models, %d given", n)
	case verb == "average" && n < 2:
		return "", "", tool.Usagef("average takes two models or more, %d given", n)
	case !slices.Contains([]string{"init", "bench", "merge", "diff", "average"}, verb) && n != 1:
		return "", "", tool.Usagef("%s takes one model, %d given", verb, n)
	}
	for _, list := range subcommands {
		for _, f := range list {
			if !slices.Contains(flags, f) && t.IsSet(f) {
				return "", "", tool.Usagef("--%s has no effect on %s", f, verb)
			}
		}
	}
	if slices.Contains(flags, "out") && o.out == "" {
		return "", "", tool.Usagef("--out is missing")
	}
	if len(args) > 1 {
		dir = args[1]
	}
	return verb, dir, nil
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
	if s := cfg.RopeScaling; s.Kind != "" {
		line("positions", "scaled by %v (%s)", s.Factor, s.Kind)
	}
	if cfg.Window > 0 {
		line("window", "%d positions", cfg.Window)
	}
	output := "of its own"
	if cfg.Tied {
		output = "the embedding"
	}
	line("output matrix", "%s, %d rows", output, cfg.Vocab)
	tok, err := token.Load(c.Files())
	if err != nil {
		return err
	}
	line("tokenizer", "%d tokens", tok.Size())
	for _, id := range cfg.EOS {
		line("end token", "%d %s", id, tok.Text(id))
	}
	line("step", "%d", c.Step())
	lineage(line, c.Meta())
	line("weights", "%s", digest)
	return tab.Flush()
}
