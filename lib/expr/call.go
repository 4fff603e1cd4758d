package expr

import "math/big"

// known are the functions that have values. Others are compared by name and
// arguments.
var known = set(`\sqrt \abs \exp \ln \log \sin \cos \tan \cot \sec \csc \arcsin \arccos \arctan \arccot \arcsec \arccsc \sinh \cosh \tanh \coth \sech \csch ! !! \binom \lfloor \lceil \bmod \max \min \gcd \lcm \sgn`)

var trigonometric = set(`\sin \cos \tan \cot \sec \csc`)

// call evaluates a function.
func (c *calculator) call(n *Node) (value, error) {
	switch n.Name {
	case `\sum`, `\prod`:
		if v, ok, err := c.series(n); ok || err != nil {
			return v, err
		}
	case `\sqrt`:
		v, degree, err := c.two(n.Args)
		if err != nil {
			return value{}, err
		}
		inv, err := c.inverse(degree)
		if err != nil {
			return value{}, err
		}
		return c.pow(v, inv, n.Args[1].IsConstant())
	}
	outer := c.degrees
	c.degrees = trigonometric[n.Name]
	args := make([]value, len(n.Args))
	for i, a := range n.Args {
		var err error
		if args[i], err = c.eval(a); err != nil {
			return value{}, err
		}
	}
	c.degrees = outer
	switch {
	case !known[n.Name]:
		return c.unknown(n.Name, args...), nil
	case len(args) == 1:
		return c.unary(n.Name, args[0])
	case len(args) == 2 && n.Name == `\log`:
		return c.logarithm(args[0], args[1])
	}
	return c.rational(n.Name, args)
}

func (c *calculator) unary(name string, v value) (value, error) {
	switch name {
	case `\exp`:
		return c.exp(v)
	case `\ln`:
		return c.log(v)
	case `\log`:
		return c.logarithm(v, whole(10))
	case `\abs`:
		return c.abs(v)
	case "!", "!!", `\lfloor`, `\lceil`, `\max`, `\min`, `\gcd`, `\lcm`, `\sgn`:
		return c.rational(name, []value{v})
	}
	if err := c.transcendental(); err != nil {
		return value{}, err
	}
	if name[1] == 'a' {
		return c.arc(name, v)
	}
	if name[len(name)-1] == 'h' {
		return c.hyperbolic(name, v)
	}
	return c.trigonometric(name, v)
}

// logarithm is that of v to a base.
func (c *calculator) logarithm(v, base value) (value, error) {
	l, err := c.log(v)
	if err != nil {
		return value{}, err
	}
	b, err := c.log(base)
	if err != nil {
		return value{}, err
	}
	return c.quo(l, b)
}

func (c *calculator) abs(v value) (value, error) {
	if r, ok := asReal(v); ok {
		if s, _ := signOf(r); s < 0 {
			return c.neg(r), nil
		}
		return r, nil
	}
	if v.infinite != 0 {
		return value{infinite: 1}, nil
	}
	r, ok := c.f.sqrt(c.f.add(c.f.mul(v.re, v.re), c.f.mul(v.im, v.im)))
	if !ok {
		return value{}, errUndefined
	}
	return value{re: r}, nil
}

func (c *calculator) trigonometric(name string, v value) (value, error) {
	if v.rat != nil && v.rat.Sign() == 0 {
		switch name {
		case `\sin`, `\tan`:
			return v, nil
		case `\cos`, `\sec`:
			return whole(1), nil
		}
		return value{}, errUndefined
	}
	sin, cos, err := c.sinCos(v)
	if err != nil {
		return value{}, err
	}
	switch name {
	case `\sin`:
		return sin, nil
	case `\cos`:
		return cos, nil
	case `\tan`:
		return c.quo(sin, cos)
	case `\cot`:
		return c.quo(cos, sin)
	case `\sec`:
		return c.inverse(cos)
	}
	return c.inverse(sin)
}

// sinCos uses e^(iz) for complex arguments.
func (c *calculator) sinCos(v value) (sin, cos value, err error) {
	if v.infinite != 0 {
		return value{}, value{}, errUndefined
	}
	if r, ok := asReal(v); ok {
		re, _ := c.parts(r)
		s, co, ok := c.f.sinCos(re)
		if !ok {
			return value{}, value{}, ErrLimit
		}
		return value{re: s}, value{re: co}, nil
	}
	// sin(x+iy) = sin x cosh y + i cos x sinh y, cos(x+iy) = cos x cosh y - i sin x sinh y
	s, co, ok := c.f.sinCos(v.re)
	if !ok {
		return value{}, value{}, ErrLimit
	}
	sh, ch, err := c.sinhCosh(value{re: v.im})
	if err != nil {
		return value{}, value{}, err
	}
	sin = value{re: c.f.mul(s, ch.re), im: c.f.mul(co, sh.re), complex: true}
	cos = value{re: c.f.mul(co, ch.re), im: c.f.neg(c.f.mul(s, sh.re)), complex: true}
	return sin, cos, nil
}

