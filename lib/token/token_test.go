package token

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2/v2"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

// encode encodes with a pattern that cannot fail.
func encode(tok *Tokenizer, s string) []int32 { return encodeGuarded(tok, s, nil) }

func encodeGuarded(tok *Tokenizer, s string, plain [][2]int) []int32 {
	ids, err := tok.EncodeGuarded(s, plain)
	if err != nil {
		panic(err)
	}
	return ids
}

// text draws strings that hold what the golden tokenizers treat specially.
var text = rapid.Custom(func(t *rapid.T) string {
	part := rapid.OneOf(
		rapid.String(),
		rapid.SampledFrom([]string{
			"<|im_end|>", "<|im_start|>", "<|r|>", "<|l|>", " <|lr|> ", "word", "two words", "--", "é!", "<|n|>", "<|im|>x", "</s>", "<|im", "a\u0301",
			"a\u0323\u0301\u0302", "\u1112\u1161\u11ab", "각\u11a8", "한국", "\u0344", "\U0001d15e", "'ll", "'ſ", " 123456", "\r\n \n", "   x", "\u0085\u3000", "𑤸", "e\u0301!",
		}),
		rapid.Map(rapid.IntRange(1, 200), func(n int) string { return strings.Repeat("abcab ", n) }),
		rapid.Map(rapid.IntRange(1, 200), func(n int) string { return strings.Repeat("ab", n) }),
	)
	return strings.Join(rapid.SliceOfN(part, 0, 8).Draw(t, "parts"), "")
})

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tokenizer.json"), readGolden(t, "quirks"), 0o666))
	tok, err := Load(os.DirFS(dir))
	require.NoError(t, err)
	require.Equal(t, 530, tok.Size())
	for s, want := range map[string]int32{"</s>": 517, "two words": 527, "é!": 528, "a": 64, " the": encode(tok, " the")[0]} {
		id, ok := tok.ID(s)
		require.True(t, ok, s)
		require.Equal(t, want, id, s)
	}
	_, ok := tok.ID("no such token")
	require.False(t, ok)
	require.True(t, tok.Special(517))
	require.Equal(t, "</s>", tok.Text(517))
	require.Equal(t, "\ufffd!", tok.Text(528), "its characters are of the byte alphabet")
	require.Empty(t, tok.Text(-1))
	for _, id := range []int32{-1, 64, 527, 530, 1 << 30} {
		require.False(t, tok.Special(id))
	}

	_, err = Load(os.DirFS(t.TempDir()))
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte("{}"), 0o666))
	_, err = Load(os.DirFS(dir))
	require.ErrorContains(t, err, "tokenizer.json: there is no model")
}

// TestRoundTrip: decoding gives the normalised text, offsets ascend and lie on
// characters, and a stream gives the same text.
func TestRoundTrip(t *testing.T) {
	tok := loadGolden(t, "tiny512")
	rapid.Check(t, func(t *rapid.T) {
		s := text.Draw(t, "text")
		ids, spans, err := tok.EncodeOffsets(s)
		require.NoError(t, err)
		require.Equal(t, encode(tok, s), append([]int32{}, ids...))
		want, _ := compose(s)
		last := [2]int{}
		for _, span := range spans {
			require.Less(t, span[0], span[1])
			require.LessOrEqual(t, last[0], span[0])
			require.LessOrEqual(t, last[1], span[1])
			if want == s { // every byte belongs to one token
				require.Equal(t, last[1], span[0])
			}
			last = span
		}
		if want == s {
			require.Equal(t, len(s), last[1])
		}
		got, _ := tok.decode(ids, false)
		require.Equal(t, want, got)
		checkDecode(t, tok, ids)
	})
}

// TestAnyIDs decodes ids that no text leads to.
func TestAnyIDs(t *testing.T) {
	tok := loadGolden(t, "quirks")
	rapid.Check(t, func(t *rapid.T) {
		checkDecode(t, tok, rapid.SliceOf(rapid.Int32Range(-2, 540)).Draw(t, "ids"))
	})
}

func checkDecode(t require.TestingT, tok *Tokenizer, ids []int32) {
	text, offsets := tok.Decode(ids)
	require.True(t, utf8.ValidString(text))
	require.Len(t, offsets, len(ids))
	last := int32(0)
	for i, o := range offsets {
		require.LessOrEqual(t, last, o, i)
		require.True(t, int(o) == len(text) || utf8.RuneStart(text[o]))
		last = o
	}
	var joined strings.Builder
	stream := tok.Stream()
	for _, id := range ids {
		joined.WriteString(stream.Next(id))
	}
	joined.WriteString(stream.End())
	require.Equal(t, text, joined.String())
}

