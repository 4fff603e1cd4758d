// Package chat renders conversations with a model's own chat template, byte
// for byte as the apply_chat_template method of transformers does.
//
// A template is a program in Jinja. The package holds a small interpreter of
// the language as chat templates use it, in the environment transformers
// gives them: the immutable sandbox, trim_blocks, lstrip_blocks, break and
// continue, the generation block, raise_exception, strftime_now, and a tojson
// that keeps the order of keys. Values follow Python: integers are exact and
// distinct from floats, text is indexed by characters, mappings are ordered,
// and what is printed is what Python's str prints. A construct that is not
// supported is an error that names it and its line.
//
// A template comes with a model and is not trusted: what it may spend on
// work, nesting and output is bounded.
package chat

import (
	"fmt"
	"time"
)

// Message is one turn of a conversation.
type Message struct {
	Role    string // system, user, assistant
	Content string // valid UTF-8
}

// Member is one entry of an Object.
type Member struct {
	Key   string
	Value any
}

// Object is a JSON object that keeps the order of its members. Where a key is
// repeated the last value counts, at the place of the first.
//
// The values that a template can be given are nil, bool, int, int64, *big.Int,
// float64, string, []any, Object, and what ParseJSON returns.
type Object []Member

// Options says how a conversation is rendered.
type Options struct {
	// AddGenerationPrompt asks for the opening of an assistant's turn after
	// the last message.
	AddGenerationPrompt bool
	// Vars are further variables of the template, enable_thinking for example.
	// They win over the model's special tokens.
	Vars Object
	// Tools and Documents are given to the template as they stand, as none
	// when nil.
	Tools, Documents []any
	// ControlTokens lets control tokens inside texts of messages, tools,
	// documents and variables act as such. Otherwise they are guarded.
	ControlTokens bool
	// Now is the clock that strftime_now reads; time.Now when nil. A template
	// that reads the clock renders the same conversation differently on
	// another day, unless the clock is pinned here.
	Now func() time.Time
}

// Template is a parsed chat template together with what the model's tokenizer
// gives to it. It is immutable and may be used by several goroutines at once.
type Template struct {
	body    []stmt
	special []Member // special tokens by attribute name, bos_token for example
	control *tokens  // added tokens that steer the model
	added   *tokens  // all added tokens of the tokenizer
}

// Render renders a conversation. The text is to be encoded without adding
// special tokens.
//
// Guarded are the byte ranges of text that hold a control token which came
// from a message, not from the template. They are in order and do not overlap.
// Each is to be encoded as plain text, each stretch between them as usual, and
// the ids joined: see Pieces. An empty range stands where a template took such
// a token apart: nothing may be read across it. These are the pieces that
// transformers encodes with sanitize_control_tokens=True; as there, the
// template sees private markers (U+F0000, U+F0001) around the tokens, so that a
// comparison of message texts with control tokens may come out differently than
// without the guard.
//
// All errors that the template or the conversation causes are of type *Error.
func (t *Template) Render(msgs []Message, o Options) (text string, guarded [][2]int, err error) {
	objects := make([]Object, len(msgs))
	for i, m := range msgs {
		objects[i] = Object{{"role", m.Role}, {"content", m.Content}}
	}
	return t.RenderObjects(objects, o)
}

// RenderObjects is Render for messages with other members than role and
// content: tool calls, reasoning, contents of several parts. Members that are
// nil are dropped; the first of reasoning_content, thinking and reasoning that
// a message has is given to the template as reasoning_content and as thinking,
// as transformers does.
func (t *Template) RenderObjects(msgs []Object, o Options) (text string, guarded [][2]int, err error) {
	if len(msgs) == 0 {
		return "", nil, fmt.Errorf("chat: %w", errf(Empty, "the conversation has no message"))
	}
	conv := converter{}
	if !o.ControlTokens {
		conv.mark = t.control.mark
	}
	in := newInterp(o.Now)
	if err := t.variables(in, &conv, msgs, o); err != nil {
		return "", nil, fmt.Errorf("chat: %w", err)
	}
	text, err = in.run(t.body)
	if err != nil {
		return "", nil, fmt.Errorf("chat: %w", err)
	}
	if conv.marked {
		text, guarded = t.added.unmark(text)
	}
	return text, guarded, nil
}

