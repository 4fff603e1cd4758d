// Package remote sends requests to OpenAI-compatible servers: many at a time,
// to one server or to several that serve the same model.
//
// [Pool.Post] is one logical request. It waits for a free place, picks the
// server with the most room, sends, and sends again where that helps: after 408,
// 429 and 5xx, after a timeout or trouble of the network, and after a response
// that the caller does not take. Pauses double, are jittered, and are as long as
// Retry-After says. Where another server is well the request goes there at once,
// and the broken one rests. Places adapt: half of them are taken away when a
// server is overloaded (429, 503, timeouts in a row), and they come back with
// success.
//
// [InOrder] keeps the requests of many groups under way and hands the groups on in
// the order they came.
//
// What fails is told apart: [Error] is the end of one request, [Refused] that
// of all, since no server lets us in. The key is sent to every server and
// appears nowhere else: wherever a server repeats it, it is replaced.
//
// The package knows neither judges nor policies; proxies come from the usual
// environment ($HTTPS_PROXY, $HTTP_PROXY, $NO_PROXY).
package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Config says how to reach the servers. Of the fields only URLs is needed.
type Config struct {
	URLs        []string      // base addresses, such as http://127.0.0.1:8000/v1
	Key         string        // bearer token for all of them; empty: none is sent
	KeyFrom     string        // where users set the key ("$JUDGE_API_KEY"), for hints
	CAFile      string        // PEM certificates that are trusted beside the system's
	Concurrency int           // most requests in flight; 0: 64
	Tries       int           // most exchanges for one request; 0: 3
	Connect     time.Duration // to reach a server, TLS included; 0: 10 s
	FirstByte   time.Duration // from the request to the first byte of the response; 0: Total
	Total       time.Duration // of one exchange, from the first byte sent to the last one read; 0: 120 s
	MaxBody     int64         // largest response in bytes; 0: 8 MiB
}

// Pool sends requests to the servers of a Config. It may be used by many
// goroutines.
type Pool struct {
	cfg      Config
	client   *http.Client
	scrubber scrubber
	board
}

// New checks cfg and makes a pool. Nothing is sent.
func New(cfg Config) (*Pool, error) {
	setDefaults(&cfg)
	p := &Pool{cfg: cfg, scrubber: newScrubber(cfg.Key)}
	p.board.most = cfg.Concurrency
	p.board.pass = pass{cfg.Key != "", cfg.KeyFrom}
	p.stats.retries = map[string]int64{}
	for _, base := range cfg.URLs {
		u, err := url.Parse(base)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, errors.New("the address is no http or https URL")
		}
		p.servers = append(p.servers, &server{base: strings.TrimRight(base, "/"), host: u.Host, index: len(p.servers), limit: float64(cfg.Concurrency)})
	}
	switch {
	case len(p.servers) == 0:
		return nil, errors.New("no address")
	case cfg.Concurrency < 1 || cfg.Tries < 1 || cfg.MaxBody < 1:
		return nil, errors.New("concurrency, tries and body size must be positive")
	case cfg.Connect < 0 || cfg.FirstByte < 0 || cfg.Total < 0:
		return nil, errors.New("timeouts must be positive")
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: cfg.Connect, KeepAlive: 30 * time.Second}).DialContext
	t.TLSHandshakeTimeout = cfg.Connect
	t.ResponseHeaderTimeout = cfg.FirstByte
	t.MaxIdleConns = cfg.Concurrency
	t.MaxIdleConnsPerHost = cfg.Concurrency
	t.MaxConnsPerHost = cfg.Concurrency // else each request that comes while one is dialled dials another
	t.WriteBufferSize = 32 << 10        // most requests leave in one write
	if cfg.CAFile != "" {
		roots, err := trust(cfg.CAFile)
		if err != nil {
			return nil, err
		}
		t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	p.client = &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return p, nil
}

func setDefaults(cfg *Config) {
	if cfg.KeyFrom == "" {
		cfg.KeyFrom = "the API key"
	}
	if cfg.Concurrency == 0 {
		cfg.Concurrency = 64
	}
	if cfg.Tries == 0 {
		cfg.Tries = 3
	}
	if cfg.Connect == 0 {
		cfg.Connect = 10 * time.Second
	}
	if cfg.Total == 0 {
		cfg.Total = 120 * time.Second
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = 8 << 20
	}
}

