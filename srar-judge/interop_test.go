//go:build interop

package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"srar/lib/rows"
)

// TestInteropJudge asks a real model on a real server, SmolLM2-135M-Instruct on
// llama.cpp's: requests are taken, JSON schemas are kept to, and a question that
// does not fit is known as such. SRAR_LLAMA_SERVER names llama-server; the model is
// the one that pipelines/smollm2.sh leaves in runs.
func TestInteropJudge(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	require.NoError(t, l.Close())
	server := exec.Command(os.Getenv("SRAR_LLAMA_SERVER"), "-m", "../runs/smollm2.gguf", "-c", "2048", "-np", "1", "--host", "127.0.0.1", "--port", port)
	var voice bytes.Buffer
	server.Stdout, server.Stderr = &voice, &voice
	require.NoError(t, server.Start())
	defer func() {
		server.Process.Kill()
		server.Wait()
		if t.Failed() {
			t.Logf("the server: %s", &voice)
		}
	}()
	url := "http://127.0.0.1:" + port
	require.Eventually(t, func() bool {
		resp, err := http.Get(url + "/health")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	}, 2*time.Minute, 200*time.Millisecond)

	long := rollout(0, 1, strings.Repeat("2+2=4 ", 2000)+`\boxed{4}`)
	in := streamOf(t, &rows.Rollouts, []rows.Rollout{rollout(0, 0, `2+2=4, so \boxed{4}`), long})
	got := flat(must(t, url, in, "--concurrency", "2", "--tries", "1", "--timeout", "10m"))
	require.Equal(t, "ok", got[0].JudgeStatus, "%v", got[0].JudgeError)
	require.Len(t, got[0].Verdicts, 2)
	require.Positive(t, *got[0].JudgePromptTokens)
	require.Equal(t, "too_long", got[1].JudgeStatus)
}
