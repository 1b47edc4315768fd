package filter

import (
	"fmt"
	"math"
	"math/bits"
	"strings"

	"leat/broker/fault"
)

// term is something that has a value for an event.
type term interface {
	value(x *Extract, at []int) Value
	String() string
	show(x *Extract, at []int, b *strings.Builder) // the fields in it, with their values
}

type fieldTerm struct {
	field int
	name  string
}

func (t fieldTerm) value(x *Extract, at []int) Value { return x.value(at[t.field]) }
func (t fieldTerm) String() string                   { return t.name }

func (t fieldTerm) show(x *Extract, at []int, b *strings.Builder) {
	if b.Len() > 0 {
		b.WriteString(", ")
	}
	b.WriteString(t.name + " is " + x.value(at[t.field]).String())
}

type constTerm struct{ v Value }

func (t constTerm) value(*Extract, []int) Value            { return t.v }
func (t constTerm) show(*Extract, []int, *strings.Builder) {}

func (t constTerm) String() string {
	if t.v.Kind == Text {
		return "'" + strings.ReplaceAll(clip(t.v.text), "'", "''") + "'"
	}
	return t.v.String()
}

// signTerm is +a or -a.
type signTerm struct {
	a     term
	minus bool
}

func (t *signTerm) show(x *Extract, at []int, b *strings.Builder) { t.a.show(x, at, b) }

func (t *signTerm) String() string {
	if t.minus {
		return "-" + t.a.String()
	}
	return "+" + t.a.String()
}

func (t *signTerm) value(x *Extract, at []int) Value {
	v := t.a.value(x, at)
	switch {
	case v.Kind == Missing || v.Kind == Null || v.Kind == Unreadable:
		return v
	case !v.number():
		return cannot(x, "a %s has no sign", v.Kind)
	case !t.minus:
		return v
	}
	return negative(v)
}

func negative(v Value) Value {
	if v.Kind == Int && v.int() != math.MinInt64 {
		return IntValue(-v.int())
	}
	if v.Kind == Int {
		return FloatValue(-float64(v.int()))
	}
	return FloatValue(-v.float())
}

// arithTerm is a op b. whole asks for integer division between integers.
type arithTerm struct {
	op    byte
	whole bool
	a, b  term
}

func (t *arithTerm) String() string { return fmt.Sprintf("(%s %c %s)", t.a, t.op, t.b) }

func (t *arithTerm) show(x *Extract, at []int, b *strings.Builder) {
	t.a.show(x, at, b)
	t.b.show(x, at, b)
}

func (t *arithTerm) value(x *Extract, at []int) Value {
	a, b := t.a.value(x, at), t.b.value(x, at)
	switch {
	case a.Kind <= Null: // missing, unreadable, null
		return a
	case b.Kind <= Null:
		return b
	case a.Kind == Text && b.Kind == Text && t.op == '+':
		return TextValue(a.text + b.text)
	case !a.number() || !b.number():
		return cannot(x, "%s %c %s cannot be computed", a.Kind, t.op, b.Kind)
	case a.Kind == Int && b.Kind == Int:
		if v, ok := t.ints(a.int(), b.int()); ok {
			return v
		}
	}
	f, g := asFloat(a), asFloat(b)
	switch t.op {
	case '+':
		return FloatValue(f + g)
	case '-':
		return FloatValue(f - g)
	case '*':
		return FloatValue(f * g)
	}
	if g == 0 {
		return cannot(x, "a division by zero")
	}
	if t.op == '%' {
		return FloatValue(math.Mod(f, g))
	}
	return FloatValue(f / g)
}

