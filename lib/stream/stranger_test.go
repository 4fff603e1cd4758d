package stream

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestStrangers reads what pyarrow wrote (testdata/strangers.py) and compares
// the rows with those that pyarrow reads, then writes them anew and compares
// again.
func TestStrangers(t *testing.T) {
	paths, err := filepath.Glob("testdata/strangers/*.jsonl")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			want := strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
			input, err := os.ReadFile(strings.TrimSuffix(path, "jsonl") + "arrow")
			require.NoError(t, err)
			s, batches, err := readAll(input)
			require.NoError(t, err)
			require.Empty(t, s.RowKind)
			require.Empty(t, s.History)
			requireRows(t, want, batches)
			for _, compress := range []string{"", "zstd", "lz4"} {
				s2, again, err := readAll(encode(t, s, batches, Options{Compress: compress}))
				require.NoError(t, err)
				require.Equal(t, s.Fields, s2.Fields)
				require.Equal(t, s.meta, s2.meta)
				requireRows(t, want, again)
			}
		})
	}
}

func requireRows(t *testing.T, want []string, batches []*Batch) {
	t.Helper()
	got := rows(batches)
	require.Len(t, got, len(want))
	for i := range want {
		require.JSONEq(t, want[i], got[i], "row %d", i)
	}
}

// TestStrangersOther pins what is printed of types that rows are not made of,
// and that they survive being gathered and written.
func TestStrangersOther(t *testing.T) {
	input, err := os.ReadFile("testdata/strangers/other.arrow")
	require.NoError(t, err)
	s, batches, err := readAll(input)
	require.NoError(t, err)
	want := map[string][2]string{ // type, value of row 0; row 1 is null
		"i8": {"int8", "-1"}, "u16": {"uint16", "65535"}, "u32": {"uint32", "1"}, "half": {"float16", "0.5"},
		"bin": {"binary", `"/wA="`}, "lbin": {"binary", `"eA=="`}, "bview": {"binary", `"bG9uZ2VyIHRoYW4gdHdlbHZlIGJ5dGVz"`},
		"fsb": {"fixed_size_binary[3]", `"YWJj"`}, "day": {"date32", `"1970-01-02"`}, "day64": {"date64", `"1970-01-02"`},
		"t32": {"time32[s]", `"00:00:01"`}, "t64": {"time64[ns]", `"00:00:00.000000001"`},
		"ts": {"timestamp[us, tz=UTC]", `"1970-01-01 00:00:00Z"`}, "tsz": {"timestamp[s, tz=Mars/Olympus]", `"1970-01-01 00:00:00Z"`},
		"dur": {"duration[ms]", `"5ms"`}, "mdn": {"month_day_nano_interval", `{"months":1,"days":2,"nanoseconds":3}`},
		"dec": {"decimal(5, 2)", `"1.5"`}, "dec256": {"decimal256(50, 1)", `"-2.5"`}, "nul": {"null", "null"},
		"map": {"map<utf8, float64, items_nullable>", `[{"key":"k","value":1.5},{"key":"l","value":null}]`},
		"fsl": {"fixed_size_list<item: int16, nullable>[2]", "[1,2]"}, "ext": {"utf8", `"{}"`},
	}
	require.Len(t, s.Fields, len(want))
	_, again, err := readAll(encode(t, s, batches, Options{}))
	require.NoError(t, err)
	for _, b := range append(batches, again[0], batches[0].Take([]int{0, 1})) {
		b2 := b.Take([]int{1, 0, 0})
		for _, f := range s.Fields {
			c, c2 := b.Column(f.Name), b2.Column(f.Name)
			require.Equal(t, want[f.Name][0], c.Type().String(), f.Name)
			require.Equal(t, want[f.Name][1], string(c.AppendJSON(nil, 0)), f.Name)
			require.Equal(t, "null", string(c.AppendJSON(nil, 1)), f.Name)
			require.Equal(t, "null", string(c2.AppendJSON(nil, 0)), f.Name)
			require.Equal(t, want[f.Name][1], string(c2.AppendJSON(nil, 2)), f.Name)
		}
	}
}

func TestStrangersMetadata(t *testing.T) {
	r, err := Open("testdata/strangers/metadata.arrow")
	require.NoError(t, err)
	defer r.Close()
	s, err := r.Schema()
	require.NoError(t, err)
	b, err := r.Next()
	require.NoError(t, err)
	s2, _, err := readAll(encode(t, s.With("prompt"), []*Batch{b}, Options{}))
	require.NoError(t, err)
	require.Equal(t, "prompt", s2.RowKind)
	require.Equal(t, []string{"pandas", "mine"}, s2.meta.Keys())
	require.Equal(t, []string{"{}", "kept"}, s2.meta.Values())
	require.Equal(t, map[string]string{"unit": "text"}, s2.Fields[0].meta.ToMap())
}

func TestStrangersRefused(t *testing.T) {
	for name, want := range map[string]string{
		"null":     "column a: row 1 of a is null",
		"utf8":     "column a: row 0 is not UTF-8",
		"twice":    `schema: two columns are named "a"`,
		"union":    "column a: unions are not read",
		"runs":     "column a: run-end encoded arrays are not read",
		"listview": "column a: list views are not read",
	} {
		input, err := os.ReadFile("testdata/strangers/refused-" + name + ".arrow")
		require.NoError(t, err)
		_, _, err = readAll(input)
		var ie *InputError
		require.ErrorAs(t, err, &ie, name)
		require.ErrorContains(t, err, want)
	}
}
