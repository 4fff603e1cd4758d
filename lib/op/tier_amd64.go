//go:build !purego

package op

import sys "golang.org/x/sys/cpu"

//go:generate sh -c "cd _asm && go run . -out ../kernels_amd64.s -stubs ../kernels_amd64.go -pkg op"

// runnable lists the tiers that run here, from the plainest to the best.
func runnable() []*tier {
	tiers := []*tier{&generic}
	if sys.X86.HasAVX2 && sys.X86.HasFMA {
		tiers = append(tiers, &avx2)
	}
	if sys.X86.HasAVX512F && sys.X86.HasAVX512BW && sys.X86.HasAVX512DQ && sys.X86.HasAVX512VL && sys.X86.HasBMI2 {
		tiers = append(tiers, &avx512)
	}
	return tiers
}

var avx2 = tier{
	name:    "avx2",
	rows:    len(tiles256) - 1,
	product: product256,

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
	rows:    len(tiles512[0]) - 1,
	product: product512,

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
