package token

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// goldenDir returns the folder of golden tokenizers: below SRAR_GOLDEN, else
// below testdata/golden at the root of the module.
func goldenDir(t testing.TB) string {
	root := os.Getenv("SRAR_GOLDEN")
	if root == "" {
		dir, err := os.Getwd()
		require.NoError(t, err)
		for {
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
				break
			}
			require.NotEqual(t, dir, filepath.Dir(dir), "no go.mod above the test")
			dir = filepath.Dir(dir)
		}
		root = filepath.Join(dir, "testdata", "golden")
	}
	return filepath.Join(root, "text", "tokenizers")
}

// readGolden unpacks NAME.tokenizer.json.gz.
func readGolden(t testing.TB, name string) []byte {
	f, err := os.Open(filepath.Join(goldenDir(t), name+".tokenizer.json.gz"))
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	b, err := io.ReadAll(z)
	require.NoError(t, err)
	return b
}

var loaded sync.Map

func golden(t testing.TB, name string) *Tokenizer {
	if tok, ok := loaded.Load(name); ok {
		return tok.(*Tokenizer)
	}
	tok, err := Parse(readGolden(t, name))
	require.NoError(t, err)
	loaded.Store(name, tok)
	return tok
}

// lines calls visit with each line of a JSON Lines file, and its number.
func lines[T any](t testing.TB, path string, visit func(n int, row T)) {
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<24)
	n := 0
	for ; s.Scan(); n++ {
		var row T
		require.NoError(t, json.Unmarshal(s.Bytes(), &row))
		visit(n+1, row)
	}
	require.NoError(t, s.Err())
	require.NotZero(t, n, path)
}

// each runs a subtest for every golden file that ends in suffix.
func each(t *testing.T, suffix string, test func(t *testing.T, tok *Tokenizer, path string)) {
	paths, err := filepath.Glob(filepath.Join(goldenDir(t), "*"+suffix))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), suffix)
		t.Run(name, func(t *testing.T) { test(t, golden(t, name), path) })
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
		lines(t, path, func(n int, c row) {
			require.Equal(t, c.IDs, tok.Encode(c.Text), "%d: %q", n, c.Text)
			ids, spans := tok.EncodeOffsets(c.Text)
			require.Equal(t, len(c.IDs), len(ids))
			require.Equal(t, c.IDs, append([]int32{}, ids...))
			if c.Normalized == nil && !c.Lossy {
				require.Equal(t, c.Offsets, widen(c.Text, spans), "%d: %q", n, c.Text)
			}
			if c.Normalized != nil {
				text, _ := compose(c.Text)
				require.Equal(t, *c.Normalized, text)
			}
			text, _ := tok.decode(ids, false)
			require.Equal(t, c.Decoded, text, "line %d", n)
			text, _ = tok.Decode(ids)
			require.Equal(t, c.Skipped, text, "line %d", n)
		})
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
		lines(t, path, func(n int, c struct {
			IDs []int32
			streamCase
			Skip *streamCase
		}) {
			if c.Skip == nil {
				c.Skip = &c.streamCase
			}
			for skip, want := range map[bool]streamCase{false: c.streamCase, true: *c.Skip} {
				text, starts := tok.decode(c.IDs, skip)
				require.Equal(t, want.Decoded, text, "line %d", n)
				require.Equal(t, want.Starts, starts, "line %d", n)
				s := Stream{t: tok, skip: skip}
				pieces := []string{}
				for _, id := range c.IDs {
					pieces = append(pieces, s.Next(id))
				}
				require.Equal(t, want.Pieces, pieces, "line %d", n)
				require.Equal(t, want.Tail, s.End(), "line %d", n)
			}
		})
	})
}

// TestGoldenCompose holds the normalisation against the reference.
func TestGoldenCompose(t *testing.T) {
	lines(t, filepath.Join(goldenDir(t), "nfc.jsonl"), func(n int, c struct{ Text, NFC string }) {
		got, _ := compose(c.Text)
		require.Equal(t, c.NFC, got, "line %d: %+q", n, c.Text)
	})
}

// TestGoldenBulk encodes whole data files, where they are beside the golden files.
func TestGoldenBulk(t *testing.T) {
	root := filepath.Join(goldenDir(t), "..", "..", "..")
	lines(t, filepath.Join(goldenDir(t), "bulk.jsonl"), func(_ int, c struct {
		Tokenizer, File string
		FileSHA         string `json:"file_sha256"`
		Tokens          int
		IDs             string `json:"ids_sha256"`
		Offsets         string `json:"offsets_sha256"`
	}) {
		data, err := os.ReadFile(filepath.Join(root, c.File))
		require.NoError(t, err)
		sum := sha256.Sum256(data)
		require.Equal(t, c.FileSHA, hex.EncodeToString(sum[:]))
		tok := golden(t, c.Tokenizer)
		h, o, n := sha256.New(), sha256.New(), 0
		for line := range strings.SplitSeq(string(data), "\n") {
			if line == "" {
				continue
			}
			ids, spans := tok.EncodeOffsets(line)
			n += len(ids)
			binary.Write(h, binary.LittleEndian, ids)
			for _, s := range widen(line, spans) {
				binary.Write(o, binary.LittleEndian, []int32{int32(s[0]), int32(s[1])})
			}
		}
		require.Equal(t, c.Tokens, n, "%s %s", c.Tokenizer, c.File)
		require.Equal(t, c.IDs, hex.EncodeToString(h.Sum(nil)), "%s %s", c.Tokenizer, c.File)
		require.Equal(t, c.Offsets, hex.EncodeToString(o.Sum(nil)), "%s %s", c.Tokenizer, c.File)
	})
}

// caseTexts returns the texts of a tokenizer's cases and their size.
func caseTexts(t testing.TB, name string) (texts []string, size int) {
	lines(t, filepath.Join(goldenDir(t), name+".cases.jsonl"), func(_ int, c struct{ Text string }) {
		texts = append(texts, c.Text)
		size += len(c.Text)
	})
	return texts, size
}
