package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/tabwriter"

	"srar/lib/answer"
	"srar/lib/rows"
	"srar/lib/rubric"
	"srar/lib/tool"
)

// checker gathers the figures of rubrics and what is suspicious in the data.
type checker struct {
	truths, rubrics int
	figures         rubric.Figures
	problems        map[string]string // where each problem was first
	kinds           []string          // of findings, in the order they came up
	counts          map[string]int    // by kind
	suspect         int               // prompts with findings
	lines           []string
}

// check reports on the rows instead of making prompts of them.
func check(ctx context.Context, t *tool.Tool, p *preparer, sources []*source) error {
	out, err := t.Text()
	if err != nil {
		return err
	}
	c := &checker{problems: map[string]string{}, counts: map[string]int{}}
	err = p.files(ctx, sources, func(k *kept) error {
		for i := range k.prompts {
			c.see(&k.prompts[i], p.ids[k.prompts[i].PromptID])
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.report(out, p)
}

// see takes the prompt of the row at place.
func (c *checker) see(p *rows.Prompt, place string) {
	before := len(c.lines)
	find := func(kind, format string, a ...any) {
		if c.counts[kind]++; c.counts[kind] == 1 {
			c.kinds = append(c.kinds, kind)
		}
		c.lines = append(c.lines, fmt.Sprintf("%s (%s)%s", place, p.PromptID, fmt.Sprintf(format, a...)))
	}
	key := strings.Join(strings.Fields(p.Problem), " ")
	if there, ok := c.problems[key]; ok {
		find("duplicate problem", ": duplicate problem: that of %s", there)
	} else {
		c.problems[key] = place
	}
	truth := ""
	if p.GroundTruth != nil {
		c.truths++
		truth = *p.GroundTruth
	}
	items := make([]rubric.Item, len(p.Items))
	for i, item := range p.Items {
		items[i] = rubric.Item(item)
	}
	if len(items) > 0 {
		c.rubrics++
		c.figures.Add(items)
	}
	for _, f := range rubric.Check(items, truth) {
		line := ""
		if f.Line > 0 {
			line = fmt.Sprintf(", line %d", f.Line)
		}
		find(f.Kind, "%s: %s: %s", line, f.Kind, f.Text)
	}
	for _, item := range items {
		if item.Type == rubric.ANSWER && truth != "" && !states(item.Text, truth) {
			const kind = "ANSWER without the ground truth"
			find(kind, ", line %d: %s: %q, not %q", item.ID, kind, item.Text, truth)
		}
	}
	if len(c.lines) > before {
		c.suspect++
	}
}

// maxCandidates bounds the comparisons for one item.
const maxCandidates = 32

// candidates finds what may be an answer in a sentence: mathematics between
// dollars, and numbers.
var candidates = regexp.MustCompile(`\$[^$]+\$|-?\d[\d.,/]*%?`)

// verbs finds the words behind which an answer stands.
var verbs = regexp.MustCompile(`=|:|\b(?:is|are|equals?|be|as)\s`)

// states reports whether the text of an ANSWER item gives the answer: as a whole,
// boxed, or as a part of a sentence.
func states(text, truth string) bool {
	if rubric.Mentions(text, truth) {
		return true
	}
	all := []string{text}
	if boxed, ok := answer.Extract(text); ok {
		all = append(all, boxed)
	}
	for _, at := range verbs.FindAllStringIndex(text, -1) {
		all = append(all, text[at[1]:])
	}
	all = append(all, candidates.FindAllString(text, maxCandidates)...)
	for _, s := range all[:min(len(all), maxCandidates)] {
		if answer.Compare(strings.TrimRight(strings.TrimSpace(s), ".,;"), truth) == answer.Equal {
			return true
		}
	}
	return false
}

// report writes the figures and the findings.
func (c *checker) report(out io.Writer, p *preparer) error {
	fmt.Fprintf(out, "%d problems, %d with ground truth, %d with rubric", p.prompts, c.truths, c.rubrics)
	if p.aside != nil {
		fmt.Fprintf(out, ", %d bad rows set aside", p.aside.n)
	}
	fmt.Fprintln(out)
	if c.rubrics > 0 {
		fmt.Fprintln(out)
		if err := c.table(out); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "\n%d findings in %d problems\n", len(c.lines), c.suspect)
	for _, kind := range c.kinds {
		fmt.Fprintf(out, "%6d  %s\n", c.counts[kind], kind)
	}
	if len(c.lines) > 0 {
		fmt.Fprintln(out)
	}
	for _, line := range c.lines {
		fmt.Fprintln(out, line)
	}
	return nil
}

// table writes the figures of the rubrics beside those of the paper.
func (c *checker) table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(name, format string, value func(typ string) float64) {
		fmt.Fprintf(w, "%-13s", name)
		for _, typ := range append(rubric.Types[:len(rubric.Types):len(rubric.Types)], rubric.All) {
			fmt.Fprintf(w, "\t"+format, value(typ))
		}
		fmt.Fprintln(w, "\t")
	}
	fmt.Fprintln(w, strings.Repeat(" ", 13)+"\t"+strings.Join(rubric.Types[:], "\t")+"\tall\t")
	row("items", "%.0f", func(typ string) float64 { return float64(c.figures.Items(typ)) })
	row("a problem", "%.2f", c.figures.ItemsPerRubric)
	row("in the paper", "%.2f", func(typ string) float64 { return rubric.PaperItems[typ] })
	row("words an item", "%.1f", c.figures.WordsPerItem)
	fmt.Fprintf(w, "%-13s\t\t\t\t\t%.1f\t\n", "in the paper", rubric.PaperWords)
	return w.Flush()
}
