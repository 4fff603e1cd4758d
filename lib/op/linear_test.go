package op

import "testing"

// TestLinear: maps in one call give the bits of one call each, whatever is left
// out, and those of the definition.
func TestLinear(t *testing.T) {
	type shape struct {
		n, in int
		outs  []int
	}
	shapes := []shape{{230, 290, []int{130, 5}}, {40, 300, []int{5, 1, 3, 2}}} // large, and flat
	r := newNoise(21)
	for n := 1; n <= 130; n += 1 + n/5 {
		s := shape{n: n, in: 1 + r.IntN(70)}
		for range 1 + r.IntN(4) {
			s.outs = append(s.outs, 1+r.IntN(100))
		}
		shapes = append(shapes, s)
	}
	run := func(b *cpu, s shape, seed uint64, together bool) (all [][]float32) {
		r := newNoise(seed)
		var maps [2][]Linear // those of the forward pass, and those of the backward pass
		x, dx := b.buf(r.wild(s.n*s.in)), b.buf(r.floats(s.n*s.in))
		for i, out := range s.outs {
			m := b.Pack(b.buf(r.floats(out*s.in)), out, s.in)
			maps[0] = append(maps[0], Linear{W: m, Y: b.buf(r.floats(s.n * out))})
			back := Linear{m, b.buf(r.wild(s.n * out)), b.buf(r.floats(out * s.in))}
			if i == 1 {
				back.DW = Buf{}
			}
			maps[1] = append(maps[1], back)
		}
		seq := spans([]int{s.n / 3, s.n - s.n/3})
		for _, add := range []bool{true, false} {
			if together {
				b.MatMul(maps[0], x, s.n, add)
				b.MatMulGradX(dx, maps[1], s.n, add)
				b.MatMulGradW(maps[1], x, seq)
			} else {
				for i := range s.outs {
					b.MatMul(maps[0][i:i+1], x, s.n, add)
					b.MatMulGradX(dx, maps[1][i:i+1], s.n, add || i > 0)
					b.MatMulGradW(maps[1][i:i+1], x, seq)
				}
			}
			all = append(all, b.floats(dx))
			for i := range s.outs {
				all = append(all, b.floats(maps[0][i].Y), b.floats(maps[1][i].DW))
			}
		}
		return all
	}
	var want [2][][][]float32
	for _, n := range both {
		for i, s := range shapes {
			want[n] = append(want[n], run(reference(t, n), s, uint64(i), false))
		}
	}
	everywhere(t, func(t *testing.T, b *cpu) {
		for i, s := range shapes {
			for k, x := range run(b, s, uint64(i), true) {
				sameBits(t, want[b.numerics][i][k], x, "shape", s, "result", k)
			}
		}
	})
}
