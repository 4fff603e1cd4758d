package srar_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// rooms is the import order. Each room names the rooms it may import; a room
// that is not here may not exist. The three wings (pipe, text, engine) never
// import each other; only commands hold more than one.
var rooms = map[string][]string{
	// pipe wing: rows and streams, no arithmetic, no models
	"ipc":    {},
	"stream": {"ipc"},
	"rows":   {"stream"},
	"pages":  {},
	"table":  {"pages", "stream"},
	"tool":   {"rows", "stream"},
	// of no wing: servers that hold models, for judges and policies alike
	"remote": {},
	// of no wing: functions whose bits are the same on every machine
	"real": {},
	// text wing: rubrics, steps, answers, verdicts
	"rubric": {},
	"steps":  {},
	"expr":   {},
	"answer": {"expr"},
	"judge":  {"remote", "rubric", "steps"},
	"reward": {"rubric", "steps"},
	"score":  {"steps"},
	"arith":  {"rubric", "steps"},
	// engine wing: weights and arithmetic
	"op":      {"real"},
	"token":   {},
	"chat":    {},
	"prompt":  {"chat", "token"},
	"mapped":  {},
	"half":    {},
	"gguf":    {"half", "mapped", "real"},
	"ckpt":    {"gguf", "half", "mapped", "real"},
	"llm":     {"ckpt", "op", "real"},
	"sampler": {"llm", "remote"},
	// for tests
	"golden": {},
	"trial":  {"rows", "stream"},
}

// forTests are rooms that only tests import. Golden data is for the tests of any
// room; trial knows streams and is for those of the commands and of the whole.
var forTests = []string{"golden", "trial"}

// libraries says which rooms and commands may import which modules; what is not
// here nobody may.
var libraries = map[string][]string{
	"github.com/apache/arrow/go/v17":    {"lib/stream"},
	"github.com/klauspost/compress":     {"lib/ipc", "lib/pages", "lib/table"},
	"github.com/parquet-go/parquet-go":  {"lib/pages", "lib/table"},
	"github.com/sashabaranov/go-openai": {"lib/judge"},
	"github.com/dlclark/regexp2/v2":     {"lib/token"},
	"golang.org/x/text/unicode/norm":    {"lib/token"},
	"golang.org/x/text/cases":           {"lib/chat"},
	"golang.org/x/text/language":        {"lib/chat"},
	"github.com/pierrec/lz4/v4":         {"lib/ipc"},
	"github.com/google/flatbuffers":     {"tests"},
	"golang.org/x/sys/cpu":              {"lib/op", "tests"},
	"golang.org/x/sys/unix":             {"lib/op", "lib/mapped", "lib/ckpt", "lib/stream"},
	"golang.org/x/term":                 {"lib/tool"},
	"golang.org/x/time/rate":            {"cmd/srar-oracle"},
	"github.com/stretchr/testify":       {"tests", "lib/trial"},
	"pgregory.net/rapid":                {"tests"},
	"github.com/rogpeppe/go-internal":   {"tests"},
}

func TestImportOrder(t *testing.T) {
	seen := map[string]bool{}
	used := map[string]bool{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); file != "." && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "runs" || name == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir := path.Dir(filepath.ToSlash(file))
		room, inLib := strings.CutPrefix(dir, "lib/")
		if inLib {
			seen[room] = true
			if _, ok := rooms[room]; !ok {
				t.Errorf("%s: room %s is not in the import order", file, room)
			}
		}
		test := strings.HasSuffix(file, "_test.go")
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			switch {
			case imp == "C":
				t.Errorf("%s: cgo", file)
			case strings.HasPrefix(imp, "srar/lib/"):
				target := strings.TrimPrefix(imp, "srar/lib/")
				if slices.Contains(forTests, target) && !test {
					t.Errorf("%s: room %s is for tests only", file, target)
				}
				if test && target == "golden" {
					continue
				}
				if inLib && target != room && !slices.Contains(rooms[room], target) {
					t.Errorf("%s: room %s may not import room %s", file, room, target)
				}
			case strings.HasPrefix(imp, "srar/"):
				t.Errorf("%s: imports the command %s", file, imp)
			case strings.Contains(strings.Split(imp, "/")[0], "."):
				lib := libraryOf(imp)
				used[lib] = true
				users, ok := libraries[lib]
				if !ok || !slices.Contains(users, dir) && !(test && slices.Contains(users, "tests")) {
					t.Errorf("%s: may not import %s", file, imp)
				}
			}
		}
		return nil
	})
	require.NoError(t, err)
	for r := range rooms {
		require.True(t, seen[r], "room %s of the import order does not exist", r)
	}
	for lib := range libraries {
		require.True(t, used[lib], "nobody imports %s: take it out of the table and of go.mod", lib)
	}
}

// libraryOf returns the longest entry of libraries that imp lies in, or imp.
func libraryOf(imp string) string {
	best := ""
	for lib := range libraries {
		if (imp == lib || strings.HasPrefix(imp, lib+"/")) && len(lib) > len(best) {
			best = lib
		}
	}
	if best == "" {
		return imp
	}
	return best
}
