package llm

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/ckpt"
)

func TestGoldenGreedy(t *testing.T) {
	be := newBackend(t, 2)
	for _, dir := range goldenModels(t, "greedy/expect.json") {
		var e struct {
			MaxTokens int     `json:"max_tokens"`
			EOS       []int32 `json:"eos_token_ids"`
			Cases     []struct {
				ID       string  `json:"prompt_id"`
				Prompt   []int32 `json:"prompt_tokens"`
				Tokens   []int32
				Finish   string
				Logprobs []float64
			}
		}
		readJSON(t, filepath.Join(dir, "greedy", "expect.json"), &e)
		require.NotEmpty(t, e.Cases)
		m := loadGolden(t, be, dir)
		require.ElementsMatch(t, e.EOS, m.cfg.EOS)
		var list []*Request
		for _, c := range e.Cases {
			list = append(list, &Request{Key: c.ID, Prompt: c.Prompt, N: 1})
		}
		for i, samples := range generate(t, m, Sampling{Greedy: true, MaxTokens: e.MaxTokens}, 0, list) {
			c, s := e.Cases[i], samples[0]
			require.Equal(t, c.Tokens, s.Tokens, "%s %s", dir, c.ID)
			require.Equal(t, c.Finish, s.Finish, "%s %s", dir, c.ID)
			for k := range c.Tokens {
				require.InDelta(t, c.Logprobs[k], s.Logprobs[k], tolerance(t, dir), "%s %s token %d", dir, c.ID, k)
			}
		}
	}
}

type goldenSampling struct {
	Temperature float64
	TopK        int     `json:"top_k"`
	TopP        float64 `json:"top_p"`
	MinP        float64 `json:"min_p"`
	Repetition  float64 `json:"repetition_penalty"`
	Presence    float64 `json:"presence_penalty"`
}

// sampling fills in what a case leaves out.
func (g goldenSampling) sampling(limit int) Sampling {
	s := Sampling{Temperature: g.Temperature, TopK: g.TopK, TopP: g.TopP, MinP: g.MinP, Repetition: g.Repetition, Presence: g.Presence, MaxTokens: limit}
	for _, f := range []*float64{&s.Temperature, &s.TopP, &s.Repetition} {
		if *f == 0 {
			*f = 1
		}
	}
	return s
}

type goldenDists struct {
	Prompt    []int32 `json:"prompt_tokens"`
	Logits    map[string][]float64
	NextToken []struct {
		Name   string
		Params goldenSampling
		Output []int32 `json:"output_tokens"`
		Logits string
		IDs    []int32 `json:"ids"`
		Probs  []float64
	} `json:"next_token"`
	Joint []struct {
		Name      string
		Params    goldenSampling
		MaxTokens int `json:"max_tokens"`
		Sequences []struct {
			Tokens   []int32
			P        float64
			Logprobs []float64
		}
	}
}

// The probabilities that tokens are drawn with, given logits.
func TestGoldenSamplingNextToken(t *testing.T) {
	for _, dir := range goldenModels(t, "sampling/dists.json") {
		var d goldenDists
		readJSON(t, filepath.Join(dir, "sampling", "dists.json"), &d)
		require.NotEmpty(t, d.NextToken)
		for _, c := range d.NextToken {
			var logits []float32
			for _, z := range d.Logits[c.Logits] {
				logits = append(logits, float32(z))
			}
			var seen []occurrence
			for _, id := range d.Prompt {
				seen = observe(seen, id, 0)
			}
			for _, id := range c.Output {
				seen = observe(seen, id, 1)
			}
			if c.IDs == nil {
				for i := range c.Probs {
					c.IDs = append(c.IDs, int32(i))
				}
			}
			p := c.Params.sampling(1)
			var s sampler
			ids, w := s.weigh(logits, &p, seen)
			total := 0.0
			for _, x := range w {
				total += x
			}
			want := map[int32]float64{}
			for i, id := range c.IDs {
				want[id] = c.Probs[i]
			}
			require.Len(t, w, len(want), c.Name)
			for i, x := range w {
				id := int32(i)
				if ids != nil {
					id = ids[i]
				}
				require.InEpsilon(t, want[id], x/total, 1e-5, "%s token %d", c.Name, id) // logits in float32
			}
		}
	}
}

