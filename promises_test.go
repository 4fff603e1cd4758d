package srar_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// promises are what users of other systems have asked for most, each with the
// tests that fail when it is broken. A test or subtest that was written for one
// is named after it.
var promises = []struct {
	name, says string
	tests      []string
}{
	{"J1", "a failed judgement is a state of its row", []string{"TestJ1FailuresAreStates", "TestJ1FailedJudgementIsAState"}},
	{"J2", "it leaves the statistics and the gradient of the rubric", []string{"TestJ2FailedRolloutLeavesStatisticsAndGradient"}},
	{"J3", "it is neither silent nor fatal", []string{"TestJ3PassingErrorsAreMended", "TestJ3TooManyFailuresFailTheRun", "TestJ3RefusedKeyEndsAtOnce"}},
	{"J4", "its class and text are in the row, its counts on standard error", []string{"TestJ4FailuresAreCountedByClass", "TestJ4CacheKeepsNoFailures"}},
	{"J5", "an output budget that was used up is named", []string{"TestJ5UsedUpBudgetIsSaid"}},
	{"J6", "replies, verdicts, tries and tokens are kept", []string{"TestColumns", "TestJ6RetriesAddToTheCost"}},
	{"J7", "concurrency is bounded, waits and limits are kept, nothing is asked twice", []string{"TestJ7ConcurrencyIsBounded", "TestJ7RetryAfterIsWaitedFor", "TestJ7EqualQuestionsAreAskedOnce"}},
	{"J8", "untrusted text moves no verdict, and doing nothing does not score", []string{"TestJ8QuotedTextMovesNoVerdict", "TestJ8UndeterminedIsNoVerdict", "TestJ8DoingNothingDoesNotScore"}},
	{"R1", "any stage runs from any saved artifact", []string{"TestPipeStageByStage"}},
	{"R2", "state is keyed by the directory of the run, never by the clock", []string{"TestPipeThreadsAndRunsGiveTheSameBytes"}},
	{"R3", "killed anywhere, the rerun gives the same bytes", []string{"TestPipeKilled", "TestKilledAtTwentyMoments"}},
	{"R4", "a run goes on with optimizer, step and seed where it was", []string{"TestPipeThreadsAndRunsGiveTheSameBytes"}},
	{"R5", "a run that trained nothing says so", []string{"TestSession"}}, // testdata/script/update.txtar
	{"R6", "a checkpoint is a directory of the usual layout", []string{"TestWrite", "TestGoldenOpen"}},
	{"F1", "groups are filtered by raw accuracy only", []string{"TestFilter/F1"}},
	{"F2", "before they are judged", []string{"TestFilter/F2", "TestGoldenFilter"}},
	{"F3", "what is left out is counted, and generation ends", []string{"TestFilter/F3", "TestKeepClosesTheInput"}},
	{"F4", "groups of equal accuracy are kept on request", []string{"TestFilter/F4"}},
	{"A1", "a reference that cannot be read is a state", []string{"TestA1UnreadableReferenceIsAState", "TestCheck"}},
	{"A2", "wrapping the reference changes nothing", []string{"TestA2WrappingTheReferenceChangesNothing"}},
	{"A3", "both kinds of error are counted on known pairs", []string{"TestA3BothErrorKindsAreCounted"}},
}

// TestEveryPromiseHasItsTests fails when a test of the table is gone, and when
// one is named after a promise without standing there.
func TestEveryPromiseHasItsTests(t *testing.T) {
	tests := map[string]bool{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Test") {
				continue
			}
			tests[fn.Name.Name] = true
			ast.Inspect(fn, func(n ast.Node) bool {
				if s, ok := n.(*ast.BasicLit); ok && subtest.MatchString(s.Value) {
					tests[fn.Name.Name+"/"+s.Value[1:3]] = true
				}
				return true
			})
		}
		return nil
	})
	require.NoError(t, err)
	listed := map[string]bool{}
	for _, p := range promises {
		require.NotEmpty(t, p.tests, p.name)
		for _, name := range p.tests {
			require.True(t, tests[name], "%s, %s: there is no %s", p.name, p.says, name)
			listed[name] = true
		}
	}
	for name := range tests {
		if named.MatchString(name) {
			require.True(t, listed[name], "%s stands for no promise of the table", name)
		}
	}
}

var (
	subtest = regexp.MustCompile(`^"[JRFA][1-9] `)
	named   = regexp.MustCompile(`^Test[JRFA][1-9][A-Z]|/`)
)
