package gguf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// tokenizer is a byte-level BPE tokenizer, as the metadata have it.
type tokenizer struct {
	tokens, merges []string
	types          []int32 // of the tokens
	form           form
	addBOS, addEOS bool
	special        map[string]int // bos_token, eos_token, ...: their ids
	ends           []int          // the tokens that end a response
	template       string         // "" for none
	positions      int            // of the model
}

// Types of tokens.
const (
	tokenNormal  = 1
	tokenControl = 3 // an added token that decoded text leaves out
	tokenUser    = 4 // an added token that is text
	tokenUnused  = 5 // a row of the embedding without a token
)

// form is what the name of a pre-tokenizer stands for: how the tokenizer.json
// of that family splits text into words.
type form struct {
	normalizer   any
	split        []any
	ignoreMerges bool
	addBOS       bool // unless the file says otherwise
}

type object = map[string]any

var (
	byteLevel = object{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}
	gpt2      = object{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}
	digits    = object{"type": "Digits", "individual_digits": true}
	nfc       = object{"type": "NFC"}
)

func split(pattern string) any {
	return object{"type": "Split", "pattern": object{"Regex": pattern}, "behavior": "Isolated", "invert": false}
}

const (
	qwenPattern  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	llamaPattern = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	gpt2Pattern  = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
)

var llama3Form = form{split: []any{split(llamaPattern), byteLevel}, ignoreMerges: true, addBOS: true}

// forms are the pre-tokenizers by the names that files have. Default is what
// llama.cpp takes where its converter knew no better.
var forms = map[string]form{
	"gpt-2":     {split: []any{gpt2}},
	"smollm":    {split: []any{digits, gpt2}},
	"qwen2":     {split: []any{split(qwenPattern), byteLevel}, normalizer: nfc},
	"llama3":    llama3Form,
	"llama-v3":  llama3Form,
	"llama-bpe": llama3Form,
	"default":   {split: []any{split(`[\p{P}\$\+<=>\^~\|]+`), split(gpt2Pattern), split(`\p{N}+`), split(`[0-9][0-9][0-9]`), byteLevel}},
}

// special calls visit with the fields of config.json that name tokens.
func (v *view) special(visit func(field string, id any)) {
	for name, field := range map[string]string{"bos": "bos_token_id", "eos": "eos_token_id", "padding": "pad_token_id"} {
		var id int
		if v.integer("tokenizer.ggml."+name+"_token_id", &id) {
			visit(field, id)
		}
	}
}

// tokenizer reads the tokenizer.
func (v *view) tokenizer(rows int) (*tokenizer, error) {
	t := &tokenizer{special: map[string]int{}}
	model, pre := "", ""
	get(v, "tokenizer.ggml.model", &model)
	get(v, "tokenizer.ggml.pre", &pre)
	var ok bool
	switch {
	case v.err != nil:
		return nil, v.err
	case model == "llama":
		return nil, errors.New("the tokenizer is SentencePiece (tokenizer.ggml.model llama), which is not supported; byte-level BPE (gpt2) is")
	case model != "gpt2":
		return nil, fmt.Errorf("tokenizer.ggml.model %q is not supported; byte-level BPE (gpt2) is", model)
	}
	if t.form, ok = forms[pre]; !ok {
		return nil, fmt.Errorf("pre-tokenizer %q (tokenizer.ggml.pre) is not known; %s are", pre, strings.Join(slices.Sorted(maps.Keys(forms)), ", "))
	}
	for _, key := range []string{"add_space_prefix", "normalizer.lowercase", "normalizer.strip_accents"} {
		on := false
		if key = "tokenizer.ggml." + key; get(v, key, &on) && on {
			v.fail("%s is not supported", key)
		}
	}
	if !get(v, "tokenizer.ggml.tokens", &t.tokens) || !get(v, "tokenizer.ggml.token_type", &t.types) || !get(v, "tokenizer.ggml.merges", &t.merges) {
		v.fail("tokens, token_type or merges of tokenizer.ggml are missing")
	}
	if len(t.types) != len(t.tokens) {
		v.fail("tokenizer.ggml has %d tokens and %d types of them", len(t.tokens), len(t.types))
	}
	if len(t.tokens) > rows {
		v.fail("tokenizer.ggml has %d tokens, %s only %d rows", len(t.tokens), storedEmbed, rows)
	}
	t.addBOS = t.form.addBOS
	get(v, "tokenizer.ggml.add_bos_token", &t.addBOS)
	get(v, "tokenizer.ggml.add_eos_token", &t.addEOS)
	get(v, "tokenizer.chat_template", &t.template)
	v.integer(v.of("context_length"), &t.positions)
	for name, field := range map[string]string{"bos": "bos_token", "eos": "eos_token", "unknown": "unk_token", "padding": "pad_token"} {
		var id int
		if !v.integer("tokenizer.ggml."+name+"_token_id", &id) {
			continue
		}
		if id >= len(t.tokens) {
			v.fail("tokenizer.ggml.%s_token_id is %d of %d tokens", name, id, len(t.tokens))
		}
		t.special[field] = id
	}
	for _, name := range []string{"eos", "eot", "eom"} { // end of text, of turn, of message
		var id int
		if v.integer("tokenizer.ggml."+name+"_token_id", &id) && !slices.Contains(t.ends, id) {
			t.ends = append(t.ends, id)
		}
	}
	if v.err == nil {
		v.err = t.check()
	}
	return t, v.err
}

