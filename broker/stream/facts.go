package stream

import (
	"encoding/binary"

	"leat/broker/fact"
	"leat/broker/record"
)

// Appended says that a batch has its place. Its bytes are the next piece of the frame's data region.
//
//	stream, partition, base, count, bytes   uvarint
//	max time                                varint, ms, as the producer gave it
//	origin, route                           uvarint (route is 0 until filters exist)
//	producer id + 1                         uvarint, 0 without; then epoch varint, first sequence uvarint
//	flags                                   u8, in version 2 only
type Appended struct {
	Stream    record.StreamID
	Partition record.PartitionID
	Base      record.Offset
	Count     int32 // of offsets; a copy may have fewer records
	Bytes     int64
	MaxTimeMS int64
	Origin    uint32
	Route     uint64
	Producer  int64 // -1 without
	Epoch     int16
	First     int32
	Flags     byte // AppendedTransactional, …; 0 in version 1
}

func (a *Appended) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(a.Stream))
	dst = binary.AppendUvarint(dst, uint64(a.Partition))
	dst = binary.AppendUvarint(dst, uint64(a.Base))
	dst = binary.AppendUvarint(dst, uint64(a.Count))
	dst = binary.AppendUvarint(dst, uint64(a.Bytes))
	dst = binary.AppendVarint(dst, a.MaxTimeMS)
	dst = binary.AppendUvarint(dst, uint64(a.Origin))
	dst = binary.AppendUvarint(dst, a.Route)
	dst = binary.AppendUvarint(dst, uint64(a.Producer+1))
	if a.Producer >= 0 {
		dst = binary.AppendVarint(dst, int64(a.Epoch))
		dst = binary.AppendUvarint(dst, uint64(a.First))
	}
	if a.Flags != 0 {
		dst = append(dst, a.Flags)
	}
	return dst
}

func (a *Appended) version() uint64 {
	if a.Flags != 0 {
		return appendedFlagged
	}
	return appendedPlain
}

// ReadAppended decodes the body of an Appended fact.
func ReadAppended(p []byte) (Appended, error) {
	b := fact.ReadBody(p)
	a := Appended{
		Stream:    record.StreamID(b.Uvarint()),
		Partition: record.PartitionID(b.Uvarint()),
		Base:      record.Offset(b.Uvarint()),
		Count:     int32(b.Uvarint()),
		Bytes:     int64(b.Uvarint()),
		MaxTimeMS: b.Varint(),
		Origin:    uint32(b.Uvarint()),
		Route:     b.Uvarint(),
		Producer:  int64(b.Uvarint()) - 1,
	}
	if a.Producer >= 0 {
		a.Epoch, a.First = int16(b.Varint()), int32(b.Uvarint())
	}
	if b.Rest() > 0 {
		a.Flags = b.Fixed(1)[0]
	}
	return a, b.Err()
}

// KeyAt is one key of a batch: the record's place in it, the key, its version (0 where the stream keeps none), and whether the record has
// no value, which says that the key is gone. Of a fact of version 1 that is not known.
type KeyAt struct {
	Index     int32
	Key       []byte
	Version   uint64
	Tombstone bool
}

// Versions of the keyed fact. 2 is written since format 2.
const (
	keyedPlain   = 1 // without flags
	keyedFlagged = 2
)

const keyTombstone byte = 1 << 0

// keyed: count uvarint, then (index, key, version) each, in version 2 with a byte of flags behind (1: the value is null). It speaks of
// the Appended fact just before it.
func appendKeyed(dst []byte, version uint64, keys []KeyAt) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(keys)))
	for _, k := range keys {
		dst = binary.AppendUvarint(dst, uint64(k.Index))
		dst = fact.AppendBytes(dst, k.Key)
		dst = binary.AppendUvarint(dst, k.Version)
		if version == keyedPlain {
			continue
		}
		dst = append(dst, keyFlags(k.Tombstone))
	}
	return dst
}

// Why says what made a partition begin further on.
type Why uint8

// The reasons. Numbers are part of the file format.
const (
	WhyRequest Why = 1 // somebody asked for it
	WhyTime    Why = 2 // retention by time
	WhyBytes   Why = 3 // retention by bytes
)

