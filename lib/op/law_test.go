package op

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// lengths cuts n into random parts.
func lengths(t *rapid.T, n int, name string) (cut []int) {
	for n > 0 {
		m := rapid.IntRange(1, n).Draw(t, name)
		cut = append(cut, m)
		n -= m
	}
	return cut
}

// spans lays sequences of the given lengths one after another.
func spans(lengths []int) (seq []Span) {
	at := 0
	for _, l := range lengths {
		seq = append(seq, Span{at, at + l})
		at += l
	}
	return seq
}

// TestAttendIsAttention: decoding over caches, prefill in any split and in any
// company, a prompt copied from another cache, and packed attention give the same
// bits.
func TestAttendIsAttention(t *testing.T) {
	everywhere(t, func(t *testing.T, b *cpu) {
		rapid.Check(t, func(rt *rapid.T) {
			g := rapid.IntRange(1, 3).Draw(rt, "key heads")
			h := g * rapid.IntRange(1, 3).Draw(rt, "group")
			c := rapid.IntRange(1, 20).Draw(rt, "head size")
			lens := rapid.SliceOfN(rapid.IntRange(1, 110), 1, 3).Draw(rt, "lengths")
			layers := rapid.IntRange(1, 2).Draw(rt, "layers")
			seq := spans(lens)
			n := seq[len(seq)-1].Hi
			r := newNoise(rapid.Uint64().Draw(rt, "seed"))
			q, k, v := r.floats(n*h*c), r.floats(n*g*c), r.floats(n*g*c)
			for i := range r.IntN(3) { // weights that underflow, products that do
				q[r.IntN(len(q))] *= 1e4
				v[r.IntN(len(v))] = float32(math.Copysign(1e-38, float64(i)-0.5))
			}
			o := b.New(n * h * c)
			b.Attention(o, b.buf(q), b.buf(k), b.buf(v), seq, h, g, c)
			want := b.floats(o)

			caches := make([]Cache, len(seq))
			done := make([]int, len(seq))
			for i, l := range lens {
				caches[i] = b.NewCache(layers, g, c, 1+r.IntN(l+40))
			}
			got := make([]float32, len(want))
			for {
				// A batch: some of the sequences, each by some rows more.
				var some []Cache
				var lo, size, which []int
				for i, l := range lens {
					if done[i] < l && r.IntN(3) > 0 {
						m := 1 + r.IntN(l-done[i])
						if r.IntN(2) == 0 {
							m = 1
						}
						b.GrowCache(caches[i], done[i]+m+r.IntN(40))
						some, which = append(some, caches[i]), append(which, i)
						lo, size = append(lo, seq[i].Lo+done[i]), append(size, m)
						done[i] += m
					}
				}
				if len(some) == 0 {
					if slices.Equal(done, lens) {
						break
					}
					continue
				}
				batch := spans(size)
				rows := func(x []float32, w int) (y []float32) {
					for i, s := range size {
						y = append(y, x[lo[i]*w:(lo[i]+s)*w]...)
					}
					return y
				}
				bq, bk, bv := b.buf(rows(q, h*c)), b.buf(rows(k, g*c)), b.buf(rows(v, g*c))
				bo := b.New(bq.Len())
				for l := range layers {
					b.CacheWrite(some, l, bk, bv, batch, g, c)
					b.Attend(bo, bq, some, l, batch, h, g, c)
				}
				out := b.floats(bo)
				for i, s := range batch {
					copy(got[lo[i]*h*c:], out[s.Lo*h*c:s.Hi*h*c])
				}
				if r.IntN(4) == 0 { // go on in a copy
					i := which[0]
					twin := b.ShareCache(caches[i], lens[i]+r.IntN(40))
					require.Equal(rt, caches[i].Len(), twin.Len())
					b.FreeCache(caches[i])
					caches[i] = twin
				}
			}
			sameBits(t, want, got)
			for i, l := range lens {
				require.Equal(rt, l, caches[i].Len())
				require.GreaterOrEqual(rt, caches[i].Cap(), l)
				b.FreeCache(caches[i])
			}
		})
	})
}

