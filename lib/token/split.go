package token

import (
	"cmp"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2/v2"
)

// splitter cuts s[lo:hi] into words from left to right. Only a pattern from a file
// fails, when it takes too long.
type splitter func(s string, lo, hi int, visit func(lo, hi int)) error

// then applies q to each word of p.
func (p splitter) then(q splitter) splitter {
	if p == nil {
		return q
	}
	return func(s string, lo, hi int, visit func(lo, hi int)) error {
		var first error
		err := p(s, lo, hi, func(lo, hi int) {
			if first == nil {
				first = q(s, lo, hi, visit)
			}
		})
		return cmp.Or(err, first)
	}
}

// The patterns that have a splitter of their own.
const (
	gpt2Pattern  = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	qwenPattern  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	llamaPattern = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// parsePreTokenizer reads a pre-tokenizer; it must end in ByteLevel.
func parsePreTokenizer(b []byte) (splitter, error) {
	if b == nil || string(b) == "null" {
		return nil, errors.New("there is none; ByteLevel is supported")
	}
	p, err := parsePart(b)
	if err != nil {
		return nil, err
	}
	if p.Type != "Sequence" {
		return parseSplit(p, true)
	}
	if len(p.Pretokenizers) == 0 {
		return nil, errors.New("the sequence is empty; ByteLevel is supported")
	}
	var all splitter
	for i, b := range p.Pretokenizers {
		one, err := parsePart(b)
		if err != nil {
			return nil, err
		}
		s, err := parseSplit(one, i == len(p.Pretokenizers)-1)
		if err != nil {
			return nil, err
		}
		all = all.then(s)
	}
	return all, nil
}

// parseSplit reads one step; the last is ByteLevel, no other is.
func parseSplit(p part, last bool) (splitter, error) {
	if last != (p.Type == "ByteLevel") {
		return nil, fmt.Errorf("type %q is not supported here; ByteLevel comes last, and only there", p.Type)
	}
	switch p.Type {
	case "ByteLevel":
		switch {
		case p.AddPrefixSpace == nil || *p.AddPrefixSpace: // true is the format's default
			return nil, errors.New("type \"ByteLevel\" with add_prefix_space is not supported")
		case p.UseRegex == nil || *p.UseRegex:
			return splitGPT2, nil
		}
		return func(s string, lo, hi int, visit func(lo, hi int)) error {
			visit(lo, hi)
			return nil
		}, nil
	case "Digits":
		return splitDigits(p.Individual), nil
	case "Split":
		return parsePattern(p)
	}
	return nil, p.refuse()
}

// parsePattern reads a Split step: cut where the pattern matches, or, with
// Removed and invert, keep the matches only.
func parsePattern(p part) (splitter, error) {
	if p.Behavior != "Isolated" && p.Behavior != "Removed" || p.Behavior == "Removed" != p.Invert {
		return nil, fmt.Errorf("type \"Split\" with behavior %q and invert %v is not supported; Isolated is", p.Behavior, p.Invert)
	}
	var pattern string
	switch {
	case p.Pattern.Regex != nil:
		pattern = *p.Pattern.Regex
	case p.Pattern.String != nil:
		pattern = regexp2.Escape(*p.Pattern.String)
	default:
		return nil, errors.New("type \"Split\" has no pattern")
	}
	switch pattern { // these match every character, so nothing is dropped
	case gpt2Pattern:
		return splitGPT2, nil
	case qwenPattern:
		return splitQwen(1), nil
	case llamaPattern:
		return splitQwen(3), nil
	}
	re, err := regexp2.Compile(pattern, regexp2.OptionMaxBacktrackingStackSize(-1))
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", pattern, err)
	}
	return splitRegexp(re, p.Invert, patternLimit), nil
}

// patternLimit bounds the time that a pattern may take for one text. Backtracking
// takes time without bound: exponential for some patterns, quadratic for more.
const patternLimit = 20 * time.Second

// splitRegexp cuts at every match; what lies between two matches is a word
// too, unless it is dropped. Classes such as \p{L} are those of the standard
// library's Unicode version here, not those of the reference. Matching
// backtracks, as the reference does, until a text has taken limit.
func splitRegexp(re *regexp2.Regexp, drop bool, limit time.Duration) splitter {
	re.MatchTimeout = limit
	return func(s string, lo, hi int, visit func(lo, hi int)) error {
		deadline, late := time.Now().Add(limit), false
		done, at, passed := lo, lo, 0 // at is the byte after the characters passed
		skip := func(n int) int {
			for ; passed < n; passed++ {
				_, w := utf8.DecodeRuneInString(s[at:hi])
				at += w
			}
			return at
		}
		err := re.FindRunesMatches([]rune(s[lo:hi]), 0, func(m regexp2.MatchView) bool {
			index, length, _ := m.GroupRange(0)
			from := skip(index)
			to := skip(index + length)
			if from > done && !drop {
				visit(done, from)
			}
			if to > from {
				visit(from, to)
			}
			done, late = to, time.Now().After(deadline)
			return !late
		})
		if err != nil || late { // what the error says holds the whole text
			return fmt.Errorf("split pattern %q takes more than %v for a text of %d bytes", re, limit, hi-lo)
		}
		if hi > done && !drop {
			visit(done, hi)
		}
		return nil
	}
}

