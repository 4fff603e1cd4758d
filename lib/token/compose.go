package token

import (
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Composition is Unicode's normalization form C, but with the data of Unicode
// 9, which is what the reference has: characters that came later neither
// decompose, reorder nor compose. Data comes from x/text, restricted to the
// characters in composing, whose properties have not changed since. (Its own
// algorithm cannot be used for another reason too: it inserts U+034F into runs
// of more than 30 marks.)

// region says that bytes [lo, hi) of a composed text come from bytes
// [srcLo, srcHi) of its source. Between regions bytes are equal one by one.
type region struct {
	lo, hi, srcLo, srcHi int
	chars                []region // each character, and the one of the source that the reference aligns it to
}

// compose returns the normalised text and the regions where it differs.
func compose(s string) (string, []region) {
	at := norm.NFC.QuickSpanString(s)
	if at == len(s) {
		return s, nil
	}
	// QuickSpan may stop inside a sequence that began before.
	for at > 0 {
		r, n := utf8.DecodeLastRuneInString(s[:at])
		at -= n
		if starts(r) {
			break
		}
	}
	var out strings.Builder
	out.Grow(len(s))
	out.WriteString(s[:at])
	var regions []region
	var seq sequence
	for at < len(s) {
		r, n := utf8.DecodeRuneInString(s[at:])
		end := at + n
		for end < len(s) {
			r, n := utf8.DecodeRuneInString(s[end:])
			if starts(r) {
				break
			}
			end += n
		}
		if end == at+n && (r < utf8.RuneSelf || classes().entry(r)&composingFlag == 0) {
			out.WriteString(s[at:end]) // one character that stays; an ill-formed byte too
			at = end
			continue
		}
		lo := out.Len()
		seq = seq[:0]
		for _, r := range s[at:end] {
			seq.decompose(r)
		}
		seq.order()
		seq.compose()
		for _, m := range seq {
			out.WriteRune(m.r)
		}
		if out.String()[lo:] != s[at:end] {
			regions = append(regions, region{lo, out.Len(), at, end, seq.align(s, lo, at)})
		}
		at = end
	}
	return out.String(), regions
}

// align returns where the reference says that each character comes from: it goes
// along the source and takes for each the next one, of which it then skips as
// many as were composed; what a decomposition added stands where the one before
// does. The sequence begins at byte lo of the composed text, at in the source s.
func (q sequence) align(s string, lo, at int) []region {
	chars := make([]region, 0, len(q))
	last := region{srcLo: at, srcHi: at} // the source character passed last
	for _, m := range q {
		skip := -m.more
		if m.more <= 0 {
			_, n := utf8.DecodeRuneInString(s[at:])
			last.srcLo, last.srcHi = at, at+n
			at += n
		}
		hi := lo + utf8.RuneLen(m.r)
		chars = append(chars, region{lo: lo, hi: hi, srcLo: last.srcLo, srcHi: last.srcHi})
		lo = hi
		for ; skip > 0; skip-- {
			_, n := utf8.DecodeRuneInString(s[at:])
			last.srcLo, last.srcHi = at, at+n
			at += n
		}
	}
	return chars
}

// starts reports whether nothing before r changes with it: it is neither
// reordered nor composed with what precedes it.
func starts(r rune) bool {
	if r < 0x300 || classes().entry(r)&composingFlag == 0 {
		return true
	}
	return norm.NFC.PropertiesString(string(r)).BoundaryBefore()
}

// sequence is a starter and what may combine with it.
type sequence []mark

type mark struct {
	r     rune
	class uint8 // canonical combining class
	more  int   // characters more than the source has: 1 for what a decomposition adds, -1 for each composed
}

// Hangul syllables follow from arithmetic (Unicode 3.12).
const (
	hangulS, hangulL, hangulV, hangulT = 0xac00, 0x1100, 0x1161, 0x11a7
	countL, countV, countT             = 19, 21, 28
)

// decompose appends the full canonical decomposition of r.
func (q *sequence) decompose(r rune) {
	if s := r - hangulS; s >= 0 && s < countL*countV*countT {
		*q = append(*q, mark{r: hangulL + s/(countV*countT)}, mark{r: hangulV + s/countT%countV, more: 1})
		if s%countT > 0 {
			*q = append(*q, mark{r: hangulT + s%countT, more: 1})
		}
		return
	}
	if classes().entry(r)&composingFlag == 0 {
		*q = append(*q, mark{r: r})
		return
	}
	p := norm.NFD.PropertiesString(string(r))
	if d := p.Decomposition(); d != nil {
		more := 0
		for _, r := range string(d) {
			*q = append(*q, mark{r, norm.NFD.PropertiesString(string(r)).CCC(), more})
			more = 1
		}
		return
	}
	*q = append(*q, mark{r: r, class: p.CCC()})
}

// order sorts each run of marks by class, equal ones in their order
// (Unicode 3.11, D109).
func (q sequence) order() {
	for i := 0; i < len(q); i++ {
		from := i
		for i < len(q) && q[i].class > 0 {
			i++
		}
		slices.SortStableFunc(q[from:i], func(a, b mark) int { return int(a.class) - int(b.class) })
	}
}

// compose replaces characters by primary composites (Unicode 3.11, D117).
func (q *sequence) compose() {
	a := *q
	n, starter := 0, -1
	for _, m := range a {
		// m is blocked when something of class 0 or of its own class or more
		// stands between it and the starter.
		if starter >= 0 && (n == starter+1 || a[n-1].class != 0 && a[n-1].class < m.class) {
			if c, ok := composite(a[starter].r, m.r); ok {
				a[starter].r, a[starter].more = c, a[starter].more+m.more-1
				continue
			}
		}
		if m.class == 0 {
			starter = n
		}
		a[n] = m
		n++
	}
	*q = a[:n]
}

// composite returns the primary composite of a and b.
func composite(a, b rune) (rune, bool) {
	if l, v := a-hangulL, b-hangulV; l >= 0 && l < countL && v >= 0 && v < countV {
		return hangulS + (l*countV+v)*countT, true
	}
	if s, t := a-hangulS, b-hangulT; s >= 0 && s < countL*countV*countT && s%countT == 0 && t > 0 && t < countT {
		return a + t, true
	}
	if classes().entry(b)&composingFlag == 0 {
		return 0, false
	}
	c := norm.NFC.String(string(a) + string(b))
	r, n := utf8.DecodeRuneInString(c)
	return r, n == len(c) && classes().entry(r)&composingFlag != 0
}
