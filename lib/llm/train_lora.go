package llm

import (
	"errors"
	"fmt"
	"strings"

	"srar/lib/ckpt"
	"srar/lib/op"
)

// lowRank trains an adapter: the gradient of W' = W + s·B·A gives
//
//	dA = s·Bᵀ·dW'   dB = s·dW'·Aᵀ
//
// (Hu et al. 2021, arXiv 2106.09685), and after a step the model computes with the
// weights that its checkpoint gives, those that a rollout with the adapter loads.
type lowRank struct {
	merged  *ckpt.Checkpoint // the adapter applied
	adapter *ckpt.Adapter
	grad    op.Buf // of A and B, laid out by the trainer's parameters, but for s
	pairs   []lowRankPair
}

// lowRankPair holds indices: of the matrix in the model, of A in the trainer; B
// follows A.
type lowRankPair struct {
	weight, a int
	packed    op.Weight // A
}

// NewAdapterTrainer returns a trainer of an adapter alone, at step 0 with zero
// moments. merged is the checkpoint that m was loaded from, to which the adapter
// was applied; it must stay open. The adapter's A and B follow each Step.
func NewAdapterTrainer(m *Model, merged *ckpt.Checkpoint, a *ckpt.Adapter, l Loss, o Optim) (*Trainer, error) {
	t, err := bareTrainer(m, l, o)
	if err != nil {
		return nil, err
	}
	if len(a.Pairs) == 0 {
		return nil, errors.New("train: the adapter changes nothing")
	}
	index := map[string]int{}
	for i, p := range m.params {
		index[p.name] = i
	}
	t.low = &lowRank{merged: merged, adapter: a}
	t.frozen = make([]bool, len(m.params))
	for i := range t.frozen {
		t.frozen[i] = true
	}
	size := 0
	for i, s := range a.Parameters() {
		p := param{name: strings.TrimSuffix(s.Name, ".weight"), out: s.Shape[0], in: s.Shape[1], n: s.Shape[0] * s.Shape[1], at: size, precision: ckpt.F32}
		size += roundUp(p.n)
		t.params = append(t.params, p)
		if i%2 == 0 {
			at, ok := index[a.Pairs[i/2].Weight]
			if !ok {
				return nil, fmt.Errorf("train: the model has no %s", a.Pairs[i/2].Weight)
			}
			t.frozen[at] = false
			t.low.pairs = append(t.low.pairs, lowRankPair{weight: at, a: i})
		}
	}
	be := m.be
	t.master, t.low.grad = be.New(size), be.New(size)
	for i := range t.low.pairs {
		p := &t.low.pairs[i]
		mA, mB := &t.params[p.a], &t.params[p.a+1]
		be.Write(mA.of(t.master), a.Pairs[i].A)
		be.Write(mB.of(t.master), a.Pairs[i].B)
		p.packed = be.Pack(mA.of(t.master), mA.out, mA.in)
	}
	t.moments = newMoments(be, t.params, o.EightBit)
	return t, nil
}

// gradient makes that of A and B from that of the matrices, both but for s.
func (l *lowRank) gradient(t *Trainer) op.Buf {
	be := t.m.be
	be.Zero(l.grad)
	for _, p := range l.pairs {
		mA, mB := &t.params[p.a], &t.params[p.a+1]
		dw := t.m.place(t.grad, p.weight)
		be.MatMulGradW([]op.Linear{{W: p.packed, Y: mB.of(t.master), DW: mA.of(l.grad)}}, dw, []op.Span{{Lo: 0, Hi: mB.out}})
		be.MatMul([]op.Linear{{W: p.packed, Y: mB.of(l.grad)}}, dw, mB.out, false)
	}
	return l.grad
}

// merge gives the model and the adapter what A and B have become.
func (l *lowRank) merge(t *Trainer) error {
	be := t.m.be
	for i, p := range l.pairs {
		pair := &l.adapter.Pairs[i]
		be.Read(pair.A, t.params[p.a].of(t.master))
		be.Read(pair.B, t.params[p.a+1].of(t.master))
		x, err := l.merged.Tensor(pair.Weight)
		if err != nil {
			return err
		}
		w, err := x.Float32()
		if err != nil {
			return err
		}
		be.Write(t.m.vec(p.weight), w)
		be.Repack(t.m.packed[p.weight])
		be.Repack(p.packed)
	}
	return nil
}
