package address

import (
	"encoding/binary"

	"leat/broker/fault"
)

// A set of subscriptions as bytes, as the fact that defines a route carries it:
//
//	count   uvarint, 1 to RouteIDsMax
//	first   uvarint
//	gap     uvarint, count-1 times: how many numbers lie between this one and the one before
//
// A set has one encoding: varints are of the least length, and nothing follows the last.

// AppendSet appends the bytes of a set that is ascending, each once, and not empty.
func AppendSet(dst []byte, set []ID) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(set)))
	last := ^uint64(0) // so that the first gap is the first number
	for _, id := range set {
		dst = binary.AppendUvarint(dst, uint64(id)-last-1)
		last = uint64(id)
	}
	return dst
}

// ParseSet reads the bytes of a set into dst. What AppendSet does not write is Corrupt.
func ParseSet(dst []ID, p []byte) ([]ID, error) {
	n, p, ok := uvarint(p)
	if !ok || n == 0 || n > RouteIDsMax || n > uint64(len(p)) { // each takes a byte at least, so nobody makes this allocate much for little
		return nil, corrupt("it counts %d subscriptions and has %d bytes", n, len(p))
	}
	last := ^uint64(0)
	for i := range n {
		var gap uint64
		if gap, p, ok = uvarint(p); !ok {
			return nil, corrupt("subscription %d of %d is cut or not in its shortest form", i+1, n)
		}
		id := last + 1 + gap
		if i > 0 && id <= last {
			return nil, corrupt("subscription %d of %d is out of range", i+1, n)
		}
		dst = append(dst, ID(id))
		last = id
	}
	if len(p) > 0 {
		return nil, corrupt("%d bytes follow it", len(p))
	}
	return dst, nil
}

func corrupt(format string, args ...any) error {
	return fault.New(fault.Corrupt, "route", "set", format, args...)
}

// uvarint takes a number in its shortest form.
func uvarint(p []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(p)
	if n <= 0 || n > 1 && p[n-1] == 0 {
		return 0, p, false
	}
	return v, p[n:], true
}
