package table

import (
	"errors"
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
)

// numberText writes a number as Options.Texts has it.
func numberText(v any) string {
	s := ""
	switch x := v.(type) {
	case int64:
		return strconv.FormatInt(x, 10)
	case uint64:
		return strconv.FormatUint(x, 10)
	case float32:
		s = strconv.FormatFloat(float64(x), 'f', -1, 32)
	case float64:
		s = strconv.FormatFloat(x, 'f', -1, 64)
	case number:
		s = string(x)
		if strings.ContainsAny(s, ".eE") {
			f, err := strconv.ParseFloat(s, 64)
			if err != nil {
				return s // beyond the range of floats
			}
			s = strconv.FormatFloat(f, 'f', -1, 64)
		}
	}
	switch s {
	case "-0":
		return "0"
	case "+Inf":
		return "Infinity"
	case "-Inf":
		return "-Infinity"
	}
	return s
}

// exactInt returns a number that has an integral value as an integer.
func exactInt(v any) (*big.Int, error) {
	var f float64
	switch x := v.(type) {
	case int64:
		return big.NewInt(x), nil
	case uint64:
		return new(big.Int).SetUint64(x), nil
	case number:
		return x.integer()
	case float32:
		f = float64(x)
	case float64:
		f = x
	default:
		return nil, faultf(WrongType, "is %s, not an integer", kindOf(v))
	}
	if math.IsInf(f, 0) || f != math.Trunc(f) { // NaN differs from itself
		return nil, faultf(WrongType, "%v is not an integer", f)
	}
	i, _ := big.NewFloat(f).Int(nil)
	return i, nil
}

// integer returns the exact value of a number as it is written, which may be an
// integer with a fraction of zeros or an exponent.
func (n number) integer() (*big.Int, error) {
	text, negative := strings.CutPrefix(string(n), "-")
	exponent := int64(0)
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		// What is out of range becomes the end of the range, and is so below.
		exponent, _ = strconv.ParseInt(text[i+1:], 10, 32)
		text = text[:i]
	}
	whole, fraction, _ := strings.Cut(text, ".")
	exponent -= int64(len(fraction))
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return new(big.Int), nil
	}
	significant := strings.TrimRight(digits, "0")
	exponent += int64(len(digits) - len(significant))
	switch {
	case exponent < 0:
		return nil, faultf(WrongType, "%.40s is not an integer", n)
	case int64(len(significant))+exponent > 20:
		return nil, faultf(WrongType, "%.40s does not fit 64 bits", n)
	}
	i, _ := new(big.Int).SetString(significant+strings.Repeat("0", int(exponent)), 10)
	if negative {
		i.Neg(i)
	}
	return i, nil
}

func asInt(v any) (int64, error) {
	switch x := v.(type) { // without the detour of big integers
	case int64:
		return x, nil
	case number:
		if i, err := strconv.ParseInt(string(x), 10, 64); err == nil {
			return i, nil
		}
	}
	i, err := exactInt(v)
	if err == nil && !i.IsInt64() {
		err = faultf(WrongType, "%s does not fit int64", i)
	}
	if err != nil {
		return 0, err
	}
	return i.Int64(), nil
}

func asUint(v any) (uint64, error) {
	i, err := exactInt(v)
	if err == nil && !i.IsUint64() {
		err = faultf(WrongType, "%s does not fit uint64", i)
	}
	if err != nil {
		return 0, err
	}
	return i.Uint64(), nil
}

// mantissa is how many bits a float of that size has for an integer.
var mantissa = map[int]int{32: 24, 64: 53}

// exactly reports whether a float of size bits holds the magnitude of an integer.
func exactly(magnitude uint64, size int) bool {
	return bits.Len64(magnitude)-bits.TrailingZeros64(magnitude) <= mantissa[size]
}

// magnitude is the absolute value of i.
func magnitude(i int64) uint64 {
	if i < 0 {
		return -uint64(i)
	}
	return uint64(i)
}

// nonFinite are the floats that JSON lacks, as JSON writers spell them.
var nonFinite = map[string]float64{"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1)}

// asFloat returns a number as a float of size bits. Decimals, as JSON has them,
// become the nearest one; binary numbers must be exact.
func asFloat(v any, size int) (float64, error) {
	switch x := v.(type) {
	case float32:
		return float64(x), nil
	case float64:
		if size == 32 && float64(float32(x)) != x && !math.IsNaN(x) {
			return 0, faultf(WrongType, "%v does not fit float32", x)
		}
		return x, nil
	case int64:
		if !exactly(magnitude(x), size) {
			return 0, faultf(WrongType, "%d does not fit float%d", x, size)
		}
		return float64(x), nil
	case uint64:
		if !exactly(x, size) {
			return 0, faultf(WrongType, "%d does not fit float%d", x, size)
		}
		return float64(x), nil
	case number:
		f, err := strconv.ParseFloat(string(x), size)
		if errors.Is(err, strconv.ErrRange) {
			return 0, faultf(WrongType, "%.40s is out of range", x)
		}
		return f, nil
	case string:
		if f, ok := nonFinite[x]; ok {
			return f, nil
		}
	}
	return 0, faultf(WrongType, "is %s, not a number", kindOf(v))
}
