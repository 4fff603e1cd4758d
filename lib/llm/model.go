// Package llm computes with transformers of the Qwen3 (Yang et al. 2025, arXiv
// 2505.09388), Qwen2 (Yang et al. 2024, arXiv 2407.10671), Llama 3 (Grattafiori
// et al. 2024, arXiv 2407.21783) and Mistral (Jiang et al. 2023, arXiv
// 2310.06825) architectures: it samples responses ([Model.Generate]), computes
// the log-probabilities of given ones ([Model.Score]) and trains on them
// ([Trainer]). It takes token ids and gives numbers; text, files of rows and the
// machine's instructions are the business of others.
//
// Attention sees all positions. A model with a sliding window is computed
// exactly up to the window, where that makes no difference; a row or a response
// that goes on beyond it is an error ([WindowError]), never a cut.
//
// All arithmetic on tensors is done by the operators of an [op.Backend] in
// float32, whose results depend on neither batch nor threads. So
// log-probabilities are the same bits in Generate, in Score and in the first
// step of a Trainer, however the work is cut, and every token drawn is a
// function of the weights, the request and the seed.
//
// Legend of shapes, all row-major: N tokens of a packed batch (sequences one
// after another, no padding), R rows of logits, D hidden size, H query heads, G
// key/value heads, C head size, F intermediate size, V vocabulary.
package llm

import (
	"fmt"
	"runtime"
	"strings"

	"srar/lib/ckpt"
	"srar/lib/op"
)

// Model is a language model on a backend. Its methods must not be called at
// the same time; nor may two models of one backend. Its memory lives until the
// backend is closed. Positions beyond the configuration's MaxPositions are
// computed as others are.
//
// The bounds below say how work is cut and change no result. [Load] sets them
// to values that fit the model.
type Model struct {
	// MicroTokens bounds the tokens that Score and a Trainer compute at once
	// (a longer row goes alone). Memory grows with it.
	MicroTokens int
	// MaxRows bounds the sequences that Generate samples at once.
	MaxRows int
	// CacheBytes bounds the keys and values of those sequences, give or take one
	// that enters and one that grows. A sequence that does not fit alone is an error.
	CacheBytes int64
	// Threads is the number of goroutines that draw tokens from logits; those of
	// the backend are its own.
	Threads int

	be     op.Backend
	cfg    ckpt.Config
	params []param
	layers []layer
	norm   int // parameter
	head   int // parameter: the output matrix, 0 (the embedding) when tied
	eps    float32
	rope   *op.Rope

	use    Use
	mem    op.Buf      // every parameter, or those that mem holds (see Use)
	packed []op.Weight // of the matrices that MatMul reads; nil for the others
	maps   []op.Linear // of a call

	logitRows int // rows of logits in one piece
	work      workspace
}

// param is one tensor and its place in the memory that holds them all. A
// gradient or a moment has the same place in memory of its own.
type param struct {
	name      string
	out, in   int // shape; out = 0 for a vector
	at, n     int
	held      bool       // it has that place
	precision ckpt.DType // as stored
}

// align is the granularity of a parameter's place in float32; what is between
// two stays zero.
const align = 16

// layer holds the parameters of a layer, by index.
type layer struct {
	attnNorm, q, k, v, qNorm, kNorm, o int
	qBias, kBias, vBias, oBias         int
	mlpNorm, gate, up, down            int
	gateBias, upBias, downBias         int
}

// Use says what a model is for, and with that how much memory its weights take.
type Use uint8

const (
	// Trained keeps every weight as float32 beside the forms that products read.
	Trained Use = iota
	// Frozen keeps matrices only as [Model.Generate] and [Model.Score] read them, the
	// embedding as float32; there can be no [Trainer].
	Frozen
)

// pieceLen is how much of a matrix is converted at a time: what stays in the cache.
const pieceLen = 1 << 18

// Load reads the weights of a checkpoint to the backend. The checkpoint may be
// closed afterwards.
func Load(be op.Backend, c *ckpt.Checkpoint, use Use) (*Model, error) {
	m := build(be, c.Config, use)
	var piece op.Buf
	for i := range m.params {
		if err := m.read(i, c, &piece); err != nil {
			return nil, fmt.Errorf("load model: %w", err)
		}
	}
	if piece.Len() > 0 {
		be.Free(piece)
	}
	if use == Trained {
		m.pack()
	}
	return m, nil
}

