package llm

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/ckpt"
	"srar/lib/golden"
	"srar/lib/op"
)

// tiny is a shape in which no two sizes are equal, so that none can stand in
// for another.
var tiny = ckpt.Config{
	ModelType: "qwen3", Vocab: 23, Hidden: 10, Intermediate: 14, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 6,
	MaxPositions: 64, RopeTheta: 10000, RMSNormEps: 1e-6, Tied: true, QKNorm: true, EOS: []int32{3, 5}, DType: "float32",
}

// scaled stretches the longest waves of tiny's three, keeps the shortest, and
// mixes the one between.
func scaled(c ckpt.Config) ckpt.Config {
	c.RopeTheta = 100
	c.RopeScaling = ckpt.RopeScaling{Kind: "llama3", Factor: 8, LowFreq: 1, HighFreq: 4, OriginalPositions: 60}
	return c
}

// yarned does likewise, and makes attention sharper.
func yarned(c ckpt.Config) ckpt.Config {
	c.RopeTheta = 100
	c.RopeScaling = ckpt.RopeScaling{Kind: "yarn", Factor: 8, BetaSlow: 1, BetaFast: 8, OriginalPositions: 60, AttentionFactor: 1.2}
	return c
}

func truncated(c ckpt.Config) ckpt.Config { c.RopeScaling.Truncate = true; return c }

func stretched(c ckpt.Config) ckpt.Config {
	c.RopeScaling = ckpt.RopeScaling{Kind: "linear", Factor: 2.5}
	return c
}

// biased has what Qwen2 has: biases on q, k and v, and no norms there.
func biased(c ckpt.Config) ckpt.Config { c.QKVBias, c.QKNorm = true, false; return c }

// allBiased has all biases that any family has.
func allBiased(c ckpt.Config) ckpt.Config { c.QKVBias, c.OBias, c.MLPBias = true, true, true; return c }

func untied(c ckpt.Config) ckpt.Config { c.Tied = false; return c }

func newBackend(t testing.TB, threads int) op.Backend {
	be, err := op.NewCPU(threads, op.F32)
	require.NoError(t, err)
	t.Cleanup(be.Close)
	return be
}

// newModel returns a model with weights drawn from seed: of a size that makes
// attention and logits matter, as a model fresh from initialisation would not.
func newModel(t testing.TB, be op.Backend, c ckpt.Config, seed uint64) *Model {
	m := build(be, c, Trained)
	for i, p := range m.params {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		w := make([]float32, p.n)
		for k := range w {
			if p.out == 0 {
				w[k] = float32(1 + 0.3*r.NormFloat64())
			} else {
				w[k] = float32(1.2 * r.NormFloat64() / math.Sqrt(float64(p.in)))
			}
		}
		be.Write(m.vec(i), w)
	}
	m.pack()
	return m
}

// weights returns a model's weights by name.
func weights(m *Model) map[string][]float32 {
	all := map[string][]float32{}
	for i, p := range m.params {
		all[p.name] = make([]float32, p.n)
		m.be.Read(all[p.name], m.vec(i))
	}
	return all
}

// poison makes the embedding of a token infinite; m is untied.
func poison(m *Model, id int32) {
	d := int32(m.cfg.Hidden)
	m.be.Write(m.vec(0).Slice(int(id*d), int(id*d+1)), []float32{float32(math.Inf(1))})
}

// randomRows returns rows with all that an update may need. Their lengths
// include 0 and 1.
func randomRows(c ckpt.Config, n int, seed uint64) []Row {
	r := rand.New(rand.NewPCG(seed, 77))
	ids := func(n int) []int32 {
		v := make([]int32, n)
		for i := range v {
			v[i] = r.Int32N(int32(c.Vocab))
		}
		return v
	}
	numbers := func(n int, mean, deviation float64) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(mean + deviation*r.NormFloat64())
		}
		return v
	}
	rows := make([]Row, n)
	for i := range rows {
		k := []int{7, 0, 1, 12, 4}[i%5]
		rows[i] = Row{
			Prompt: ids(1 + r.IntN(6)), Tokens: ids(k), Temperature: []float32{1, 0.7}[i%2],
			Old: numbers(k, -3, 0.8), Ref: numbers(k, -3, 0.8), Advantages: numbers(k, 0, 1), Sampled: numbers(k, -3, 0.8),
		}
	}
	return rows
}

// goldenModels returns the folders of golden models that hold a file.
func goldenModels(t *testing.T, file string) []string {
	var found []string
	for _, dir := range golden.Glob(t, "model/*") {
		if exists(filepath.Join(dir, file)) && exists(filepath.Join(dir, "checkpoint")) {
			found = append(found, dir)
		}
	}
	require.NotEmpty(t, found)
	return found
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func readJSON(t testing.TB, path string, v any) {
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, v), path)
}

func loadGolden(t testing.TB, be op.Backend, dir string) *Model {
	c, err := ckpt.Open(filepath.Join(dir, "checkpoint"))
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	m, err := Load(be, c, Trained)
	require.NoError(t, err)
	return m
}

// tolerance is what a float32 engine may differ from float64 by.
func tolerance(t testing.TB, dir string) float64 {
	var e struct {
		Tolerance struct {
			F32 struct{ Max float64 } `json:"f32"`
		}
	}
	readJSON(t, filepath.Join(dir, "logprob", "expect_t1.json"), &e)
	require.NotZero(t, e.Tolerance.F32.Max)
	return e.Tolerance.F32.Max
}

// equalBits fails unless both hold the same float32, bit for bit.
func equalBits(t testing.TB, want, got []float32, what ...any) {
	require.Equal(t, len(want), len(got), what...)
	for i := range want {
		if math.Float32bits(want[i]) != math.Float32bits(got[i]) {
			require.Fail(t, "bits differ", "%v: element %d is %v, not %v", fmt.Sprint(what...), i, got[i], want[i])
		}
	}
}

// TestFrozen: a model that keeps its matrices only as products read them computes
// the same bits in less memory, and cannot be trained.
func TestFrozen(t *testing.T) {
	for _, shape := range []ckpt.Config{tiny, untied(tiny)} {
		shape.Architecture, shape.Intermediate = "Qwen3ForCausalLM", 9000
		shape.Vocab = 2*pieceLen/shape.Hidden + 77 // more than two pieces
		dir := filepath.Join(t.TempDir(), "M0")
		require.NoError(t, ckpt.Init(dir, shape, nil, 1, nil))
		c, err := ckpt.Open(dir)
		require.NoError(t, err)
		defer func() { require.NoError(t, c.Close()) }()
		for _, numerics := range both {
			rows := randomRows(shape, 5, 1)
			var logp, entropy [2][][]float32
			var held [2]int64
			for use, be := range []op.Backend{backendOf(t, 2, numerics), backendOf(t, 2, numerics)} {
				m, err := Load(be, c, Use(use))
				require.NoError(t, err)
				held[use] = be.Held()
				logp[use], entropy[use], err = m.Score(rows)
				require.NoError(t, err)
				if m.use == Frozen {
					require.Panics(t, func() { _, _ = NewTrainer(m, pg(), adam) })
				}
			}
			for i := range rows {
				equalBits(t, logp[Trained][i], logp[Frozen][i], numerics, i)
				equalBits(t, entropy[Trained][i], entropy[Frozen][i], numerics, i)
			}
			require.Less(t, held[Frozen], held[Trained])
		}
	}
}
