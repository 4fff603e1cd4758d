//go:build interop

package srar_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"srar/lib/rows"
	"srar/lib/trial"
)

// llamaServer starts the llama-server that SRAR_LLAMA_SERVER names with a GGUF
// file, and returns its address once it answers.
func llamaServer(t *testing.T, gguf string) string {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := free.Addr().(*net.TCPAddr).Port
	require.NoError(t, free.Close())
	ctx := trial.Within(t, 5*time.Minute)
	c := exec.CommandContext(ctx, os.Getenv("SRAR_LLAMA_SERVER"), "-m", gguf, "--host", "127.0.0.1", "--port", fmt.Sprint(port), "-c", "4096", "-np", "4", "-t", "1")
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	c.Stdout, c.Stderr = log, log
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
		log.Close()
	})
	address := fmt.Sprintf("http://127.0.0.1:%d", port)
	require.Eventually(t, func() bool {
		resp, err := http.Get(address + "/health")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		io.Copy(io.Discard, resp.Body)
		return resp.StatusCode == http.StatusOK
	}, time.Minute, 50*time.Millisecond, "%s", trial.File(t, log.Name()))
	return address
}

// TestInteropLlamaServer lets llama.cpp sample, and compares with the own engine.
// SRAR_PYTHON names a Python with gguf and safetensors.
func TestInteropLlamaServer(t *testing.T) {
	f := small(t)
	gguf := filepath.Join(t.TempDir(), "policy.gguf")
	out, err := exec.Command(os.Getenv("SRAR_PYTHON"), "testdata/interop/to_gguf.py", filepath.Join(f.dir, "M0"), gguf).CombinedOutput()
	require.NoError(t, err, "%s", out)
	url := llamaServer(t, gguf) + "/v1"
	prompts := f.read(t, "prompts.arrow")
	const args = "srar-rollout --model M0 -n 3 --max-tokens 24 --max-prompt 512 "

	// The tokens of the own engine, and its numbers to float32 sums in another order.
	own := trial.Groups[rows.Generation](t, f.process(args+"--greedy", prompts).Must(t))
	r := f.process(args+"--greedy --check-policy --url "+url, prompts).Run(t)
	require.Zero(t, r.Status, r.Voice)
	require.Contains(t, r.Voice, `policy.gguf"`)
	known := 0
	for i, group := range trial.Groups[rows.Generation](t, r.Out) {
		for k, g := range group {
			want := own[i][k]
			if len(g.Logprobs) > 0 {
				require.InDeltaSlice(t, want.Logprobs, g.Logprobs, 2e-3)
				known++
			}
			g.Logprobs = want.Logprobs
			require.Equal(t, want, g)
		}
	}
	require.Positive(t, known)

	// Raw log-probabilities are right under truncation, and wrong at another
	// temperature; srar-logprob has the numbers of the server.
	cut := f.process(args+"--top-p 0.9 --repetition-penalty 1.1 --seed 3 --url "+url, prompts).Must(t)
	scored := trial.Groups[rows.Generation](t, f.process("srar-logprob --model M0", cut).Must(t))
	known = 0
	for i, group := range trial.Groups[rows.Generation](t, cut) {
		for k, g := range group {
			if len(g.Logprobs) > 0 {
				require.InDeltaSlice(t, scored[i][k].Logprobs, g.Logprobs, 2e-3)
				known++
			}
		}
	}
	require.Positive(t, known)
	r = f.process(args+"--temperature 0.7 --url "+url, prompts).Run(t)
	require.Zero(t, r.Status, r.Voice)
	require.Contains(t, r.Voice, "the servers give those of softmax(logits); srar-logprob adds them")
	require.Empty(t, trial.Groups[rows.Generation](t, r.Out)[0][0].Logprobs)

	// Another policy is found out.
	other := filepath.Join(t.TempDir(), "M")
	f.process("srar-model init --out "+other+" --seed 2 --hidden 16 --layers 2 --heads 2 --kv-heads 1 --head-dim 8 --intermediate 32", nil).Must(t)
	r = f.process("srar-rollout --model "+other+" --max-tokens 24 --max-prompt 512 --check-policy --url "+url, prompts).Run(t)
	require.Equal(t, 1, r.Status)
	require.Contains(t, r.Voice, "the server's policy is not --model")
}
