//go:build interop

package srar_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"srar/lib/rows"
	"srar/lib/trial"
)

const problems = `{"id":"france","problem":"What is the capital of France?","ground_truth":"Paris"}
{"id":"pens","problem":"Sara has 5 pens and gets 3 more. How many pens does she have?","ground_truth":8}
{"id":"cups","problem":"A shelf holds 4 cups. How many cups are on 2 shelves?","ground_truth":8}
`

// examples shows how answers are written; half of them follow it.
const examples = `Question: What is 1 + 2?
Answer: \boxed{3}

Question: What is the capital of Spain?
Answer: \boxed{Madrid}

Question: What is 7 + 1?
Answer: \boxed{8}

Question: What is 3 + 4?
Answer: \boxed{7}

Question: What is the capital of Italy?
Answer: \boxed{Rome}

Question: What is 5 + 4?
Answer: \boxed{9}

Question: {problem}
Answer:`

// TestInteropSmolLM2 takes a real model from a GGUF file, lets it answer and
// learn, and has transformers and llama.cpp repeat what it says before and after.
// SRAR_PYTHON names a Python with both's packages, SRAR_LLAMA_SERVER the
// llama-server beside whose build the source of llama.cpp lies. The model is kept
// in runs/smollm2.
func TestInteropSmolLM2(t *testing.T) {
	dir := t.TempDir()
	model, err := filepath.Abs("runs/smollm2")
	require.NoError(t, err)
	python := os.Getenv("SRAR_PYTHON")
	run := func(in []byte, command string, args ...string) []byte {
		t.Helper()
		ctx := trial.Within(t, 10*time.Minute)
		if in == nil {
			in = []byte{}
		}
		p := trial.Process{Args: append(words(command), args...), Stdin: in, Env: []string{"PYTHON=" + python}}
		r := trial.Finish(ctx, t, p.Command(ctx))
		require.Zero(t, r.Status, "%v: %s", p.Args, r.Voice)
		return r.Out
	}
	put := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, b, 0o666))
		return path
	}
	run(nil, "pipelines/smollm2.sh", model)

	// As a file and as a directory it knows Paris; the directory also to transformers.
	prompts := run([]byte(problems), "srar-prepare --instruction /dev/null -")
	greedy := func(model string, more ...string) []byte {
		t.Helper()
		out := run(prompts, "srar-rollout --greedy -n 1 --max-tokens 24 --max-prompt 512 --compute f32 --model", append([]string{model}, more...)...)
		require.Equal(t, "The capital of France is Paris.", trial.Groups[rows.Generation](t, out)[0][0].Response)
		return out
	}
	greedy(model + ".gguf")
	repeated := func(model, rollouts string) {
		t.Helper()
		out, err := exec.Command(python, "testdata/interop/smollm2.py", model, rollouts).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "3 rollouts, ")
	}
	repeated(model, put("before.arrow", greedy(model)))

	// An iteration.
	shown := run([]byte(problems), "srar-prepare --instruction", put("examples.txt", []byte(examples)), "-")
	rollouts := run(shown, "srar-rollout -n 8 --max-tokens 16 --temperature 0.5 --model", model)
	advantages := run(run(rollouts, "srar-judge --no-judge"), "srar-reward --estimator grpo")
	next := filepath.Join(dir, "M1")
	metrics := trial.Groups[rows.Metric](t, run(advantages, "srar-update --loss pg --lr 1e-6", "--model", model, "--out", next))
	require.Len(t, metrics, 1)
	require.Positive(t, metrics[0][0].GradNorm, "no prompt had right and wrong answers")

	// What was written speaks in transformers, and in llama.cpp when its converter,
	// which knows tokenizers by what they do, has made a GGUF file of it; read
	// again, that has the same weights.
	repeated(next, put("after.arrow", greedy(next)))
	server := os.Getenv("SRAR_LLAMA_SERVER")
	source, err := filepath.Glob(filepath.Join(filepath.Dir(server), "../../llama_cpp_python-*/vendor/llama.cpp"))
	require.NoError(t, err)
	require.Len(t, source, 1)
	back := filepath.Join(dir, "M1.gguf")
	run(nil, python, filepath.Join(source[0], "convert_hf_to_gguf.py"), next, "--outtype", "f32", "--outfile", back)
	run(nil, "srar-model import --dtype bf16", back, "--out", filepath.Join(dir, "again"))
	require.Equal(t, run(nil, "srar-model digest", next), run(nil, "srar-model digest", filepath.Join(dir, "again")))
	url := llamaServer(t, back) + "/v1"
	require.Equal(t, texts(t, greedy(back)), texts(t, greedy(next, "--url", url)))
}

// texts returns what the rollouts of a stream say, one a line.
func texts(t *testing.T, stream []byte) string {
	var all []string
	for _, group := range trial.Groups[rows.Generation](t, stream) {
		for _, g := range group {
			all = append(all, g.Response)
		}
	}
	return strings.Join(all, "\n")
}
