package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"unicode/utf8"
)

// maxID bounds ids, and with them the memory that a hostile file can ask for.
const maxID = 1 << 22

// Parse reads the text of a tokenizer.json. A kind of tokenizer, or a part of
// one, that this package does not compute as the reference does is an error
// that names it; so is a text that is not what the format asks for.
func Parse(b []byte) (*Tokenizer, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("not valid UTF-8")
	}
	t := &Tokenizer{names: map[string]int32{}}
	var top struct {
		Normalizer json.RawMessage
		Pre        json.RawMessage `json:"pre_tokenizer"`
		Decoder    json.RawMessage
		Added      json.RawMessage `json:"added_tokens"`
	}
	s := &scanner{b: b}
	model := false
	err := s.fields(&top, map[string]func() error{"model": func() error {
		model = true
		return t.parseModel(s)
	}})
	switch {
	case err != nil:
		return nil, err
	case s.next() != 0:
		return nil, s.fail("something follows the closing }")
	case !model:
		return nil, errors.New("there is no model")
	}
	if t.nfc, err = parseNormalizer(top.Normalizer); err != nil {
		return nil, fmt.Errorf("normalizer: %w", err)
	}
	if t.split, err = parsePreTokenizer(top.Pre); err != nil {
		return nil, fmt.Errorf("pre_tokenizer: %w", err)
	}
	if err := parseDecoder(top.Decoder); err != nil {
		return nil, fmt.Errorf("decoder: %w", err)
	}
	if err := t.parseAdded(top.Added); err != nil {
		return nil, fmt.Errorf("added_tokens: %w", err)
	}
	t.whole = make([]atomic.Uint32, len(t.bytes))
	return t, nil
}

// part is one step of a normalizer, pre-tokenizer or decoder; fields that a
// type does not have stay zero.
type part struct {
	Type           string
	Normalizers    []json.RawMessage
	Pretokenizers  []json.RawMessage
	Decoders       []json.RawMessage
	Pattern        struct{ Regex, String *string }
	Behavior       string
	Invert         bool
	Individual     bool  `json:"individual_digits"`
	AddPrefixSpace *bool `json:"add_prefix_space"`
	UseRegex       *bool `json:"use_regex"`
}

func parsePart(b []byte) (part, error) {
	var p part
	err := json.Unmarshal(b, &p)
	return p, err
}

func (p part) refuse() error { return fmt.Errorf("type %q is not supported", p.Type) }

func parseNormalizer(b []byte) (nfc bool, err error) {
	if b == nil || string(b) == "null" {
		return false, nil
	}
	p, err := parsePart(b)
	if err != nil {
		return false, err
	}
	switch p.Type {
	case "NFC":
		return true, nil
	case "Sequence":
		for _, b := range p.Normalizers {
			one, err := parseNormalizer(b)
			if err != nil {
				return false, err
			}
			nfc = nfc || one
		}
		return nfc, nil
	}
	return false, p.refuse()
}

// parseDecoder accepts what decodes byte by byte.
func parseDecoder(b []byte) error {
	if b == nil || string(b) == "null" {
		return errors.New("there is none; ByteLevel is supported")
	}
	p, err := parsePart(b)
	if err != nil {
		return err
	}
	if p.Type == "Sequence" && len(p.Decoders) == 1 {
		return parseDecoder(p.Decoders[0])
	}
	if p.Type != "ByteLevel" {
		return p.refuse()
	}
	return nil
}

// parseModel reads vocabulary and merges, as they come where the vocabulary
// comes first.
func (t *Tokenizer) parseModel(s *scanner) error {
	var o struct {
		Dropout      *float64
		Unk          *string `json:"unk_token"`
		Prefix       *string `json:"continuing_subword_prefix"`
		Suffix       *string `json:"end_of_word_suffix"`
		ByteFallback bool    `json:"byte_fallback"`
		IgnoreMerges bool    `json:"ignore_merges"`
	}
	var later []byte
	merged := false
	merges := func(s *scanner) error {
		if err := t.parseMerges(s); err != nil {
			return fmt.Errorf("merges: %w", err)
		}
		merged = true
		return nil
	}
	err := s.fields(&o, map[string]func() error{
		"type": func() error {
			kind, err := s.text()
			if err == nil && string(kind) != "BPE" {
				err = fmt.Errorf("type %q is not supported; BPE is", kind)
			}
			return err
		},
		"vocab": func() error {
			if err := t.parseVocab(s); err != nil {
				return fmt.Errorf("vocab: %w", err)
			}
			return nil
		},
		"merges": func() (err error) {
			if t.words != nil {
				return merges(s)
			}
			later, err = s.value()
			return err
		},
	})
	if err == nil && t.words != nil && later != nil {
		err = merges(&scanner{b: later})
	}
	if err != nil {
		return fmt.Errorf("model: %w", err)
	}
	switch {
	case !merged:
		return errors.New("model: vocab or merges are missing")
	case o.Dropout != nil && *o.Dropout != 0:
		return fmt.Errorf("model: dropout is %v; it is supported at 0 only", *o.Dropout)
	case o.Prefix != nil && *o.Prefix != "":
		return fmt.Errorf("model: continuing_subword_prefix %q is not supported", *o.Prefix)
	case o.Suffix != nil && *o.Suffix != "":
		return fmt.Errorf("model: end_of_word_suffix %q is not supported", *o.Suffix)
	}
	t.ignoreMerges = o.IgnoreMerges
	for b := range t.single {
		id, ok := t.words[string([]byte{byte(b)})]
		if !ok {
			id, t.gaps = -1, true
		}
		t.single[b] = id
	}
	if t.gaps && (o.Unk != nil || o.ByteFallback) {
		return errors.New("model: unk_token and byte_fallback are supported only where the vocabulary has all 256 bytes")
	}
	return nil
}

