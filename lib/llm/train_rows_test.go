package llm

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/ckpt"
)

// Rows that are masked leave the loss and every denominator; they are checked all
// the same, and counted.
func TestMaskedRows(t *testing.T) {
	for _, kind := range Aggregates {
		l := pg()
		l.Aggregate = kind
		be := newBackend(t, 1)
		rows := randomRows(tiny, 10, 3)
		var kept []Row
		for i := range rows {
			rows[i].Masked = i == 3 || i == 4 || i == 8 // 3 is one of the longest
			if !rows[i].Masked {
				kept = append(kept, rows[i])
			}
		}
		rows[3].Tokens, rows[3].Old, rows[3].Ref, rows[3].Advantages, rows[3].Sampled = append(rows[3].Tokens, 1), nil, nil, append(rows[3].Advantages, 1), nil
		step := func(list []Row) (*Trainer, Metrics) {
			tr := newTrainer(t, newModel(t, be, tiny, 2), l, adam)
			require.NoError(t, tr.Accumulate(list))
			x, err := tr.Step(1e-2)
			require.NoError(t, err)
			return tr, x
		}
		want, a := step(kept)
		got, b := step(rows)
		require.EqualValues(t, 3, b.Masked)
		b.Masked = 0
		require.Equal(t, a, b)
		equalTrainers(t, want, got)
		bad := rows[3]
		bad.Temperature = -1
		require.EqualError(t, got.Accumulate([]Row{kept[0], bad}), "train: row 1: temperature is -1")
	}
}

// An error about what comes of a row names its place among masked ones too.
func TestMaskedRowsKeepTheirPlaces(t *testing.T) {
	m := newModel(t, newBackend(t, 1), tiny, 2)
	tr := newTrainer(t, m, pg(), adam)
	rows := randomRows(tiny, 4, 3)
	for i := range rows {
		rows[i].Old, rows[i].Sampled = nil, nil
	}
	rows[0].Masked = true
	rows[3].Advantages[2] = 3e38
	require.EqualError(t, tr.Accumulate(rows), "train: row 3: gradient is not finite")
}

// With one advantage for a row and the mean over its tokens, gspo is the objective
// of the paper, equation 5: its gradient is that of the sequence's own ratio.
func TestGSPOIsTheSequencesObjective(t *testing.T) {
	be := newBackend(t, 1)
	m := newModel(t, be, tiny, 8)
	rows := randomRows(tiny, 5, 5)
	rows = append(rows[:1], rows[3:]...)
	for i := range rows {
		rows[i].Sampled = nil
		for k := range rows[i].Advantages {
			rows[i].Advantages[k] = rows[i].Advantages[0]
		}
	}
	l := Loss{Kind: "gspo", ClipLow: 0.9, ClipHigh: 9, Aggregate: "seq-mean-token-mean"}
	tr := newTrainer(t, m, l, Optim{Eps: 1})
	require.NoError(t, tr.Accumulate(rows))
	x, err := tr.Step(1e-3)
	require.NoError(t, err)
	got := tr.M()["model.norm.weight"]
	ref := newReference(tiny, weights(newModel(t, be, tiny, 8)))
	objective := func() float64 {
		sum := 0.0
		for i := range rows {
			logp, _ := ref.score(&rows[i])
			d := 0.0
			for k := range logp {
				d += (logp[k] - float64(rows[i].Old[k])) / float64(len(logp))
			}
			s, a := math.Exp(d), float64(rows[i].Advantages[0])
			sum -= math.Min(a*s, a*math.Max(0.1, math.Min(s, 10)))
		}
		return sum / float64(len(rows))
	}
	require.InDelta(t, objective(), x.Loss, 1e-5)
	w := ref.w["model.norm.weight"]
	for i, was := range w {
		const h = 1e-5
		w[i] = was + h
		up := objective()
		w[i] = was - h
		require.InDelta(t, (up-objective())/(2*h), got[i], 1e-5)
		w[i] = was
	}
}

