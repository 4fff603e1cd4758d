package op

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// The token drawn is the one whose share of the distribution, in float64, holds
// u, give or take the rounding of the weights.
func TestDrawInvertsTheDistribution(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, v := range []int{1, 2, 17, 511, 512, 513, 5000} {
		const n = 40
		logits, temp, u := make([]float32, n*v), make([]float32, n), make([]float64, n)
		for i := range logits {
			logits[i] = float32(4 * r.NormFloat64())
		}
		for i := range n {
			temp[i], u[i] = float32(0.3+r.Float64()), r.Float64()
		}
		u[0], u[1] = 0, math.Nextafter(1, 0)
		for k := range v { // one token that has everything, in the middle
			logits[2*v+k] = -1000
		}
		logits[2*v+v/2] = 50
		var first []int32
		for _, tier := range runnable() {
			for _, threads := range []int{1, 3} {
				c := newCPU(tier, threads, F32)
				b := c.New(len(logits))
				c.Write(b, logits)
				ids := make([]int32, n)
				c.Draw(ids, b, temp, u, n, v)
				c.Close()
				if first == nil {
					first = ids
				}
				require.Equal(t, first, ids, "%s, %d threads", tier.name, threads)
			}
		}
		for i, id := range first {
			z, top, total, below := logits[i*v:][:v], math.Inf(-1), 0.0, 0.0
			for _, x := range z {
				top = max(top, float64(x/temp[i]))
			}
			w := func(k int) float64 { return math.Exp(float64(z[k]/temp[i]) - top) }
			for k := range v {
				total += w(k)
			}
			for k := range int(id) {
				below += w(k)
			}
			const slack = 1e-5
			require.GreaterOrEqual(t, u[i]+slack, below/total, "row %d of %d", i, v)
			require.LessOrEqual(t, u[i]-slack, (below+w(int(id)))/total, "row %d of %d", i, v)
			require.Positive(t, w(int(id)))
		}
		require.Equal(t, int32(v/2), first[2])
	}
}

func TestDrawOfNoNumbers(t *testing.T) {
	c := newCPU(&generic, 1, F32)
	defer c.Close()
	b := c.New(2 * 700)
	nan := make([]float32, 1400)
	for i := range nan {
		nan[i] = float32(math.NaN())
	}
	nan[700] = float32(math.Inf(1))
	c.Write(b, nan)
	ids := []int32{-1, -1}
	c.Draw(ids, b, []float32{1, 1}, []float64{0.5, 0.5}, 2, 700)
	for _, id := range ids {
		require.True(t, id >= 0 && id < 700)
	}
}
