package remote

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const secretKey = "sk-0123456789 secret"

// scripted answers the n-th request with the n-th script and then repeats the
// last one.
type scripted struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
	at       []time.Time
	conns    atomic.Int64
	scripts  []http.HandlerFunc
}

// serve answers through pipes.
func serve(t testing.TB, scripts ...http.HandlerFunc) *scripted {
	s := unstarted(t, listen(), scripts...)
	s.Start()
	return s
}

// serveTCP answers on the network, for what only that does.
func serveTCP(t testing.TB, scripts ...http.HandlerFunc) *scripted {
	s := unstartedTCP(t, scripts...)
	s.Start()
	return s
}

func unstartedTCP(t testing.TB, scripts ...http.HandlerFunc) *scripted {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return unstarted(t, l, scripts...)
}

func unstarted(t testing.TB, l net.Listener, scripts ...http.HandlerFunc) *scripted {
	s := &scripted{scripts: scripts}
	s.Server = &httptest.Server{Listener: l, Config: &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			s.mu.Lock()
			n := len(s.requests)
			s.requests, s.bodies, s.at = append(s.requests, r), append(s.bodies, string(body)), append(s.at, time.Now())
			s.mu.Unlock()
			s.scripts[min(n, len(s.scripts)-1)](w, r)
		}),
		ErrorLog: log.New(io.Discard, "", 0),
		ConnState: func(_ net.Conn, c http.ConnState) {
			if c == http.StateNew {
				s.conns.Add(1)
			}
		},
	}}
	t.Cleanup(s.Close)
	return s
}

func (s *scripted) arrived() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

func status(code int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		io.WriteString(w, body)
	}
}

var fine = status(200, `"fine"`)

func after(d time.Duration, then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(d):
			then(w, r)
		case <-r.Context().Done():
		}
	}
}

func reset(w http.ResponseWriter, _ *http.Request) {
	if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
		if tcp, ok := c.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		c.Close()
	}
}

func trickle(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		io.WriteString(w, " ")
		w.(http.Flusher).Flush()
		time.Sleep(5 * time.Millisecond)
	}
}

// pool makes a pool of the servers with short timeouts.
func pool(t testing.TB, change func(*Config), servers ...*scripted) *Pool {
	cfg := Config{Key: secretKey, KeyFrom: "$SOME_KEY", Concurrency: 8, Total: 400 * time.Millisecond}
	for _, s := range servers {
		cfg.URLs = append(cfg.URLs, s.URL+"/v1/")
	}
	if change != nil {
		change(&cfg)
	}
	p, err := New(cfg)
	require.NoError(t, err)
	throughPipes(t, p, servers...)
	return p
}

var hello = Request{Path: "/chat/completions", Body: func(int) []byte { return []byte(`"hello"`) }}

func post(p *Pool) (*Response, error) { return p.Post(context.Background(), hello) }

func TestPost(t *testing.T) {
	timeless(t, func(t *testing.T) {
		s := serve(t, fine)
		p := pool(t, nil, s)
		r, err := post(p)
		require.NoError(t, err)
		require.Equal(t, &Response{Body: []byte(`"fine"`), Server: 0, Tries: 1}, r)
		require.Equal(t, "/v1/chat/completions", s.requests[0].URL.Path)
		require.Equal(t, "Bearer "+secretKey, s.requests[0].Header.Get("Authorization"))
		require.Equal(t, "application/json", s.requests[0].Header.Get("Content-Type"))
		require.Equal(t, `"hello"`, s.bodies[0])

		bare := pool(t, func(c *Config) { c.Key = "" }, s)
		for range 20 {
			_, err = post(bare)
			require.NoError(t, err)
		}
		require.Empty(t, s.requests[1].Header["Authorization"])
		require.EqualValues(t, 2, s.conns.Load(), "connections are used again")
	})
}

