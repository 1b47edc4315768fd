package address

import (
	"cmp"
	"slices"

	"leat/broker/fault"
	"leat/broker/record"
)

// Limits of a clause.
const (
	PatternBytesMax    = 4096 // of one pattern, and of a header's value
	PatternWordsMax    = 128  // words of one pattern
	PatternRestsMax    = 4    // # in one pattern, those that stand together counting as one: each keeps its place in a walk to the end
	PrefixBytesMax     = 255  // of a prefix: each length in use on a stream is one look-up for a record
	ClauseHeadersMax   = 32   // header tests of one clause
	HeaderNameBytesMax = 255
)

// ID is the number of a subscription. Numbers are never given twice.
type ID uint64

// Clause is one address filter of a subscription: every condition that it states must hold. A subscription may have many clauses, and is
// reached when one of them holds.
type Clause struct {
	Stream  record.StreamID
	Subject Pattern
	Key     Pattern
	Type    Pattern
	Headers []HeaderTest
	Any     bool // one of Headers is enough
}

// HeaderTest asks for a header of a record: extension attributes count under their own name, as they do in content filters.
type HeaderTest struct {
	Name    string
	Value   string
	Present bool // any value will do, and Value is empty
}

// attr is what a condition looks at.
type attr uint8

const (
	attrSubject attr = iota
	attrKey
	attrType
	attrHeader
)

// patterned is how many attributes know patterns: those below attrHeader.
const patterned = int(attrHeader)

func (a attr) String() string { return [...]string{"subject", "key", "type", "headers"}[a] }

// cond is one condition in its canonical form. It is comparable.
type cond struct {
	attr  attr
	op    Syntax
	name  string // of a header
	value string
}

// clause is a Clause in its canonical form: conditions sorted, each once, patterns reduced. Two clauses that say the same are equal.
type clause struct {
	stream record.StreamID
	any    bool // one of the header conditions is enough
	conds  []cond
	alone  listOfOne // the list that has nobody but this clause
}

func (c *clause) compare(d *clause) int {
	if c == d {
		return 0
	}
	if c.any != d.any {
		if d.any {
			return -1
		}
		return 1
	}
	return slices.CompareFunc(c.conds, d.conds, compareConds)
}

func compareConds(a, b cond) int {
	return cmp.Or(cmp.Compare(a.attr, b.attr), cmp.Compare(a.op, b.op), cmp.Compare(a.name, b.name), cmp.Compare(a.value, b.value))
}

func invalid(subject, format string, args ...any) error {
	return fault.New(fault.Invalid, "filter", subject, format, args...)
}

// canonical checks a clause.
func (c *Clause) canonical() (*clause, error) {
	out := &clause{stream: c.Stream}
	for a, p := range [...]Pattern{attrSubject: c.Subject, attrKey: c.Key, attrType: c.Type} {
		op, value, err := p.canonical()
		if err != nil {
			return nil, invalid(attr(a).String(), "%s", err)
		}
		if op != Anything {
			out.conds = append(out.conds, cond{attr: attr(a), op: op, value: value})
		}
	}
	if len(c.Headers) > ClauseHeadersMax {
		return nil, invalid("headers", "it tests %d headers; a clause tests at most %d", len(c.Headers), ClauseHeadersMax)
	}
	if c.Any && len(c.Headers) == 0 {
		return nil, invalid("headers", "it asks for one of no headers, which no record has")
	}
	for _, h := range c.Headers {
		k, err := h.canonical()
		if err != nil {
			return nil, err
		}
		out.conds = append(out.conds, k)
	}
	slices.SortFunc(out.conds, compareConds)
	out.conds = slices.Compact(out.conds)
	out.any = c.Any && len(out.headers()) > 1
	if len(out.conds) == 1 { // which is most: one piece of memory
		one := &struct {
			clause
			cond [1]cond
		}{*out, [1]cond{out.conds[0]}}
		one.conds = one.cond[:]
		return &one.clause, nil
	}
	out.conds = slices.Clip(out.conds)
	return out, nil
}

// headers are the conditions on headers: the last ones.
func (c *clause) headers() []cond {
	i := 0
	for i < len(c.conds) && c.conds[i].attr != attrHeader {
		i++
	}
	return c.conds[i:]
}

func (h HeaderTest) canonical() (cond, error) {
	switch {
	case h.Name == "":
		return cond{}, invalid("headers", "the name of a header may not be empty")
	case len(h.Name) > HeaderNameBytesMax:
		return cond{}, invalid("headers", "the name of a header has at most %d bytes", HeaderNameBytesMax)
	case len(h.Value) > PatternBytesMax:
		return cond{}, invalid("headers", "the value asked for in header %q has %d bytes; at most %d", h.Name, len(h.Value), PatternBytesMax)
	case h.Present && h.Value != "":
		return cond{}, invalid("headers", "header %q is asked for with a value and with any value", h.Name)
	case h.Present:
		return cond{attr: attrHeader, op: present, name: h.Name}, nil
	}
	return cond{attr: attrHeader, op: Exact, name: h.Name, value: h.Value}, nil
}

// holds reports whether the clause holds for the record: what is not known from the place in the index where the clause was found.
func (c *clause) holds(r *Record) bool {
	one := false
	for i := range c.conds {
		k := &c.conds[i]
		ok := k.holds(r)
		switch {
		case c.any && k.attr == attrHeader:
			one = one || ok
		case !ok:
			return false
		}
	}
	return one || !c.any
}

func (k *cond) holds(r *Record) bool {
	switch k.attr {
	case attrSubject:
		return k.op.match(k.value, r.Subject)
	case attrKey:
		return k.op.match(k.value, text(r.Key))
	case attrType:
		return k.op.match(k.value, r.Type)
	}
	for i := range r.Headers {
		h := &r.Headers[i]
		if headerName(h.Key) == k.name && (k.op == present || h.Value != nil && text(h.Value) == k.value) {
			return true
		}
	}
	return false
}