// parseVocab reads {"string": id, ...}. The strings become bytes; all share one
// allocation.
func (t *Tokenizer) parseVocab(s *scanner) error {
	type entry struct{ lo, hi, id int }
	list := make([]entry, 0, (len(s.b)-s.at)/64) // half of the file or more is merges
	all := make([]byte, 0, (len(s.b)-s.at)/8)
	top := -1
	err := s.object(func(key []byte) error {
		lo := len(all)
		var ok bool
		all, ok = appendBytes(all, key)
		name := ""
		if !ok { // no word contains it; it may be an added token
			name = string(key)
			all = append(all, key...)
		}
		hi := len(all)
		id, err := s.integer()
		if err != nil {
			return err
		}
		if id >= maxID {
			return fmt.Errorf("id %d is too large", id)
		}
		top = max(top, id)
		if ok {
			list = append(list, entry{lo, hi, id})
			return nil
		}
		if _, dup := t.names[name]; dup {
			return fmt.Errorf("%q comes twice", name)
		}
		t.names[name] = int32(id)
		list = append(list, entry{lo, hi, ^id})
		return nil
	})
	if err != nil {
		return err
	}
	t.bytes, t.special = make([]string, top+1), make([]bool, top+1)
	t.words = make(map[string]int32, len(list))
	taken := make([]bool, top+1)
	text := string(all)
	for _, e := range list {
		id, word := e.id, text[e.lo:e.hi]
		if id < 0 {
			id = ^id
		} else {
			t.words[word] = int32(id)
		}
		if taken[id] {
			return fmt.Errorf("id %d comes twice", id)
		}
		taken[id] = true
		t.bytes[id] = word
	}
	if len(t.words)+len(t.names) != len(list) {
		return errors.New("a token comes twice")
	}
	return nil
}

// parseMerges reads [["a", "b"], ...] or ["a b", ...], the rank being the index.
func (t *Tokenizer) parseMerges(s *scanner) error {
	// A merge makes a token, but several may make the same.
	t.pairs = newPairTable(len(t.words))
	var word []byte
	rank := int32(0)
	add := func(mid int) error {
		left, ok := t.words[string(word[:mid])]
		right, ok2 := t.words[string(word[mid:])]
		both, ok3 := t.words[string(word)]
		if !ok || !ok2 || !ok3 {
			return fmt.Errorf("merge %d of %q and %q: a token is not in the vocabulary", rank, word[:mid], word[mid:])
		}
		t.pairs.put(left, right, rank, both)
		rank++
		return nil
	}
	one := func(text []byte) error {
		var ok bool
		if word, ok = appendBytes(word, text); !ok {
			return fmt.Errorf("merge %d: %q is not written in the byte alphabet", rank, text)
		}
		return nil
	}
	return s.array(func() error {
		word = word[:0]
		if s.next() == '"' {
			text, err := s.text()
			if err != nil {
				return err
			}
			left, right, ok := bytes.Cut(text, []byte{' '})
			if !ok {
				return fmt.Errorf("merge %d: %q is no pair", rank, text)
			}
			if err := one(left); err != nil {
				return err
			}
			mid := len(word)
			if err := one(right); err != nil {
				return err
			}
			return add(mid)
		}
		n, mid := 0, 0
		err := s.array(func() error {
			text, err := s.text()
			if err != nil {
				return err
			}
			n, mid = n+1, len(word)
			return one(text)
		})
		if err == nil && n != 2 {
			err = fmt.Errorf("merge %d has %d parts", rank, n)
		}
		if err != nil {
			return err
		}
		return add(mid)
	})
}
