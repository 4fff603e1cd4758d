package gguf

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
)

// image is a GGUF file to be built: what the format asks for, and what it does not.
type image struct {
	version uint32
	keys    []key
	tensors []stored
}

type key struct {
	name  string
	value any
}

// stored is a tensor; shape is as the file has it, the length of a row first.
// Where data is nil it gets zeros, where offset is 0 the next free place.
type stored struct {
	name   string
	shape  []uint64
	typ    Type
	offset uint64
	data   []byte
}

// set replaces a value, or adds it; nil takes it out.
func (m *image) set(name string, value any) {
	m.keys = slices.DeleteFunc(m.keys, func(k key) bool { return k.name == name })
	if value != nil {
		m.keys = append(m.keys, key{name, value})
	}
}

func (m *image) bytes() []byte {
	var b bytes.Buffer
	put := func(v any) {
		if s, ok := v.(string); ok {
			v = append(binary.LittleEndian.AppendUint64(nil, uint64(len(s))), s...)
		}
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	b.WriteString("GGUF")
	put(m.version)
	put(uint64(len(m.tensors)))
	put(uint64(len(m.keys)))
	align := 32
	for _, k := range m.keys {
		put(k.name)
		putValue(put, k.value)
		if n, ok := k.value.(uint32); ok && k.name == "general.alignment" && n > 0 {
			align = int(n)
		}
	}
	pad := func(n int) int { return (n + align - 1) / align * align }
	at := 0
	var data []byte
	for _, t := range m.tensors {
		size := 1
		for _, d := range t.shape {
			size *= int(d)
		}
		if f, ok := formats[t.typ]; ok {
			size = size / f.numbers * f.bytes
		}
		if t.data == nil && size >= 0 && size < 1<<20 {
			t.data = make([]byte, size)
		}
		put(t.name)
		put(uint32(len(t.shape)))
		put(t.shape)
		put(uint32(t.typ))
		if t.offset == 0 {
			t.offset = uint64(at)
		}
		put(t.offset)
		data = append(data, t.data...)
		at = pad(at + len(t.data))
		data = append(data, make([]byte, at-len(data))...)
	}
	b.Write(make([]byte, pad(b.Len())-b.Len()))
	b.Write(data)
	return b.Bytes()
}

// kind is the number of a value's type.
func kind(v any) uint32 {
	switch v := v.(type) {
	case uint8:
		return kindUint8
	case int8:
		return kindInt8
	case uint16:
		return kindUint16
	case int16:
		return kindInt16
	case uint32:
		return kindUint32
	case int32:
		return kindInt32
	case uint64:
		return kindUint64
	case int64:
		return kindInt64
	case float32:
		return kindFloat32
	case float64:
		return kindFloat64
	case bool:
		return kindBool
	case string:
		return kindString
	case raw:
		return v.kind
	}
	return kindArray
}

// raw is a value of any type and any bytes.
type raw struct {
	kind  uint32
	bytes []byte
}

func putValue(put func(any), v any) {
	put(kind(v))
	if r, ok := v.(raw); ok {
		put(r.bytes)
		return
	}
	if kind(v) == kindArray {
		putArray(put, v)
		return
	}
	put(v)
}

func putArray(put func(any), v any) {
	switch list := v.(type) {
	case []string:
		put(uint32(kindString))
		put(uint64(len(list)))
		for _, s := range list {
			put(s)
		}
	case []any:
		put(uint32(kindArray))
		put(uint64(len(list)))
		for _, x := range list {
			putArray(put, x)
		}
	case []int32:
		put(uint32(kindInt32))
		put(uint64(len(list)))
		put(list)
	case []float32:
		put(uint32(kindFloat32))
		put(uint64(len(list)))
		put(list)
	case []bool:
		put(uint32(kindBool))
		put(uint64(len(list)))
		put(list)
	case []uint8:
		put(uint32(kindUint8))
		put(uint64(len(list)))
		put(list)
	default:
		panic("no such array")
	}
}

// tiny is a Llama of one layer with 2 heads of width 4, 6 tokens and 7 rows.
func tiny() *image {
	m := &image{version: 3, keys: []key{
		{"general.architecture", "llama"},
		{"general.name", "tiny"},
		{"llama.block_count", uint32(1)},
		{"llama.context_length", uint32(64)},
		{"llama.embedding_length", uint32(8)},
		{"llama.feed_forward_length", uint32(32)},
		{"llama.attention.head_count", uint32(2)},
		{"llama.attention.head_count_kv", uint32(1)},
		{"llama.attention.layer_norm_rms_epsilon", float32(1e-5)},
		{"llama.rope.freq_base", float32(500000)},
		{"llama.rope.dimension_count", uint32(4)},
		{"tokenizer.ggml.model", "gpt2"},
		{"tokenizer.ggml.pre", "smollm"},
		{"tokenizer.ggml.tokens", []string{"a", "b", "ab", "\"\\\n<|é", "<|end|>", "<think>"}},
		{"tokenizer.ggml.token_type", []int32{tokenNormal, tokenNormal, tokenNormal, tokenNormal, tokenControl, tokenUser}},
		{"tokenizer.ggml.merges", []string{"a b"}},
		{"tokenizer.ggml.eos_token_id", uint32(4)},
		{"tokenizer.chat_template", "{{ messages[0].content }}"},
	}}
	add := func(name string, typ Type, shape ...uint64) {
		m.tensors = append(m.tensors, stored{name: name, typ: typ, shape: shape})
	}
	add("token_embd.weight", F32, 8, 7)
	add("output_norm.weight", F32, 8)
	for part, shape := range map[string][]uint64{
		"attn_norm": {8}, "attn_q": {8, 8}, "attn_k": {8, 4}, "attn_v": {8, 4}, "attn_output": {8, 8}, "ffn_norm": {8},
		"ffn_gate": {8, 32}, "ffn_up": {8, 32}, "ffn_down": {32, 8},
	} {
		add("blk.0."+part+".weight", F32, shape...)
	}
	m.tensor("blk.0.ffn_down.weight").typ = Q8_0
	slices.SortFunc(m.tensors, func(a, b stored) int { return bytes.Compare([]byte(a.name), []byte(b.name)) })
	return m
}

func (m *image) tensor(name string) *stored {
	i := slices.IndexFunc(m.tensors, func(t stored) bool { return t.name == name })
	return &m.tensors[i]
}

// with returns tiny after changes.
func with(values map[string]any) *image {
	m := tiny()
	for _, k := range slices.Sorted(maps.Keys(values)) {
		m.set(k, values[k])
	}
	return m
}
