package prompt

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"srar/lib/chat"
	"srar/lib/golden"
)

// loadGolden loads the tokenizer and the template of this name as a checkpoint
// has them; nil where the golden data have no tokenizer of the name. The
// repository's tokenizer of Qwen3 has the merges that its cases lead to, no more.
func loadGolden(t *testing.T, name string) *Encoder {
	packed := golden.Path(t, "text", "tokenizers", name+".tokenizer.json.gz")
	if _, err := os.Stat(packed); os.IsNotExist(err) {
		return nil
	}
	dir := t.TempDir()
	put := func(file string, b []byte) { require.NoError(t, os.WriteFile(filepath.Join(dir, file), b, 0o666)) }
	put("tokenizer.json", golden.Unpack(t, packed))
	for file, path := range map[string]string{
		"tokenizer_config.json": golden.Path(t, "text", "tokenizers", name+".tokenizer_config.json"),
		"chat_template.jinja":   golden.Path(t, "text", "chat", "templates", name+".jinja"),
	} {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		put(file, b)
	}
	e, err := Load(os.DirFS(dir))
	require.NoError(t, err)
	return e
}

// object reads a JSON object with its members in order, nil for none.
func object(t *testing.T, raw json.RawMessage) chat.Object {
	if raw == nil {
		return nil
	}
	v, err := chat.ParseJSON(raw)
	require.NoError(t, err)
	return v.(chat.Object)
}

// TestGoldenIDs holds the ids of chats against transformers, with control tokens
// in messages as such and as plain text.
func TestGoldenIDs(t *testing.T) {
	type testCase struct {
		ID, Template, Now   string
		Messages            []json.RawMessage
		Kwargs              json.RawMessage
		Tools, Documents    json.RawMessage
		AddGenerationPrompt bool    `json:"add_generation_prompt"`
		IDs                 []int32 // where the template belongs to a tokenizer
		Sanitized           []int32 `json:"ids_sanitized"` // where they differ
	}
	encoders := map[string]*Encoder{}
	tested, guarded, whole := 0, 0, 0
	for _, c := range golden.Lines[testCase](t, golden.Path(t, "text", "chat", "cases.jsonl")) {
		if c.IDs == nil {
			continue
		}
		e, ok := encoders[c.Template]
		if !ok {
			e = loadGolden(t, c.Template)
			encoders[c.Template] = e
		}
		if e == nil {
			continue
		}
		tested++
		t.Run(c.ID, func(t *testing.T) {
			o := chat.Options{AddGenerationPrompt: c.AddGenerationPrompt, Vars: object(t, c.Kwargs)}
			for list, raw := range map[*[]any]json.RawMessage{&o.Tools: c.Tools, &o.Documents: c.Documents} {
				if raw != nil {
					v, err := chat.ParseJSON(raw)
					require.NoError(t, err)
					*list, _ = v.([]any)
				}
			}
			if c.Now != "" {
				now, err := time.Parse("2006-01-02T15:04:05", c.Now)
				require.NoError(t, err)
				o.Now = func() time.Time { return now }
			}
			var objects []chat.Object
			for _, m := range c.Messages {
				objects = append(objects, object(t, m))
			}
			want := map[bool][]int32{true: c.IDs, false: c.IDs}
			if c.Sanitized != nil {
				guarded++
				want[false] = c.Sanitized
			}
			for control, ids := range want {
				o.ControlTokens = control
				text, ranges, err := e.template.RenderObjects(objects, o)
				require.NoError(t, err)
				got, err := e.ids(text, ranges)
				require.NoError(t, err)
				require.Equal(t, ids, got, "control %v", control)
			}
			if string(c.Kwargs) != `{"enable_thinking": false}` || !c.AddGenerationPrompt || o.Tools != nil || o.Documents != nil {
				return
			}
			var msgs []chat.Message
			for _, m := range objects {
				if len(m) != 2 || m[0].Key != "role" || m[1].Key != "content" {
					return
				}
				role, _ := m[0].Value.(string)
				content, text := m[1].Value.(string)
				if !text {
					return
				}
				msgs = append(msgs, chat.Message{Role: role, Content: content})
			}
			whole++
			for control, ids := range want {
				got, err := e.Encode(msgs, control)
				require.NoError(t, err)
				require.Equal(t, ids, got, "control %v", control)
			}
		})
	}
	require.NotZero(t, tested)
	require.NotZero(t, guarded)
	require.NotZero(t, whole)
}