// sinhCosh returns balls for a real argument.
func (c *calculator) sinhCosh(v value) (sinh, cosh value, err error) {
	p, err := c.exp(v)
	if err != nil {
		return
	}
	q, err := c.exp(c.neg(v))
	if err != nil {
		return
	}
	half := value{rat: big.NewRat(1, 2)}
	if cosh, err = c.add(p, q); err != nil {
		return
	}
	if sinh, err = c.add(p, c.neg(q)); err != nil {
		return
	}
	if cosh, err = c.mul(cosh, half); err != nil {
		return
	}
	sinh, err = c.mul(sinh, half)
	return
}

func (c *calculator) hyperbolic(name string, v value) (value, error) {
	if v.infinite != 0 {
		return value{}, errUndefined
	}
	sinh, cosh, err := c.sinhCosh(v)
	if err != nil {
		return value{}, err
	}
	switch name {
	case `\sinh`:
		return sinh, nil
	case `\cosh`:
		return cosh, nil
	case `\tanh`:
		return c.quo(sinh, cosh)
	case `\coth`:
		return c.quo(cosh, sinh)
	case `\sech`:
		return c.inverse(cosh)
	}
	return c.inverse(sinh)
}

// arc evaluates the inverse functions of a real argument.
func (c *calculator) arc(name string, v value) (value, error) {
	if name == `\arcsec` || name == `\arccsc` {
		inv, err := c.inverse(v)
		if err != nil {
			return value{}, err
		}
		v = inv
		name = map[string]string{`\arcsec`: `\arccos`, `\arccsc`: `\arcsin`}[name]
	}
	half := c.f.mul(c.f.pi(), c.f.rat(big.NewRat(1, 2)))
	if v.infinite != 0 {
		if name != `\arctan` {
			return value{}, errUndefined
		}
		if v.infinite < 0 {
			half = c.f.neg(half)
		}
		return value{re: half}, nil
	}
	v, ok := asReal(v)
	if !ok {
		return value{}, errUndefined
	}
	switch name {
	case `\arctan`, `\arccot`:
		re, _ := c.parts(v)
		a := c.f.atan(re)
		if name == `\arccot` {
			a = c.f.add(half, c.f.neg(a))
		}
		return value{re: a}, nil
	}
	a, err := c.arcsin(v, half)
	if err != nil {
		return value{}, err
	}
	if name == `\arccos` {
		a = c.f.add(half, c.f.neg(a))
	}
	return value{re: a}, nil
}

// arcsin is atan(x / sqrt(1 - x^2)), and half of pi, with its sign, at the ends.
func (c *calculator) arcsin(v value, half ball) (ball, error) {
	square, err := c.mul(v, v)
	if err != nil {
		return ball{}, err
	}
	rest, err := c.add(whole(1), c.neg(square))
	if err != nil {
		return ball{}, err
	}
	x, _ := c.parts(v)
	if isZero(rest) {
		if r, _ := c.parts(rest); r.above().m != 0 { // arcsin(1-d) is pi/2 - sqrt(2d) and less
			half.r = half.r.plus(r.above().sqrt().times(mag{0.5, 2}))
		}
		if x.x.Sign() < 0 {
			half = c.f.neg(half)
		}
		return half, nil
	}
	r, _ := c.parts(rest)
	root, ok := c.f.sqrt(r)
	if !ok {
		return ball{}, errUndefined
	}
	q, ok := c.f.quo(x, root)
	if !ok {
		return ball{}, errUndefined
	}
	return c.f.atan(q), nil
}

const (
	maxFactorial = 500
	maxBinomial  = 2000
	maxTerms     = 2000 // of a sum
)

// rational evaluates the functions of integers and rationals.
func (c *calculator) rational(name string, args []value) (value, error) {
	if name == `\lfloor` || name == `\lceil` {
		return c.floor(args[0], name == `\lceil`)
	}
	if name == `\sgn` {
		s, ok := signOf(args[0])
		if !ok {
			return value{}, errUndefined
		}
		return whole(int64(s)), nil
	}
	var rs []*big.Rat
	for _, a := range args {
		if a.rat == nil {
			return c.unknown(name, args...), nil
		}
		rs = append(rs, a.rat)
	}
	switch name {
	case `\max`, `\min`:
		best := rs[0]
		for _, r := range rs[1:] {
			if r.Cmp(best) > 0 == (name == `\max`) {
				best = r
			}
		}
		return value{rat: best}, nil
	case `\gcd`, `\lcm`:
		return c.divisors(name, rs)
	case `\binom`:
		if len(rs) == 2 {
			return c.binomial(rs[0], rs[1])
		}
	case `\bmod`:
		if len(rs) == 2 && rs[0].IsInt() && rs[1].IsInt() && rs[1].Sign() > 0 {
			return c.exact(new(big.Rat).SetInt(new(big.Int).Mod(rs[0].Num(), rs[1].Num())))
		}
	case "!", "!!":
		if len(rs) == 1 {
			return c.factorial(rs[0], name == "!!")
		}
	}
	return value{}, errUndefined
}

