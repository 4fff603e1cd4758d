package expr

// maxCells bounds the matrices that are computed with.
const maxCells = 100

var matrices = set("matrix pmatrix bmatrix Bmatrix smallmatrix array vmatrix")

// environment reads behind \begin: a matrix, or a determinant.
func (p *parser) environment() (*Node, error) {
	env, ok := p.environmentName()
	if ok && (env == "cases" || env == "aligned") {
		return p.system(env)
	}
	if !ok || !matrices[env] {
		return nil, ErrSyntax
	}
	if env == "array" && p.eat("{") {
		for !p.eat("}") {
			if p.peek().kind == tokEnd {
				return nil, ErrSyntax
			}
			p.i++
		}
	}
	out := &Node{Kind: Matrix}
	row := &Node{Kind: Tuple, Name: "()"}
	for {
		if p.eat(`\end`) {
			break
		}
		cell, err := p.inner(p.sum)
		if err != nil {
			return nil, err
		}
		row.Args = append(row.Args, cell)
		switch {
		case p.eat("&"):
			continue
		case p.eat(`\\`):
			out.Args = append(out.Args, row)
			row = &Node{Kind: Tuple, Name: "()"}
		case !p.is(`\end`):
			return nil, ErrSyntax
		}
	}
	if len(row.Args) > 0 {
		out.Args = append(out.Args, row)
	}
	if end, ok := p.environmentName(); !ok || end != env || len(out.Args) == 0 {
		return nil, ErrSyntax
	}
	for _, r := range out.Args {
		if len(r.Args) != len(out.Args[0].Args) {
			return nil, ErrSyntax
		}
	}
	if env == "vmatrix" {
		return determinant(out)
	}
	return out, nil
}

// system reads equations one below the other as a list; what stands side by side,
// such as a value and its condition, belongs together.
func (p *parser) system(env string) (*Node, error) {
	out := &Node{Kind: List}
	for !p.eat(`\end`) {
		row := &Node{Kind: Tuple, Name: "()"}
		for {
			n, err := p.inner(p.list)
			if err != nil {
				return nil, err
			}
			row.Args = append(row.Args, n)
			if !p.eat("&") {
				break
			}
			if t := p.peek().text; t == "if" || t == "for" || t == "when" {
				p.i++
			}
		}
		if len(row.Args) == 1 {
			row = row.Args[0]
		}
		out.Args = append(out.Args, row)
		if !p.eat(`\\`) && !p.is(`\end`) {
			return nil, ErrSyntax
		}
	}
	if end, ok := p.environmentName(); !ok || end != env || len(out.Args) == 0 {
		return nil, ErrSyntax
	}
	return out, nil
}

func (p *parser) environmentName() (string, bool) {
	name := p.at(1).text
	if !p.is("{") || p.at(2).text != "}" {
		return "", false
	}
	p.i += 3
	return name, true
}

// determinant expands along the first row, for up to four rows.
func determinant(m *Node) (*Node, error) {
	n := len(m.Args)
	if n != len(m.Args[0].Args) || n > 4 {
		return nil, ErrSyntax
	}
	if n == 1 {
		return m.Args[0].Args[0], nil
	}
	var terms []*Node
	for j := range n {
		minor := &Node{Kind: Matrix}
		for _, row := range m.Args[1:] {
			rest := append(append([]*Node{}, row.Args[:j]...), row.Args[j+1:]...)
			minor.Args = append(minor.Args, &Node{Kind: Tuple, Name: "()", Args: rest})
		}
		d, err := determinant(minor)
		if err != nil {
			return nil, err
		}
		t := times(m.Args[0].Args[j], d)
		if j%2 == 1 {
			t = negative(t)
		}
		terms = append(terms, t)
	}
	return node(Add, terms...), nil
}

func transposed(m *Node) *Node {
	return entries(len(m.Args[0].Args), len(m.Args), func(i, j int) *Node { return m.Args[j].Args[i] })
}

func entries(rows, columns int, at func(i, j int) *Node) *Node {
	out := &Node{Kind: Matrix}
	for i := range rows {
		row := &Node{Kind: Tuple, Name: "()"}
		for j := range columns {
			row.Args = append(row.Args, at(i, j))
		}
		out.Args = append(out.Args, row)
	}
	return out
}

// matrixSum carries out the arithmetic with matrices that n is made of: sums,
// products and multiples. What does not fit stays as it is.
func matrixSum(n *Node) *Node {
	if !n.Any(func(m *Node) bool { return m.Kind == Matrix }) {
		return n
	}
	args := make([]*Node, len(n.Args))
	for i, a := range n.Args {
		args[i] = a
		if a.Kind != Matrix {
			args[i] = matrixSum(a)
		}
	}
	switch n.Kind {
	case Neg:
		if m := args[0]; m.Kind == Matrix {
			return entries(len(m.Args), len(m.Args[0].Args), func(i, j int) *Node { return negative(m.Args[i].Args[j]) })
		}
	case Div:
		if m := args[0]; m.Kind == Matrix && args[1].IsScalar() {
			return entries(len(m.Args), len(m.Args[0].Args), func(i, j int) *Node { return node(Div, m.Args[i].Args[j], args[1]) })
		}
	case Add, Mul:
		out := args[0]
		for _, a := range args[1:] {
			if out = combined(n.Kind, out, a); out == nil {
				return n
			}
		}
		return out
	}
	return n
}

// combined adds or multiplies two factors of which one at least is a matrix; nil
// if they do not fit.
func combined(k Kind, a, b *Node) *Node {
	switch {
	case a.IsScalar() && b.IsScalar():
		return node(k, a, b)
	case a.IsScalar() && b.Kind == Matrix && k == Mul:
		return entries(len(b.Args), len(b.Args[0].Args), func(i, j int) *Node { return times(a, b.Args[i].Args[j]) })
	case b.IsScalar() && a.Kind == Matrix && k == Mul:
		return combined(k, b, a)
	case a.Kind != Matrix || b.Kind != Matrix:
		return nil
	}
	rows, inner, columns := len(a.Args), len(a.Args[0].Args), len(b.Args[0].Args)
	switch {
	case k == Add && rows == len(b.Args) && inner == columns:
		return entries(rows, columns, func(i, j int) *Node { return node(Add, a.Args[i].Args[j], b.Args[i].Args[j]) })
	case k == Mul && inner == len(b.Args) && rows*columns*inner <= maxCells:
		return entries(rows, columns, func(i, j int) *Node {
			terms := make([]*Node, inner)
			for l := range inner {
				terms[l] = times(a.Args[i].Args[l], b.Args[l].Args[j])
			}
			return node(Add, terms...)
		})
	}
	return nil
}
