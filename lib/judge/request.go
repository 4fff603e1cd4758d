package judge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	openai "github.com/sashabaranov/go-openai"

	"srar/lib/remote"
)

// turn is one request of a question.
type turn struct {
	Query
	maxTokens int  // of the reply; 0: the server's own limit
	plain     bool // without the schema
}

// request is what is sent. go-openai leaves out a temperature of 0, knows one
// response format less, calls max_tokens deprecated, which most servers know
// alone, and encodes every message twice.
type request struct {
	openai.ChatCompletionRequest
	Messages       []message `json:"messages"`
	Temperature    *float32  `json:"temperature,omitempty"`
	MaxTokens      int       `json:"max_tokens,omitempty"`
	ResponseFormat any       `json:"response_format,omitempty"`
}

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// The forms of a request for structured output, in the order of trying.
const (
	formSchema = iota // as OpenAI has it, and vLLM, SGLang and llama.cpp
	formObject        // JSON mode with a schema beside it, as llama-cpp-python has it
	formNone
)

// dialect is how a server wants to be spoken to, as far as it has told.
type dialect struct {
	form        int  // of structured output
	temperature bool // only its own
	maxTokens   bool // max_completion_tokens, not max_tokens
	system      bool // no system message: it opens the user's
}

// server is what is known of one.
type server struct {
	mu         sync.Mutex
	dialect    dialect
	structured bool // it has answered a request in the form of dialect
}

// speaks is the dialect in which t goes to s.
func (s *server) speaks(t *turn) dialect {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.dialect
	if t.Schema == nil || t.plain {
		d.form = formNone
	}
	return d
}

// answered learns that s has understood a request in d.
func (s *server) answered(d dialect) {
	if d.form == formNone {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.structured = s.structured || s.dialect.form == d.form
}

// refused finds out whether e refuses not the question but how it was put, in d,
// and changes t or what is known of s so that it is put differently.
func (s *server) refused(e *remote.Error, d dialect, t *turn) bool {
	switch e.Status {
	case 400, 415, 422, 501:
	case 500: // llama-cpp-python
	default:
		return false
	}
	if tooLong(e) {
		return false
	}
	text := strings.ToLower(string(e.Body))
	names := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case d.form != formNone && names("response_format", "json_schema", "json schema", "guided", "grammar"):
		if s.structured {
			t.plain = true // it is this schema
		} else {
			s.dialect.form = max(s.dialect.form, d.form+1)
		}
	case t.maxTokens > 0 && !d.maxTokens && names("max_completion_tokens"):
		s.dialect.maxTokens = true
	case !d.temperature && names("temperature") && names("support", "only the default"):
		s.dialect.temperature = true
	case t.System != "" && !d.system && names("system role"):
		s.dialect.system = true
	default:
		return false
	}
	return true
}

// notes says what s was asked without.
func (s *server) notes(number int) (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dialect.form == formNone {
		list = append(list, fmt.Sprintf("server %d takes no JSON schema: it was asked without", number))
	}
	if s.dialect.temperature {
		list = append(list, fmt.Sprintf("server %d takes no temperature of 0: it was asked without", number))
	}
	return list
}

// body makes the JSON for t in d.
func (c *Client) body(t *turn, d dialect) []byte {
	r := request{ChatCompletionRequest: openai.ChatCompletionRequest{Model: c.cfg.Model}}
	user := t.User
	switch {
	case t.System == "":
	case d.system:
		user = t.System + "\n\n" + user
	default:
		r.Messages = append(r.Messages, message{openai.ChatMessageRoleSystem, t.System})
	}
	r.Messages = append(r.Messages, message{openai.ChatMessageRoleUser, user})
	if !d.temperature {
		r.Temperature = new(float32)
	}
	if d.maxTokens {
		r.MaxCompletionTokens = t.maxTokens
	} else {
		r.MaxTokens = t.maxTokens
	}
	switch d.form {
	case formSchema:
		r.ResponseFormat = openai.ChatCompletionResponseFormat{
			Type:       openai.ChatCompletionResponseFormatTypeJSONSchema,
			JSONSchema: &openai.ChatCompletionResponseFormatJSONSchema{Name: "verdicts", Schema: t.Schema, Strict: true},
		}
	case formObject:
		r.ResponseFormat = map[string]any{"type": openai.ChatCompletionResponseFormatTypeJSONObject, "schema": t.Schema}
	}
	b, err := json.Marshal(r)
	if err != nil {
		panic("judge: " + err.Error()) // our own types
	}
	return b
}

// completion is what comes back. go-openai does not tell counts of 0 from none.
type completion struct {
	openai.ChatCompletionResponse
	Usage struct {
		PromptTokens     *int64 `json:"prompt_tokens"`
		CompletionTokens *int64 `json:"completion_tokens"`
	} `json:"usage"`
}

// reply is what one request earned.
type reply struct {
	text       string
	model      string
	finish     openai.FinishReason
	reasoned   bool   // apart from the text
	prompt     *int64 // tokens, nil where not stated
	completion *int64
	tries      int
}

// send sends t, at most tries times. The error is an [*remote.Error] where this
// question has failed, else that of every question. Where put differently it may
// be answered, again is true.
func (c *Client) send(ctx context.Context, t *turn, tries int) (r *reply, again bool, err error) {
	var got completion
	spoken := c.servers[0].speaks(t) // of the last request
	body := c.body(t, spoken)        // while there is no place yet that would stand idle
	resp, err := c.pool.Post(ctx, remote.Request{
		Path: "/chat/completions",
		Body: func(server int) []byte {
			if d := c.servers[server].speaks(t); d != spoken {
				spoken, body = d, c.body(t, d)
			}
			return body
		},
		Stop: func(e *remote.Error) bool {
			again = c.servers[e.Server].refused(e, spoken, t)
			return again
		},
		Tries: tries,
		Check: func(r *remote.Response) error {
			got = completion{}
			if err := json.Unmarshal(r.Body, &got); err != nil {
				return fmt.Errorf("the body is no chat completion: %s", remote.Excerpt(string(r.Body)))
			}
			if len(got.Choices) == 0 {
				return fmt.Errorf("no choices: %s", remote.Excerpt(string(r.Body)))
			}
			return nil
		},
	})
	if err != nil {
		return nil, again, err
	}
	c.servers[resp.Server].answered(spoken)
	m := got.Choices[0].Message
	text := m.Content
	for _, part := range m.MultiContent {
		text += part.Text
	}
	return &reply{
		text: c.pool.Scrub(text), model: c.pool.Scrub(got.Model), finish: got.Choices[0].FinishReason, reasoned: m.ReasoningContent != "",
		prompt: got.Usage.PromptTokens, completion: got.Usage.CompletionTokens, tries: resp.Tries,
	}, false, nil
}

// tooLong says whether e tells that the model's context does not hold the
// question.
func tooLong(e *remote.Error) bool {
	if e.Status != 400 && e.Status != 413 {
		return false
	}
	for _, words := range []string{
		"context_length_exceeded", "maximum context length", // OpenAI, vLLM
		"exceeds the available context size",        // llama.cpp
		"is longer than the model's context length", // SGLang
	} {
		if strings.Contains(string(e.Body), words) {
			return true
		}
	}
	return false
}

// asFailure returns err as the failure of one question, nil where it is more.
func asFailure(err error) *remote.Error {
	var all *remote.Refused // which wraps one
	var one *remote.Error
	if errors.As(err, &all) || !errors.As(err, &one) {
		return nil
	}
	return one
}
