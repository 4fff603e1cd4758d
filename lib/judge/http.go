package judge

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	openai "github.com/sashabaranov/go-openai"
)

// maxBody is the size of the largest response body that is read, in bytes.
const maxBody = 8 << 20

var errBodyTooLarge = errors.New("body too large")

// exchange is one HTTP request and what came of it. It travels in the request's
// context, since go-openai hides most of it.
type exchange struct {
	fields map[string]any // set in the request body, whatever go-openai makes of them
	sent   bool
	status int
	header http.Header
	body   []byte
	err    error // of the exchange below HTTP
}

type exchangeKey struct{}

// doer sends the requests of go-openai. It sets the fields that go-openai leaves
// out, such as a temperature of 0, reads the body within its limit, and replaces
// the API key wherever a server repeats it.
type doer struct {
	client *http.Client
	scrub  *strings.Replacer
}

func newTransport(concurrency int) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns = concurrency
	t.MaxIdleConnsPerHost = concurrency
	return t
}

func (d doer) Do(req *http.Request) (*http.Response, error) {
	x := req.Context().Value(exchangeKey{}).(*exchange)
	if err := setFields(req, x.fields); err != nil {
		return nil, err
	}
	x.sent = true
	resp, err := d.client.Do(req)
	if err != nil {
		x.err = err
		return nil, err
	}
	defer resp.Body.Close()
	x.status, x.header = resp.StatusCode, resp.Header
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = errBodyTooLarge
	}
	if err != nil {
		x.err = err
		return nil, err
	}
	x.body = []byte(d.scrub.Replace(string(body)))
	resp.Body = io.NopCloser(bytes.NewReader(x.body))
	return resp, nil
}

// setFields merges fields into the JSON object that req carries.
func setFields(req *http.Request, fields map[string]any) error {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return err
	}
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(body, &all); err != nil {
		return err
	}
	for k, v := range fields {
		if all[k], err = json.Marshal(v); err != nil {
			return err
		}
	}
	if body, err = json.Marshal(all); err != nil {
		return err
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	// For a connection that turns out to be closed before anything is sent on it.
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	req.ContentLength = int64(len(body))
	return nil
}

// scrubber replaces the key in the forms that a server may give it. Keys of
// fewer than 8 bytes are placeholders such as "none", and no secret.
func scrubber(key string) *strings.Replacer {
	if len(key) < 8 {
		return strings.NewReplacer()
	}
	const gone = "[key]"
	quoted, err := json.Marshal(key)
	if err != nil {
		panic("judge: " + err.Error()) // a string is always JSON
	}
	return strings.NewReplacer(key, gone, url.QueryEscape(key), gone, strings.Trim(string(quoted), `"`), gone)
}

// reply is what one request earned.
type reply struct {
	text       string
	model      string
	finish     string
	prompt     *int64 // tokens, nil where not stated
	completion *int64
}

// failure says why a request earned no reply.
type failure struct {
	err     *Error
	tooLong bool          // does not fit the model's context
	again   bool          // asking again may help
	after   time.Duration // that the server asks to wait, -1: not said
}

