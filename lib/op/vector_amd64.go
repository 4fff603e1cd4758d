//go:build !purego

package op

import "unsafe"

// at returns where x begins, and makes sure that it holds n elements.
func at(x []float32, n int) *float32 { return unsafe.SliceData(x[:n]) }

// The functions below make the functions of a tier from kernels that take
// pointers: they check lengths and do what kernels leave to do. They are kept from
// being inlined because the compiler calls at in a copy of a closure: 2 % of the time
// of a small model.

// turnSIMD computes turnGeneric: eight rows at a time, then those that are left.
// AVX-512 would not make it faster.
func turnSIMD(dst []float32, stride int, x []float32, ld, w, n int) {
	if n == 0 {
		return
	}
	r := 0
	for ; r+8 <= w; r += 8 {
		_, _ = dst[(n-1)*stride+r+7], x[(r+7)*ld+n-1]
		transpose8(&dst[r], 4*stride, &x[r*ld], 4*ld, n)
	}
	turnColumns(dst, stride, x, ld, r, w, n)
}

//go:noinline
func roundBy(kernel func(dst, x *float32, n int)) func(dst, x []float32) {
	return func(dst, x []float32) {
		n := len(x)
		kernel(at(dst, n), at(x, n), n)
		clear(dst[n:])
	}
}

//go:noinline
func putBy(kernel func(dst, x *float32, n, shift int)) func(dst, x []float32, upper bool) {
	return func(dst, x []float32, upper bool) {
		shift := 16
		if upper {
			shift = 0
		}
		kernel(at(dst, len(x)), at(x, len(x)), len(x), shift)
	}
}

//go:noinline
func pairsBy(kernel func(dst, x *float32, n int)) func(dst, x []float32) {
	return func(dst, x []float32) {
		n := len(x)
		words := (n + 15) / 16 * 8
		kernel(at(dst, words), at(x, n), n)
		clear(dst[words:])
	}
}

//go:noinline
func weaveBy(kernel func(dst *float32, stride int, x *float32, ld, n int)) func(dst []float32, stride int, x []float32, ld, n int) {
	return func(dst []float32, stride int, x []float32, ld, n int) {
		kernel(at(dst, stride+n), 4*stride, at(x, 3*ld+n), 4*ld, n)
	}
}

//go:noinline
func softmaxBy(kernel func(x *float32, n int, scale float32) float32) func(x []float32, n int, scale float32) float32 {
	return func(x []float32, n int, scale float32) float32 {
		sum := kernel(at(x, n), n, scale)
		clear(x[n:])
		return sum
	}
}

//go:noinline
func scaleBy(kernel func(x *float32, n int, s float32)) func(x []float32, s float32) {
	return func(x []float32, s float32) { kernel(at(x, len(x)), len(x), s) }
}

//go:noinline
func dotBy(kernel func(x, y *float32, n int) float32) func(x, y []float32) float32 {
	return func(x, y []float32) float32 { return kernel(at(x, len(x)), at(y, len(x)), len(x)) }
}

//go:noinline
func dscoreBy(kernel func(d, p *float32, n int, inv, dot, scale float32)) func(d, p []float32, inv, dot, scale float32) {
	return func(d, p []float32, inv, dot, scale float32) {
		kernel(at(d, len(d)), at(p, len(d)), len(d), inv, dot, scale)
	}
}

// fetchRows asks for rows of whole cache lines.
func fetchRows(x []float32, ld, m, n int) {
	if m > 0 && n > 0 {
		fetch(at(x, (m-1)*ld+n), 4*ld, m, 4*n)
	}
}

//go:noinline
func addBy(kernel func(y, x *float32, n int)) func(y, x []float32) {
	return func(y, x []float32) { kernel(at(y, len(y)), at(x, len(y)), len(y)) }
}

//go:noinline
func swiGLUBy(kernel func(y, g, u *float32, n int)) func(y, g, u []float32) {
	return func(y, g, u []float32) {
		n := len(y)
		kernel(at(y, n), at(g, n), at(u, n), n)
	}
}

//go:noinline
func swiGLUGradBy(kernel func(dg, du, dy, g, u *float32, n int)) func(dg, du, dy, g, u []float32) {
	return func(dg, du, dy, g, u []float32) {
		n := len(dg)
		kernel(at(dg, n), at(du, n), at(dy, n), at(g, n), at(u, n), n)
	}
}

//go:noinline
func normBy(kernel func(y, x, w *float32, n int, d, eps float32) float32) func(y, x, w []float32, eps float32) float32 {
	return func(y, x, w []float32, eps float32) float32 {
		n := len(x)
		return kernel(at(y, n), at(x, n), at(w, n), n, float32(n), eps)
	}
}

//go:noinline
func normGradBy(kernel func(dx, dy, x, w *float32, n int, d, eps float32) float32) func(dx, dy, x, w []float32, eps float32) float32 {
	return func(dx, dy, x, w []float32, eps float32) float32 {
		n := len(x)
		return kernel(at(dx, n), at(dy, n), at(x, n), at(w, n), n, float32(n), eps)
	}
}

//go:noinline
func normGradWBy(kernel func(dw, dy, x *float32, ld, n int, r *float32, m int)) func(dw, dy, x []float32, ld int, r []float32) {
	return func(dw, dy, x []float32, ld int, r []float32) {
		n, m := len(dw), len(r)
		if n == 0 || m == 0 {
			return
		}
		all := (m-1)*ld + n
		kernel(at(dw, n), at(dy, all), at(x, all), 4*ld, n, at(r, m), m)
	}
}

//go:noinline
func sumSquaresBy(kernel func(x *float32, n int) float64) func(x []float32) float64 {
	return func(x []float32) float64 { return kernel(at(x, len(x)), len(x)) }
}

//go:noinline
func rotateBy(kernel func(x, cos, sin *float32, n int)) func(x, cos, sin []float32) {
	return func(x, cos, sin []float32) {
		n := len(cos)
		kernel(at(x, 2*n), at(cos, n), at(sin, n), n)
	}
}

//go:noinline
func logSumBy(kernel func(x *float32, n int, temp float32) (m, sum, dot float32)) func(x []float32, temp float32) (m, sum, dot float32) {
	return func(x []float32, temp float32) (m, sum, dot float32) { return kernel(at(x, len(x)), len(x), temp) }
}

//go:noinline
func logGradBy(kernel func(x *float32, n int, temp, m, inv, ln, a, b float32)) func(x []float32, temp, m, inv, ln, a, b float32) {
	return func(x []float32, temp, m, inv, ln, a, b float32) {
		kernel(at(x, len(x)), len(x), temp, m, inv, ln, a, b)
	}
}

//go:noinline
func adamWBy(kernel func(p, g, m, v *float32, n int, s *float32)) func(p, g, m, v []float32, a *adamScalars) {
	return func(p, g, m, v []float32, a *adamScalars) {
		n := len(p)
		kernel(at(p, n), at(g, n), at(m, n), at(v, n), n, &a.scale)
	}
}
