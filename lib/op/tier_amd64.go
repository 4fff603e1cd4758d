//go:build !purego

package op

import (
	"sync"
	"time"

	sys "golang.org/x/sys/cpu"
)

//go:generate sh -c "cd _asm && go run . -out ../kernels_amd64.s -stubs ../kernels_amd64.go -pkg op"

// runnable lists the tiers that run here, from the plainest to the best.
func runnable() []*tier {
	tiers := []*tier{&generic}
	if sys.X86.HasAVX2 && sys.X86.HasFMA {
		tiers = append(tiers, &avx2)
	}
	if sys.X86.HasAVX512F && sys.X86.HasAVX512BW && sys.X86.HasAVX512DQ && sys.X86.HasAVX512VL && sys.X86.HasBMI2 {
		tiers = append(tiers, &avx512)
		if sys.X86.HasAVX512BF16 && wordsAgree() {
			tiers = append(tiers, &avx512BF16)
		}
	}
	return tiers
}

// best returns the fastest of tiers, as listed by runnable: the last, unless its
// instruction for words is slower than two for numbers, as on some processors.
func best(tiers []*tier) *tier {
	n := len(tiers)
	if tiers[n-1] == &avx512BF16 && !wordsFaster() {
		n--
	}
	return tiers[n-1]
}

// wordsAgree reports whether VDPBF16PS computes what BF16 defines, on 16 lanes
// where another order, a rounding less or a denormal kept would show.
var wordsAgree = sync.OnceValue(func() bool {
	var a [reduction]float32
	var b [reduction * panel]float32
	for l := range a {
		a[l] = float32(1 + l%7)
		for j := range panel / 2 {
			// 2^24 comes and goes among small numbers; the last lanes underflow.
			b[l*panel+j] = []float32{1, 3, -2, 1 << 24, -1 << 24, 0.007, -1, 5}[(l*j+l+3*j)%8]
			if j >= 12 {
				b[l*panel+j] *= 0x1p-126
			}
		}
	}
	var c [2][panel / 2]float32
	for i, t := range [...]*tier{&generic, &avx512BF16} {
		th := &thread{tier: t, numerics: BF16}
		th.multiply(product{
			m: 1, n: panel / 2, k: reduction, a: a[:], ai: reduction, al: 1,
			right: th.rows(make([]float32, BF16.rowsLen(reduction, panel/2)), b[:], panel, reduction, panel/2),
			c:     c[i][:], ci: panel / 2,
		})
	}
	return c[0] == c[1]
})

// wordsFaster measures for about a millisecond.
var wordsFaster = sync.OnceValue(func() bool {
	var best [2]time.Duration
	for round := range 40 {
		for i, t := range [...]*tier{&avx512, &avx512BF16} {
			p := product{
				m: t.rowsBF16, n: panel, k: 16 * reduction, a: make([]float32, t.rowsBF16), ai: 1,
				right: right{make([]float32, panel), panel, 0}, c: make([]float32, t.rowsBF16*panel), ci: panel,
			}
			start := time.Now()
			for range 8 {
				t.productBF16(nil, &p, 0, p.m, 0, 1)
			}
			if spent := time.Since(start); round == 0 || spent < best[i] {
				best[i] = spent
			}
		}
	}
	return best[1] < best[0]
})

var avx2 = tier{
	name:    "avx2",
	rows:    rows256,
	product: by256(&f32AVX2),

	rowsBF16:    len(bf16AVX2.whole) - 1,
	productBF16: by256(&bf16AVX2),

	round:      roundBy(round256),
	pairs:      pairsBy(pairs256),
	weave:      weaveBy(weave256),
	pack:       packSIMD,
	softmax:    softmaxBy(softmax256),
	scale:      scaleBy(scale256),
	dot:        dotBy(dot256),
	dscore:     dscoreBy(dscore256),
	add:        addBy(add256),
	swiGLU:     swiGLUBy(swiGLU256),
	swiGLUGrad: swiGLUGradBy(swiGLUGrad256),
	norm:       normBy(norm256),
	normGrad:   normGradBy(normGrad256),
	normGradW:  normGradWBy(normGradW256),
	rotate:     rotateBy(rotate256),
	logSum:     logSumBy(logSum256),
	logGrad:    logGradBy(logGrad256),
	adamW:      adamWBy(adamW256),
}

var avx512 = tier{
	name:    "avx512",
	rows:    len(f32AVX512.whole) - 1,
	product: by512(&f32AVX512),

	rowsBF16:    len(bf16AVX512.whole) - 1,
	productBF16: by512(&bf16AVX512),

	round:      roundBy(round512),
	pairs:      pairsBy(pairs512),
	weave:      weaveBy(weave512),
	pack:       packSIMD,
	softmax:    softmaxBy(softmax512),
	scale:      scaleBy(scale512),
	dot:        dotBy(dot512),
	dscore:     dscoreBy(dscore512),
	add:        addBy(add512),
	swiGLU:     swiGLUBy(swiGLU512),
	swiGLUGrad: swiGLUGradBy(swiGLUGrad512),
	norm:       normBy(norm512),
	normGrad:   normGradBy(normGrad512),
	normGradW:  normGradWBy(normGradW512),
	rotate:     rotateBy(rotate512),
	logSum:     logSumBy(logSum512),
	logGrad:    logGradBy(logGrad512),
	adamW:      adamWBy(adamW512),
}

// avx512BF16 is avx512 with products of words.
var avx512BF16 = func() tier {
	t := avx512
	t.name, t.leftWords, t.productBF16 = "avx512_bf16", true, by512(&bf16Words)
	t.pairs, t.weave = pairsBy(pairsWords512), weaveBy(weaveWords512)
	return t
}()
