package gguf

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestValues: values of every type come back, in both versions.
func TestValues(t *testing.T) {
	want := map[string]any{
		"u8": uint8(200), "i8": int8(-3), "u16": uint16(60000), "i16": int16(-3), "u32": uint32(1 << 31), "i32": int32(-3), "u64": uint64(1 << 63),
		"i64": int64(-3), "f32": float32(0.1), "f64": 0.1, "yes": true, "no": false, "text": "é\x00", "none": "",
		"strings": []string{"a", "", "bc"}, "ints": []int32{1, -1}, "floats": []float32{1, 2.5}, "bools": []bool{true, false}, "bytes": []uint8{1, 2, 3},
		"nested": []any{[]string{"x"}, []any{[]int32{7}, []bool{}}}, "empty": []string{},
	}
	for _, version := range []uint32{2, 3} {
		m := &image{version: version}
		for k, v := range want {
			m.set(k, v)
		}
		f, err := parse(m.bytes())
		require.NoError(t, err)
		require.Equal(t, want, f.values)
		require.Empty(t, f.tensors)
	}
}

func TestTensors(t *testing.T) {
	for _, align := range []any{nil, uint32(8), uint32(64)} {
		m := &image{version: 3, tensors: []stored{
			{name: "b", typ: Q4_0, shape: []uint64{64, 3}, data: make([]byte, 108)},
			{name: "a", typ: F16, shape: []uint64{5}, data: []byte{9, 8, 7, 6, 5, 4, 3, 2, 1, 0}},
		}}
		m.set("general.alignment", align)
		f, err := parse(m.bytes())
		require.NoError(t, err)
		require.Len(t, f.tensors, 2)
		require.Equal(t, []int{3, 64}, f.tensors[0].shape)
		a := f.tensors[1]
		require.Equal(t, "a", a.name)
		require.Equal(t, []byte{9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, f.data[a.lo:a.hi])
	}
}

// TestCut: no part of a file passes for the whole, but without the padding
// behind the last tensor.
func TestCut(t *testing.T) {
	b := tiny().bytes()
	m, err := read(b)
	require.NoError(t, err)
	used := 0
	f, err := parse(b)
	require.NoError(t, err)
	for _, x := range f.tensors {
		used = max(used, len(b)-len(f.data)+x.hi)
	}
	for n := range used {
		_, err := read(b[:n])
		require.Error(t, err, "%d of %d bytes", n, used)
	}
	require.Len(t, m.Tensors(), 11)
}

func TestParseRefuses(t *testing.T) {
	tensor := func(s ...stored) *image { return &image{version: 3, tensors: s} }
	many := raw{kindArray, binary.LittleEndian.AppendUint64([]byte{kindUint8, 0, 0, 0}, 1<<60)}
	deep := []any{}
	for range 9 {
		deep = []any{deep}
	}
	for name, tc := range map[string]struct {
		image *image
		want  string
	}{
		"old":               {&image{version: 1}, "version 1 is not supported; 2 and 3 are"},
		"new":               {&image{version: 4}, "version 4 is not supported"},
		"big-endian":        {&image{version: 3 << 24}, "big-endian"},
		"key twice":         {&image{version: 3, keys: []key{{"x", true}, {"x", false}}}, `key "x" comes twice`},
		"type of value":     {&image{version: 3, keys: []key{{"x", raw{kind: 77}}}}, "values of type 77 are not known"},
		"type of array":     {&image{version: 3, keys: []key{{"x", raw{kindArray, []byte{77, 0, 0, 0}}}}}, "arrays of type 77 are not known"},
		"long array":        {&image{version: 3, keys: []key{{"x", many}}}, `key 0 "x": 1152921504606846976 entries cannot follow in the`},
		"nested":            {&image{version: 3, keys: []key{{"x", deep}}}, "nested too deeply"},
		"alignment":         {with(map[string]any{"general.alignment": uint32(24)}), "general.alignment is 24, no power of two"},
		"alignment's type":  {with(map[string]any{"general.alignment": uint64(32)}), "general.alignment is 32, no power of two"},
		"tensor twice":      {tensor(stored{name: "x", shape: []uint64{1}}, stored{name: "x", shape: []uint64{1}}), `tensor "x" comes twice`},
		"no dimension":      {tensor(stored{name: "x"}), "0 dimensions; 1 to 4 are supported"},
		"dimensions":        {tensor(stored{name: "x", shape: []uint64{1, 1, 1, 1, 1}}), "5 dimensions"},
		"empty":             {tensor(stored{name: "x", shape: []uint64{4, 0}}), "a dimension is 0"},
		"overflow":          {tensor(stored{name: "x", shape: []uint64{1 << 32, 1 << 32}, data: []byte{}}), "a dimension is 4294967296"},
		"overflow of bytes": {tensor(stored{name: "x", shape: []uint64{1 << 62}, data: []byte{}}), "too large"},
		"overflow of place": {tensor(stored{name: "x", shape: []uint64{8}, offset: math.MaxUint64 - 31}), "too large"},
		"type":              {tensor(stored{name: "x", typ: 13, shape: []uint64{256}}), "Q5_K is not supported"},
		"half a block":      {tensor(stored{name: "x", typ: Q8_0, shape: []uint64{48, 2}}), "rows of 48 numbers; Q8_0 has blocks of 32"},
		"alignment of data": {tensor(stored{name: "x", shape: []uint64{8}, offset: 8}), "byte 8 is no multiple of the alignment 32"},
		"overlap":           {tensor(stored{name: "x", shape: []uint64{16}}, stored{name: "y", shape: []uint64{16}, offset: 32}), `tensor "y" at byte 32 overlaps the one before, which ends at 64`},
		"out of the file":   {tensor(stored{name: "x", shape: []uint64{16}, offset: 1 << 20}), "the file is cut"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(tc.image.bytes())
			require.ErrorContains(t, err, tc.want)
		})
	}
	for _, b := range []string{"", "GGU", "GGML\x03\x00\x00\x00"} {
		_, err := parse([]byte(b))
		require.ErrorContains(t, err, "does not begin with GGUF")
	}
	// As many tensors, keys or letters as no file can hold.
	huge := binary.LittleEndian.AppendUint64(nil, 1<<62)
	for _, at := range []int{8, 16, 24} {
		b := tiny().bytes()
		copy(b[at:], huge)
		_, err := parse(b)
		require.ErrorContains(t, err, "4611686018427387904 entries cannot follow")
	}
}

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	_, err := Open(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(path, []byte("text"), 0o666))
	_, err = Open(path)
	require.EqualError(t, err, "m.gguf: does not begin with GGUF")
	require.NoError(t, os.WriteFile(path, tiny().bytes(), 0o666))
	m, err := Open(path)
	require.NoError(t, err)
	require.Len(t, m.Tensors(), 11)
	require.NoError(t, m.Close())
}

// FuzzGGUF: any bytes give a model or an error, in memory of the order of the
// input; every row of a model can be read.
func FuzzGGUF(f *testing.F) {
	f.Add(tiny().bytes())
	f.Add((&image{version: 2, keys: []key{{"x", []any{[]string{"a"}, []int32{1}}}}}).bytes())
	q := tiny()
	q.set("general.architecture", "qwen3")
	f.Add(q.bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, err := read(slices.Clip(b))
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20+200*len(b)))
		if err != nil {
			return
		}
		for _, w := range m.Tensors() {
			n, width := w.Rows()
			for i := range n {
				w.Float32(make([]float32, width), i)
			}
		}
	})
}