// TestGuarded: in plain ranges there are no added tokens, outside they are as
// ever, and the text is the same.
func TestGuarded(t *testing.T) {
	tok := loadGolden(t, "tiny512")
	end, _ := tok.ID("<|im_end|>")
	s := "<|im_end|>a<|im_end|>b<|im_end|>"
	for _, tc := range []struct {
		plain [][2]int
		n     int // how often the token is recognised
	}{
		{nil, 3}, {[][2]int{{0, 0}}, 3}, {[][2]int{{0, len(s)}}, 0}, {[][2]int{{0, 1}}, 2}, {[][2]int{{9, 10}}, 2}, {[][2]int{{10, 11}}, 3},
		{[][2]int{{10, 12}}, 2}, {[][2]int{{5, 6}, {20, 21}, {31, 32}}, 0}, {[][2]int{{10, 11}, {21, 22}}, 3},
	} {
		ids := encodeGuarded(tok, s, tc.plain)
		n := 0
		for _, id := range ids {
			if id == end {
				n++
			}
		}
		require.Equal(t, tc.n, n, tc.plain)
		got, _ := tok.decode(ids, false)
		require.Equal(t, s, got)
	}

	quirks := loadGolden(t, "quirks") // normalized tokens are guarded too, and shorter ones do not step in
	got := encodeGuarded(quirks, "<|n|><|im|>x", [][2]int{{0, 5}, {11, 12}})
	require.Equal(t, slices.Concat(encodePlain(quirks, "<|n|>"), []int32{525}, encode(quirks, "x")), got)
}

func encodePlain(tok *Tokenizer, s string) []int32 {
	return encodeGuarded(tok, s, [][2]int{{0, len(s)}})
}

// TestMergeLong: the heap gives what the scan for the best pair gives.
func TestMergeLong(t *testing.T) {
	for _, name := range []string{"tiny512", "quirks"} {
		tok := loadGolden(t, name)
		rapid.Check(t, func(t *rapid.T) {
			w := rapid.OneOf(rapid.StringMatching(`[a-e ]{2,64}`), rapid.StringN(2, 12, 64)).Draw(t, "word")
			want := tok.merge(nil, w)
			part := []int32{}
			for i := range len(w) {
				part = append(part, tok.single[w[i]])
			}
			require.Equal(t, want, part[:tok.mergeLong(part)])
		})
	}
}

// TestLongWords: words of a million bytes take no quadratic time.
func TestLongWords(t *testing.T) {
	tok := loadGolden(t, "tiny512")
	for _, s := range []string{"a", "ab", "\u0301", " ", "\n", "1", "!", "a\u0301", "\u0301\u0323", "'", "é", "<|im_en", "\r "} {
		s = strings.Repeat(s, 1_000_000/len(s))
		ids := encode(tok, s)
		want, _ := compose(s)
		got, _ := tok.Decode(ids)
		require.True(t, want == got)
	}
}

// TestConcurrent: encoders share a tokenizer that has just been made.
func TestConcurrent(t *testing.T) {
	tok, err := Parse(readGolden(t, "tiny512"))
	require.NoError(t, err)
	want := encode(loadGolden(t, "tiny512"), "the number of the sum and the difference, 1234")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if !slices.Equal(want, encode(tok, "the number of the sum and the difference, 1234")) {
				t.Error("ids differ")
			}
		})
	}
	wg.Wait()
}

// TestCompose: for characters of Unicode 9 in short runs of marks the
// algorithm is that of x/text, and every region says what it came from.
func TestCompose(t *testing.T) {
	old := rapid.Map(rapid.SliceOfN(rapid.OneOf(
		rapid.RuneFrom([]rune("aeoAEO ̣́̂가힣각각")),
		rapid.Map(rapid.SampledFrom(composing), func(r [2]rune) rune { return r[0] }),
	), 0, 12), func(r []rune) string { return string(r) })
	rapid.Check(t, func(t *rapid.T) {
		s := old.Draw(t, "text")
		got, regions := compose(s)
		require.Equal(t, norm.NFC.String(s), got)
		at, src := 0, 0
		for _, r := range regions {
			require.Equal(t, s[src:r.srcLo], got[at:r.lo])
			require.Equal(t, norm.NFC.String(s[r.srcLo:r.srcHi]), got[r.lo:r.hi])
			at, src = r.hi, r.srcHi
			from, last := r.lo, region{srcLo: r.srcLo}
			for _, c := range r.chars {
				require.Equal(t, from, c.lo)
				require.Equal(t, 1, utf8.RuneCountInString(got[c.lo:c.hi]))
				require.Equal(t, 1, utf8.RuneCountInString(s[c.srcLo:c.srcHi]))
				require.True(t, c.srcLo >= last.srcLo && c.srcHi <= r.srcHi)
				from, last = c.hi, c
			}
			require.Equal(t, r.hi, from)
		}
		require.Equal(t, s[src:], got[at:])
		again, regions := compose(got)
		require.Equal(t, got, again)
		require.Empty(t, regions)
	})
	long := "a" + strings.Repeat("\u0301", 100) // x/text would insert U+034F
	got, _ := compose(long)
	require.Equal(t, "á"+strings.Repeat("\u0301", 99), got)
}

