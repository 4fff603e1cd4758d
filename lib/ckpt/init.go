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
	"reflect"
	"strconv"
	"strings"
)

// Init makes a checkpoint with random weights in dir, whole or not at all, as
// [Write] does. files are put beside the weights under their names: tokenizer
// and template; config.json and generation_config.json are made from c, whose
// DType, float32 where it is "", is that of the tensors too.
//
// The weights are drawn for small models that train from nothing: norms 1,
// biases 0, embeddings N(0, 0.02²), matrices N(0, s²) with s = 0.6/√(fan-in), and the
// two that write to the residual stream, o and down, also divided by
// √(2·layers) (Radford et al. 2019). Each tensor has a generator of its own,
// keyed by seed and name, so a tensor's values do not depend on the others.
// Stop is that of [Update].
func Init(dir string, c Config, files map[string][]byte, seed uint64, stop func() error) error {
	if c.DType == "" {
		c.DType = "float32"
	}
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
		var list []Array
		for _, p := range c.Parameters() {
			list = append(list, Array{Name: p.Name, DType: c.stored(), Shape: p.Shape, Floats: func() []float32 { return c.draw(p, seed) }})
		}
		if err := writeArrays(filepath.Join(tmp, weightsFile), list, stop); err != nil {
			return err
		}
		return writeOwn(tmp, Meta{}, nil, nil, stop)
	}
	return in("making checkpoint "+dir, publish(dir, "", write))
}

// stored returns the type that DType names.
func (c Config) stored() DType {
	for d, name := range torchNames {
		if name == c.DType {
			return d
		}
	}
	panic("ckpt: no type " + c.DType)
}

// draw returns the first values of a parameter.
func (c Config) draw(p Parameter, seed uint64) []float32 {
	n := 1
	for _, d := range p.Shape {
		n *= d
	}
	x := make([]float32, n)
	if strings.HasSuffix(p.Name, ".bias") {
		return x
	}
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

// marshal returns config.json and generation_config.json as transformers reads
// them. What c holds beside what its model type can have is an error.
func (c Config) marshal() (config, generation []byte, err error) {
	var eos any = c.EOS
	if len(c.EOS) == 1 {
		eos = c.EOS[0]
	}
	f := fileConfig{
		Architectures: []string{c.Architecture}, ModelType: c.ModelType, Vocab: c.Vocab, Hidden: c.Hidden, Intermediate: c.Intermediate,
		Layers: c.Layers, Heads: c.Heads, KVHeads: c.KVHeads, HeadDim: c.HeadDim, MaxPositions: c.MaxPositions, Act: "silu",
		RopeTheta: c.RopeTheta, RopeScaling: c.RopeScaling.marshal(), RMSNormEps: c.RMSNormEps, Tied: c.Tied, EOS: eos, DType: c.DType,
	}
	switch c.ModelType {
	case "llama":
		f.AttentionBias, f.MLPBias = new(c.OBias), new(c.MLPBias)
	case "mistral":
		f.Window = json.RawMessage("null") // absent it would be 4096
	case "qwen3":
		f.AttentionBias = new(c.OBias)
		fallthrough
	case "qwen2":
		f.UseWindow = new(c.Window > 0)
		if c.Window > 0 {
			f.MaxWindowLayers = new(0)
		}
	}
	if c.Window > 0 {
		f.Window = json.RawMessage(strconv.Itoa(c.Window))
	}
	if config, err = indent(f); err != nil {
		return nil, nil, err
	}
	back, err := parseConfig(config) // what Open would refuse is not written
	if err != nil {
		return nil, nil, err
	}
	is, said := reflect.ValueOf(c), reflect.ValueOf(back)
	for i := range is.NumField() {
		if !reflect.DeepEqual(is.Field(i).Interface(), said.Field(i).Interface()) {
			return nil, nil, fmt.Errorf("%s %+v cannot be said in the configuration of a %s", is.Type().Field(i).Name, is.Field(i), c.ModelType)
		}
	}
	generation, err = indent(map[string]any{"eos_token_id": eos})
	return config, generation, err
}

// fileConfig is config.json. Fields that a model type does not have are absent.
type fileConfig struct {
	Architectures   []string        `json:"architectures"`
	ModelType       string          `json:"model_type"`
	Vocab           int             `json:"vocab_size"`
	Hidden          int             `json:"hidden_size"`
	Intermediate    int             `json:"intermediate_size"`
	Layers          int             `json:"num_hidden_layers"`
	Heads           int             `json:"num_attention_heads"`
	KVHeads         int             `json:"num_key_value_heads"`
	HeadDim         int             `json:"head_dim"`
	MaxPositions    int             `json:"max_position_embeddings"`
	Act             string          `json:"hidden_act"`
	RopeTheta       float64         `json:"rope_theta"`
	RopeScaling     *fileScaling    `json:"rope_scaling,omitempty"`
	RMSNormEps      float64         `json:"rms_norm_eps"`
	Tied            bool            `json:"tie_word_embeddings"`
	AttentionBias   *bool           `json:"attention_bias,omitempty"`
	MLPBias         *bool           `json:"mlp_bias,omitempty"`
	Dropout         float64         `json:"attention_dropout"`
	UseWindow       *bool           `json:"use_sliding_window,omitempty"`
	Window          json.RawMessage `json:"sliding_window,omitempty"`
	MaxWindowLayers *int            `json:"max_window_layers,omitempty"`
	EOS             any             `json:"eos_token_id"`
	DType           string          `json:"torch_dtype"`
}

// fileScaling is rope_scaling.
type fileScaling struct {
	Kind              string  `json:"rope_type"`
	Factor            float64 `json:"factor"`
	OriginalPositions int     `json:"original_max_position_embeddings,omitempty"`
	LowFreq           float64 `json:"low_freq_factor,omitempty"`
	HighFreq          float64 `json:"high_freq_factor,omitempty"`
	BetaFast          float64 `json:"beta_fast,omitempty"`
	BetaSlow          float64 `json:"beta_slow,omitempty"`
	Truncate          *bool   `json:"truncate,omitempty"`
	AttentionFactor   float64 `json:"attention_factor,omitempty"`
}

func (p RopeScaling) marshal() *fileScaling {
	if p == (RopeScaling{}) {
		return nil
	}
	f := &fileScaling{
		Kind: p.Kind, Factor: p.Factor, OriginalPositions: p.OriginalPositions, LowFreq: p.LowFreq, HighFreq: p.HighFreq,
		BetaFast: p.BetaFast, BetaSlow: p.BetaSlow, AttentionFactor: p.AttentionFactor,
	}
	if p.Kind == "yarn" {
		f.Truncate = new(p.Truncate)
	}
	return f
}

func indent(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}
