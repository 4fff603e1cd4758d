package chat

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// goldenDir is the folder of the golden data: the one that SRAR_GOLDEN names,
// else the repository's own.
func goldenDir(t *testing.T) string {
	if dir := os.Getenv("SRAR_GOLDEN"); dir != "" {
		return filepath.Join(dir, "text", "chat")
	}
	dir, err := os.Getwd()
	require.NoError(t, err)
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "testdata", "golden", "text", "chat")
		}
		require.NotEqual(t, dir, filepath.Dir(dir), "no go.mod above the test")
		dir = filepath.Dir(dir)
	}
}

// goldenLines calls f with every line of a JSON Lines file.
func goldenLines(t *testing.T, path string, f func(line []byte)) {
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	s := bufio.NewScanner(file)
	s.Buffer(nil, 1<<24)
	n := 0
	for ; s.Scan(); n++ {
		f(s.Bytes())
	}
	require.NoError(t, s.Err())
	require.NotZero(t, n, "no case in %s", path)
}

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
	goldenLines(t, filepath.Join(goldenDir(t), "features.jsonl"), func(line []byte) {
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
	})
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
	dir := goldenDir(t)
	templates := map[string]*Template{}
	goldenLines(t, filepath.Join(dir, "cases.jsonl"), func(line []byte) {
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
	})
}
