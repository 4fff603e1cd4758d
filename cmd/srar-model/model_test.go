package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"srar/lib/chat"
	"srar/lib/golden"
	"srar/lib/prompt"
	"srar/lib/token"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"srar-model": main})
}

// TestSession plays shell sessions.
func TestSession(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("GOLDEN", golden.Path(t, "model"))
			gguf, err := filepath.Abs("../../lib/ckpt/testdata")
			e.Setenv("GGUF", gguf)
			return err
		},
	})
}

// TestArithTokenizer: the built-in tokenizer reads and writes any text, has the
// words of the task, and its template asks as the task does.
func TestArithTokenizer(t *testing.T) {
	files, err := (&options{tokenizer: "arith"}).files()
	require.NoError(t, err)
	tok, err := token.Parse(files["tokenizer.json"])
	require.NoError(t, err)
	end, err := complete(files, tok)
	require.NoError(t, err)
	require.Equal(t, 384, tok.Size())
	require.Equal(t, "<|im_end|>", tok.Text(end))
	require.True(t, tok.Special(end))
	for _, s := range []string{"### Step 1:\n3*4=12\n\n\\boxed{12}", "é 漢 \x00 \u0301"} {
		ids, err := tok.Encode(s)
		require.NoError(t, err)
		got, _ := tok.Decode(ids)
		require.Equal(t, s, got)
	}
	ids, err := tok.Encode("### Step 1:\n3*4=12\n### Step 2:\n\\boxed{12}")
	require.NoError(t, err)
	require.Less(t, len(ids), 26)

	dir := t.TempDir()
	for name, b := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o666))
	}
	tpl, err := chat.Load(os.DirFS(dir))
	require.NoError(t, err)
	text, _, err := tpl.Render([]chat.Message{{Role: "user", Content: "Find 3*4-(5-2)."}}, chat.Options{AddGenerationPrompt: true})
	require.NoError(t, err)
	require.Equal(t, "<|im_start|>user\nFind 3*4-(5-2).<|im_end|>\n<|im_start|>assistant\n", text)
	_, err = prompt.Load(os.DirFS(dir))
	require.NoError(t, err)
}

// TestComplete: a template and an end token are added only where they are missing.
func TestComplete(t *testing.T) {
	arith, err := (&options{tokenizer: "arith"}).files()
	require.NoError(t, err)
	tok, err := token.Parse(arith["tokenizer.json"])
	require.NoError(t, err)
	for _, tc := range []struct {
		config, jinja string // "" for no such file
		end           string
		same          bool // the configuration stays byte for byte
	}{
		{"", "", "<|im_end|>", false},
		{`{"eos_token":"<|endoftext|>"}`, "", "<|endoftext|>", false},
		{`{"eos_token":{"content":"<|endoftext|>"}, "chat_template": "x"}`, "", "<|endoftext|>", true},
		{`{"eos_token": "<|im_start|>"}`, "x", "<|im_start|>", true},
		{`{"eos_token": null}`, "x", "<|im_end|>", false},
	} {
		files := map[string][]byte{}
		if tc.config != "" {
			files["tokenizer_config.json"] = []byte(tc.config)
		}
		if tc.jinja != "" {
			files["chat_template.jinja"] = []byte(tc.jinja)
		}
		end, err := complete(files, tok)
		require.NoError(t, err)
		require.Equal(t, tc.end, tok.Text(end))
		require.Equal(t, tc.same, tc.config == string(files["tokenizer_config.json"]), tc.config)
		var got map[string]any
		require.NoError(t, json.Unmarshal(files["tokenizer_config.json"], &got))
		if tc.jinja == "" {
			require.NotEmpty(t, got["chat_template"])
		} else {
			require.NotContains(t, got, "chat_template")
		}
	}
	_, err = complete(map[string][]byte{"tokenizer_config.json": []byte(`{"eos_token":"<nothing>"}`)}, tok)
	require.ErrorContains(t, err, `the end token "<nothing>" is not in the vocabulary`)
	_, err = complete(map[string][]byte{"tokenizer_config.json": []byte(`[`)}, tok)
	require.ErrorContains(t, err, "tokenizer_config.json")

	plain, err := token.Parse([]byte(`{"model":{"type":"BPE","vocab":{"a":0},"merges":[]},"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"decoder":{"type":"ByteLevel"}}`))
	require.NoError(t, err)
	_, err = complete(map[string][]byte{}, plain)
	require.ErrorContains(t, err, "ChatML needs a special token <|im_start|>")
}
