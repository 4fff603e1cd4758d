package main

import (
	"context"

	"srar/lib/ckpt"
	"srar/lib/tool"
)

// merge makes a fresh policy of a model and an adapter of it.
func (o *options) merge(ctx context.Context, t *tool.Tool, model, adapter string) error {
	c, err := ckpt.OpenAdapted(model, adapter)
	if err != nil {
		return err
	}
	defer c.Close()
	digest, err := c.Digest()
	if err != nil {
		return err
	}
	base, err := c.Base()
	if err != nil {
		return err
	}
	t.Record("model", digest)
	t.Record("base", base)
	meta, err := provenance(t, []string{"merge"}, c)
	if err != nil {
		return err
	}
	err = t.Finish(ctx, func(stop func() error) error {
		return ckpt.Write(o.out, ckpt.Update{Parent: c, Meta: meta, Stop: stop})
	})
	if err != nil {
		return err
	}
	t.Logf("%s: the weights of %s with the adapter %s", o.out, model, adapter)
	return nil
}
