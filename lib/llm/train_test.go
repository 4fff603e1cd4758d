package llm

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/ckpt"
	"srar/lib/op"
)

var adam = Optim{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Decay: 0.1, Clip: 1}

func newTrainer(t testing.TB, m *Model, l Loss, o Optim) *Trainer {
	tr, err := NewTrainer(m, l, o)
	require.NoError(t, err)
	return tr
}

func equalState(t testing.TB, want, got map[string][]float32) {
	require.Equal(t, len(want), len(got))
	for name := range want {
		equalBits(t, want[name], got[name], name)
	}
}

// equalTrainers compares weights and moments, bit for bit.
func equalTrainers(t testing.TB, want, got *Trainer) {
	equalState(t, want.Weights(), got.Weights())
	equalState(t, want.M(), got.M())
	equalState(t, want.V(), got.V())
}

// The gradient of every weight against differences of a second model in
// float64, and the metrics against its values.
func TestGradientAgainstDifferences(t *testing.T) {
	be := newBackend(t, 2)
	for i, c := range []struct {
		name   string
		config ckpt.Config
		loss   Loss
	}{
		{"pg, tied", tiny, Loss{Kind: "pg", ClipLow: 0.2, ClipHigh: 0.28, DualClip: 3, Aggregate: "token-mean"}},
		{"all, untied", untied(tiny), Loss{Kind: "pg", ClipLow: 0.5, ClipHigh: 0.5, Aggregate: "seq-mean-token-mean", KL: 0.3, KLKind: "k2", Entropy: 0.2}},
		{"nll, no norms, scaled positions", scaled(plainNorms(tiny)), Loss{Kind: "nll", Aggregate: "seq-mean-token-sum-norm"}},
		{"all, row sums", tiny, Loss{Kind: "nll", Aggregate: "seq-mean-token-sum", KL: 0.1, KLKind: "k3", Entropy: -0.1}},
		{"all biases, positions and attention scaled", yarned(allBiased(plainNorms(tiny))), Loss{Kind: "nll", Aggregate: "token-mean", KL: 0.1, KLKind: "k3"}},
		{"biases", biased(tiny), Loss{Kind: "pg", ClipLow: 0.2, ClipHigh: 0.28, Aggregate: "token-mean"}},
		{"gspo", tiny, Loss{Kind: "gspo", ClipLow: 0.9, ClipHigh: 4, Aggregate: "seq-mean-token-mean"}},
		{"gspo, clipped, divergence", untied(tiny), Loss{Kind: "gspo", ClipLow: 0.1, ClipHigh: 0.1, Aggregate: "token-mean", KL: 0.3, KLKind: "k3"}},
		{"cispo", tiny, Loss{Kind: "cispo", ClipLow: 1, ClipHigh: 0.5, Aggregate: "token-mean", Entropy: 0.1}},
		{"importance of tokens", tiny, Loss{Kind: "pg", ClipLow: 0.2, ClipHigh: 0.28, Aggregate: "token-mean", Importance: "token", Cap: 1.5, KL: 0.1, KLKind: "k2"}},
		{"importance of sequences", tiny, Loss{Kind: "cispo", ClipLow: 1, ClipHigh: 4, Aggregate: "seq-mean-token-sum", Importance: "sequence", Cap: 2}},
		{"gspo with importance of sequences", untied(tiny), Loss{Kind: "gspo", ClipLow: 0.9, ClipHigh: 9, Aggregate: "seq-mean-token-mean", Importance: "sequence", Cap: 2}},
		{"k1 and entropy", untied(plainNorms(tiny)), Loss{Kind: "pg", ClipHigh: 9, Aggregate: "token-mean", KL: 0.2, KLKind: "k1", Entropy: 0.5}},
	} {
		m := newModel(t, be, c.config, 8)
		rows := randomRows(c.config, 5, 5)
		rows = append(rows[:3], rows[4])
		if c.loss.corrects() {
			rows[0].Old = nil // the weights of now
			for k := range rows[3].Sampled {
				rows[3].Sampled[k] = rows[3].Old[k] + float32(k-2)/4
			}
		} else {
			for k := range rows {
				rows[k].Sampled = nil
			}
		}
		ref := newReference(c.config, weights(m))
		want := ref.gradient(&c.loss, rows, i, 5)
		tr := newTrainer(t, m, c.loss, Optim{Eps: 1}) // betas 0: the moment is the gradient
		require.NoError(t, tr.Accumulate(rows))
		x, err := tr.Step(1e-3)
		require.NoError(t, err)
		require.InDelta(t, ref.loss(&c.loss, rows), x.Loss, 1e-5, c.name)
		norm := 0.0
		for p, got := range tr.M() {
			top, checked := 0.0, 0
			for _, g := range got {
				top = max(top, math.Abs(float64(g)))
				norm += float64(g) * float64(g)
			}
			for k, g := range want[p] {
				if !math.IsNaN(g) {
					require.InDelta(t, g, got[k], 3e-5*top, "%s %s[%d]", c.name, p, k)
					checked++
				}
			}
			require.NotZero(t, top, "%s %s", c.name, p)
			require.NotZero(t, checked, "%s %s", c.name, p)
		}
		require.InEpsilon(t, math.Sqrt(norm), x.GradNorm, 1e-5, c.name)
	}
}

