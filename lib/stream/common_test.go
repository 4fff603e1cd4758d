package stream

import (
	"bytes"
	"fmt"
	"io"
	"math"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func drain(r *Reader) (*Schema, []*Batch, error) {
	var out []*Batch
	s, err := r.Schema()
	for err == nil {
		var b *Batch
		if b, err = r.Next(); err == nil {
			out = append(out, b)
		}
	}
	if err == io.EOF {
		err = nil
	}
	return s, out, err
}

func readAll(input []byte) (*Schema, []*Batch, error) {
	return drain(NewReader(bytes.NewReader(input), "test", Limits{}))
}

func encode(t require.TestingT, s *Schema, batches []*Batch, o Options) []byte {
	var out bytes.Buffer
	w, err := NewWriter(&out, s, o)
	require.NoError(t, err)
	for _, b := range batches {
		require.NoError(t, w.Write(b))
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

// describe returns all that a schema says.
func describe(s *Schema) string {
	out := fmt.Sprintf("%q %d %q %v", s.RowKind, s.Version, s.History, s.meta)
	for _, f := range s.Fields {
		out += "\n" + f.Name + " " + f.typeString() + " " + f.meta.String()
	}
	return out
}

// rows returns every row of the batches as a JSON object.
func rows(batches []*Batch) []string {
	var out []string
	for _, b := range batches {
		for i := range b.Len() {
			out = append(out, row(b, i))
		}
	}
	return out
}

func row(b *Batch, i int) string {
	line := []byte{'{'}
	for k, f := range b.Schema().Fields {
		if k > 0 {
			line = append(line, ',')
		}
		line = append(appendText(line, f.Name), ':')
		line = b.Column(f.Name).AppendJSON(line, i)
	}
	return string(append(line, '}'))
}

// genColumn draws a column of n rows, of any type, up to some depth.
func genColumn(t *rapid.T, n, depth int, nullable bool) *Column {
	var null []bool
	if nullable && rapid.Bool().Draw(t, "nulls") {
		null = rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "null")
	}
	kinds := 7
	if depth > 0 {
		kinds = 9
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return NewBools(rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "v"), null)
	case 1:
		return NewInt32s(rapid.SliceOfN(rapid.Int32(), n, n).Draw(t, "v"), null)
	case 2:
		return NewInt64s(rapid.SliceOfN(rapid.Int64(), n, n).Draw(t, "v"), null)
	case 3:
		return NewUint64s(rapid.SliceOfN(rapid.Uint64(), n, n).Draw(t, "v"), null)
	case 4:
		return NewFloat32s(rapid.SliceOfN(rapid.Float32(), n, n).Draw(t, "v"), null)
	case 5:
		return NewFloat64s(rapid.SliceOfN(rapid.OneOf(rapid.Float64(), rapid.Just(math.NaN())), n, n).Draw(t, "v"), null)
	case 6:
		return NewTexts(rapid.SliceOfN(rapid.String(), n, n).Draw(t, "v"), null)
	case 7:
		offsets := make([]int32, n+1)
		for i := range n {
			offsets[i+1] = offsets[i] + int32(rapid.IntRange(0, 3).Draw(t, "len"))
		}
		elemNullable := rapid.Bool().Draw(t, "elemNullable")
		return NewLists(offsets, genColumn(t, int(offsets[n]), depth-1, elemNullable), elemNullable, null)
	}
	return NewStructs(n, genNamed(t, n, depth-1), null)
}

func genNamed(t *rapid.T, n, depth int) []Named {
	cols := make([]Named, rapid.IntRange(0, 3).Draw(t, "columns"))
	for i := range cols {
		nullable := rapid.Bool().Draw(t, "nullable")
		cols[i] = Named{Name: fmt.Sprintf("c%d", i), Nullable: nullable, Column: genColumn(t, n, depth, nullable)}
	}
	return cols
}

func genBatch(t *rapid.T) *Batch {
	n := rapid.IntRange(0, 12).Draw(t, "rows")
	return NewBatch(n, genNamed(t, n, 3)...)
}

// sample returns a schema that has what the row kinds are made of, and three
// groups of rows.
func sample() (*Schema, []*Batch) {
	steps := NewStructs(3, []Named{
		{Name: "printed", Nullable: true, Column: NewInt32s([]int32{1, 0, 2}, []bool{false, true, false})},
		{Name: "start", Column: NewInt32s([]int32{0, 7, 9}, nil)},
	}, nil)
	b := NewBatch(3,
		Named{Name: "prompt_id", Column: NewTexts([]string{"row-000000", "row-000000", "größe"}, nil)},
		Named{Name: "ground_truth", Nullable: true, Column: NewTexts([]string{"1", "", ""}, []bool{false, true, false})},
		Named{Name: "steps", Column: NewLists([]int32{0, 2, 2, 3}, steps, false, nil)},
		Named{Name: "tokens", Column: NewLists([]int32{0, 1, 3, 6}, NewInt32s([]int32{1, 2, 3, 4, 5, 6}, nil), false, nil)},
		Named{Name: "logprobs", Column: NewLists([]int32{0, 1, 3, 3}, NewFloat32s([]float32{-1, -2, -3}, nil), false, nil)},
		Named{Name: "correct", Column: NewBools([]bool{true, false, true}, nil)},
		Named{Name: "seed", Column: NewUint64s([]uint64{1, 2, math.MaxUint64}, nil)},
		Named{Name: "policy_step", Column: NewInt64s([]int64{-1, 2, 3}, nil)},
		Named{Name: "step_rewards", Nullable: true, Column: NewLists([]int32{0, 0, 1, 2}, NewFloat64s([]float64{.5, 0}, []bool{false, true}), true, []bool{true, false, false})},
	)
	s := b.Schema().With("verdict")
	s.History = []Entry{{Command: "srar-judge", Version: "1.0", Args: []string{"--filter", "acc"}, Inputs: map[string]string{"cache": "sha256:00"}}}
	return s, []*Batch{b, b.Take([]int{2, 0, 0, 1}), b.Take(nil)}
}

func newMeta(key, value string) arrow.Metadata {
	return arrow.NewMetadata([]string{key}, []string{value})
}
