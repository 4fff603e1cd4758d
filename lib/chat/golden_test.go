package chat

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"srar/lib/golden"
)

// goldenError is the error that a case expects.
type goldenError struct{ Kind, Message string }

func (g *goldenError) check(t *testing.T, err error) {
	var e *Error
	require.True(t, errors.As(err, &e), "want error %v, got %v", g, err)
	require.Equal(t, Kind(g.Kind), e.Kind, "%v", err)
	if e.Kind == Raised {
		require.Equal(t, g.Message, e.Message)
	}
}

// pinned is a clock that stands still.
func pinned(t *testing.T, now string) func() time.Time {
	if now == "" {
		return func() time.Time { t.Error("the clock was read"); return time.Time{} }
	}
	at, err := time.Parse("2006-01-02T15:04:05", now)
	require.NoError(t, err)
	return func() time.Time { return at }
}

// parsed decodes a part of a case into the values of templates.
func parsed(t *testing.T, raw json.RawMessage) any {
	if raw == nil {
		return nil
	}
	v, err := ParseJSON(raw)
	require.NoError(t, err)
	return v
}

func TestGoldenFeatures(t *testing.T) {
	for _, line := range golden.Lines[json.RawMessage](t, golden.Path(t, "text", "chat", "features.jsonl")) {
		var c struct {
			ID, Template, Now, Rendered string
			Context                     json.RawMessage
			Error                       *goldenError
		}
		require.NoError(t, json.Unmarshal(line, &c))
		t.Run(c.ID, func(t *testing.T) {
			vars, _ := parsed(t, c.Context).(Object)
			got, err := render(c.Template, vars, pinned(t, c.Now))
			if c.Error != nil {
				c.Error.check(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.Rendered, got)
		})
	}
}

// render runs a template on variables, without a conversation.
func render(source string, vars Object, now func() time.Time) (string, error) {
	body, _, err := parse(source)
	if err != nil {
		return "", err
	}
	in := newInterp(now)
	for _, m := range vars {
		v, err := (&converter{}).value(m.Value, 0)
		if err != nil {
			return "", err
		}
		in.vars[m.Key] = v
	}
	return in.run(body)
}

func TestGoldenCases(t *testing.T) {
	dir := golden.Path(t, "text", "chat")
	templates := map[string]*Template{}
	for _, line := range golden.Lines[json.RawMessage](t, filepath.Join(dir, "cases.jsonl")) {
		var c struct {
			ID, Template, Now, Rendered        string
			Messages, Kwargs, Tools, Documents json.RawMessage
			AddGenerationPrompt                bool              `json:"add_generation_prompt"`
			SpecialTokens                      map[string]string `json:"special_tokens"`
			Error                              *goldenError
		}
		require.NoError(t, json.Unmarshal(line, &c))
		t.Run(c.ID, func(t *testing.T) {
			if templates[c.Template] == nil {
				source, err := os.ReadFile(filepath.Join(dir, "templates", c.Template+".jinja"))
				require.NoError(t, err)
				templates[c.Template], err = New(string(source), Config{Special: c.SpecialTokens})
				require.NoError(t, err)
			}
			var msgs []Object
			for _, m := range parsed(t, c.Messages).([]any) {
				msgs = append(msgs, m.(Object))
			}
			o := Options{AddGenerationPrompt: c.AddGenerationPrompt, ControlTokens: true, Now: pinned(t, c.Now)}
			o.Vars, _ = parsed(t, c.Kwargs).(Object)
			o.Tools, _ = parsed(t, c.Tools).([]any)
			o.Documents, _ = parsed(t, c.Documents).([]any)
			got, guarded, err := templates[c.Template].RenderObjects(msgs, o)
			if c.Error != nil {
				c.Error.check(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.Rendered, got)
			require.Empty(t, guarded)
		})
	}
}