// ints computes with integers; ok is false where the result is none of 64 bits.
func (t *arithTerm) ints(a, b int64) (Value, bool) {
	switch t.op {
	case '+':
		c := a + b
		return IntValue(c), (c > a) == (b > 0)
	case '-':
		c := a - b
		return IntValue(c), (c < a) == (b > 0)
	case '*':
		hi, lo := bits.Mul64(magnitude(a), magnitude(b))
		return IntValue(a * b), hi == 0 && lo < 1<<63
	}
	if b == 0 || a == math.MinInt64 && b == -1 {
		return Value{}, false
	}
	if t.op == '%' {
		return IntValue(a % b), true
	}
	return IntValue(a / b), t.whole || a%b == 0
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

func asFloat(v Value) float64 {
	if v.Kind == Int {
		return float64(v.int())
	}
	return v.float()
}

func cannot(x *Extract, format string, args ...any) Value {
	x.unknown(fault.New(fault.Invalid, "match", "where", format, args...))
	return Value{Kind: Unreadable}
}

// errUnreadable is the reason where a field is there and cannot be judged.
var errUnreadable = fault.New(fault.Invalid, "match", "where", "a field of this event cannot be read: a number out of range, or a key that is no text")

// absent says what a value without a value makes of a condition.
func absent(x *Extract, v Value) (truth, bool) {
	switch v.Kind {
	case Missing, Null:
		return unknown, true
	case Unreadable:
		return x.unknown(errUnreadable), true
	}
	return no, false
}

type compareOp uint8

const (
	opEqual compareOp = iota
	opNotEqual
	opLess
	opLessEqual
	opGreater
	opGreaterEqual
)

var compareOps = map[string]compareOp{"=": opEqual, "<>": opNotEqual, "<": opLess, "<=": opLessEqual, ">": opGreater, ">=": opGreaterEqual}

func (op compareOp) holds(order int) bool {
	switch op {
	case opEqual:
		return order == 0
	case opNotEqual:
		return order != 0
	case opLess:
		return order < 0
	case opLessEqual:
		return order <= 0
	case opGreater:
		return order > 0
	}
	return order >= 0
}

// foundIn shows the fields of terms.
func foundIn(x *Extract, at []int, ts ...term) string {
	var b strings.Builder
	for _, t := range ts {
		t.show(x, at, &b)
	}
	return b.String()
}

type compareNode struct {
	op   compareOp
	sign string
	a, b term
}

func (n *compareNode) judge(x *Extract, at []int) truth {
	a, b := n.a.value(x, at), n.b.value(x, at)
	if t, is := absent(x, a); is {
		return t
	}
	if t, is := absent(x, b); is {
		return t
	}
	order, ok := a.compare(b)
	if !ok || a.Kind == Bool && n.op > opNotEqual {
		return no
	}
	return truthOf(n.op.holds(order))
}

func (n *compareNode) kids() []node                      { return nil }
func (n *compareNode) found(x *Extract, at []int) string { return foundIn(x, at, n.a, n.b) }
func (n *compareNode) String() string                    { return n.a.String() + " " + n.sign + " " + n.b.String() }

// truthNode is a name that stands for a condition.
type truthNode struct{ t term }

func (n truthNode) judge(x *Extract, at []int) truth {
	v := n.t.value(x, at)
	if v.Kind == Bool {
		return truthOf(v.bool())
	}
	if v.Kind == Unreadable {
		return x.unknown(errUnreadable)
	}
	return unknown
}

func (n truthNode) kids() []node                      { return nil }
func (n truthNode) found(x *Extract, at []int) string { return foundIn(x, at, n.t) }
func (n truthNode) String() string                    { return n.t.String() }

type nullNode struct{ t term }

func (n nullNode) judge(x *Extract, at []int) truth {
	k := n.t.value(x, at).Kind
	return truthOf(k == Missing || k == Null)
}

func (n nullNode) kids() []node                      { return nil }
func (n nullNode) found(x *Extract, at []int) string { return foundIn(x, at, n.t) }
func (n nullNode) String() string                    { return n.t.String() + " IS NULL" }

type inNode struct {
	a    term
	list []term
}

func (n *inNode) judge(x *Extract, at []int) truth {
	a := n.a.value(x, at)
	if t, is := absent(x, a); is {
		return t
	}
	out := no
	for _, b := range n.list {
		v := b.value(x, at)
		if t, is := absent(x, v); is {
			out = max(out, t)
			continue
		}
		if a.same(v) {
			return yes
		}
	}
	return out
}

func (n *inNode) kids() []node                      { return nil }
func (n *inNode) found(x *Extract, at []int) string { return foundIn(x, at, n.a) }
func (n *inNode) String() string                    { return fmt.Sprintf("%s IN (%d values)", n.a, len(n.list)) }

type likeNode struct {
	a       term
	pattern like
	text    string
}

func (n *likeNode) judge(x *Extract, at []int) truth {
	a := n.a.value(x, at)
	if t, is := absent(x, a); is {
		return t
	}
	return truthOf(a.Kind == Text && n.pattern.match(a.text))
}

func (n *likeNode) kids() []node                      { return nil }
func (n *likeNode) found(x *Extract, at []int) string { return foundIn(x, at, n.a) }
func (n *likeNode) String() string                    { return n.a.String() + " LIKE '" + clip(n.text) + "'" }