func (w Why) String() string {
	switch w {
	case WhyRequest:
		return "request"
	case WhyTime:
		return "retention-time"
	case WhyBytes:
		return "retention-bytes"
	default:
		return "unknown"
	}
}

// Point is where a record stands among all of a shard: its frame, the batch in it, and its place in that.
type Point struct {
	Seq    uint64
	Batch  uint32
	Record uint32
}

func (p *Point) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, p.Seq)
	dst = binary.AppendUvarint(dst, uint64(p.Batch))
	return binary.AppendUvarint(dst, uint64(p.Record))
}

func readPoint(b *fact.Body) Point {
	return Point{b.Uvarint(), uint32(b.Uvarint()), uint32(b.Uvarint())}
}

// Trimmed says that the records of a partition before Start are gone. Gone is the last of them: who has read up to there misses nothing.
//
//	stream, partition, start   uvarint
//	gone: seq, batch, record   uvarint
//	why                        u8
//	origin                     uvarint (0: nobody, as of retention)
type Trimmed struct {
	Stream    record.StreamID
	Partition record.PartitionID
	Start     record.Offset
	Gone      Point
	Why       Why
	Origin    uint32
}

func (t *Trimmed) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(t.Stream))
	dst = binary.AppendUvarint(dst, uint64(t.Partition))
	dst = binary.AppendUvarint(dst, uint64(t.Start))
	dst = t.Gone.append(dst)
	dst = append(dst, byte(t.Why))
	return binary.AppendUvarint(dst, uint64(t.Origin))
}

// ReadTrimmed decodes the body of a Trimmed fact.
func ReadTrimmed(p []byte) (Trimmed, error) {
	b := fact.ReadBody(p)
	t := Trimmed{
		Stream: record.StreamID(b.Uvarint()), Partition: record.PartitionID(b.Uvarint()), Start: record.Offset(b.Uvarint()),
		Gone: readPoint(b), Why: Why(b.Fixed(1)[0]), Origin: uint32(b.Uvarint()),
	}
	return t, b.Err()
}

// Identity is the hash of a stream, a source and an id: what makes an event the same event.
type Identity [16]byte

// identified: count uvarint, then (index uvarint, 16 bytes) each. It speaks of the Appended fact before it.
func appendIdentified(dst []byte, ids []IDUse) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(ids)))
	for _, u := range ids {
		dst = binary.AppendUvarint(dst, uint64(u.Index))
		dst = append(dst, u.Identity[:]...)
	}
	return dst
}

func readIdentified(p []byte, each func(index int32, id Identity)) error {
	b := fact.ReadBody(p)
	for n := b.Uvarint(); n > 0 && b.Rest() > 0; n-- {
		i := int32(b.Uvarint())
		each(i, Identity(b.Fixed(16)))
	}
	return b.Err()
}

func appendStreamFact(dst []byte, id record.StreamID, partitions int, keys KeyMode) []byte {
	dst = binary.AppendUvarint(dst, uint64(id))
	dst = binary.AppendUvarint(dst, uint64(partitions))
	return append(dst, byte(keys))
}

func readStreamFact(p []byte) (id record.StreamID, partitions int, keys KeyMode, err error) {
	b := fact.ReadBody(p)
	id, partitions = record.StreamID(b.Uvarint()), int(min(b.Uvarint(), PartitionsMax))
	keys = KeyMode(b.Fixed(1)[0])
	return id, partitions, keys, b.Err()
}

func appendOrigin(dst []byte, n uint32, o Origin) []byte {
	dst = binary.AppendUvarint(dst, uint64(n))
	for _, s := range []string{o.Principal, o.Listener, o.Protocol, o.Client} {
		dst = fact.AppendString(dst, s)
	}
	return dst
}

func readOrigin(p []byte) (n uint32, o Origin, err error) {
	b := fact.ReadBody(p)
	n = uint32(b.Uvarint())
	o = Origin{b.String(), b.String(), b.String(), b.String()}
	return n, o, b.Err()
}