// send makes one request. The error is not nil when asking on is no use for any
// question: no permission, a request that cannot be sent, or ctx is done.
func (c *Client) send(ctx context.Context, q Query) (*reply, *failure, error) {
	x := &exchange{fields: map[string]any{"temperature": 0}}
	timed, cancel := context.WithTimeoutCause(context.WithValue(ctx, exchangeKey{}, x), c.cfg.Timeout, errTimeout)
	defer cancel()
	resp, err := c.api.CreateChatCompletion(timed, openai.ChatCompletionRequest{
		Model: c.cfg.Model,
		Messages: []openai.ChatCompletionMessage{
			{Role: openai.ChatMessageRoleSystem, Content: q.System},
			{Role: openai.ChatMessageRoleUser, Content: q.User},
		},
	})
	switch {
	case err != nil && ctx.Err() != nil: // a reply that came whole is kept: it was paid for
		return nil, nil, context.Cause(ctx)
	case !x.sent:
		return nil, nil, fmt.Errorf("judge: the request cannot be sent: %s", c.scrub.Replace(err.Error()))
	case x.err != nil && context.Cause(timed) == errTimeout:
		return nil, &failure{err: &Error{ClassTimeout, "no complete answer within " + c.cfg.Timeout.String()}, again: true, after: -1}, nil
	case errors.Is(x.err, errBodyTooLarge):
		return nil, &failure{err: &Error{ClassResponse, "the body exceeds 8 MiB"}, again: true, after: -1}, nil
	case x.err != nil:
		return nil, &failure{err: &Error{ClassNetwork, c.scrub.Replace(networkText(x.err))}, again: true, after: -1}, nil
	case x.status < 200 || x.status > 299:
		return nil, c.refusal(x, err), c.forbidden(x)
	case err != nil:
		return nil, &failure{err: &Error{ClassResponse, "the body is no chat completion: " + excerpt(string(x.body))}, again: true, after: -1}, nil
	case len(resp.Choices) == 0:
		return nil, &failure{err: &Error{ClassResponse, "no choices: " + excerpt(string(x.body))}, again: true, after: -1}, nil
	}
	m := resp.Choices[0].Message
	text := m.Content
	for _, part := range m.MultiContent {
		text += part.Text
	}
	r := &reply{text: c.scrub.Replace(text), model: c.scrub.Replace(resp.Model), finish: string(resp.Choices[0].FinishReason)}
	r.prompt, r.completion = usage(x.body)
	return r, nil, nil
}

var errTimeout = errors.New("timeout")

// usage reads the token counts of a response; nil where it states none.
func usage(body []byte) (prompt, completion *int64) {
	var u struct {
		Usage struct {
			PromptTokens     *int64 `json:"prompt_tokens"`
			CompletionTokens *int64 `json:"completion_tokens"`
		} `json:"usage"`
	}
	if json.Unmarshal(body, &u) != nil {
		return nil, nil
	}
	return u.Usage.PromptTokens, u.Usage.CompletionTokens
}

// refusal reads a response whose status is not 2xx.
func (c *Client) refusal(x *exchange, err error) *failure {
	detail := excerpt(string(x.body))
	var api *openai.APIError
	if errors.As(err, &api) && api.Message != "" {
		detail = excerpt(c.scrub.Replace(api.Message))
	}
	if detail == "" {
		if detail = strings.ToLower(http.StatusText(x.status)); detail == "" {
			detail = "no text"
		}
	}
	f := &failure{err: &Error{"http " + strconv.Itoa(x.status), detail}, after: retryAfter(x.header.Get("Retry-After"), time.Now())}
	switch {
	case x.status == http.StatusBadRequest || x.status == http.StatusRequestEntityTooLarge:
		body := string(x.body)
		f.tooLong = strings.Contains(body, "context_length_exceeded") || strings.Contains(body, "maximum context length")
	case x.status == http.StatusRequestTimeout || x.status == http.StatusTooManyRequests || x.status >= 500:
		f.again = true
	}
	return f
}

// forbidden is the error that ends the run when the judge does not let us in.
func (c *Client) forbidden(x *exchange) error {
	if x.status != http.StatusUnauthorized {
		return nil
	}
	return &Unauthorized{HasKey: c.cfg.Key != ""}
}

// Unauthorized is the error of a judge that answers with status 401.
type Unauthorized struct {
	HasKey bool // a key was sent
}

func (e *Unauthorized) Error() string {
	if e.HasKey {
		return "judge: http 401: the judge does not accept the API key"
	}
	return "judge: http 401: the judge asks for an API key"
}

// Hint says what to do.
func (e *Unauthorized) Hint() string { return "set $" + EnvKey }

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

// excerpt makes one short line of a server's text.
func excerpt(s string) string {
	const most = 200
	s = strings.ToValidUTF8(s[:min(len(s), 8*most)], "\uFFFD")
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}

// networkText says what happened below HTTP without naming addresses, which
// differ from run to run.
func networkText(err error) string {
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var cert *tls.CertificateVerificationError
	var op *net.OpError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed before the end of the answer"
	case errors.As(err, &dns):
		return "the host name does not resolve"
	case errors.As(err, &unknown):
		return "the certificate is signed by an unknown authority"
	case errors.As(err, &cert):
		return "the certificate does not verify"
	case errors.As(err, &op):
		return op.Op + ": " + op.Err.Error()
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err.Error()
}
