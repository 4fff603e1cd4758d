package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"srar/lib/ckpt"
	"srar/lib/tool"
)

// average makes a fresh policy whose weights are the means of several models of
// one shape, taken in float64; all else is the first one's.
func (o *options) average(ctx context.Context, t *tool.Tool, paths []string) error {
	var models []*ckpt.Checkpoint
	defer func() {
		for _, c := range models {
			c.Close()
		}
	}()
	for i, path := range paths {
		c, err := ckpt.Open(path)
		if err != nil {
			return err
		}
		models = append(models, c)
		if err := sameShape(models[0], c); err != nil {
			return err
		}
		digest, err := c.Digest()
		if err != nil {
			return err
		}
		t.Record(fmt.Sprintf("model %d", i), digest)
	}
	meta, err := provenance(t, []string{"average"}, models...)
	if err != nil {
		return err
	}
	var failed error
	mean := func(name string) []float32 {
		x, err := meanOf(models, name)
		if err != nil && failed == nil {
			failed = err
		}
		return x
	}
	err = t.Finish(ctx, func(stop func() error) error {
		return ckpt.Write(o.out, ckpt.Update{Parent: models[0], Meta: meta, Weights: mean, Stop: stop})
	})
	if err = cmp.Or(failed, err); err != nil {
		return err
	}
	t.Logf("%s: the mean of %d models", o.out, len(models))
	return nil
}

func meanOf(models []*ckpt.Checkpoint, name string) ([]float32, error) {
	var sum []float64
	for _, c := range models {
		x, err := values(c, name)
		if err != nil {
			return nil, err
		}
		if sum == nil {
			sum = make([]float64, len(x))
		}
		for i, v := range x {
			sum[i] += float64(v)
		}
	}
	mean := make([]float32, len(sum))
	for i, v := range sum {
		mean[i] = float32(v / float64(len(models)))
	}
	return mean, nil
}

func values(c *ckpt.Checkpoint, name string) ([]float32, error) {
	x, err := c.Tensor(name)
	if err != nil {
		return nil, err
	}
	return x.Float32()
}

// sameShape is the error of models whose parameters do not correspond.
func sameShape(a, b *ckpt.Checkpoint) error {
	x, y := a.Config.Parameters(), b.Config.Parameters()
	if !slices.EqualFunc(x, y, func(p, q ckpt.Parameter) bool { return p.Name == q.Name && slices.Equal(p.Shape, q.Shape) }) {
		return fmt.Errorf("%s and %s are models of different shapes", a.Path(), b.Path())
	}
	return nil
}

// provenance returns what srar.json says of a fresh policy that args make of
// models: the first is the parent, and its history goes on.
func provenance(t *tool.Tool, args []string, models ...*ckpt.Checkpoint) (ckpt.Meta, error) {
	e := t.Entry()
	e.Args = args
	entry, err := json.Marshal(e)
	if err != nil {
		return ckpt.Meta{}, err
	}
	h := sha256.New()
	fmt.Fprint(h, strings.Join(args, " "))
	meta := ckpt.Meta{}
	for i, c := range models {
		digest, err := c.Digest()
		if err != nil {
			return meta, err
		}
		m := c.Meta()
		fmt.Fprintf(h, " %s step %d made %s", digest, m.Step, m.Made)
		if i == 0 {
			meta.Parent, meta.History = digest, append(slices.Clone(m.History), entry)
		}
	}
	meta.Made = fmt.Sprintf("sha256:%x", h.Sum(nil))
	return meta, nil
}
