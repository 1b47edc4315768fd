package wire

import (
	"fmt"
	"strconv"
)

// Text is a method with its fields as a line of text, for logs and tests: what is zero or empty is left out, and of secrets only their
// length is said.
func Text(m Method) string {
	c := codec{mode: printing, id: m.ID(), b: []byte(m.ID().String())}
	m.fields(&c)
	return string(c.b)
}

// String is the table as text.
func (t Table) String() string { return string(appendTableText(nil, t)) }

func appendTableText(dst []byte, t Table) []byte {
	dst = append(dst, '{')
	first := true
	for name, v := range t.All() {
		if !first {
			dst = append(dst, ' ')
		}
		first = false
		dst = append(dst, name...)
		dst = append(dst, '=')
		dst = appendValueText(dst, v)
	}
	return append(dst, '}')
}

func appendValueText(dst []byte, v Value) []byte {
	switch v.kind {
	case KindBool:
		return strconv.AppendBool(dst, v.raw[0] != 0)
	case KindString, KindBytes:
		return strconv.AppendQuote(dst, string(v.raw))
	case KindTable:
		return appendTableText(dst, Table(v.raw))
	case KindArray:
		dst = append(dst, '[')
		for i, w := range enumerate(Array(v.raw)) {
			if i > 0 {
				dst = append(dst, ' ')
			}
			dst = appendValueText(dst, w)
		}
		return append(dst, ']')
	case KindVoid:
		return append(dst, "void"...)
	default: // numbers and times
	}
	if n, ok := v.Int(); ok {
		return strconv.AppendInt(dst, n, 10)
	}
	if f, ok := v.Float(); ok {
		return strconv.AppendFloat(dst, f, 'g', -1, 64)
	}
	if scale, n, ok := v.Decimal(); ok {
		return fmt.Appendf(dst, "%de-%d", n, scale)
	}
	seconds, _ := v.Seconds()
	return fmt.Appendf(dst, "@%d", seconds)
}

func enumerate(a Array) func(yield func(int, Value) bool) {
	return func(yield func(int, Value) bool) {
		i := 0
		for v := range a.All() {
			if !yield(i, v) {
				return
			}
			i++
		}
	}
}
