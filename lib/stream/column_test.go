package stream

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestTypeString(t *testing.T) {
	items := ListOf(StructOf(Field{Name: "id", Type: TInt32}, Field{Name: "type", Type: TUtf8}, Field{Name: "text", Type: TUtf8}), false)
	steps := ListOf(StructOf(Field{Name: "printed", Type: TInt32, Nullable: true}, Field{Name: "start", Type: TInt32}), false)
	for want, typ := range map[string]Type{
		"bool": TBool, "int32": TInt32, "int64": TInt64, "uint64": TUint64, "float32": TFloat32, "float64": TFloat64, "utf8": TUtf8,
		"list<bool?>": ListOf(TBool, true), "list<list<int32>>": ListOf(ListOf(TInt32, false), false), "struct<>": StructOf(),
		"list<struct<id int32, type utf8, text utf8>>": items, "list<struct<printed int32?, start int32>>": steps,
	} {
		require.Equal(t, want, typ.String())
		require.True(t, typ.Equal(typ))
		require.False(t, typ.Equal(ListOf(typ, false)))
	}
	require.False(t, items.Equal(steps))
	require.True(t, ListOf(TBool, true).Equal(Type{Kind: List, Elem: &Field{Name: "element", Type: TBool}}))
}

func TestSchema(t *testing.T) {
	s := &Schema{Fields: []Field{{Name: "a", Type: TBool}, {Name: "b", Type: TUtf8}}, RowKind: "prompt", History: []Entry{{Command: "x"}}}
	w := s.With("rollout", Field{Name: "c", Type: TInt32}, Field{Name: "a", Type: TInt64, Nullable: true})
	require.Equal(t, []Field{{Name: "a", Type: TInt64, Nullable: true}, {Name: "b", Type: TUtf8}, {Name: "c", Type: TInt32}}, w.Fields)
	require.Equal(t, "rollout", w.RowKind)
	require.Equal(t, s.History, w.History)
	o := w.Without("b", "none")
	require.Len(t, o.Fields, 2)
	i, ok := o.Lookup("c")
	require.True(t, ok)
	require.Equal(t, 1, i)
	_, ok = o.Lookup("b")
	require.False(t, ok)
	require.Len(t, w.Fields, 3)
	require.Equal(t, []Field{{Name: "a", Type: TBool}, {Name: "b", Type: TUtf8}}, s.Fields, "the original is as it was")
}

func TestSchemaMetadata(t *testing.T) {
	for want, meta := range map[string][2]string{
		`srar.version is "2", want 1`:   {keyVersion, "2"},
		`srar.version is "one", want 1`: {keyVersion, "one"},
		"srar.history is not a history": {keyHistory, "[1]"},
	} {
		b := NewBatch(0)
		s := b.Schema().With("")
		s.meta = newMeta(meta[0], meta[1])
		_, _, err := readAll(encode(t, s, nil, Options{}))
		requireInputError(t, err)
		require.ErrorContains(t, err, want)
	}
}

func TestAccessors(t *testing.T) {
	_, batches := sample()
	b := batches[0]
	require.Equal(t, 3, b.Len())
	require.Nil(t, b.Column("none"))
	steps := b.Column("steps")
	lo, hi := steps.Bounds(0)
	require.Equal(t, [2]int{0, 2}, [2]int{lo, hi})
	printed := steps.Elem().Field("printed")
	require.Equal(t, []int32{1, 0, 2}, printed.Int32s())
	require.True(t, printed.HasNulls())
	require.True(t, printed.Null(1))
	require.False(t, printed.Null(2))
	require.Nil(t, steps.Elem().Field("none"))
	require.Equal(t, []float32{-1, -2, -3}, b.Column("logprobs").Elem().Float32s())
	require.Equal(t, []uint64{1, 2, math.MaxUint64}, b.Column("seed").Uint64s())
	require.Equal(t, []int64{-1, 2, 3}, b.Column("policy_step").Int64s())
	require.Equal(t, "größe", b.Column("prompt_id").Text(2))
	require.Equal(t, "", b.Column("ground_truth").Text(1))
	require.False(t, b.Column("correct").Bool(1))
	require.True(t, b.Column("correct").Bool(2))
	require.Equal(t, 3, b.Column("seed").Len())
	require.PanicsWithValue(t, "stream: column is uint64, not int64", func() { b.Column("seed").Int64s() })
	require.PanicsWithValue(t, "stream: column is bool, not utf8", func() { b.Column("correct").Text(0) })
}

func TestTextsAreUTF8(t *testing.T) {
	c := NewTexts([]string{"a\xffb", "\xc3", "ok"}, nil)
	require.Equal(t, []string{"a\uFFFDb", "\uFFFD", "ok"}, []string{c.Text(0), c.Text(1), c.Text(2)})
	require.NoError(t, checkUTF8(c))
}

// TestCheckUTF8: a text may not begin or end within a character, but what lies
// under a null may be anything.
func TestCheckUTF8(t *testing.T) {
	c := &Column{typ: TUtf8, n: 3, data: []byte("aéb"), offsets: []int32{0, 1, 3, 4}}
	require.NoError(t, checkUTF8(c))
	c.offsets = []int32{0, 2, 3, 4}
	require.EqualError(t, checkUTF8(c), "row 0 is not UTF-8")
	c.valid, c.nulls = []byte{0b100}, 2
	require.NoError(t, checkUTF8(c))
	c.data = []byte("a\xff\xffb")
	require.NoError(t, checkUTF8(c))
	c.valid = []byte{0b110}
	require.EqualError(t, checkUTF8(c), "row 1 is not UTF-8")
}