func TestMetrics(t *testing.T) {
	m := newModel(t, newBackend(t, 1), tiny, 8)
	rows := randomRows(tiny, 5, 6)
	rows[3].Old, rows[3].Sampled = nil, nil
	for i := range rows {
		rows[i].Sampled = nil
	}
	l := pg()
	l.KL, l.KLKind = 0.1, "abs"
	ref := newReference(tiny, weights(m))
	var tokens, compared int
	var entropy, kl, ratio, diff, diffMax, clipped float64
	for i := range rows {
		logp, h := ref.score(&rows[i])
		for k := range logp {
			old, a := logp[k], float64(rows[i].Advantages[k])
			if rows[i].Old != nil {
				old = float64(rows[i].Old[k])
				compared++
				diff += math.Abs(logp[k] - old)
				diffMax = max(diffMax, math.Abs(logp[k]-old))
			}
			r := math.Exp(logp[k] - old)
			ratio = max(ratio, r)
			if a > 0 && r > 1.28 || a < 0 && r < 0.8 {
				clipped++
			}
			tokens++
			entropy += h[k]
			kl += math.Abs(logp[k] - float64(rows[i].Ref[k]))
		}
	}
	n := float64(tokens)
	tr := newTrainer(t, m, l, adam)
	require.NoError(t, tr.Accumulate(rows))
	x, err := tr.Step(0.25)
	require.NoError(t, err)
	require.EqualValues(t, tokens, x.Tokens)
	require.EqualValues(t, 5, x.Rollouts)
	require.Equal(t, 0.25, x.LR)
	require.Equal(t, clipped/n, x.ClipFraction)
	require.NotZero(t, clipped)
	for _, v := range [][2]float64{
		{entropy / n, x.Entropy}, {kl / n, x.KL}, {ratio, x.RatioMax}, {diff / float64(compared), x.Logprobs.Mean}, {diffMax, x.Logprobs.Max},
	} {
		require.InEpsilon(t, v[0], v[1], 1e-4)
	}
}

// Neither threads nor the cut into calls and micro-batches, packed or one by one,
// nor recomputed activations change a bit of what five steps leave.
func TestTrainingIsInvariant(t *testing.T) {
	type cut struct {
		threads, micro, logitRows, call int
		checkpoint                      bool
	}
	for _, numerics := range both {
		for i, c := range []ckpt.Config{tiny, untied(tiny), biased(tiny)} {
			l := pg()
			l.Aggregate, l.KL, l.Entropy = []string{"token-mean", "seq-mean-token-mean", "seq-mean-token-sum-norm"}[i], 0.1, 0.01
			switch i {
			case 1:
				l.Kind, l.DualClip, l.Importance, l.Cap = "gspo", 0, "sequence", 2
			case 2:
				l.Kind, l.DualClip, l.Importance, l.Cap = "cispo", 0, "token", 2
			}
			o := adam
			o.EightBit = i == 1
			run := func(x cut) (*Trainer, []Metrics) {
				m := newModel(t, backendOf(t, x.threads, numerics), c, 2)
				m.MicroTokens, m.logitRows = x.micro, x.logitRows
				tr := newTrainer(t, m, l, o)
				tr.CheckpointActivations = x.checkpoint
				var all []Metrics
				for step := range 5 {
					rows := randomRows(c, 11, uint64(step))
					rows[3].Masked = true
					for len(rows) > 0 {
						n := min(x.call, len(rows))
						require.NoError(t, tr.Accumulate(rows[:n]))
						rows = rows[n:]
					}
					x, err := tr.Step(1e-2)
					require.NoError(t, err)
					all = append(all, x)
				}
				return tr, all
			}
			want, metrics := run(cut{1, 10000, 1024, 11, false})
			for _, x := range []cut{
				{2, 10000, 1024, 11, true}, // one micro-batch
				{1, 60, 1024, 11, false},   // two
				{2, 16, 1024, 11, false},   // eight
				{1, 1, 32, 11, true},       // one row at a time
				{3, 30, 32, 3, false}, {2, 25, 1024, 1, true},
			} {
				got, y := run(x)
				require.Equal(t, metrics, y, "%v %v %v", numerics, i, x)
				equalTrainers(t, want, got)
			}
		}
	}
}

