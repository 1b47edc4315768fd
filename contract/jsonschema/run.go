package jsonschema

import (
	"sync"
	"unicode/utf8"
)

// Limits of one check. What takes more is refused, so that no schema (alternatives inside alternatives, references that come back) and no payload make
// one event cost more than this.
const (
	checkStepsMax   = 200_000 // rules looked at
	checkPerValue   = 100     // besides, for each value of the payload
	nestedMax       = 10_000  // rules inside rules
	explainStepsMax = 100_000 // when something is refused the library looks at all of it to say why: only where that is bearable
	explainPerValue = 16
	lettersPerStep  = 64
	namesPerStep    = 16
)

// run is one check.
type run struct {
	tape
	program *program
	steps   int
	most    int
	nested  int
	spent   bool
	all     bool   // look at everything, as who explains does
	marks   []bool // members and items that are evaluated, a piece for each rule that asks
	open    []openRule
	scopes  []scope
	floor   int // where the scopes of this way begin: that of a name begins with it
	hashes  []uint64
}

// openRule is a rule that is being looked at for a value.
type openRule struct {
	rule *rule
	at   uint32
}

// scope is a resource that was entered, and by which rule.
type scope struct {
	resource int32
	rule     *rule
}

var runs = sync.Pool{New: func() any { return &run{} }}

const cellsKept = 1 << 15 // of a run that is used again

func (r *run) done() {
	if cap(r.cells) > cellsKept || cap(r.apart) > cellsKept || cap(r.hashes) > cellsKept {
		return
	}
	r.b = nil
	runs.Put(r)
}

type verdict int

const (
	keeps verdict = iota
	breaks
	tooMuch // to be said
)

func (p *run) check(x *program, all bool) verdict {
	p.program, p.steps, p.spent, p.all, p.nested, p.floor = x, 0, false, all, 0, 0
	p.open, p.scopes, p.marks = p.open[:0], p.scopes[:0], p.marks[:0]
	p.most = checkStepsMax + checkPerValue*len(p.cells)
	if all {
		p.most = explainStepsMax + explainPerValue*len(p.cells)
	}
	ok := p.value(x.root, 0, none)
	switch {
	case p.spent:
		return tooMuch
	case ok:
		return keeps
	}
	return breaks
}

// none: nobody asks what is evaluated.
const none = -1

// value looks whether a value keeps to a rule. marks is where it is noted which members or items the rule has evaluated; it has been cleared.
func (p *run) value(r *rule, at uint32, marks int) bool {
	for r.apply != nil && r.apply.only != nil {
		r = r.apply.only
	}
	if r.anything {
		return true
	}
	if p.steps++; p.steps > p.most {
		p.spent = true
		return false
	}
	c := &p.cells[at]
	if r.types&c.kind == 0 && (c.kind != isNumber || r.types&isInteger == 0 || !whole(p.text(c))) {
		return false
	}
	enters := p.program.dynamic && (len(p.scopes) == p.floor || p.scopes[len(p.scopes)-1].resource != r.resource)
	if r.apply == nil && !enters {
		return p.own(r, at, c, marks)
	}
	if p.nested++; p.nested > nestedMax {
		p.spent = true
		return false
	}
	if r.cyclic && !p.enter(r, at) {
		p.nested--
		return false
	}
	if enters {
		p.scopes = append(p.scopes, scope{r.resource, r})
	}
	ok := p.applied(r, at, c, marks)
	if enters {
		p.scopes = p.scopes[:len(p.scopes)-1]
	}
	if r.cyclic {
		p.open = p.open[:len(p.open)-1]
	}
	p.nested--
	return ok
}

// enter reports whether a rule is new on the way to what it is asked about this value.
func (p *run) enter(r *rule, at uint32) bool {
	i := len(p.open) - 1
	for ; i >= 0 && p.open[i].at == at; i-- {
		if p.open[i].rule == r {
			return false
		}
	}
	p.steps += (len(p.open) - i) / namesPerStep
	p.open = append(p.open, openRule{r, at})
	return true
}

// own are the keywords that have no rules for the same value.
func (p *run) own(r *rule, at uint32, c *cell, marks int) bool {
	if r.is != nil && !p.oneOf(r.is, at, c) || r.enum != nil && !p.oneOf(r.enum, at, c) {
		return false
	}
	switch c.kind {
	case isString:
		return r.text == nil || p.letters(r.text, c)
	case isObject:
		return r.obj == nil || p.object(r.obj, at, c, marks)
	case isArray:
		return r.arr == nil || p.array(r.arr, at, c, marks)
	case isNumber, isNumber | isInteger:
		return r.num == nil || p.number(r.num, c)
	}
	return true
}

