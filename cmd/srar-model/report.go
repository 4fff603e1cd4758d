package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"srar/lib/op"
)

// result is what was measured of one kind of work.
type result struct {
	Work   string  `json:"work"`             // decode or training
	Rows   int     `json:"rows"`             // sequences
	Prompt int     `json:"prompt,omitempty"` // tokens of each
	Tokens int     `json:"tokens"`           // of each, in training prompt and response
	Rate   float64 `json:"tokens_per_second"`
	Call   float64 `json:"with_prompts,omitempty"` // the same over a whole call, prompts computed

	step     *step // the roofline
	measured map[operator]spent
	steps    int           // that measured is of
	took     time.Duration // these steps
}

// line is a line of the table of operators, of one step.
type line struct {
	operator
	Calls   float64 `json:"calls"`
	Seconds float64 `json:"seconds"`
	Share   float64 `json:"share"`             // of the step
	FLOPS   float64 `json:"flops"`             // a second
	Bytes   float64 `json:"bytes"`             // a second
	Ceiling float64 `json:"ceiling,omitempty"` // of what binds, 1 at most; 0: it need not be
	bound   string  // what binds
}

// lines returns the operators of r, the longest first, and last what is none.
func (r *result) lines(c op.Ceiling) []line {
	var all []line
	rest := r.took
	n := float64(r.steps)
	for o, s := range r.measured {
		l := r.step.loads[o]
		t := s.time.Seconds() / n
		x := line{operator: o, Calls: float64(s.calls) / n, Seconds: t, FLOPS: l.flops / t, Bytes: (l.far + l.near) / t}
		if least := r.step.seconds(o, c); least > 0 {
			x.Ceiling, x.bound = least/t, "bytes"
			if l.flops/c.FLOPS == least {
				x.bound = "flops"
			}
		}
		rest -= s.time
		all = append(all, x)
	}
	slices.SortFunc(all, func(a, b line) int {
		return cmp.Or(cmp.Compare(b.Seconds, a.Seconds), cmp.Compare(a.Name, b.Name), a.Out-b.Out, a.In-b.In)
	})
	all = append(all, line{operator: operator{Name: "rest"}, Seconds: rest.Seconds() / n})
	for i := range all {
		all[i].Share = all[i].Seconds * n / r.took.Seconds()
	}
	return all
}

// missing lists operators of the roofline that were not measured by name: work
// that the engine does in some other operator.
func (r *result) missing() (names []string) {
	for _, o := range r.step.order {
		if _, ok := r.measured[o]; !ok {
			names = append(names, o.String())
		}
	}
	return names
}

func (o operator) String() string {
	if o.In == 0 {
		return o.Name
	}
	return fmt.Sprintf("%s %dx%d", o.Name, o.Out, o.In)
}

// reporter writes what was measured, as tables or as JSON lines.
type reporter struct {
	w    io.Writer
	json bool
}

// ceiling writes what the machine can do.
func (r *reporter) ceiling(c op.Ceiling) error {
	if r.json {
		return json.NewEncoder(r.w).Encode(struct {
			Processor string     `json:"processor"`
			Ceiling   op.Ceiling `json:"ceiling"`
		}{processor(), c})
	}
	head, reads := "backend\tGFLOP/s\tGB/s of ", fmt.Sprintf("%s\t%.0f\t", c.Name, c.FLOPS/1e9)
	for _, b := range c.Reads {
		head += size(b.Bytes) + "\t"
		reads += fmt.Sprintf("%.0f\t", b.PerSecond/1e9)
	}
	return r.table(fmt.Sprintf("%s, %d threads: at most", processor(), c.Threads), []string{head, reads})
}

func size(bytes int) string {
	if bytes >= 1<<20 {
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d KiB", bytes>>10)
}

// result writes how near a model comes to that.
func (r *reporter) result(model string, c op.Ceiling, x result) error {
	tokens := float64(x.Rows)
	if x.Work == "training" {
		tokens *= float64(x.Tokens)
	}
	least := x.step.total(c)
	roof := tokens / least
	lines := x.lines(c)
	if r.json {
		return json.NewEncoder(r.w).Encode(struct {
			Model   string `json:"model"`
			Backend string `json:"backend"`
			Threads int    `json:"threads"`
			result
			Roofline  float64  `json:"roofline"` // tokens a second
			Ratio     float64  `json:"of_roofline"`
			Operators []line   `json:"operators"`
			Missing   []string `json:"missing,omitempty"`
		}{model, c.Name, c.Threads, x, roof, x.Rate / roof, lines, x.missing()})
	}
	title := fmt.Sprintf("%s, %s: decoding %d sequences, prompt %d, %d tokens: %s tokens/s, with prompts %s",
		model, c.Name, x.Rows, x.Prompt, x.Tokens, digits(x.Rate), digits(x.Call))
	if x.Work == "training" {
		title = fmt.Sprintf("%s, %s: training on %d sequences of %d tokens: %s tokens/s", model, c.Name, x.Rows, x.Tokens, digits(x.Rate))
	}
	title += fmt.Sprintf("; %.0f %% of the roofline, %s", 100*x.Rate/roof, digits(roof))
	text := []string{"operator\tcalls\tms\tshare\tGFLOP/s\tGB/s\tof ceiling\t"}
	for _, l := range lines {
		text = append(text, fmt.Sprintf("%s\t%s\t%s\t%.1f %%\t%s\t%s\t%s\t", l.operator, positive("%.0f", l.Calls), digits(1e3*l.Seconds), 100*l.Share,
			positive("%.1f", l.FLOPS/1e9), positive("%.1f", l.Bytes/1e9), strings.TrimSpace(positive("%.0f %% ", 100*l.Ceiling)+l.bound)))
	}
	if m := x.missing(); len(m) > 0 {
		text = append(text, "within others: "+strings.Join(m, ", "))
	}
	return r.table(title, text)
}

// digits writes three digits, or all before the point.
func digits(x float64) string {
	if x < 100 {
		return fmt.Sprintf("%.3g", x)
	}
	return fmt.Sprintf("%.0f", x)
}

func positive(format string, x float64) string {
	if x == 0 {
		return ""
	}
	return fmt.Sprintf(format, x)
}

// table writes aligned lines under a title.
func (r *reporter) table(title string, lines []string) error {
	tw := tabwriter.NewWriter(r.w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, title)
	for _, l := range lines {
		fmt.Fprintln(tw, "  "+l)
	}
	fmt.Fprintln(tw)
	return tw.Flush()
}

// processor names the machine as far as the system tells.
func processor() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for l := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOOS + "/" + runtime.GOARCH
}