// Three steps of AdamW with clipping against the same in float64.
func TestOptimiser(t *testing.T) {
	const lr = 0.02
	m := newModel(t, newBackend(t, 1), tiny, 8)
	tr := newTrainer(t, m, Loss{Kind: "nll", Aggregate: "token-mean"}, Optim{Beta1: 0.8, Beta2: 0.95, Eps: 1e-3, Decay: 0.5, Clip: 0.3})
	start := weights(m)
	type state struct{ p, m, v float64 }
	want := map[string][]state{}
	for name, w := range start {
		for _, x := range w {
			want[name] = append(want[name], state{p: float64(x)})
		}
	}
	for step := 1; step <= 3; step++ {
		rows := randomRows(tiny, 5, uint64(step))
		// The gradient at the weights of now, from a trainer that does not move them.
		probe := newTrainer(t, m, tr.loss, Optim{Eps: 1})
		require.NoError(t, probe.Accumulate(rows))
		before, err := probe.Step(0)
		require.NoError(t, err)
		require.NoError(t, tr.Accumulate(rows))
		x, err := tr.Step(lr)
		require.NoError(t, err)
		require.Equal(t, before.GradNorm, x.GradNorm)
		factor := min(1, 0.3/(x.GradNorm+1e-6))
		require.Less(t, factor, 1.0)
		for name, grad := range probe.M() {
			for i := range grad {
				s, g := &want[name][i], float64(grad[i])*factor
				s.p *= 1 - lr*0.5
				s.m = 0.8*s.m + 0.2*g
				s.v = 0.95*s.v + 0.05*g*g
				s.p -= lr / (1 - math.Pow(0.8, float64(step))) * s.m / (math.Sqrt(s.v)/math.Sqrt(1-math.Pow(0.95, float64(step))) + 1e-3)
			}
		}
	}
	require.EqualValues(t, 3, tr.Steps())
	mean, square := tr.M(), tr.V()
	for name, got := range tr.Weights() {
		for i, s := range want[name] {
			require.InDelta(t, s.p, got[i], 1e-5, "%s[%d] from %v", name, i, start[name][i])
			require.InDelta(t, s.m, mean[name][i], 1e-6, name)
			require.InDelta(t, s.v, square[name][i], 1e-6, name)
		}
	}
}

// A step changes what the model computes with.
func TestStepMovesTheModel(t *testing.T) {
	be := newBackend(t, 1)
	m := newModel(t, be, untied(tiny), 8)
	rows := randomRows(tiny, 4, 1)
	tr := newTrainer(t, m, Loss{Kind: "nll", Aggregate: "token-mean"}, adam)
	before := math.Inf(1)
	for range 5 {
		require.NoError(t, tr.Accumulate(rows))
		x, err := tr.Step(0.01)
		require.NoError(t, err)
		require.Less(t, x.Loss, before)
		before = x.Loss
	}
	fresh := newModel(t, be, untied(tiny), 0)
	for i, p := range fresh.params {
		be.Write(fresh.vec(i), tr.Weights()[p.name])
	}
	fresh.pack()
	want, _, err := fresh.Score(rows)
	require.NoError(t, err)
	got, _, err := m.Score(rows)
	require.NoError(t, err)
	for i := range rows {
		equalBits(t, want[i], got[i], i)
	}
}

