package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"srar/lib/ckpt"
	"srar/lib/token"
	"srar/lib/tool"
)

// arith holds the tokenizer of the embedded arithmetic task: byte-level BPE of
// 384 tokens with the splitting of Qwen.
//
//go:embed arith/tokenizer.json
var arith embed.FS

// chatML is the template of a model that has none.
const chatML = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}" +
	"{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"

// tokenizerFiles are taken from the directory of --tokenizer.
var tokenizerFiles = []string{"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"}

// init makes a policy with random weights.
func (o *options) init(ctx context.Context, t *tool.Tool) error {
	c, err := o.config()
	if err != nil {
		return err
	}
	files, err := o.files()
	if err != nil {
		return err
	}
	tok, err := token.Parse(files["tokenizer.json"])
	if err != nil {
		return fmt.Errorf("tokenizer %s: %w", o.tokenizer, err)
	}
	end, err := complete(files, tok)
	if err != nil {
		return fmt.Errorf("tokenizer %s: %w", o.tokenizer, err)
	}
	c.Vocab, c.EOS = tok.Size(), []int32{end}
	err = t.Finish(ctx, func(stop func() error) error { return ckpt.Init(o.out, c, files, o.seed, stop) })
	if err != nil {
		return err
	}
	t.Logf("%s: new policy, %d tokens", o.out, tok.Size())
	return nil
}

// dtypes are the values of --dtype and what config.json calls them.
var dtypes = map[string]string{"f32": "float32", "bf16": "bfloat16"}

// config returns what the flags ask for, but for what the tokenizer decides.
func (o *options) config() (ckpt.Config, error) {
	c, err := ckpt.Default(o.family)
	if err != nil {
		return c, tool.Usagef("--family: %v", err)
	}
	if c.DType = dtypes[o.dtype]; c.DType == "" {
		return c, tool.Usagef("--dtype is %q; f32 and bf16 are", o.dtype)
	}
	s := o.shape
	c.Hidden, c.Layers, c.Heads, c.KVHeads, c.HeadDim, c.Intermediate = s.Hidden, s.Layers, s.Heads, s.KVHeads, s.HeadDim, s.Intermediate
	c.MaxPositions, c.Window, c.RopeTheta, c.Tied = 4096, 0, s.RopeTheta, !o.untied
	return c, nil
}

// files reads the files of --tokenizer.
func (o *options) files() (map[string][]byte, error) {
	files := map[string][]byte{}
	if o.tokenizer == "arith" {
		b, err := arith.ReadFile("arith/tokenizer.json")
		files["tokenizer.json"] = b
		return files, err
	}
	st, err := os.Stat(o.tokenizer)
	if err != nil {
		return nil, tool.WithHint(err, "--tokenizer is arith, a tokenizer.json or a directory with one")
	}
	if !st.IsDir() {
		b, err := os.ReadFile(o.tokenizer)
		files["tokenizer.json"] = b
		return files, err
	}
	for _, name := range tokenizerFiles {
		b, err := os.ReadFile(filepath.Join(o.tokenizer, name))
		switch {
		case err == nil:
			files[name] = b
		case !errors.Is(err, fs.ErrNotExist) || name == "tokenizer.json":
			return nil, err
		}
	}
	return files, nil
}

// complete adds a chat template and an end token to tokenizer_config.json where
// they are missing, and returns the id of the end token.
func complete(files map[string][]byte, tok *token.Tokenizer) (end int32, err error) {
	config := map[string]any{
		"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 4096, "clean_up_tokenization_spaces": false, "pad_token": "<|endoftext|>",
	}
	if b, ok := files["tokenizer_config.json"]; ok {
		clear(config)
		if err := json.Unmarshal(b, &config); err != nil {
			return 0, fmt.Errorf("tokenizer_config.json: %w", err)
		}
	} else if _, ok := tok.ID("<|endoftext|>"); !ok {
		config["pad_token"] = "<|im_end|>"
	}
	changed := false
	if config["chat_template"] == nil && files["chat_template.jinja"] == nil {
		config["chat_template"], changed = chatML, true
		for _, s := range []string{"<|im_start|>", "<|im_end|>"} {
			if id, ok := tok.ID(s); !ok || !tok.Special(id) {
				return 0, fmt.Errorf("there is no chat template, and ChatML needs a special token %s", s)
			}
		}
	}
	name, ok := config["eos_token"].(string)
	if m, object := config["eos_token"].(map[string]any); object {
		name, ok = m["content"].(string)
	}
	if !ok {
		name, changed = "<|im_end|>", true
		config["eos_token"] = name
	}
	if end, ok = tok.ID(name); !ok {
		return 0, fmt.Errorf("the end token %q is not in the vocabulary", name)
	}
	if changed {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(config); err != nil {
			return 0, err
		}
		files["tokenizer_config.json"] = b.Bytes()
	}
	return end, nil
}

// copies are the types that import writes.
var copies = map[string]ckpt.DType{"f32": ckpt.F32, "bf16": ckpt.BF16, "f16": ckpt.F16}

// copy makes a fresh policy of a checkpoint's weights: release as they are,
// import as --dtype says.
func (o *options) copy(ctx context.Context, t *tool.Tool, verb string, c *ckpt.Checkpoint) error {
	args := []string{verb}
	if t.IsSet("dtype") {
		if _, ok := copies[o.dtype]; !ok {
			return tool.Usagef("--dtype is %q; f32, bf16 and f16 are", o.dtype)
		}
		args = append(args, "--dtype", o.dtype)
	}
	digest, err := c.Digest()
	if err != nil {
		return err
	}
	t.Record("model", digest)
	meta, err := provenance(t, args, c)
	if err != nil {
		return err
	}
	err = t.Finish(ctx, func(stop func() error) error {
		u := ckpt.Update{Parent: c, Meta: meta, Stop: stop}
		if t.IsSet("dtype") {
			return ckpt.Convert(o.out, u, copies[o.dtype])
		}
		return ckpt.Write(o.out, u)
	})
	if err != nil {
		return err
	}
	t.Logf("%s: the weights of %s after %d steps", o.out, c.Path(), c.Step())
	return nil
}
