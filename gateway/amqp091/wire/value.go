package wire

import (
	"encoding/binary"
	"math"

	"leat/internal/assert"
)

// Kind is the letter of a value's type on the wire.
type Kind byte

// The types of values, with RabbitMQ's letters. Both long kinds are signed.
const (
	KindBool      Kind = 't'
	KindInt8      Kind = 'b'
	KindUint8     Kind = 'B'
	KindInt16     Kind = 's'
	KindUint16    Kind = 'u'
	KindInt32     Kind = 'I'
	KindUint32    Kind = 'i'
	KindInt64     Kind = 'l'
	KindLong      Kind = 'L' // an Int64 in the letter of older clients
	KindFloat32   Kind = 'f'
	KindFloat64   Kind = 'd'
	KindDecimal   Kind = 'D'
	KindString    Kind = 'S'
	KindBytes     Kind = 'x'
	KindTimestamp Kind = 'T'
	KindArray     Kind = 'A'
	KindTable     Kind = 'F'
	KindVoid      Kind = 'V'
)

// Value is one value of a table or an array: its kind, and the bytes of it as they stand on the wire, without length. What was decoded
// refers to the frame.
type Value struct {
	kind Kind
	raw  []byte
}

// Kind is the value's type; 0 is no value.
func (v Value) Kind() Kind { return v.kind }

// Void is the value that is none.
func Void() Value { return Value{kind: KindVoid} }

// Bool is true or false. Like the numbers it allocates; for what is written with every message, keep the Table.
func Bool(v bool) Value {
	if v {
		return Value{KindBool, []byte{1}}
	}
	return Value{KindBool, []byte{0}}
}

// Int32 is a signed number of 4 bytes.
func Int32(v int32) Value { return Value{KindInt32, binary.BigEndian.AppendUint32(nil, uint32(v))} }

// Int64 is a signed number of 8 bytes.
func Int64(v int64) Value { return Value{KindInt64, binary.BigEndian.AppendUint64(nil, uint64(v))} }

// Float64 is a number with a fraction.
func Float64(v float64) Value {
	return Value{KindFloat64, binary.BigEndian.AppendUint64(nil, math.Float64bits(v))}
}

// Timestamp is a time in seconds since 1970.
func Timestamp(seconds int64) Value {
	return Value{KindTimestamp, binary.BigEndian.AppendUint64(nil, uint64(seconds))}
}

// String is a text.
func String(v string) Value { return Value{KindString, []byte(v)} }

// StringBytes is a text that is there as bytes, which are kept.
func StringBytes(v []byte) Value { return Value{KindString, v} }

// Bytes is bytes, which are kept.
func Bytes(v []byte) Value { return Value{KindBytes, v} }

// TableValue is a table within a table; the bytes are kept.
func TableValue(t Table) Value { return Value{KindTable, t} }

// ArrayValue is a list of values; the bytes are kept.
func ArrayValue(a Array) Value { return Value{KindArray, a} }

// Bool is the value of a bool, and whether it is one.
func (v Value) Bool() (b, ok bool) {
	if v.kind != KindBool {
		return false, false
	}
	return v.raw[0] != 0, true
}

// Int is the value of any whole number, and whether it is one. RabbitMQ compares and accepts them by value, whatever their width.
func (v Value) Int() (n int64, ok bool) {
	switch v.kind {
	case KindInt8:
		return int64(int8(v.raw[0])), true
	case KindUint8:
		return int64(v.raw[0]), true
	case KindInt16:
		return int64(int16(binary.BigEndian.Uint16(v.raw))), true
	case KindUint16:
		return int64(binary.BigEndian.Uint16(v.raw)), true
	case KindInt32:
		return int64(int32(binary.BigEndian.Uint32(v.raw))), true
	case KindUint32:
		return int64(binary.BigEndian.Uint32(v.raw)), true
	case KindInt64, KindLong:
		return int64(binary.BigEndian.Uint64(v.raw)), true
	default:
		return 0, false
	}
}

// Float is the value of a float or a double, and whether it is one.
func (v Value) Float() (f float64, ok bool) {
	switch v.kind {
	case KindFloat32:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(v.raw))), true
	case KindFloat64:
		return math.Float64frombits(binary.BigEndian.Uint64(v.raw)), true
	default:
		return 0, false
	}
}

// Decimal is the value of a decimal, unscaled / 10^scale, and whether it is one.
func (v Value) Decimal() (scale uint8, unscaled int32, ok bool) {
	if v.kind != KindDecimal {
		return 0, 0, false
	}
	return v.raw[0], int32(binary.BigEndian.Uint32(v.raw[1:])), true
}

// Seconds is the value of a timestamp, and whether it is one.
func (v Value) Seconds() (seconds int64, ok bool) {
	if v.kind != KindTimestamp {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(v.raw)), true
}

// Text is the value of a string or bytes, and whether it is one of them.
func (v Value) Text() (b []byte, ok bool) {
	if v.kind != KindString && v.kind != KindBytes {
		return nil, false
	}
	return v.raw, true
}

// Table is the value of a table, and whether it is one.
func (v Value) Table() (t Table, ok bool) {
	if v.kind != KindTable {
		return nil, false
	}
	return Table(v.raw), true
}

// Array is the value of an array, and whether it is one.
func (v Value) Array() (a Array, ok bool) {
	if v.kind != KindArray {
		return nil, false
	}
	return Array(v.raw), true
}

// Equal reports whether two values mean the same, as RabbitMQ decides whether something is declared twice alike and whether a header
// matches: whole numbers by their value, those with a fraction too, all else by kind and bytes.
func (v Value) Equal(w Value) bool {
	if a, ok := v.Int(); ok {
		b, ok := w.Int()
		return ok && a == b
	}
	if a, ok := v.Float(); ok {
		b, ok := w.Float()
		return ok && a == b
	}
	return v.kind == w.kind && string(v.raw) == string(w.raw)
}

func appendValue(dst []byte, v Value) []byte {
	assert.That(v.kind != 0, "a value that is written is one")
	dst = append(dst, byte(v.kind))
	if valueBytes(v.kind) == withLength {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(v.raw)))
	}
	return append(dst, v.raw...)
}

// Answers of valueBytes for kinds that say their length, and for letters that are no kind.
const (
	withLength = -1
	noKind     = -2
)

// valueBytes is the length of a value of this kind.
func valueBytes(k Kind) int {
	switch k {
	case KindVoid:
		return 0
	case KindBool, KindInt8, KindUint8:
		return 1
	case KindInt16, KindUint16:
		return 2
	case KindInt32, KindUint32, KindFloat32:
		return 4
	case KindDecimal:
		return 5
	case KindInt64, KindLong, KindFloat64, KindTimestamp:
		return 8
	case KindString, KindBytes, KindArray, KindTable:
		return withLength
	}
	return noKind
}

// cutValue takes a value off the front of b, without looking into tables and arrays.
func cutValue(b []byte) (v Value, rest []byte, fault string) {
	if len(b) == 0 {
		return Value{}, nil, tableShort
	}
	kind, n := Kind(b[0]), valueBytes(Kind(b[0]))
	b = b[1:]
	switch n {
	case noKind:
		return Value{}, nil, tableKind
	case withLength:
		if len(b) < 4 {
			return Value{}, nil, tableShort
		}
		size := binary.BigEndian.Uint32(b)
		b = b[4:]
		if uint64(size) > uint64(len(b)) {
			return Value{}, nil, tableShort
		}
		n = int(size)
	}
	if n > len(b) {
		return Value{}, nil, tableShort
	}
	return Value{kind, b[:n:n]}, b[n:], tableFine
}
