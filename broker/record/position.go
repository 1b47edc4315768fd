package record

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"math"

	"leat/broker/fault"
)

// Position is a place in everything: which shard, which lineage of it, and how far in its journal. Record is one batch's record, so
// that a follower can go on between two records of a batch. To users it is an opaque text.
type Position struct {
	Shard   uint16
	Lineage uint32 // a restore starts a new one: a position from a lost future is recognised
	Seq     uint64 // of the frame
	Batch   uint32 // within the frame
	Record  uint32 // within the batch
}

// positionVersion begins every encoded position.
const positionVersion = 1

// Compare orders positions of one shard and lineage by journal order; across shards and lineages it is a fixed order without meaning.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Shard, q.Shard), cmp.Compare(p.Lineage, q.Lineage), cmp.Compare(p.Seq, q.Seq),
		cmp.Compare(p.Batch, q.Batch), cmp.Compare(p.Record, q.Record))
}

// String gives the position as opaque text: base64url of a version byte and five varints. A position has exactly one text.
func (p Position) String() string { return string(p.Append(nil)) }

// Append appends the text of the position.
func (p Position) Append(dst []byte) []byte {
	var buf [1 + 5*binary.MaxVarintLen64]byte
	b := append(buf[:0], positionVersion)
	for _, v := range [...]uint64{uint64(p.Shard), uint64(p.Lineage), p.Seq, uint64(p.Batch), uint64(p.Record)} {
		b = binary.AppendUvarint(b, v)
	}
	return base64.RawURLEncoding.AppendEncode(dst, b)
}

// positionVersionsFuture bounds what is taken for a position of a later version, and not for something else altogether.
const positionVersionsFuture = 15

// ParsePosition reads what String gave. Anything else is Invalid, and a position of a later version Unsupported.
func ParsePosition(s string) (Position, error) {
	var buf [1 + 5*binary.MaxVarintLen64]byte
	if s == "" || len(s) > base64.RawURLEncoding.EncodedLen(len(buf)) {
		return Position{}, badPosition(s)
	}
	n, err := base64.RawURLEncoding.Strict().Decode(buf[:], []byte(s))
	if err != nil || n == 0 || base64.RawURLEncoding.EncodedLen(n) != len(s) {
		return Position{}, badPosition(s)
	}
	if buf[0] == 0 || buf[0] > positionVersionsFuture {
		return Position{}, badPosition(s)
	}
	if buf[0] != positionVersion {
		return Position{}, fault.New(fault.Unsupported, "position", clip(s), "this position was made by another version (%d; this one reads %d)", buf[0], positionVersion)
	}
	b := buf[1:n]
	var v [5]uint64
	limits := [5]uint64{math.MaxUint16, math.MaxUint32, math.MaxUint64, math.MaxUint32, math.MaxUint32}
	for i := range v {
		u, k := binary.Uvarint(b)
		if k <= 0 || u > limits[i] || (k > 1 && b[k-1] == 0) { // a last byte of zero is a longer way to say the same
			return Position{}, badPosition(s)
		}
		v[i], b = u, b[k:]
	}
	if len(b) != 0 {
		return Position{}, badPosition(s)
	}
	return Position{Shard: uint16(v[0]), Lineage: uint32(v[1]), Seq: v[2], Batch: uint32(v[3]), Record: uint32(v[4])}, nil
}

func badPosition(s string) error {
	return fault.New(fault.Invalid, "position", clip(s), "this is not a position; take one from \"next\", an event id of a stream, or an answer to an append")
}
