package filter

import (
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/parser"
	"leat/broker/fault"
)

// LoopPartsMax is how many parts with loops an expression is cut into; with more it stays whole, under one CostMax.
const LoopPartsMax = 4

// CompileCEL compiles an expression to a Predicate. It means what Compile means, error for error. What compares one field with constants is
// done by the tree (comparisons, in, startsWith, endsWith, contains, has, and && || ! over these); what is more stays CEL, part by part. The same text gives
// the same Predicate while it is in the cache.
func CompileCEL(expr string) (*Predicate, error) {
	if p, ok := pushed.get(expr); ok {
		return p, nil
	}
	p, err := compileCEL(expr)
	if err != nil {
		return nil, err
	}
	return pushed.put(p), nil
}

func compileCEL(expr string) (*Predicate, error) {
	env, checked, err := check(expr)
	if err != nil {
		return nil, err
	}
	c := celCompiler{env: env, ast: checked}
	root, err := c.node(checked.Expr())
	if err == nil && c.loops > LoopPartsMax {
		c = celCompiler{env: env, ast: checked}
		root, err = c.stay(checked.Expr())
	}
	if err != nil {
		return nil, err
	}
	return &Predicate{root: root, text: expr, clauses: clausesOf(expr, root), fields: c.fields, uses: c.uses}, nil
}

type celCompiler struct {
	env    *cel.Env
	ast    *ast.AST
	fields fieldSet
	uses   map[string]bool
	loops  int
}

// stay makes a clause of a part that is left to CEL.
func (c *celCompiler) stay(e ast.Expr) (node, error) {
	part := ast.NewCheckedAST(ast.NewAST(e, c.ast.SourceInfo()), c.ast.TypeMap(), c.ast.ReferenceMap())
	program, err := plan(c.env, part)
	if err != nil {
		return nil, err
	}
	if c.uses == nil {
		c.uses = map[string]bool{}
	}
	for name := range usedNames(part) {
		c.uses[name] = true
	}
	if loops(part) {
		c.loops++
	}
	return &celNode{program: program, text: c.text(e)}, nil
}

// text gives a part as its author may have written it.
func (c *celCompiler) text(e ast.Expr) string {
	s, err := parser.Unparse(e, c.ast.SourceInfo())
	if err != nil { // a loop has no text any more
		return "a part with a loop"
	}
	return s
}

func (c *celCompiler) node(e ast.Expr) (node, error) {
	if e.Kind() == ast.LiteralKind {
		if b, ok := e.AsLiteral().(types.Bool); ok {
			return always(b), nil
		}
	}
	if e.Kind() == ast.SelectKind && e.AsSelect().IsTestOnly() {
		return c.has(e)
	}
	if f, ok := c.field(e); ok && f.From != FromAttribute { // those are never bools
		return c.on(f, &celCompare{op: celIsTrue}, e), nil
	}
	if e.Kind() != ast.CallKind {
		return c.stay(e)
	}
	call := e.AsCall()
	args := call.Args()
	switch call.FunctionName() {
	case operators.LogicalAnd, operators.LogicalOr:
		kids := make([]node, 0, len(args))
		for _, a := range args {
			n, err := c.node(a)
			if err != nil {
				return nil, err
			}
			kids = append(kids, n)
		}
		if call.FunctionName() == operators.LogicalOr {
			return one(kids), nil
		}
		return all(kids), nil
	case operators.LogicalNot:
		n, err := c.node(args[0])
		return not{n}, err
	}
	if n, ok := c.compare(e, call); ok {
		return n, nil
	}
	return c.stay(e)
}

// has reports whether a member is there; of what is not itself there that is an error, which CEL words best.
func (c *celCompiler) has(e ast.Expr) (node, error) {
	s := e.AsSelect()
	if o := s.Operand(); o.Kind() == ast.IdentKind && o.AsIdent() == "headers" {
		f := Field{From: FromHeader, Name: s.FieldName()}
		return c.on(f, &celCompare{op: celHas}, e), nil
	}
	return c.stay(e)
}

// field finds what a part names: an attribute, headers.x, data.x.y, headers["x"] or data["x"].
func (c *celCompiler) field(e ast.Expr) (Field, bool) {
	switch e.Kind() {
	case ast.IdentKind:
		switch name := strings.TrimPrefix(e.AsIdent(), "."); name {
		case "id", "source", "type", "subject", "stream", "key", "partition", "offset":
			return Field{From: FromAttribute, Name: name}, true
		}
	case ast.SelectKind:
		if s := e.AsSelect(); !s.IsTestOnly() {
			return c.member(s.Operand(), s.FieldName())
		}
	case ast.CallKind:
		if call := e.AsCall(); call.FunctionName() == operators.Index && call.Args()[1].Kind() == ast.LiteralKind {
			if name, ok := call.Args()[1].AsLiteral().(types.String); ok {
				return c.member(call.Args()[0], string(name))
			}
		}
	}
	return Field{}, false
}

func (c *celCompiler) member(of ast.Expr, name string) (Field, bool) {
	if of.Kind() == ast.IdentKind {
		switch strings.TrimPrefix(of.AsIdent(), ".") {
		case "headers":
			return Field{From: FromHeader, Name: name}, true
		case "data":
			return Field{From: FromData, Name: name}, !strings.Contains(name, "\x00")
		}
		return Field{}, false
	}
	f, ok := c.field(of)
	if !ok || f.From != FromData || strings.Contains(name, "\x00") {
		return Field{}, false
	}
	f.Name = DataPath(f.Name, name)
	return f, true
}

// exactIntMax is below which integers and doubles compare in CEL as they do in the tree: CEL makes a double of an integer.
const exactIntMax = 1 << 53