// check holds what JSON cannot carry, and tokens of kinds that BPE has not.
func (t *tokenizer) check() error {
	for i, s := range t.tokens {
		switch {
		case !utf8.ValidString(s):
			return fmt.Errorf("token %d is not valid UTF-8", i)
		case t.types[i] != tokenNormal && t.types[i] != tokenControl && t.types[i] != tokenUser && t.types[i] != tokenUnused:
			return fmt.Errorf("token %d %q is of type %d, which byte-level BPE has not", i, s, t.types[i])
		}
	}
	for i, s := range t.merges {
		if !utf8.ValidString(s) {
			return fmt.Errorf("merge %d is not valid UTF-8", i)
		}
	}
	if !utf8.ValidString(t.template) {
		return errors.New("tokenizer.chat_template is not valid UTF-8")
	}
	for field, id := range t.special {
		if t.types[id] == tokenUnused {
			return fmt.Errorf("%s is %d, which is no token", field, id)
		}
	}
	return nil
}

// files adds the files of the tokenizer.
func (t *tokenizer) files(m memory) error {
	generation := object{}
	for field, id := range t.special {
		if field != "unk_token" {
			generation[field+"_id"] = id
		}
	}
	if len(t.ends) > 1 {
		generation["eos_token_id"] = t.ends
	}
	config := object{
		"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": false, "model_max_length": t.positions,
		"add_bos_token": t.addBOS, "add_eos_token": t.addEOS,
	}
	for field, id := range t.special {
		config[field] = t.tokens[id]
	}
	if t.template != "" {
		m["chat_template.jinja"] = []byte(t.template)
	}
	var err, err2, err3 error
	m["generation_config.json"], err = marshal(generation)
	m["tokenizer_config.json"], err2 = marshal(config)
	m["tokenizer.json"], err3 = t.marshal()
	return errors.Join(err, err2, err3)
}

// added is an entry of added_tokens.
type added struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// marshal returns tokenizer.json. Added tokens behind the last of the model
// stay outside its vocabulary, as the publishers have them; where ids have gaps
// they stand inside, since a reader gives ids in a row to those outside.
func (t *tokenizer) marshal() ([]byte, error) {
	last, end := -1, 0 // token of the model, and of all
	extra := []added{}
	for i, kind := range t.types {
		switch kind {
		case tokenUnused:
			continue
		case tokenNormal:
			last = i
		default:
			extra = append(extra, added{ID: i, Content: t.tokens[i], Special: kind == tokenControl})
		}
		end = i
	}
	gaps := slices.Contains(t.types[:end], tokenUnused)
	head, err := json.Marshal(struct {
		Version    string  `json:"version"`
		Truncation any     `json:"truncation"`
		Padding    any     `json:"padding"`
		Added      []added `json:"added_tokens"`
		Normalizer any     `json:"normalizer"`
		Pre        object  `json:"pre_tokenizer"`
		Post       any     `json:"post_processor"`
		Decoder    object  `json:"decoder"`
	}{
		Version: "1.0", Added: extra, Normalizer: t.form.normalizer, Pre: object{"type": "Sequence", "pretokenizers": t.form.split},
		Post: t.postProcessor(), Decoder: byteLevel,
	})
	if err != nil {
		return nil, err
	}
	// By hand from here, the vocabulary being large and its order that of the ids.
	b := fmt.Appendf(head[:len(head)-1], `,"model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,`+
		`"end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"ignore_merges":%v,"vocab":`, t.form.ignoreMerges)
	sep := byte('{')
	for i, kind := range t.types {
		if kind == tokenUnused || kind != tokenNormal && i > last && !gaps {
			continue
		}
		b = appendQuoted(append(b, sep), t.tokens[i])
		b = strconv.AppendInt(append(b, ':'), int64(i), 10)
		sep = ','
	}
	if sep == '{' {
		b = append(b, sep)
	}
	b = append(b, `},"merges":[`...)
	for i, s := range t.merges {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendQuoted(b, s)
	}
	return append(b, "]}}\n"...), nil
}

// appendQuoted appends s, which is valid UTF-8, as a JSON string.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for _, c := range []byte(s) {
		switch {
		case c < ' ':
			b = fmt.Appendf(b, `\u%04x`, c)
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// postProcessor adds the tokens of begin and end for readers that ask for them.
func (t *tokenizer) postProcessor() any {
	bos, hasBOS := t.special["bos_token"]
	eos, hasEOS := t.special["eos_token"]
	tokens := object{}
	put := func(list []any, id int, on bool, sequence int) []any {
		if !on {
			return list
		}
		name := t.tokens[id]
		tokens[name] = object{"id": name, "ids": []int{id}, "tokens": []string{name}}
		return append(list, object{"SpecialToken": object{"id": name, "type_id": sequence}})
	}
	part := func(name string, sequence int) []any {
		list := put(nil, bos, t.addBOS && hasBOS, sequence)
		list = append(list, object{"Sequence": object{"id": name, "type_id": sequence}})
		return put(list, eos, t.addEOS && hasEOS, sequence)
	}
	single, pair := part("A", 0), part("B", 1)
	if len(tokens) == 0 {
		return nil
	}
	return object{"type": "TemplateProcessing", "single": single, "pair": append(part("A", 0), pair...), "special_tokens": tokens}
}

// marshal writes v as the files of a model are written.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}
