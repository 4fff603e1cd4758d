package ckpt

import (
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/golden"
)

// The files in testdata were made by llama.cpp's own converter (gguf.py there).
const (
	ggufQwen  = "testdata/qwen3.gguf"
	ggufLlama = "testdata/llama.gguf"
)

// TestGGUFQwen: a GGUF file is the checkpoint that it was made of, its matrices
// rounded to F16.
func TestGGUFQwen(t *testing.T) {
	c := open(t, ggufQwen)
	origin := open(t, golden.Path(t, "model", "U-qwen3-micro", "checkpoint"))
	want := origin.Config
	want.DType, want.EOS = "float16", want.EOS[:1]
	require.Equal(t, want, c.Config)
	require.Equal(t, origin.Names(), c.Names())
	values := floats(t, origin)
	for name, got := range floats(t, c) {
		w := values[name]
		x, err := c.Tensor(name)
		require.NoError(t, err)
		if len(x.Shape) == 2 {
			require.Equal(t, F16, x.DType)
			F16.Round(w, w)
		} else {
			require.Equal(t, F32, x.DType)
		}
		require.Equal(t, w, got, name)
		require.Len(t, got, x.Len())
		b, err := x.Bytes()
		require.NoError(t, err)
		again := make([]float32, len(got))
		decode(again, b, x.DType)
		require.Equal(t, got, again)
	}
	require.Equal(t, ggufQwen, c.Path())
	require.Zero(t, c.Meta())
	opt, err := c.Optimizer()
	require.NoError(t, err)
	require.Nil(t, opt)
}

// TestGGUFLlama: the rows of q and k are back in their order, quantised numbers
// within half a step, scaled positions found again.
func TestGGUFLlama(t *testing.T) {
	c := open(t, ggufLlama)
	origin := open(t, golden.Path(t, "model", "A-qwen3", "checkpoint"))
	require.Equal(t, "LlamaForCausalLM", c.Config.Architecture)
	require.Equal(t, 500000., c.Config.RopeTheta)
	s := c.Config.RopeScaling
	require.Equal(t, []any{"llama3", 8., 1., 4., 8192}, []any{s.Kind, s.Factor, s.LowFreq, s.HighFreq, s.OriginalPositions})
	whole := floats(t, origin)
	for name, got := range floats(t, c) {
		w := whole[name]
		x, err := c.Tensor(name)
		require.NoError(t, err)
		require.Equal(t, F32, x.DType)
		if strings.Contains(name, "down_proj") { // the first 64 of 160 columns
			var part []float32
			for row := range slices.Chunk(w, 160) {
				part = append(part, row[:64]...)
			}
			w = part
		}
		w = w[:len(got)]
		if len(x.Shape) == 1 {
			require.Equal(t, w, got, name)
			continue
		}
		for i := 0; i < len(got); i += 32 {
			top := 0.
			for _, v := range w[i : i+32] {
				top = max(top, math.Abs(float64(v)))
			}
			for j, v := range w[i : i+32] {
				// Half of top/127, and what rounding the scale to 11 bits adds.
				require.InDelta(t, v, got[i+j], top*(0.5/127+1./2048), "%s, number %d", name, i+j)
			}
		}
	}
}