// Recorded log-probabilities that are not those of the weights are an error where
// equal bits are due, or beyond a bound; after a step they may drift.
func TestRecordedLogprobs(t *testing.T) {
	m := newModel(t, newBackend(t, 1), tiny, 8)
	rows := randomRows(tiny, 4, 1)
	scored, _, err := m.Score(rows)
	require.NoError(t, err)
	for i := range rows {
		rows[i].Old, rows[i].Sampled, rows[i].Exact = scored[i], nil, true
	}
	tr := newTrainer(t, m, pg(), adam)
	require.NoError(t, tr.Accumulate(rows))
	x, err := tr.Step(1e-2)
	require.NoError(t, err)
	require.Equal(t, 1.0, x.RatioMax)
	require.Equal(t, Difference{Tokens: x.Tokens, Pearson: 1}, x.Logprobs)
	require.NoError(t, tr.Accumulate(rows))
	x, err = tr.Step(1e-2)
	require.NoError(t, err)
	require.NotZero(t, x.Logprobs.Max)
	require.Less(t, x.Logprobs.Pearson, 1.0)

	fresh := func() *Trainer { return newTrainer(t, newModel(t, m.be, tiny, 8), pg(), adam) }
	rows[2].Old = []float32{scored[2][0] + 0.25}
	var apart *DisagreeError
	require.ErrorAs(t, fresh().Accumulate(rows), &apart)
	require.Equal(t, DisagreeError{Computed: scored[2][0], Recorded: rows[2].Old[0], Exact: true}, *apart)
	require.ErrorContains(t, fresh().Agree(rows, scored), "train: row 2: token 0: log-probability is ")
	rows[2].Exact = false
	require.NoError(t, fresh().Accumulate(rows))
	tr = fresh()
	tr.MostDifference = 0.2
	require.ErrorContains(t, tr.Accumulate(rows), "more than 0.2 apart")
	require.ErrorContains(t, tr.Agree(rows, scored), "train: row 2: token 0: log-probability is ")
	rows[2].Sampled = []float32{scored[2][0] + 0.1} // what the sampler said counts
	require.NoError(t, tr.Accumulate(rows))
	tr.MostDifference = 0.3
	require.NoError(t, tr.Agree(rows, scored))
	_, err = fresh().Step(1)
	require.ErrorContains(t, err, "no response tokens")
}

// Losses with importance sampling need what the sampler said.
func TestImportanceNeedsSampled(t *testing.T) {
	l := pg()
	l.Importance, l.Cap = "token", 2
	tr := newTrainer(t, newModel(t, newBackend(t, 1), tiny, 8), l, adam)
	rows := randomRows(tiny, 1, 1)
	rows[0].Sampled = nil
	require.EqualError(t, tr.Accumulate(rows), "train: row 0: recorded log-probability: 0 values for 7 tokens")
}

// The plan says what the backend then holds, but for the reserve of buffers that
// grow.
func TestFootprint(t *testing.T) {
	for _, c := range []struct {
		name    string
		compute string
		dtype   string
		change  func(p *Plan)
	}{
		{"f32", "f32", "float32", func(*Plan) {}},
		{"8 bits, inputs of layers only", "f32", "float32", func(p *Plan) { p.EightBit, p.CheckpointActivations = true, true }},
		{"bf16", "bf16", "bfloat16", func(*Plan) {}},
	} {
		shape := ckpt.Config{
			ModelType: "qwen3", Architecture: "Qwen3ForCausalLM", Vocab: 1024, Hidden: 128, Intermediate: 256, Layers: 4, Heads: 4, KVHeads: 2, HeadDim: 32,
			MaxPositions: 512, RopeTheta: 10000, RMSNormEps: 1e-6, Tied: true, QKNorm: true, DType: c.dtype, EOS: []int32{1},
		}
		dir := t.TempDir() + "/M0"
		require.NoError(t, ckpt.Init(dir, shape, nil, 1, nil))
		parent, err := ckpt.Open(dir)
		require.NoError(t, err)
		defer func() { require.NoError(t, parent.Close()) }()
		p := Plan{MicroTokens: 256}
		c.change(&p)
		p.Numerics, err = Numerics(parent.Config, c.compute)
		require.NoError(t, err)
		want, err := p.Footprint(parent)
		require.NoError(t, err)
		m, err := LoadCPU(parent, Trained, c.compute, 2)
		require.NoError(t, err)
		defer m.Close()
		m.MicroTokens = p.MicroTokens
		tr := newTrainer(t, m, pg(), Optim{Beta1: 0.9, Beta2: 0.99, Eps: 1e-8, EightBit: p.EightBit})
		tr.CheckpointActivations = p.CheckpointActivations
		var rows []Row
		for range 4 {
			rows = append(rows, Row{Prompt: make([]int32, 1), Tokens: make([]int32, 64), Advantages: make([]float32, 64), Temperature: 1})
		}
		require.NoError(t, tr.Accumulate(rows))
		held := float64(m.be.Held())
		require.Less(t, float64(want.Total()), held*1.05, c.name)
		require.Greater(t, float64(want.Total()), held/1.4, c.name)
		require.EqualValues(t, want.Parameters, want.Trained)
	}
}
