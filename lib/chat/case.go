package chat

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// Case mappings of Unicode in full, as Python has them: one character may
// become several, a final sigma is lower case of its own.

func lower(s string) string {
	return cases.Lower(language.Und, cases.HandleFinalSigma(true)).String(s)
}

func upper(s string) string { return cases.Upper(language.Und).String(s) }

func capitalize(s string) string {
	_, n := utf8.DecodeRuneInString(s)
	return titleRune(s[:n]) + lowerAfter(s[:n], s[n:])
}

// lowerAfter is the lower case of s where it follows a text.
func lowerAfter(before, s string) string {
	low := lower(before + s)
	return low[len(lower(before)):]
}

// titleRune is the title case of one character: ǆ becomes ǅ, ß becomes Ss.
func titleRune(c string) string { return cases.Title(language.Und, cases.NoLower).String(c) }

// title makes the first letter of each run of letters upper case.
func title(s string) string {
	var b strings.Builder
	for s != "" {
		i := strings.IndexFunc(s, isCased)
		if i < 0 {
			break
		}
		b.WriteString(s[:i])
		s = s[i:]
		_, n := utf8.DecodeRuneInString(s)
		end := strings.IndexFunc(s, func(r rune) bool { return !isCased(r) })
		if end < 0 {
			end = len(s)
		}
		b.WriteString(titleRune(s[:n]) + lowerAfter(s[:n], s[n:end]))
		s = s[end:]
	}
	return b.String() + s
}

func swapCase(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case unicode.IsUpper(r):
			b.WriteString(lower(string(r)))
		case unicode.IsLower(r):
			b.WriteString(upper(string(r)))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isCased(r rune) bool {
	return unicode.IsUpper(r) || unicode.IsLower(r) || unicode.IsTitle(r) ||
		unicode.Is(unicode.Other_Lowercase, r) || unicode.Is(unicode.Other_Uppercase, r)
}

// hasCase reports whether s has a letter of one case and none of the other.
func hasCase(s string, want, not func(rune) bool) bool {
	return strings.ContainsFunc(s, want) && !strings.ContainsFunc(s, func(r rune) bool { return not(r) || unicode.IsTitle(r) })
}

// allRunes reports whether a text is not empty and every character fits.
func allRunes(f func(rune) bool) func(string) bool {
	return func(s string) bool {
		return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !f(r) })
	}
}

// isDigits reports whether s consists of decimal digits and such as ².
func isDigits(s string) bool {
	return allRunes(func(r rune) bool {
		return unicode.IsDigit(r) || strings.ContainsRune("²³¹", r) || 0x2070 <= r && r <= 0x2089 && unicode.IsNumber(r) ||
			0x2460 <= r && r <= 0x2468 || 0x2474 <= r && r <= 0x247c || 0x2488 <= r && r <= 0x2490
	})(s)
}
