package stream

import (
	"encoding/binary"
	"errors"

	"leat/broker/fact"
	"leat/broker/record"
)

// HistoryEntry is one record of a key: where it lies, and its place in the order of everything.
type HistoryEntry struct {
	Partition   record.PartitionID
	Offset      record.Offset
	Version     uint64
	Seq         uint64
	Batch       uint32
	Record      uint32
	Tombstone   bool // the record has no value
	Provisional bool // it is of a transaction, whatever has become of that
}

// EachKey calls fn for every record of a key, and of a term, among the facts of a frame, without evolving anything.
func EachKey(facts []byte, seq uint64, fn func(id record.StreamID, key []byte, e *HistoryEntry)) error {
	var last Appended
	batches := uint32(0)
	return fact.Each(facts, func(x fact.Fact) (err error) {
		switch x.Kind {
		case fact.Appended:
			last, err = ReadAppended(x.Body)
			batches++
			return err
		case fact.Keyed:
			return eachKey(x, &last, seq, batches-1, fn)
		case fact.Termed:
			return eachTerm(x, &last, seq, batches-1, fn)
		}
		return nil
	})
}

// eachKey calls fn for every key of a keyed fact, which speaks of the batch a.
func eachKey(x fact.Fact, a *Appended, seq uint64, batch uint32, fn func(id record.StreamID, key []byte, e *HistoryEntry)) error {
	e := HistoryEntry{Partition: a.Partition, Seq: seq, Batch: batch, Provisional: a.Flags&AppendedTransactional != 0}
	return readKeyed(x.Body, x.Version, func(k KeyAt) {
		e.Offset, e.Record, e.Version = a.Base+record.Offset(k.Index), uint32(k.Index), k.Version
		e.Tombstone = k.Tombstone
		fn(a.Stream, k.Key, &e)
	})
}

// EncodedKeys are the keys of a batch in the form of their fact, made by whoever resolves: in a stream that does not number its keys there is
// nothing to decide about them, and a batch may have a hundred thousand.
type EncodedKeys struct {
	Count int
	Bytes []byte // the fact's body, but for the count
}

// Add adds a record's key. Formats before 2 do not keep what a tombstone is.
func (k *EncodedKeys) Add(format int, index int, key []byte, tombstone bool) {
	k.Count++
	k.Bytes = binary.AppendUvarint(k.Bytes, uint64(index))
	k.Bytes = fact.AppendBytes(k.Bytes, key)
	k.Bytes = append(k.Bytes, 0) // no version
	if keyedVersion(format) == keyedFlagged {
		k.Bytes = append(k.Bytes, keyFlags(tombstone))
	}
}

func (k *EncodedKeys) append(dst []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(k.Count)), k.Bytes...)
}

func keyedVersion(format int) uint64 {
	if format < fact.Format2 {
		return keyedPlain
	}
	return keyedFlagged
}

func keyFlags(tombstone bool) byte {
	if tombstone {
		return keyTombstone
	}
	return 0
}

var errKeyed = errors.New("keyed fact is cut short")

// readKeyed calls each for every key of a keyed fact. It is written out because a frame may hold a hundred thousand of them.
func readKeyed(p []byte, version uint64, each func(KeyAt)) error {
	count, n := binary.Uvarint(p)
	if n <= 0 {
		return errKeyed
	}
	p = p[n:]
	for ; count > 0; count-- {
		var k KeyAt
		index, n := binary.Uvarint(p)
		if n <= 0 {
			return errKeyed
		}
		size, m := binary.Uvarint(p[n:])
		if m <= 0 || size > uint64(len(p)-n-m) {
			return errKeyed
		}
		at := n + m
		end := at + int(size)
		k.Index, k.Key = int32(index), p[at:end:end]
		if k.Version, n = binary.Uvarint(p[end:]); n <= 0 {
			return errKeyed
		}
		p = p[end+n:]
		if version == keyedFlagged {
			if len(p) == 0 {
				return errKeyed
			}
			k.Tombstone = p[0]&keyTombstone != 0
			p = p[1:]
		}
		each(k)
	}
	return nil
}
