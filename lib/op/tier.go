package op

import (
	"fmt"
	"strings"
)

// tier is what one level of the instruction set does better than plain Go. All
// tiers give the same bits; the plain form of each function is its definition.
type tier struct {
	name string
	// rows is the height of the largest tile of a product.
	rows int
	// product computes rows [i0, i1) and panels [j0, j1) of p in F32.
	product func(t *thread, p *product, i0, i1, j0, j1 int)
	// rowsBF16 and productBF16 are those of BF16. The left operand of the latter is
	// rounded and padded, leftRows rows at a time, which stay in the second cache. It
	// consists of words if leftWords, and in the order of twos of rows of them.
	rowsBF16, leftRows int
	productBF16        func(t *thread, p *product, i0, i1, j0, j1 int)
	leftWords          bool
	order              order
	// What follows is described at the plain form.
	round      func(dst, x []float32)
	put        func(dst, x []float32, upper bool)
	pairs      func(dst, x []float32)
	weave      func(dst []float32, stride int, x []float32, ld, n int)
	turn       func(dst []float32, stride int, x []float32, ld, w, n int)
	softmax    func(x []float32, n int, scale float32) float32
	scale      func(x []float32, s float32)
	dot        func(x, y []float32) float32
	dscore     func(d, p []float32, inv, dot, scale float32)
	fetch      func(x []float32, ld, m, n int)
	add        func(y, x []float32)
	swiGLU     func(y, g, u []float32)
	swiGLUGrad func(dg, du, dy, g, u []float32)
	norm       func(y, x, w []float32, eps float32) float32
	normGrad   func(dx, dy, x, w []float32, eps float32) float32
	normGradW  func(dw, dy, x []float32, ld int, r []float32)
	rotate     func(x, cos, sin []float32)
	logSum     func(x []float32, temp float32) (m, sum, dot float32)
	logGrad    func(x []float32, temp, m, inv, ln, a, b float32)
	sumSquares func(x []float32) float64
	adamW      func(p, g, m, v []float32, a *adamScalars)
}

// generic is the definition of all tiers, in plain Go.
var generic = tier{
	name:    "generic",
	rows:    8,
	product: productGeneric,

	rowsBF16:    8,
	leftRows:    groupRows,
	productBF16: productBF16Generic,

	round:      roundGeneric,
	put:        putGeneric,
	pairs:      fours.pairs,
	weave:      fours.weave,
	turn:       turnGeneric,
	softmax:    softmaxGeneric,
	scale:      scaleGeneric,
	dot:        dotGeneric,
	dscore:     dscoreGeneric,
	fetch:      fetchGeneric,
	add:        addGeneric,
	swiGLU:     swiGLUGeneric,
	swiGLUGrad: swiGLUGradGeneric,
	norm:       normGeneric,
	normGrad:   normGradGeneric,
	normGradW:  normGradWGeneric,
	rotate:     rotateGeneric,
	logSum:     logSumGeneric,
	logGrad:    logGradGeneric,
	sumSquares: sumSquaresGeneric,
	adamW:      adamWGeneric,
}

// candidate is a tier that a processor of this architecture may run.
type candidate struct {
	*tier
	// lacks says what this machine lacks for it; empty if nothing. It may run
	// instructions of the tier to find out.
	lacks func() string
}

// runnable lists the tiers that run here, from the plainest to the best.
func runnable() (all []*tier) {
	for _, c := range tiers {
		if c.lacks() == "" {
			all = append(all, c.tier)
		}
	}
	return all
}

// pickTier returns the tier that the name force demands, or the best one that
// runs here if force is empty. A tier that is forced runs no instruction of
// another one.
func pickTier(force string) (*tier, error) {
	if force == "" {
		return best(), nil
	}
	lacks := ""
	for _, c := range tiers {
		if c.name == force {
			if lacks = c.lacks(); lacks == "" {
				return c.tier, nil
			}
			lacks = " lacks " + lacks + " and"
		}
	}
	var names []string
	for _, t := range runnable() {
		names = append(names, t.name)
	}
	return nil, fmt.Errorf("op: SRAR_CPU=%s: this machine%s runs %s", force, lacks, strings.Join(names, ", "))
}
