package answer

import (
	"strconv"
	"strings"
)

func plainInt(n int64) string { return strconv.FormatInt(n, 10) }

// groupedInt writes n with a comma before each three digits.
func groupedInt(n int64) string {
	s := plainInt(n)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}
