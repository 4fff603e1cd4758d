package chat

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// Token is an added token of a tokenizer.
type Token struct {
	Text    string
	Special bool
}

// Config is what a model's tokenizer gives to a template.
type Config struct {
	// Special are the special tokens by attribute name: bos_token, eos_token.
	Special map[string]string
	// Added are all added tokens of the tokenizer. Control tokens, which are
	// guarded in messages, are those that are special, and those that the
	// template's own text contains and that are not white space.
	Added []Token
	// Control, where not nil, names the control tokens that are not special,
	// in place of those that the template contains.
	Control []string
}

// maxTemplate is the size of the largest template that is read.
const maxTemplate = 1 << 20

// New parses a template.
func New(source string, c Config) (*Template, error) {
	if len(source) > maxTemplate {
		return nil, fmt.Errorf("chat: %w", errf(Syntax, "template of more than %d bytes", maxTemplate))
	}
	body, literals, err := parse(source)
	if err != nil {
		return nil, fmt.Errorf("chat: %w", err)
	}
	t := &Template{body: body}
	var control, added []string
	for _, name := range specialNames {
		if s, ok := c.Special[name]; ok {
			t.special = append(t.special, Member{name, s})
			control, added = append(control, s), append(added, s)
		}
	}
	text := strings.Join(literals, "\x00")
	for _, tok := range c.Added {
		added = append(added, tok.Text)
		switch {
		case tok.Special,
			c.Control != nil && slices.Contains(c.Control, tok.Text),
			c.Control == nil && strings.Contains(text, tok.Text) && strings.TrimFunc(tok.Text, isSpace) != "":
			control = append(control, tok.Text)
		}
	}
	t.control, t.added = newTokens(control), newTokens(added)
	return t, nil
}

// specialNames are the attributes of a tokenizer that templates see.
var specialNames = []string{
	"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
}

// Load reads the chat template among the files of a checkpoint, from
// chat_template.jinja, else from chat_template in tokenizer_config.json, and
// with it the special and added tokens that tokenizer_config.json,
// special_tokens_map.json and tokenizer.json name. Where a model has several
// templates it takes the one named default.
func Load(files fs.FS) (*Template, error) {
	t, err := load(files)
	if err != nil {
		return nil, fmt.Errorf("chat: %w", err)
	}
	return t, nil
}

func load(files fs.FS) (*Template, error) {
	config := map[string]json.RawMessage{}
	legacy := map[string]json.RawMessage{}
	if err := readJSON(files, "tokenizer_config.json", &config); err != nil {
		return nil, err
	}
	if err := readJSON(files, "special_tokens_map.json", &legacy); err != nil {
		return nil, err
	}
	c := Config{Special: map[string]string{}}
	for _, name := range specialNames {
		for _, from := range []map[string]json.RawMessage{config, legacy} {
			raw, ok := from[name]
			if !ok {
				continue
			}
			s, ok, err := tokenText(raw)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if ok {
				c.Special[name] = s
			}
			break // a null in the configuration counts: no such token
		}
	}
	if raw, ok := config["chat_control_tokens"]; ok {
		if err := json.Unmarshal(raw, &c.Control); err != nil {
			return nil, fmt.Errorf("chat_control_tokens: %w", err)
		}
	}
	var err error
	if c.Added, err = addedTokens(files, "tokenizer.json"); err != nil {
		return nil, err
	}
	if raw, ok := config["added_tokens_decoder"]; ok {
		byID := map[string]addedToken{}
		if err := json.Unmarshal(raw, &byID); err != nil {
			return nil, fmt.Errorf("added_tokens_decoder: %w", err)
		}
		for _, t := range byID {
			c.Added = append(c.Added, Token{t.Content, t.Special})
		}
	}
	source, err := templateText(files, config["chat_template"])
	if err != nil {
		return nil, err
	}
	return New(source, c)
}

// readJSON decodes a file; one that does not exist leaves v as it is.
func readJSON(files fs.FS, name string, v any) error {
	data, err := fs.ReadFile(files, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

type addedToken struct {
	Content string `json:"content"`
	Special bool   `json:"special"`
}

// tokenText is the text of a special token, given as a string or as an object;
// ok is false for null.
func tokenText(raw json.RawMessage) (text string, ok bool, err error) {
	if string(raw) == "null" {
		return "", false, nil
	}
	if err := json.Unmarshal(raw, &text); err == nil {
		return text, true, nil
	}
	var t addedToken
	if err := json.Unmarshal(raw, &t); err != nil || t.Content == "" {
		return "", false, errors.New("neither a string nor an object with content")
	}
	return t.Content, true, nil
}

// addedTokens reads the list of added tokens of a tokenizer.json, and no more
// of it than needed.
func addedTokens(files fs.FS, name string) ([]Token, error) {
	f, err := files.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d := json.NewDecoder(bufio.NewReader(f))
	fail := func(err error) ([]Token, error) {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fail(errors.Join(errors.New("not a JSON object"), err))
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return fail(err)
		}
		if key != "added_tokens" {
			var skipped json.RawMessage
			if err := d.Decode(&skipped); err != nil {
				return fail(err)
			}
			continue
		}
		var list []addedToken
		if err := d.Decode(&list); err != nil {
			return fail(err)
		}
		tokens := make([]Token, len(list))
		for i, t := range list {
			tokens[i] = Token{t.Content, t.Special}
		}
		return tokens, nil
	}
	if _, err := d.Token(); err != nil {
		return fail(err)
	}
	return nil, nil
}

// templateText finds the text of the template; raw is that of the
// configuration, nil where it has none.
func templateText(files fs.FS, raw json.RawMessage) (string, error) {
	data, err := fs.ReadFile(files, "chat_template.jinja")
	if err == nil {
		return string(data), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if raw == nil || string(raw) == "null" {
		return "", errors.New("no chat template: neither chat_template.jinja nor chat_template in tokenizer_config.json")
	}
	var text string
	if err := json.Unmarshal(raw, &text); err == nil {
		return text, nil
	}
	var named []struct{ Name, Template string }
	if err := json.Unmarshal(raw, &named); err != nil {
		return "", errors.New("chat_template in tokenizer_config.json is neither a string nor a list of named templates")
	}
	for _, n := range named {
		if n.Name == "default" {
			return n.Template, nil
		}
	}
	return "", errors.New("chat_template in tokenizer_config.json has no template named default")
}
