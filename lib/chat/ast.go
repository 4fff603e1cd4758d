package chat

// Nodes of the syntax tree. The tree is immutable once parsed.

type expr interface{ lineNo() int }

type stmt interface{ lineNo() int }

// pos is the line of a node.
type pos int

func (p pos) lineNo() int { return int(p) }

type (
	constExpr struct {
		pos
		v value
	}
	nameExpr struct {
		pos
		name string
	}
	listExpr struct {
		pos
		items []expr
	}
	tupleExpr struct {
		pos
		items []expr
	}
	dictExpr struct {
		pos
		keys, vals []expr
	}
	unaryExpr struct { // - +
		pos
		op string
		x  expr
	}
	binaryExpr struct { // + - * / // % **
		pos
		op   string
		l, r expr
	}
	boolExpr struct { // and or
		pos
		or   bool
		l, r expr
	}
	notExpr struct {
		pos
		x expr
	}
	compareExpr struct { // a < b <= c, "in" and "not in" among the operators
		pos
		first expr
		ops   []string
		xs    []expr
	}
	concatExpr struct { // a ~ b ~ c
		pos
		xs []expr
	}
	condExpr struct { // a if test else b; b may be nil
		pos
		test, a, b expr
	}
	attrExpr struct { // x.name
		pos
		x    expr
		name string
	}
	itemExpr struct { // x[i]
		pos
		x, i expr
	}
	sliceExpr struct { // parts may be nil
		pos
		lo, hi, step expr
	}
	callExpr struct {
		pos
		fn   expr
		args callArgs
	}
	filterExpr struct { // x is nil for the filter of a block
		pos
		x    expr
		name string
		args callArgs
	}
	testExpr struct {
		pos
		x    expr
		name string
		args callArgs
	}
	fieldExpr struct { // name.attr as a target of set
		pos
		name, attr string
	}
)

type callArgs struct {
	pos         []expr
	names       []string
	named       []expr
	star, dstar expr // *args, **kwargs
}

type (
	outputStmt struct {
		pos
		x expr
	}
	ifStmt struct {
		pos
		tests     []expr // if, elif ...
		bodies    [][]stmt
		otherwise []stmt
	}
	forStmt struct {
		pos
		target    expr
		iter      expr
		test      expr // nil: all items
		recursive bool
		body      []stmt
		otherwise []stmt
	}
	setStmt struct {
		pos
		target expr
		x      expr
	}
	setBlockStmt struct {
		pos
		target expr
		filter expr // nil: none
		body   []stmt
	}
	macroStmt struct {
		pos
		*macroDef
	}
	callStmt struct { // call block: the body is what caller() renders
		pos
		call   *callExpr
		caller *macroDef
	}
	filterStmt struct {
		pos
		filter expr
		body   []stmt
	}
	withStmt struct {
		pos
		targets []expr
		values  []expr
		body    []stmt
	}
	scopeStmt struct { // generation block
		pos
		body []stmt
	}
	leaveStmt struct { // break, continue
		pos
		sig signal
	}
	unsupportedStmt struct { // an error once it is executed
		pos
		tag string
	}
)

// macroDef is a macro, or the body of a call block.
type macroDef struct {
	name     string
	params   []string
	defaults []expr // of the last parameters
	body     []stmt
	// Whether the body reads the special variables, which are not parameters.
	caller, varargs, kwargs bool
}