// TestSplit holds the splitters written by hand, and those of other patterns,
// against what the patterns say.
func TestSplit(t *testing.T) {
	pre := func(p string) splitter {
		s, err := parsePreTokenizer([]byte(p))
		require.NoError(t, err)
		return s
	}
	quote := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	regex := func(p, rest string) splitter {
		return pre(`{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":` + quote(p) + `},` + rest +
			`},{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]}`)
	}
	isolated := `"behavior":"Isolated","invert":false`
	for _, tc := range []struct {
		split splitter
		text  string
		want  []string
	}{
		{regex(qwenPattern, isolated), "It's 1234 x=y\n\n  ok", []string{"It", "'s", " ", "1", "2", "3", "4", " x", "=y", "\n\n", " ", " ok"}},
		{regex(llamaPattern, isolated), "DON'T 1234.\n", []string{"DON", "'T", " ", "123", "4", ".\n"}},
		{regex(qwenPattern, isolated), "'ſ'RE \r\n \t", []string{"'ſ", "'RE", " \r\n", " \t"}},
		{regex(gpt2Pattern, isolated), "It's 'S 12a  b", []string{"It", "'s", " '", "S", " 12", "a", " ", " b"}},
		{pre(`{"type":"ByteLevel","add_prefix_space":false,"use_regex":true}`), "we'll  go\n\nnow ", []string{"we", "'ll", " ", " go", "\n", "\n", "now", " "}},
		{
			pre(`{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},{"type":"ByteLevel","add_prefix_space":false,"use_regex":true}]}`),
			"a 12½3", []string{"a", " ", "1", "2", "½", "3"},
		},
		{
			pre(`{"type":"Sequence","pretokenizers":[{"type":"Digits"},{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]}`),
			"a12b3", []string{"a", "12", "b", "3"},
		},
		{regex(`\d+|[aeiou](?=x)`, isolated), "bax12a", []string{"b", "a", "x", "12", "a"}},
		{regex(`[a-z]+`, `"behavior":"Removed","invert":true`), "ab 12 cd", []string{"ab", "cd"}},
		{regex(`x*`, isolated), "axxb", []string{"a", "xx", "b"}},
	} {
		got := []string{}
		require.NoError(t, tc.split(tc.text, 0, len(tc.text), func(lo, hi int) { got = append(got, tc.text[lo:hi]) }))
		require.Equal(t, tc.want, got)
	}
}

// TestSlowPattern: a pattern that backtracks exponentially for one match, or
// quadratically over all, is an error that names it.
func TestSlowPattern(t *testing.T) {
	const limit = 100 * time.Millisecond
	for pattern, text := range map[string]string{`(a+)+$`: strings.Repeat("a", 60) + "b", `a*b|.`: strings.Repeat("a", 200_000)} {
		re := regexp2.MustCompile(pattern)
		for _, split := range []splitter{splitRegexp(re, false, limit), splitDigits(true).then(splitRegexp(re, false, limit))} {
			tok := *loadGolden(t, "tiny512")
			tok.split = split
			start := time.Now()
			_, err := tok.Encode("1" + text)
			require.ErrorContains(t, err, fmt.Sprintf("encode: split pattern %q takes more than 100ms for a text of ", pattern))
			require.Less(t, time.Since(start), 50*limit) // the machine may be busy
			_, _, err = tok.EncodeOffsets("1" + text)
			require.ErrorContains(t, err, pattern)
		}
	}
}

// change returns the quirks tokenizer with one part replaced.
func change(t testing.TB, path, value string) []byte {
	var top map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(readGolden(t, "quirks"), &top))
	set := func(m map[string]json.RawMessage, key string) {
		if value == "" {
			delete(m, key)
		} else {
			m[key] = json.RawMessage(value)
		}
	}
	if key, ok := strings.CutPrefix(path, "model."); ok {
		var model map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(top["model"], &model))
		set(model, key)
		b, err := json.Marshal(model)
		require.NoError(t, err)
		top["model"] = b
	} else {
		set(top, path)
	}
	b, err := json.Marshal(top)
	require.NoError(t, err)
	return b
}

