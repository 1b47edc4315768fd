package wire

import (
	"encoding/binary"
	"errors"
	"iter"
	"math"
	"slices"
)

// ShortBytesMax is the length of the longest short string: names, keys, tags.
const ShortBytesMax = 255

// TableDepthMax is how deep tables and arrays may lie in one another. What clients and brokers write themselves (x-death) is three deep.
const TableDepthMax = 32

// ErrTooLong is returned by encoders for a short string of more than ShortBytesMax bytes.
var ErrTooLong = errors.New("a short string has more than 255 bytes")

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
	Kind Kind
	raw  []byte
}

// The values a broker writes. Numbers and texts allocate; tables and arrays are referred to.
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
	if v.Kind != KindBool {
		return false, false
	}
	return v.raw[0] != 0, true
}

// Int is the value of any whole number, and whether it is one. RabbitMQ compares and accepts them by value, whatever their width.
func (v Value) Int() (n int64, ok bool) {
	switch v.Kind {
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
	}
	return 0, false
}

// Float is the value of a float or a double, and whether it is one.
func (v Value) Float() (f float64, ok bool) {
	switch v.Kind {
	case KindFloat32:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(v.raw))), true
	case KindFloat64:
		return math.Float64frombits(binary.BigEndian.Uint64(v.raw)), true
	}
	return 0, false
}

// Decimal is the value of a decimal, unscaled / 10^scale, and whether it is one.
func (v Value) Decimal() (scale uint8, unscaled int32, ok bool) {
	if v.Kind != KindDecimal {
		return 0, 0, false
	}
	return v.raw[0], int32(binary.BigEndian.Uint32(v.raw[1:])), true
}

// Seconds is the value of a timestamp, and whether it is one.
func (v Value) Seconds() (seconds int64, ok bool) {
	if v.Kind != KindTimestamp {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(v.raw)), true
}

// Text is the value of a string or bytes, and whether it is one of them.
func (v Value) Text() (b []byte, ok bool) {
	if v.Kind != KindString && v.Kind != KindBytes {
		return nil, false
	}
	return v.raw, true
}

// Table is the value of a table, and whether it is one.
func (v Value) Table() (t Table, ok bool) {
	if v.Kind != KindTable {
		return nil, false
	}
	return Table(v.raw), true
}

// Array is the value of an array, and whether it is one.
func (v Value) Array() (a Array, ok bool) {
	if v.Kind != KindArray {
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
	return v.Kind == w.Kind && string(v.raw) == string(w.raw)
}

// Table is the entries of a table as they stand on the wire, without their length. Those of a decoded method have been checked: going
// through them meets no fault. An empty table and one that is not there are told apart by the flag of the property, not here.
type Table []byte

// DecodeTable is a table whose bytes stand alone, without a length before them, as in the response of the login mechanism AMQPLAIN.
func DecodeTable(b []byte) (Table, error) {
	if fault := checkTable(b, true, 1); fault != tableFine {
		return nil, errorf(codeOf(fault), 0, "a table %s", fault)
	}
	return b, nil
}

// All goes through the entries in their order; a name may come more than once. It ends at the first one that cannot be read.
func (t Table) All() iter.Seq2[[]byte, Value] {
	return func(yield func([]byte, Value) bool) {
		for rest := []byte(t); len(rest) > 0; {
			name, after, ok := cutShort(rest)
			if !ok {
				return
			}
			v, after, err := cutValue(after)
			if err != "" || !yield(name, v) {
				return
			}
			rest = after
		}
	}
}

// Get is the first value of this name.
func (t Table) Get(name string) (v Value, ok bool) {
	for n, v := range t.All() {
		if string(n) == name {
			return v, true
		}
	}
	return Value{}, false
}

// Add appends an entry. It does not look for one of the same name.
func (t Table) Add(name string, v Value) (Table, error) {
	if len(name) > ShortBytesMax {
		return t, ErrTooLong
	}
	t = append(t, byte(len(name)))
	t = append(t, name...)
	return appendValue(t, v), nil
}

// Without is a copy of the table that lacks the entries of these names: what a broker keeps for itself, or says anew.
func (t Table) Without(names ...string) Table {
	kept := make(Table, 0, len(t))
	for name, v := range t.All() {
		if !slices.Contains(names, string(name)) {
			kept = append(append(kept, byte(len(name))), name...)
			kept = appendValue(kept, v)
		}
	}
	return kept
}

// Array is the values of an array as they stand on the wire, without their length.
type Array []byte

// All goes through the values in their order, and ends at the first one that cannot be read.
func (a Array) All() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		for rest := []byte(a); len(rest) > 0; {
			v, after, err := cutValue(rest)
			if err != "" || !yield(v) {
				return
			}
			rest = after
		}
	}
}

// Add appends a value.
func (a Array) Add(v Value) Array { return appendValue(a, v) }

func appendValue(dst []byte, v Value) []byte {
	dst = append(dst, byte(v.Kind))
	if valueBytes(v.Kind) == withLength {
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

func cutShort(b []byte) (s, rest []byte, ok bool) {
	if len(b) == 0 || len(b) <= int(b[0]) {
		return nil, nil, false
	}
	n := 1 + int(b[0])
	return b[1:n:n], b[n:], true
}

// What can be wrong with a table. Ends that do not meet are a frame that cannot be decoded, the rest is bad values in one that can.
const (
	tableFine  = ""
	tableShort = "ends in the middle of a value"
	tableKind  = "has a value of an unknown type"
	tableDepth = "has tables and arrays deeper in one another than 32"
)

func codeOf(fault string) ReplyCode {
	if fault == tableShort {
		return FrameError
	}
	return SyntaxError
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

// checkTable looks at every value of a table; array is the same without names. The time is proportional to the bytes: each level looks at
// its own values, and the bytes of deeper levels only in going down.
func checkTable(b []byte, named bool, depth int) (fault string) {
	if depth > TableDepthMax {
		return tableDepth
	}
	for len(b) > 0 {
		if named {
			var ok bool
			if _, b, ok = cutShort(b); !ok {
				return tableShort
			}
		}
		v, rest, fault := cutValue(b)
		if fault != "" {
			return fault
		}
		if v.Kind == KindTable || v.Kind == KindArray {
			if fault := checkTable(v.raw, v.Kind == KindTable, depth+1); fault != "" {
				return fault
			}
		}
		b = rest
	}
	return tableFine
}
