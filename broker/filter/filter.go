package filter

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"

	"leat/broker/fault"
)

// Limits of an expression.
const (
	ExprBytesMax = 4096
	ExprDepthMax = 64     // of nesting
	CostMax      = 100000 // of one match, in CEL's units, for expressions that loop
	CacheMax     = 1024   // compiled expressions kept
)

// Names are what an expression may speak of.
var Names = []string{"id", "source", "type", "subject", "time", "data", "headers", "stream", "key", "partition", "offset"}

// Filter is a compiled expression. It is safe for many goroutines.
type Filter struct {
	expr    string
	program cel.Program
	uses    map[string]bool
	errs    atomic.Uint64
}

// String is the expression as it was given.
func (f *Filter) String() string { return f.expr }

// Uses reports whether the expression speaks of that name, so that a caller can leave out what no filter looks at.
func (f *Filter) Uses(name string) bool { return f.uses[name] }

// Errors is how many events could not be judged since the filter was compiled.
func (f *Filter) Errors() uint64 { return f.errs.Load() }

// Match reports whether the event is wanted. An error (a field that is not there, a value of another type, a cost over CostMax) is no
// match, is counted, and says why in words for the author of the expression.
func (f *Filter) Match(in *Input) (bool, error) {
	ok, err := evaluate(f.program, in)
	if err != nil {
		f.errs.Add(1)
	}
	return ok, err
}

func evaluate(program cel.Program, in *Input) (bool, error) {
	out, _, err := program.Eval(in)
	if err != nil {
		return false, fault.New(fault.Invalid, "match", "where", "%s", strings.TrimPrefix(err.Error(), "evaluation error: "))
	}
	if b, ok := out.(types.Bool); ok {
		return bool(b), nil
	}
	return false, fault.New(fault.Invalid, "match", "where", "it gave a %s where true or false was expected", out.Type().TypeName())
}

// environment is what every expression is checked against.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("id", cel.StringType),
		cel.Variable("source", cel.StringType),
		cel.Variable("type", cel.StringType),
		cel.Variable("subject", cel.StringType),
		cel.Variable("time", cel.TimestampType),
		cel.Variable("data", cel.DynType),
		cel.Variable("headers", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("stream", cel.StringType),
		cel.Variable("key", cel.StringType),
		cel.Variable("partition", cel.IntType),
		cel.Variable("offset", cel.IntType),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(ExprBytesMax),
		cel.ParserRecursionLimit(ExprDepthMax),
	)
})

// Compile checks an expression and makes it ready. The same text gives the same Filter while it is in the cache, so that a thousand
// followers with one filter share its program. An expression that is wrong is Invalid, with Subject "where" and the place in the text.
func Compile(expr string) (*Filter, error) {
	if f, ok := compiled.get(expr); ok {
		return f, nil
	}
	f, err := compile(expr)
	if err != nil {
		return nil, err
	}
	return compiled.put(f), nil
}

func compile(expr string) (*Filter, error) {
	env, checked, err := check(expr)
	if err != nil {
		return nil, err
	}
	f := &Filter{expr: expr, uses: usedNames(checked)}
	f.program, err = plan(env, checked)
	return f, err
}

// check reads an expression and says what is wrong with it.
func check(expr string) (*cel.Env, *ast.AST, error) {
	if len(expr) > ExprBytesMax {
		return nil, nil, fault.New(fault.Invalid, "compile", "where", "it has %d bytes; an expression has at most %d", len(expr), ExprBytesMax)
	}
	env, err := environment()
	if err != nil {
		return nil, nil, fault.New(fault.Internal, "compile", "where", "filters are not available").From(err)
	}
	checked, issues := env.Compile(expr)
	if issues.Err() != nil {
		return nil, nil, explain(issues)
	}
	if t := checked.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, nil, fault.New(fault.Invalid, "compile", "where", "it gives a value of type %s where true or false is needed", t)
	}
	return env, checked.NativeRep(), nil
}

// plan makes an expression, or a part of one, ready.
func plan(env *cel.Env, checked *ast.AST) (cel.Program, error) {
	opts := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if loops(checked) {
		opts = append(opts, cel.CostLimit(CostMax)) // counting costs more than most expressions do: only where it can matter
	}
	program, err := env.PlanProgram(checked, opts...)
	if err != nil {
		return nil, fault.New(fault.Invalid, "compile", "where", "%v", err)
	}
	return program, nil
}

// issuesMax is how many mistakes one refusal names.
const issuesMax = 3

// explain says what is wrong and where, without the drawing that cel-go makes for terminals.
func explain(issues *cel.Issues) error {
	var b strings.Builder
	errs := issues.Errors()
	for i, e := range errs[:min(len(errs), issuesMax)] {
		if i > 0 {
			b.WriteString("; ")
		}
		if e.Location.Line() > 0 {
			fmt.Fprintf(&b, "line %d, column %d: ", e.Location.Line(), e.Location.Column()+1)
		}
		b.WriteString(strings.TrimSuffix(e.Message, " (in container '')"))
	}
	return fault.New(fault.Invalid, "compile", "where", "%s", b.String())
}

// loops reports whether the expression has a macro such as exists or map.
func loops(a *ast.AST) bool {
	return len(ast.MatchDescendants(ast.NavigateAST(a), ast.KindMatcher(ast.ComprehensionKind))) > 0
}

func usedNames(a *ast.AST) map[string]bool {
	uses := map[string]bool{}
	for _, e := range ast.MatchDescendants(ast.NavigateAST(a), ast.KindMatcher(ast.IdentKind)) {
		uses[strings.TrimPrefix(e.AsIdent(), ".")] = true
	}
	return uses
}
