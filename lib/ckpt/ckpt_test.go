package ckpt

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/golden"
)

// tiny is a model of 2 layers and 1,764 parameters.
var tiny = Config{
	ModelType: "qwen3", Architecture: "Qwen3ForCausalLM", Vocab: 50, Hidden: 6, Intermediate: 10, Layers: 2, Heads: 4, KVHeads: 2,
	HeadDim: 8, MaxPositions: 128, RopeTheta: 10000, RMSNormEps: 1e-6, Tied: true, QKNorm: true, EOS: []int32{3}, DType: "float32",
}

// makeTiny writes a checkpoint of c with tensors of type d into a directory of
// the test's, without Init: embedding copy and all are the caller's choice.
func makeTiny(t *testing.T, c Config, d DType, files map[string]string) string {
	dir := filepath.Join(t.TempDir(), "M0")
	require.NoError(t, Init(dir, c, nil, 1, nil))
	require.NoError(t, os.Remove(filepath.Join(dir, weightsFile)))
	require.NoError(t, os.Remove(filepath.Join(dir, metaFile)))
	require.NoError(t, writeTensors(filepath.Join(dir, weightsFile), arrays(c, d, 1)))
	for name, text := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o777))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666))
	}
	return dir
}

// arrays returns the tensors that Init draws, as type d.
func arrays(c Config, d DType, seed uint64) []array {
	var list []array
	for _, p := range c.Parameters() {
		list = append(list, array{p.Name, d, p.Shape, c.draw(p, seed)})
	}
	return list
}

func open(t *testing.T, dir string) *Checkpoint {
	c, err := Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func floats(t *testing.T, c *Checkpoint) map[string][]float32 {
	w := map[string][]float32{}
	for _, name := range c.Names() {
		x, err := c.Tensor(name)
		require.NoError(t, err)
		w[name], err = x.Float32()
		require.NoError(t, err)
		if len(x.Shape) < 2 {
			continue
		}
		for _, n := range []int{1, 5, x.Shape[0]} {
			var rows []float32
			require.NoError(t, x.EachRows(n, func(lo int, part []float32) error {
				require.Equal(t, len(rows), lo*x.Shape[1])
				rows = append(rows, part...)
				return nil
			}))
			require.Equal(t, w[name], rows, "%s, %d rows at a time", name, n)
		}
	}
	return w
}

// content returns all files below dir.
func content(t *testing.T, dir string) map[string]string {
	m := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		m[rel] = string(b)
		return err
	}))
	return m
}

// TestGoldenOpen opens checkpoints that other programs wrote.
func TestGoldenOpen(t *testing.T) {
	for _, dir := range golden.Glob(t, "model/*/checkpoint") {
		t.Run(filepath.Base(filepath.Dir(dir)), func(t *testing.T) {
			var raw struct {
				ModelType string `json:"model_type"`
				Vocab     int    `json:"vocab_size"`
				Hidden    int    `json:"hidden_size"`
				Heads     int    `json:"num_attention_heads"`
				HeadDim   int    `json:"head_dim"`
				Tied      bool   `json:"tie_word_embeddings"`
			}
			var generation struct {
				EOS any `json:"eos_token_id"`
			}
			b, err := os.ReadFile(filepath.Join(dir, configFile))
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(b, &raw))
			b, err = os.ReadFile(filepath.Join(dir, generationFile))
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(b, &generation))
			if raw.HeadDim == 0 {
				raw.HeadDim = raw.Hidden / raw.Heads
			}
			c, err := Open(dir)
			require.NoError(t, err)
			defer c.Close()
			require.Equal(t, raw.Vocab, c.Config.Vocab)
			require.Equal(t, raw.ModelType, c.Config.ModelType)
			require.Equal(t, raw.HeadDim, c.Config.HeadDim)
			require.Equal(t, raw.Tied, c.Config.Tied)
			eos, one := c.Config.EOS, fmt.Sprint(generation.EOS)
			require.True(t, one == fmt.Sprint(eos) || "["+one+"]" == fmt.Sprint(eos), "generation_config.json counts")
			require.Zero(t, c.Step())
			opt, err := c.Optimizer()
			require.NoError(t, err)
			require.Nil(t, opt)

			// Written again with its own weights it is the same model.
			out := filepath.Join(t.TempDir(), "M1")
			weights := floats(t, c)
			require.NoError(t, Write(out, Update{Parent: c, Weights: func(name string) []float32 { return weights[name] }}))
			was, is := content(t, dir), content(t, out)
			delete(is, metaFile)
			require.Equal(t, was, is)
		})
	}
}