// Parameters stored in 16 bits move in float32 and act rounded.
func TestMasters(t *testing.T) {
	for _, precision := range []ckpt.DType{ckpt.BF16, ckpt.F16} {
		be := newBackend(t, 1)
		m := newModel(t, be, tiny, 8)
		for i := range m.params {
			if m.params[i].out > 0 { // norms stay in float32
				m.params[i].precision = precision
			}
			w := make([]float32, m.params[i].n)
			be.Read(w, m.vec(i))
			m.params[i].precision.Round(w, w)
			be.Write(m.vec(i), w)
		}
		m.pack()
		start := weights(m)
		tr := newTrainer(t, m, Loss{Kind: "nll", Aggregate: "token-mean"}, adam)
		for range 3 {
			require.NoError(t, tr.Accumulate(randomRows(tiny, 4, 1)))
			_, err := tr.Step(1e-5) // below what 16 bits hold
			require.NoError(t, err)
		}
		now, held := weights(m), 0
		for i, p := range m.params {
			master := tr.Weights()[p.name]
			require.NotEqual(t, start[p.name], master, p.name)
			rounded := make([]float32, p.n)
			m.params[i].precision.Round(rounded, master)
			equalBits(t, rounded, now[p.name], p.name)
			for k := range rounded {
				if rounded[k] == start[p.name][k] && rounded[k] != master[k] {
					held++
				}
			}
		}
		require.NotZero(t, held, "no small step was kept by a master")
	}
}

func TestRowsWithoutOld(t *testing.T) {
	m := newModel(t, newBackend(t, 1), tiny, 8)
	rows := randomRows(tiny, 4, 1)
	for i := range rows {
		rows[i].Old, rows[i].Sampled = nil, nil
	}
	scored, _, err := m.Score(rows)
	require.NoError(t, err)
	tr := newTrainer(t, m, pg(), adam)
	require.NoError(t, tr.Accumulate(rows))
	x, err := tr.Step(1e-3)
	require.NoError(t, err)
	require.Equal(t, 1.0, x.RatioMax)
	require.Zero(t, x.Logprobs.Max)
	require.EqualError(t, tr.Accumulate(rows), "train: row 0: recorded log-probability: 0 values for 7 tokens")
	for i := range rows {
		rows[i].Old = scored[i]
	}
	require.NoError(t, tr.Accumulate(rows))
	x, err = tr.Step(1e-3)
	require.NoError(t, err)
	require.NotEqual(t, 1.0, x.RatioMax)
}

func TestTrainerNamesTheRow(t *testing.T) {
	nan := float32(math.NaN())
	l := pg()
	l.KL = 0.1
	for _, c := range []struct {
		change func(r *Row)
		err    string
	}{
		{func(r *Row) { r.Prompt = nil }, "train: row 2: the prompt has no tokens"},
		{func(r *Row) { r.Advantages[0] = nan }, "train: row 2: token 0: advantage is NaN"},
		{func(r *Row) { r.Old[0] = nan }, "train: row 2: token 0: recorded log-probability is NaN"},
		{func(r *Row) { r.Ref[0] = float32(math.Inf(-1)) }, "train: row 2: token 0: reference log-probability is -Inf"},
		{func(r *Row) { r.Ref = nil }, "train: row 2: reference log-probability: 0 values for 1 tokens"},
		{func(r *Row) { r.Advantages = nil }, "train: row 2: advantage: 0 values for 1 tokens"},
		{func(r *Row) { r.Old = r.Ref[:0:0]; r.Old = append(r.Old, 1, 2) }, "train: row 2: recorded log-probability: 2 values for 1 tokens"},
		{func(r *Row) { r.Prompt = []int32{22} }, "train: row 2: token 0: log-probability is NaN, entropy NaN"},
		{func(r *Row) { r.Advantages[0], r.Old[0] = -3e38, -40 }, "train: row 2: token 0: loss is "},
	} {
		m := newModel(t, newBackend(t, 1), untied(tiny), 8)
		poison(m, 22)
		rows := randomRows(tiny, 4, 1)
		for i := range rows {
			for _, ids := range [][]int32{rows[i].Prompt, rows[i].Tokens} {
				for k := range ids {
					ids[k] %= 22
				}
			}
		}
		tr := newTrainer(t, m, l, adam)
		tr.loss.DualClip = 0
		before := newTrainer(t, m, l, adam)
		before.master = op.Buf(m.be.New(m.mem.Len()))
		m.be.Copy(before.master, m.mem)
		for _, micro := range []int{1, 1000} {
			m.MicroTokens = micro
			bad := append([]Row(nil), rows...)
			bad[2].Advantages = append([]float32(nil), rows[2].Advantages...)
			bad[2].Old = append([]float32(nil), rows[2].Old...)
			bad[2].Ref = append([]float32(nil), rows[2].Ref...)
			c.change(&bad[2])
			err := tr.Accumulate(bad)
			require.ErrorContains(t, err, c.err)
			equalTrainers(t, before, tr)
			if check := tr.Check(bad); check != nil { // by what the row holds
				require.Equal(t, check, err)
				var row *RowError
				require.ErrorAs(t, err, &row)
				require.Equal(t, 2, row.Row)
			} else { // by what comes of it
				require.Regexp(t, "log-probability is NaN|loss is", err)
			}
		}
	}
}

