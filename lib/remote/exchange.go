package remote

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var (
	errTotal    = errors.New("no complete answer in time")
	errTooLarge = errors.New("body too large")
)

// exchange sends r to s once; without a Body it is a GET.
func (p *Pool) exchange(ctx context.Context, s *server, r Request) (*Response, *Error) {
	timed, cancel := context.WithTimeoutCause(ctx, p.cfg.Total, errTotal)
	defer cancel()
	method, sent := http.MethodGet, []byte(nil)
	if r.Body != nil {
		method, sent = http.MethodPost, r.Body(s.index)
	}
	req, err := http.NewRequestWithContext(timed, method, s.base+r.Path, bytes.NewReader(sent))
	if err != nil { // the base was parsed before
		panic("remote: " + err.Error())
	}
	if r.Body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	if p.cfg.Key != "" {
		req.Header.Set("Authorization", "Bearer "+p.cfg.Key)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, p.broken(timed, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, p.cfg.MaxBody+1))
	if err == nil && int64(len(body)) > p.cfg.MaxBody {
		err = errTooLarge
	}
	if err != nil {
		fail := p.broken(timed, err)
		fail.Status = resp.StatusCode
		return nil, fail
	}
	body = p.scrubber.bytes(body)
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, p.refusal(resp, body)
	}
	answer := &Response{Body: body}
	if r.Check != nil {
		if err := r.Check(answer); err != nil {
			return nil, &Error{Class: ClassResponse, Detail: p.Scrub(err.Error()), Status: resp.StatusCode, Body: body, after: -1}
		}
	}
	return answer, nil
}

// broken classifies an error below HTTP. It names no address: those differ from
// run to run.
func (p *Pool) broken(timed context.Context, err error) *Error {
	fail := &Error{Class: ClassNetwork, after: -1}
	var netErr net.Error
	switch {
	case context.Cause(timed) == errTotal:
		fail.Class, fail.Detail = ClassTimeout, "no complete answer within "+p.cfg.Total.String()
	case errors.Is(err, errTooLarge):
		fail.Class, fail.Detail = ClassResponse, "the body exceeds "+strconv.FormatInt(p.cfg.MaxBody>>20, 10)+" MiB"
	case errors.As(err, &netErr) && netErr.Timeout():
		fail.Class, fail.Detail = ClassTimeout, "no answer began within "+p.cfg.FirstByte.String()
		if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "dial" || strings.Contains(err.Error(), "TLS handshake timeout") {
			fail.Detail = "no connection within " + p.cfg.Connect.String()
		}
	default:
		fail.Detail, fail.tls = networkText(err)
		fail.Detail = p.Scrub(fail.Detail)
	}
	return fail
}

// networkText says what happened below HTTP, and whether the two sides do not
// trust each other.
func networkText(err error) (text string, refused bool) {
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var cert *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var op *net.OpError
	switch {
	case errors.As(err, &unknown):
		return "the certificate is signed by an unknown authority", true
	case errors.As(err, &host):
		return "the certificate is for another host", true
	case errors.As(err, &cert):
		return "the certificate does not verify: " + cert.Err.Error(), true
	case errors.As(err, &record), errors.As(err, &alert), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "the server does not speak TLS as we do", true
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused", false
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset", false
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed before the end of the answer", false
	case errors.As(err, &dns):
		return "the host name does not resolve", false
	case errors.As(err, &op):
		return op.Op + ": " + op.Err.Error(), false
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err.Error(), false
}

// refusal reads a response whose status is not 2xx.
func (p *Pool) refusal(resp *http.Response, body []byte) *Error {
	detail := Excerpt(p.Scrub(message(body)))
	if detail == "" {
		if detail = strings.ToLower(http.StatusText(resp.StatusCode)); detail == "" {
			detail = "no text"
		}
	}
	return &Error{
		Class: "http " + strconv.Itoa(resp.StatusCode), Detail: detail, Status: resp.StatusCode, Body: body,
		after: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
	}
}

// message finds what a server says in an error body: {"error": {"message": TEXT}},
// {"error": TEXT}, {"message": TEXT} or {"detail": TEXT}; else all of it.
func message(body []byte) string {
	var all map[string]json.RawMessage
	if json.Unmarshal(body, &all) != nil {
		return string(body)
	}
	var inner map[string]json.RawMessage
	if json.Unmarshal(all["error"], &inner) == nil {
		all["message"] = inner["message"]
	}
	for _, name := range []string{"message", "error", "detail"} {
		var text string
		if json.Unmarshal(all[name], &text) == nil && text != "" {
			return text
		}
	}
	return string(body)
}

// retryAfter reads the header of that name, in seconds or as a date; -1 without
// a readable one.
func retryAfter(h string, now time.Time) time.Duration {
	if n, err := strconv.ParseInt(strings.TrimSpace(h), 10, 32); err == nil && n >= 0 {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(h); err == nil {
		return max(0, t.Sub(now))
	}
	return -1
}

// Excerpt makes one short line of a server's text.
func Excerpt(s string) string {
	const most = 200
	s = strings.ToValidUTF8(s[:min(len(s), 8*most)], "\uFFFD")
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}

// scrubber replaces the key in the forms that a server may give it.
type scrubber struct{ forms []string }

// newScrubber knows the key as it is, in a URL and in JSON. Keys of fewer than 8
// bytes are placeholders such as "none", and no secret.
func newScrubber(key string) scrubber {
	if len(key) < 8 {
		return scrubber{}
	}
	quoted, err := json.Marshal(key)
	if err != nil {
		panic("remote: " + err.Error()) // a string is always JSON
	}
	return scrubber{[]string{key, url.QueryEscape(key), strings.Trim(string(quoted), `"`)}}
}

const scrubbed = "[key]"

// Scrub replaces the key in text, which decoding may have brought to light.
func (p *Pool) Scrub(text string) string { return p.scrubber.text(text) }

func (s scrubber) bytes(b []byte) []byte {
	for _, form := range s.forms {
		b = bytes.ReplaceAll(b, []byte(form), []byte(scrubbed))
	}
	return b
}

func (s scrubber) text(t string) string {
	for _, form := range s.forms {
		t = strings.ReplaceAll(t, form, scrubbed)
	}
	return t
}
