// Package golden finds the golden data, for tests: inputs and what independent
// programs made of them, below the directory that SRAR_GOLDEN names, by default
// testdata/golden at the root of the repository.
package golden

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// Path returns the absolute path of a file or folder of the golden data, which
// need not exist.
func Path(t testing.TB, elem ...string) string {
	t.Helper()
	dir := os.Getenv("SRAR_GOLDEN")
	if dir == "" {
		dir = filepath.Join(root(t), "testdata", "golden")
	}
	path, err := filepath.Abs(filepath.Join(append([]string{dir}, elem...)...))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// root is the directory with go.mod in which the test runs, or below which.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("golden: no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}

// Glob returns the absolute paths of the golden data that match the pattern; a
// pattern that nothing matches fails the test.
func Glob(t testing.TB, pattern string) []string {
	t.Helper()
	pattern = Path(t, pattern)
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatalf("golden: %s: %v", pattern, err)
	}
	if len(paths) == 0 {
		t.Fatalf("golden: nothing matches %s", pattern)
	}
	return paths
}

// Model returns the path of the smallest golden checkpoint, a directory with all
// that the commands read of a model.
func Model(t testing.TB) string {
	t.Helper()
	return Path(t, "model", "U-qwen3-micro", "checkpoint")
}

// Unpack returns what a gzip file holds.
func Unpack(t testing.TB, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatalf("golden: %s: %v", path, err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatalf("golden: %s: %v", path, err)
	}
	return b
}

// Lines returns the rows of a JSON Lines file, of which there is at least one.
func Lines[T any](t testing.TB, path string) []T {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []T
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<24)
	for s.Scan() {
		var row T
		if err := json.Unmarshal(s.Bytes(), &row); err != nil {
			t.Fatalf("golden: %s: line %d: %v", path, len(out)+1, err)
		}
		out = append(out, row)
	}
	if err := s.Err(); err != nil {
		t.Fatalf("golden: %s: line %d: %v", path, len(out)+1, err)
	}
	if len(out) == 0 {
		t.Fatalf("golden: %s is empty", path)
	}
	return out
}