// read reads parameter i, by way of piece where it is kept only as products read
// it.
func (m *Model) read(i int, c *ckpt.Checkpoint, piece *op.Buf) error {
	p := &m.params[i]
	t, err := c.Tensor(p.name)
	if err != nil {
		return err
	}
	p.precision = t.DType
	width := max(p.in, 1)
	rows := (pieceLen/width + 31) / 32 * 32
	pack := m.use == Frozen && m.multiplied(i)
	if pack {
		m.packed[i] = m.be.NewWeight(p.out, p.in)
		m.grow(piece, rows*width)
	}
	return t.EachRows(rows, func(lo int, x []float32) error {
		if p.held {
			m.be.Write(m.vec(i).Slice(lo*width, p.n), x)
		}
		if pack {
			m.be.Write(*piece, x)
			m.be.PackRows(m.packed[i], *piece, lo, len(x)/width)
		}
		return nil
	})
}

// multiplied reports whether MatMul reads parameter i: vectors it does not, nor an
// embedding that is only a table.
func (m *Model) multiplied(i int) bool {
	return m.params[i].out > 0 && (i > 0 || m.head == 0)
}

// build lays out a model whose weights are still zero and not packed. The sizes
// fit each other: [ckpt.Open] has seen to that.
func build(be op.Backend, c ckpt.Config, use Use) *Model {
	m := &Model{be: be, cfg: c, use: use, eps: float32(c.RMSNormEps), rope: rotary(c)}
	size, index := 0, map[string]int{}
	for i, t := range c.Parameters() {
		p := param{name: t.Name, at: size, n: t.Shape[0], precision: ckpt.F32, held: use == Trained || i == 0 || len(t.Shape) == 1}
		if len(t.Shape) == 2 {
			p.out, p.in, p.n = t.Shape[0], t.Shape[1], t.Shape[0]*t.Shape[1]
		}
		if p.held {
			size += roundUp(p.n)
		}
		m.params = append(m.params, p)
		index[strings.TrimSuffix(strings.TrimPrefix(t.Name, "model."), ".weight")] = i
	}
	m.norm = index["norm"]
	if !c.Tied {
		m.head = index["lm_head"]
	}
	for i := range c.Layers {
		at := func(s string) int { return index[fmt.Sprintf("layers.%d.%s", i, s)] }
		m.layers = append(m.layers, layer{
			attnNorm: at("input_layernorm"), mlpNorm: at("post_attention_layernorm"),
			q: at("self_attn.q_proj"), k: at("self_attn.k_proj"), v: at("self_attn.v_proj"), o: at("self_attn.o_proj"),
			qNorm: at("self_attn.q_norm"), kNorm: at("self_attn.k_norm"),
			qBias: at("self_attn.q_proj.bias"), kBias: at("self_attn.k_proj.bias"), vBias: at("self_attn.v_proj.bias"), oBias: at("self_attn.o_proj.bias"),
			gate: at("mlp.gate_proj"), up: at("mlp.up_proj"), down: at("mlp.down_proj"),
			gateBias: at("mlp.gate_proj.bias"), upBias: at("mlp.up_proj.bias"), downBias: at("mlp.down_proj.bias"),
		})
	}
	m.mem = be.New(size)
	m.packed = make([]op.Weight, len(m.params))
	m.defaults()
	return m
}

// defaults sets the bounds.
func (m *Model) defaults() {
	const activations, logits = 2 << 30, 128 << 20 // bytes
	trained := (m.actWidth(true)*len(m.layers) + m.gradWidth()) * 4
	m.MicroTokens = min(max(activations/trained, 256), 512) // more takes memory and is not faster
	m.logitRows = min(max(logits/(4*m.cfg.Vocab)/32*32, 32), 1024)
	m.MaxRows = 256
	m.CacheBytes = 4 << 30
	m.Threads = runtime.GOMAXPROCS(0)
}

// pack prepares the matrices for products.
func (m *Model) pack() {
	for i, p := range m.params {
		switch {
		case !m.multiplied(i):
		case m.packed[i] != nil:
			m.be.Repack(m.packed[i])
		default:
			m.packed[i] = m.be.Pack(m.vec(i), p.out, p.in)
		}
	}
}

// vec returns the weights of a parameter.
func (m *Model) vec(i int) op.Buf { return m.place(m.mem, i) }

// place returns the part of mem that belongs to a parameter.
func (m *Model) place(mem op.Buf, i int) op.Buf {
	p := &m.params[i]
	if !p.held {
		panic("llm: a frozen model keeps no numbers of " + p.name)
	}
	return mem.Slice(p.at, p.at+p.n)
}
