package keys

import (
	"bytes"
	"cmp"
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// Flags of an entry.
const (
	Tombstone   uint8 = 1 << iota // a record without a value
	Provisional                   // one that may turn out to be none: whoever reads it finds out what has become of it
)

// KeyBytesMax is the longest key an entry may have.
const KeyBytesMax = 1<<24 - 1

// Position is the place of a record among all of a shard: frame, batch in the frame, record in the batch. It orders the entries of a key.
type Position struct {
	Seq    uint64
	Batch  uint32
	Record uint32
}

// Compare is negative when p is before q, 0 when they are one, positive otherwise.
func (p Position) Compare(q Position) int {
	if p.Seq != q.Seq {
		return cmp.Compare(p.Seq, q.Seq)
	}
	if p.Batch != q.Batch {
		return cmp.Compare(p.Batch, q.Batch)
	}
	return cmp.Compare(p.Record, q.Record)
}

// Entry says where one record of a key lies.
type Entry struct {
	Stream    uint32
	Key       []byte
	Seq       uint64 // of the frame, at least 1
	Batch     uint32 // among the frame's batches
	Record    uint32 // among the batch's records
	Partition uint32
	Offset    uint64
	Version   uint64 // 0: the stream keeps none
	Flags     uint8  // Tombstone, Provisional
}

// Position is where the entry stands among those of its key.
func (e *Entry) Position() Position { return Position{Seq: e.Seq, Batch: e.Batch, Record: e.Record} }

// compareEntries orders by stream, key and position: the order of a file.
func compareEntries(a, b *Entry) int {
	if a.Stream != b.Stream {
		return cmp.Compare(a.Stream, b.Stream)
	}
	if c := bytes.Compare(a.Key, b.Key); c != 0 {
		return c
	}
	return comparePositions(a, b)
}

// twins orders entries of which compare says nothing: an entry that is indexed twice is given once, and that is the one with a version. An import, which
// reads records, knows none.
func twins(compare func(a, b *Entry) int) func(a, b *Entry) int {
	return func(a, b *Entry) int {
		if c := compare(a, b); c != 0 {
			return c
		}
		return cmp.Compare(b.Version, a.Version)
	}
}

func comparePositions(a, b *Entry) int {
	if a.Seq != b.Seq {
		return cmp.Compare(a.Seq, b.Seq)
	}
	if a.Batch != b.Batch {
		return cmp.Compare(a.Batch, b.Batch)
	}
	return cmp.Compare(a.Record, b.Record)
}

// fullKey is stream and key as files know them: the stream's number big endian, so that bytes order as entries do, then the key.
type fullKey []byte

const streamBytes = 4

func appendFullKey(dst []byte, stream uint32, key []byte) fullKey {
	return append(binary.BigEndian.AppendUint32(dst, stream), key...)
}

func (k fullKey) stream() uint32 { return binary.BigEndian.Uint32(k) }
func (k fullKey) key() []byte    { return k[streamBytes:] }

// hashKey is what filters and the index of a chunk are made of. It is part of the file format.
func hashKey(stream uint32, key []byte) uint64 {
	h := xxhash.Sum64(key) ^ uint64(stream)*0x9e3779b97f4a7c15
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>32
}
