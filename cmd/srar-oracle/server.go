package main

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// server answers chat completions.
type server struct {
	model     string
	key       string // that requests must bring; empty: none
	delay     time.Duration
	jitter    time.Duration
	rate      float64 // 0: any
	talkative bool
	faults    faults

	limit *rate.Limiter // nil: none

	// Counts of requests, for the summary.
	verdicts, marks, refused, spoiled atomic.Int64
}

// check checks the flags and completes the server.
func (s *server) check() error {
	switch {
	case s.delay < 0 || s.jitter < 0:
		return errors.New("--delay and --jitter are not negative")
	case !(s.rate >= 0) || math.IsInf(s.rate, 0):
		return errors.New("--rate is a number from 0 up")
	case !(s.faults.flaky >= 0 && s.faults.flaky <= 1) || !(s.faults.garbage >= 0 && s.faults.garbage <= 1):
		return errors.New("--flaky and --garbage are probabilities")
	case s.model == "":
		return errors.New("--model is empty")
	}
	if s.rate > 0 {
		s.limit = rate.NewLimiter(rate.Limit(s.rate), max(1, int(s.rate)))
	}
	return nil
}

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("GET /v1/models", s.serving(s.models))
	mux.HandleFunc("POST /v1/chat/completions", s.serving(s.complete))
	mux.HandleFunc("/", s.serving(func(w http.ResponseWriter, r *http.Request) error {
		return refuse(http.StatusNotFound, "there is no %s %s here", r.Method, r.URL.Path)
	}))
	return mux
}

// refusal is an answer other than 200.
type refusal struct {
	status  int
	code    string // of the API, for those that have one
	message string
}

func (e *refusal) Error() string { return e.message }

func refuse(status int, format string, a ...any) *refusal {
	return &refusal{status: status, message: fmt.Sprintf(format, a...)}
}

// serving makes a handler of do: it lets in those with the key, and gives errors
// the form of the API.
func (s *server) serving(do func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := s.admit(r)
		if err == nil {
			err = do(w, r)
		}
		if err == nil {
			return
		}
		var e *refusal
		if !errors.As(err, &e) {
			e = refuse(http.StatusInternalServerError, "%v", err)
		}
		s.refused.Add(1)
		e.send(w)
	}
}

// send sends the refusal as the API words it.
func (e *refusal) send(w http.ResponseWriter) {
	body := map[string]any{"message": e.message, "type": "invalid_request_error", "param": nil, "code": nil}
	if e.code != "" {
		body["code"] = e.code
	}
	if e.status >= 500 {
		body["type"] = "server_error"
	}
	send(w, e.status, map[string]any{"error": body})
}

func (s *server) admit(r *http.Request) error {
	if s.key == "" {
		return nil
	}
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if ok && subtle.ConstantTimeCompare([]byte(given), []byte(s.key)) == 1 {
		return nil
	}
	return &refusal{http.StatusUnauthorized, "invalid_api_key", "the API key is missing or not the right one"}
}

func send(w http.ResponseWriter, status int, v any) {
	body := encode(v)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body) // a client that has gone is no concern of ours
}

func encode(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic("srar-oracle: " + err.Error()) // our own types
	}
	return body
}

func (s *server) models(w http.ResponseWriter, r *http.Request) error {
	type model struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Created int64  `json:"created"`
		OwnedBy string `json:"owned_by"`
	}
	send(w, http.StatusOK, map[string]any{"object": "list", "data": []model{{s.model, "model", 0, "srar"}}})
	return nil
}

// request is what is read of a chat completion request. What steers a language
// model, such as temperature, means nothing to this judge.
type request struct {
	Model               string    `json:"model"`
	Messages            []message `json:"messages"`
	Stream              bool      `json:"stream"`
	N                   *int      `json:"n"`
	MaxTokens           *int      `json:"max_tokens"`
	MaxCompletionTokens *int      `json:"max_completion_tokens"`
}

type message struct {
	Role    string  `json:"role"`
	Content content `json:"content"`
}

// content is a text, which the API also takes as a list of parts.
type content string

func (c *content) UnmarshalJSON(b []byte) error {
	if len(b) == 0 || b[0] != '[' {
		return json.Unmarshal(b, (*string)(c))
	}
	var parts []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	if err := json.Unmarshal(b, &parts); err != nil {
		return err
	}
	for _, p := range parts {
		if p.Type != "text" {
			return fmt.Errorf("content of type %q is not read here", p.Type)
		}
		*c += content(p.Text)
	}
	return nil
}

// maxBody is the largest request that is read, in bytes.
const maxBody = 8 << 20

func readRequest(w http.ResponseWriter, r *http.Request) (*request, error) {
	var body bytes.Buffer
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return nil, refuse(http.StatusRequestEntityTooLarge, "the request is larger than %d bytes", maxBody)
		}
		return nil, refuse(http.StatusBadRequest, "the request ends early: %v", err)
	}
	var q request
	if err := json.Unmarshal(body.Bytes(), &q); err != nil {
		return nil, refuse(http.StatusBadRequest, "the request is no chat completion request: %v", err)
	}
	return &q, nil
}