// variables sets the variables that apply_chat_template gives to a template.
func (t *Template) variables(in *interp, conv *converter, msgs []Object, o Options) error {
	for _, m := range t.special {
		v, err := (&converter{}).value(m.Value, 0)
		if err != nil {
			return fmt.Errorf("special token %s: %w", m.Key, err)
		}
		in.vars[m.Key] = v
	}
	for _, m := range o.Vars {
		v, err := conv.value(m.Value, 0)
		if err != nil {
			return fmt.Errorf("variable %s: %w", m.Key, err)
		}
		in.vars[m.Key] = v
	}
	chat := make([]value, len(msgs))
	for i, m := range msgs {
		v, err := conv.value(withReasoning(m), 0)
		if err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
		chat[i] = v
	}
	in.vars["messages"] = &list{chat}
	in.vars["add_generation_prompt"] = o.AddGenerationPrompt
	for _, p := range []struct {
		name   string
		values []any
	}{{"tools", o.Tools}, {"documents", o.Documents}} {
		in.vars[p.name] = nil
		if p.values != nil {
			v, err := conv.value(p.values, 0)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			in.vars[p.name] = v
		}
	}
	return nil
}

// withReasoning drops the nil members of a message and copies its reasoning to
// the names that templates read.
func withReasoning(m Object) Object {
	var out Object
	var reasoning any
	for _, e := range m {
		if e.Value != nil {
			out = append(out, e)
		}
	}
	for _, name := range []string{"reasoning", "thinking", "reasoning_content"} {
		for _, e := range out {
			if e.Key == name {
				reasoning = e.Value
			}
		}
	}
	if reasoning == nil {
		return out
	}
	// A thinking that the message has itself comes after this one and wins.
	out = append(Object{{"thinking", reasoning}}, out...)
	return append(out, Member{"reasoning_content", reasoning})
}

// Pieces calls yield with the stretches of text in order, plain true for those
// that are to be encoded as plain text, until yield returns false. The ranges
// are those that Render returned.
func Pieces(text string, guarded [][2]int) func(yield func(piece string, plain bool) bool) {
	return func(yield func(string, bool) bool) {
		at := 0
		for _, g := range guarded {
			if at < g[0] && !yield(text[at:g[0]], false) {
				return
			}
			if g[0] < g[1] && !yield(text[g[0]:g[1]], true) {
				return
			}
			at = g[1]
		}
		if at < len(text) {
			yield(text[at:], false)
		}
	}
}

// Kind says what kind of error a template met.
type Kind string

// Kinds of errors.
const (
	Raised    Kind = "raise"     // the template called raise_exception
	Syntax    Kind = "syntax"    // the template does not parse
	Undefined Kind = "undefined" // use of a value that is not defined
	Security  Kind = "security"  // an operation that the sandbox forbids
	Runtime   Kind = "runtime"   // any other error while rendering, limits included
	Empty     Kind = "empty"     // a conversation without messages
)

// Error is an error of a template.
type Error struct {
	Kind    Kind
	Line    int    // 1-based line of the template, 0 where there is none
	Message string // for Raised what the template said
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("template line %d: %s", e.Line, e.Message)
}

func errf(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...)}
}

// typeErrf reports what Python raises as TypeError, ValueError and the like.
func typeErrf(format string, args ...any) *Error { return errf(Runtime, format, args...) }

// at gives an error without a line the line of the node that it passes.
func at(err error, line int) error {
	if e, ok := err.(*Error); ok && e.Line == 0 {
		e.Line = line
	}
	return err
}