// trust returns the system's certificates and those in file.
func trust(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots, err := x509.SystemCertPool()
	if err != nil { // none on this system
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate", file)
	}
	return roots, nil
}

// Request is one logical request.
type Request struct {
	Path string // below the base address: "/chat/completions"
	// Body returns the JSON to send to the server of that number in Config.URLs,
	// for servers that do not understand all the same.
	Body func(server int) []byte
	// Check refuses a response of status 2xx that is not what was asked for; it
	// then counts as class [ClassResponse]. Nil takes all.
	Check func(*Response) error
	// Stop ends the request with a failure that would deserve another try, such as
	// a status of 500 whose text says that trying is of no use. Nil stops none.
	Stop  func(*Error) bool
	Tries int // most exchanges; 0: Config.Tries
}

// Response is a response of status 2xx.
type Response struct {
	Body   []byte // without the key
	Server int    // that sent it: its number in Config.URLs
	Tries  int    // exchanges, this one included
}

// longestWait is the longest pause that a server may ask for.
const longestWait = 15 * time.Minute

// Post sends r until a server answers, at most r.Tries times. What a server
// sends to say that it does not let us in counts apart (see [Refused]).
//
// The error is an [*Error] where this request has failed, a [*Refused] where
// every request would, and the cause of ctx where that is done. A response that
// came whole is returned in any case.
func (p *Pool) Post(ctx context.Context, r Request) (*Response, error) {
	allowed := r.Tries
	if allowed == 0 {
		allowed = p.cfg.Tries
	}
	var last *server
	for try := 1; ; try++ {
		s, err := p.acquire(ctx, last)
		if err != nil {
			return nil, err
		}
		begun := time.Now()
		resp, fail := p.exchange(ctx, s, r)
		if fail == nil {
			p.release(s, begun, nil)
			resp.Server, resp.Tries = s.index, try
			return resp, nil
		}
		if ctx.Err() != nil {
			p.release(s, begun, errGone)
			return nil, context.Cause(ctx)
		}
		fail.Server, fail.Tries = s.index, try
		p.release(s, begun, fail)
		if fail.refuses() {
			condemned, err := p.believe(ctx, s, fail)
			switch {
			case err != nil:
				return nil, err
			case !condemned:
				return nil, fail
			}
			allowed++ // another server is asked instead
		} else {
			if r.Stop != nil && r.Stop(fail) || !fail.passes() || try >= allowed {
				return nil, fail
			}
			if err := p.pause(ctx, s, fail, try); err != nil {
				return nil, err
			}
		}
		p.countRetry(fail.Class)
		last = s
	}
}

// Get fetches what a server, by its number in Config.URLs, has at path. It is sent
// once, and at once: it is for what is asked of each server before the work. The
// error is of the types that those of [Pool.Post] have.
func (p *Pool) Get(ctx context.Context, server int, path string) ([]byte, error) {
	s := p.servers[server]
	resp, fail := p.exchange(ctx, s, Request{Path: path})
	switch {
	case fail == nil:
		return resp.Body, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	fail.Server, fail.Tries = server, 1
	if fail.refuses() {
		return nil, &Refused{Cause: fail, Host: s.host, pass: p.pass}
	}
	return nil, fail
}

// pause waits before the exchange that follows the failed one of number try. It
// fails with fail itself where the server wants more patience than we have.
func (p *Pool) pause(ctx context.Context, s *server, fail *Error, try int) error {
	if p.elsewhere(s) {
		return nil
	}
	d := fail.after
	switch {
	case d < 0:
		d = backoff(try)
	case d > longestWait:
		fail.Detail += " (asks to wait for " + d.String() + ")"
		return fail
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// backoff is the pause after the n-th failure: 0.25 s doubled each time, 30 s at
// most, spread by half, so that many waiting requests do not come back at once.
func backoff(n int) time.Duration {
	d := min(250*time.Millisecond<<min(n-1, 20), 30*time.Second)
	return d/2 + rand.N(d)
}
