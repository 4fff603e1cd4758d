package llm

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/ckpt"
)

// TestFamilies holds checkpoints of testdata/models against what transformers
// makes of them in float64: log-probabilities, the gradient of their mean, and
// how long a window has no effect. The bounds are those of the golden models.
func TestFamilies(t *testing.T) {
	be := newBackend(t, 2)
	dirs, err := filepath.Glob("testdata/models/*/expect.json")
	require.NoError(t, err)
	require.Len(t, dirs, 6)
	for _, path := range dirs {
		var e struct {
			Prompt, Tokens []int32
			Logprobs       []float64
			Error          float64 `json:"torch_error"`
			GradientError  float64 `json:"torch_gradient_error"`
			WindowChanges  int     `json:"window_changes"`
		}
		readJSON(t, path, &e)
		dir := filepath.Dir(path)
		c, err := ckpt.Open(dir)
		require.NoError(t, err)
		m, err := Load(be, c, Trained)
		require.NoError(t, err)
		require.NoError(t, c.Close())
		require.Equal(t, e.WindowChanges, c.Config.Window, dir)

		rows := []Row{{Prompt: e.Prompt, Tokens: e.Tokens, Temperature: 1}}
		logp, _, err := m.Score(rows)
		require.NoError(t, err, dir)
		for k, want := range e.Logprobs {
			require.InDelta(t, want, logp[0][k], max(2e-5, 4*e.Error), "%s token %d", dir, k)
		}

		tr := newTrainer(t, m, Loss{Kind: "nll", Aggregate: "token-mean"}, Optim{Eps: 1}) // betas 0: the moment is the gradient
		require.NoError(t, tr.Accumulate(rows))
		_, err = tr.Step(0)
		require.NoError(t, err)
		f, err := ckpt.OpenFile(filepath.Join(dir, "gradient.safetensors"))
		require.NoError(t, err)
		for name, got := range tr.M() {
			x, err := f.Tensor(name)
			require.NoError(t, err)
			want, err := x.Float32()
			require.NoError(t, err)
			top := 0.0
			for _, g := range want {
				top = max(top, math.Abs(float64(g)))
			}
			for i, g := range want {
				require.InDelta(t, g, got[i], max(1e-4, 4*e.GradientError)*top, "%s %s[%d]", dir, name, i)
			}
		}
		require.NoError(t, f.Close())
	}
}
