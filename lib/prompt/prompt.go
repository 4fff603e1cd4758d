// Package prompt turns the messages of a prompt into the tokens that a policy
// is fed: the model's chat template, then its tokenizer.
package prompt

import (
	"srar/lib/chat"
	"srar/lib/token"
)

// Encoder holds template and tokenizer of one model. It may be used by several
// goroutines at once.
type Encoder struct {
	Tokenizer *token.Tokenizer
	template  *chat.Template
}

// Load reads tokenizer and chat template of the checkpoint in dir.
func Load(dir string) (*Encoder, error) {
	tok, err := token.Load(dir)
	if err != nil {
		return nil, err
	}
	tpl, err := chat.Load(dir)
	if err != nil {
		return nil, err
	}
	return &Encoder{Tokenizer: tok, template: tpl}, nil
}

// Encode renders the chat that asks for an answer, with thinking off where the
// template has that switch, and returns its tokens. Control tokens inside the
// messages are plain text unless control.
func (e *Encoder) Encode(messages []chat.Message, control bool) ([]int32, error) {
	text, guarded, err := e.template.Render(messages, chat.Options{
		AddGenerationPrompt: true,
		ControlTokens:       control,
		Vars:                chat.Object{{Key: "enable_thinking", Value: false}},
	})
	if err != nil {
		return nil, err
	}
	return e.ids(text, guarded), nil
}

// ids encodes a rendered chat, its guarded ranges as plain text.
func (e *Encoder) ids(text string, guarded [][2]int) []int32 {
	var ids []int32
	for piece, plain := range chat.Pieces(text, guarded) {
		if plain {
			ids = append(ids, e.Tokenizer.EncodeGuarded(piece, [][2]int{{0, len(piece)}})...)
		} else {
			ids = append(ids, e.Tokenizer.Encode(piece)...)
		}
	}
	return ids
}
