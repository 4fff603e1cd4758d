//go:build !purego

package op

import (
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	sys "golang.org/x/sys/cpu"
)

//go:generate sh -c "cd _asm && go run . -out ../kernels_amd64.s -stubs ../kernels_amd64.go -pkg op"

// tiers are listed from the plainest to the best.
var tiers = []candidate{
	{&generic, func() string { return "" }},
	{&avx2, func() string { return lacking(feature{"AVX2", sys.X86.HasAVX2}, feature{"FMA", sys.X86.HasFMA}) }},
	{&avx512, lacksAVX512},
	{&avx512BF16, lacksWords},
	{&amxBF16, lacksTiles},
}

// feature is something a processor may have.
type feature struct {
	name string
	has  bool
}

// lacking names those of all that are not there.
func lacking(all ...feature) string {
	var names []string
	for _, f := range all {
		if !f.has {
			names = append(names, f.name)
		}
	}
	return strings.Join(names, ", ")
}

func lacksAVX512() string {
	return lacking(feature{"AVX512F", sys.X86.HasAVX512F}, feature{"AVX512BW", sys.X86.HasAVX512BW},
		feature{"AVX512DQ", sys.X86.HasAVX512DQ}, feature{"AVX512VL", sys.X86.HasAVX512VL}, feature{"BMI2", sys.X86.HasBMI2})
}

var lacksWords = sync.OnceValue(func() string {
	lacks := lacksAVX512()
	if lacks == "" {
		lacks = lacking(feature{"AVX512_BF16", sys.X86.HasAVX512BF16})
	}
	if lacks == "" && !agrees(&avx512BF16) {
		lacks = "a VDPBF16PS that computes what bf16 is here"
	}
	return lacks
})

// lacksTiles: besides the processor, the operating system must have tiles, and
// give them to this process.
var lacksTiles = sync.OnceValue(func() string {
	const tileState = 3 << 17 // in XCR0: configuration and data
	lacks := lacksAVX512()
	if lacks == "" { // so there is an XCR0
		lacks = lacking(feature{"AVX512_BF16", sys.X86.HasAVX512BF16},
			feature{"AMX-TILE", sys.X86.HasAMXTile}, feature{"AMX-BF16", sys.X86.HasAMXBF16},
			feature{"the state of tiles in XCR0", xgetbv()&tileState == tileState})
	}
	if lacks == "" {
		lacks = requestTiles()
	}
	if lacks == "" && !agrees(&amxBF16) {
		lacks = "a TDPBF16PS that computes what bf16 is here"
	}
	return lacks
})

// agrees reports whether t computes what BF16 defines, on numbers where another
// order, a rounding less or a denormal kept would show.
func agrees(t *tier) bool {
	number := func(i int) float32 { // 2^24 comes and goes among small numbers
		return []float32{1, 3, -2, 1 << 24, -1 << 24, 0.007, -1, 5}[(i+i/3)%8]
	}
	tiny := func(i int) float32 { // products and sums of these underflow
		return []float32{1, -3, 2, -1, 0.3}[(i+i/3)%5] * 0x1p-126
	}
	for _, s := range [][2]int{{1, 16}, {3, 28}, {3, 76}, {18, 12}, {18, 28}} { // all kernels of tiles
		const k = 2*reduction - 5
		m, n := s[0], s[1]
		a, b, before := make([]float32, m*k), make([]float32, k*n), make([]float32, m*n)
		for i := range a {
			a[i] = 0.375 * float32(1+(i+i/k)%7)
		}
		for i := range b {
			b[i] = number(i/n + 3*i)
			if i%4 == 3 {
				b[i] = tiny(i / n)
			}
		}
		for i := range before {
			before[i] = number(i)
			if i%4 == 3 {
				before[i] = tiny(i/4) / 4
			}
		}
		for _, add := range []bool{false, true} {
			var c [2][]float32
			for i, t := range [...]*tier{&generic, t} {
				c[i] = slices.Clone(before)
				th := &thread{tier: t, numerics: BF16}
				th.multiply(product{
					m: m, n: n, k: k, a: a, ai: k, al: 1,
					right: th.rows(make([]float32, BF16.rowsLen(k, n)), b, n, k, n),
					c:     c[i], ci: n, add: add,
				})
			}
			if !slices.EqualFunc(c[0], c[1], func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) }) {
				return false
			}
		}
	}
	return true
}

