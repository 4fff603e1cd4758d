package rows

import (
	"bytes"
	"io"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"srar/lib/stream"
)

// draw fills any row struct: random values, nulls only where the kind has them.
func draw(t *rapid.T, v reflect.Value, null bool) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			draw(t, v.Field(i), v.Type().Field(i).Tag.Get("null") == "yes")
		}
	case reflect.Pointer:
		if rapid.Bool().Draw(t, "null") {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		draw(t, v.Elem(), false)
	case reflect.Slice:
		if null && rapid.Bool().Draw(t, "null") {
			return
		}
		n := rapid.IntRange(0, 4).Draw(t, "n")
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			draw(t, v.Index(i), false)
		}
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int32:
		v.SetInt(int64(rapid.Int32().Draw(t, "int32")))
	case reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, "int64"))
	case reflect.Uint64:
		v.SetUint(rapid.Uint64().Draw(t, "uint64"))
	case reflect.Float32:
		v.SetFloat(float64(rapid.Float32().Draw(t, "float32")))
	case reflect.Float64:
		v.SetFloat(rapid.Float64().Draw(t, "float64"))
	case reflect.String:
		v.SetString(rapid.String().Draw(t, "string"))
	default:
		t.Fatalf("no values of %s", v.Type())
	}
}

// passed writes the batch as a stream and reads it back.
func passed(t require.TestingT, b *stream.Batch) *stream.Batch {
	var buf bytes.Buffer
	w, err := stream.NewWriter(&buf, b.Schema(), stream.Options{})
	require.NoError(t, err)
	require.NoError(t, w.Write(b))
	require.NoError(t, w.Close())
	r := stream.NewReader(&buf, "buffer", stream.Limits{})
	got, err := r.Next()
	require.NoError(t, err)
	_, err = r.Next()
	require.Equal(t, io.EOF, err)
	return got
}

func roundTrip[T any](t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := make([]T, rapid.IntRange(0, 5).Draw(t, "rows"))
		for i := range list {
			draw(t, reflect.ValueOf(&list[i]).Elem(), false)
		}
		got, err := Read[T](passed(t, Batch(list)), 0)
		require.NoError(t, err)
		require.Equal(t, list, got)
	})
}

func TestRowsSurviveAStream(t *testing.T) {
	t.Run("advantage", roundTrip[Advantage])
	t.Run("metric", roundTrip[Metric])
	t.Run("score", roundTrip[Score])
	t.Run("marks", roundTrip[StepMarks])
}

func TestKindsContainTheKindBefore(t *testing.T) {
	for i, k := range Kinds[1:4] {
		before := Kinds[i]
		require.Equal(t, before.Columns, k.Columns[:len(before.Columns)])
		require.NoError(t, before.Fits(k.Schema()))
		require.ErrorContains(t, k.Fits(before.Schema()), "is missing ("+k.Own[0].Owner+" adds it)")
	}
}

// The contract's own words for the columns with the least obvious types.
func TestTypesAreTheContracts(t *testing.T) {
	types := map[string]string{
		"items":         "list<struct<id int32, type utf8, text utf8>>",
		"messages":      "list<struct<role utf8, content utf8>>",
		"steps":         "list<struct<printed int32?, start int32, end int32>>",
		"verdicts":      "list<struct<id int32, satisfied bool, step int32>>?",
		"logprobs":      "list<float32>",
		"step_rewards":  "list<float64>?",
		"ground_truth":  "utf8?",
		"seed":          "uint64",
		"policy_step":   "int64",
		"base_reward":   "float64",
		"advantages":    "list<float32>",
		"judge_tries":   "int32",
		"well_formed":   "bool",
		"token_steps":   "list<int32>",
		"prompt_tokens": "list<int32>",
	}
	for _, c := range Advantages.Columns {
		name := c.Type.String()
		if c.Nullable {
			name += "?"
		}
		if want, ok := types[c.Name]; ok {
			require.Equal(t, want, name, c.Name)
			delete(types, c.Name)
		}
		require.NotEmpty(t, c.Owner)
	}
	require.Empty(t, types)
}

func TestErrorsSayWhere(t *testing.T) {
	type two struct {
		A int32   `col:"a"`
		B []int32 `col:"b"`
	}
	null := []bool{false, true}
	ints := stream.NewInt32s([]int32{1, 2}, nil)
	lists := func(elem, outer []bool) *stream.Column {
		return stream.NewLists([]int32{0, 1, 2}, stream.NewInt32s([]int32{1, 2}, elem), elem != nil, outer)
	}
	for _, c := range []struct {
		name string
		cols []stream.Named
		want string
	}{
		{"null", []stream.Named{{Name: "a", Nullable: true, Column: stream.NewInt32s([]int32{1, 2}, null)}, {Name: "b", Column: lists(nil, nil)}}, "rows: batch 7, row 1: column a is null"},
		{"null list", []stream.Named{{Name: "a", Column: ints}, {Name: "b", Nullable: true, Column: lists(nil, null)}}, "rows: batch 7, row 1: column b is null"},
		{"null element", []stream.Named{{Name: "a", Column: ints}, {Name: "b", Column: lists(null, nil)}}, "rows: batch 7, row 1: column b: a list element is null"},
		{"missing", []stream.Named{{Name: "a", Column: ints}}, "rows: batch 7: column b is missing"},
		{"type", []stream.Named{{Name: "a", Column: stream.NewTexts([]string{"1", "2"}, nil)}, {Name: "b", Column: lists(nil, nil)}}, "rows: batch 7: column a is utf8, not int32"},
	} {
		_, err := Read[two](stream.NewBatch(2, c.cols...), 7)
		require.EqualError(t, err, c.want, c.name)
	}
}

func TestOneGroup(t *testing.T) {
	ids := func(s ...string) *stream.Batch {
		return stream.NewBatch(len(s), stream.Named{Name: "prompt_id", Column: stream.NewTexts(s, nil)})
	}
	require.NoError(t, OneGroup(ids("a", "a"), 0))
	require.NoError(t, OneGroup(ids(), 0))
	require.ErrorContains(t, OneGroup(ids("a", "a", "b"), 3), `batch 3, row 2: prompt "b" in a batch of prompt "a"`)
}
