package token

import "unicode/utf8"

// The alphabet of byte-level BPE writes each byte as a printable character:
// printable Latin-1 as itself, the 68 others as U+0100 and on (GPT-2's table).

// byteOf[c] is the byte that character c stands for, or -1.
var byteOf = alphabet()

func alphabet() (bytes [256 + 68]int16) {
	for i := range bytes {
		bytes[i] = -1
	}
	next := rune(256)
	for b := range rune(256) {
		c := b
		if b <= ' ' || b >= 0x7f && b <= 0xa0 || b == 0xad {
			c = next
			next++
		}
		bytes[c] = int16(b)
	}
	return bytes
}

// appendBytes appends the bytes that the characters of s stand for; ok is
// false, and dst as it was, when one is not of the alphabet.
func appendBytes(dst, s []byte) (out []byte, ok bool) {
	n := len(dst)
	for i := 0; i < len(s); {
		r, w := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, w = utf8.DecodeRune(s[i:])
		}
		if int(r) >= len(byteOf) || byteOf[r] < 0 {
			return dst[:n], false
		}
		dst = append(dst, byte(byteOf[r]))
		i += w
	}
	return dst, true
}