// TestGGUFWrite: what is written of a GGUF file is a directory with all its
// files, the same weights and the same digest; training's weights take the place
// of its.
func TestGGUFWrite(t *testing.T) {
	for _, path := range []string{ggufQwen, ggufLlama} {
		c := open(t, path)
		dir := filepath.Join(t.TempDir(), "M0")
		require.NoError(t, Write(dir, Update{Parent: c, Meta: Meta{Step: 0, Parent: "p"}}))
		same := open(t, dir)
		require.Equal(t, c.Config, same.Config)
		require.Equal(t, floats(t, c), floats(t, same))
		require.Equal(t, digest(t, c), digest(t, same))
		require.Equal(t, "p", same.Meta().Parent)
		names := []string{"config.json", "generation_config.json", "model.safetensors", "srar.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}
		list, err := fs.Glob(same.Files(), "*")
		require.NoError(t, err)
		require.ElementsMatch(t, names, list)
		for _, name := range names {
			if b, err := fs.ReadFile(c.Files(), name); name != "model.safetensors" && name != "srar.json" {
				require.NoError(t, err)
				require.Equal(t, content(t, dir)[name], string(b))
			}
		}
		u, masters := update(t, c)
		next := filepath.Join(t.TempDir(), "M1")
		require.NoError(t, Write(next, u))
		trained := open(t, next)
		for name, got := range floats(t, trained) {
			x, err := trained.Tensor(name)
			require.NoError(t, err)
			want := slices.Clone(masters[name])
			x.DType.Round(want, want)
			require.Equal(t, want, got)
		}
		opt, err := trained.Optimizer()
		require.NoError(t, err)
		require.NoError(t, opt.Close())
	}
}

func digest(t *testing.T, c *Checkpoint) string {
	d, err := c.Digest()
	require.NoError(t, err)
	return d
}

// TestConvert: weights of any source in another type, said so in config.json.
func TestConvert(t *testing.T) {
	for _, source := range []string{ggufLlama, golden.Path(t, "model", "A-qwen3", "checkpoint"), golden.Path(t, "model", "B-qwen3-untied-bf16", "checkpoint")} {
		for d, name := range torchNames {
			c := open(t, source)
			dir := filepath.Join(t.TempDir(), "M")
			require.NoError(t, Convert(dir, Update{Parent: c}, d))
			got := open(t, dir)
			require.Equal(t, name, got.Config.DType)
			want := c.Config
			want.DType = name
			require.Equal(t, want, got.Config)
			values := floats(t, c)
			for name, x := range floats(t, got) {
				d.Round(values[name], values[name])
				require.Equal(t, values[name], x)
				stored, err := got.Tensor(name)
				require.NoError(t, err)
				require.Equal(t, d, stored.DType)
			}
			require.NotContains(t, content(t, dir), indexFile)
			require.Contains(t, content(t, dir), weightsFile)
			require.Contains(t, content(t, dir), "tokenizer.json")
			require.Equal(t, name == c.Config.DType, digest(t, c) == digest(t, got))
		}
	}
	c := open(t, makeTiny(t, tiny, F32, nil))
	u, masters := update(t, c)
	masters["model.norm.weight"][3] = 70000
	big := filepath.Join(t.TempDir(), "big")
	require.NoError(t, Write(big, u))
	dir := filepath.Join(t.TempDir(), "M")
	require.ErrorContains(t, Convert(dir, Update{Parent: open(t, big)}, F16), `tensor "model.norm.weight": from element 0: element 3: 70000 is not finite as F16`)
	require.NoDirExists(t, dir)
}

func TestGGUFRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	require.NoError(t, os.WriteFile(path, []byte("GGUF\x07\x00\x00\x00"), 0o666))
	_, err := Open(path)
	require.EqualError(t, err, fmt.Sprintf("checkpoint %s: m.gguf: version 7 is not supported; 2 and 3 are", path))
	b, err := os.ReadFile(ggufQwen)
	require.NoError(t, err)
	// A tensor less: its name is that of one that no Qwen has.
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(b), "blk.1.attn_q_norm.weight", "blk.1.attn_q_morn.weight", 1)), 0o666))
	_, err = Open(path)
	require.ErrorContains(t, err, `tensor "blk.1.attn_q_morn.weight" is not known in a qwen3 model`)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(b), "blk.1.attn_q_norm.weight", "blk.1.attn_k_norm.weight", 1)), 0o666))
	_, err = Open(path)
	require.ErrorContains(t, err, `tensor "blk.1.attn_k_norm.weight" comes twice`)
	// A shape that the configuration does not ask for.
	at := strings.Index(string(b), "qwen3.feed_forward_length") + len("qwen3.feed_forward_length") + 4
	require.Equal(t, byte(56), b[at])
	b[at] = 57
	require.NoError(t, os.WriteFile(path, b, 0o666))
	_, err = Open(path)
	require.ErrorContains(t, err, `tensor "model.layers.0.mlp.gate_proj.weight" has shape [56 32], the configuration asks for [57 32]`)
}

// TestGGUFCut: a file that is cut while it is open is an error at every reader.
func TestGGUFCut(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // there the file is read whole
	}
	b, err := os.ReadFile(ggufLlama)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "m.gguf")
	require.NoError(t, os.WriteFile(path, b, 0o666))
	c := open(t, path)
	require.NoError(t, os.Truncate(path, 40000))
	x, err := c.Tensor("model.layers.0.mlp.up_proj.weight")
	require.NoError(t, err)
	_, err = x.Float32()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_, err = x.Bytes()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_, err = c.Digest()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorIs(t, Write(filepath.Join(t.TempDir(), "M"), Update{Parent: c}), io.ErrUnexpectedEOF)
}