// TestShareCache: sequences that begin with the same prompt, refer to its cache,
// outlive it and grow by turns get the bits of packed attention, whoever decodes
// beside them; and all memory comes back.
func TestShareCache(t *testing.T) {
	everywhere(t, func(t *testing.T, b *cpu) {
		rapid.Check(t, func(rt *rapid.T) {
			g := rapid.IntRange(1, 2).Draw(rt, "key heads")
			h := g * rapid.IntRange(1, 2).Draw(rt, "group")
			c := rapid.IntRange(1, 8).Draw(rt, "head size")
			prompt := rapid.IntRange(1, 70).Draw(rt, "prompt")
			more := rapid.IntRange(1, 6).Draw(rt, "response")
			r := newNoise(rapid.Uint64().Draw(rt, "seed"))
			n, width := prompt+more, (h+2*g)*c
			first := r.floats(prompt * width)
			var all [][]float32 // of each sequence: rows of q, k and v
			sequences := 1 + r.IntN(4)
			if r.IntN(30) == 0 {
				sequences += queryBlock // more than are worked on together
			}
			for range sequences {
				all = append(all, append(slices.Clone(first), r.floats(more*width)...))
			}
			part := func(x []float32, row, rows, at, size int) (y []float32) {
				for i := row; i < row+rows; i++ {
					y = append(y, x[i*width+at:][:size]...)
				}
				return y
			}
			step := func(caches []Cache, row, rows int) []float32 {
				var q, k, v []float32
				var seq []Span
				for i := range caches {
					seq = append(seq, Span{i * rows, (i + 1) * rows})
					q = append(q, part(all[i], row, rows, 0, h*c)...)
					k = append(k, part(all[i], row, rows, h*c, g*c)...)
					v = append(v, part(all[i], row, rows, (h+g)*c, g*c)...)
				}
				bq, bk, bv, bo := b.buf(q), b.buf(k), b.buf(v), b.New(len(q))
				if caches[0] == nil {
					b.Attention(bo, bq, bk, bv, seq, h, g, c)
				} else {
					b.CacheWrite(caches, 0, bk, bv, seq, g, c)
					b.Attend(bo, bq, caches, 0, seq, h, g, c)
				}
				o := b.floats(bo)
				for _, x := range [...]Buf{bq, bk, bv, bo} {
					b.Free(x)
				}
				return o
			}
			want := step(make([]Cache, len(all)), 0, n)
			src := b.NewCache(1, g, c, prompt)
			step([]Cache{src}, 0, prompt)
			held := b.CachesHeld()
			require.Equal(rt, b.CacheBytes(1, g, c, prompt), held)
			caches := make([]Cache, len(all))
			for i := range caches {
				caches[i] = b.ShareCache(src, prompt+1+r.IntN(3))
				held += b.CacheBytes(1, g, c, caches[i].Cap()-prompt/32*32)
			}
			require.Equal(rt, held, b.CachesHeld())
			b.FreeCache(src)
			for row := prompt; row < n; row++ {
				for i, k := range caches {
					switch {
					case k.Cap() > row:
					case r.IntN(2) == 0:
						b.GrowCache(k, row+1+r.IntN(40))
						require.Greater(rt, k.Cap(), row)
					default:
						caches[i] = b.ShareCache(k, row+1+r.IntN(3))
						b.FreeCache(k)
					}
				}
				got := step(caches, row, 1)
				for i := range caches {
					sameBits(t, want[(i*n+row)*h*c:][:h*c], got[i*h*c:][:h*c], "sequence", i, "row", row)
				}
			}
			for _, k := range caches {
				b.FreeCache(k)
			}
			require.Zero(rt, b.CachesHeld())
		})
	})
}

// TestAttentionGradApart: the gradient of attention of a sequence does not depend
// on its neighbours, nor on tiers and threads where it is cut into items.
func TestAttentionGradApart(t *testing.T) {
	const h, g, c = 2, 1, 3
	seq := spans([]int{33, 1, gradRows + 70, 100})
	n := seq[len(seq)-1].Hi
	r := newNoise(7)
	q, k, v, do := r.floats(n*h*c), r.floats(n*g*c), r.floats(n*g*c), r.floats(n*h*c)
	run := func(b *cpu, lo, hi int, seq []Span) (all [3][]float32) {
		bq, bdo := b.buf(q[lo*h*c:hi*h*c]), b.buf(do[lo*h*c:hi*h*c])
		bk, bv := b.buf(k[lo*g*c:hi*g*c]), b.buf(v[lo*g*c:hi*g*c])
		o, dq, dk, dv := b.New(bq.Len()), b.New(bq.Len()), b.New(bk.Len()), b.New(bk.Len())
		b.Attention(o, bq, bk, bv, seq, h, g, c)
		b.AttentionGrad(dq, dk, dv, bdo, bq, bk, bv, o, seq, h, g, c)
		return [...][]float32{b.floats(dq), b.floats(dk), b.floats(dv)}
	}
	want := [...][3][]float32{run(reference(t, F32), 0, n, seq), run(reference(t, BF16), 0, n, seq)}
	everywhere(t, func(t *testing.T, b *cpu) {
		var apart [3][]float32
		for _, s := range seq {
			for i, x := range run(b, s.Lo, s.Hi, []Span{{0, s.Hi - s.Lo}}) {
				apart[i] = append(apart[i], x...)
			}
		}
		for i, w := range want[b.numerics] {
			sameBits(t, w, apart[i], "gradient", i)
		}
	})
}