// splitDigits isolates digits, one by one or runs of them.
func splitDigits(individual bool) splitter {
	return func(s string, lo, hi int, visit func(lo, hi int)) error {
		t := classes()
		word, digit := lo, false // the word that is open, and what it is made of
		for i := lo; i < hi; {
			r, n := runeAt(s, i, hi)
			d := t.entry(r)&digitFlag != 0
			if i > word && (d != digit || d && individual) {
				visit(word, i)
				word = i
			}
			digit = d
			i += n
		}
		if hi > word {
			visit(word, hi)
		}
		return nil
	}
}

// runeAt decodes the character at s[i], with n = 0 at the end.
func runeAt(s string, i, hi int) (r rune, n int) {
	if i >= hi {
		return utf8.RuneError, 0
	}
	if c := s[i]; c < utf8.RuneSelf {
		return rune(c), 1
	}
	return utf8.DecodeRuneInString(s[i:hi])
}

// run returns the end of the characters of class c from i on.
func run(s string, i, hi int, c class) int {
	t := classes()
	for i < hi {
		r, n := runeAt(s, i, hi)
		if t.of(r) != c {
			break
		}
		i += n
	}
	return i
}

// spaceRun returns the end of the white space from i on, the start of its last
// character, and the end of its last line break, -1 without one.
func spaceRun(s string, i, hi int) (end, last, line int) {
	t := classes()
	end, last, line = i, i, -1
	for end < hi {
		r, n := runeAt(s, end, hi)
		if t.of(r) != space {
			break
		}
		last = end
		end += n
		if r == '\n' || r == '\r' {
			line = end
		}
	}
	return end, last, line
}

// splitQwen is qwenPattern and, with three digits, llamaPattern.
func splitQwen(maxDigits int) splitter {
	return func(s string, lo, hi int, visit func(lo, hi int)) error {
		t := classes()
		for i := lo; i < hi; {
			end := nextQwen(t, s, i, hi, maxDigits)
			visit(i, end)
			i = end
		}
		return nil
	}
}

// nextQwen returns the end of the word that begins at i; the alternatives of
// the pattern in their order.
func nextQwen(t *classTable, s string, i, hi, maxDigits int) int {
	r, n := runeAt(s, i, hi)
	// (?i:'s|'t|'re|'ve|'m|'ll|'d)
	if r == '\'' {
		if end := contraction(s, i, hi, true); end > 0 {
			return end
		}
	}
	// [^\r\n\p{L}\p{N}]?\p{L}+
	c := t.of(r)
	if c == letter {
		return run(s, i+n, hi, letter)
	}
	if c != number && r != '\r' && r != '\n' {
		if end := run(s, i+n, hi, letter); end > i+n {
			return end
		}
	}
	// \p{N} or \p{N}{1,3}
	if c == number {
		for end, k := i+n, 1; ; k++ {
			r, n := runeAt(s, end, hi)
			if n == 0 || k == maxDigits || t.of(r) != number {
				return end
			}
			end += n
		}
	}
	//  ?[^\s\p{L}\p{N}]+[\r\n]*
	from := i
	if r == ' ' {
		from++
	}
	if end := run(s, from, hi, other); end > from {
		for end < hi && (s[end] == '\r' || s[end] == '\n') {
			end++
		}
		return end
	}
	// \s*[\r\n]+|\s+(?!\S)|\s+
	end, last, line := spaceRun(s, i, hi)
	switch {
	case line > 0:
		return line
	case end < hi && last > i:
		return last
	}
	return end
}

// splitGPT2 is gpt2Pattern.
func splitGPT2(s string, lo, hi int, visit func(lo, hi int)) error {
	t := classes()
	for i := lo; i < hi; {
		end := nextGPT2(t, s, i, hi)
		visit(i, end)
		i = end
	}
	return nil
}

func nextGPT2(t *classTable, s string, i, hi int) int {
	r, _ := runeAt(s, i, hi)
	// 's|'t|'re|'ve|'m|'ll|'d
	if r == '\'' {
		if end := contraction(s, i, hi, false); end > 0 {
			return end
		}
	}
	//  ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+
	from := i
	if r == ' ' {
		from++
	}
	if r, n := runeAt(s, from, hi); n > 0 {
		if c := t.of(r); c != space {
			return run(s, from+n, hi, c)
		}
	}
	// \s+(?!\S)|\s+
	end, last, _ := spaceRun(s, i, hi)
	if end < hi && last > i {
		return last
	}
	return end
}

// contraction returns the end of an English contraction at s[i], which is an
// apostrophe, or 0. With fold upper case counts, and U+017F, the long s, which
// folds to s.
func contraction(s string, i, hi int, fold bool) int {
	r, n := runeAt(s, i+1, hi)
	r2, _ := runeAt(s, i+1+n, hi)
	if n == 0 {
		return 0
	}
	if fold {
		if r == 'ſ' {
			return i + 1 + n
		}
		r, r2 = lower(r), lower(r2)
	}
	switch {
	case r == 's' || r == 't' || r == 'm' || r == 'd':
		return i + 2
	case r == 'r' && r2 == 'e' || r == 'v' && r2 == 'e' || r == 'l' && r2 == 'l':
		return i + 3
	}
	return 0
}

// lower folds ASCII.
func lower(r rune) rune {
	if r >= 'A' && r <= 'Z' {
		r += 'a' - 'A'
	}
	return r
}