var refused = []struct{ path, value, want string }{
	{"model.type", `"Unigram"`, `model: type "Unigram" is not supported`},
	{"model.type", `"WordPiece"`, `model: type "WordPiece" is not supported`},
	{"model.vocab", `{}`, "model: merges: merge 0"},
	{"model.vocab", "", "vocab or merges are missing"},
	{"model.merges", "", "vocab or merges are missing"},
	{"model.merges", `["a b c"]`, "merge 0"},
	{"model.merges", `["ab"]`, `merge 0: "ab" is no pair`},
	{"model.merges", `[["a","b","c"]]`, "merge 0 has 3 parts"},
	{"model.merges", `["漢 字"]`, "merge 0: \"漢\" is not written in the byte alphabet"},
	{"model.merges", `["q q"]`, "a token is not in the vocabulary"},
	{"model.vocab", `{"a":0,"b":0}`, "id 0 comes twice"},
	{"model.vocab", `{"a":0,"a":1}`, "a token comes twice"},
	{"model.vocab", `{"漢":0,"漢":1}`, `"漢" comes twice`},
	{"model.vocab", `{"a":4194304}`, "id 4194304 is too large"},
	{"model.vocab", `{"a":-1}`, "a number is missing"},
	{"model.dropout", "0.1", "dropout is 0.1"},
	{"model.continuing_subword_prefix", `"##"`, "continuing_subword_prefix"},
	{"model.end_of_word_suffix", `"</w>"`, "end_of_word_suffix"},
	{"normalizer", `{"type":"Lowercase"}`, `normalizer: type "Lowercase"`},
	{"normalizer", `{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Prepend"}]}`, `type "Prepend"`},
	{"pre_tokenizer", `{"type":"Metaspace"}`, `pre_tokenizer: type "Metaspace"`},
	{"pre_tokenizer", "null", "pre_tokenizer: there is none"},
	{"pre_tokenizer", "", "pre_tokenizer: there is none"},
	{"pre_tokenizer", `{"type":"Sequence","pretokenizers":[]}`, "the sequence is empty"},
	{"pre_tokenizer", `{"type":"ByteLevel","add_prefix_space":true}`, "add_prefix_space"},
	{"pre_tokenizer", `{"type":"Sequence","pretokenizers":[{"type":"ByteLevel","add_prefix_space":false},{"type":"Digits"}]}`, `"ByteLevel" is not supported here`},
	{"pre_tokenizer", `{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"("},"behavior":"Isolated"},{"type":"ByteLevel"}]}`, `pattern "("`},
	{"pre_tokenizer", `{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"a"},"behavior":"MergedWithNext"},{"type":"ByteLevel"}]}`, "MergedWithNext"},
	{"pre_tokenizer", `{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{},"behavior":"Isolated"},{"type":"ByteLevel"}]}`, "no pattern"},
	{"decoder", `{"type":"WordPiece"}`, `decoder: type "WordPiece"`},
	{"decoder", "null", "decoder: there is none"},
	{"added_tokens", `[{"id":3,"content":"new"}]`, "belong to different tokens"},
	{"added_tokens", `[{"id":3,"content":"the"}]`, "belong to different tokens"},
	{"added_tokens", `[{"id":-3,"content":"new"}]`, "out of range"},
	{"added_tokens", `[{"id":99999999,"content":"new"}]`, "out of range"},
	{"added_tokens", `[{"id":3,"content":""}]`, "has no content"},
	{"added_tokens", `7`, "added_tokens: json"},
	{"model", "null", "missing"},
	{"model", "", "there is no model"},
}

func TestRefused(t *testing.T) {
	for _, tc := range refused {
		_, err := Parse(change(t, tc.path, tc.value))
		require.ErrorContains(t, err, tc.want, "%s = %s", tc.path, tc.value)
	}
	_, err := Parse([]byte("{\"model\":\"\xff\"}"))
	require.ErrorContains(t, err, "not valid UTF-8")
	_, err = Parse(append(readGolden(t, "tiny512"), 'x'))
	require.ErrorContains(t, err, "follows the closing }")
	for _, kind := range []string{"unk_token", "byte_fallback"} {
		value := map[string]string{"unk_token": `"a"`, "byte_fallback": "true"}[kind]
		_, err = Parse([]byte(`{"model":{"type":"BPE","vocab":{"a":0},"merges":[],"` + kind + `":` + value + `}}`))
		require.ErrorContains(t, err, "all 256 bytes")
		tok, err := Parse(change(t, "model."+kind, value)) // all bytes are there, so it never acts
		require.NoError(t, err)
		require.Equal(t, encode(loadGolden(t, "quirks"), "ab\x00é"), encode(tok, "ab\x00é"))
	}
	for n := range small {
		_, err := Parse([]byte(small[:n]))
		require.Error(t, err)
	}
}

