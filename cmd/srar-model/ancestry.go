package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"srar/lib/ckpt"
	"srar/lib/stream"
)

// isAdapter reports whether dir holds an adapter, not a model.
func isAdapter(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "adapter_config.json"))
	return err == nil
}

// infoAdapter writes what an adapter is.
func infoAdapter(w io.Writer, a *ckpt.Adapter) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, v ...any) { fmt.Fprintf(tab, "%s\t%s\n", name, fmt.Sprintf(format, v...)) }
	n := 0
	var targets []string
	for _, p := range a.Pairs {
		n += len(p.A) + len(p.B)
		parts := strings.Split(p.Weight, ".")
		if t := parts[len(parts)-2]; !slices.Contains(targets, t) {
			targets = append(targets, t)
		}
	}
	slices.Sort(targets)
	line("adapter", "rank %d, alpha %v", a.Rank, a.Alpha)
	line("matrices", "%d: %s", len(a.Pairs), strings.Join(targets, ", "))
	line("parameters", "%d", n)
	line("step", "%d", a.Meta.Step)
	if a.Meta.Base != "" {
		line("base", "%s", a.Meta.Base)
	}
	lineage(line, a.Meta)
	return tab.Flush()
}

// lineage writes where the weights come from: the digests of the weights that the
// parent came from, the oldest first, and the parent.
func lineage(line func(name, format string, v ...any), m ckpt.Meta) {
	last := ""
	for _, raw := range m.History {
		var e stream.Entry
		if json.Unmarshal(raw, &e) != nil || e.Command != "srar-update" && e.Command != "srar-model" {
			continue
		}
		if d := e.Inputs["model"]; d != "" && d != last && d != m.Parent {
			line("ancestor", "%s", d)
			last = d
		}
	}
	if m.Parent != "" {
		line("parent", "%s", m.Parent)
	}
}
