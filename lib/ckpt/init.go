package ckpt

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
)

// Init makes a checkpoint with random weights in dir, whole or not at all, as
// [Write] does. files are put beside the weights under their names: tokenizer
// and template; config.json and generation_config.json are made from c, which
// must be a Qwen3 without scaled positions.
//
// The weights are drawn for small models that train from nothing: norms 1,
// embeddings N(0, 0.02²), matrices N(0, s²) with s = 0.6/√(fan-in), and the
// two that write to the residual stream, o and down, also divided by
// √(2·layers) (Radford et al. 2019). Each tensor has a generator of its own,
// keyed by seed and name, so a tensor's values do not depend on the others.
func Init(dir string, c Config, files map[string][]byte, seed uint64) error {
	write := func(tmp string) error {
		if err := c.check(); err != nil {
			return err
		}
		config, generation, err := c.marshal()
		if err != nil {
			return err
		}
		all := map[string][]byte{configFile: config, generationFile: generation}
		for name, b := range files {
			if name == configFile || name == generationFile || written(name) || !filepath.IsLocal(name) || filepath.Base(name) != name || name == "." {
				return fmt.Errorf("a file cannot be named %q", name)
			}
			all[name] = b
		}
		for name, b := range all {
			if err := writeBytes(filepath.Join(tmp, name), b); err != nil {
				return err
			}
		}
		var list []array
		for _, p := range c.Parameters() {
			list = append(list, array{p.Name, F32, p.Shape, c.draw(p, seed)})
		}
		if err := writeTensors(filepath.Join(tmp, weightsFile), list); err != nil {
			return err
		}
		return writeMeta(tmp, Meta{})
	}
	return in("making checkpoint "+dir, publish(dir, "", write))
}

// draw returns the first values of a parameter.
func (c Config) draw(p Parameter, seed uint64) []float32 {
	n := 1
	for _, d := range p.Shape {
		n *= d
	}
	x := make([]float32, n)
	if len(p.Shape) == 1 {
		for i := range x {
			x[i] = 1
		}
		return x
	}
	scale := 0.6 / math.Sqrt(float64(p.Shape[1]))
	switch {
	case p.Name == embedName:
		scale = 0.02
	case strings.HasSuffix(p.Name, "o_proj.weight"), strings.HasSuffix(p.Name, "down_proj.weight"):
		scale /= math.Sqrt(2 * float64(c.Layers))
	}
	key := sha256.Sum256(append(binary.LittleEndian.AppendUint64(nil, seed), p.Name...))
	r := rand.New(rand.NewPCG(binary.LittleEndian.Uint64(key[:]), binary.LittleEndian.Uint64(key[8:])))
	for i := range x {
		x[i] = float32(scale * r.NormFloat64())
	}
	return x
}

// marshal returns config.json and generation_config.json as transformers reads them.
func (c Config) marshal() (config, generation []byte, err error) {
	eos := func() any {
		if len(c.EOS) == 1 {
			return c.EOS[0]
		}
		return c.EOS
	}
	if c.ModelType != "qwen3" || c.RopeScaling != (RopeScaling{}) {
		return nil, nil, fmt.Errorf("a new model of type %q cannot be made; qwen3 without scaled positions can", c.ModelType)
	}
	config, err = indent(struct {
		Architectures []string `json:"architectures"`
		ModelType     string   `json:"model_type"`
		Vocab         int      `json:"vocab_size"`
		Hidden        int      `json:"hidden_size"`
		Intermediate  int      `json:"intermediate_size"`
		Layers        int      `json:"num_hidden_layers"`
		Heads         int      `json:"num_attention_heads"`
		KVHeads       int      `json:"num_key_value_heads"`
		HeadDim       int      `json:"head_dim"`
		MaxPositions  int      `json:"max_position_embeddings"`
		Act           string   `json:"hidden_act"`
		RopeTheta     float64  `json:"rope_theta"`
		RMSNormEps    float64  `json:"rms_norm_eps"`
		Tied          bool     `json:"tie_word_embeddings"`
		Bias          bool     `json:"attention_bias"`
		Dropout       float64  `json:"attention_dropout"`
		Window        bool     `json:"use_sliding_window"`
		EOS           any      `json:"eos_token_id"`
		DType         string   `json:"torch_dtype"`
	}{
		[]string{c.Architecture}, c.ModelType, c.Vocab, c.Hidden, c.Intermediate, c.Layers, c.Heads, c.KVHeads, c.HeadDim,
		c.MaxPositions, "silu", c.RopeTheta, c.RMSNormEps, c.Tied, false, 0, false, eos(), "float32",
	})
	if err != nil {
		return nil, nil, err
	}
	if _, err := parseConfig(config); err != nil { // what Open would refuse is not written
		return nil, nil, err
	}
	generation, err = indent(map[string]any{"eos_token_id": eos()})
	return config, generation, err
}

func indent(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}