// small is a whole tokenizer in few bytes: it lacks most of the alphabet.
const small = `{"model":{"merges":[["\u0061","b"]],"vocab":{"a":0,"b":1,"ab":2,"\u6f22\ud83d\ude00":3}},"pre_tokenizer":{"type":"ByteLevel",
		"add_prefix_space":false},"decoder":{"type":"Sequence","decoders":[{"type":"ByteLevel"}]},"added_tokens":[{"id":3,"content":"漢😀"}]}`

// TestGaps: bytes without a token vanish, their neighbours merge.
func TestGaps(t *testing.T) {
	tok, err := Parse([]byte(small))
	require.NoError(t, err)
	ids, spans, err := tok.EncodeOffsets("xaxbxa漢😀b")
	require.NoError(t, err)
	require.Equal(t, []int32{2, 0, 3, 1}, ids)
	require.Equal(t, [][2]int{{1, 4}, {5, 6}, {6, 13}, {13, 14}}, spans)
	require.Empty(t, encode(tok, "xyz x"))
	got, offsets := tok.Decode([]int32{3, 2, 7, -1})
	require.Equal(t, "漢😀ab", got)
	require.Equal(t, []int32{0, 7, 9, 9}, offsets)
}

func TestJSON(t *testing.T) {
	for in, want := range map[string]string{
		`"a\"\\\/\b\f\n\r\tA\u00e9\ud83d\ude00"`: "a\"\\/\b\f\n\r\tAé😀", `""`: "", ` "é"`: "é",
	} {
		s := &scanner{b: []byte(in)}
		got, err := s.text()
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	for in, want := range map[string]string{
		`"a`: errCut.Error(), `"\`: errCut.Error(), `"\u12`: errCut.Error(), `"\u12x4"`: "hexadecimal", `"\x"`: "unknown escape", "\"\n\"": "control character",
		`"\ud83dx"`: "surrogate", `"\ud83d\u0041"`: "surrogate", `"\ude00"`: "surrogate", "\"\\n\n\"": "control character", `7`: "'\"' is missing",
	} {
		s := &scanner{b: []byte(in)}
		_, err := s.text()
		require.ErrorContains(t, err, want, in)
	}
	for in, want := range map[string]string{`[1,{"a":"]"}] x`: `[1,{"a":"]"}]`, `12,`: "12", ` null}`: "null", `"a,b",`: `"a,b"`} {
		s := &scanner{b: []byte(in)}
		got, err := s.value()
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	for _, in := range []string{"", "[", `{"a`, ",", `["\`} {
		_, err := (&scanner{b: []byte(in)}).value()
		require.Error(t, err, in)
	}
}

// FuzzParse: a text that is taken makes a tokenizer that encodes and decodes.
func FuzzParse(f *testing.F) {
	f.Add([]byte(small))
	f.Add(readGolden(f, "quirks"))
	for _, tc := range refused {
		f.Add(change(f, tc.path, tc.value))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if strings.Contains(string(b), `"Split"`) {
			return // a pattern may take patternLimit
		}
		tok, err := Parse(b)
		if err != nil {
			return
		}
		ids, spans, err := tok.EncodeOffsets("ab <|r|> word é! 漢😀a\u0301b 12")
		require.NoError(t, err)
		require.Len(t, spans, len(ids))
		checkDecode(t, tok, ids)
	})
}

// FuzzEncode: any bytes encode, and come back where they are text.
func FuzzEncode(f *testing.F) {
	f.Add("It's 1234 x=y\n\n  ok <|im_end|> a\u0301 한국 \u0344\u0301", 3)
	f.Add("\xff\xe2\x82 \xed\xa0\x80", 0)
	f.Fuzz(func(t *testing.T, s string, at int) {
		tok := loadGolden(t, "tiny512")
		ids, spans, err := tok.EncodeOffsets(s)
		require.NoError(t, err)
		require.Len(t, spans, len(ids))
		got, _ := tok.decode(ids, false)
		if utf8.ValidString(s) {
			want, _ := compose(s)
			require.Equal(t, want, got)
		}
		checkDecode(t, tok, ids)
		if at = min(max(at, 0), len(s)); at > 0 {
			guarded, _ := tok.decode(encodeGuarded(tok, s, [][2]int{{0, at}}), false)
			require.Equal(t, got, guarded)
		}
	})
}
