package token

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"srar/lib/golden"
)

// readGolden unpacks NAME.tokenizer.json.gz.
func readGolden(t testing.TB, name string) []byte {
	return golden.Unpack(t, golden.Path(t, "text", "tokenizers", name+".tokenizer.json.gz"))
}

var loaded sync.Map

func loadGolden(t testing.TB, name string) *Tokenizer {
	if tok, ok := loaded.Load(name); ok {
		return tok.(*Tokenizer)
	}
	tok, err := Parse(readGolden(t, name))
	require.NoError(t, err)
	loaded.Store(name, tok)
	return tok
}

// each runs a subtest for every golden file that ends in suffix.
func each(t *testing.T, suffix string, test func(t *testing.T, tok *Tokenizer, path string)) {
	for _, path := range golden.Glob(t, "text/tokenizers/*"+suffix) {
		name := strings.TrimSuffix(filepath.Base(path), suffix)
		t.Run(name, func(t *testing.T) { test(t, loadGolden(t, name), path) })
	}
}

// TestGoldenEncode holds ids, offsets and decoded texts against the reference.
func TestGoldenEncode(t *testing.T) {
	each(t, ".cases.jsonl", func(t *testing.T, tok *Tokenizer, path string) {
		type row struct {
			Text, Decoded string
			Skipped       string `json:"decoded_skip"`
			IDs           []int32
			Offsets       [][2]int `json:"offsets_bytes"`
			Normalized    *string
			Lossy         bool
		}
		for n, c := range golden.Lines[row](t, path) {
			require.Equal(t, c.IDs, encode(tok, c.Text), "line %d: %q", n+1, c.Text)
			ids, spans, err := tok.EncodeOffsets(c.Text)
			require.NoError(t, err)
			require.Equal(t, len(c.IDs), len(ids))
			require.Equal(t, c.IDs, append([]int32{}, ids...))
			if !c.Lossy {
				require.Equal(t, c.Offsets, widen(c.Text, spans), "line %d: %q", n+1, c.Text)
			}
			if c.Normalized != nil {
				text, _ := compose(c.Text)
				require.Equal(t, *c.Normalized, text)
			}
			text, _ := tok.decode(ids, false)
			require.Equal(t, c.Decoded, text, "line %d", n+1)
			text, _ = tok.Decode(ids)
			require.Equal(t, c.Skipped, text, "line %d", n+1)
		}
	})
}

// widen moves spans out to the borders of characters.
func widen(text string, spans [][2]int) [][2]int {
	out := [][2]int{}
	for _, s := range spans {
		for s[0] > 0 && s[0] < len(text) && !utf8.RuneStart(text[s[0]]) {
			s[0]--
		}
		for s[1] < len(text) && !utf8.RuneStart(text[s[1]]) {
			s[1]++
		}
		out = append(out, s)
	}
	return out
}

type streamCase struct {
	Decoded string
	Starts  []int32
	Pieces  []string
	Tail    string
}

// TestGoldenStream holds decoding token by token against the reference.
func TestGoldenStream(t *testing.T) {
	each(t, ".stream.jsonl", func(t *testing.T, tok *Tokenizer, path string) {
		type row struct {
			IDs []int32
			streamCase
			Skip *streamCase
		}
		for n, c := range golden.Lines[row](t, path) {
			if c.Skip == nil {
				c.Skip = &c.streamCase
			}
			for skip, want := range map[bool]streamCase{false: c.streamCase, true: *c.Skip} {
				text, starts := tok.decode(c.IDs, skip)
				require.Equal(t, want.Decoded, text, "line %d", n+1)
				require.Equal(t, want.Starts, starts, "line %d", n+1)
				s := Stream{t: tok, skip: skip}
				pieces := []string{}
				for _, id := range c.IDs {
					pieces = append(pieces, s.Next(id))
				}
				require.Equal(t, want.Pieces, pieces, "line %d", n+1)
				require.Equal(t, want.Tail, s.End(), "line %d", n+1)
			}
		}
	})
}

// TestGoldenCompose holds the normalisation against the reference.
func TestGoldenCompose(t *testing.T) {
	for n, c := range golden.Lines[struct{ Text, NFC string }](t, golden.Path(t, "text", "tokenizers", "nfc.jsonl")) {
		got, _ := compose(c.Text)
		require.Equal(t, c.NFC, got, "line %d: %+q", n+1, c.Text)
	}
}

// TestGoldenBulk encodes whole data files, where they are beside the golden files.
func TestGoldenBulk(t *testing.T) {
	type row struct {
		Tokenizer, File string
		FileSHA         string `json:"file_sha256"`
		Tokens          int
		IDs             string `json:"ids_sha256"`
		Offsets         string `json:"offsets_sha256"`
	}
	for _, c := range golden.Lines[row](t, golden.Path(t, "text", "tokenizers", "bulk.jsonl")) {
		data, err := os.ReadFile(golden.Path(t, "..", c.File))
		require.NoError(t, err)
		sum := sha256.Sum256(data)
		require.Equal(t, c.FileSHA, hex.EncodeToString(sum[:]))
		tok := loadGolden(t, c.Tokenizer)
		h, o, n := sha256.New(), sha256.New(), 0
		for line := range strings.SplitSeq(string(data), "\n") {
			if line == "" {
				continue
			}
			ids, spans, err := tok.EncodeOffsets(line)
			require.NoError(t, err)
			n += len(ids)
			binary.Write(h, binary.LittleEndian, ids)
			for _, s := range widen(line, spans) {
				binary.Write(o, binary.LittleEndian, []int32{int32(s[0]), int32(s[1])})
			}
		}
		require.Equal(t, c.Tokens, n, "%s %s", c.Tokenizer, c.File)
		require.Equal(t, c.IDs, hex.EncodeToString(h.Sum(nil)), "%s %s", c.Tokenizer, c.File)
		require.Equal(t, c.Offsets, hex.EncodeToString(o.Sum(nil)), "%s %s", c.Tokenizer, c.File)
	}
}

// caseTexts returns the texts of a tokenizer's cases and their size.
func caseTexts(t testing.TB, name string) (texts []string, size int) {
	for _, c := range golden.Lines[struct{ Text string }](t, golden.Path(t, "text", "tokenizers", name+".cases.jsonl")) {
		texts = append(texts, c.Text)
		size += len(c.Text)
	}
	return texts, size
}
