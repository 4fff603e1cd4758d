package expr

import "strings"

// Spelling returns s in a canonical spelling: two texts that differ in blanks,
// sizes of brackets, text commands or the case of words only have the same. It
// is for what cannot be read.
func Spelling(w *Work, s string) (string, error) {
	ts, err := tokens(w, s)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, t := range ts {
		text := t.text
		switch {
		case t.kind == tokText || t.kind == tokWord:
			words := strings.Fields(text)
			for i, word := range words {
				if isWord(word) {
					words[i] = strings.ToLower(word)
				}
			}
			text = strings.Join(words, "")
		case t.kind == tokSymbol && text == "{,}":
			continue
		}
		b.WriteString(text)
	}
	return strings.Trim(b.String(), ".,;:"), nil
}
