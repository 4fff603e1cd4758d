package main

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"srar/lib/judge"
	"srar/lib/rows"
	"srar/lib/stream"
	"srar/lib/trial"
)

// Two servers share the work; when one breaks the other does all of it.
func TestSeveralServers(t *testing.T) {
	one, two := answering(t, never), answering(t, never)
	got := flat(must(t, "", mixed(t, 30), "--url", one.URL+"/v1,"+two.URL+"/v1", "--judge-model", "m", "--concurrency", "4"))
	require.Len(t, got, 60)
	require.Equal(t, 60, one.requests()+two.requests())
	require.Positive(t, one.requests())
	require.Positive(t, two.requests())

	broken := serve(t, func(string, int) action { return action{Reset: true} })
	got = flat(must(t, "", mixed(t, 30), "--url", broken.URL+"/v1,"+two.URL+"/v1", "--judge-model", "m", "--concurrency", "4", "--tries", "2"))
	for _, r := range got {
		require.Equal(t, "ok", r.JudgeStatus)
	}
	require.LessOrEqual(t, broken.requests(), 16, "it rests, longer each time")
}

// secure makes s speak TLS and returns a file with its certificate.
func secure(t testing.TB, h http.Handler) (url, ca string) {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{}
	s.StartTLS()
	t.Cleanup(s.Close)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o666))
	return s.URL, ca
}

// TLS is verified: a private authority needs --ca, and without it the command
// ends at once and says so.
func TestPrivateAuthority(t *testing.T) {
	s := answering(t, never)
	url, ca := secure(t, s)
	must(t, url, mixed(t, 1), "--ca", ca)
	before := s.requests()
	r := run(t, url, mixed(t, 20), "--max-failure-rate", "1")
	require.Equal(t, 1, r.Status)
	require.Contains(t, r.Voice, "signed by an unknown authority")
	require.Contains(t, r.Voice, "hint: ")
	require.Contains(t, r.Voice, "--ca")
	require.Equal(t, before, s.requests())
}

// What every question would meet ends the command, and says what to do.
func TestRefusedAtOnce(t *testing.T) {
	for code, hint := range map[int]string{401: "$JUDGE_API_KEY", 403: "$JUDGE_API_KEY", 404: "the name of the model"} {
		s := serve(t, func(string, int) action { return action{Status: code} })
		r := run(t, s.URL, mixed(t, 50), "--max-failure-rate", "1", "--concurrency", "4")
		require.Equal(t, 1, r.Status)
		require.Contains(t, r.Voice, fmt.Sprintf("http %d", code))
		require.Regexp(t, "hint: .*"+strings.ReplaceAll(hint, "$", `\$`), r.Voice)
		require.LessOrEqual(t, s.requests(), 8)
	}
}

// However long a solution is, the judge sees all of it.
func TestLongSolutionIsSentWhole(t *testing.T) {
	s := answering(t, never)
	long := rollout(0, 0, strings.Repeat("a line of it\n", 200_000)+"the tail")
	got := flat(must(t, s.URL, streamOf(t, &rows.Rollouts, []rows.Rollout{long})))
	require.Equal(t, "ok", got[0].JudgeStatus)
	require.Contains(t, s.texts[0], long.Response[len("### Step 1:"):])
}

// Proxies are those of the environment.
func TestProxy(t *testing.T) {
	s := answering(t, never)
	var through atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Host == "judge.invalid" {
			through.Add(1)
		}
		s.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	p := process("http://judge.invalid", mixed(t, 2))
	p.Env = append(p.Env, "HTTP_PROXY="+proxy.URL, "http_proxy="+proxy.URL, "NO_PROXY=", "no_proxy=")
	p.Must(t)
	require.EqualValues(t, 4, through.Load())
}

// A dead judge ends the command long before all rows have failed, and what was
// paid for until then is in the cache.
func TestDeadJudge(t *testing.T) {
	var dead atomic.Bool
	var served atomic.Int64
	s := serve(t, func(string, int) action {
		if served.Add(1) > 20 {
			dead.Store(true)
			return action{Status: 502}
		}
		return says(`[{"id": 1, "satisfied": true, "step": 1}, {"id": 2, "satisfied": false, "step": -1}]`)
	})
	dir := filepath.Join(t.TempDir(), "c")
	r := run(t, s.URL, mixed(t, 1000), "--cache", dir, "--concurrency", "8", "--tries", "1")
	require.Equal(t, 1, r.Status)
	require.True(t, trial.Unfinished(r.Out))
	require.Regexp(t, `the judge does not work: the last 32 judgements failed \(http 502 \d+\)\n`, r.Voice)
	// An answer that takes long to be kept begins the count of failures anew.
	require.Less(t, s.requests(), 2000/4)
	cache, err := judge.OpenCache(dir)
	require.NoError(t, err)
	kept, err := cache.Stats()
	require.NoError(t, err)
	require.EqualValues(t, 20, kept.Entries)
}

