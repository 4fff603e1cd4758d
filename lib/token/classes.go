package token

import "sync"

// class is what a split pattern asks of a character.
type class uint8

const (
	other class = iota
	letter
	number
	space
)

// classTable holds the class of each code point in its low two bits, and flags.
type classTable struct {
	page  [0x110000 >> 8]uint8 // which of pages
	pages [][256]uint8
}

const (
	classMask     = 3
	digitFlag     = 4
	composingFlag = 8
)

func (t *classTable) entry(r rune) uint8 { return t.pages[t.page[r>>8]][r&0xff] }
func (t *classTable) of(r rune) class    { return class(t.entry(r) & classMask) }

// classes returns the table, which it makes from the ranges the first time.
var classes = sync.OnceValue(func() *classTable {
	var flat [0x110000]uint8
	set := func(ranges [][2]rune, bits uint8) {
		for _, r := range ranges {
			for c := r[0]; c <= r[1]; c++ {
				flat[c] |= bits
			}
		}
	}
	set(letters, uint8(letter))
	set(numbers, uint8(number))
	set(spaces, uint8(space))
	set(digits, digitFlag)
	set(composing, composingFlag)
	t := &classTable{}
	seen := map[[256]uint8]uint8{}
	for p := range t.page {
		page := [256]uint8(flat[p<<8:])
		i, ok := seen[page]
		if !ok {
			i = uint8(len(t.pages))
			seen[page] = i
			t.pages = append(t.pages, page)
		}
		t.page[p] = i
	}
	return t
})

// spaces are the code points of \s: Unicode's White_Space.
var spaces = [][2]rune{
	{'\t', '\r'}, {' ', ' '}, {0x85, 0x85}, {0xa0, 0xa0}, {0x1680, 0x1680}, {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f},
	{0x205f, 0x205f}, {0x3000, 0x3000},
}
