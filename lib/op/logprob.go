package op

import (
	"fmt"

	"srar/lib/real"
)

// logProb reads rows of logits, its items rows.
type logProb struct {
	logp, entropy, logits []float32
	ids                   []int32
	temp                  []float32
	v                     int
}

func (c *cpu) LogProb(logp, entropy []float32, logits Buf, ids []int32, temp []float32, n, v int) {
	if entropy != nil {
		entropy = entropy[:n]
	}
	c.jobs.logProb = logProb{logp[:n], entropy, need("LogProb", logits, n*v), ids[:n], temp[:n], v}
	checkIDs("LogProb", ids[:n], v)
	c.split(n, 50+v/4, &c.jobs.logProb)
}

// checkIDs panics unless every id is a column of v.
func checkIDs(name string, ids []int32, v int) {
	for i, id := range ids {
		if id < 0 || int(id) >= v {
			panic(fmt.Sprintf("op: %s: id %d of row %d is outside the vocabulary of %d", name, id, i, v))
		}
	}
}

func (l *logProb) do(t *thread, lo, hi int) {
	for i := lo; i < hi; i++ {
		x, temp := l.logits[i*l.v:][:l.v], l.temp[i]
		m, sum, dot := t.tier.logSum(x, temp)
		ln := real.Log(float64(sum))
		l.logp[i] = float32(float64(x[l.ids[i]]/temp-m) - ln)
		if l.entropy != nil {
			l.entropy[i] = float32(ln - float64(dot)/float64(sum))
		}
	}
}

// logProbGrad turns rows of logits into gradients, its items rows.
type logProbGrad struct {
	logits          []float32
	ids             []int32
	temp            []float32
	dlogp, dentropy []float32
	v               int
}

func (c *cpu) LogProbGrad(logits Buf, ids []int32, temp, dlogp, dentropy []float32, n, v int) {
	if dentropy != nil {
		dentropy = dentropy[:n]
	}
	c.jobs.logProbGrad = logProbGrad{need("LogProbGrad", logits, n*v), ids[:n], temp[:n], dlogp[:n], dentropy, v}
	checkIDs("LogProbGrad", ids[:n], v)
	c.split(n, 50+v/2, &c.jobs.logProbGrad)
}

// With z = x/T, p = softmax(z), H = -Σ p ln p:
// ∂logp/∂x_j = (δ_j - p_j)/T and ∂H/∂x_j = -p_j (ln p_j + H)/T.
func (l *logProbGrad) do(t *thread, lo, hi int) {
	for i := lo; i < hi; i++ {
		x, temp := l.logits[i*l.v:][:l.v], l.temp[i]
		if l.dentropy == nil && temp == 1 {
			// The same numbers, with one exponential each.
			sum := t.tier.softmax(x, l.v, 1)
			t.tier.scale(x, 1/sum)
			t.tier.scale(x, -l.dlogp[i])
			x[l.ids[i]] += l.dlogp[i]
			continue
		}
		m, sum, dot := t.tier.logSum(x, temp)
		ln := real.Log(float64(sum))
		a, b := -l.dlogp[i]/temp, float32(0)
		if l.dentropy != nil {
			h := float32(ln - float64(dot)/float64(sum))
			b = -l.dentropy[i] / temp
			a += float32(b * h)
		}
		t.tier.logGrad(x, temp, m, 1/sum, float32(ln), a, b)
		x[l.ids[i]] += l.dlogp[i] / temp
	}
}