func TestBuilderMistakes(t *testing.T) {
	ints := NewInt32s([]int32{1, 2}, nil)
	gaps := NewInt32s([]int32{1, 2}, []bool{false, true})
	for want, f := range map[string]func(){
		"stream: 1 null flags for 2 rows":               func() { NewBools([]bool{true, false}, []bool{true}) },
		"stream: offset 1 of row 2 is less than 2":      func() { NewLists([]int32{0, 2, 1}, ints, false, nil) },
		"stream: offset -1 of row 0 is less than 0":     func() { NewLists([]int32{-1, 2}, ints, false, nil) },
		"stream: offsets do not divide 2 elements":      func() { NewLists([]int32{0, 1}, ints, false, nil) },
		"stream: null elements in a list that has none": func() { NewLists([]int32{0, 2}, gaps, false, nil) },
		"stream: column a has 2 rows, want 3":           func() { NewBatch(3, Named{Name: "a", Column: ints}) },
		"stream: row 1 of a is null":                    func() { NewBatch(2, Named{Name: "a", Column: gaps}) },
		"stream: column a is given twice":               func() { NewBatch(2, Named{Name: "a", Column: ints}, Named{Name: "a", Column: ints}) },
		"stream: members of : row 1 of a is null":       func() { NewStructs(2, []Named{{Name: "a", Column: gaps}}, nil) },
		"stream: row 2 of 2":                            func() { NewBatch(2, Named{Name: "a", Column: ints}).Take([]int{2}) },
	} {
		require.PanicsWithValue(t, want, f)
	}
	require.NotPanics(t, func() { NewStructs(2, []Named{{Name: "a", Column: gaps}}, []bool{false, true}) }, "hidden by the struct")
}

func TestBatchWith(t *testing.T) {
	_, batches := sample()
	b := batches[0]
	c := b.With(Named{Name: "seed", Column: NewInt32s([]int32{1, 2, 3}, nil)}, Named{Name: "new", Nullable: true, Column: NewBools(make([]bool, 3), nil)})
	i, _ := b.Schema().Lookup("seed")
	j, _ := c.Schema().Lookup("seed")
	require.Equal(t, i, j)
	require.Equal(t, TInt32, c.Column("seed").Type())
	require.Equal(t, TUint64, b.Column("seed").Type(), "the original is as it was")
	require.Equal(t, Field{Name: "new", Type: TBool, Nullable: true}, c.Schema().Fields[len(c.cols)-1])
	require.Nil(t, c.Without("new").Column("new"))
	require.Equal(t, rows([]*Batch{b.Without("seed")}), rows([]*Batch{c.Without("new", "seed")}))
}

func TestTake(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := genBatch(t)
		if b.Len() == 0 {
			return
		}
		take := rapid.SliceOf(rapid.IntRange(0, b.Len()-1)).Draw(t, "rows")
		all, want := rows([]*Batch{b}), []string(nil)
		for _, i := range take {
			want = append(want, all[i])
		}
		got := b.Take(take)
		require.Equal(t, len(take), got.Len())
		require.Equal(t, b.Schema(), got.Schema())
		require.Equal(t, want, rows([]*Batch{got}))
	})
}

func TestAppendJSON(t *testing.T) {
	b := NewBatch(4,
		Named{Name: "f", Column: NewFloat32s([]float32{0.1, float32(math.NaN()), float32(math.Inf(1)), -1e30}, nil)},
		Named{Name: "g", Column: NewFloat64s([]float64{0.1, math.Inf(-1), 1e21, 5}, nil)},
		Named{Name: "u", Column: NewUint64s([]uint64{math.MaxUint64, 0, 1, 2}, nil)},
		Named{Name: "t", Nullable: true, Column: NewTexts([]string{"\"\\\n\r\t\x00\x7f<&>", "𝔘é", "", ""}, []bool{false, false, false, true})},
		Named{Name: "l", Column: NewLists([]int32{0, 1, 3, 3, 3}, NewBools([]bool{true, false, true}, nil), false, nil)},
		Named{Name: "s", Nullable: true, Column: NewStructs(4, []Named{{Name: "b", Column: NewInt64s([]int64{1, 2, 3, 4}, nil)}, {Name: "a", Column: NewInt32s([]int32{5, 6, 7, 8}, nil)}}, []bool{false, true, false, false})},
	)
	require.Equal(t, []string{
		`{"f":0.1,"g":0.1,"u":18446744073709551615,"t":"\"\\\n\r\t\u0000\u007f<&>","l":[true],"s":{"b":1,"a":5}}`,
		`{"f":"NaN","g":"-Infinity","u":0,"t":"𝔘é","l":[false,true],"s":null}`,
		`{"f":"Infinity","g":1e+21,"u":1,"t":"","l":[],"s":{"b":3,"a":7}}`,
		`{"f":-1e+30,"g":5,"u":2,"t":null,"l":[],"s":{"b":4,"a":8}}`,
	}, rows([]*Batch{b}))
}

func TestCountBits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SliceOfN(rapid.Bool(), 0, 300).Draw(t, "v")
		want := 0
		for _, set := range v {
			if set {
				want++
			}
		}
		b := packBits(v)
		for i := range b {
			if i == len(b)-1 && len(v)%8 != 0 {
				b[i] |= 0xff << (len(v) % 8) // bits beyond the end do not count
			}
		}
		require.Equal(t, want, countBits(b, len(v)))
	})
}