// best returns the fastest tier. From AVX-512 on they differ in BF16 alone, where
// the instruction for words is slower than two for numbers on some processors; so
// it measures, for about a millisecond.
var best = sync.OnceValue(func() *tier {
	const m, n, k, rounds = 28, panel, 16 * reduction, 100
	all := runnable()
	if !slices.Contains(all, &avx512) {
		return all[len(all)-1]
	}
	all = all[slices.Index(all, &avx512):]
	x, c := make([]float32, k*max(m, n)), make([]float32, m*n)
	products, least := make([]func(), len(all)), make([]time.Duration, len(all))
	for i, t := range all {
		th := &thread{tier: t, numerics: BF16}
		b := th.rows(make([]float32, BF16.rowsLen(k, n)), x, n, k, n)
		products[i] = func() { th.multiply(product{m: m, n: n, k: k, a: x, ai: k, al: 1, right: b, c: c, ci: n}) }
		least[i] = time.Hour
	}
	for range rounds {
		for i, multiply := range products {
			start := time.Now()
			multiply()
			least[i] = min(least[i], time.Since(start))
		}
	}
	return all[slices.Index(least, slices.Min(least))]
})

var avx2 = tier{
	name:    "avx2",
	rows:    rows256,
	product: by256(&f32AVX2),

	rowsBF16:    len(bf16AVX2.whole) - 1,
	productBF16: by256(&bf16AVX2),
	leftRows:    groupRows,

	round:      roundBy(round256),
	put:        putBy(put256),
	pairs:      pairsBy(pairs256),
	weave:      weaveBy(weave256),
	turn:       turnSIMD,
	softmax:    softmaxBy(softmax256),
	scale:      scaleBy(scale256),
	dot:        dotBy(dot256),
	dscore:     dscoreBy(dscore256),
	fetch:      fetchRows,
	add:        addBy(add256),
	swiGLU:     swiGLUBy(swiGLU256),
	swiGLUGrad: swiGLUGradBy(swiGLUGrad256),
	norm:       normBy(norm256),
	normGrad:   normGradBy(normGrad256),
	normGradW:  normGradWBy(normGradW256),
	rotate:     rotateBy(rotate256),
	logSum:     logSumBy(logSum256),
	logGrad:    logGradBy(logGrad256),
	sumSquares: sumSquaresBy(sumSquares256),
	adamW:      adamWBy(adamW256),
}

var avx512 = tier{
	name:    "avx512",
	rows:    len(f32AVX512.whole) - 1,
	product: by512(&f32AVX512),

	rowsBF16:    len(bf16AVX512.whole) - 1,
	productBF16: by512(&bf16AVX512),
	leftRows:    groupRows,

	round:      roundBy(round512),
	put:        putBy(put512),
	pairs:      pairsBy(pairs512),
	weave:      weaveBy(weave512),
	turn:       turnSIMD,
	softmax:    softmaxBy(softmax512),
	scale:      scaleBy(scale512),
	dot:        dotBy(dot512),
	dscore:     dscoreBy(dscore512),
	fetch:      fetchRows,
	add:        addBy(add512),
	swiGLU:     swiGLUBy(swiGLU512),
	swiGLUGrad: swiGLUGradBy(swiGLUGrad512),
	norm:       normBy(norm512),
	normGrad:   normGradBy(normGrad512),
	normGradW:  normGradWBy(normGradW512),
	rotate:     rotateBy(rotate512),
	logSum:     logSumBy(logSum512),
	logGrad:    logGradBy(logGrad512),
	sumSquares: sumSquaresBy(sumSquares512),
	adamW:      adamWBy(adamW512),
}

// avx512BF16 is avx512 with products of words.
var avx512BF16 = func() tier {
	t := avx512
	t.name, t.leftWords, t.productBF16 = "avx512_bf16", true, by512(&bf16Words)
	t.pairs, t.weave = pairsBy(pairsWords512), weaveBy(weaveWords512)
	return t
}()

// amxBF16 is avx512 with products of tiles.
var amxBF16 = func() tier {
	t := avx512
	t.name, t.leftWords, t.order, t.productBF16 = "amx_bf16", true, twos, amxKernels.product
	t.rowsBF16, t.leftRows = 2*tileSize, 128
	t.pairs, t.weave = pairsBy(pairsTwos512), weaveBy(weaveTwos512)
	return t
}()
