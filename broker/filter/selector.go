package filter

import (
	"strings"
	"unicode/utf8"

	"leat/broker/fault"
)

// Limits of a selector.
const (
	SelectorBytesMax = 16 << 10
	SelectorDepthMax = 64
	SelectorListMax  = 1024 // of IN
)

// Dialect is which SQL-92 subset a selector is written in.
//
//	                    Selectors                          Rules
//	names               a.b, "any text", case matters      a, [any text], "any text", sys.a, user.a; the gateway decides about case
//	                                                       (in Decoder)
//	functions           none                               EXISTS(name), property(name), p(name); newid() is refused: chance
//	parameters          none                               @name
//	7 / 2               3.5                                3, as between 64-bit integers
//	0x1F, 5L, 1.5f      numbers                            numbers
//
// Both: three-valued logic, where what is not there is unknown; = <> != < <= > >= between numbers whatever their types and between texts;
// only = and <> between bools; between other pairs a comparison is false, "<>" too. [NOT] BETWEEN, IN, LIKE with ESCAPE, IS NULL;
// + - * / % on numbers, + on texts; keywords in any case.
type Dialect uint8

const (
	Selectors Dialect = iota // of message services with the Java API
	Rules                    // of subscription rules
)

// SelectorOptions say how to read a selector.
type SelectorOptions struct {
	Dialect Dialect
	// Field gives what a name stands for, or an error that says why there is no such name. The name comes with its scope (sys.Label). When
	// nil, names are those of headers, read by Guess.
	Field func(name string) (Field, error)
	// Params are the values of @names.
	Params map[string]Value
}

// CompileSelector reads a condition in SQL. Empty text holds for everything. What is wrong is Invalid and says at which character.
func CompileSelector(text string, o SelectorOptions) (*Predicate, error) {
	if len(text) > SelectorBytesMax {
		return nil, fault.New(fault.Invalid, "selector", "selector", "it has %d bytes; a selector has at most %d", len(text), SelectorBytesMax)
	}
	if !utf8.ValidString(text) {
		return nil, fault.New(fault.Invalid, "selector", "selector", "it is not UTF-8")
	}
	if strings.TrimSpace(text) == "" {
		return &Predicate{root: always(true), text: text}, nil
	}
	p := selectorParser{lexer: lexer{s: text, dialect: o.Dialect}, o: o}
	if err := p.advance(); err != nil {
		return nil, err
	}
	it, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tokenEnd {
		return nil, p.bad(p.tok.at, "the end, AND or OR was expected, and not %s", p.tok.shown())
	}
	root, err := p.condition(it)
	if err != nil {
		return nil, err
	}
	out := &Predicate{root: root, text: text, fields: p.fields}
	if _, ok := root.(all); ok {
		out.clauses = p.clauses // where brackets join more, they say it themselves
	}
	return out, nil
}

// selectorParser climbs precedences: OR, AND, NOT, comparisons, sums, products, signs.
type selectorParser struct {
	lexer
	o      SelectorOptions
	tok    token
	depth  int
	fields fieldSet

	clauses []string // of the last chain of ANDs in no brackets
}

// item is what was read: a condition or a value.
type item struct {
	n  node
	t  term
	at int // where it begins
}

const (
	precOr = iota + 1
	precAnd
	precNot
	precCompare
	precSum
	precProduct
)

func (p *selectorParser) advance() (err error) {
	p.tok, err = p.next()
	return err
}

// word reports whether the token is that keyword.
func (p *selectorParser) word(upper string) bool {
	return p.tok.kind == tokenWord && p.tok.upper == upper
}

func (p *selectorParser) sign(s string) bool { return p.tok.kind == tokenSign && p.tok.text == s }

// take goes behind a keyword or sign if it is next.
func (p *selectorParser) take(is bool) (bool, error) {
	if !is {
		return false, nil
	}
	return true, p.advance()
}

func (p *selectorParser) expect(is bool, what string) error {
	if !is {
		return p.bad(p.tok.at, "%s was expected, and not %s", what, p.tok.shown())
	}
	return p.advance()
}

func (p *selectorParser) condition(it item) (node, error) {
	if it.n != nil {
		return it.n, nil
	}
	switch t := it.t.(type) {
	case fieldTerm:
		return truthNode{t}, nil
	case constTerm:
		if t.v.Kind == Bool {
			return always(t.v.bool()), nil
		}
	}
	return nil, p.bad(it.at, "%s is a value where a condition is needed", clip(it.t.String()))
}

func (p *selectorParser) value(it item) (term, error) {
	if it.t == nil {
		return nil, p.bad(it.at, "a condition stands where a value is needed")
	}
	return it.t, nil
}

func (p *selectorParser) expression(least int) (item, error) {
	if p.depth++; p.depth > SelectorDepthMax {
		return item{}, p.bad(p.tok.at, "it nests deeper than %d", SelectorDepthMax)
	}
	defer func() { p.depth-- }()
	left, err := p.prefix()
	for err == nil {
		prec := p.infix()
		if prec == 0 || prec <= least {
			return left, nil
		}
		switch {
		case prec <= precAnd:
			left, err = p.junction(left, prec)
		case prec == precCompare:
			left, err = p.predicate(left)
		default:
			left, err = p.arithmetic(left, prec)
		}
	}
	return item{}, err
}

// infix is how strongly the next token binds what is before it; 0 is not at all.
func (p *selectorParser) infix() int {
	switch p.tok.kind {
	case tokenWord:
		switch p.tok.upper {
		case "OR":
			return precOr
		case "AND":
			return precAnd
		case "NOT", "BETWEEN", "IN", "LIKE", "IS":
			return precCompare
		}
	case tokenSign:
		switch p.tok.text {
		case "=", "<>", "<", "<=", ">", ">=":
			return precCompare
		case "+", "-":
			return precSum
		case "*", "/", "%":
			return precProduct
		}
	}
	return 0
}

