package filter

import (
	"cmp"
	"math"
	"strconv"
	"strings"
	"unsafe"

	"leat/broker/record"
)

// Kind is what a Value is.
type Kind uint8

const (
	Missing    Kind = iota // there is no such field
	Unreadable             // there is one, and it cannot be judged: a number out of range, a key that is not text
	Null
	Bool
	Int
	Float
	Text
	JSON // an array or an object, as it stands in the data
)

func (k Kind) String() string {
	return [...]string{"nothing", "unreadable", "null", "bool", "int", "double", "string", "array or object"}[k]
}

// Value is one field of an event as predicates compare it. The zero Value is Missing.
type Value struct {
	Kind Kind
	num  uint64
	text string
}

// BoolValue, IntValue, FloatValue, TextValue, NullValue and JSONValue make values. JSON is valid JSON, an array or an object.
func BoolValue(b bool) Value {
	if b {
		return Value{Kind: Bool, num: 1}
	}
	return Value{Kind: Bool}
}

func IntValue(n int64) Value     { return Value{Kind: Int, num: uint64(n)} }
func FloatValue(f float64) Value { return Value{Kind: Float, num: math.Float64bits(f)} }
func TextValue(s string) Value   { return Value{Kind: Text, text: s} }
func NullValue() Value           { return Value{Kind: Null} }
func JSONValue(raw string) Value { return Value{Kind: JSON, text: raw} }

func (v Value) bool() bool     { return v.num != 0 }
func (v Value) int() int64     { return int64(v.num) }
func (v Value) float() float64 { return math.Float64frombits(v.num) }

// String shows the value for people.
func (v Value) String() string {
	switch v.Kind {
	case Bool:
		return strconv.FormatBool(v.bool())
	case Int:
		return strconv.FormatInt(v.int(), 10)
	case Float:
		return strconv.FormatFloat(v.float(), 'g', -1, 64)
	case Text:
		return strconv.Quote(clip(v.text))
	case JSON:
		return clip(v.text)
	}
	return v.Kind.String()
}

// shownBytesMax is how much of a text is shown.
const shownBytesMax = 64

func clip(s string) string {
	if len(s) <= shownBytesMax {
		return s
	}
	return s[:shownBytesMax] + "…"
}

func (v Value) number() bool { return v.Kind == Int || v.Kind == Float }

// compare orders two values: numbers by what they are worth, whatever their types, text by its bytes, false before true. ok is false
// where there is no order between them: other pairs, and what is no number.
func (v Value) compare(w Value) (order int, ok bool) {
	switch {
	case v.Kind == Int && w.Kind == Int:
		return cmp.Compare(v.int(), w.int()), true
	case v.Kind == Float && w.Kind == Float:
		return compareFloats(v.float(), w.float())
	case v.Kind == Int && w.Kind == Float:
		return compareIntFloat(v.int(), w.float())
	case v.Kind == Float && w.Kind == Int:
		order, ok = compareIntFloat(w.int(), v.float())
		return -order, ok
	case v.Kind == Text && w.Kind == Text:
		return cmp.Compare(v.text, w.text), true
	case v.Kind == Bool && w.Kind == Bool:
		return cmp.Compare(v.num, w.num), true
	}
	return 0, false
}

func compareFloats(a, b float64) (int, bool) {
	if a != a || b != b {
		return 0, false
	}
	return cmp.Compare(a, b), true
}

// compareIntFloat is exact also beyond 2^53, where a float64 cannot stand for every integer.
func compareIntFloat(n int64, f float64) (int, bool) {
	switch {
	case f != f:
		return 0, false
	case f >= 1<<63:
		return -1, true
	case f < -1<<63:
		return 1, true
	}
	whole := math.Trunc(f)
	if c := cmp.Compare(n, int64(whole)); c != 0 {
		return c, true
	}
	return cmp.Compare(whole, f), true
}

// same reports whether both are the same value; values of different kinds differ, but for numbers.
func (v Value) same(w Value) bool {
	if v.Kind == Null && w.Kind == Null {
		return true
	}
	order, ok := v.compare(w)
	return ok && order == 0
}

// valueOfRaw gives a JSON value that stands in the data, valid and without space around it.
func valueOfRaw(raw []byte) Value {
	switch raw[0] {
	case '"':
		for i := 1; i < len(raw)-1; i++ {
			if raw[i] == '\\' {
				s, _ := record.JSONValue(raw)
				text, _ := s.(string)
				return TextValue(text)
			}
		}
		return TextValue(textOf(raw[1 : len(raw)-1]))
	case 't':
		return BoolValue(true)
	case 'f':
		return BoolValue(false)
	case 'n':
		return NullValue()
	case '{', '[':
		return JSONValue(textOf(raw))
	}
	return numberOf(textOf(raw))
}

// numberOf reads a number as JSON writes it: an Int where it is one, else a Float; Unreadable when it is out of range.
func numberOf(s string) Value {
	if !strings.ContainsAny(s, ".eE") { // else ParseInt would make an error, which takes memory
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return IntValue(n)
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return Value{Kind: Unreadable}
	}
	return FloatValue(f)
}

// textOf sees bytes as text, for as long as nobody changes them.
func textOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