// A gradient that is not finite names the row where the loss is.
func TestGradientNotFinite(t *testing.T) {
	m := newModel(t, newBackend(t, 1), untied(tiny), 8)
	tr := newTrainer(t, m, pg(), adam)
	rows := randomRows(tiny, 4, 1)
	for i := range rows {
		rows[i].Old = nil
	}
	rows[3].Advantages[2] = 3e38
	require.EqualError(t, tr.Accumulate(rows), "train: row 3: gradient is not finite")
	_, err := tr.Step(1e-3)
	require.EqualError(t, err, "optimiser step 1: no response tokens in 0 rows")
}

func TestStepErrorsLeaveTheWeights(t *testing.T) {
	m := newModel(t, newBackend(t, 1), untied(tiny), 8)
	o := adam
	o.Clip = 0
	tr := newTrainer(t, m, Loss{Kind: "nll", Aggregate: "token-mean"}, o)
	start := tr.Weights()
	_, err := tr.Step(1e-3)
	require.EqualError(t, err, "optimiser step 1: no response tokens in 0 rows")
	rows := randomRows(tiny, 4, 1)
	for _, lr := range []float64{-1, math.NaN(), math.Inf(1)} {
		require.NoError(t, tr.Accumulate(rows))
		_, err = tr.Step(lr)
		require.ErrorContains(t, err, "optimiser step 1: learning rate is ")
	}
	require.NoError(t, tr.Accumulate(rows))
	m.be.Write(m.place(tr.grad, m.norm), []float32{float32(math.NaN())})
	_, err = tr.Step(1e-3)
	require.EqualError(t, err, "optimiser step 1: gradient of model.norm.weight has norm NaN")
	tr.loss = pg()
	huge := randomRows(tiny, 1, 1)
	huge[0].Old = nil
	for i := range huge[0].Advantages {
		huge[0].Advantages[i] = 1e25 // finite, but its square is not
	}
	require.NoError(t, tr.Accumulate(huge))
	_, err = tr.Step(1e-3)
	require.ErrorContains(t, err, "optimiser step 1: gradient of ")
	equalState(t, start, tr.Weights())
	require.Zero(t, tr.Steps())
	require.NoError(t, tr.Accumulate(rows)) // and the next mini-batch starts anew
	_, err = tr.Step(1e-3)
	require.NoError(t, err)
}

// Advantages of zero move nothing but by decay.
func TestNothingToLearn(t *testing.T) {
	m := newModel(t, newBackend(t, 1), tiny, 8)
	start := weights(m)
	tr := newTrainer(t, m, pg(), adam)
	rows := randomRows(tiny, 4, 1)
	for i := range rows {
		clear(rows[i].Advantages)
	}
	require.NoError(t, tr.Accumulate(rows))
	x, err := tr.Step(0.5)
	require.NoError(t, err)
	require.Zero(t, x.GradNorm)
	require.Zero(t, x.Loss)
	for name, w := range tr.Weights() {
		for i := range w {
			require.InEpsilon(t, start[name][i]*(1-0.5*0.1), w[i], 1e-6)
		}
	}
}

func TestOptimiserSettings(t *testing.T) {
	m := newModel(t, newBackend(t, 1), tiny, 8)
	for _, c := range []struct {
		change func(l *Loss, o *Optim)
		err    string
	}{
		{func(l *Loss, _ *Optim) { l.Kind = "x" }, `train: unknown loss "x"`},
		{func(_ *Loss, o *Optim) { o.Beta1 = 1 }, "train: beta1 is 1"},
		{func(_ *Loss, o *Optim) { o.Beta2 = -1 }, "train: beta2 is -1"},
		{func(_ *Loss, o *Optim) { o.Eps = 0 }, "train: adam epsilon is 0"},
		{func(_ *Loss, o *Optim) { o.Decay = math.NaN() }, "train: weight decay is NaN"},
		{func(_ *Loss, o *Optim) { o.Clip = math.Inf(1) }, "train: gradient clip is +Inf"},
	} {
		l, o := pg(), adam
		c.change(&l, &o)
		_, err := NewTrainer(m, l, o)
		require.EqualError(t, err, c.err)
	}
}