func TestDigest(t *testing.T) {
	digest := func(dir string) string {
		d, err := open(t, dir).Digest()
		require.NoError(t, err)
		require.Regexp(t, "^sha256:[0-9a-f]{64}$", d)
		return d
	}
	one := makeTiny(t, tiny, F32, nil)
	require.Equal(t, digest(one), digest(makeTiny(t, tiny, F32, map[string]string{"note": "no part of the weights"})))
	require.Equal(t, digest(one), digest(shard(t, one, 3)), "shards do not matter")
	require.NotEqual(t, digest(one), digest(makeTiny(t, tiny, BF16, nil)))

	other := makeTiny(t, tiny, F32, nil)
	require.NoError(t, os.Remove(filepath.Join(other, weightsFile)))
	require.NoError(t, writeTensors(filepath.Join(other, weightsFile), arrays(tiny, F32, 2)))
	require.NotEqual(t, digest(one), digest(other))
}

// shard copies a checkpoint with its weights in n files and an index.
func shard(t *testing.T, dir string, n int) string {
	c := open(t, dir)
	out := filepath.Join(t.TempDir(), "M0")
	require.NoError(t, os.Mkdir(out, 0o777))
	for name, text := range content(t, dir) {
		if name != weightsFile {
			require.NoError(t, os.WriteFile(filepath.Join(out, name), []byte(text), 0o666))
		}
	}
	parts := make([][]array, n)
	place := map[string]string{}
	for i, name := range c.Names() {
		x, err := c.Tensor(name)
		require.NoError(t, err)
		data, err := x.Float32()
		require.NoError(t, err)
		parts[i%n] = append(parts[i%n], array{name, x.DType, x.Shape, data})
		place[name] = shardName(i%n+1, n)
	}
	for i, p := range parts {
		require.NoError(t, writeTensors(filepath.Join(out, shardName(i+1, n)), p))
	}
	writeIndex(t, out, place)
	return out
}

func shardName(i, n int) string {
	return "model-0000" + string(rune('0'+i)) + "-of-0000" + string(rune('0'+n)) + ".safetensors"
}

func writeIndex(t *testing.T, dir string, place map[string]string) {
	b, err := json.Marshal(map[string]any{"metadata": map[string]any{"total_size": 1}, "weight_map": place})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, indexFile), b, 0o666))
}

// TestShards holds an index against the files it names.
func TestShards(t *testing.T) {
	dir := shard(t, makeTiny(t, tiny, F32, nil), 2)
	index, err := os.ReadFile(filepath.Join(dir, indexFile))
	require.NoError(t, err)
	place, err := parseIndex(index)
	require.NoError(t, err)
	refused := func(want string, change func(m map[string]string)) {
		m := maps.Clone(place)
		change(m)
		writeIndex(t, dir, m)
		_, err := Open(dir)
		require.ErrorContains(t, err, want)
	}
	refused("not where the index says", func(m map[string]string) { delete(m, embedName) })
	refused("not where the index says", func(m map[string]string) { m[embedName] = shardName(2, 2) })
	refused(`"extra" is not in`, func(m map[string]string) { m["extra"] = shardName(1, 2) })
	refused("no name of a file beside", func(m map[string]string) { m[embedName] = "../M0/" + shardName(1, 2) })
	refused("no name of a file beside", func(m map[string]string) { m[embedName] = "." })
	refused("no such file", func(m map[string]string) { m["extra"] = "model-9.safetensors" })
	refused("no weight_map", func(m map[string]string) { clear(m) })

	// Beside a whole model.safetensors an index means nothing, and is not handed on.
	whole := makeTiny(t, tiny, F32, map[string]string{indexFile: string(index), shardName(1, 2): "old"})
	out := filepath.Join(t.TempDir(), "M1")
	require.NoError(t, Write(out, Update{Parent: open(t, whole)}))
	require.Equal(t, []string{configFile, generationFile, weightsFile, metaFile}, slices.Sorted(maps.Keys(content(t, out))))
}