// What becomes of each kind of trouble, on the only server there is.
func TestClasses(t *testing.T) {
	now := []string{"Retry-After", "0"}
	for name, c := range map[string]struct {
		scripts []http.HandlerFunc
		class   string // empty: a response in the end
		detail  string // part of it
		tries   int
	}{
		"at once":               {[]http.HandlerFunc{fine}, "", "", 1},
		"408":                   {[]http.HandlerFunc{status(408, "", now...), fine}, "", "", 2},
		"429":                   {[]http.HandlerFunc{status(429, `{"error":{"message":"slow"}}`, now...), fine}, "", "", 2},
		"503, html":             {[]http.HandlerFunc{status(503, "<html>busy</html>", now...)}, "http 503", "<html>busy</html>", 3},
		"500, 502, fine":        {[]http.HandlerFunc{status(500, "", now...), status(502, "", now...), fine}, "", "", 3},
		"500, error as text":    {[]http.HandlerFunc{status(500, `{"error":"broken"}`, now...)}, "http 500", "broken", 3},
		"500, flat":             {[]http.HandlerFunc{status(500, `{"object":"error","message":"flat"}`, now...)}, "http 500", "flat", 3},
		"500, detail":           {[]http.HandlerFunc{status(500, `{"detail":"of FastAPI"}`, now...)}, "http 500", "of FastAPI", 3},
		"500, nothing":          {[]http.HandlerFunc{status(500, ``, now...)}, "http 500", "internal server error", 3},
		"599, nothing":          {[]http.HandlerFunc{status(599, ``, now...)}, "http 599", "no text", 3},
		"400":                   {[]http.HandlerFunc{status(400, `{"error":{"message":"bad"}}`)}, "http 400", "bad", 1},
		"302":                   {[]http.HandlerFunc{status(302, ``, "Location", "/elsewhere")}, "http 302", "found", 1},
		"asks for an hour":      {[]http.HandlerFunc{status(429, ``, "Retry-After", "3600")}, "http 429", "1h0m0s", 1},
		"reset":                 {[]http.HandlerFunc{reset, fine}, "", "", 2},
		"reset always":          {[]http.HandlerFunc{reset}, ClassNetwork, "", 3},
		"cut":                   {[]http.HandlerFunc{status(200, `{`, "Content-Length", "1000")}, ClassNetwork, "closed before the end", 3},
		"silent":                {[]http.HandlerFunc{after(time.Hour, fine)}, ClassTimeout, "no complete answer within 400ms", 3},
		"trickle":               {[]http.HandlerFunc{trickle, fine}, "", "", 2},
		"too large":             {[]http.HandlerFunc{status(200, strings.Repeat("x", 1001)), fine}, "", "", 2},
		"too large always":      {[]http.HandlerFunc{status(200, strings.Repeat("x", 1001))}, ClassResponse, "exceeds", 3},
		"as large as may be":    {[]http.HandlerFunc{status(200, strings.Repeat("x", 1000))}, "", "", 1},
		"not what was asked":    {[]http.HandlerFunc{status(200, "no"), fine}, "", "", 2},
		"never what was asked":  {[]http.HandlerFunc{status(200, "no")}, ClassResponse, "it says no", 3},
		"created":               {[]http.HandlerFunc{status(201, "1")}, "", "", 1},
		"a page of another use": {[]http.HandlerFunc{status(418, "teapot")}, "http 418", "teapot", 1},
	} {
		t.Run(name, func(t *testing.T) {
			timeless(t, func(t *testing.T) {
				s := serve(t, c.scripts...)
				p := pool(t, func(cfg *Config) { cfg.MaxBody = 1000 }, s)
				r := hello
				r.Check = func(r *Response) error {
					if string(r.Body) == "no" {
						return errors.New("it says no")
					}
					return nil
				}
				resp, err := p.Post(context.Background(), r)
				if c.class == "" {
					require.NoError(t, err)
					require.Equal(t, c.tries, resp.Tries)
				} else {
					var e *Error
					require.ErrorAs(t, err, &e)
					require.Equal(t, c.class, e.Class)
					require.Contains(t, e.Detail, c.detail)
					require.NotEmpty(t, e.Detail)
					require.Equal(t, c.tries, e.Tries)
				}
				require.Equal(t, c.tries, s.arrived(), "tries are requests that arrived")
				st := p.Stats()
				require.EqualValues(t, c.tries, st.Requests)
				retries := int64(0)
				for _, n := range st.Retries {
					retries += n
				}
				require.EqualValues(t, c.tries-1, retries)
				require.Zero(t, st.InFlight)
			})
		})
	}
}

