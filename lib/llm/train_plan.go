package llm

import (
	"srar/lib/ckpt"
	"srar/lib/op"
)

// Plan says how a model will be trained, as far as memory goes.
type Plan struct {
	Numerics              op.Numerics
	EightBit              bool // see [Optim]
	CheckpointActivations bool // see [Trainer]
	MicroTokens           int  // see [Model]; 0: what a model has from the start
	// Adapter is what alone moves; nil: every weight.
	Adapter *ckpt.Adapter
}

// Footprint is the memory of training, in bytes where not said otherwise. The
// rows themselves and the program are not in it.
type Footprint struct {
	Parameters, Trained int64 // numbers
	Weights             int64 // as float32, and their matrices as products read them, forward and backward
	Masters             int64 // of trained weights that are stored rounded
	Gradients           int64
	Moments             int64
	Tokens              int   // fed at once; a longer row goes alone
	Activations         int64 // of that many, with gradients and a piece of the logits
	PerToken            int64 // part of Activations that grows with a row beyond Tokens
}

// Total returns the sum.
func (f Footprint) Total() int64 {
	return f.Weights + f.Masters + f.Gradients + f.Moments + f.Activations
}

// Footprint returns the memory that training c so takes.
func (p Plan) Footprint(c *ckpt.Checkpoint) (Footprint, error) {
	m := Model{cfg: c.Config}
	m.defaults()
	f := Footprint{Tokens: p.MicroTokens}
	if f.Tokens == 0 {
		f.Tokens = m.MicroTokens
	}
	rounded := false
	var trained []ckpt.Parameter
	for i, t := range c.Config.Parameters() {
		n := elements(t.Shape)
		f.Parameters += n
		f.Weights += 4 * n
		if len(t.Shape) == 2 && (i > 0 || c.Config.Tied) {
			out, in := int64(t.Shape[0]), int64(t.Shape[1])
			f.Weights += packedBytes(out, in, p.Numerics) + packedBytes(in, out, p.Numerics)
		}
		x, err := c.Tensor(t.Name)
		if err != nil {
			return f, err
		}
		rounded = rounded || x.DType != ckpt.F32
		trained = append(trained, t)
	}
	f.Gradients = 4 * f.Parameters
	if c.Config.Tied {
		f.Gradients += 4 * elements(trained[0].Shape)
	}
	if p.Adapter != nil {
		trained, f.Gradients = p.Adapter.Parameters(), 0
		for _, pair := range p.Adapter.Pairs { // those of frozen matrices are never written
			f.Gradients += 4 * int64(pair.Out) * int64(pair.In)
		}
	}
	for _, t := range trained {
		n := elements(t.Shape)
		f.Trained += n
		values, scales := momentSize(int(n), p.EightBit)
		f.Moments += 2 * 4 * int64(values+scales)
	}
	switch {
	case p.Adapter != nil:
		f.Masters = 4 * f.Trained
		f.Gradients += 4 * f.Trained
	case rounded:
		f.Masters = 4 * f.Trained
	}
	width, layers, d := int64(m.actWidth(true)), int64(c.Config.Layers), int64(c.Config.Hidden)
	kept := width * layers
	if p.CheckpointActivations {
		kept = width + d*layers
	}
	// Beside these the residual stream, and the rows that logits are asked of,
	// normalised and not, with their gradient.
	f.PerToken = 4 * (kept + int64(m.gradWidth()) + 4*d)
	f.Activations = f.PerToken*int64(f.Tokens) + 4*int64(min(m.logitRows, f.Tokens))*int64(c.Config.Vocab)
	return f, nil
}

func elements(shape []int) int64 {
	n := int64(1)
	for _, d := range shape {
		n *= int64(d)
	}
	return n
}

// packedBytes returns the memory of a matrix prepared for a product with lanes
// over cols columns.
func packedBytes(cols, k int64, n op.Numerics) int64 {
	const panel, block = 32, 32
	cols = (cols + panel - 1) / panel * panel
	if n == op.BF16 {
		return 2 * cols * ((k + block - 1) / block * block)
	}
	return 4 * cols * k
}
