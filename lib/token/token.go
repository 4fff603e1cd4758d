// Package token turns text into the ids of a model's tokens and back, as the
// byte-level BPE tokenizers of tokenizer.json do (Sennrich et al. 2016, arXiv
// 1508.07909; bytes as alphabet: Radford et al. 2019). The reference is the
// tokenizers library: ids are equal to its ids.
//
// Encoding: added tokens are cut out of the text, leftmost and longest first;
// what lies between them is normalised (NFC or nothing), split into words by
// the model's pattern, and each word is merged from bytes upwards, the pair of
// lowest rank first. Nothing is added at the ends: the chat template writes the
// special tokens.
//
// Decoding: the bytes of all tokens are joined and read as UTF-8; each maximal
// ill-formed part becomes one U+FFFD.
package token

import (
	"fmt"
	"io/fs"
	"sync/atomic"
)

// Tokenizer encodes and decodes. It may be used by several goroutines at once.
type Tokenizer struct {
	bytes   []string         // id -> bytes, "" for an id that has no token
	special []bool           // id -> left out of decoded text
	words   map[string]int32 // bytes -> id, tokens of the model only
	names   map[string]int32 // strings of added tokens, and of tokens that stand for no bytes
	single  [256]int32       // byte -> id, -1 where the vocabulary lacks it
	gaps    bool             // it lacks some
	pairs   pairTable
	whole   []atomic.Uint32 // id -> does merging its bytes give just it? 0 unknown, 1 no, 2 yes

	nfc          bool
	ignoreMerges bool     // a word that is a token is never merged
	raw          matcher  // added tokens that are found in the text as it is
	normal       matcher  // added tokens that are found in normalised text
	split        splitter // text -> words
}

// Load reads tokenizer.json among the files of a checkpoint.
func Load(files fs.FS) (*Tokenizer, error) {
	b, err := fs.ReadFile(files, "tokenizer.json")
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	t, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	return t, nil
}

// Size returns one more than the largest id. A model may have more rows.
func (t *Tokenizer) Size() int { return len(t.bytes) }

// ID returns the id of the token that is written s: an added token by its
// content, a token of the model by its text.
func (t *Tokenizer) ID(s string) (id int32, ok bool) {
	if id, ok = t.names[s]; !ok {
		id, ok = t.words[s]
	}
	return id, ok
}

// Special reports whether decoded text leaves the token out.
func (t *Tokenizer) Special(id int32) bool {
	return id >= 0 && int(id) < len(t.special) && t.special[id]
}

// Text returns what a single token is written as, special ones too; bytes that
// are no text of their own are U+FFFD.
func (t *Tokenizer) Text(id int32) string {
	text, _ := t.decode([]int32{id}, false)
	return text
}
