package chat

import (
	"math"
	"math/big"
)

// maxIntBits bounds integers; Python prints none beyond 4300 digits either.
const maxIntBits = 14284

// normInt returns an integer value in its normal form.
func normInt(i *big.Int) value {
	if i.IsInt64() {
		return i.Int64()
	}
	return i
}

// bigValue takes a *big.Int of a caller as a value.
func bigValue(v any) (value, bool) {
	if i, ok := v.(*big.Int); ok && i != nil && i.BitLen() <= maxIntBits {
		return normInt(i), true
	}
	return nil, false
}

// integer returns an int or bool as a big integer.
func integer(v value) (*big.Int, bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return big.NewInt(1), true
		}
		return new(big.Int), true
	case int64:
		return big.NewInt(v), true
	case *big.Int:
		return v, true
	}
	return nil, false
}

// float returns any number as a float, an error where an integer is too large.
func float(v value) (float64, error) {
	switch v := v.(type) {
	case float64:
		return v, nil
	case int64:
		return float64(v), nil
	}
	i, ok := integer(v)
	if !ok {
		return 0, typeErrf("must be real number, not %s", typeName(v))
	}
	f, _ := new(big.Float).SetInt(i).Float64()
	if math.IsInf(f, 0) {
		return 0, typeErrf("int too large to convert to float")
	}
	return f, nil
}

// index returns an integer argument.
func index(v value) (int64, error) {
	switch v := v.(type) {
	case int64:
		return v, nil
	case *undefined:
		return 0, v.fail()
	}
	i, ok := integer(v)
	if !ok {
		return 0, typeErrf("'%s' object cannot be interpreted as an integer", typeName(v))
	}
	if !i.IsInt64() {
		return 0, typeErrf("Python int too large to convert to C ssize_t")
	}
	return i.Int64(), nil
}

// arith applies + - * / // % ** to numbers.
func arith(op string, a, b value) (value, error) {
	x, okX := integer(a)
	y, okY := integer(b)
	if okX && okY {
		return intArith(op, x, y)
	}
	f, err := float(a)
	if err != nil {
		return nil, err
	}
	g, err := float(b)
	if err != nil {
		return nil, err
	}
	return floatArith(op, f, g)
}

func intArith(op string, x, y *big.Int) (value, error) {
	z := new(big.Int)
	switch op {
	case "+":
		z.Add(x, y)
	case "-":
		z.Sub(x, y)
	case "*":
		z.Mul(x, y)
	case "/":
		if y.Sign() == 0 {
			return nil, typeErrf("division by zero")
		}
		f, _ := new(big.Rat).SetFrac(x, y).Float64()
		if x.Sign() == 0 && y.Sign() < 0 {
			f = math.Copysign(0, -1)
		}
		if math.IsInf(f, 0) {
			return nil, typeErrf("integer division result too large for a float")
		}
		return f, nil
	case "//", "%":
		if y.Sign() == 0 {
			return nil, typeErrf("integer division or modulo by zero")
		}
		m := new(big.Int)
		z.QuoRem(x, y, m)
		if m.Sign() != 0 && m.Sign() != y.Sign() { // round down, not to 0
			z.Sub(z, big.NewInt(1))
			m.Add(m, y)
		}
		if op == "%" {
			z = m
		}
	case "**":
		if y.Sign() < 0 {
			f, err := float(normInt(x))
			if err != nil {
				return nil, err
			}
			g, err := float(normInt(y))
			if err != nil {
				return nil, err
			}
			return floatArith(op, f, g)
		}
		if x.BitLen() > 1 && (!y.IsInt64() || y.Int64() > maxIntBits || y.Int64()*int64(x.BitLen()-1) > maxIntBits) {
			return nil, typeErrf("integer of more than %d bits", maxIntBits)
		}
		if x.BitLen() <= 1 { // -1, 0, 1: the exponent may be of any size
			y = new(big.Int).Add(new(big.Int).And(y, big.NewInt(1)), big.NewInt(2*int64(min(1, y.BitLen()))))
		}
		z.Exp(x, y, nil)
	}
	if z.BitLen() > maxIntBits {
		return nil, typeErrf("integer of more than %d bits", maxIntBits)
	}
	return normInt(z), nil
}

func floatArith(op string, f, g float64) (value, error) {
	switch op {
	case "+":
		return f + g, nil
	case "-":
		return f - g, nil
	case "*":
		return f * g, nil
	case "**":
		z := math.Pow(f, g)
		switch {
		case f == 0 && g < 0:
			return nil, typeErrf("zero to a negative power")
		case f < 0 && g != math.Trunc(g) && !math.IsInf(f, 0):
			return nil, typeErrf("complex numbers are not supported")
		case math.IsInf(z, 0) && !math.IsInf(f, 0) && !math.IsInf(g, 0):
			return nil, typeErrf("numerical result out of range")
		}
		return z, nil
	}
	if g == 0 {
		return nil, typeErrf("float division by zero")
	}
	if op == "/" {
		return f / g, nil
	}
	m := math.Mod(f, g)
	d := (f - m) / g
	if m != 0 {
		if (g < 0) != (m < 0) {
			m += g
			d--
		}
	} else {
		m = math.Copysign(0, g)
	}
	if op == "%" {
		return m, nil
	}
	if d == 0 {
		return math.Copysign(0, f/g), nil
	}
	floor := math.Floor(d)
	if d-floor > 0.5 {
		floor++
	}
	return floor, nil
}

// compareNumbers returns -1, 0 or 1, exactly also between ints and floats, and
// ok false where one is not a number (NaN).
func compareNumbers(a, b value) (c int, ok bool) {
	x, err := exact(a)
	if err {
		return 0, false
	}
	y, err := exact(b)
	if err {
		return 0, false
	}
	return x.Cmp(y), true
}

// exact returns a number without rounding; nan reports that there is none.
func exact(v value) (f *big.Float, nan bool) {
	if g, ok := v.(float64); ok {
		if math.IsNaN(g) {
			return nil, true
		}
		return big.NewFloat(g), false
	}
	i, _ := integer(v)
	return new(big.Float).SetInt(i), false
}

// roundFloat is Python's round(f, n): half to even, on the exact decimal value.
func roundFloat(f float64, n int64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) || n > 323 {
		return f
	}
	if n < -308 {
		return math.Copysign(0, f)
	}
	scale := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(max(n, -n)), nil))
	r := new(big.Rat)
	r.SetFloat64(f)
	if n < 0 {
		scale.Inv(scale)
	}
	q := roundRat(r.Mul(r, scale))
	r.SetInt(q)
	out, _ := r.Quo(r, scale).Float64()
	return math.Copysign(out, f)
}

// roundRat rounds to the nearest integer, half to even.
func roundRat(r *big.Rat) *big.Int {
	two := big.NewInt(2)
	num := new(big.Int).Add(new(big.Int).Mul(r.Num(), two), r.Denom()) // 2 num + den
	den := new(big.Int).Mul(r.Denom(), two)
	q, m := new(big.Int).DivMod(num, den, new(big.Int)) // floor(r + 1/2)
	if m.Sign() == 0 && q.Bit(0) == 1 {
		q.Sub(q, big.NewInt(1))
	}
	return q
}