// Whole outputs against their exact probabilities, and their log-probabilities.
func TestGoldenSamplingJoint(t *testing.T) {
	const n = 4000
	be := newBackend(t, 2)
	for _, dir := range goldenModels(t, "sampling/dists.json") {
		var d goldenDists
		readJSON(t, filepath.Join(dir, "sampling", "dists.json"), &d)
		require.NotEmpty(t, d.Joint)
		m := loadGolden(t, be, dir)
		for _, c := range d.Joint {
			samples := generate(t, m, c.Params.sampling(c.MaxTokens), 12345, []*Request{{Key: "golden", Prompt: d.Prompt, N: n}})[0]
			count, logprobs := map[string]float64{}, map[string][]float64{}
			for _, q := range c.Sequences {
				count[fmt.Sprint(q.Tokens)], logprobs[fmt.Sprint(q.Tokens)] = 0, q.Logprobs
			}
			for _, s := range samples {
				key := fmt.Sprint(s.Tokens)
				require.NotNil(t, logprobs[key], "%s: an output of probability 0: %s", c.Name, key)
				count[key]++
				for k, l := range logprobs[key] {
					require.InDelta(t, l, s.Logprobs[k], tolerance(t, dir), c.Name)
				}
			}
			// Pearson's chi-square, rare outputs taken together.
			slices.SortFunc(c.Sequences, func(a, b struct {
				Tokens   []int32
				P        float64
				Logprobs []float64
			}) int {
				return int(math.Copysign(1, a.P-b.P))
			})
			x2, cells, seen, due := 0.0, 0.0, 0.0, 0.0
			for _, q := range c.Sequences {
				seen, due = seen+count[fmt.Sprint(q.Tokens)], due+q.P*n
				if due >= 8 {
					x2, cells, seen, due = x2+(seen-due)*(seen-due)/due, cells+1, 0, 0
				}
			}
			free := max(cells-1, 1)
			// Wilson and Hilferty's normal approximation, at 4.3 deviations: 1 in 100,000.
			z := (math.Cbrt(x2/free) - (1 - 2/(9*free))) / math.Sqrt(2/(9*free))
			require.Less(t, z, 4.3, "%s %s: chi-square %v of %v cells", dir, c.Name, x2, cells)
		}
	}
}

// A checkpoint written after a step and read again goes on as if it had never
// been written: weights, masters, moments, and the bits of the next step.
func TestGoldenResume(t *testing.T) {
	be := newBackend(t, 2)
	for _, dir := range goldenModels(t, "checkpoint/config.json") {
		parent, err := ckpt.Open(filepath.Join(dir, "checkpoint"))
		require.NoError(t, err)
		m, err := Load(be, parent, Trained)
		require.NoError(t, err)
		rows := randomRows(m.cfg, 5, 4)
		step := func(tr *Trainer) Metrics {
			require.NoError(t, tr.Accumulate(rows))
			x, err := tr.Step(1e-3)
			require.NoError(t, err)
			return x
		}
		tr, err := NewTrainer(m, pg(), adam)
		require.NoError(t, err)
		step(tr)

		next := filepath.Join(t.TempDir(), "next")
		require.NoError(t, ckpt.Write(next, ckpt.Update{
			Parent: parent, Meta: ckpt.Meta{Step: tr.Steps()}, Weights: tr.Weight, Optimizer: tr.State(),
		}))
		require.NoError(t, parent.Close())
		c, err := ckpt.Open(next)
		require.NoError(t, err)
		again, err := Load(be, c, Trained)
		require.NoError(t, err)
		equalState(t, weights(m), weights(again))
		opt, err := c.Optimizer()
		require.NoError(t, err)
		back, err := NewTrainer(again, pg(), adam)
		require.NoError(t, err)
		require.NoError(t, back.Restore(c.Step(), opt))
		require.NoError(t, opt.Close())
		require.NoError(t, c.Close())

		require.Equal(t, step(tr), step(back))
		require.Equal(t, tr.Steps(), back.Steps())
		equalTrainers(t, tr, back)
	}
}
