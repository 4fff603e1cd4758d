package token

import (
	"fmt"
	"slices"
)

// Encode returns the ids of text. Added tokens, the special ones included, are
// recognised wherever they are written; nothing else is added. It fails only
// where the tokenizer splits by a pattern that none of the supported families
// has, and that pattern takes too long for the text.
func (t *Tokenizer) Encode(text string) ([]int32, error) { return t.EncodeGuarded(text, nil) }

// EncodeGuarded is [Tokenizer.Encode] for text in which some byte ranges [lo, hi)
// came from elsewhere: no added token is recognised that overlaps one, so that
// nobody who writes part of a prompt can write its control tokens. The ranges
// are in ascending order. Words are split as if there were no ranges.
func (t *Tokenizer) EncodeGuarded(text string, plain [][2]int) ([]int32, error) {
	e := encoder{t: t, ids: make([]int32, 0, len(text)/3+8), plain: plain}
	err := e.text(text)
	return e.ids, err
}

// EncodeOffsets returns with each id the byte range [lo, hi) of text that it
// stands for. Where normalisation changed a sequence of combining characters, a
// token stands for the characters that the reference aligns its own to: of those
// that were composed to one, the first. So some bytes may belong to no token, and
// tokens that share a character may share bytes.
func (t *Tokenizer) EncodeOffsets(text string) (ids []int32, spans [][2]int, err error) {
	e := encoder{t: t, spans: [][2]int{}}
	err = e.text(text)
	return e.ids, e.spans, err
}

// encoder is one run of an encoding.
type encoder struct {
	t     *Tokenizer
	ids   []int32
	plain [][2]int
	spans [][2]int // nil where they are not asked for
	err   error    // of the first word that could not be split off
}

func (e *encoder) text(s string) error {
	e.t.raw.find(s, e.blocked(0, nil), func(lo, hi int, id int32) {
		if id >= 0 {
			e.emit(id, lo, hi)
			return
		}
		text, regions := s[lo:hi], []region(nil)
		if e.t.nfc {
			text, regions = compose(text)
		}
		e.normalised(text, lo, regions)
	})
	if e.err != nil {
		return fmt.Errorf("encode: %w", e.err)
	}
	return nil
}

// normalised encodes a piece of normalised text whose source begins at byte base.
func (e *encoder) normalised(s string, base int, regions []region) {
	if len(e.t.normal.list) == 0 {
		e.words(s, 0, base, regions)
		return
	}
	e.t.normal.find(s, e.blocked(base, regions), func(lo, hi int, id int32) {
		if id >= 0 {
			from, to := aligned(regions, lo, hi)
			e.emit(id, base+from, base+to)
			return
		}
		e.words(s[lo:hi], lo, base, regions)
	})
}

// words encodes s, which begins at byte from of the normalised piece.
func (e *encoder) words(s string, from, base int, regions []region) {
	if e.err != nil {
		return
	}
	t := e.t
	e.err = t.split(s, 0, len(s), func(lo, hi int) {
		n := len(e.ids)
		e.ids = t.word(e.ids, s[lo:hi])
		if e.spans == nil {
			return
		}
		at := lo
		for _, id := range e.ids[n:] {
			end := t.consume(s, at, len(t.bytes[id]))
			for t.gaps && t.single[s[at]] < 0 {
				at++ // dropped before the token
			}
			a, b := aligned(regions, from+at, from+end)
			e.spans = append(e.spans, [2]int{base + a, base + b})
			at = end
		}
	})
}

// consume returns the end of the n bytes of s from at on that have tokens.
func (t *Tokenizer) consume(s string, at, n int) int {
	if !t.gaps {
		return at + n
	}
	for ; n > 0; at++ {
		if t.single[s[at]] >= 0 {
			n--
		}
	}
	return at
}

func (e *encoder) emit(id int32, lo, hi int) {
	e.ids = append(e.ids, id)
	if e.spans != nil {
		e.spans = append(e.spans, [2]int{lo, hi})
	}
}

// blocked returns a test for whether bytes [lo, hi) of a normalised piece
// overlap a plain range.
func (e *encoder) blocked(base int, regions []region) func(lo, hi int) bool {
	if len(e.plain) == 0 {
		return nil
	}
	return func(lo, hi int) bool {
		lo, hi = source(regions, lo, hi)
		lo, hi = base+lo, base+hi
		i, _ := slices.BinarySearchFunc(e.plain, lo, func(r [2]int, lo int) int {
			if r[1] <= lo {
				return -1
			}
			return 1
		})
		return i < len(e.plain) && e.plain[i][0] < hi && e.plain[i][0] < e.plain[i][1]
	}
}

// source maps bytes [lo, hi) of a composed text to all of the source that had a
// part in them.
func source(regions []region, lo, hi int) (int, int) {
	from, _ := origin(regions, lo, false)
	_, to := origin(regions, hi-1, false)
	return from, to
}

// aligned maps them to the part that the reference gives them.
func aligned(regions []region, lo, hi int) (int, int) {
	from, _ := origin(regions, lo, true)
	_, to := origin(regions, hi-1, true)
	return from, to
}

// find returns the index of the first region that ends behind byte i.
func find(regions []region, i int) int {
	k, _ := slices.BinarySearchFunc(regions, i, func(r region, i int) int {
		if r.hi <= i {
			return -1
		}
		return 1
	})
	return k
}

// origin returns the bytes of the source that byte i stands for, in a region
// those of its character or of the whole.
func origin(regions []region, i int, char bool) (lo, hi int) {
	k := find(regions, i)
	if k < len(regions) && regions[k].lo <= i {
		r := &regions[k]
		if char {
			r = &r.chars[find(r.chars, i)]
		}
		return r.srcLo, r.srcHi
	}
	shift := 0
	if k > 0 {
		shift = regions[k-1].srcHi - regions[k-1].hi
	}
	return i + shift, i + shift + 1
}
