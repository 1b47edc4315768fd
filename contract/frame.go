package contract

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
)

// A payload says which schema it was written with in one of three ways:
//
//	0x00  id (4 bytes, big-endian)  [Protobuf: message indexes]  payload
//	header __value_schema_id = 0x01 guid (16 bytes) [indexes]    payload as it is
//	nothing                                                     payload as it is: the newest version of what is bound
//
// Message indexes are the path to a message type in a file: their count, then each, as zigzag varints; a single 0 byte stands for the list [0].
// A header may carry 0x00 and an id too.
const (
	magicID   = 0
	magicGUID = 1
	idBytes   = 5
	guidBytes = 17
)

// IndexesMax bounds how deep a message type may be nested.
const IndexesMax = 32

// HeaderValue is the header of Confluent's serializers that names the schema of the payload; HeaderKey is that of the key.
const (
	HeaderValue = "__value_schema_id"
	HeaderKey   = "__key_schema_id"
)

// Frame is what a payload says of its schema.
type Frame struct {
	ID   int    // 0: it says a GUID, or nothing
	GUID string // as in RFC 4122, lower case; "" where it says none
}

// Named reports whether it says anything.
func (f Frame) Named() bool { return f.ID != 0 || f.GUID != "" }

var errFrame = errors.New("the frame before the payload is cut off")

// Unframe takes the frame off a payload. A payload that begins with neither magic byte has none; whether five bytes 0 … are a frame can only be
// told from what is bound, so the caller says whether a frame is expected.
func Unframe(payload []byte) (f Frame, rest []byte, err error) {
	if len(payload) == 0 || payload[0] != magicID {
		return Frame{}, payload, nil
	}
	if len(payload) < idBytes {
		return Frame{}, payload, errFrame
	}
	return Frame{ID: int(binary.BigEndian.Uint32(payload[1:]))}, payload[idBytes:], nil
}

// FrameOfHeader reads the header that names a schema; rest is what follows the name, which are message indexes where it is Protobuf.
func FrameOfHeader(v []byte) (f Frame, rest []byte, err error) {
	switch {
	case len(v) >= guidBytes && v[0] == magicGUID:
		return Frame{GUID: FormatGUID([16]byte(v[1:guidBytes]))}, v[guidBytes:], nil
	case len(v) >= idBytes && v[0] == magicID:
		return Frame{ID: int(binary.BigEndian.Uint32(v[1:]))}, v[idBytes:], nil
	}
	return Frame{}, nil, errors.New("the header " + HeaderValue + " names no schema: it must be 0x01 and 16 bytes, or 0x00 and 4 bytes")
}

// Indexes reads message indexes.
func Indexes(b []byte) (index []int, rest []byte, err error) {
	n, w := binary.Varint(b)
	switch {
	case w <= 0 || n < 0 || n > IndexesMax:
		return nil, nil, errors.New("the message indexes before the payload cannot be read")
	case n == 0:
		return nil, b[w:], nil
	}
	b = b[w:]
	index = make([]int, n)
	for i := range index {
		v, w := binary.Varint(b)
		if w <= 0 || v < 0 || v > 1<<20 {
			return nil, nil, errors.New("the message indexes before the payload cannot be read")
		}
		index[i], b = int(v), b[w:]
	}
	return index, b, nil
}

// FormatGUID writes 16 bytes as 8-4-4-4-12 hex digits.
func FormatGUID(g [16]byte) string {
	var out [36]byte
	hex.Encode(out[:], g[:4])
	for i, at := range []int{8, 13, 18, 23} {
		out[at] = '-'
		from, to := 4+2*i, 6+2*i
		if i == 3 {
			to = 16
		}
		hex.Encode(out[at+1:], g[from:to])
	}
	return string(out[:])
}
