package broker

import (
	"crypto/sha256"
	"encoding/binary"

	"leat/broker/fault"
	"leat/broker/record"
)

// StreamUID is a stream's name for machines: no other stream ever has it, in this data directory or elsewhere, also not one that is made
// under the same name when the stream is gone. It survives restarts, restores and being deleted and brought back. It is a UUID of version 4
// in form:
//
//	0  stream id uint32 | shard uint16 | 0100 and 12 bits of the hash
//	8  10 and 62 bits of the hash
//
// The hash is of the oldest lineage of the data directory, the stream's id, its shard, and the time it was made: two streams that got the
// same number, one of them in a future that was restored away, differ in the time.
type StreamUID [16]byte

func (b *Broker) streamUID(shard int, id record.StreamID, createdMS int64) (u StreamUID) {
	oldest := b.opt.Lineage
	if len(b.opt.Past) > 0 {
		oldest = b.opt.Past[0].Short
	}
	var in [18]byte
	be := binary.BigEndian
	be.PutUint32(in[0:], oldest)
	be.PutUint32(in[4:], uint32(id))
	be.PutUint16(in[8:], uint16(shard))
	be.PutUint64(in[10:], uint64(createdMS))
	hash := sha256.Sum256(in[:])
	be.PutUint32(u[0:], uint32(id))
	be.PutUint16(u[4:], uint16(shard))
	copy(u[6:], hash[:])
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return u
}

// byUID is the stream that has u, nil when there is none.
func (n *names) byUID(u StreamUID) *named {
	be := binary.BigEndian
	if x := n.of(int(be.Uint16(u[4:])), record.StreamID(be.Uint32(u[0:]))); x != nil && x.uid == u {
		return x
	}
	return nil
}

// StreamName is the name of the stream with that UID, as long as it has one, in the caller's namespace. It asks nobody for rights: who knows
// a UID was told it.
func (b *Broker) StreamName(c *Caller, u StreamUID) (name string, ok bool) {
	if n := b.names.byUID(u); n != nil && n.namespace == c.namespace() {
		return n.name, true
	}
	return "", false
}

// is refuses a stream that is not the one meant. Between a look at a name and its use the stream can be deleted and another be made.
func (n *named) is(op string, u StreamUID) error {
	if u == (StreamUID{}) || u == n.uid {
		return nil
	}
	return fault.New(fault.NotFound, op, n.name, "the stream %q is not the one that is meant: that was deleted, and another made", n.name).Because(fault.ReasonUID)
}

// noUID refuses what is asked of a stream whose UID has no name any more.
func noUID(op string) error {
	return fault.New(fault.NotFound, op, "", "no stream has that id; it was deleted").Because(fault.ReasonUID)
}