// question returns the text to answer: the last message, which is the user's.
func (q *request) question(model string) (string, error) {
	last := len(q.Messages) - 1
	switch {
	case q.Stream:
		return "", refuse(http.StatusBadRequest, "replies are not streamed here: leave out stream")
	case q.N != nil && *q.N != 1:
		return "", refuse(http.StatusBadRequest, "there is one choice: n must be 1")
	case q.budget() < 1:
		return "", refuse(http.StatusBadRequest, "max_tokens must be at least 1")
	case q.Model != "" && q.Model != model:
		return "", &refusal{http.StatusNotFound, "model_not_found", fmt.Sprintf("the model %q does not exist; there is %q", q.Model, model)}
	case last < 0 || q.Messages[last].Role != "user":
		return "", refuse(http.StatusBadRequest, "the last message must be the user's")
	}
	return string(q.Messages[last].Content), nil
}

// budget is how many tokens a reply may have.
func (q *request) budget() int {
	b := math.MaxInt
	for _, m := range []*int{q.MaxTokens, q.MaxCompletionTokens} {
		if m != nil {
			b = min(b, *m)
		}
	}
	return b
}

// bytesPerToken is what token counts are reckoned by; perMessage tokens stand for
// what a chat template puts around a message.
const (
	bytesPerToken = 4
	perMessage    = 4
)

func tokens(text string) int { return (len(text) + bytesPerToken - 1) / bytesPerToken }

// completion is a chat completion.
type completion struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"`
	Created int64    `json:"created"` // always 0: equal requests get equal bytes
	Model   string   `json:"model"`
	Choices []choice `json:"choices"`
	Usage   usageOf  `json:"usage"`
}

type choice struct {
	Index   int `json:"index"`
	Message struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	} `json:"message"`
	FinishReason string `json:"finish_reason"`
}

type usageOf struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

// complete answers a chat completion request.
func (s *server) complete(w http.ResponseWriter, r *http.Request) error {
	if s.limit != nil {
		turn := s.limit.Reserve()
		if wait := turn.Delay(); wait > 0 {
			turn.Cancel()
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
			return &refusal{http.StatusTooManyRequests, "rate_limit_exceeded", "too many requests"}
		}
	}
	q, err := readRequest(w, r)
	if err != nil {
		return err
	}
	text, err := q.question(s.model)
	if err != nil {
		return err
	}
	a, err := answer(text)
	if err != nil {
		return err
	}
	luck := s.faults.draw(text)
	if err := wait(r.Context(), s.delay+time.Duration(luck.jitter*float64(s.jitter))); err != nil {
		return err
	}
	s.count(a, luck)
	switch luck.failure {
	case status503:
		refuse(http.StatusServiceUnavailable, "overloaded, on purpose").send(w)
		return nil
	case status500:
		refuse(http.StatusInternalServerError, "failed, on purpose").send(w)
		return nil
	case closed:
		panic(http.ErrAbortHandler) // the way to close the connection
	}
	reply := a.text
	switch {
	case luck.garbage:
		reply = a.useless(luck.kind)
	case s.talkative:
		reply = a.talk(luck.kind)
	}
	c := s.completion(q, reply, luck.id)
	if luck.failure == cut {
		body := encode(c)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body[:len(body)/2])
		http.NewResponseController(w).Flush() // an abort drops what is still buffered
		panic(http.ErrAbortHandler)
	}
	send(w, http.StatusOK, c)
	return nil
}

// count counts a question that is answered, or is not on purpose.
func (s *server) count(a *reply, l luck) {
	switch {
	case l.failure != none || l.garbage:
		s.spoiled.Add(1)
	case a.task != nil:
		s.verdicts.Add(1)
	default:
		s.marks.Add(1)
	}
}

// wait pauses; it fails when the client leaves or the server stops.
func wait(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return refuse(http.StatusServiceUnavailable, "the server stops")
	}
}

// completion makes the response to q of a reply, which is cut where it exceeds
// the request's budget.
func (s *server) completion(q *request, reply string, id []byte) completion {
	c := completion{ID: "chatcmpl-" + hex.EncodeToString(id), Object: "chat.completion", Model: s.model, Choices: make([]choice, 1)}
	c.Choices[0].FinishReason = "stop"
	if budget := q.budget(); tokens(reply) > budget {
		reply = reply[:budget*bytesPerToken] // ASCII, as all replies are
		c.Choices[0].FinishReason = "length"
	}
	c.Choices[0].Message.Role = "assistant"
	c.Choices[0].Message.Content = reply
	for _, m := range q.Messages {
		c.Usage.PromptTokens += perMessage + tokens(string(m.Content))
	}
	c.Usage.CompletionTokens = tokens(reply)
	c.Usage.TotalTokens = c.Usage.PromptTokens + c.Usage.CompletionTokens
	return c
}