// TestWeightOfRows: a weight made of rows, in pieces of any sizes, multiplies as
// one made of the whole matrix.
func TestWeightOfRows(t *testing.T) {
	everywhere(t, func(t *testing.T, b *cpu) {
		rapid.Check(t, func(rt *rapid.T) {
			n, in, out := rapid.IntRange(1, 20).Draw(rt, "rows"), rapid.IntRange(1, 70).Draw(rt, "in"), rapid.IntRange(1, 200).Draw(rt, "out")
			r := newNoise(rapid.Uint64().Draw(rt, "seed"))
			x, w := b.buf(r.floats(n*in)), b.buf(r.floats(out*in))
			whole, made := b.Pack(w, out, in), b.NewWeight(out, in)
			for lo := 0; lo < out; {
				hi := min(lo+panel*rapid.IntRange(1, 4).Draw(rt, "panels"), out)
				b.PackRows(made, w.Slice(lo*in, hi*in), lo, hi-lo)
				lo = hi
			}
			want, got := Linear{W: whole, Y: b.New(n * out)}, Linear{W: made, Y: b.New(n * out)}
			b.MatMul([]Linear{want, got}, x, n, false)
			sameBits(t, b.floats(want.Y), b.floats(got.Y))
			require.Panics(t, func() { b.MatMulGradX(x, []Linear{got}, n, false) })
			require.Panics(t, func() { b.Repack(made) })
			require.Panics(t, func() { b.PackRows(made, w, 1, 1) })
		})
	})
}