// Ctrl-C ends the command, though hundreds of requests hang.
func TestInterruptedWhileAllHangs(t *testing.T) {
	s := serve(t, func(string, int) action { return action{Delay: forever, present: true} })
	cmd := command(t, s.URL, mixed(t, 400), "--concurrency", "256")
	var voice bytes.Buffer
	cmd.Stderr = &voice
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool { return s.requests() == 256 }, time.Minute, 5*time.Millisecond)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.Error(t, cmd.Wait())
	require.Equal(t, 130, cmd.ProcessState.ExitCode())
}

// A slow judge slows the producer down: rows that nobody can work on are not
// read.
func TestBackPressure(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, func(string, int) action {
		<-release
		return says(`[{"id": 1, "satisfied": true, "step": 1}, {"id": 2, "satisfied": false, "step": -1}]`)
	})
	cmd := command(t, s.URL, nil, "--concurrency", "2")
	stdin, stdout := piped(t, cmd)
	in := mixed(t, 1000)
	var written atomic.Int64
	go func() {
		defer stdin.Close()
		for len(in) > 0 {
			n, err := stdin.Write(in[:min(len(in), 1<<12)])
			if err != nil {
				return
			}
			written.Add(int64(n))
			in = in[n:]
		}
	}()
	require.Eventually(t, func() bool { return s.requests() == 2 }, time.Minute, time.Millisecond)
	time.Sleep(300 * time.Millisecond)
	held := written.Load()
	require.Less(t, held, int64(len(mixed(t, 1000)))/4)
	close(release)
	r := stream.NewReader(stdout, "test", stream.Limits{})
	n := 0
	for ; ; n++ {
		if _, err := r.Next(); err != nil {
			require.ErrorIs(t, err, io.EOF)
			break
		}
	}
	require.Equal(t, 1000, n)
	require.NoError(t, cmd.Wait())
}

// The key is in no artifact, message, file or argument, whatever the server makes
// of it.
func TestKeyAppearsNowhere(t *testing.T) {
	echo := "the key " + secretKey
	quoted := `{"error": {"message": "` + echo + `"}}`
	body := func(s string) *string { return &s }
	for name, a := range map[string]action{
		"reply":            says(echo),
		"reply with model": {Body: body(`{"model": "` + secretKey + `", "choices": [{"message": {"content": "[{\"id\": 1, \"satisfied\": true, \"step\": 1}, {\"id\": 2, \"satisfied\": false, \"step\": -1}] ` + echo + `"}}]}`)},
		"escaped":          {Body: body(`{"choices": [{"message": {"content": "[{\"id\": 1, \"satisfied\": true, \"step\": 1}, {\"id\": 2, \"satisfied\": false, \"step\": -1}] \u0073` + secretKey[1:] + `"}}]}`)},
		"no choices":       {Body: body(`{"choices": [], "note": "` + echo + `"}`)},
		"no JSON":          {Body: body(echo)},
		"400":              {Status: 400, Body: &quoted},
		"too long":         {Status: 400, Body: body(`{"error": {"message": "maximum context length ` + echo + `"}}`)},
		"no such format":   {Status: 400, Body: body(`{"error": {"message": "response_format? ` + echo + `"}}`)},
		"401":              {Status: 401, Body: &quoted},
		"403":              {Status: 403, Body: &quoted},
		"404":              {Status: 404, Body: &quoted},
		"429":              {Status: 429, Body: &quoted, Headers: map[string]string{"Retry-After": "0"}},
		"500":              {Status: 500, Body: &quoted},
		"redirect":         {Status: 302, Headers: map[string]string{"Location": "/" + secretKey}},
		"reset":            {Reset: true},
		"cut":              {Short: true, Body: &quoted},
		"slow":             {Delay: forever, Body: &quoted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(string, int) action { return a })
			dir := t.TempDir()
			timeout := "1m"
			if name == "slow" {
				timeout = "1s"
			}
			for _, flags := range [][]string{{"--max-failure-rate", "1"}, {"--log", "json"}} {
				flags = append(flags, "--tries", "2", "--timeout", timeout, "--cache", filepath.Join(dir, "c"), "--save", filepath.Join(dir, "save.arrow"))
				p := process(s.URL, mixed(t, 1), flags...)
				require.NotContains(t, strings.Join(p.Args, " "), secretKey)
				r := p.Run(t)
				require.NotContains(t, string(r.Out), secretKey)
				require.NotContains(t, r.Voice, secretKey)
			}
			require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					require.NotContains(t, string(trial.File(t, path)), secretKey)
				}
				return err
			}))
			require.Positive(t, s.requests())
		})
	}
}