// junction reads a whole chain of one kind, so that a long one is no deep one.
func (p *selectorParser) junction(left item, prec int) (item, error) {
	n, err := p.condition(left)
	parts := []node{n}
	from, outer := left.at, p.depth == 1 && prec == precAnd
	if outer {
		p.clauses = nil
	}
	for err == nil && p.infix() == prec {
		var right item
		if outer {
			p.clauses = append(p.clauses, strings.TrimSpace(p.s[from:p.tok.at]))
			from = p.tok.at + len("AND")
		}
		if err = p.advance(); err != nil {
			break
		}
		if right, err = p.expression(prec); err != nil {
			break
		}
		n, err = p.condition(right)
		parts = append(parts, n)
	}
	if outer {
		p.clauses = append(p.clauses, strings.TrimSpace(p.s[from:min(p.tok.at, len(p.s))]))
	}
	if prec == precOr {
		return item{n: one(parts), at: left.at}, err
	}
	return item{n: all(parts), at: left.at}, err
}

func (p *selectorParser) arithmetic(left item, prec int) (item, error) {
	op := p.tok.text[0]
	a, err := p.value(left)
	if err != nil {
		return item{}, err
	}
	if err := p.advance(); err != nil {
		return item{}, err
	}
	right, err := p.expression(prec)
	if err != nil {
		return item{}, err
	}
	b, err := p.value(right)
	return item{t: &arithTerm{op: op, a: a, b: b, whole: p.o.Dialect == Rules}, at: left.at}, err
}

func (p *selectorParser) prefix() (item, error) {
	t := p.tok
	if err := p.advance(); err != nil {
		return item{}, err
	}
	switch t.kind {
	case tokenText:
		return item{t: constTerm{TextValue(t.text)}, at: t.at}, nil
	case tokenNumber:
		return item{t: constTerm{t.value}, at: t.at}, nil
	case tokenQuoted:
		return p.name(t.text, t.at)
	case tokenParam:
		v, ok := p.o.Params[t.text]
		if !ok {
			return item{}, p.bad(t.at, "there is no parameter @%s", clip(t.text))
		}
		return item{t: constTerm{v}, at: t.at}, nil
	case tokenWord:
		return p.wordPrefix(t)
	case tokenSign:
		return p.signPrefix(t)
	}
	return item{}, p.bad(t.at, "a name, a value or a condition was expected, and not %s", t.shown())
}

func (p *selectorParser) wordPrefix(t token) (item, error) {
	switch t.upper {
	case "TRUE", "FALSE":
		return item{t: constTerm{BoolValue(t.upper == "TRUE")}, at: t.at}, nil
	case "NOT":
		it, err := p.expression(precNot)
		if err != nil {
			return item{}, err
		}
		n, err := p.condition(it)
		return item{n: not{n}, at: t.at}, err
	case "AND", "OR", "BETWEEN", "IN", "LIKE", "ESCAPE", "IS", "NULL":
		return item{}, p.bad(t.at, "%s stands where a name or a value was expected", t.upper)
	}
	if p.sign("(") {
		return p.function(t)
	}
	return p.name(t.text, t.at)
}

func (p *selectorParser) signPrefix(t token) (item, error) {
	switch t.text {
	case "(":
		it, err := p.expression(0)
		if err != nil {
			return item{}, err
		}
		it.at = t.at
		return it, p.expect(p.sign(")"), "a closing parenthesis")
	case "+", "-":
		it, err := p.expression(precProduct)
		if err != nil {
			return item{}, err
		}
		v, err := p.value(it)
		if err != nil || t.text == "+" {
			return item{t: &signTerm{v, false}, at: t.at}, err
		}
		if c, ok := v.(constTerm); ok && c.v.number() {
			return item{t: constTerm{negative(c.v)}, at: t.at}, nil
		}
		return item{t: &signTerm{v, true}, at: t.at}, nil
	}
	return item{}, p.bad(t.at, "a name, a value or a condition was expected, and not %s", t.shown())
}

// name makes the term of a field.
func (p *selectorParser) name(name string, at int) (item, error) {
	f := Field{From: FromHeader, Name: name, Decode: Guess}
	if p.o.Field != nil {
		var err error
		if f, err = p.o.Field(name); err != nil {
			return item{}, p.bad(at, "%s", fault.As(err).Text)
		}
	}
	return item{t: fieldTerm{field: p.fields.number(f), name: name}, at: at}, nil
}

// function reads what the Rules have: EXISTS(name), property(name), p(name).
func (p *selectorParser) function(t token) (item, error) {
	switch {
	case p.o.Dialect != Rules:
		return item{}, p.bad(t.at, "there is no function %s", clip(t.text))
	case t.upper == "NEWID":
		return item{}, p.bad(t.at, "newid() gives something else each time, and a filter the same answer each time")
	case t.upper != "EXISTS" && t.upper != "PROPERTY" && t.upper != "P":
		return item{}, p.bad(t.at, "there is no function %s", clip(t.text))
	}
	if err := p.advance(); err != nil {
		return item{}, err
	}
	arg := p.tok
	if err := p.expect(arg.kind == tokenWord || arg.kind == tokenQuoted || arg.kind == tokenText && t.upper != "EXISTS", "a name"); err != nil {
		return item{}, err
	}
	it, err := p.name(arg.text, arg.at)
	if err != nil {
		return item{}, err
	}
	if t.upper == "EXISTS" {
		it = item{n: not{nullNode{it.t}}, at: t.at}
	}
	return it, p.expect(p.sign(")"), "a closing parenthesis")
}