func (c *calculator) factorial(r *big.Rat, double bool) (value, error) {
	if !r.IsInt() || r.Sign() < 0 {
		return value{}, errUndefined
	}
	if !r.Num().IsInt64() || r.Num().Int64() > maxFactorial {
		return value{}, ErrLimit
	}
	n := r.Num().Int64()
	if err := c.w.Spend(int(n)); err != nil {
		return value{}, err
	}
	if !double {
		return c.exact(new(big.Rat).SetInt(new(big.Int).MulRange(1, n)))
	}
	out := big.NewInt(1)
	for ; n > 1; n -= 2 {
		out.Mul(out, big.NewInt(n))
	}
	return c.exact(new(big.Rat).SetInt(out))
}

func (c *calculator) binomial(n, k *big.Rat) (value, error) {
	if !n.IsInt() || !k.IsInt() || n.Sign() < 0 {
		return value{}, errUndefined
	}
	if !n.Num().IsInt64() || n.Num().Int64() > maxBinomial || !k.Num().IsInt64() {
		return value{}, ErrLimit
	}
	if err := c.w.Spend(int(n.Num().Int64())); err != nil {
		return value{}, err
	}
	return c.exact(new(big.Rat).SetInt(new(big.Int).Binomial(n.Num().Int64(), k.Num().Int64())))
}

func (c *calculator) divisors(name string, rs []*big.Rat) (value, error) {
	out := new(big.Int)
	for i, r := range rs {
		if !r.IsInt() || r.Sign() <= 0 {
			return value{}, errUndefined
		}
		switch g := new(big.Int).GCD(nil, nil, out, r.Num()); {
		case i == 0:
			out.Set(r.Num())
		case name == `\gcd`:
			out = g
		default:
			out.Mul(out, new(big.Int).Quo(r.Num(), g))
		}
	}
	return c.exact(new(big.Rat).SetInt(out))
}

// floor rounds down, or up; a ball that holds an integer is taken for it.
func (c *calculator) floor(v value, up bool) (value, error) {
	if up {
		out, err := c.floor(c.neg(v), false)
		if err != nil {
			return value{}, err
		}
		return c.neg(out), nil
	}
	v, ok := asReal(v)
	switch {
	case !ok:
		return value{}, errUndefined
	case v.rat != nil:
		return c.exact(new(big.Rat).SetInt(new(big.Int).Div(v.rat.Num(), v.rat.Denom()))) // Euclidean: rounds down
	case size(v.re.x).e > maxSinBits || v.re.r.e > -10:
		return value{}, ErrLimit
	}
	n := nearest(v.re.x)
	d := c.f.add(v.re, c.f.rat(new(big.Rat).SetInt64(-n)))
	if !d.holdsZero() && d.x.Sign() < 0 {
		n--
	}
	return whole(n), nil
}

// series adds or multiplies over an index with integral bounds; false if the
// bounds are none.
func (c *calculator) series(n *Node) (value, bool, error) {
	body, index := n.Args[0], n.Args[1]
	from, to, err := c.two(n.Args[2:])
	if err != nil {
		return value{}, false, err
	}
	if from.rat == nil || to.rat == nil || index.Name == `\none` {
		return value{}, false, nil
	}
	if !from.rat.IsInt() || !to.rat.IsInt() {
		return value{}, true, errUndefined
	}
	if !from.rat.Num().IsInt64() || !to.rat.Num().IsInt64() {
		return value{}, true, ErrLimit
	}
	a, b := from.rat.Num().Int64(), to.rat.Num().Int64()
	if b-a > maxTerms {
		return value{}, true, ErrLimit
	}
	saved := c.bound
	defer func() { c.bound = saved }()
	out, op := whole(0), c.add
	if n.Name == `\prod` {
		out, op = whole(1), c.mul
	}
	for k := a; k <= b; k++ {
		c.bound = map[string]*big.Rat{index.Name: new(big.Rat).SetInt64(k)}
		for name, r := range saved {
			if name != index.Name {
				c.bound[name] = r
			}
		}
		v, err := c.eval(body)
		if err != nil {
			return value{}, true, err
		}
		if out, err = op(out, v); err != nil {
			return value{}, true, err
		}
	}
	return out, true, nil
}
