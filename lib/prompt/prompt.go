// Package prompt turns the messages of a prompt into the tokens that a policy
// is fed: the model's chat template, then its tokenizer.
package prompt

import (
	"io/fs"

	"srar/lib/chat"
	"srar/lib/token"
)

// Encoder holds template and tokenizer of one model. It may be used by several
// goroutines at once.
type Encoder struct {
	Tokenizer *token.Tokenizer
	template  *chat.Template
}

// Load reads tokenizer and chat template among the files of a checkpoint.
func Load(files fs.FS) (*Encoder, error) {
	tok, err := token.Load(files)
	if err != nil {
		return nil, err
	}
	tpl, err := chat.Load(files)
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
	return e.ids(text, guarded)
}

// ids encodes a rendered chat, its guarded ranges as plain text.
func (e *Encoder) ids(text string, guarded [][2]int) ([]int32, error) {
	var ids []int32
	for piece, plain := range chat.Pieces(text, guarded) {
		var guard [][2]int
		if plain {
			guard = [][2]int{{0, len(piece)}}
		}
		more, err := e.Tokenizer.EncodeGuarded(piece, guard)
		if err != nil {
			return nil, err
		}
		ids = append(ids, more...)
	}
	return ids, nil
}
