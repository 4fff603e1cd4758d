package main

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"

	"srar/lib/ckpt"
)

// change is how far a tensor, or all of them, have moved.
type change struct {
	before, moved float64 // sums of squares
	most          float64
	differ, n     int
}

func (c *change) add(o change) {
	c.before, c.moved, c.most = c.before+o.before, c.moved+o.moved, max(c.most, o.most)
	c.differ, c.n = c.differ+o.differ, c.n+o.n
}

// relative returns the norm of the change by that of the tensor before.
func (c change) relative() float64 {
	if c.moved == 0 {
		return 0
	}
	return math.Sqrt(c.moved / c.before)
}

// diff writes how far each tensor of b is from that of a: the norm of a's, that of
// the change, their ratio, the largest change of an element, and the share of
// elements that differ.
func diff(w io.Writer, a, b *ckpt.Checkpoint) error {
	if err := sameShape(a, b); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "norm\tchange\trelative\tlargest\tdiffer\t  tensor\n")
	line := func(name string, c change) {
		fmt.Fprintf(t, "%.6g\t%.6g\t%.3g\t%.3g\t%.2f%%\t  %s\n",
			math.Sqrt(c.before), math.Sqrt(c.moved), c.relative(), c.most, 100*float64(c.differ)/float64(c.n), name)
	}
	var all change
	for _, p := range a.Config.Parameters() {
		x, err := values(a, p.Name)
		if err != nil {
			return err
		}
		y, err := values(b, p.Name)
		if err != nil {
			return err
		}
		c := change{n: len(x)}
		for i := range x {
			d := float64(y[i]) - float64(x[i])
			c.before += float64(float64(x[i]) * float64(x[i]))
			c.moved += float64(d * d)
			c.most = max(c.most, math.Abs(d))
			if d != 0 {
				c.differ++
			}
		}
		line(p.Name, c)
		all.add(c)
	}
	line("all", all)
	return t.Flush()
}