// Trouble that only the network makes.
func TestNetworkTrouble(t *testing.T) {
	gone := serveTCP(t, fine)
	gone.Close()
	for want, s := range map[string]*scripted{"connection refused": gone, "connection reset": serveTCP(t, reset)} {
		_, err := post(pool(t, func(c *Config) { c.Tries, c.Total = 1, time.Minute }, s))
		require.EqualError(t, err, "network: "+want)
	}
}

// However slowly servers take connections, there are no more of them than places.
func TestConnectionsAreUsedAgain(t *testing.T) {
	timeless(t, func(t *testing.T) {
		s := serve(t, after(time.Millisecond, fine))
		p := pool(t, nil, s)
		transport := p.client.Transport.(*http.Transport)
		dial := transport.DialContext
		transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(10 * time.Millisecond)
			return dial(ctx, network, addr)
		}
		_, err := post(p)
		require.NoError(t, err)
		for _, err := range many(p, 100) {
			require.NoError(t, err)
		}
		require.EqualValues(t, 8, s.conns.Load())
	})
}

func TestTriesOfOneRequest(t *testing.T) {
	timeless(t, func(t *testing.T) {
		s := serve(t, status(500, "", "Retry-After", "0"))
		r := hello
		r.Tries = 2
		_, err := pool(t, nil, s).Post(context.Background(), r)
		require.ErrorContains(t, err, "http 500")
		require.Equal(t, 2, s.arrived())
	})
}

// The caller may know from the text that another try is of no use.
func TestStop(t *testing.T) {
	timeless(t, func(t *testing.T) {
		s := serve(t, status(500, "later", "Retry-After", "0"), status(500, "never"))
		r := hello
		r.Stop = func(e *Error) bool { return e.Detail == "never" }
		_, err := pool(t, nil, s).Post(context.Background(), r)
		require.EqualError(t, err, "http 500: never")
		require.Equal(t, 2, s.arrived())
	})
}

func TestJ7RetryAfterIsWaitedFor(t *testing.T) {
	timeless(t, func(t *testing.T) {
		s := serve(t, status(429, "", "Retry-After", "1"), fine)
		_, err := post(pool(t, nil, s))
		require.NoError(t, err)
		require.Equal(t, time.Second, s.at[1].Sub(s.at[0]))
	})

	now := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	for h, want := range map[string]time.Duration{
		"": -1, "x": -1, "-1": -1, "0": 0, " 7 ": 7 * time.Second, "Wed, 01 May 2024 12:00:05 GMT": 5 * time.Second, "Wed, 01 May 2024 11:00:00 GMT": 0,
	} {
		require.Equal(t, want, retryAfter(h, now), h)
	}
}

func TestBackoff(t *testing.T) {
	for n := 1; n < 100; n++ {
		want := min(250*time.Millisecond<<min(n-1, 20), 30*time.Second)
		got := backoff(n)
		require.True(t, want/2 <= got && got < want/2+want, "%d: %v", n, got)
	}
}

