package expr

import (
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// digits of constants, from the OEIS (A000796, A002162)
const (
	piDigits  = "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211706798214808651"
	ln2Digits = "0.693147180559945309417232121458176568075500134360255254120680009493393621969694715605863326996418687"
)

func TestConstants(t *testing.T) {
	for digits, x := range map[string]*big.Float{piDigits: piFloat(), ln2Digits: ln2Float()} {
		want, _, err := big.ParseFloat(digits, 10, 400, big.ToNearestEven)
		require.NoError(t, err)
		d := newFloat(400).Sub(x, want)
		require.Less(t, d.MantExp(nil), -320, digits)
	}
}

// The elementary functions agree with float64 to its precision, and with
// themselves at more digits to all that they promise.
func TestElementaryFunctions(t *testing.T) {
	functions := map[string]struct {
		f    func(x *big.Float, prec uint) *big.Float
		g    func(float64) float64
		from float64
	}{
		"exp": {expFloat, math.Exp, -50}, "log": {logFloat, math.Log, 1e-9}, "atan": {atanFloat, math.Atan, -50},
		"sin": {func(x *big.Float, p uint) *big.Float { s, _ := sinCosFloat(x, p); return s }, math.Sin, -50},
		"cos": {func(x *big.Float, p uint) *big.Float { _, c := sinCosFloat(x, p); return c }, math.Cos, -50},
	}
	for name, c := range functions {
		rapid.Check(t, func(t *rapid.T) {
			v := rapid.Float64Range(c.from, 50).Draw(t, "x")
			x := newFloat(firstPrec).SetFloat64(v)
			low, high := c.f(x, firstPrec), c.f(x, maxPrec)
			got, _ := low.Float64()
			require.InDelta(t, c.g(v), got, 1e-14*math.Max(1, math.Abs(c.g(v))), name)
			d := newFloat(firstPrec).Sub(low, high)
			if d.Sign() != 0 {
				require.Less(t, d.MantExp(nil), max(high.MantExp(nil), 0)-firstPrec+errorBits, "%s(%v)", name, v)
			}
		})
	}
}

// A ball holds the exact result whatever is done to exact numbers.
func TestBallsHoldTheirValue(t *testing.T) {
	f := field{64}
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) *big.Rat {
			return big.NewRat(rapid.Int64().Draw(t, name), rapid.Int64Range(1, math.MaxInt64).Draw(t, name+"/"))
		}
		exact := draw("a")
		b := f.rat(exact)
		for range rapid.IntRange(1, 12).Draw(t, "operations") {
			r := draw("b")
			switch rapid.IntRange(0, 3).Draw(t, "operation") {
			case 0:
				exact, b = new(big.Rat).Add(exact, r), f.add(b, f.rat(r))
			case 1:
				exact, b = new(big.Rat).Mul(exact, r), f.mul(b, f.rat(r))
			case 2:
				if q, ok := f.quo(b, f.rat(r)); ok {
					exact, b = new(big.Rat).Quo(exact, r), q
				}
			case 3:
				exact, b = new(big.Rat).Neg(exact), f.neg(b)
			}
		}
		mid, _ := b.x.Rat(nil)
		radius := new(big.Rat)
		if b.r.m != 0 {
			newFloat(64).SetMantExp(big.NewFloat(b.r.m), b.r.e).Rat(radius)
		}
		gap := new(big.Rat).Sub(exact, mid)
		require.True(t, gap.Abs(gap).Cmp(radius) <= 0, "%v is not within %v of %v", exact, radius, mid)
		below, above := magRat(b.below()), magRat(b.above())
		abs := new(big.Rat).Abs(exact)
		require.True(t, below.Cmp(abs) <= 0 && abs.Cmp(above) <= 0)
	})
}

func magRat(m mag) *big.Rat {
	r := new(big.Rat)
	if m.m != 0 {
		newFloat(64).SetMantExp(big.NewFloat(m.m), m.e).Rat(r)
	}
	return r
}
