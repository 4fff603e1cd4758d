package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"srar/lib/rows"
)

// printTable prints scores for people, in Markdown or aligned.
func printTable(w io.Writer, scores []rows.Score, markdown bool) error {
	sources := false
	for _, s := range scores {
		sources = sources || s.DataSource != nil
	}
	head := []string{"metric", "value", "95 % interval", "n"}
	if sources {
		head = append([]string{"data source"}, head...)
	}
	lines := [][]string{head}
	for _, s := range scores {
		line := []string{s.Metric, number(s.Value, s.Low == nil), interval(s.Low, s.High), strconv.FormatInt(s.N, 10)}
		if sources {
			line = append([]string{printable(*s.DataSource)}, line...)
		}
		lines = append(lines, line)
	}
	if markdown {
		return printMarkdown(w, lines)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range lines {
		fmt.Fprintln(tw, strings.Join(l, "\t"))
	}
	return tw.Flush()
}

// printable keeps the name of a data source on its line, in its column, and
// from commanding the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

func printMarkdown(w io.Writer, lines [][]string) error {
	var b strings.Builder
	for i, l := range lines {
		for _, cell := range l {
			b.WriteString("| " + strings.ReplaceAll(cell, "|", `\|`) + " ")
		}
		b.WriteString("|\n")
		if i > 0 {
			continue
		}
		for j := range l {
			if j <= len(l)-4 { // names stand left, numbers right
				b.WriteString("| --- ")
			} else {
				b.WriteString("| ---: ")
			}
		}
		b.WriteString("|\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// number prints a value with four decimals, and counts as they are.
func number(x float64, count bool) string {
	if count && x == math.Trunc(x) {
		return strconv.FormatFloat(x, 'f', 0, 64)
	}
	return strconv.FormatFloat(x, 'f', 4, 64)
}

func interval(low, high *float64) string {
	if low == nil || high == nil {
		return ""
	}
	return fmt.Sprintf("%.4f to %.4f", *low, *high)
}