// Each timeout says which it is.
func TestTimeouts(t *testing.T) {
	timeless(t, func(t *testing.T) {
		l := listen()
		deaf := unstarted(t, l, fine) // takes connections and says nothing
		go l.Accept()
		handshake := func(c *Config) {
			c.URLs, c.Connect, c.Tries = []string{"https://" + l.Addr().String()}, 50*time.Millisecond, 1
		}
		for want, p := range map[string]*Pool{
			"no connection within 50ms":      pool(t, handshake, deaf),
			"no answer began within 60ms":    pool(t, func(c *Config) { c.FirstByte, c.Tries = 60*time.Millisecond, 1 }, serve(t, after(time.Hour, fine))),
			"no complete answer within 70ms": pool(t, func(c *Config) { c.FirstByte, c.Total, c.Tries = 60*time.Millisecond, 70*time.Millisecond, 1 }, serve(t, trickle)),
		} {
			_, err := post(p)
			var e *Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, &Error{Class: ClassTimeout, Detail: want, Status: e.Status, Tries: 1, after: -1}, e)
		}
	})
}

// The key comes back from the server in every way; it is nowhere in what we give.
func TestKeyIsScrubbed(t *testing.T) {
	timeless(t, func(t *testing.T) {
		quoted, err := json.Marshal(secretKey)
		require.NoError(t, err)
		for _, script := range []http.HandlerFunc{
			status(200, "your key is "+secretKey),
			status(200, "your key is "+strings.ReplaceAll(secretKey, " ", "+")),
			status(500, "Bearer "+secretKey, "Retry-After", "0"),
			status(400, `{"error":{"message":`+string(quoted)+`}}`),
			status(400, `{"error":{"message":"sk-0123456789\u0020secret"}}`), // whole only after decoding
			status(400, `{"error":{"message":"`+strings.Repeat("x", 190)+`sk-0123456789\u0020secret"}}`),
			status(401, secretKey),
			status(404, strings.Repeat("x", 190)+secretKey), // an excerpt does not show its beginning
		} {
			r, err := post(pool(t, nil, serve(t, script)))
			var e *Error
			if errors.As(err, &e) {
				r = &Response{Body: append(e.Body[:0:0], err.Error()...)}
			}
			for _, part := range []string{"sk-0123", "secret"} {
				require.NotContains(t, string(r.Body), part)
			}
		}
	})
}

func TestPostEndsWithItsContext(t *testing.T) {
	timeless(t, func(t *testing.T) {
		for name, s := range map[string]*scripted{
			"in flight": serve(t, after(time.Hour, fine)), "in a pause": serve(t, status(500, "", "Retry-After", "600")), "in doubt": serve(t, status(404, "")),
		} {
			p := pool(t, func(c *Config) { c.Total = time.Hour; c.Concurrency = 1 }, s)
			ctx, cancel := context.WithCancelCause(context.Background())
			stop := errors.New("enough")
			errs := make(chan error)
			for range 2 { // with "in flight" the second waits for a place
				go func() {
					_, err := p.Post(ctx, hello)
					errs <- err
				}()
			}
			time.Sleep(50 * time.Millisecond)
			begun := time.Now()
			cancel(stop)
			for range 2 {
				require.ErrorIs(t, <-errs, stop, name)
			}
			require.LessOrEqual(t, time.Since(begun), 10*time.Millisecond, "at once")
			require.Zero(t, p.Stats().InFlight)
		}
	})
}

// A response that came whole was paid for: it is returned though the run was
// interrupted meanwhile.
func TestWholeResponseIsKept(t *testing.T) {
	timeless(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		r := hello
		r.Check = func(*Response) error { cancel(); return nil }
		_, err := pool(t, nil, serve(t, fine)).Post(ctx, r)
		require.NoError(t, err)
	})
}