// TestBatchSplit: what a row gets does not depend on the rows beside it, and
// gradients that reduce over rows go on where they stopped.
func TestBatchSplit(t *testing.T) {
	everywhere(t, func(t *testing.T, b *cpu) {
		rapid.Check(t, func(rt *rapid.T) {
			n := rapid.IntRange(1, 90).Draw(rt, "rows")
			in, out := rapid.IntRange(1, 70).Draw(rt, "in"), rapid.IntRange(1, 70).Draw(rt, "out")
			cut := spans(lengths(rt, n, "part"))
			r := newNoise(rapid.Uint64().Draw(rt, "seed"))
			x, dy, w := b.buf(r.floats(n*in)), b.buf(r.floats(n*out)), b.buf(r.floats(out*in))
			norm, ids, before := b.buf(r.floats(in)), r.ids(n, out), r.floats(out)
			m := b.Pack(w, out, in)
			temp, dlogp := make([]float32, n), r.floats(n)
			for i := range temp {
				temp[i] = 0.5 + float32(i)
			}
			run := func(calls [][]Span) (all [][]float32) {
				y, dx, dw := b.New(n*out), b.New(n*in), b.New(out*in)
				ny, dnx, dnw, table := b.New(n*in), b.New(n*in), b.New(in), b.New(out*in)
				logits, db := b.New(n*out), b.buf(before)
				b.Copy(logits, dy)
				logp, entropy := make([]float32, n), make([]float32, n)
				for _, seq := range calls {
					s := Span{seq[0].Lo, seq[len(seq)-1].Hi}
					parts := slices.Clone(seq)
					for i := range parts {
						parts[i].Lo -= s.Lo
						parts[i].Hi -= s.Lo
					}
					of := func(x Buf, w int) Buf { return x.Slice(s.Lo*w, s.Hi*w) }
					rows := s.Hi - s.Lo
					b.MatMul([]Linear{{W: m, Y: of(y, out)}}, of(x, in), rows, false)
					b.Bias(of(y, out), w, rows, out)
					back := []Linear{{m, of(dy, out), dw}}
					b.MatMulGradX(of(dx, in), back, rows, false)
					b.BiasGrad(db, of(dy, out), rows, out)
					b.MatMulGradW(back, of(x, in), parts)
					b.RMSNorm(of(ny, in), of(x, in), norm, rows, in, 1e-5)
					b.RMSNormGrad(of(dnx, in), dnw, of(ny, in), of(x, in), norm, rows, in, 1e-5)
					b.EmbedGrad(table, of(x, in), ids[s.Lo:s.Hi], in)
					b.LogProb(logp[s.Lo:s.Hi], entropy[s.Lo:s.Hi], of(logits, out), ids[s.Lo:s.Hi], temp[s.Lo:s.Hi], rows, out)
					b.LogProbGrad(of(logits, out), ids[s.Lo:s.Hi], temp[s.Lo:s.Hi], dlogp[s.Lo:s.Hi], dlogp[s.Lo:s.Hi], rows, out)
				}
				for _, x := range [...]Buf{y, dx, dw, ny, dnx, dnw, table, logits, db} {
					all = append(all, b.floats(x))
					b.Free(x)
				}
				return append(all, logp, entropy)
			}
			// Sequence by sequence, long ones in whole blocks of a reduction.
			var calls [][]Span
			for _, s := range cut {
				if n := s.Hi - s.Lo; n > reduction {
					at := s.Lo + reduction*(1+r.IntN((n-1)/reduction))
					calls = append(calls, []Span{{s.Lo, at}})
					s.Lo = at
				}
				calls = append(calls, []Span{s})
			}
			whole, parts := run([][]Span{cut}), run(calls)
			for i := range whole {
				sameBits(t, whole[i], parts[i], "result", i, "cut", calls)
			}
			if b.numerics == F32 {
				whole = run([][]Span{{{0, n}}})
				for i := range whole {
					sameBits(t, whole[i], parts[i], "result", i, "not cut")
				}
			}
			for _, x := range [...]Buf{x, dy, w, norm} {
				b.Free(x)
			}
		})
	})
}

// TestEveryOperator compares every operator on every tier and number of threads
// with the generic tier on one thread, at sizes that are cut among threads.
func TestEveryOperator(t *testing.T) {
	run := func(b *cpu) (all [][]float32) {
		r := newNoise(12)
		const n, d, v = 301, 130, 333
		keep := func(x Buf) { all = append(all, b.floats(x)) }
		random := func(n int) Buf { return b.buf(r.floats(n)) }
		x, y, w := random(n*d), random(n*d), random(d)
		b.Add(x, y)
		keep(x)
		b.RMSNorm(y, x, w, n, d, 1e-6)
		keep(y)
		dx, dw := random(n*d), random(d)
		b.RMSNormGrad(dx, dw, y, x, w, n, d, 1e-6)
		keep(dx)
		keep(dw)
		g, u := random(n*d), random(n*d)
		b.SwiGLU(y, g, u)
		b.Bias(y, w, n, d)
		keep(y)
		b.SwiGLUGrad(g, u, y)
		keep(g)
		keep(u)
		b.BiasGrad(w, u, n, d)
		keep(w)
		table, ids := random(v*d), r.ids(n, v)
		b.EmbedGrad(table, x, ids, d)
		keep(table)
		b.Embed(y, table, ids, d)
		keep(y)
		rows := []int32{5, 299, 7, 100}
		b.Gather(g, x, rows, d)
		b.Scatter(y, g, rows, d)
		keep(y)
		rope := &Rope{}
		for i := range 5 {
			rope.Inv = append(rope.Inv, 1/(1+float64(i)))
		}
		b.Rotate(Heads{Y: x, N: d / 10}, Heads{Y: y, N: d / 10, X: x, Norm: w, Eps: 1e-6}, ids, 10, rope, false)
		keep(y)
		b.Rotate(Heads{}, Heads{Y: x, N: d / 10}, r.ids(n, 5000), 10, rope, true)
		keep(x)
		logits := random(n * v)
		temp := make([]float32, n)
		for i := range temp {
			temp[i] = 0.5 + r.Float32()
		}
		logp, entropy := make([]float32, n), make([]float32, n)
		b.LogProb(logp, entropy, logits, ids, temp, n, v)
		b.LogProbGrad(logits, ids, temp, logp, entropy, n, v)
		keep(logits)
		all = append(all, logp, entropy)
		p, m1, m2 := random(n*d), random(n*d), b.New(n*d)
		b.AdamW(p, x, m1, m2, AdamW{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Decay: 0.1, Scale: 0.3, Step: 7})
		keep(p)
		keep(m1)
		keep(m2)
		// A product whose operands are copied together first.
		const rows2, in, out = 700, 101, 150
		x2, dy2, dw2 := random(rows2*in), random(rows2*out), random(out*in)
		m := b.Pack(random(out*in), out, in)
		maps := []Linear{{m, dy2, dw2}}
		b.MatMulGradW(maps, x2, []Span{{0, 321}, {321, rows2}})
		keep(dw2)
		b.MatMul(maps, x2, rows2, true)
		keep(dy2)
		b.MatMulGradX(x2, maps, rows2, true)
		keep(x2)
		return append(all, []float32{float32(b.SumSquares(p))})
	}
	want := [...][][]float32{run(reference(t, F32)), run(reference(t, BF16))}
	everywhere(t, func(t *testing.T, b *cpu) {
		for i, x := range run(b) {
			sameBits(t, want[b.numerics][i], x, "result", i)
		}
	})
}

