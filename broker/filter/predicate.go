package filter

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"leat/broker/fault"
)

// Predicate is a filter of any language, compiled to one kind of tree. It is safe for many goroutines.
type Predicate struct {
	root    node
	text    string
	clauses []string // of root, where it is all, as they were written; none: they say it themselves
	fields  []Field
	uses    map[string]bool // of CEL's names, by the parts that stay CEL
	errs    atomic.Uint64
}

// String is the filter as it was given.
func (p *Predicate) String() string { return p.text }

// Fields are what the filter looks at, each once. Parts of a CEL filter that stay CEL are not among them: see Uses.
func (p *Predicate) Fields() []Field { return p.fields }

// Uses reports whether the filter looks at that name of CEL's, so that a caller can leave out what no filter needs.
func (p *Predicate) Uses(name string) bool {
	return p.uses[name] || slices.ContainsFunc(p.fields, func(f Field) bool {
		switch f.From {
		case FromHeader:
			return name == "headers"
		case FromData, FromDataFlat:
			return name == "data"
		}
		return name == f.Name
	})
}

// Errors is how many events could not be judged.
func (p *Predicate) Errors() uint64 { return p.errs.Load() }

// Match reports whether the event that x was reset to is wanted. What is unknown is no match; where an error is the reason (and not an
// absence that the filter's language has a rule for) it is counted and given.
func (p *Predicate) Match(x *Extract) (bool, error) {
	switch p.judge(x) {
	case yes:
		return true, nil
	case unknown:
		if x.err != nil {
			p.errs.Add(1)
			return false, x.err
		}
	}
	return false, nil
}

func (p *Predicate) judge(x *Extract) truth {
	x.err = nil
	return p.root.judge(x, x.use(p))
}

// Failing is the first clause that does not hold of the event, of those that have to hold together, as it was written, and why where that could not be
// told; "" when the event matches. It changes no count.
func (p *Predicate) Failing(x *Extract) (clause, why string) {
	at := x.use(p)
	fails := func(n node, text string) bool {
		x.err = nil
		t := n.judge(x, at)
		if t == yes {
			return false
		}
		if clause = text; t == unknown && x.err != nil {
			why = fault.As(x.err).Text
		}
		return true
	}
	root, ok := p.root.(all)
	if ok {
		parts := []node(root)
		if len(p.clauses) != len(root) { // one and one are joined before the next is
			parts = nil
			root.parts(&parts)
		}
		for i, n := range parts {
			text := p.text
			if len(p.clauses) == len(parts) {
				text = p.clauses[i]
			} else if len(n.kids()) == 0 {
				text = n.String()
			}
			if fails(n, text) {
				return clause, why
			}
		}
	}
	fails(p.root, p.text)
	return clause, why
}

// parts are the clauses of all, and of those among them that are such themselves.
func (a all) parts(out *[]node) {
	for _, n := range a {
		if b, ok := n.(all); ok {
			b.parts(out)
			continue
		}
		*out = append(*out, n)
	}
}

// Explain says for people how the event was judged: a line for each clause, those of a failed "and" or "or" below it. It changes no count.
func (p *Predicate) Explain(x *Extract) []Reason {
	at := x.use(p)
	var out []Reason
	explainNode(p.root, x, at, 0, &out)
	return out
}

// ReasonsMax is how many lines an explanation has at most.
const ReasonsMax = 200

// Reason is one line of an explanation.
type Reason struct {
	Depth  int    // of nesting
	Clause string // as the author wrote it, or nearly
	Result string // true, false or unknown
	Found  string // what the event has, or why it cannot be judged; empty for what is made of other clauses
}

func (r Reason) String() string {
	s := strings.Repeat("  ", r.Depth) + r.Clause + ": " + r.Result
	if r.Found != "" {
		s += " (" + r.Found + ")"
	}
	return s
}

func explainNode(n node, x *Extract, at []int, depth int, out *[]Reason) {
	if len(*out) >= ReasonsMax {
		return
	}
	x.err = nil
	t := n.judge(x, at)
	r := Reason{Depth: depth, Clause: n.String(), Result: t.String()}
	kids := n.kids()
	if len(kids) == 0 {
		switch {
		case x.err != nil:
			r.Found = fault.As(x.err).Text
		default:
			r.Found = n.found(x, at)
		}
	}
	*out = append(*out, r)
	for _, k := range kids {
		explainNode(k, x, at, depth+1, out)
	}
}

// truth has three values, as SQL's has. Errors of CEL are unknown as well: "false && error" is false and "true || error" true in both.
type truth int8

const (
	no truth = iota
	unknown
	yes
)

func (t truth) String() string { return [...]string{"false", "unknown", "true"}[t] }

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// node is a clause. at are the numbers in x of the predicate's fields.
type node interface {
	judge(x *Extract, at []int) truth
	kids() []node                      // clauses it is made of; none for a clause that looks at fields
	found(x *Extract, at []int) string // what a clause without kids looked at
	String() string
}

// all holds when each of its clauses does.
type all []node

func (a all) judge(x *Extract, at []int) truth {
	t := yes
	for _, n := range a {
		if u := n.judge(x, at); u < t {
			if t = u; t == no {
				break
			}
		}
	}
	return t
}

func (a all) kids() []node                 { return a }
func (a all) found(*Extract, []int) string { return "" }
func (a all) String() string               { return fmt.Sprintf("all of %d", len(a)) }

// one holds when one of its clauses does.
type one []node

func (o one) judge(x *Extract, at []int) truth {
	t := no
	for _, n := range o {
		if u := n.judge(x, at); u > t {
			if t = u; t == yes {
				break
			}
		}
	}
	return t
}

func (o one) kids() []node                 { return o }
func (o one) found(*Extract, []int) string { return "" }
func (o one) String() string               { return fmt.Sprintf("one of %d", len(o)) }

// not holds when its clause does not.
type not struct{ n node }

func (n not) judge(x *Extract, at []int) truth { return yes - n.n.judge(x, at) }
func (n not) kids() []node                     { return []node{n.n} }
func (n not) found(*Extract, []int) string     { return "" }
func (n not) String() string                   { return "not" }

// always holds, or never.
type always bool

func (a always) judge(*Extract, []int) truth  { return truthOf(bool(a)) }
func (a always) kids() []node                 { return nil }
func (a always) found(*Extract, []int) string { return "" }
func (a always) String() string               { return fmt.Sprint(bool(a)) }

// fieldSet gives the fields of a predicate their numbers while it is compiled.
type fieldSet []Field

func (s *fieldSet) number(f Field) int {
	if i := slices.Index(*s, f); i >= 0 {
		return i
	}
	*s = append(*s, f)
	return len(*s) - 1
}
