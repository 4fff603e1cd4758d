package judge

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/rubric"
)

// golden returns the path of a golden file: under $SRAR_GOLDEN, else under
// testdata/golden at the root of the repository.
func golden(t testing.TB, path string) string {
	dir := os.Getenv("SRAR_GOLDEN")
	if dir == "" {
		root, err := os.Getwd()
		require.NoError(t, err)
		for {
			if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
				break
			}
			require.NotEqual(t, root, filepath.Dir(root), "no go.mod above the test")
			root = filepath.Dir(root)
		}
		dir = filepath.Join(root, "testdata", "golden")
	}
	return filepath.Join(dir, path)
}

func readLines[T any](t testing.TB, path string) []T {
	f, err := os.Open(golden(t, path))
	require.NoError(t, err)
	defer f.Close()
	var out []T
	s := bufio.NewScanner(f)
	s.Buffer(nil, 8<<20)
	for s.Scan() {
		var v T
		require.NoError(t, json.Unmarshal(s.Bytes(), &v))
		out = append(out, v)
	}
	require.NoError(t, s.Err())
	require.NotEmpty(t, out)
	return out
}

type replyCase struct {
	ID       string
	Items    []rubric.Item
	Steps    int
	Reply    string
	Expected struct {
		Status, Class string
		Classes       []string
		Verdicts      []Verdict
	}
}

func TestGoldenReplies(t *testing.T) {
	for _, c := range readLines[replyCase](t, "reward/judge/replies.jsonl") {
		t.Run(c.ID, func(t *testing.T) {
			got, err := ReadVerdicts(c.Reply, c.Items, c.Steps)
			if c.Expected.Status == "ok" {
				require.Nil(t, err)
				require.Equal(t, c.Expected.Verdicts, got)
				return
			}
			require.NotNil(t, err)
			require.Nil(t, got)
			require.Contains(t, c.Expected.Classes, err.Class)
			require.NotEmpty(t, err.Detail)
		})
	}
}

func TestGoldenStepReplies(t *testing.T) {
	type mark struct {
		Reply    string
		Expected *bool
	}
	for _, c := range readLines[mark](t, "reward/eval/step-replies.jsonl") {
		got, err := ReadMark(c.Reply)
		if c.Expected == nil {
			require.NotNil(t, err, "%q", c.Reply)
			continue
		}
		require.Nil(t, err, "%q", c.Reply)
		require.Equal(t, *c.Expected, got, "%q", c.Reply)
	}
}
