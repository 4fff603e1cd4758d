package expr

import (
	"hash/fnv"
	"math/big"
	"strings"
)

// A point gives values to variables.
type point struct {
	number    int   // points of different numbers give different values
	low, high int64 // range of the absolute values, in units of 1/1009, or of 1
	signs     int   // +1 all positive, -1 all negative, 0 mixed
	integral  bool
}

// points are where expressions with variables are compared: around 1 to 5, with
// all signs, small, large, very large, and integers. Later ones are used where
// earlier ones have no value.
var points = []point{
	{0, 1100, 5000, +1, false},
	{1, 1100, 5000, 0, false},
	{2, 100, 900, -1, false},
	{3, 3, 9, +1, true},
	{4, 5000, 40000, +1, false},
	{5, 1e7, 1e9, +1, false},
	{6, 1e7, 1e9, -1, false},
	{7, 1100, 9000, -1, false},
	{8, 100, 900, +1, false},
	{9, 2, 12, +1, true},
	{10, 5, 30, +1, true},
	{11, 1, 6, 0, true},
	{12, 1100, 9000, +1, false},
	{13, 4, 20, +1, true},
	{14, 50, 500, 0, false},
	{15, 6, 25, +1, true},
}

const (
	enough     = 7  // points at which expressions must have values
	least      = 3  // fewest that may do where more have none
	more       = 30 // points that are tried behind the list for those
	enoughStep = 80 // for functions with steps and kinks, which agree on intervals
)

// stepped are the functions that need more points.
var stepped = set(`\lfloor \lceil \abs \max \min \sgn \bmod`)

// pointAt returns the i-th point; behind those of the list integers take turns
// with others.
func pointAt(i int) point {
	if i < len(points) {
		return points[i]
	}
	if i%2 == 0 {
		return point{i, 0, int64(10 * (i - len(points) + 1)), +1, true}
	}
	return point{i, 10, int64(3000 * (i - len(points) + 1)), 0, false}
}

// of returns the value of a name: always the same for the same name.
func (p point) of(name string) *big.Rat {
	h := hash(name, p.number)
	n := p.low + int64(h%uint64(p.high-p.low+1))
	if p.signs < 0 || p.signs == 0 && h>>60&1 == 1 {
		n = -n
	}
	if p.integral {
		return new(big.Rat).SetInt64(n)
	}
	return big.NewRat(n, 1009)
}

func hash(s string, salt int) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	h.Write([]byte{0, byte(salt)})
	x := h.Sum64()
	x ^= x >> 31 // the high bits of FNV differ little between short names
	x *= 0x9e3779b97f4a7c15
	return x ^ x>>29
}

// unknown is the value of a function that has none of its own: the same for the
// same name and arguments.
func (c *calculator) unknown(name string, args ...value) value {
	var b strings.Builder
	b.WriteString(name)
	for _, a := range args {
		b.WriteByte(';')
		switch {
		case a.rat != nil:
			b.WriteString(a.rat.RatString())
		case a.infinite != 0:
			b.WriteString(map[int]string{1: "oo", -1: "-oo"}[a.infinite])
		default:
			b.WriteString(a.re.name())
			if a.complex && !a.im.holdsZero() {
				b.WriteString("+i" + a.im.name())
			}
		}
	}
	p := point{number: c.point.number, low: 1100, high: 5000}
	return value{rat: p.of(b.String())}
}

func (c *calculator) eval(n *Node) (value, error) {
	if err := c.w.Spend(1); err != nil {
		return value{}, err
	}
	switch n.Kind {
	case Number:
		return value{rat: n.Val}, nil
	case Symbol:
		return c.symbol(n.Name)
	case Add:
		return c.fold(n.Args, c.add)
	case Mul:
		return c.fold(n.Args, c.mul)
	case Div:
		a, b, err := c.two(n.Args)
		if err != nil {
			return value{}, err
		}
		return c.quo(a, b)
	case Neg:
		v, err := c.eval(n.Args[0])
		if err != nil {
			return value{}, err
		}
		return c.neg(v), nil
	case Pow:
		return c.power(n.Args[0], n.Args[1])
	case Percent:
		v, err := c.eval(n.Args[0])
		if err != nil {
			return value{}, err
		}
		return c.mul(v, value{rat: big.NewRat(1, 100)})
	case Quantity:
		v, err := c.eval(n.Args[0])
		if err == nil && c.degrees && n.Name == "degree" {
			v, err = c.mul(v, value{re: c.f.mul(c.f.pi(), c.f.rat(big.NewRat(1, 180)))})
		}
		return v, err
	case Numeral:
		return c.unknown("numeral " + n.Name), nil
	case Sub:
		v, err := c.eval(n.Args[0])
		if err != nil {
			return value{}, err
		}
		return c.unknown(n.Name+"_", v), nil
	case Call:
		return c.call(n)
	}
	return value{}, errUndefined
}

func (c *calculator) symbol(name string) (value, error) {
	if r, ok := c.bound[name]; ok {
		return value{rat: r}, nil
	}
	switch name {
	case `\pi`:
		return value{re: c.f.pi()}, nil
	case "e":
		return c.exp(whole(1))
	case "i":
		return value{re: ball{x: newFloat(c.f.prec)}, im: c.f.rat(big.NewRat(1, 1)), complex: true}, nil
	case `\infty`:
		return value{infinite: 1}, nil
	}
	return value{rat: c.point.of(name)}, nil
}

func (c *calculator) fold(args []*Node, op func(a, b value) (value, error)) (value, error) {
	out, err := c.eval(args[0])
	for _, a := range args[1:] {
		if err != nil {
			return value{}, err
		}
		var v value
		if v, err = c.eval(a); err == nil {
			out, err = op(out, v)
		}
	}
	return out, err
}

func (c *calculator) two(args []*Node) (a, b value, err error) {
	if a, err = c.eval(args[0]); err != nil {
		return
	}
	b, err = c.eval(args[1])
	return
}

func (c *calculator) power(base, exponent *Node) (value, error) {
	b, err := c.eval(exponent)
	if err != nil {
		return value{}, err
	}
	if base.Kind == Symbol && base.Name == "e" {
		return c.exp(b)
	}
	a, err := c.eval(base)
	if err != nil {
		return value{}, err
	}
	return c.pow(a, b, exponent.IsConstant())
}