// TestTensors refuses weights that do not fit the configuration.
func TestTensors(t *testing.T) {
	refused := func(want string, change func(l []array) []array) {
		dir := makeTiny(t, tiny, F32, nil)
		require.NoError(t, os.Remove(filepath.Join(dir, weightsFile)))
		require.NoError(t, writeTensors(filepath.Join(dir, weightsFile), change(arrays(tiny, F32, 1))))
		_, err := Open(dir)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "checkpoint "+dir)
	}
	refused(`"model.norm.weight" is missing`, func(l []array) []array { return l[:len(l)-1] })
	refused(`has shape [6 50], the configuration asks for [50 6]`, func(l []array) []array {
		l[0].Shape = []int{6, 50}
		return l
	})
	refused(`"model.layers.0.self_attn.q_proj.bias" is no part`, func(l []array) []array {
		return append(l, array{"model.layers.0.self_attn.q_proj.bias", F32, []int{1}, []float32{0}})
	})
	refused(`"model.layers.2.input_layernorm.weight" is no part`, func(l []array) []array {
		return append(l, array{"model.layers.2.input_layernorm.weight", F32, []int{1}, []float32{0}})
	})

	untied := tiny
	untied.Tied = false
	c := open(t, makeTiny(t, untied, F16, nil))
	require.Contains(t, c.Names(), headName)
	_, err := c.Tensor("nothing")
	require.ErrorContains(t, err, `no tensor "nothing"`)
}

func TestInit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "M0")
	files := map[string][]byte{"tokenizer.json": []byte("{}")}
	require.NoError(t, Init(dir, tiny, files, 7, nil))
	again := filepath.Join(t.TempDir(), "M0")
	require.NoError(t, Init(again, tiny, files, 7, nil))
	require.Equal(t, content(t, dir), content(t, again))

	c := open(t, dir)
	require.Equal(t, tiny, c.Config)
	for name, x := range floats(t, c) {
		want := 0.6 / 2.4494897 // √6
		switch {
		case filepath.Ext(name) == ".weight" && len(x) <= 8:
			require.Equal(t, slices.Repeat([]float32{1}, len(x)), x, name)
			continue
		case name == embedName:
			want = 0.02
		case name == "model.layers.1.self_attn.o_proj.weight":
			want = 0.6 / 5.656854 / 2 // fan-in 32, 2·2 layers
		case name == "model.layers.1.mlp.down_proj.weight":
			want = 0.6 / 3.1622777 / 2
		case filepath.Base(name) != name:
			t.Fatal(name)
		}
		var sum float64
		for _, v := range x {
			sum += float64(v) * float64(v)
		}
		if name == embedName || name == "model.layers.1.self_attn.o_proj.weight" || name == "model.layers.1.mlp.down_proj.weight" ||
			name == "model.layers.0.self_attn.q_proj.weight" {
			require.InEpsilon(t, want*want, sum/float64(len(x)), 0.45, name) // 60 to 300 draws: within 3 deviations
		}
	}
	other := filepath.Join(t.TempDir(), "M0")
	require.NoError(t, Init(other, tiny, files, 8, nil))
	require.NotEqual(t, content(t, dir)[weightsFile], content(t, other)[weightsFile])

	bad := tiny
	bad.KVHeads = 3
	require.ErrorContains(t, Init(filepath.Join(t.TempDir(), "M0"), bad, nil, 1, nil), "4 heads cannot share 3")
	bad = tiny
	bad.ModelType, bad.Architecture = "llama", "LlamaForCausalLM"
	bad.Heads = 3
	bad.KVHeads = 3
	require.ErrorContains(t, Init(filepath.Join(t.TempDir(), "M0"), bad, nil, 1, nil), "QKNorm true cannot be said in the configuration of a llama")
	for _, name := range []string{configFile, generationFile, weightsFile, metaFile, MetricsFile, "../x", "sub/x", ".", shardName(1, 2)} {
		err := Init(filepath.Join(t.TempDir(), "M0"), tiny, map[string][]byte{name: nil}, 1, nil)
		require.ErrorContains(t, err, fmt.Sprintf("a file cannot be named %q", name))
	}
}

// array is a tensor to be written whose float32 values are in memory.
type array struct {
	Name  string
	DType DType
	Shape []int
	Data  []float32
}

// writeTensors writes a safetensors file of arrays in memory.
func writeTensors(path string, list []array) error {
	all := make([]Array, len(list))
	for i, t := range list {
		all[i] = Array{Name: t.Name, DType: t.DType, Shape: t.Shape, Floats: func() []float32 { return t.Data }}
	}
	return writeArrays(path, all, nil)
}
