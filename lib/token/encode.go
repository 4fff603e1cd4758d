package token

import "slices"

// Encode returns the ids of text. Added tokens, the special ones included, are
// recognised wherever they are written; nothing else is added.
func (t *Tokenizer) Encode(text string) []int32 { return t.EncodeGuarded(text, nil) }

// EncodeGuarded is [Tokenizer.Encode] for text in which some byte ranges [lo, hi)
// came from elsewhere: no added token is recognised that overlaps one, so that
// nobody who writes part of a prompt can write its control tokens. The ranges
// are in ascending order. Words are split as if there were no ranges.
func (t *Tokenizer) EncodeGuarded(text string, plain [][2]int) []int32 {
	e := encoder{t: t, ids: make([]int32, 0, len(text)/3+8), plain: plain}
	e.text(text)
	return e.ids
}

// EncodeOffsets returns with each id the byte range [lo, hi) of text that it
// stands for. Where normalisation changed a sequence of combining characters,
// its tokens stand for the whole sequence.
func (t *Tokenizer) EncodeOffsets(text string) (ids []int32, spans [][2]int) {
	e := encoder{t: t, spans: [][2]int{}}
	e.text(text)
	return e.ids, e.spans
}

// encoder is one run of an encoding.
type encoder struct {
	t     *Tokenizer
	ids   []int32
	plain [][2]int
	spans [][2]int // nil where they are not asked for
}

func (e *encoder) text(s string) {
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
}

// normalised encodes a piece of normalised text whose source begins at byte base.
func (e *encoder) normalised(s string, base int, regions []region) {
	if len(e.t.normal.list) == 0 {
		e.words(s, 0, base, regions)
		return
	}
	e.t.normal.find(s, e.blocked(base, regions), func(lo, hi int, id int32) {
		if id >= 0 {
			from, to := source(regions, lo, hi)
			e.emit(id, base+from, base+to)
			return
		}
		e.words(s[lo:hi], lo, base, regions)
	})
}

// words encodes s, which begins at byte from of the normalised piece.
func (e *encoder) words(s string, from, base int, regions []region) {
	t := e.t
	t.split(s, 0, len(s), func(lo, hi int) {
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
			a, b := source(regions, from+at, from+end)
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

// source maps bytes [lo, hi) of a composed text to its source.
func source(regions []region, lo, hi int) (int, int) {
	from, _ := origin(regions, lo)
	_, to := origin(regions, hi-1)
	return from, to
}

// origin returns the bytes of the source that byte i stands for.
func origin(regions []region, i int) (lo, hi int) {
	k, _ := slices.BinarySearchFunc(regions, i, func(r region, i int) int {
		if r.hi <= i {
			return -1
		}
		return 1
	})
	if k < len(regions) && regions[k].lo <= i {
		return regions[k].srcLo, regions[k].srcHi
	}
	shift := 0
	if k > 0 {
		shift = regions[k-1].srcHi - regions[k-1].hi
	}
	return i + shift, i + shift + 1
}