func TestNewChecks(t *testing.T) {
	for name, f := range map[string]func(*Config){
		"no address": func(c *Config) { c.URLs = nil }, "empty": func(c *Config) { c.URLs = []string{""} }, "ftp": func(c *Config) { c.URLs = []string{"ftp://h"} },
		"no host": func(c *Config) { c.URLs = []string{"http:///v1"} }, "not a URL": func(c *Config) { c.URLs = []string{"http://a b\x00"} },
		"no scheme": func(c *Config) { c.URLs = []string{"http://h/v1", "localhost:8000/v1"} }, "tries": func(c *Config) { c.Tries = -1 },
		"concurrency": func(c *Config) { c.Concurrency = -1 }, "time": func(c *Config) { c.Total = -1 }, "body": func(c *Config) { c.MaxBody = -1 },
		"no such file": func(c *Config) { c.CAFile = filepath.Join(t.TempDir(), "none") }, "no certificate": func(c *Config) { c.CAFile = "remote.go" },
	} {
		cfg := Config{URLs: []string{"http://h/v1"}}
		f(&cfg)
		_, err := New(cfg)
		require.Error(t, err, name)
	}
}

// TLS is verified. A server that we do not trust, or that does not speak it,
// ends everything at once and says what to do.
func TestTLS(t *testing.T) {
	s := unstartedTCP(t, fine)
	s.StartTLS()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o666))
	_, err := post(pool(t, func(c *Config) { c.CAFile, c.Total = ca, time.Minute }, s))
	require.NoError(t, err)

	plain := serveTCP(t, fine)
	foreign := strings.Replace(s.URL, "127.0.0.1", "localhost", 1) // a name that is not in the certificate
	for want, cfg := range map[string]Config{
		"signed by an unknown authority": {URLs: []string{s.URL}},
		"for another host":               {URLs: []string{foreign}, CAFile: ca},
		"does not speak TLS as we do":    {URLs: []string{strings.Replace(plain.URL, "http:", "https:", 1)}},
	} {
		p, err := New(cfg)
		require.NoError(t, err)
		_, err = post(p)
		var r *Refused
		require.ErrorAs(t, err, &r, want)
		require.Contains(t, r.Error(), want)
		require.Contains(t, r.Hint(), "--ca")
		require.EqualValues(t, 1, p.Stats().Requests)
	}
}

func TestFlags(t *testing.T) {
	t.Setenv("A_URL", "http://h/v1, http://i/v1")
	t.Setenv("A_KEY", "k")
	parse := func(args ...string) (Config, error) {
		f, set := &Flags{Who: "friend", EnvURL: "A_URL", EnvKey: "A_KEY"}, flag.NewFlagSet("", flag.ContinueOnError)
		f.Register(set)
		var names []string
		set.VisitAll(func(g *flag.Flag) {
			names = append(names, g.Name)
			require.Contains(t, FlagUsage+"--url", "--"+g.Name)
		})
		require.ElementsMatch(t, FlagNames, names)
		require.NoError(t, set.Parse(args))
		return f.Config()
	}
	c, err := parse()
	require.NoError(t, err)
	require.Equal(t, Config{URLs: []string{"http://h/v1", "http://i/v1"}, Key: "k", KeyFrom: "$A_KEY", Concurrency: 64, Tries: 3, Connect: 10 * time.Second, Total: 2 * time.Minute}, c)
	c, err = parse("--url", "http://j/v1", "--ca", "f", "--first-byte-timeout", "1s")
	require.NoError(t, err)
	require.Equal(t, []string{"http://j/v1"}, c.URLs)
	require.Equal(t, "f", c.CAFile)
	require.Equal(t, time.Second, c.FirstByte)
	for _, args := range [][]string{
		{"--tries", "0"}, {"--concurrency", "0"}, {"--timeout", "0s"}, {"--connect-timeout", "0s"}, {"--first-byte-timeout", "-1s"}, {"--url", ","},
	} {
		_, err := parse(args...)
		var u *UsageError
		require.ErrorAs(t, err, &u)
		require.Equal(t, 2, u.ExitCode())
	}
	t.Setenv("A_URL", "")
	_, err = parse()
	require.ErrorContains(t, err, "no address of a friend")
}