func celConstant(e ast.Expr) (Value, bool) {
	if e.Kind() != ast.LiteralKind {
		return Value{}, false
	}
	var v Value
	switch l := e.AsLiteral().(type) {
	case types.String:
		return TextValue(string(l)), true
	case types.Bool:
		return BoolValue(bool(l)), true
	case types.Null:
		return NullValue(), true
	case types.Int:
		v = IntValue(int64(l))
	case types.Double:
		v = FloatValue(float64(l))
	default:
		return Value{}, false
	}
	f := asFloat(v)
	return v, f > -exactIntMax && f < exactIntMax
}

var celOps = map[string]celOp{operators.Equals: celEqual, operators.NotEquals: celNotEqual, operators.Less: celLess,
	operators.LessEquals: celLessEqual, operators.Greater: celGreater, operators.GreaterEquals: celGreaterEqual}

var celMirrored = map[celOp]celOp{celEqual: celEqual, celNotEqual: celNotEqual, celLess: celGreater, celLessEqual: celGreaterEqual,
	celGreater: celLess, celGreaterEqual: celLessEqual}

var celTextOps = map[string]celOp{"startsWith": celPrefix, "endsWith": celSuffix, "contains": celContains}

// compare makes a clause of a field against constants.
func (c *celCompiler) compare(e ast.Expr, call ast.CallExpr) (node, bool) {
	n := &celCompare{}
	var f Field
	var is, constants bool
	args := call.Args()
	if op, ok := celOps[call.FunctionName()]; ok {
		n.op = op
		n.values = make([]Value, 1)
		if f, is = c.field(args[0]); is {
			n.values[0], constants = celConstant(args[1])
		} else if f, is = c.field(args[1]); is {
			n.values[0], constants = celConstant(args[0])
			n.op = celMirrored[op]
		}
	} else if op, ok := celTextOps[call.FunctionName()]; ok && call.IsMemberFunction() && len(args) == 1 {
		n.op = op
		n.values = make([]Value, 1)
		f, is = c.field(call.Target())
		n.values[0], constants = celConstant(args[0])
		constants = constants && n.values[0].Kind == Text
	} else if call.FunctionName() == operators.In && args[1].Kind() == ast.ListKind {
		n.op = celIn
		f, is = c.field(args[0])
		constants = len(args[1].AsList().OptionalIndices()) == 0
		for _, m := range args[1].AsList().Elements() {
			v, ok := celConstant(m)
			n.values, constants = append(n.values, v), constants && ok
		}
	}
	if !is || !constants {
		return nil, false
	}
	return c.on(f, n, e), true
}

// on says which field a clause is about.
func (c *celCompiler) on(f Field, n *celCompare, e ast.Expr) *celCompare {
	n.field, n.text = c.fields.number(f), c.text(e)
	n.missing = fault.New(fault.Invalid, "match", "where", "no such key: %s", f)
	return n
}

type celOp uint8

const (
	celEqual celOp = iota
	celNotEqual
	celLess
	celLessEqual
	celGreater
	celGreaterEqual
	celIn
	celPrefix
	celSuffix
	celContains
	celHas
	celIsTrue
)

// celCompare is a field against constants, by CEL's rules: what is not there is an error, values of other types differ and have no order.
type celCompare struct {
	op      celOp
	field   int
	values  []Value
	text    string
	missing error // what to say of an event without the field
}

func (n *celCompare) kids() []node   { return nil }
func (n *celCompare) String() string { return n.text }

func (n *celCompare) found(x *Extract, at []int) string {
	f := at[n.field]
	return x.list[f].String() + " is " + x.value(f).String()
}

var errNoOverload = fault.New(fault.Invalid, "match", "where", "no such overload: the value is of another type")

func (n *celCompare) judge(x *Extract, at []int) truth {
	f := at[n.field]
	v := x.value(f)
	switch {
	case n.op == celHas:
		return truthOf(v.Kind != Missing)
	case v.Kind == Missing:
		return x.unknown(n.missing)
	case v.Kind == Unreadable:
		return x.unknown(errUnreadable)
	}
	switch n.op {
	case celEqual:
		return truthOf(v.same(n.values[0]))
	case celNotEqual:
		return truthOf(!v.same(n.values[0]))
	case celIn:
		return truthOf(slices.ContainsFunc(n.values, v.same))
	case celIsTrue:
		if v.Kind == Bool {
			return truthOf(v.bool())
		}
	case celPrefix, celSuffix, celContains:
		if v.Kind == Text {
			return truthOf(n.holdsText(v.text))
		}
	default:
		if order, ok := v.compare(n.values[0]); ok {
			return truthOf(orderOps[n.op].holds(order))
		}
	}
	return x.unknown(errNoOverload)
}

var orderOps = [...]compareOp{celLess: opLess, celLessEqual: opLessEqual, celGreater: opGreater, celGreaterEqual: opGreaterEqual}

func (n *celCompare) holdsText(s string) bool {
	switch n.op {
	case celPrefix:
		return strings.HasPrefix(s, n.values[0].text)
	case celSuffix:
		return strings.HasSuffix(s, n.values[0].text)
	}
	return strings.Contains(s, n.values[0].text)
}

// celNode is a part that is left to CEL.
type celNode struct {
	program cel.Program
	text    string
}

func (n *celNode) kids() []node                 { return nil }
func (n *celNode) found(*Extract, []int) string { return "" }
func (n *celNode) String() string               { return n.text }

func (n *celNode) judge(x *Extract, _ []int) truth {
	ok, err := evaluate(n.program, x.in)
	if err != nil {
		return x.unknown(err)
	}
	return truthOf(ok)
}
