package score

import "math"

// z is the 97.5 % quantile of the normal distribution.
const z = 1.959963984540054

// sums holds (a_p, b_p) for each prompt p with b_p > 0. The value of a metric is
// r = sum a_p / sum b_p.
type sums struct{ a, b []float64 }

func (x *sums) add(a, b float64) {
	if b > 0 {
		x.a, x.b = append(x.a, a), append(x.b, b)
	}
}

func (x *sums) total() (a, b float64) {
	for i := range x.a {
		a += x.a[i]
		b += x.b[i]
	}
	return a, b
}

// share returns r and its 95 % interval, cut to [0, 1]. Where r is 0 or 1, or
// where each prompt counts once as right or wrong, the interval is Wilson's with
// n = P prompts: the linearised one has no width there, or needs no clusters.
func (x *sums) share() (r float64, low, high *float64, n int64, ok bool) {
	r, low, high, n, ok = x.mean()
	if !ok {
		return
	}
	binary := true
	for i := range x.a {
		binary = binary && x.b[i] == 1 && (x.a[i] == 0 || x.a[i] == 1)
	}
	if r == 0 || r == 1 || binary {
		l, h := wilson(r, float64(len(x.a)))
		low, high = &l, &h
	}
	if low != nil {
		*low, *high = clip(*low), clip(*high)
	}
	return
}

// mean returns r and its interval by linearisation of the ratio (Cochran,
// Sampling Techniques, section 6.3), prompts being the clusters: r -+ z se with
// se^2 = P/(P-1) sum (a_p - r b_p)^2 / (sum b_p)^2. It has none for P = 1.
func (x *sums) mean() (r float64, low, high *float64, n int64, ok bool) {
	a, b := x.total()
	if b == 0 {
		return
	}
	r = a / b
	if p := float64(len(x.a)); p > 1 {
		square := 0.0
		for i := range x.a {
			e := x.a[i] - float64(r*x.b[i])
			square += float64(e * e)
		}
		se := math.Sqrt(p/(p-1)*square) / b
		l, h := r-float64(z*se), r+float64(z*se)
		low, high = &l, &h
	}
	return r, low, high, int64(b), true
}

// wilson is the score interval of a share r of n (Wilson 1927).
func wilson(r, n float64) (low, high float64) {
	mid := r + z*z/(2*n)
	half := float64(z * math.Sqrt(r*(1-r)/n+z*z/(4*n*n)))
	return (mid - half) / (1 + z*z/n), (mid + half) / (1 + z*z/n)
}

func clip(x float64) float64 { return min(max(x, 0), 1) }
