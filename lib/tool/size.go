package tool

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes as a flag takes it: 800M, 1.5G, 2T, or plain bytes.
// The letters are powers of 1024.
type Size int64

// Set reads a size, for package flag.
func (s *Size) Set(text string) error {
	number, unit := strings.TrimSuffix(strings.ToUpper(text), "B"), 1.0
	if i := strings.IndexAny(number, "KMGT"); i >= 0 && i == len(number)-1 {
		unit = math.Pow(1024, float64(1+strings.IndexByte("KMGT", number[i])))
		number = number[:i]
	}
	n, err := strconv.ParseFloat(number, 64)
	if n *= unit; err != nil || !(n >= 1 && n < 1<<62) {
		return fmt.Errorf("%q is no size such as 800M or 1.5G", text)
	}
	*s = Size(n)
	return nil
}

// String writes the size with the largest unit that leaves at least 1 of it.
func (s Size) String() string {
	n, unit := float64(s), ""
	for _, u := range []string{"K", "M", "G", "T"} {
		if n < 1024 {
			break
		}
		n, unit = n/1024, u
	}
	return strconv.FormatFloat(n, 'g', 4, 64) + unit
}
