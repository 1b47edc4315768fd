package filter

import "unicode/utf8"

// predicate reads what follows a value: a comparison, or [NOT] BETWEEN, IN, LIKE, or IS [NOT] NULL.
func (p *selectorParser) predicate(left item) (item, error) {
	a, err := p.value(left)
	if err != nil {
		return item{}, err
	}
	t := p.tok
	if err := p.advance(); err != nil {
		return item{}, err
	}
	if t.kind == tokenSign {
		b, err := p.operand()
		return item{n: &compareNode{op: compareOps[t.text], sign: t.text, a: a, b: b}, at: left.at}, err
	}
	negated := t.upper == "NOT"
	if negated {
		t = p.tok
		if err := p.advance(); err != nil {
			return item{}, err
		}
	}
	var n node
	switch {
	case t.kind == tokenWord && t.upper == "BETWEEN":
		n, err = p.between(a)
	case t.kind == tokenWord && t.upper == "IN":
		n, err = p.in(a)
	case t.kind == tokenWord && t.upper == "LIKE":
		n, err = p.like(a)
	case t.kind == tokenWord && t.upper == "IS" && !negated:
		if negated, err = p.take(p.word("NOT")); err != nil {
			return item{}, err
		}
		n, err = nullNode{a}, p.expect(p.word("NULL"), "NULL")
	default:
		return item{}, p.bad(t.at, "BETWEEN, IN or LIKE was expected after NOT, and not %s", t.shown())
	}
	if err != nil {
		return item{}, err
	}
	if negated {
		n = not{n}
	}
	return item{n: n, at: left.at}, nil
}

// operand reads a value on the right of a comparison.
func (p *selectorParser) operand() (term, error) {
	it, err := p.expression(precCompare)
	if err != nil {
		return nil, err
	}
	return p.value(it)
}

func (p *selectorParser) between(a term) (node, error) {
	low, err := p.operand()
	if err != nil {
		return nil, err
	}
	if err := p.expect(p.word("AND"), "AND"); err != nil {
		return nil, err
	}
	high, err := p.operand()
	if err != nil {
		return nil, err
	}
	return all{&compareNode{op: opGreaterEqual, sign: ">=", a: a, b: low}, &compareNode{op: opLessEqual, sign: "<=", a: a, b: high}}, nil
}

func (p *selectorParser) in(a term) (node, error) {
	if err := p.expect(p.sign("("), "a list in parentheses"); err != nil {
		return nil, err
	}
	n := &inNode{a: a}
	for {
		b, err := p.operand()
		if err != nil {
			return nil, err
		}
		if n.list = append(n.list, b); len(n.list) > SelectorListMax {
			return nil, p.bad(p.tok.at, "the list has more than %d values", SelectorListMax)
		}
		more, err := p.take(p.sign(","))
		if err != nil {
			return nil, err
		}
		if !more {
			return n, p.expect(p.sign(")"), "a comma or a closing parenthesis")
		}
	}
}

func (p *selectorParser) like(a term) (node, error) {
	pattern, at := p.tok, p.tok.at
	switch pattern.kind {
	case tokenText:
	case tokenParam:
		v := p.o.Params[pattern.text]
		if v.Kind != Text {
			return nil, p.bad(at, "the pattern of LIKE is a text, and @%s is none", clip(pattern.text))
		}
		pattern.text = v.text
	default:
		return nil, p.bad(at, "the pattern of LIKE is a text, and not %s", pattern.shown())
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	escape := rune(-1)
	given, err := p.take(p.word("ESCAPE"))
	if err != nil {
		return nil, err
	}
	if given {
		if p.tok.kind != tokenText || utf8.RuneCountInString(p.tok.text) != 1 {
			return nil, p.bad(p.tok.at, "ESCAPE needs one character in quotes, and not %s", p.tok.shown())
		}
		escape, _ = utf8.DecodeRuneInString(p.tok.text)
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	l, ok := parseLike(pattern.text, escape)
	if !ok {
		return nil, p.bad(at, "the pattern of LIKE ends with its escape character, or has it before something else than %% _ and itself")
	}
	return &likeNode{a: a, pattern: l, text: pattern.text}, nil
}

// like is a pattern in which % is any text and _ is any one character.
type like struct {
	glob glob       // where there is no _
	list []likeStep // else
}

type likeStep struct {
	r   rune
	one bool // any character
	any bool // any text
}

func parseLike(s string, escape rune) (like, bool) {
	var list []likeStep
	escaped, ones := false, false
	for _, r := range s {
		switch {
		case escaped:
			if r != '%' && r != '_' && r != escape {
				return like{}, false
			}
			list, escaped = append(list, likeStep{r: r}), false
		case r == escape:
			escaped = true
		case r == '%':
			if len(list) == 0 || !list[len(list)-1].any {
				list = append(list, likeStep{any: true})
			}
		case r == '_':
			list, ones = append(list, likeStep{one: true}), true
		default:
			list = append(list, likeStep{r: r})
		}
	}
	if escaped {
		return like{}, false
	}
	if ones {
		return like{list: list}, true
	}
	g := glob{""}
	for _, st := range list {
		if st.any {
			g = append(g, "")
		} else {
			g[len(g)-1] += string(st.r)
		}
	}
	return like{glob: g}, true
}

// match goes through text and pattern; after a % only the last one needs to be tried again.
func (l *like) match(s string) bool {
	if l.list == nil {
		return l.glob.match(s)
	}
	i, retry, from := 0, -1, 0
	for at := 0; at < len(s) || i < len(l.list); {
		if i < len(l.list) && l.list[i].any {
			i++
			retry, from = i, at
			continue
		}
		if i < len(l.list) && at < len(s) {
			r, n := utf8.DecodeRuneInString(s[at:])
			if l.list[i].one || l.list[i].r == r {
				i, at = i+1, at+n
				continue
			}
		}
		if retry < 0 || from >= len(s) {
			return false
		}
		_, n := utf8.DecodeRuneInString(s[from:])
		from += n
		i, at = retry, from
	}
	return true
}