func (p *run) letters(t *textRule, c *cell) bool {
	b := p.tape.text(c)
	p.steps += len(b) / lettersPerStep
	if t.least > 0 || len(b) > t.most {
		n := len(b)
		if c.flags&ascii == 0 {
			n = utf8.RuneCount(b)
		}
		if n < t.least || n > t.most {
			return false
		}
	}
	return (t.pattern == nil || t.pattern.match(b, c.flags&ascii != 0)) && (t.format == nil || t.format(b))
}

func (p *run) number(n *numberRule, c *cell) bool {
	b := p.tape.text(c)
	d := decimalOf(b)
	return (n.least == nil || n.least.compare(d, b) >= 0) && (n.most == nil || n.most.compare(d, b) <= 0) &&
		(n.above == nil || n.above.compare(d, b) > 0) && (n.below == nil || n.below.compare(d, b) < 0) &&
		(n.divisor == nil || n.divisor.divides(d, b))
}

// applied are the keywords of a rule and its rules for the same value, in the order in which the library has them.
func (p *run) applied(r *rule, at uint32, c *cell, marks int) bool {
	a := r.apply
	if a == nil {
		return p.own(r, at, c, marks)
	}
	base := len(p.marks)
	if marks == none && (c.kind == isObject && a.restProps != nil || c.kind == isArray && a.restItems != nil) {
		marks = p.mark(c)
	}
	ok := a.ref == nil || p.sub(a.ref, at, c, marks)
	if ok || p.all {
		ok = p.own(r, at, c, marks) && ok
	}
	if ok || p.all {
		ok = p.dependents(r.obj, at, c, marks) && ok
	}
	if (ok || p.all) && a.dynamic != nil {
		ok = p.sub(p.resolve(a.dynamic), at, c, marks) && ok
	}
	if ok || p.all {
		ok = p.combined(a, at, c, marks) && ok
	}
	if (ok || p.all) && marks != none {
		ok = p.rest(a, at, c, marks) && ok
	}
	p.marks = p.marks[:base]
	return ok
}

// mark makes room to note what of a value is evaluated.
func (p *run) mark(c *cell) int {
	from := len(p.marks)
	for range c.count {
		p.marks = append(p.marks, false)
	}
	return from
}

// sub looks at a rule for the same value. What it has evaluated counts if the value keeps to it.
func (p *run) sub(r *rule, at uint32, c *cell, marks int) bool {
	if marks == none {
		return p.value(r, at, none)
	}
	p.steps += int(c.count) / namesPerStep
	its := p.mark(c)
	ok := p.value(r, at, its)
	if ok {
		for i, m := range p.marks[its : its+int(c.count)] {
			if m {
				p.marks[marks+i] = true
			}
		}
	}
	p.marks = p.marks[:its]
	return ok
}

func (p *run) combined(a *applied, at uint32, c *cell, marks int) bool {
	ok := a.not == nil || !p.value(a.not, at, none)
	if !ok && !p.all {
		return false
	}
	for _, r := range a.all {
		if !p.sub(r, at, c, marks) {
			if ok = false; !p.all {
				return false
			}
		}
	}
	if len(a.any) > 0 {
		some := false
		for _, r := range a.any {
			if some = p.sub(r, at, c, marks) || some; some && marks == none {
				break
			}
		}
		ok = ok && some
	}
	if len(a.one) > 0 && (ok || p.all) {
		n := 0
		for _, r := range a.one {
			if p.sub(r, at, c, marks) {
				if n++; n > 1 {
					break
				}
			}
		}
		ok = ok && n == 1
	}
	if a.cond == nil || !ok && !p.all {
		return ok
	}
	next := a.other
	if p.sub(a.cond, at, c, marks) {
		next = a.then
	}
	return (next == nil || p.sub(next, at, c, marks)) && ok
}

// resolve is what a dynamic reference is to: the outermost of those on the way here.
func (p *run) resolve(d *dynamicRef) *rule {
	for i := p.floor; i < len(p.scopes); i++ {
		s := &p.scopes[i]
		if d.anchor == "" {
			if p.program.resources[s.resource].recursive {
				return s.rule
			}
		} else if r := p.program.resources[s.resource].anchors[d.anchor]; r != nil {
			return r
		}
	}
	return d.to
}

// rest are the rules for what nothing has evaluated.
func (p *run) rest(a *applied, at uint32, c *cell, marks int) bool {
	r := a.restProps
	if c.kind == isArray {
		r = a.restItems
	}
	if r == nil {
		return true
	}
	ok, i := true, 0
	for x := at + 1; x < c.next; x = p.cells[x].next {
		if p.cells[x].flags&superseded != 0 {
			continue
		}
		if !p.marks[marks+i] && !p.value(r, x, none) {
			if ok = false; !p.all {
				return false
			}
		}
		p.marks[marks+i] = true
		i++
	}
	return ok
}