// TestNoAllocation: a call of an operator allocates nothing. (An interpreter does.)
func TestNoAllocation(t *testing.T) {
	everywhere(t, func(t *testing.T, b *cpu) {
		if !slices.Contains(emulated, b.tier) {
			require.Zero(t, allocations(b))
		}
	})
}

// allocations counts those of a step of training.
func allocations(b *cpu) float64 {
	model := newToy(b, 1, 20, 30, 2, 1, 10, 40, []int{30, 12})
	model.run(2)
	step := int64(3)
	return testing.AllocsPerRun(5, func() {
		model.forward()
		model.backward()
		model.update(step)
		step++
		b.Free(b.New(1000))
	})
}

func TestMemory(t *testing.T) {
	everywhere(t, func(t *testing.T, b *cpu) {
		for _, n := range []int{0, 1, 63, 64, 65, 1000, mapAt - 1, mapAt, 3*mapAt + 5} {
			for range 2 {
				x := b.New(n)
				require.Equal(t, n, x.Len())
				require.False(t, slices.ContainsFunc(x.data, func(v float32) bool { return v != 0 }))
				for i := range x.data {
					x.data[i] = 1 // what is freed and used again must be zero again
				}
				b.Free(x)
			}
		}
		x := b.New(100)
		require.Equal(t, 30, x.Slice(20, 50).Len())
		b.Write(x.Slice(20, 50), []float32{1, 2})
		require.Equal(t, []float32{0, 1, 2, 0}, b.floats(x.Slice(19, 23)))
		y := b.New(100)
		b.Copy(y, x)
		require.Equal(t, b.floats(x), b.floats(y))
		b.Zero(y)
		require.Equal(t, make([]float32, 100), b.floats(y))
		b.Free(x)
		require.Panics(t, func() { b.Free(x) }, "freed twice")
		require.Panics(t, func() { b.Free(y.Slice(1, 2)) }, "a part of a buffer")
		require.Panics(t, func() { b.Copy(y, b.New(99)) })
		require.Panics(t, func() { b.Bias(y, y, 11, 10) })
		require.Panics(t, func() { b.BiasGrad(y, y, 11, 10) })
		require.Panics(t, func() { b.RMSNorm(y, y, y, 11, 10, 0) })
		w := b.Pack(y, 10, 10)
		require.Panics(t, func() { b.MatMul([]Linear{{W: w, Y: y}}, y, 11, false) })
		require.Panics(t, func() { b.MatMul([]Linear{{W: w, Y: y}, {W: b.Pack(y, 10, 9), Y: y}}, y, 1, false) }, "not of one input")
		require.Panics(t, func() { b.LogProb(make([]float32, 1), nil, y, []int32{100}, []float32{1}, 1, 100) })
		k, rows := b.NewCache(1, 1, 1, 3), []Span{{0, 90}}
		require.Less(t, k.Cap(), 90)
		require.Panics(t, func() { b.CacheWrite([]Cache{k}, 0, y, y, rows, 1, 1) }, "a full cache")
		b.GrowCache(k, 90)
		b.CacheWrite([]Cache{k}, 0, y, y, rows, 1, 1)
	})
}
