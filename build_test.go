// Package srar_test holds the tests of the whole: the commands as processes,
// the pipes between them, and the order of the rooms.
package srar_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/trial"
)

// bin is the directory with the commands as `make` builds them.
var bin string

func TestMain(m *testing.M) {
	bin = trial.Build("./srar-rollout", "./srar-judge", "./srar-reward", "./srar-update", "./srar-eval", "./cmd/...")
	code := m.Run()
	os.RemoveAll(bin)
	if shared.oracle != nil {
		shared.oracle.Close()
	}
	if shared.dir != "" {
		os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

func words(s string) []string { return strings.Fields(s) }

// fixture is a directory with a small policy and one artifact of each kind.
type fixture struct {
	dir    string
	oracle *trial.Oracle
}

var (
	fixtureOnce sync.Once
	shared      fixture
)

// small returns the fixture, which tests share and do not change.
func small(t testing.TB) fixture {
	t.Helper()
	fixtureOnce.Do(func() {
		dir, err := os.MkdirTemp("", "srar-fixture-")
		require.NoError(t, err)
		shared = fixture{dir: dir}
		shared.oracle = trial.Serve(t, "--quiet")
		run := func(args string, in []byte) []byte { return shared.process(args, in).Must(t) }
		run("srar-model init --out M0 --seed 1 --hidden 16 --layers 2 --heads 2 --kv-heads 1 --head-dim 8 --intermediate 32", nil)
		problems := run("srar-arith --split train --level small --count 6 --solutions", nil)
		prompts := run("srar-prepare --instruction /dev/null - --save prompts.arrow", problems)
		run("srar-encode --model M0 --save encoded.arrow", prompts)
		rollouts := run("srar-rollout --model M0 -n 3 --max-tokens 24 --save rollouts.arrow", prompts)
		verdicts := run("srar-judge --save verdicts.arrow", rollouts)
		advantages := run("srar-reward --save advantages.arrow", verdicts)
		run("srar-update --model M0 --out M1 --lr 1e-3 --save metrics.arrow", advantages)
		run("srar-eval --save scores.arrow", verdicts)
	})
	require.NotNil(t, shared.oracle, "the fixture could not be made")
	return shared
}

// process is a command in the directory of the fixture, judged by its oracle.
func (f fixture) process(args string, in []byte, more ...string) trial.Process {
	return trial.Process{Args: append(words(args), more...), Stdin: in, Dir: f.dir, Env: f.env()}
}

func (f fixture) env() []string {
	return []string{"JUDGE_URL=" + f.oracle.URL, "JUDGE_MODEL=oracle"}
}

func (f fixture) read(t testing.TB, name string) []byte {
	t.Helper()
	return trial.File(t, filepath.Join(f.dir, name))
}
