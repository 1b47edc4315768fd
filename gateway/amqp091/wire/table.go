package wire

import (
	"errors"
	"iter"
	"slices"
)

// ShortBytesMax is the length of the longest short string: names, keys, tags.
const ShortBytesMax = 255

// TableDepthMax is how deep tables and arrays may lie in one another. What clients and brokers write themselves (x-death) is three deep.
const TableDepthMax = 32

// ErrTooLong is returned by encoders for a short string of more than ShortBytesMax bytes.
var ErrTooLong = errors.New("a short string has more than 255 bytes")

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
		if v.kind == KindTable || v.kind == KindArray {
			if fault := checkTable(v.raw, v.kind == KindTable, depth+1); fault != "" {
				return fault
			}
		}
		b = rest
	}
	return tableFine
}
